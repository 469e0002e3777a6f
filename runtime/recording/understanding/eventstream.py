"""The event stream of AWS: messages with a prelude, headers, a payload and two CRC-32s."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final
from zlib import crc32

__all__ = ["EventMessage", "messages_of"]

_PRELUDE: Final = struct.Struct(">III")
"""Total length, length of the headers, CRC of the two."""
_CRC: Final = struct.Struct(">I")
_MAX_LENGTH: Final = 24 << 20
_FIXED: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""The types of headers whose values have a fixed length: true, false, numbers, a time, a UUID."""
_BYTES, _TEXT = 6, 7


@dataclass(frozen=True, slots=True)
class EventMessage:
    """One message: its headers, of which only texts are decoded, and its payload."""

    headers: dict[str, Any]
    payload: bytes

    @property
    def type(self) -> str:
        """The type of the event or of the exception."""
        for name in (":event-type", ":exception-type", ":error-code"):
            if isinstance(value := self.headers.get(name), str):
                return value
        return ""

    @property
    def is_error(self) -> bool:
        return self.headers.get(":message-type") in ("exception", "error")


def messages_of(body: bytes, problems: list[str]) -> list[EventMessage]:
    """Return the messages of a body up to the first one that is damaged or cut off."""
    found: list[EventMessage] = []
    at = 0
    while at < len(body):
        number = len(found) + 1
        if len(body) - at < _PRELUDE.size + _CRC.size:
            problems.append(f"the event stream ends within message {number}")
            break
        length, size, checksum = _PRELUDE.unpack_from(body, at)
        if checksum != crc32(body[at : at + 8]) or length > _MAX_LENGTH or size + 16 > length:
            problems.append(f"message {number} of the event stream has a damaged prelude")
            break
        end = at + length
        if end > len(body):
            problems.append(f"the event stream ends within message {number}")
            break
        if _CRC.unpack_from(body, end - 4)[0] != crc32(body[at : end - 4]):
            problems.append(f"message {number} of the event stream is damaged")
            break
        begin = at + _PRELUDE.size
        found.append(EventMessage(_headers(body[begin : begin + size]), body[begin + size : end - 4]))
        at = end
    return found


def _headers(data: bytes) -> dict[str, Any]:
    """Return the headers of a message, up to one that cannot be read."""
    found: dict[str, Any] = {}
    at = 0
    try:
        while at < len(data):
            name = data[at + 1 : at + 1 + data[at]].decode("utf-8", "replace")
            at += 1 + data[at]
            kind = data[at]
            at += 1
            if kind in (_BYTES, _TEXT):
                length = int.from_bytes(data[at : at + 2], "big")
                at += 2
            else:
                length = _FIXED[kind]
            value = data[at : at + length]
            found[name] = value.decode("utf-8", "replace") if kind == _TEXT else value
            at += length
    except (IndexError, KeyError):
        pass
    return found
