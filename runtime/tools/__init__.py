"""Tools: what sessions and agents can call. `Runtime.tools` registers and calls them."""

from __future__ import annotations

from .registry import FILE_OPERATIONS, Tools
from .tool import Tool, ToolResult, attempt

__all__ = ["FILE_OPERATIONS", "Tool", "ToolResult", "Tools", "attempt"]
