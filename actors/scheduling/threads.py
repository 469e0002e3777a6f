"""Elastic threads: for callables of the host that may block or hang, such as tools, agents and hooks with a timeout."""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeVar

from greenroom.storage.engine.forking import runtime_closed
from greenroom.storage.errors import ResourceLimitExceeded

__all__ = ["Elastic"]

T = TypeVar("T")
_stack_setting: Final = threading.Lock()


class Elastic:
    """At most `max_threads` daemon threads, started when they are needed and ended after 30 idle seconds.

    A callable that hangs keeps its thread; whoever waits for it is freed by the timeout of `result`::

        elastic = Elastic(64)
        future = elastic.submit(fetch, "https://…")
        try:
            page = future.result(timeout=5)
        except TimeoutError:
            ...                               # the callable runs on, nobody waits for it
        elastic.close(timeout=1)              # never longer than a second, whatever hangs
    """

    IDLE: Final = 30.0

    def __init__(self, max_threads: int, name: str = "greenroom-elastic", stack_size: int | None = None) -> None:
        """`stack_size` is in bytes; without it threads get what the host has set for its own."""
        self._max_threads = max_threads
        self._name = name
        self._stack_size = stack_size
        self._changed = threading.Condition()
        self._idle: list[SimpleQueue[_Job | None]] = []
        self._threads = 0
        self._closed = False

    @property
    def busy(self) -> int:
        """Threads that are at work."""
        with self._changed:
            return self._threads - len(self._idle)

    @property
    def spare(self) -> int:
        """The threads that are left for hooks and upkeep by those whose callables may hang for ever: a quarter."""
        return self._max_threads // 4

    def submit(self, fn: Callable[..., T], /, *args: Any, wait: float = 0.0, spare: int = 0) -> Future[T]:
        """Run `fn(*args)` on a thread, in a copy of the caller's context; its future.

        What is done by `add_done_callback` of the future runs on the thread and must be short.
        Raises ResourceLimitExceeded if all threads but `spare` are at work and none gets free within `wait` seconds,
        and RuntimeClosed after `close`.
        """
        future: Future[T] = Future()
        job: _Job = (contextvars.copy_context(), fn, args, future)
        with self._changed:
            most = self._max_threads - spare
            if self._threads - len(self._idle) >= most and wait > 0:
                self._changed.wait_for(lambda: self._closed or self._threads - len(self._idle) < most, wait)
            if self._closed:
                raise runtime_closed("closed or closing")
            if self._threads - len(self._idle) >= most:
                raise self._full(f"all {most} elastic threads are at work", most)
            if self._idle:
                self._idle.pop().put(job)
                return future
            self._threads += 1
        try:
            self._start(threading.Thread(target=self._serve, args=(job,), name=self._name, daemon=True))
        except BaseException as error:
            with self._changed:
                self._threads -= 1
                self._changed.notify_all()
            if isinstance(error, RuntimeError):
                raise self._full("the system has no more threads", self._max_threads) from error
            raise
        return future

    def _start(self, thread: threading.Thread) -> None:
        if self._stack_size is None:
            thread.start()
            return
        # Python has one setting for all threads: those that the host starts at this moment get no less than they asked.
        with _stack_setting:
            host = threading.stack_size()
            threading.stack_size(self._stack_size)
            try:
                thread.start()
            finally:
                threading.stack_size(host)

    def _full(self, what: str, limit: int) -> ResourceLimitExceeded:
        return ResourceLimitExceeded(
            f"{what}: call fewer tools, agents and hooks at once, end those that hang, or raise max_elastic_threads",
            resource="elastic_threads",
            limit=limit,
            value=self._threads,
        )

    def close(self, timeout: float) -> bool:
        """Take nothing more and wait at most `timeout` seconds for what runs; whether all of it has ended."""
        with self._changed:
            self._closed = True
            for inbox in self._idle:
                inbox.put(None)
            self._idle.clear()
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._threads == 0, max(0.0, timeout))

    def _serve(self, job: _Job | None) -> None:
        inbox: SimpleQueue[_Job | None] = SimpleQueue()
        try:
            while job is not None:
                report = _run(job)
                del job
                # Free before its caller knows: who comes back at once finds this thread, not a full house.
                with self._changed:
                    staying = not self._closed
                    if staying:
                        self._idle.append(inbox)
                        self._changed.notify_all()
                report()
                del report
                if not staying:
                    return
                job = self._next(inbox)
        finally:
            with self._changed:
                self._threads -= 1
                self._changed.notify_all()

    def _next(self, inbox: SimpleQueue[_Job | None]) -> _Job | None:
        """The next job, or None when there was none for a while."""
        try:
            return inbox.get(timeout=self.IDLE)
        except Empty:
            with self._changed:
                if inbox in self._idle:
                    self._idle.remove(inbox)
                    return None
        return inbox.get()


_Job = tuple[contextvars.Context, Callable[..., Any], tuple[Any, ...], "Future[Any]"]


def _run(job: _Job) -> Callable[[], None]:
    """Run a job; what tells its outcome to who waits for it."""
    context, fn, args, future = job
    if not future.set_running_or_notify_cancel():
        return lambda: None
    try:
        result = context.run(fn, *args)
    except BaseException as error:
        failure = error  # the name `error` ends with this block
        return lambda: _tell(future.set_exception, failure)
    return lambda: _tell(future.set_result, result)


def _tell(tell: Callable[[Any], None], outcome: Any) -> None:
    # Whoever waited may have been given another outcome meanwhile.
    with contextlib.suppress(InvalidStateError):
        tell(outcome)
