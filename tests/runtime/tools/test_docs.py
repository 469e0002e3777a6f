"""docs/control/tools.md names every standard tool."""

from __future__ import annotations

from pathlib import Path

from greenroom.runtime import Runtime

_DOCUMENT = Path(__file__).parents[3] / "docs" / "control" / "tools.md"


def test_every_standard_tool_is_in_the_table(rt: Runtime) -> None:
    text = _DOCUMENT.read_text(encoding="utf-8")
    standard = {"base64", "calculator", "datetime", "hash_calculator", "json_processor", "template_engine"}
    for name in (*standard, "text_stats", "uuid_generator"):
        assert rt.tools.exists(name)
        assert f"| `{name}` |" in text
