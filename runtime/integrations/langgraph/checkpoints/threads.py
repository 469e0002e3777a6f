"""The sessions in which the checkpoints of threads stand: one for each thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from threading import RLock
from typing import Final

from greenroom.runtime import Runtime, Session, SessionNotFound

from ..keys import THREAD_PREFIX, quoted_name, thread_key, thread_of

__all__ = ["Threads", "both_held", "held"]

_LOCKS: Final = tuple(RLock() for _ in range(64))
"""One process writes to a store. So these keep the writers of a thread apart, through whatever saver they write."""

_MOST_KNOWN: Final = 4096


def held(key: str) -> AbstractContextManager[object]:
    """Keep other writers away from the session with this key."""
    return _LOCKS[hash(key) % len(_LOCKS)]


@contextmanager
def both_held(*keys: str) -> Iterator[None]:
    """Keep other writers away from the sessions with these keys."""
    with ExitStack() as locks:
        for number in sorted({hash(key) % len(_LOCKS) for key in keys}):
            locks.enter_context(_LOCKS[number])
        yield


class Threads:
    """The sessions of all threads."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._known: dict[str, Session] = {}

    def find(self, thread: str) -> Session | None:
        """Return the session of a thread, or None if nothing was put there yet. One that was found before may have been
        deleted since: then `forget` it, and find it again."""
        return self._known.get(thread) or self.look_up(thread)

    def look_up(self, thread: str) -> Session | None:
        """Return the session that a thread has now, or None."""
        try:
            session = self._runtime.session(key=thread_key(thread))
        except SessionNotFound:
            self.forget(thread)
            return None
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[thread] = session
        return session

    def forget(self, thread: str) -> None:
        """Find the session of a thread anew the next time."""
        self._known.pop(thread, None)

    def create(self, thread: str) -> Session:
        """Return the session of a thread, and create it if there is none. A thread has no limit in bytes: a state that
        grows is counted in full for each checkpoint, though it is stored once."""
        key = thread_key(thread)
        return self._runtime.get_or_create(
            key,
            name=key[:120],
            metadata={"thread_id": quoted_name(thread)} if key.startswith(THREAD_PREFIX + "%%") else None,
            config={"max_record_bytes": None, "max_records": None},
        )

    def all(self) -> Iterator[tuple[str, Session]]:
        """Yield (thread, session) of all threads, in the order of their keys."""
        for info in self._runtime.iterate_sessions(key_prefix=THREAD_PREFIX, status="all", limit=None):
            thread = thread_of(info.key or "", info.custom_metadata.get("thread_id"))
            yield thread, self._runtime.session(info.id)
