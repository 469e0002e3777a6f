"""The snippets of docs/control/events.md run, one after the other."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "control" / "events.md"


def test_the_snippets_run() -> None:
    names: dict[str, object] = {}
    snippets = re.findall(r"```py\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len(snippets) == 6
    try:
        for snippet in snippets:
            exec(compile(snippet, str(PAGE), "exec"), names)
    finally:
        names["rt"].close()  # type: ignore[attr-defined]
