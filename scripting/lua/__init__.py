"""Lua 5.4, through lupa."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine import LuaEngine

__all__ = ["LuaEngine"]


def __getattr__(name: str) -> Any:
    # The process of a script imports the sandbox only.
    if name != "LuaEngine":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .engine import LuaEngine

    return LuaEngine
