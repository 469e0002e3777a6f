"""Closing on SIGTERM and SIGINT, for hosts that have not said what these should do.

The handler does not close anything itself: it runs on the main thread, perhaps in the middle of an actor's turn. It
starts a thread that closes, which waits for that turn to end, and then does what the signal means.
"""

from __future__ import annotations

import signal
import sys
import threading
import weakref
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .runtime import Runtime

__all__ = ["unwatch", "watch"]

_watched: weakref.WeakSet[Runtime] = weakref.WeakSet()
_installed: dict[int, Any] = {}
_DEFAULTS = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}


def watch(runtime: Runtime) -> None:
    """Close this runtime when a signal comes. Only the main thread may install handlers; elsewhere this does
    nothing, and the process's end still closes the runtime."""
    if threading.current_thread() is not threading.main_thread():
        return
    _watched.add(runtime)
    for number, default in _DEFAULTS.items():
        if number not in _installed and signal.getsignal(number) is default:
            signal.signal(number, _on_signal)
            _installed[number] = default


def unwatch(runtime: Runtime) -> None:
    """Forget a closed runtime; after the last one, the signals mean again what they meant before."""
    _watched.discard(runtime)
    if _watched or threading.current_thread() is not threading.main_thread():
        return
    for number, default in list(_installed.items()):
        if signal.getsignal(number) is _on_signal:
            signal.signal(number, default)
        del _installed[number]


def _on_signal(number: int, frame: FrameType | None) -> None:
    for runtime in list(_watched):
        threading.Thread(target=runtime.close, name="greenroom-closing").start()
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)
