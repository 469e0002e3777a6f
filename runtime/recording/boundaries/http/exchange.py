"""A response on its way: to the program and onto the tape, or from the tape to the program."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import suppress
from time import perf_counter_ns
from typing import Any, Final

from greenroom.storage.errors import ReplayError

from ...tape.held.errors import held_error, raised_again
from ...tape.model import MARK
from ...tape.reels import Pending
from ..cancelled import until_cancelled
from .bodies import MOST_BYTES, clean_chunks
from .secrets import clean_answer_headers

__all__ = ["Exchange", "Replayed", "fail", "recorded_head", "recorded_head_async"]

_OF_A_CHUNK: Final = 256
"""Bytes that a chunk takes beside its content."""
_LAST_EVENT: Final = b"data: [DONE]\n\n"


class Exchange:
    """A response that the program reads while it is recorded. It is on the tape when the transport has no more to give,
    when the program closes it, or when the program has dropped it."""

    __slots__ = ("__weakref__", "_chunks", "_gaps", "_head", "_last", "_left_out", "_pending", "_size", "over")

    def __init__(
        self,
        pending: Pending,
        status: int,
        headers: Iterable[tuple[str | bytes, str | bytes]],
        version: str = "HTTP/1.1",
        reason: str = "",
    ) -> None:
        """Begin with the head. It counts as handed to the program."""
        pending.tick()
        self._pending = pending
        self._head: dict[str, Any] = {
            "status": status,
            "headers": clean_answer_headers(headers),
            "version": version,
            "reason": reason,
        }
        self._chunks: list[bytes | bytearray] = []
        self._size = self._left_out = 0
        self._gaps: list[int] = []
        self._last = perf_counter_ns()
        self.over = False
        pending.watch(self)

    @property
    def has_chunks(self) -> bool:
        """Whether the body has begun."""
        return bool(self._chunks)

    def chunk(self, data: bytes, *, joined: bool = False) -> None:
        """Take a chunk of the body, just before the program gets it. It is `joined` to the one before if the program
        has not read that yet, so that it gets both at once."""
        if self.over:
            return
        self._size += len(data) + _OF_A_CHUNK
        if self._size > MOST_BYTES or self._left_out:
            self._left_out += len(data)
            return
        if joined:
            last = self._chunks[-1]
            if not isinstance(last, bytearray):
                last = self._chunks[-1] = bytearray(last)
            last += data
            return
        now = perf_counter_ns()
        self._gaps.append(now - self._last)
        self._last = now
        self._chunks.append(data)
        self._pending.tick()

    def read_to_end(self) -> None:
        """Put all of it on the tape, just before the program is told that there is no more. That counts as handed to
        the program: what it does then comes before what it gets of other responses later."""
        if not self.over:
            self._pending.tick()
            self.end(True)

    def closed(self) -> None:
        """Put on the tape what came until the program closed the response, just before it goes on."""
        if not self.over:
            self._pending.tick()
            self.end(False)

    def end(self, complete: bool) -> None:
        """Put all of it on the tape. `complete` is whether the transport had no more to give."""
        if not self.over:
            self._finish(self._outcome(complete or self._all_is_there()))

    def cut_off(self, tail: bytes, left: int) -> None:
        """Put on the tape what came until the other side broke off in the middle of the chunks of HTTP/1.1: the wire
        ended with `tail`, or `left` bytes before the end of the last chunk."""
        if not self.over:
            self._finish({**self._outcome(True), "tail": tail, "left": left})

    def so_far(self) -> dict[str, Any]:
        """Return the outcome as far as the program has got it."""
        return {**self._outcome(self._all_is_there()), "gaps": self._gaps[:]}

    def upgraded(self) -> None:
        """Put on the tape that the connection became a websocket, whose messages are not recorded."""
        self._finish({**self._outcome(False), "upgraded": True})

    def fail(self, error: BaseException) -> None:
        """Put what came on the tape, and the error with which it broke off."""
        if not self.over:
            if not isinstance(error, asyncio.CancelledError):
                self._pending.tick()
            self._finish({**self._outcome(False), "error": held_error(error)})

    def _finish(self, outcome: dict[str, Any]) -> None:
        """Put the outcome on the tape, and let go of all of it: a client's response may stand in a cycle, so what it
        holds would wait for the garbage collector."""
        pending, self.over = self._pending, True
        self._chunks, self._gaps, self._head = [], [], {}
        del self._pending
        pending.finish(outcome)

    def _outcome(self, complete: bool) -> dict[str, Any]:
        chunks = list(map(bytes, self._chunks))
        outcome = {**self._head, "chunks": chunks, "gaps": self._gaps, "complete": complete}
        if self._left_out:
            return {**outcome, "complete": False, "left_out": self._left_out}
        cleaned, headers = clean_chunks(chunks, self._head["headers"])
        if cleaned is not chunks:
            outcome |= {"chunks": cleaned, "headers": headers, MARK: True}
        return outcome

    def _all_is_there(self) -> bool:
        """Return whether a response that the program has closed had given all: clients that know the length of the
        body, or the mark at the end of a model's stream, need not read on to the end."""
        if self._chunks and self._chunks[-1].endswith(_LAST_EVENT):
            return True
        length = next((value for name, value in self._head["headers"] if name.lower() == "content-length"), None)
        return length is not None and length == str(sum(map(len, self._chunks)))

    def __del__(self) -> None:
        if not getattr(self, "over", True):
            with suppress(Exception):  # the interpreter may be on its way out
                self.end(False)


