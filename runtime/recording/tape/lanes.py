"""Lanes: the threads and tasks of a program, by names that are the same when the program runs again.

The numbers in the names of threads and tasks are of no use for that, because every library advances them. A lane is
named after the lane that started it, what it runs, and how many of that kind its parent has started before it:
"main/fetch#2".
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import get_ident
from typing import Any, Final, TypeVar
from zlib import crc32

__all__ = ["TASK", "Lane", "begin_anew", "current", "enter", "entered", "here", "started_by", "work"]

T = TypeVar("T")

TASK: Final = "task "
"""What the lanes of tasks begin with that any process of a pool may do."""
LONGEST: Final = 160
"""Characters of a name. A task that starts a task that starts a task … gets names that grow no further."""
_NUMBERS: Final = re.compile(r"[-_]?\d+")
_NAMED_BY_PYTHON: Final = re.compile(r"Thread-\d+ \((.*)\)")


class Lane:
    """One thread or task of the program."""

    __slots__ = ("_started", "name", "owner", "thread")

    def __init__(self, name: str, thread: int | None = None, owner: int | None = None) -> None:
        self.name = name
        self.owner = owner
        """The identity of the reel whose lane it is; None: of that of the process."""
        self.thread = get_ident() if thread is None else thread
        """The identity of the thread it runs in."""
        self._started: dict[str, int] = {}

    def child(self, what: str, thread: int | None = None) -> Lane:
        """Return the lane of a thread or task that this one starts to run `what`."""
        number = self._started[what] = self._started.get(what, 0) + 1
        name = f"{self.name}/{what}#{number}"
        if len(name) > LONGEST:
            name = f"~{crc32(self.name.encode('utf-8', 'surrogatepass')):08x}/{what[:64]}#{number}"
        return Lane(name, thread, self.owner)


class _OfThread(threading.local):
    lane: Lane | None = None
    given: bool = False
    """Whether the lane is that of the work which the thread does just now, and not of the thread itself."""


_here: ContextVar[Lane | None] = ContextVar("greenroom_lane", default=None)
_of_thread: Final = _OfThread()
_ATTRIBUTE: Final = "_greenroom_lane"


def current() -> Lane:
    """Return the lane of the running code: that of its task, or else that of its thread. A worker thread that runs in
    the context of another lane gets a lane named after both, unless a pool has told it whose work it does (see
    `work`)."""
    lane = _here.get()
    if lane is not None and lane.thread == get_ident():
        return lane
    own = _of_thread.lane
    if own is None:
        own = _of_thread.lane = _lane_of_thread(threading.current_thread())
    if lane is None or _of_thread.given:
        return own
    lane = Lane(f"{lane.name}@{own.name}", owner=lane.owner)
    _here.set(lane)
    return lane


def here() -> Lane | None:
    """Return the lane that was entered last; None if the code runs in that of its thread."""
    return _here.get()


def enter(lane: Lane | None) -> None:
    """Go on in a lane; None is that of the thread."""
    _here.set(lane)


def begin_anew() -> None:
    """Let the names of the lanes that this thread starts count from the beginning: what ran in it before is over."""
    _of_thread.lane = None


@contextmanager
def entered(lane: Lane) -> Iterator[None]:
    """Run code in a lane."""
    token = _here.set(lane)
    try:
        yield
    finally:
        _here.reset(token)


def work(lane: Lane, call: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """Run, on a thread of a pool, work that was given to it from another lane."""
    before, was_given = _of_thread.lane, _of_thread.given
    lane.thread = get_ident()
    _of_thread.lane, _of_thread.given = lane, True
    try:
        return call(*args, **kwargs)
    finally:
        _of_thread.lane, _of_thread.given = before, was_given


def started_by(lane: Lane, thread: threading.Thread) -> None:
    """Note that the code of a lane starts a thread."""
    setattr(thread, _ATTRIBUTE, lane.child(_plain(thread.name), thread=0))


def _lane_of_thread(thread: threading.Thread) -> Lane:
    given: Any = getattr(thread, _ATTRIBUTE, None)
    if isinstance(given, Lane):
        given.thread = get_ident()
        return given
    return Lane("main" if thread is threading.main_thread() else _plain(thread.name))


def _plain(name: str) -> str:
    if found := _NAMED_BY_PYTHON.fullmatch(name):
        return found[1]
    return _NUMBERS.sub("", name) or "thread"
