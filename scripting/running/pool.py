"""Sandboxes made ahead, so that a script need not wait for its own. Each serves one script: nothing of an earlier one
is ever seen."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final
from weakref import WeakSet

from greenroom.runtime.scripts import Elastic, close_with
from greenroom.scripting.definition.layout import Layout

from .sandbox import Sandbox

__all__ = ["Pool"]

_LAYOUTS: Final = 8
"""Limit of layouts for which sandboxes are kept: a runtime with and without agents has one for each profile."""
_CLOSING: Final = 8
"""Limit of used sandboxes that wait to be closed. Further ones are closed by whoever has used them."""
_PAUSE: Final = 0.002
"""Seconds between the end of a run and the work that it leaves, so that its caller goes on first."""
_IDLE: Final = 10.0
_FORGOTTEN: Final[list[object]] = []
"""What a forked child has from its parent, and must not destroy: threads of the parent may have used it."""


class Pool:
    """Keeps sandboxes ready by layout, and makes new ones for those that were taken, on a thread of its own.

    A pool belongs to the process. It keeps sandboxes while a runtime that has used it is open.
    """

    def __init__(self, make: Callable[[Layout], Sandbox], ready: int) -> None:
        """`make` makes a sandbox on any thread. `ready` of them are kept for each layout."""
        self._make = make
        self._most = ready
        self._begin()
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self._end)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._ready: dict[Layout, deque[Sandbox]] = {}
        self._used: SimpleQueue[Sandbox | None] = SimpleQueue()
        """Sandboxes to close. None only wakes the thread."""
        self._working = self._ended = False
        self._users: WeakSet[Any] = WeakSet()
        self._thread = Elastic(1, "greenroom-sandboxes")

    def _forget(self) -> None:
        _FORGOTTEN.append(self.__dict__.copy())
        self._begin()

    @property
    def ready(self) -> int:
        """The number of sandboxes that wait for a script."""
        return sum(map(len, self._ready.values()))

    def take(self, runtime: Any, layout: Layout) -> Sandbox:
        """Return a sandbox that no script has seen, for a script of a runtime."""
        if runtime not in self._users:
            self._users.add(runtime)
            close_with(runtime, _Use(self, runtime))
        ready = self._ready.get(layout)
        if ready is None and len(self._ready) < _LAYOUTS:
            ready = self._ready.setdefault(layout, deque())
        with contextlib.suppress(IndexError):
            if ready is not None:
                return ready.popleft()
        return self._make(layout)

    def give_back(self, sandbox: Sandbox, at_once: bool = False) -> None:
        """Close a sandbox that was used, soon or `at_once`, and have the pool filled again."""
        if at_once or self._ended or self._used.qsize() >= _CLOSING:
            sandbox.close()
            self._used.put(None)
        else:
            self._used.put(sandbox)
        self._wake()

    def _wake(self) -> None:
        with self._lock:
            if self._working or self._ended:
                return
            self._working = True
        try:
            self._thread.submit(self._work)
        except BaseException:
            self._working = False
            raise

    def left(self, runtime: Any) -> None:
        """Note that a runtime is closed. Without any, the pool is emptied."""
        self._users.discard(runtime)
        if not self._users:
            self._empty()
            self._used.put(None)

    def _empty(self) -> None:
        for ready in [*self._ready.values()]:
            with contextlib.suppress(IndexError):
                while True:
                    ready.popleft().close()

    def _end(self) -> None:
        self._ended = True
        self._empty()

    # -- on the pool's thread

    def _work(self) -> None:
        while True:
            try:
                used = self._used.get(timeout=_IDLE if self._users else 0)
            except Empty:
                with self._lock:
                    if self._used.empty():
                        self._working = False
                        return
                continue
            time.sleep(_PAUSE)
            with contextlib.suppress(Exception):  # whoever takes a sandbox makes one then, and gets the error
                if used is not None:
                    used.close()
                self._fill()

    def _fill(self) -> None:
        for layout, ready in [*self._ready.items()]:
            while self._users and not self._ended and len(ready) < self._most and self._used.empty():
                ready.append(self._make(layout))
        if self._ended or not self._users:  # since a sandbox was begun
            self._empty()


class _Use:
    """The use of a pool by a runtime: ends when the runtime closes."""

    def __init__(self, pool: Pool, runtime: Any) -> None:
        self._pool = pool
        self._runtime = runtime

    def begin_to_close(self) -> None:
        pass

    def close(self, timeout: float) -> None:
        self._pool.left(self._runtime)
