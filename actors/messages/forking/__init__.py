"""Messages that fork sessions, and the changes that a fork begins with."""

from __future__ import annotations

from .changes import Change, RecordToolResult, ReplaceSystemPrompt, ReplaceToolResult, fork_changes
from .fork import ForkSession

__all__ = [
    "Change",
    "ForkSession",
    "RecordToolResult",
    "ReplaceSystemPrompt",
    "ReplaceToolResult",
    "fork_changes",
]
