"""JavaScript, through QuickJS in WebAssembly (extra `[js]`)."""

from __future__ import annotations

from .engine import JavaScriptEngine

__all__ = ["JavaScriptEngine"]
