"""The snippets of the page about batches run."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "data" / "batches.md"


def test_the_snippets_run() -> None:
    names: dict[str, object] = {}
    blocks = re.findall(r"```py\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 4
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    names["rt"].close()  # type: ignore[attr-defined]
