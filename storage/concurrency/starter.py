"""Start threads from a thread of its own, so that no exception thrown into the caller can break the start.

`Thread.start` waits until the new thread says that it runs. Interrupted at the wrong moment, it leaves the lock taken
by which that is said, and the new thread hangs. And an exception that `PyThreadState_SetAsyncExc` throws into the
caller may hit the new thread, which CPython still takes for its parent: the new thread ends before it has said
anything, and the caller waits for ever. The starter is a thread that the host does not know, so nobody throws into it.
Only its own start can be hit; so whoever begins it waits until it serves, and begins another if it does not.
"""

from __future__ import annotations

import _thread
import os
import threading
from queue import SimpleQueue
from typing import Final

from .waiting import Flag, Promise

__all__ = ["start_thread"]

_requests: SimpleQueue[tuple[threading.Thread, int | None, Promise[None]]] = SimpleQueue()
_beginning = threading.Lock()
_serves = Flag()
_turn = threading.Lock()
"""Two starters may serve, if the first was slow."""
_PATIENCE: Final = 60.0
_BEGINNINGS: Final = 60
_FIRST_SIGN: Final = 1.0
"""The seconds within which a starter serves that was not hit."""


def start_thread(thread: threading.Thread, stack_size: int | None = None) -> None:
    """Start a thread with `stack_size` bytes of stack, or else with the size that the host has set.

    Raises RuntimeError if the system has no more threads.
    """
    if not _serves.is_set():
        _begin()
    started: Promise[None] = Promise()
    _requests.put((thread, stack_size, started))
    try:
        started.result(_PATIENCE)
    except TimeoutError:
        raise RuntimeError("can't start new thread: the system has not done so for a minute") from None


def _begin() -> None:
    with _beginning:
        for _ in range(_BEGINNINGS):
            if _serves.is_set():
                return
            _thread.start_new_thread(_serve, ())  # `Thread.start` would wait for ever for one that was hit
            _serves.wait(_FIRST_SIGN)
    if not _serves.is_set():
        raise RuntimeError("can't start new thread: the system has not done so for a minute")


def _serve() -> None:
    if _serves.is_set():
        return
    _serves.set()
    while True:
        thread, stack_size, started = _requests.get()
        try:
            with _turn:
                _start(thread, stack_size)
        except BaseException as error:
            started.settle(error=error)
        else:
            started.settle()
        del thread, started  # otherwise the last one stays in memory until the next is wanted


def _start(thread: threading.Thread, stack_size: int | None) -> None:
    if stack_size is None:
        thread.start()
        return
    # Python has one setting for all threads: threads that the host starts at this moment get no less than they asked
    # for.
    host = threading.stack_size()
    try:
        threading.stack_size(stack_size)
        thread.start()
    finally:
        threading.stack_size(host)


def _forget() -> None:
    """Start anew in a forked child, in which only the forking thread exists."""
    global _requests, _beginning, _serves, _turn
    _requests, _beginning, _serves, _turn = SimpleQueue(), threading.Lock(), Flag(), threading.Lock()


os.register_at_fork(after_in_child=_forget)
