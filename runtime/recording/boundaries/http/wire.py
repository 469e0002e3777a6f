"""The wire below `http.client`: responses are recorded where they are read, and replayed as bytes that the library
itself reads and parses.

So the library, and what stands above it, reads a response in each of its ways: read, read1, readinto, lines, chunks."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from http.client import HTTPResponse
from itertools import chain
from typing import Any, Final

from ...tape.reels import Pending
from .bodies import MOST_BYTES, gathered
from .exchange import Exchange, Replayed, recorded_head

__all__ = ["Framed", "RecordedSocket", "bytes_of_head", "is_chunked", "read_body", "tap"]

_BLOCK: Final = 64 << 10


def tap(pending: Pending, response: HTTPResponse) -> Exchange:
    """Put a response on the tape as the program reads it."""
    version = "HTTP/1.0" if response.version == 10 else "HTTP/1.1"
    exchange = Exchange(pending, response.status, response.headers.items(), version, response.reason)
    if response.status == 101:
        exchange.upgraded()
    elif response.fp is None or response.length == 0:
        exchange.end(True)
    else:
        response.fp = _Tap(response.fp, exchange, response.length, bool(response.chunked))  # type: ignore[assignment]
    return exchange


class _Tap:
    """Stands before the file from which `http.client` reads a response. It knows how chunks are framed, so that only
    what is body comes onto the tape."""

    def __init__(self, file: Any, exchange: Exchange, length: int | None, chunked: bool) -> None:
        self._file = file
        self._exchange = exchange
        self._length = length
        """Bytes of the body still to come, if that is known."""
        self._chunked = chunked
        self._left: int | None = None
        """Bytes still to come of the chunk that is being read: 0 before the end of its line, None before a size."""
        self._begun = False
        """Whether any of that chunk has come."""

    def read(self, size: int | None = -1) -> bytes:
        data = self._took(self._reading(lambda: self._file.read(size)), size)
        if size is None or size < 0 or len(data) < size:  # the other side has closed
            if not self._chunked:
                self._exchange.end(True)
            elif self._left:
                self._cut_off()
        return data

    def read1(self, size: int = -1) -> bytes:
        return self._took(self._reading(lambda: self._file.read1(size)), size)

    def readinto(self, buffer: Any) -> int:
        count: int = self._reading(lambda: self._file.readinto(buffer))
        self._took(bytes(memoryview(buffer)[:count]), len(buffer))
        return count

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self._reading(lambda: self._file.readline(limit))
        if not self._chunked or self._left:
            return self._took(line, limit)
        if self._left is None:
            self._size_line(line)
        return line

    def close(self) -> None:
        try:
            self._file.close()
        finally:
            self._exchange.end(False)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def _reading(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except Exception as error:
            self._exchange.fail(error)
            raise

    def _took(self, data: bytes, size: int | None) -> bytes:
        if self._exchange.over:
            return data
        if not data:
            if size != 0:  # the other side has closed
                self._cut_off() if self._chunked else self._exchange.end(True)
            return data
        if self._chunked:
            if self._left is None:
                return data
            if self._left == 0:  # the end of the chunk's line
                self._left = None
                return data
            self._left = max(0, self._left - len(data))
            self._begun = True
        self._exchange.chunk(data)
        if self._length is not None:
            self._length -= len(data)
            if self._length <= 0:
                self._exchange.end(True)
        return data

    def _size_line(self, line: bytes) -> None:
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:  # http.client will complain
            self._exchange.cut_off(line, 0)
            return
        if size == 0:
            self._exchange.end(True)
        else:
            self._left, self._begun = size, False

    def _cut_off(self) -> None:
        """Note that the other side has closed in the middle of a chunk, or before the next."""
        left = self._left or 0
        if left and not self._begun:
            self._exchange.cut_off(b"%x\r\n" % left, 0)
        else:
            self._exchange.cut_off(b"", left)


class RecordedSocket:
    """Stands for the socket of a connection: takes any request, and gives the bytes of a recorded response."""

    def __init__(self, pending: Pending) -> None:
        self._pending = pending

    def makefile(self, mode: str = "rb", buffering: int = -1, **_: Any) -> io.BufferedReader:
        """Return the file from which a response is read. Reading raises what was raised when it was recorded."""
        return io.BufferedReader(_RecordedFile(self, self._pending))

    def sendall(self, data: Any, *_: Any) -> None:
        """Take what would be sent."""

    def send(self, data: Any, *_: Any) -> int:
        return len(data)

    def close(self) -> None:
        """Nothing is open."""

    def shutdown(self, how: int) -> None:
        """Nothing is open."""

    def settimeout(self, timeout: float | None) -> None:
        """Nothing is waited for."""

    def gettimeout(self) -> None:
        return None

    def setsockopt(self, *_: Any) -> None:
        """There is none."""

    def fileno(self) -> int:
        return -1


class _RecordedFile(io.RawIOBase):
    """The bytes of a response, in the pieces in which they came."""

    def __init__(self, sock: RecordedSocket, pending: Pending) -> None:
        self._sock = sock  # where SDKs look for it, to set a timeout
        self._pieces = _pieces(pending)
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._piece:
            self._piece = memoryview(next(self._pieces, b""))
        count = min(len(buffer), len(self._piece))
        buffer[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count


def _pieces(pending: Pending) -> Iterator[bytes]:
    recorded = recorded_head(pending)
    yield bytes_of_head(recorded)
    framed = Framed(recorded)
    for chunk in Replayed(pending, recorded):
        yield framed.chunk(chunk)
    yield framed.end()


class Framed:
    """Puts the body of a recorded response into the form that it had on the wire."""

    def __init__(self, recorded: Mapping[str, Any]) -> None:
        self._chunked = is_chunked(recorded)
        self.is_cut_off = self._chunked and "tail" in recorded
        """Whether the other side broke off in the middle of the chunks of HTTP/1.1."""
        self.ends_by_closing = not self._chunked or self.is_cut_off
        """Whether no mark says that there is no more."""
        self._recorded = recorded
        self.more = sum(1 for chunk in recorded["chunks"] if chunk)
        """How many pieces are still to come."""

    def chunk(self, chunk: bytes) -> bytes:
        """Return the next piece of the body as it stands on the wire."""
        self.more -= 1
        if not self._chunked:
            return chunk
        left = self._recorded.get("left", 0) if not self.more else 0
        return b"%x\r\n%b%b" % (len(chunk) + left, chunk, b"" if left else b"\r\n")

    def end(self) -> bytes:
        """Return what stands behind the body."""
        if not self._chunked:
            return b""
        tail: bytes = self._recorded["tail"] if self.is_cut_off else b"0\r\n\r\n"
        return tail


def is_chunked(recorded: Mapping[str, Any]) -> bool:
    """Return whether a recorded response came in chunks of HTTP/1.1."""
    return any(
        name.lower() == "transfer-encoding" and "chunked" in value.lower() for name, value in recorded["headers"]
    )


def bytes_of_head(recorded: Mapping[str, Any]) -> bytes:
    """Return the head of a recorded response as it stands on the wire."""
    version = "HTTP/1.0" if recorded["version"] == "HTTP/1.0" else "HTTP/1.1"
    lines = [f"{version} {recorded['status']} {recorded['reason']}"]
    lines += (f"{name}: {value}" for name, value in recorded["headers"])
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")


def read_body(body: Any) -> tuple[bytes, Any]:
    """Return the bytes of a request's body, of any of the forms that clients of `http.client` take, and a body of the
    same form to send in its place, since it can be read once only. Of one that is too long to be kept, return the first
    bytes."""
    if body is None:
        return b"", None
    if isinstance(body, bytes):
        return body, body
    if isinstance(body, str):
        return body.encode("utf-8"), body
    if hasattr(body, "read"):
        data = _bytes_of(body.read(MOST_BYTES + 1))
        if len(data) > MOST_BYTES:
            return data, chain([data], map(_bytes_of, iter(lambda: body.read(_BLOCK) or None, None)))
        return data, io.BytesIO(data)
    try:
        data = bytes(memoryview(body))
    except TypeError:
        data, rest = gathered(map(_bytes_of, body))
        if rest is not None:
            return data, chain([data], rest)
        return data, [data] if data else []
    return data, body


def _bytes_of(part: Any) -> bytes:
    return part.encode("utf-8") if isinstance(part, str) else bytes(part)
