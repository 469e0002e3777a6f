from __future__ import annotations

import os
import sys
from pathlib import Path

from greenroom.runtime import Runtime

from ...warm import run_warm

WORKER = Path(__file__).with_name("fork_worker.py")


def test_a_fork_that_is_killed_has_happened_or_has_not(store_path: Path, tmp_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        origin = rt.create_session()
        origin.store_artifact("t", "small", "s")
        origin.store_artifact("t", "large", os.urandom(300_000))
        origin.add_message("user", "a long text " * 1000)
        for value in range(1100):
            origin.set(f"k{value % 9}", value)
    command = [sys.executable, str(WORKER), str(store_path), origin.id, str(tmp_path / "killed")]
    done = run_warm(command, timeout=120)
    assert done.returncode == 0, done.stderr
    outcomes = []
    for number in range(1, int(done.stdout) + 1):
        with Runtime.open(tmp_path / "killed" / str(number)) as rt:
            children = rt.session(origin.id).children()
            outcomes.append(len(children))
            for info in children:
                fork = rt.session(info.id)
                assert fork.get("k0") == -1
                assert fork.messages()[-1].content == "another text " * 1000
                assert fork.get_artifact("large").info.size == 300_000
                assert len(fork.messages()) == 2
                # What it holds outlives the original.
                rt.delete_session(origin.id)
                assert len(fork.get_artifact("large").content) == 300_000
            assert rt.verify().problems == []
            assert rt.stats()["artifacts"]["contents"] == 3 + len(children)
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {0, 1}
