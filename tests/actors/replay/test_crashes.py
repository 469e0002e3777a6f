"""What a killed process has left replays exactly."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from greenroom.runtime import Runtime

from ...warm import WarmPopen
from .story import prepare

_CHILD = """
import importlib.util, random, sys

spec = importlib.util.spec_from_file_location("story", sys.argv[1])
story = importlib.util.module_from_spec(spec)
sys.modules["story"] = story
spec.loader.exec_module(story)
dice = random.Random(int(sys.argv[3]))
teller = story.Teller(__import__("pathlib").Path(sys.argv[2]), None)
names = sorted(story.DOES.keys() - {"restart", "life"})
while True:
    teller.tell(story.Does(dice.choice(names), dice.randrange(12), dice.randrange(12)))
    print("done", flush=True)
"""


@pytest.mark.parametrize("seed", range(3))
def test_what_a_killed_process_has_left_replays_exactly(tmp_path: Path, seed: int) -> None:
    story, store = Path(__file__).with_name("story.py"), tmp_path / "store"
    arguments = [sys.executable, "-c", _CHILD, str(story), str(store), str(seed)]
    with WarmPopen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        for _ in range(60 + 7 * seed):
            assert child.stdout.readline() == b"done\n"
        child.kill()
    with Runtime.open(store, config={"handle_signals": False}) as rt:
        prepare(rt)
        infos = rt.list_sessions(status="all")
        assert sum(info.sequence for info in infos) > 60
        for info in infos:
            rt.session(info.id).add_tag("again")  # it goes on after the crash
            result = rt.replay(info.id)
            assert result.identical, (result.divergence, result.errors)
