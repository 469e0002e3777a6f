"""What the boundaries of all HTTP clients share: what identifies a request, which parts of it are secret, how a
response comes onto the tape, and how it comes back."""

from .exchange import Exchange, Replayed, fail, recorded_head, recorded_head_async
from .identity import ask, changed_body, changed_headers, changed_url, is_websocket
from .secrets import REDACTED, clean_answer_headers, clean_headers, clean_text, clean_url

__all__ = [
    "REDACTED",
    "Exchange",
    "Replayed",
    "ask",
    "changed_body",
    "changed_headers",
    "changed_url",
    "clean_answer_headers",
    "clean_headers",
    "clean_text",
    "clean_url",
    "fail",
    "is_websocket",
    "recorded_head",
    "recorded_head_async",
]
