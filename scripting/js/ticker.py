"""The clock of WebAssembly engines: moves an engine's epoch on while scripts run, and only then.

Compiled code compares the epoch with its deadline at every loop and call, so the epoch stops native loops too, such as
a `JSON.parse` of megabytes, which never ask the host whether their time is over.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Final

__all__ = ["PERIOD", "Ticker"]

PERIOD: Final = 0.01
"""Seconds between two ticks."""
_IDLE: Final = 1.0
"""Seconds without a script after which the thread ends."""
_MOST_AT_ONCE: Final = 10_000
_all: Final[weakref.WeakSet[Ticker]] = weakref.WeakSet()


class Ticker:
    """Calls `tick` about every `PERIOD` seconds while `running()` is entered, from one daemon thread.

    A late tick is made up for, so ticks count real time. The thread starts with the first script, ends a second after
    the last one, and starts anew in a child process after a fork.
    """

    def __init__(self, tick: Callable[[], object]) -> None:
        self._tick = tick
        self._renew()
        _all.add(self)

    def _renew(self) -> None:
        self._changed = threading.Condition()
        self._scripts = 0
        self._thread: threading.Thread | None = None
        self._kept = False

    @property
    def thread(self) -> threading.Thread | None:
        """The thread, if it runs."""
        return self._thread

    def keep(self) -> None:
        """Start the thread now, and keep it: for a process that may start none later."""
        with self._changed:
            self._kept = True
            self._begin(self._changed)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Tick until the block ends."""
        changed = self._changed
        with changed:
            self._scripts += 1
            try:
                self._begin(changed)
            except BaseException:
                self._scripts -= 1
                raise
        try:
            yield
        finally:
            with changed:
                if self._changed is changed:  # not a script that a fork has taken along
                    self._scripts -= 1

    def _begin(self, changed: threading.Condition) -> None:
        """See to it that there is a thread, and that it ticks."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, args=(changed,), name="greenroom-js-clock", daemon=True)
            try:
                self._thread.start()
            except BaseException:
                self._thread = None
                raise
        changed.notify()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Count the script that runs on this thread as none until the block ends."""
        changed = self._changed
        with changed:
            self._scripts -= 1
        try:
            yield
        finally:
            with changed:
                if self._changed is changed:
                    self._scripts += 1
                    self._begin(changed)

    def _run(self, changed: threading.Condition) -> None:
        while True:
            began, done = time.monotonic(), 0
            while self._scripts:
                time.sleep(PERIOD)
                due = int((time.monotonic() - began) / PERIOD)
                for _ in range(min(due - done, _MOST_AT_ONCE)):
                    self._tick()
                done = due
            with changed:
                if not self._scripts:
                    changed.wait(None if self._kept else _IDLE)
                if not self._scripts and not self._kept:
                    self._thread = None
                    return


def _after_fork() -> None:
    for ticker in list(_all):
        ticker._renew()


os.register_at_fork(after_in_child=_after_fork)
