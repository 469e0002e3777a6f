"""The snippets of docs/control/tools.md run, in their order."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from greenroom.runtime import Runtime

_DOCUMENT = Path(__file__).parents[3] / "docs" / "control" / "tools.md"


def test_the_snippets_run_and_every_standard_tool_is_in_the_table(rt: Runtime) -> None:
    text = _DOCUMENT.read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    try:
        for source in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
            exec(compile(source, _DOCUMENT.name, "exec"), names)
    finally:
        names["runtime"].close()
    standard = {"base64", "calculator", "datetime", "hash_calculator", "json_processor", "template_engine"}
    for name in (*standard, "text_stats", "uuid_generator"):
        assert rt.tools.exists(name)
        assert f"| `{name}` |" in text
