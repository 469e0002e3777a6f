"""The reel of the running code: a recorder that puts on the tape what crosses a boundary, or a player that answers
from it. Boundaries ask for it, and know nothing else of recording."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import CodeType
from typing import Any, Final, Protocol, TypeVar

from . import lanes
from .model import Asked

__all__ = ["Partial", "Pending", "Reel", "active", "inside", "playing", "scoped", "set_process_reel"]

T = TypeVar("T")


class Partial(Protocol):
    """Gathers an outcome that comes bit by bit."""

    def so_far(self) -> Mapping[str, Any]:
        """Return the outcome as far as the program has got it."""


class Pending(Protocol):
    """A crossing that has begun."""

    recorded: Mapping[str, Any] | None
    """The recorded outcome, in a replay: answer with it and call nothing. None: call, and `finish` or `fail`."""
    changed: Mapping[str, Any] | None
    """What to call with in place of the program's own, in a fork that patches it: those fields of the input that are
    other now, the rest is as the program gave it. Of HTTP: `url`, `body` (the length follows from it), and of
    `headers` those to set. None, as nearly always: call with what the program gave."""

    def tick(self) -> None:
        """Call before anything of the outcome is handed to the program: the head, each chunk, the value, the error. A
        recorder counts it; a player waits, within a bound, until it is its turn."""

    async def atick(self) -> None:
        """Do the same without holding the event loop."""

    def watch(self, partial: Partial) -> None:
        """Say where an outcome that comes bit by bit is gathered: what the program has got of it is put on the tape if
        the recording ends first. It is held weakly."""

    def finish(self, outcome: Mapping[str, Any]) -> None:
        """Put the crossing on the tape with its outcome. When this returns, a crash loses it no more."""

    def fail(self, error: BaseException) -> None:
        """Put it on the tape with the exception that the program gets."""


class Reel(Protocol):
    """Records, or answers from what was recorded. Safe for threads."""

    def begin(self, asked: Asked) -> Pending:
        """Begin a crossing, at the nearest frame of the program's own code. Raises ReplayError, in a replay, if nothing
        that was recorded fits."""
        raise NotImplementedError

    def read(self, kind: str, name: str, code: CodeType, line: int, live: Callable[[], T]) -> T:
        """Return the value of a quick read, and put it on the tape; or the one that was recorded."""
        raise NotImplementedError

    @property
    def sleep(self) -> float:
        """The part of its sleeps that the program sleeps."""
        return 1.0

    def unrecorded(self, what: str, name: str) -> None:
        """Note that the program uses what no recording holds, such as a websocket. Warns, as long as it is live. Raises
        ReplayError in a replay."""
        warnings.warn(
            f"a {what} is not recorded: {name}. The program goes on, and its replay is refused there. Use it in a"
            " function marked with @tool, which is recorded as a whole",
            RuntimeWarning,
            stacklevel=3,
        )

    @property
    def stirs(self) -> bool:
        """Whether threads are to be delayed, by `stir`, so that others come first."""
        return False

    def stir(self) -> None:
        """Delay this thread, if threads are to be delayed."""
        return

    @property
    def outermost(self) -> Reel:
        """The reel whose lanes the code runs in: this one, or the outermost of those around a nested recording."""
        return self


_UNSET: Final[Any] = object()
_scoped: ContextVar[Reel | None] = ContextVar("greenroom_reel", default=_UNSET)
_process: Reel | None = None


def active() -> Reel | None:
    """Return the reel of the running code; None if nothing is recorded, or if an outer boundary records already."""
    reel = _scoped.get()
    return _process if reel is _UNSET else reel


def set_process_reel(reel: Reel | None) -> None:
    """Set the reel of all code in this process that has none of its own."""
    global _process
    _process = reel


class _Playing:
    """A block with a reel of its own. Blocks may end in another order than they began, as those of generators and of
    tests' fixtures do, and in another context: then the code that began them stays as it is."""

    __slots__ = ("_before", "_lane_before", "_left", "_reel", "_reel_before")

    def __init__(self, reel: Reel) -> None:
        self._reel = reel

    def __enter__(self) -> None:
        _leave_ended()
        owner = lanes.current().owner
        outermost = self._reel.outermost
        self._left = False
        self._before = _innermost.get()
        self._reel_before = _scoped.get()
        self._lane_before = lanes.here()
        if owner != id(outermost) and not (owner is None and outermost is _process):
            lanes.enter(lanes.Lane("main", owner=id(outermost)))
        _scoped.set(self._reel)
        _innermost.set(self)

    def __exit__(self, *_: object) -> None:
        self._left = True
        _leave_ended()


def _leave_ended() -> None:
    """Go back to before the innermost blocks, as far as they have ended. Others that began later go on."""
    ended, at = None, _innermost.get()
    while at is not None and at._left:
        ended, at = at, at._before
    if ended is not None:
        _innermost.set(at)
        _scoped.set(ended._reel_before)
        lanes.enter(ended._lane_before)


_innermost: ContextVar[_Playing | None] = ContextVar("greenroom_innermost", default=None)


def playing(reel: Reel) -> AbstractContextManager[None]:
    """Run code with a reel of its own, and with lanes of its own: what ran before does not change their names. Where
    the code runs in a lane of this reel already, it stays in it."""
    return _Playing(reel)


def scoped() -> Reel | None:
    """Return the reel that the running code has of its own: threads that it starts take it along."""
    reel = _scoped.get()
    return None if reel is _UNSET else reel


class _Inside:
    """A block inside a boundary. A class, since a generator would cost each call more than all else here."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = _scoped.set(None)

    def __exit__(self, *_: object) -> None:
        _scoped.reset(self._token)


def inside() -> AbstractContextManager[None]:
    """Run what stands inside a boundary: the outermost one records, nothing in it does."""
    return _Inside()
