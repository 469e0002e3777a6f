"""The Lua engine."""

from __future__ import annotations

from greenroom.scripting.definition.layout import Layout
from greenroom.scripting.running.engine import Engine
from greenroom.scripting.running.sandbox import Sandbox

from .sandbox import LuaSandbox

__all__ = ["LuaEngine"]


class LuaEngine(Engine):
    """Runs Lua 5.4."""

    language = "lua"
    suffixes = (".lua",)

    def sandbox(self, layout: Layout) -> Sandbox:
        return LuaSandbox(layout)
