"""Elastic threads for callables of the host that may block or hang, such as tools, agents and hooks with a timeout."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple, TypeVar

from greenroom.storage.concurrency.forking import runtime_closed
from greenroom.storage.concurrency.starter import start_thread
from greenroom.storage.concurrency.waiting import Bell, Promise
from greenroom.storage.errors import ResourceLimitExceeded

from .turn import interrupted

__all__ = ["Elastic", "Share"]

T = TypeVar("T")


class Share(NamedTuple):
    """How many jobs one of several users of the threads may have at once, hanging jobs included."""

    owner: object
    most: int
    refusal: Callable[[], Exception]
    """Makes the error for one job too many."""


class Elastic:
    """Keeps at most `max_threads` daemon threads, starts them when needed, and ends them after 30 idle seconds.

    A callable that hangs keeps its thread; whoever waits for it is freed by the timeout of `result`::

        elastic = Elastic(64)
        promise = elastic.submit(fetch, "https://…")
        try:
            page = promise.result(timeout=5)
        except TimeoutError:
            ...                               # the callable runs on, nobody waits for it
        elastic.close(timeout=1)              # never longer than a second, whatever hangs

    There are never fewer threads than jobs. Both are kept in sets, not as numbers: an interrupt can repeat or omit the
    step that adds or removes one, and a number would stay wrong for ever.
    """

    IDLE: Final = 30.0

    def __init__(self, max_threads: int, name: str = "greenroom-elastic", stack_size: int | None = None) -> None:
        """`stack_size` is in bytes. Without it, threads get the size that the host has set for its own."""
        self._max_threads = max_threads
        self._name = name
        self._stack_size = stack_size
        self._lock = threading.Lock()
        self._bell = Bell()
        self._inbox: SimpleQueue[_Job | None] = SimpleQueue()
        self._jobs: dict[_Job, object] = {}
        """The jobs that have been accepted and are not over, each with the owner of its share."""
        self._threads: set[object] = set()
        """A marker for each thread that runs, or is about to start."""
        self._closed = False

    @property
    def busy(self) -> int:
        """The number of threads at work."""
        return len(self._jobs)

    @property
    def spare(self) -> int:
        """The threads that possibly hanging callables must leave for hooks and upkeep: a quarter."""
        return self._max_threads // 4

    def at_work_for(self, owner: object) -> int:
        """Return how many jobs of an owner's share are not over."""
        return list(self._jobs.values()).count(owner)

    def submit(
        self,
        fn: Callable[..., T],
        /,
        *args: Any,
        spare: int = 0,
        share: Share | None = None,
        promise: Promise[T] | None = None,
    ) -> Promise[T]:
        """Run `fn(*args)` on a thread, in a copy of the caller's context. Return the promise of its result.

        Raises ResourceLimitExceeded if all threads but `spare` are at work, the refusal of a `share` that is used up,
        and RuntimeClosed after `close`. After an exception, a job that was not begun will not run.
        """
        job = _Job(contextvars.copy_context(), fn, args, promise if promise is not None else Promise())
        try:
            with self._lock:
                self._take(job, self._max_threads - spare, share)
                needed = len(self._threads) < len(self._jobs)
                self._inbox.put(job)
            if needed:
                self._start_one()
        except BaseException:
            if job.promise.withdraw():
                self._jobs.pop(job, None)
            raise
        return job.promise

    def _take(self, job: _Job, most: int, share: Share | None) -> None:
        if self._closed:
            raise runtime_closed("closed or closing")
        if share is not None and self.at_work_for(share.owner) >= share.most:
            raise share.refusal()
        if len(self._jobs) >= most:
            raise self._full(f"all {most} elastic threads are at work", most)
        self._jobs[job] = share.owner if share is not None else None

    def _start_one(self) -> None:
        mark = object()
        try:
            self._threads.add(mark)
            thread = threading.Thread(target=self._serve, args=(mark,), name=self._name, daemon=True)
            start_thread(thread, self._stack_size)
        except BaseException as error:
            # The thread may have started all the same: then it adds its own marker again.
            self._threads.discard(mark)
            if isinstance(error, RuntimeError):
                raise self._full("the system has no more threads", self._max_threads) from error
            raise

    def _full(self, what: str, limit: int) -> ResourceLimitExceeded:
        return ResourceLimitExceeded(
            f"{what}: call fewer tools, agents and hooks at once, end those that hang, or raise max_elastic_threads",
            resource="elastic_threads",
            limit=limit,
            value=len(self._jobs),
        )

    def close(self, timeout: float) -> bool:
        """Accept no more jobs, and wait at most `timeout` seconds for those that run. Return whether all of them have
        ended."""
        with self._lock:
            self._closed = True
            self._inbox.put(None)  # each thread that takes it puts it back for the next
        return self._bell.wait_for(lambda: not self._threads, max(0.0, timeout))

    # -- on the threads

    def _serve(self, mark: object) -> None:
        try:
            while self._work(mark):
                pass
        finally:
            self._threads.discard(mark)
            if self._closed:
                self._inbox.put(None)
            self._bell.ring()
            # An exception thrown into this thread must not cost the next job its thread.
            if len(self._threads) < len(self._jobs):
                self._start_one()

    def _work(self, mark: object) -> bool:
        """Run jobs until there is none for a while, or none will come. Return whether to go on."""
        job: _Job | None = None
        try:
            # `iter` sets the variable in the same step: a job that was taken out is known in any case.
            for job in iter(partial(self._inbox.get, True, self.IDLE), None):
                self._threads.add(mark)
                self._run(job)
                job = None  # otherwise it stays in memory, with all it refers to, until the next one comes
        except Empty:
            with self._lock:
                self._threads.add(mark)
                if not self._closed and len(self._threads) <= len(self._jobs):
                    return True
                self._threads.discard(mark)
        finally:
            if job is not None:
                try:
                    self._jobs.pop(job, None)
                finally:
                    self._end(job, None, interrupted())
        return False

    def _run(self, job: _Job) -> None:
        if not job.promise.begin():
            return
        try:
            result = job.context.run(job.fn, *job.args)
        except BaseException as error:
            self._end(job, None, error)
        else:
            self._end(job, result, None)

    def _end(self, job: _Job, result: Any, error: BaseException | None) -> None:
        # Be free before the caller knows: a caller that comes back at once must find this thread, not a full pool.
        try:
            self._jobs.pop(job, None)
        finally:
            job.promise.settle(result, error)


@dataclass(slots=True, eq=False)
class _Job:
    """A job for a thread."""

    context: contextvars.Context
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    promise: Promise[Any]
