"""The snippets of docs/values.md run, one after the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[3] / "docs" / "values.md"


def test_the_snippets_about_values_run() -> None:
    names: dict[str, Any] = {"__name__": "values"}
    for number, text in enumerate(re.findall(r"```py\n(.*?)```", PAGE.read_text(), re.DOTALL)):
        exec(compile(text, f"docs/values.md, snippet {number + 1}", "exec"), names)
    assert names["rt"].closed
