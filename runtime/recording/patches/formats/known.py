"""Which format a request is in."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from .anthropic import Anthropic
from .base import Format
from .bedrock import Bedrock
from .chat import Chat
from .gemini import Gemini
from .responses import Responses

__all__ = ["FORMATS", "format_of"]

_CHAT, _RESPONSES, _ANTHROPIC, _GEMINI, _BEDROCK = Chat(), Responses(), Anthropic(), Gemini(), Bedrock()
FORMATS: Final[tuple[Format, ...]] = (_CHAT, _RESPONSES, _ANTHROPIC, _GEMINI, _BEDROCK)

_ENDS: Final = (
    (("/chat/completions",), _CHAT),
    (("/responses",), _RESPONSES),
    (("/messages", ":rawPredict", ":streamRawPredict"), _ANTHROPIC),
    ((":generateContent", ":streamGenerateContent"), _GEMINI),
    (("/converse", "/converse-stream"), _BEDROCK),
    (("/invoke", "/invoke-with-response-stream"), _ANTHROPIC),
)


def format_of(url: str, body: Any) -> Format | None:
    """Return the format of a request for a model, which its address and the fields of its JSON body tell; None if it
    is another request."""
    if not isinstance(body, dict):
        return None
    path = urlsplit(url).path
    for ends, format in _ENDS:
        if path.endswith(ends) and format.conversation in body:
            return format
    return None
