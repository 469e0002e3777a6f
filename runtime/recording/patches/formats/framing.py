"""How the events of a streamed answer are framed: server-sent events, AWS's event stream, or a JSON array."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple

__all__ = ["Event", "Framing", "framing_of", "packed"]

Framing = Literal["sse", "aws", "aws-chunks", "array"]


class Event(NamedTuple):
    """An event of a stream: its name, None if it has none, and its JSON value; a text that is no JSON as it is."""

    name: str | None
    data: Any


def framing_of(content_type: str, url: str) -> Framing | None:
    """Return how an answer is framed; None if it is no stream."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "text/event-stream":
        return "sse"
    if kind == "application/vnd.amazon.eventstream":
        return "aws-chunks" if "/invoke-with-response-stream" in url else "aws"
    if ":streamGenerateContent" in url and kind == "application/json":
        return "array"
    return None


def packed(framing: Framing, events: Iterable[Event]) -> list[bytes]:
    """Return a stream of events, a chunk each."""
    if framing == "sse":
        return [_as_sse(each) for each in events]
    if framing == "array":
        return [_json([each.data for each in events])]
    if framing == "aws":
        return [_as_aws(each.name or "", _json(each.data)) for each in events]
    return [_as_aws("chunk", _json({"bytes": base64.b64encode(_json(each.data)).decode()})) for each in events]


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _as_sse(event: Event) -> bytes:
    head = f"event: {event.name}\n".encode() if event.name else b""
    data = event.data.encode() if isinstance(event.data, str) else _json(event.data)
    return head + b"data: " + data + b"\n\n"


_PRELUDE: Final = 12
_TEXT: Final = 7
"""The type of a header that is a text."""


def _as_aws(name: str, payload: bytes) -> bytes:
    headers = b"".join(
        bytes([len(key)]) + key + bytes([_TEXT]) + len(value).to_bytes(2) + value
        for key, value in (
            (b":event-type", name.encode()),
            (b":content-type", b"application/json"),
            (b":message-type", b"event"),
        )
    )
    length = _PRELUDE + len(headers) + len(payload) + 4
    prelude = length.to_bytes(4) + len(headers).to_bytes(4)
    message = prelude + zlib.crc32(prelude).to_bytes(4) + headers + payload
    return message + zlib.crc32(message).to_bytes(4)
