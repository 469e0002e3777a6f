"""Messages about the conversation of a session: its turns."""

from __future__ import annotations

from .commands import (
    UNCHANGED,
    AddMessage,
    AddMessages,
    ClearMessages,
    EditMessage,
    GetMessages,
    PopMessage,
    RetractMessage,
    TruncateMessages,
    Unchanged,
)
from .turn import Turn, stored_turn
from .turn_command import INLINE_BYTES, TurnCommand

__all__ = [
    "INLINE_BYTES",
    "UNCHANGED",
    "AddMessage",
    "AddMessages",
    "ClearMessages",
    "EditMessage",
    "GetMessages",
    "PopMessage",
    "RetractMessage",
    "TruncateMessages",
    "Turn",
    "TurnCommand",
    "Unchanged",
    "stored_turn",
]
