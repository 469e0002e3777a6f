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
from .streaming import MAX_DELTA, ContinueMessage, FinishMessage, StartMessage
from .turn import Turn, stored_turn
from .turn_command import INLINE_BYTES, TurnCommand

__all__ = [
    "INLINE_BYTES",
    "MAX_DELTA",
    "UNCHANGED",
    "AddMessage",
    "AddMessages",
    "ClearMessages",
    "ContinueMessage",
    "EditMessage",
    "FinishMessage",
    "GetMessages",
    "PopMessage",
    "RetractMessage",
    "StartMessage",
    "TruncateMessages",
    "Turn",
    "TurnCommand",
    "Unchanged",
    "stored_turn",
]
