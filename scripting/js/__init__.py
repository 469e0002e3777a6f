"""JavaScript, through QuickJS in WebAssembly (extra `[js]`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine import JavaScriptEngine

__all__ = ["JavaScriptEngine"]


def __getattr__(name: str) -> Any:
    # The process of a script imports the sandbox only.
    if name != "JavaScriptEngine":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .engine import JavaScriptEngine

    return JavaScriptEngine
