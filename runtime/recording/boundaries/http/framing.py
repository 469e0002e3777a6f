"""How a response of HTTP/1 stands on the wire: a head, and a body that is framed by its length, in chunks, or by the
end of the connection."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["Framing", "Head"]

_LONGEST_HEAD: Final = 1 << 20


class Head(NamedTuple):
    """The head of a response."""

    version: str
    status: int
    reason: str
    headers: list[tuple[str, str]]


class Framing:
    """Takes the bytes of a response as they come, and returns what of them is body."""

    def __init__(self, *, has_body: bool = True) -> None:
        """Begin a response. The one to a HEAD request has no body, whatever its head says."""
        self.head: Head | None = None
        self.ended = False
        """Whether the body has ended by what its framing says."""
        self.broken: bytes | None = None
        """What stands in the place of a chunk's size, if that is none."""
        self._has_body = has_body
        self._buffer = b""
        self._left: int | None = None
        """Bytes still to come of the body, or of the chunk."""
        self._chunked = False
        self._begun = False
        """Whether any of the chunk has come."""

    @property
    def until_closed(self) -> bool:
        """Whether the body ends with the connection."""
        return self.head is not None and not self._chunked and self._left is None

    def unfinished(self) -> tuple[bytes, int] | None:
        """Return what the wire ends with if it ends now, in the middle of chunks, and how many bytes of the last chunk
        are missing; None if it does not."""
        if not self._chunked or self.ended:
            return None
        if self._left and not self._begun:
            return b"%x\r\n" % self._left + self._buffer, 0
        return (b"", self._left) if self._left else (self._buffer, 0)

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the wire. Return those of the body among them."""
        if self.head is None:
            self._buffer += data
            if not self._has_head():
                return b""
            data, self._buffer = self._buffer, b""
        if self.ended:
            return b""
        if self._chunked:
            return self._dechunk(data)
        if self._left is None:
            return data
        body, self._left = data[: self._left], max(0, self._left - len(data))
        self.ended = self._left == 0
        return body

    def _has_head(self) -> bool:
        """Take the head from what has come. Return whether all of it was there."""
        while True:
            raw, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                self._check(self._buffer)
                return False
            self._buffer = rest
            head = _parsed(raw)
            if not 100 <= head.status < 200 or head.status == 101:  # else another head follows
                self._begin(head)
                return True

    def _begin(self, head: Head) -> None:
        self.head = head
        named = {name.lower(): value for name, value in head.headers}
        if not self._has_body or head.status in (101, 204, 304):
            self.ended = True
        elif "chunked" in named.get("transfer-encoding", "").lower():
            self._chunked = True
        elif (length := named.get("content-length", "")).isdecimal():
            self._left = int(length)
            self.ended = self._left == 0

    def _dechunk(self, data: bytes) -> bytes:
        body = []
        rest = self._buffer + data
        while rest and not self.ended:
            if self._left:
                part, rest = rest[: self._left], rest[self._left :]
                self._left -= len(part)
                self._begun = True
                body.append(part)
                continue
            line, end, after = rest.partition(b"\r\n")
            if not end:
                self._check(rest)
                break
            rest = after
            if self._left == 0 and not line:  # the end of a chunk
                self._left = None
                continue
            try:
                self._left = int(line.partition(b";")[0], 16)
            except ValueError:  # the client will complain
                self.ended, self.broken = True, line + end + after
            else:
                self._begun = False
                self.ended = self._left == 0
        self._buffer = b"" if self.ended else rest
        return b"".join(body)

    def _check(self, waiting: bytes) -> None:
        if len(waiting) > _LONGEST_HEAD:  # the client will complain before this
            self.ended = True


def _parsed(raw: bytes) -> Head:
    first, *lines = raw.lstrip(b"\r\n").decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    status, _, reason = rest.partition(" ")
    headers: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in (" ", "\t") and headers:  # an old way to write long values
            headers[-1] = (headers[-1][0], f"{headers[-1][1]} {line.strip()}")
            continue
        name, _, value = line.partition(":")
        headers.append((name, value.strip()))
    return Head(version, int(status) if status.isdecimal() else 0, reason, headers)
