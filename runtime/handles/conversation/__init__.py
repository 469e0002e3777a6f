"""The conversation of a session: how its turns are streamed, and the forms they are given out in."""

from __future__ import annotations

from .anthropic import AnthropicMessages
from .export import EXPORT_FORMATS, exported, write_export
from .formats import converter
from .stream import MessageStream

__all__ = ["EXPORT_FORMATS", "AnthropicMessages", "MessageStream", "converter", "exported", "write_export"]
