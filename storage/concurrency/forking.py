"""Guard open stores in a forked process: the child leaves them alone, and may end in any way.

RocksDB's threads do not exist in a forked child, its locks may be held for ever there, and its files belong to the
parent. So the child must run no destructor of RocksDB, use no open store, and open none.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Protocol

from greenroom.storage.errors import InvalidOperation, RuntimeClosed

__all__ = ["abandon_in_children", "check_may_open", "runtime_closed"]


class _Abandonable(Protocol):
    def abandon(self) -> None: ...


_open: weakref.WeakSet[_Abandonable] = weakref.WeakSet()
_has_opened = False
"""Whether this process, or the one it was forked from, has ever opened a store: RocksDB keeps its threads."""
_forked_from: int | None = None


def abandon_in_children(store: _Abandonable) -> None:
    """Register an open object: a forked child calls its `abandon` before anything else runs there."""
    _open.add(store)


def check_may_open() -> None:
    """Raise InvalidOperation in a process that was forked after its parent had opened a store."""
    global _has_opened
    if _forked_from is not None:
        raise InvalidOperation(
            f"this process was forked from process {_forked_from}, which had opened a store, and RocksDB's threads do "
            "not exist here: open stores in a process of its own (multiprocessing with 'spawn' or 'forkserver', or "
            "subprocess), or fork before the first store is opened"
        )
    _has_opened = True


def runtime_closed(state: str = "closed") -> RuntimeClosed:
    """Return the error for using a runtime that is closed, or that was opened by the parent of this process."""
    if _forked_from is not None:
        return RuntimeClosed(
            f"this process was forked from process {_forked_from}, and the runtime belongs to that one: use it there, "
            "or open one in a process of its own (multiprocessing with 'spawn' or 'forkserver', or subprocess)"
        )
    return RuntimeClosed(f"the runtime is {state}: open it again to go on")


def _in_child() -> None:
    global _forked_from
    if not _has_opened:
        return
    _forked_from = os.getppid()
    _skip_destructors()
    for store in list(_open):
        store.abandon()


def _skip_destructors() -> None:
    """Make this process end without running the destructors of RocksDB's static objects.

    The destructors wait for threads that do not exist here. By that time Python has ended and written its buffers.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "on_exit"):  # called in reverse order: first flush C's own buffers, then end
        library.on_exit(library._exit, None)
        library.__cxa_atexit(library.fflush, None, None)


os.register_at_fork(after_in_child=_in_child)
