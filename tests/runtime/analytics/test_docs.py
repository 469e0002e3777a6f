from __future__ import annotations

import re
from pathlib import Path

from greenroom.runtime.cli.app import app

PAGE = (Path(__file__).parents[3] / "docs" / "control" / "analytics.md").read_text(encoding="utf-8")


def test_the_options_on_the_page_are_those_of_the_command() -> None:
    (stats,) = [command for command in app.registered_commands if command.name == "stats"]
    assert stats.callback is not None
    known = {
        f"--{name.replace('as_', '')}" for name in stats.callback.__annotations__ if name not in ("context", "return")
    }
    named = set(re.findall(r"(?<=[ (])--[a-z]+", PAGE))
    assert named
    assert named <= known
