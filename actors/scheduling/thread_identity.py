"""Confine threads that a session's code starts: they too act for the session, until the call that started them is over.

A new thread does not know who started it, so its actions would be the host's. Python reports no thread that is about to
start (3.11 has no audit event for it, and contexts are not passed on), so `Thread.start` is wrapped at the first call
of a tool or an agent in the process. It starts every thread as before; a thread that confined code starts runs as that
code's operation. Pools, timers and executors of event loops start their threads by it as well.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, Final

from .operation import CURRENT, Operation

__all__ = ["watch_threads"]

_OWN: Final = frozenset(
    {
        ("greenroom.actors.scheduling.dispatcher", "_work"),
        ("greenroom.actors.scheduling.threads", "_serve"),
        ("greenroom.actors.events.subscription", "_deliver"),
        ("greenroom.actors.scheduling.timers", "_run"),
    }
)
"""The targets of the runtime's own threads: each of their jobs carries its own operation."""
_lock = threading.Lock()
_watching = False


def watch_threads() -> None:
    """Confine the threads that confined code starts from now on, for as long as the process lives."""
    global _watching
    if _watching:
        return
    with _lock:
        if not _watching:
            _wrap_start()
            _watching = True


def _wrap_start() -> None:
    start = threading.Thread.start

    @wraps(start)
    def start_confined(self: threading.Thread) -> None:
        operation = CURRENT.get()
        if operation is not None and not self.ident and _confines(operation):
            _confine(self, operation)
        start(self)

    threading.Thread.start = start_confined  # type: ignore[method-assign]


def _confines(operation: Operation) -> bool:
    each: Operation | None = operation
    while each is not None:
        if each.principal is not None:
            return True
        each = each.outer
    return False


def _confine(thread: threading.Thread, operation: Operation) -> None:
    target: Any = getattr(thread, "_target", None)
    if (getattr(target, "__module__", None), getattr(target, "__name__", None)) not in _OWN:
        thread.run = partial(_run_for, _lent(operation), thread, thread.run)  # type: ignore[method-assign]


def _lent(operation: Operation) -> Operation:
    """Return the operation for a thread that the operation's code has started."""
    outer = _lent(operation.outer) if operation.outer is not None else None
    return operation._replace(lent=operation.principal is not None, outer=outer)


def _run_for(operation: Operation, thread: threading.Thread, run: Callable[[], object]) -> None:
    thread.__dict__.pop("run", None)
    CURRENT.set(operation)  # only in the context of this thread
    run()
