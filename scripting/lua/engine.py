"""The Lua engine."""

from __future__ import annotations

from greenroom.runtime import ScriptRequest
from greenroom.runtime.scripts.console import Around, Console
from greenroom.scripting.definition.layout import Layout
from greenroom.scripting.process.engine import IsolatingEngine
from greenroom.scripting.running.sandbox import Sandbox

from .sandbox import LuaSandbox

__all__ = ["LuaEngine"]


class LuaEngine(IsolatingEngine):
    """Runs Lua 5.4."""

    language = "lua"
    suffixes = (".lua",)
    in_process = "greenroom.scripting.lua.sandbox:in_process"

    def sandbox(self, layout: Layout) -> Sandbox:
        return LuaSandbox(layout)

    def console(self, request: ScriptRequest, around: Around) -> Console:
        """Open a console: see `runtime.scripts.console`."""
        from greenroom.scripting.running.console import Conversation

        from .console import LuaConsole

        return Conversation(self, LuaConsole, request, around)
