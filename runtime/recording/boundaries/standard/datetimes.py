"""The boundary of `datetime`: what the program's own code reads of the time as a date.

The type stays the same: only its methods `now` and `utcnow` are replaced, in its own dictionary. So `isinstance`,
pickling, subclasses, and `from datetime import datetime` that ran before all go on as they were. `datetime.today` and
`date.today` ask `time.time` themselves.
"""

from __future__ import annotations

import gc
from sys import _getframe
from types import ModuleType
from typing import Any, Final

from ...tape.reels import active
from ...tape.sites import is_own

__all__ = ["patch_datetime"]

_PATCHED: Final = "__greenroom_original__"
_MICRO: Final = 1_000_000
"""Microseconds in a second. The quotient is exact enough for each microsecond until the year 2106."""


def patch_datetime(module: ModuleType) -> None:
    """Patch `datetime`. Where Python does not let it be, that is logged, and these reads are not recorded."""
    kind: Any = module.datetime
    held = vars(kind)
    if hasattr(getattr(held["now"], "__func__", None), _PATCHED):
        return
    methods = {"now": _now(held["now"], module), "utcnow": _utcnow(held["utcnow"], module)}
    try:
        own: Any = gc.get_referents(held)[0]
        before = {name: own[name] for name in methods}
        own.update({name: classmethod(method) for name, method in methods.items()})
        _modified(kind)
        if any(getattr(kind, name).__func__ is not method for name, method in methods.items()):
            own.update(before)
            raise TypeError("the type keeps its own methods")
        _modified(kind)
    except Exception as error:
        from greenroom.storage.common.logs import logger_of

        logger_of("recording").warning("datetime.now() is not recorded: this Python does not allow it (%s)", error)


def _modified(kind: type) -> None:
    """Have Python forget what it knows of a type."""
    import ctypes

    ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))


def _now(original: Any, module: ModuleType) -> Any:
    def now(cls: Any, tz: Any = None) -> Any:
        reel = active()
        if reel is not None:
            frame = _getframe(1)
            if is_own(frame.f_code):
                stamp = reel.read("clock", "datetime.now", frame.f_code, frame.f_lineno, microseconds)
                return cls.fromtimestamp(stamp / _MICRO, tz)
        return original(cls, tz)

    microseconds = _microseconds()
    now.__doc__ = original.__doc__
    setattr(now, _PATCHED, original)
    return now


def _utcnow(original: Any, module: ModuleType) -> Any:
    def utcnow(cls: Any) -> Any:
        reel = active()
        if reel is not None:
            frame = _getframe(1)
            if is_own(frame.f_code):
                stamp = reel.read("clock", "datetime.utcnow", frame.f_code, frame.f_lineno, microseconds)
                return cls.fromtimestamp(stamp / _MICRO, utc).replace(tzinfo=None)
        return original(cls)

    microseconds = _microseconds()
    utc = module.timezone.utc
    utcnow.__doc__ = original.__doc__
    setattr(utcnow, _PATCHED, original)
    return utcnow


def _microseconds() -> Any:
    import time

    time_ns: Any = getattr(time.time_ns, _PATCHED, time.time_ns)
    return lambda: time_ns() // 1000
