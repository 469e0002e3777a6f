"""The snippets of docs/control/scripting.md run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from greenroom.runtime import Runtime

_DOCUMENT = Path(__file__).parents[2] / "docs" / "control" / "scripting.md"
_SNIPPETS = re.findall(r"```lua\n(.*?)```", _DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("source", _SNIPPETS)
def test_a_snippet_of_the_document_runs(runtime: Runtime, source: str) -> None:
    runtime.run_script(source)


def test_the_document_names_every_function(runtime: Runtime) -> None:
    found = runtime.run_script("""
      local names = {}
      for _, global in ipairs { "Session", "Artifact", "State", "Event", "Hook", "JSON" } do
        for name in pairs(_G[global]) do names[#names + 1] = name end
      end
      return names""").value
    text = _DOCUMENT.read_text(encoding="utf-8")
    assert [name for name in found if not re.search(rf"\b{name}\b", text)] == []
