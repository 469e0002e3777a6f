"""The engine of JavaScript, found through the entry-point group `greenroom.script_engines`."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Final

from greenroom.runtime import ConfigurationError, ScriptRequest, ScriptResult
from greenroom.runtime.scripts.console import Around, Console
from greenroom.scripting.definition.layout import Layout
from greenroom.scripting.process.engine import IsolatingEngine
from greenroom.scripting.running.sandbox import Sandbox

__all__ = ["JavaScriptEngine"]

_NEEDED: Final = ("quickjs_rs", "wasmtime")


class JavaScriptEngine(IsolatingEngine):
    """Runs JavaScript (ES2023) in QuickJS, which runs in WebAssembly. Needs the extra `[js]`."""

    language = "js"
    aliases = ("javascript",)
    suffixes = (".js", ".mjs")
    in_process = "greenroom.scripting.js.sandbox:in_process"

    def prepare(self, request: ScriptRequest) -> Callable[[], ScriptResult]:
        """As in every engine. Raises ConfigurationError as well where the extra is not installed."""
        self._check(request)
        return super().prepare(request)

    @staticmethod
    def _check(request: ScriptRequest) -> None:
        missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            raise ConfigurationError(
                f'{request.name} is JavaScript, which needs {" and ".join(missing)}: pip install "greenroom[js]"'
            )

    def console(self, request: ScriptRequest, around: Around) -> Console:
        """Open a console: see `runtime.scripts.console`."""
        from greenroom.scripting.running.console import Conversation

        from .console import JavaScriptConsole

        self._check(request)
        return Conversation(self, JavaScriptConsole, request, around)

    def sandbox(self, layout: Layout) -> Sandbox:
        """Return a new sandbox. Raises ConfigurationError where the engine cannot run."""
        import wasmtime

        from .guest import Refused, Trapped
        from .sandbox import JavaScriptSandbox

        try:
            return JavaScriptSandbox(layout)
        except (AttributeError, KeyError, OSError, Refused, Trapped, wasmtime.WasmtimeError) as error:
            # Other versions than the pinned ones, or no addresses for another memory.
            said = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            raise ConfigurationError(f"JavaScript cannot run with this quickjs-rs and wasmtime here: {said}") from error
