"""The snippets of docs/scripting/javascript.md run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

_DOCUMENT = Path(__file__).parents[3] / "docs" / "scripting" / "javascript.md"
_SNIPPETS = re.findall(r"```js\n(.*?)```", _DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("source", _SNIPPETS)
def test_a_snippet_of_the_document_runs(js: Any, source: str) -> None:
    js(source)
