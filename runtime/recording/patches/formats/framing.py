"""How the events of a streamed answer stand in its bytes: server-sent events, the event stream of AWS, a JSON array."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, NamedTuple

from greenroom.storage.errors import ValidationError

__all__ = ["Event", "Framing", "framing_of", "packed", "unpacked"]

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


def unpacked(framing: Framing, body: bytes) -> list[Event]:
    """Return the events of a stream. One that was cut off has those that are whole."""
    if framing == "sse":
        return list(_sse(body))
    if framing == "array":
        found = json.loads(body)
        return [Event(None, each) for each in found] if isinstance(found, list) else [Event(None, found)]
    messages = list(_aws(body))
    if framing == "aws":
        return messages
    return [
        Event(None, json.loads(base64.b64decode(each.data["bytes"]))) if each.name == "chunk" else each
        for each in messages
    ]


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


def _sse(body: bytes) -> Iterator[Event]:
    name: str | None = None
    lines: list[str] = []
    for line in body.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if not line:
            if lines:
                text = "\n".join(lines)
                try:
                    yield Event(name, json.loads(text))
                except ValueError:
                    yield Event(name, text)
            name, lines = None, []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            lines.append(value)


def _as_sse(event: Event) -> bytes:
    head = f"event: {event.name}\n".encode() if event.name else b""
    data = event.data.encode() if isinstance(event.data, str) else _json(event.data)
    return head + b"data: " + data + b"\n\n"


_PRELUDE: Final = 12
_TEXT: Final = 7
"""The type of a header that is a text."""
_LARGEST: Final = 24 << 20
"""Bytes of one message; AWS allows 16 MiB of payload."""


def _aws(body: bytes) -> Iterator[Event]:
    """Return the messages of an AWS event stream by their event types. Raises ValidationError if one is damaged."""
    at = 0
    while at + _PRELUDE <= len(body):
        length, headers = int.from_bytes(body[at : at + 4]), int.from_bytes(body[at + 4 : at + 8])
        if at + length > len(body):
            return
        end = at + length
        intact = (
            _PRELUDE + 4 <= length <= _LARGEST
            and headers <= length - _PRELUDE - 4
            and int.from_bytes(body[at + 8 : at + 12]) == zlib.crc32(body[at : at + 8])
            and int.from_bytes(body[end - 4 : end]) == zlib.crc32(body[at : end - 4])
        )
        if not intact:
            raise ValidationError(f"patch: the recorded event stream is damaged at byte {at}", field="patch")
        begin = at + _PRELUDE
        told = _headers(body[begin : begin + headers])
        payload = body[begin + headers : end - 4]
        yield Event(told.get(":event-type") or told.get(":exception-type"), json.loads(payload) if payload else {})
        at = end


def _headers(content: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while at < len(content):
        size = content[at]
        name = content[at + 1 : at + 1 + size].decode("utf-8", "replace")
        at += 1 + size
        if content[at : at + 1] != bytes([_TEXT]):
            break  # no header of another type is needed
        length = int.from_bytes(content[at + 1 : at + 3])
        found[name] = content[at + 3 : at + 3 + length].decode("utf-8", "replace")
        at += 3 + length
    return found


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
