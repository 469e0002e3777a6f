"""Closes runtimes on SIGTERM, for hosts that have no handler of their own.

The handler does not close anything itself: it runs on the main thread, perhaps in the middle of an actor's turn. It
starts a thread that closes, which waits for that turn to end, and then ends the process as the signal asks.

SIGINT is left alone. Python makes it KeyboardInterrupt, which a program may catch and go on after (a REPL, a terminal
chat): only the program knows whether it has ended, and the end of its `with`, or of the process, closes the runtime.
"""

from __future__ import annotations

import signal
import sys
import threading
import weakref
from types import FrameType
from typing import Protocol

__all__ = ["unwatch", "watch"]


class Closable(Protocol):
    """A runtime that a signal can close."""

    def close(self) -> None:
        """Save the sessions in memory and release the store."""


_watched: weakref.WeakSet[Closable] = weakref.WeakSet()
_installed = False


def watch(runtime: Closable) -> None:
    """Close this runtime on SIGTERM, unless the host handles or ignores the signal. Only the main thread can install a
    handler; on other threads this does nothing, and the end of the process still closes the runtime."""
    global _installed
    if threading.current_thread() is not threading.main_thread():
        return
    _watched.add(runtime)
    if not _installed and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _on_signal)
        _installed = True


def unwatch(runtime: Closable) -> None:
    """Forget a closed runtime. After the last one, restore the former signal handler."""
    global _installed
    _watched.discard(runtime)
    if _watched or not _installed or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is _on_signal:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _installed = False


def _on_signal(number: int, frame: FrameType | None) -> None:
    for runtime in list(_watched):
        threading.Thread(target=runtime.close, name="greenroom-closing").start()
    sys.exit(128 + number)
