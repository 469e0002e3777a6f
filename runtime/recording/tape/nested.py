"""A recording within another recording, or within a replay: both have all that crosses a boundary in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any, TypeVar

from .model import Asked
from .recorder import Recorder
from .reels import Partial, Pending, Reel

__all__ = ["NestedReel"]

T = TypeVar("T")


class NestedReel(Reel):
    """Asks the reel around a recording first, and puts what comes of it on the tape of the recording too.

    So the outer tape has no gap where a program records a part of itself, and nothing goes live in a replay of it."""

    def __init__(self, outer: Reel, recorder: Recorder) -> None:
        self._outer = outer
        self._recorder = recorder

    @property
    def sleep(self) -> float:
        """The part of its sleeps that the program sleeps."""
        return self._outer.sleep

    @property
    def outermost(self) -> Reel:
        """The reel whose lanes the code runs in."""
        return self._outer.outermost

    def begin(self, asked: Asked) -> Pending:
        """Begin a crossing with both: see `Reel`."""
        return _Both(self._outer.begin(asked), self._recorder.begin(asked))

    def unrecorded(self, what: str, name: str) -> None:
        """Note what no recording holds: see `Reel`."""
        self._outer.unrecorded(what, name)

    def read(self, kind: str, name: str, code: CodeType, line: int, live: Callable[[], T]) -> T:
        """Return the value that the outer reel has for a quick read, and put it on the tape."""
        value = self._outer.read(kind, name, code, line, live)
        return self._recorder.read(kind, name, code, line, lambda: value)


class _Both:
    """A crossing that has begun with both."""

    __slots__ = ("_inner", "_outer", "changed", "recorded")

    def __init__(self, outer: Pending, inner: Pending) -> None:
        self._outer = outer
        self._inner = inner
        self.changed = outer.changed
        self.recorded = outer.recorded
        if self.recorded is not None:  # a boundary that is answered ends nothing
            for _ in range(_ticks_of(self.recorded)):
                inner.tick()
            inner.finish(self.recorded)

    def tick(self) -> None:
        """Count, or wait for, what is handed to the program."""
        self._outer.tick()
        self._inner.tick()

    async def atick(self) -> None:
        """Do the same without holding the event loop."""
        await self._outer.atick()
        self._inner.tick()

    def watch(self, partial: Partial) -> None:
        """Have both know what the program has got, in case their recording ends first."""
        self._outer.watch(partial)
        self._inner.watch(partial)

    def finish(self, outcome: Mapping[str, Any]) -> None:
        """Put the crossing on both tapes."""
        try:
            self._outer.finish(outcome)
        finally:
            self._inner.finish(outcome)

    def fail(self, error: BaseException) -> None:
        """Put it on both tapes with the exception that the program gets."""
        try:
            self._outer.fail(error)
        finally:
            self._inner.fail(error)


def _ticks_of(outcome: Mapping[str, Any]) -> int:
    """Return how many things are handed to the program with an outcome: its head, chunks and end, or its value."""
    chunks = outcome.get("chunks")
    return 2 + len(chunks) if isinstance(chunks, list) else 1
