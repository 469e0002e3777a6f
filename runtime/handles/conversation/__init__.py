"""The conversation of a session: its turns are added, streamed, changed and read."""

from __future__ import annotations

from .conversation import Conversation
from .export import EXPORT_FORMATS, exported, write_export
from .stream import MessageStream

__all__ = ["EXPORT_FORMATS", "Conversation", "MessageStream", "exported", "write_export"]
