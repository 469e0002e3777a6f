"""Claims: of the threads that want the same name, one at a time has it."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from greenroom.storage.errors import InvalidOperation, OperationTimeout, shown

__all__ = ["Claims"]

_LOOK: Final = 0.25
"""Seconds after which a waiting thread looks again, for a holder that was interrupted before it could wake it."""


class _Claim:
    __slots__ = ("__weakref__", "ended", "thread")

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.ended = threading.Event()


class Claims:
    """Knows which names are claimed, and by whom.

    Only the frame of the holder keeps a claim: whatever ends it, an interrupt too, frees the names.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._claims: weakref.WeakValueDictionary[str, _Claim] = weakref.WeakValueDictionary()

    @contextmanager
    def claimed(self, names: Iterable[str], timeout: float) -> Iterator[None]:
        """Hold these names, all at once. Wait for whoever has one of them.

        Raises OperationTimeout after `timeout` seconds, InvalidOperation if this thread has one itself.
        """
        wanted = list(names)
        mine = _Claim()
        deadline = time.monotonic() + timeout
        try:
            while (other := self._take(wanted, mine)) is not None:
                name, thread, ended = other
                if thread == mine.thread:
                    raise InvalidOperation(
                        f"the session with the key {shown(name)} is being created by the code that asks for it"
                    )
                left = deadline - time.monotonic()
                if left <= 0:
                    raise OperationTimeout(
                        f"the session with the key {shown(name)} is still being created after {timeout:g} s",
                        timeout=timeout,
                        started=False,
                    )
                ended.wait(min(left, _LOOK))
            yield
        finally:
            with self._guard:
                for name in wanted:
                    if self._claims.get(name) is mine:
                        del self._claims[name]
            mine.ended.set()

    def _take(self, names: list[str], mine: _Claim) -> tuple[str, int, threading.Event] | None:
        """Claim all names and return None, or return a name that another claim has, its thread and its end."""
        with self._guard:
            for name in names:
                other = self._claims.get(name)
                if other is not None:
                    return name, other.thread, other.ended
            for name in names:
                self._claims[name] = mine
            return None
