"""docs/control/hooks.md: its script runs, and it names every point."""

from __future__ import annotations

import re
from pathlib import Path

from greenroom.runtime import Runtime
from greenroom.runtime.hooks import POINTS

PAGE = (Path(__file__).parents[3] / "docs" / "control" / "hooks.md").read_text(encoding="utf-8")


def test_the_script_runs(rt: Runtime) -> None:
    (text,) = re.findall(r"^```lua\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert rt.run_script(text).output == "false\tHookCancelled\t1\n"


def test_the_page_names_every_point() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE))
    for each in re.findall(r"`…(\w+)`", PAGE):
        named |= {f"Session{each}", f"BeforeSession{each}"}
    assert POINTS - named == set()
