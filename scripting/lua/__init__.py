"""Lua 5.4, through lupa."""

from __future__ import annotations

from .engine import LuaEngine

__all__ = ["LuaEngine"]
