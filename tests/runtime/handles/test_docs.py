"""The snippets of docs/data/values.md, docs/data/sessions.md and docs/data/records.md run, one after the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[3] / "docs" / "data"


@pytest.mark.parametrize("page", ["values.md", "sessions.md", "records.md"])
def test_the_snippets_run(page: str) -> None:
    names: dict[str, Any] = {"__name__": page}
    for number, text in enumerate(re.findall(r"```py\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)):
        exec(compile(text, f"docs/{page}, snippet {number + 1}", "exec"), names)
    names["rt"].close()
