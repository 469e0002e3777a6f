"""Frames over a socket: between the host and the process of a script, in both directions.

A frame is the length of its body (4 bytes, most significant first), its kind (1 byte) and the body. Neither side trusts
a length: a frame that is longer than agreed ends the connection before anything is read.
"""

from __future__ import annotations

import enum
import select
import socket
import struct
import time
from typing import Final

__all__ = ["LONGEST", "MAX_WAIT", "Kind", "ProtocolError", "Wire", "WireClosed"]

_HEADER: Final = struct.Struct(">IB")
_CHUNK: Final = 1 << 16
_LARGE_CHUNK: Final = 1 << 20
LONGEST: Final = (1 << 32) - 1
"""The largest body that a frame can have, in bytes."""
MAX_WAIT: Final = 1e9
"""Seconds that stand for endless waiting."""


class Kind(enum.IntEnum):
    """What a frame says. The lower half goes from the script's process to the host, the upper half the other way."""

    CALL = 1
    """Calls a function of the host: [number, [arguments]]. The host answers with ANSWER, FAILED or STOP."""
    WRITE = 2
    """Adds a line to the output. There is no answer."""
    DONE = 3
    """The outcome of the run: the last frame."""
    RETURNED = 4
    """What a function of the script returned, after INVOKE."""
    RAISED = 5
    """What a function of the script raised, after INVOKE: [code or None, message]."""
    STOPPED = 6
    """A limit stopped the script within INVOKE: the reason."""

    JOB = 65
    """What to run: the first frame."""
    ANSWER = 66
    """What the function of the host returned."""
    FAILED = 67
    """What the function of the host raised: [code, message]."""
    STOP = 68
    """The script must end: the reason."""
    INVOKE = 69
    """Calls a function of the script, while it waits for an answer: [number, arguments]."""
    RELEASE = 70
    """The script can forget a function: its number. There is no answer."""


class WireClosed(Exception):
    """The other side has closed the connection, or died."""


class ProtocolError(Exception):
    """The other side has sent what no honest one sends."""


class Wire:
    """One end of a connection. For use by one thread."""

    def __init__(self, connection: socket.socket) -> None:
        """Create it over a connected socket."""
        connection.setblocking(False)
        self._socket = connection
        self.longest = LONGEST
        """The limit of a received body, in bytes."""
        self._received = bytearray()
        self._readable = select.poll()
        self._readable.register(connection, select.POLLIN)
        self._writable = select.poll()
        self._writable.register(connection, select.POLLOUT)

    def close(self) -> None:
        self._socket.close()

    def send(self, kind: int, body: bytes, seconds: float = MAX_WAIT) -> None:
        """Send a frame. Raises WireClosed, and TimeoutError if the other side does not read it in time."""
        frame = memoryview(_HEADER.pack(len(body), kind) + body)
        deadline = 0.0
        while frame:
            try:
                frame = frame[self._socket.send(frame) :]
            except BlockingIOError:
                deadline = deadline or time.monotonic() + seconds
                self._wait(self._writable, deadline)
            except OSError as error:
                raise WireClosed(str(error)) from None

    def receive(self, seconds: float = MAX_WAIT) -> tuple[int, bytearray]:
        """Return the kind and the body of the next frame.

        Raises WireClosed, ProtocolError if it is too long, and TimeoutError if it is not complete in time. What has
        arrived by then is kept for the next call.
        """
        deadline = time.monotonic() + seconds
        self._fill(_HEADER.size, deadline)
        received = self._received
        size, kind = _HEADER.unpack_from(received)
        if size > self.longest:
            raise ProtocolError(f"a frame of {size} bytes, where {self.longest} are the most")
        end = _HEADER.size + size
        self._fill(end, deadline)
        body = received[_HEADER.size : end]
        del received[:end]
        return kind, body

    def _fill(self, size: int, deadline: float) -> None:
        received = self._received
        while (missing := size - len(received)) > 0:
            self._wait(self._readable, deadline)
            try:
                piece = self._socket.recv(_LARGE_CHUNK if missing > _CHUNK else _CHUNK)
            except BlockingIOError:
                continue
            except OSError as error:
                raise WireClosed(str(error)) from None
            if not piece:
                raise WireClosed("closed" if not received else "closed in the middle of a frame")
            received += piece

    @staticmethod
    def _wait(event: select.poll, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0 or not event.poll(min(left, 1e6) * 1000 + 1):
            raise TimeoutError
