"""The conversation of a session: its turns are added, streamed, changed and read."""

from __future__ import annotations

from .conversation import Conversation
from .stream import MessageStream

__all__ = ["Conversation", "MessageStream"]
