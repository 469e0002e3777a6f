"""Work that sessions are owed: it is done in the background, or by whoever reads the session first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import Context, copy_context
from queue import SimpleQueue
from time import monotonic
from typing import Final

from greenroom.storage.common.logs import logger_of
from greenroom.storage.concurrency.starter import start_thread

__all__ = ["Owed"]

logger = logger_of("runtime")

MOST_WAITING: Final = 1000
"""Sessions that wait. Whoever adds one more does the oldest first."""
_PATIENCE: Final = 10.0
"""Seconds that a reader waits for work that another thread does, before it reads without."""


class _Turn:
    """What the works of one session take turns by."""

    __slots__ = ("is_taken", "lock")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.is_taken = False


class _Work:
    """Work for one session, done once, in the context of whoever left it."""

    __slots__ = ("_call", "_context", "_gate", "_then", "has_begun", "is_over", "turn")

    def __init__(self, call: Callable[[], object], then: Callable[[], object], turn: _Turn) -> None:
        self._call = call
        self._context: Context = copy_context()
        self.turn = turn
        self._then = [then]
        self._gate = threading.Lock()
        self.has_begun = self.is_over = False

    def takes(self, then: Callable[[], object]) -> bool:
        """Have this done too once the work is; return False if it is too late."""
        with self._gate:
            if not self.has_begun:
                self._then.append(then)
            return not self.has_begun

    def do(self) -> None:
        """Do the work, once what was left before it is done, or wait until another thread has done it. Within work of
        the session, return at once."""
        turn = self.turn
        if not turn.lock.acquire(timeout=_PATIENCE):
            return
        try:
            if not self.has_begun and not turn.is_taken:
                with self._gate:
                    self.has_begun = turn.is_taken = True
                try:
                    self._context.run(self._call)
                    for then in self._then:
                        then()
                finally:
                    turn.is_taken = False
                    self.is_over = True
        except Exception:
            logger.exception("work that a session was owed has failed")
        finally:
            turn.lock.release()


class Owed:
    """Does work for sessions on a thread of its own, oldest first, as soon as it can. Safe for threads.

    `settle` has it done before somebody reads a session, so nobody sees a session without it. It ends with the
    runtime: what is left then is done while it closes, as long as that may take."""

    def __init__(self) -> None:
        self.sessions: dict[str, _Work] = {}
        """What waits, by session, oldest first. Empty nearly always: look before `settle`."""
        self.standing: dict[str, list[Callable[[], object]]] = {}
        """What is done before each look at a session, as long as it stands here."""
        self._lock = threading.Lock()
        self._inbox: SimpleQueue[str | None] = SimpleQueue()
        self._hurried = False
        self._thread: threading.Thread | None = None
        self._closing = False

    def add(self, session_id: str, call: Callable[[], object], then: Callable[[], object] = lambda: None) -> None:
        """Have `call` done for a session, and `then` after it. If such work waits for it already and has not begun,
        that does for both."""
        with self._lock:
            waiting = self.sessions.get(session_id)
            if waiting is not None and waiting.takes(then):
                return
            work = _Work(call, then, waiting.turn if waiting is not None else _Turn())
            closing = self._closing
            self.sessions[session_id] = work
            full = len(self.sessions) > MOST_WAITING
            self._start()
        self._inbox.put(session_id)
        if closing:
            self.settle(session_id)
        elif full:
            self.settle(next((each for each, work in list(self.sessions.items()) if not work.has_begun), session_id))

    def owes(self, session_id: str) -> bool:
        """Return whether a session may have to get something before it is read."""
        return session_id in self.sessions or session_id in self.standing

    def settle(self, session_id: str | None = None) -> None:
        """Have the work done that a session waits for, by default all of it."""
        self.take(session_id)
        for each in [session_id] if session_id is not None else list(self.sessions):
            work = self.sessions.get(each)
            if work is not None:
                work.do()
                self._forget(each, work)

    def stand(self, session_id: str, call: Callable[[], object]) -> None:
        """Have `call` done before each look at a session, and now and then in the background, until it falls. It costs
        next to nothing where there is nothing to do, and is safe for threads."""
        with self._lock:
            self.standing.setdefault(session_id, []).append(call)

    def fall(self, session_id: str, call: Callable[[], object]) -> None:
        """Have it done no more."""
        with self._lock:
            calls = [each for each in self.standing.get(session_id, ()) if each != call]
            if calls:
                self.standing[session_id] = calls
            else:
                self.standing.pop(session_id, None)

    def take(self, session_id: str | None = None) -> None:
        """Have done what stands for a session, by default for all: less than `settle` does."""
        for each in [session_id] if session_id is not None else list(self.standing):
            for call in list(self.standing.get(each, ())):
                call()

    def hurry(self) -> None:
        """Have done in the background what stands."""
        if self.standing and not self._hurried:
            with self._lock:
                self._start()
                self._hurried = True
            self._inbox.put("")

    def begin_to_close(self) -> None:
        """Have what is added from now on done at once."""
        with self._lock:
            self._closing = True

    def close(self, timeout: float) -> None:
        """Do what is left, for at most `timeout` seconds."""
        deadline = monotonic() + timeout
        self.take()
        for each in list(self.sessions):
            if monotonic() > deadline:
                logger.warning("%d recorded sessions are not understood yet", len(self.sessions))
                break
            self.settle(each)
        self._inbox.put(None)
        if self._thread is not None:
            self._thread.join(max(0.0, deadline - monotonic()))

    def _forget(self, session_id: str, work: _Work) -> None:
        with self._lock:
            if self.sessions.get(session_id) is work and work.is_over:
                del self.sessions[session_id]

    def _serve(self) -> None:
        while (session_id := self._inbox.get()) is not None:
            if session_id:
                self.settle(session_id)
            else:
                self._hurried = False
                self.take()

    def _start(self) -> None:
        if self._thread is None and not self._closing:
            thread = threading.Thread(target=self._serve, name="greenroom-owed", daemon=True)
            start_thread(thread)
            self._thread = thread
