"""Tell exceptions that were thrown into the running code from outside apart from those that the code raised.

A signal handler of the host and `PyThreadState_SetAsyncExc` throw any class, wherever the thread is. Such an exception
is no fault of the code that it hits: it must reach the caller under its own name, and says nothing about a session, a
hook or a disk.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # signal.getsignal makes an enumeration of each answer: 50 times as slow
import signal
import sys
from types import CodeType
from typing import Any, Final

__all__ = ["by_signal", "thrown_in"]

_OURS: Final = "greenroom"
_KNOWN: Final = sys.stdlib_module_names | {
    _OURS,
    *("blake3", "jsonschema", "lupa", "lz4", "msgpack", "pydantic", "pydantic_core", "pyfastcdc", "pykka", "rocksdict"),
}
"""The modules whose exceptions our own code may raise."""
_SIGNALS: Final = tuple(int(each) for each in signal.valid_signals())


def thrown_in(error: BaseException) -> bool:
    """Return whether an error was thrown into the code that it came out of.

    That is so for every exit (KeyboardInterrupt, SystemExit), for errors that a signal handler raised, and for classes
    that neither greenroom nor its libraries know, if no foreign function stands between.
    """
    if not isinstance(error, Exception):
        return True
    if by_signal(error):
        return True
    innermost: Any = None
    trace = error.__traceback__
    while trace is not None:
        innermost = trace.tb_frame
        trace = trace.tb_next
    if innermost is None or _root(innermost.f_globals.get("__name__")) != _OURS:
        return False
    return _root(type(error).__module__) not in _KNOWN


def by_signal(error: BaseException) -> bool:
    """Return whether a signal handler raised an error. For foreign code this is all that can be known: it may raise any
    class."""
    trace = error.__traceback__
    handlers = _handlers() if trace is not None else set()
    while trace is not None:
        if trace.tb_frame.f_code in handlers:
            return True
        trace = trace.tb_next
    return False


def _root(module: Any) -> str:
    return str(module).partition(".")[0]


def _handlers() -> set[CodeType]:
    """Return the code of the functions that handle signals."""
    found = set()
    for number in _SIGNALS:
        handler: Any = _signal.getsignal(number)
        if handler is None or isinstance(handler, int):  # as nearly all are
            continue
        while hasattr(handler, "func"):  # a partial
            handler = handler.func
        code = getattr(handler, "__code__", None)  # a method has the code of its function
        if code is None:
            code = getattr(vars(type(handler)).get("__call__"), "__code__", None)
        if isinstance(code, CodeType):
            found.add(code)
    return found