class Replayed:
    """The body of a recorded response, chunk by chunk, in the order in which it came among all others."""

    __slots__ = ("_over", "_pending", "_recorded")

    def __init__(self, pending: Pending, recorded: Mapping[str, Any]) -> None:
        self._pending = pending
        self._recorded = recorded
        self._over = False

    def close(self) -> None:
        """Go on after the program has closed the response, when it did."""
        if not self._over:
            self._over = True
            self._pending.tick()

    async def aclose(self) -> None:
        """Do the same without holding the event loop."""
        if not self._over:
            self._over = True
            await self._pending.atick()

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._recorded["chunks"]:
            self._pending.tick()
            if chunk:  # else all of it was redacted, and on the wire nothing is the end
                yield chunk
        if (error := self._recorded.get("error")) is not None:
            self._over = True
            self._pending.tick()
            raise raised_again(error)
        self._check_complete()
        self._over = True
        self._pending.tick()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._recorded["chunks"]:
            await self._pending.atick()
            if chunk:
                yield chunk
        if (error := self._recorded.get("error")) is not None:
            await _until_cancelled(self._recorded)
            self._over = True
            await self._pending.atick()
            raise raised_again(error)
        self._check_complete()
        self._over = True
        await self._pending.atick()

    def _check_complete(self) -> None:
        if left_out := self._recorded.get("left_out"):
            raise ReplayError(
                f"the last {left_out} bytes of a recorded response are not known: it was longer than a recording keeps"
                f" ({MOST_BYTES} bytes, or the store's max_artifact_bytes). Have a tool (`@tool`) fetch it"
                " and return what the program needs of it"
            )
        if not self._recorded.get("complete", True):
            raise ReplayError(
                "the program reads further in a recorded response than it did when it was recorded, where it closed the"
                " response early, or the recording ended: what would come is not known. Record anew, or fork before"
                " this call"
            )


def fail(pending: Pending, error: BaseException, *, sent: bool = False) -> None:
    """Put a call on the tape that got an exception in place of a response. `sent` is whether the request was sent
    before, for clients that send and receive in two calls."""
    if not isinstance(error, asyncio.CancelledError):  # nothing is handed to a program that has cancelled
        pending.tick()
    pending.finish({"error": held_error(error), **({"sent": True} if sent else {})})


def recorded_head(pending: Pending) -> Mapping[str, Any]:
    """Return the recorded outcome, whose head the program gets now. Raises what was raised in place of a head, and
    ReplayError for a websocket."""
    assert pending.recorded is not None
    pending.tick()
    return _head(pending.recorded)


async def recorded_head_async(pending: Pending) -> Mapping[str, Any]:
    """Do the same without holding the event loop."""
    assert pending.recorded is not None
    if "status" not in pending.recorded:
        await _until_cancelled(pending.recorded)
    await pending.atick()
    return _head(pending.recorded)


def _head(recorded: Mapping[str, Any]) -> Mapping[str, Any]:
    if "status" not in recorded:
        raise raised_again(recorded["error"])
    if recorded.get("upgraded"):
        raise ReplayError(
            "the program opens a websocket: its messages are not recorded, so it cannot be answered offline. Replace"
            " the function that uses it by a tool (`@tool`), whose results are recorded"
        )
    return recorded


async def _until_cancelled(recorded: Mapping[str, Any]) -> None:
    """Wait until the program cancels, if it had cancelled when it was recorded: there was no other outcome."""
    await until_cancelled(recorded)
    if recorded["error"].get("name") == "CancelledError":
        raise ReplayError(
            "the program had cancelled this call when it was recorded, and does not in the replay: there is no outcome"
            " to answer with. Record anew, or fork before this call"
        )
