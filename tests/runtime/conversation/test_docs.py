"""The snippets of docs/data/conversations.md run, one after the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[3] / "docs" / "data" / "conversations.md"


def test_the_snippets_about_conversations_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "conversations"}
    try:
        for number, text in enumerate(re.findall(r"```py\n(.*?)```", PAGE.read_text(), re.DOTALL)):
            exec(compile(text, f"docs/data/conversations.md, snippet {number + 1}", "exec"), names)
        assert (tmp_path / "weather.md").read_text().startswith("# Weather\n")
    finally:
        names["rt"].close()
