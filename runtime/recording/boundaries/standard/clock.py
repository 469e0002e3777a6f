"""The boundary of clocks: what the program's own code reads of the time, and its sleeps."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from sys import _getframe
from types import ModuleType
from typing import Any, Final

from ...tape import sites
from ...tape.reels import active
from ...tape.sites import is_own

__all__ = ["Read", "patch_asyncio", "patch_tasks", "patch_time", "replace_in_own_modules"]

_CLOCKS: Final = (
    "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time",
    "process_time_ns", "thread_time", "thread_time_ns",
)  # fmt: skip
_OF_NOW: Final = {"localtime": 0, "gmtime": 0, "ctime": 0, "asctime": 0, "strftime": 1}
"""Functions that take the time of now unless they are given one, with the number of arguments before it."""
_PATCHED: Final = "__greenroom_original__"
_SHORTEST: Final = 0.0002
"""Seconds that a shortened sleep takes at least: whoever polls must not keep a processor busy."""


class Read:
    """Stands in for a function that reads a clock or the like. It is no function itself: as an attribute of a class it
    is not bound to the instance, just as the built-in that it stands for."""

    def __init__(self, original: Callable[..., Any], kind: str, name: str) -> None:
        self._original = original
        self._kind = kind
        self._name = name
        self.__name__ = self.__qualname__ = name.rpartition(".")[2]
        self.__module__ = name.rpartition(".")[0]
        self.__doc__ = original.__doc__
        self.__greenroom_original__ = original

    def __call__(self) -> Any:
        reel = active()
        if reel is not None:
            frame = _getframe(1)
            code = frame.f_code
            if is_own(code):
                return reel.read(self._kind, self._name, code, frame.f_lineno, self._original)
        return self._original()

    def __reduce__(self) -> str:
        return self.__name__

    def __repr__(self) -> str:
        return repr(self._original)


class _OfNow(Read):
    """Stands in for a function that takes the time of now unless it is given one."""

    def __init__(self, original: Callable[..., Any], name: str, before: int, module: ModuleType) -> None:
        super().__init__(original, "clock", name)
        self._before = before
        self._time: Callable[[], float] = _original_of(module.time)
        self._localtime: Callable[..., Any] = _original_of(module.localtime)

    def __call__(self, *args: Any) -> Any:
        reel = active()
        if reel is None or len(args) > self._before or (args and args[-1] is None and not self._before):
            return self._original(*args)
        frame = _getframe(1)
        if not is_own(frame.f_code):
            return self._original(*args)
        now = reel.read("clock", self._name, frame.f_code, frame.f_lineno, self._time)
        return self._original(*args, now if self._name in _OF_SECONDS else self._localtime(now))


_OF_SECONDS: Final = ("time.localtime", "time.gmtime", "time.ctime")


def patch_time(module: ModuleType) -> None:
    """Patch `time`."""
    if hasattr(module.time, _PATCHED):
        return
    replaced: dict[int, Any] = {}
    for name in _CLOCKS:
        if (original := getattr(module, name, None)) is not None:
            replaced[id(original)] = read = Read(original, "clock", f"time.{name}")
            setattr(module, name, read)
    for name, before in _OF_NOW.items():
        original = getattr(module, name)
        replaced[id(original)] = of_now = _OfNow(original, f"time.{name}", before, module)
        setattr(module, name, of_now)
    replaced[id(module.sleep)] = sleep = _Sleep(module.sleep)
    vars(module)["sleep"] = sleep
    replace_in_own_modules(replaced)


def patch_tasks(module: ModuleType) -> None:
    """Patch `asyncio.tasks`."""
    original = module.sleep
    if hasattr(original, _PATCHED):
        return

    @wraps(original)
    async def sleep(delay: Any, result: Any = None) -> Any:
        return await original(_shortened(delay), result)

    setattr(sleep, _PATCHED, original)
    vars(module)["sleep"] = sleep
    replace_in_own_modules({id(original): sleep})


def patch_asyncio(module: ModuleType) -> None:
    """Patch `asyncio`, which has copies of what its modules have."""
    vars(module)["sleep"] = module.tasks.sleep


def replace_in_own_modules(replaced: dict[int, Any]) -> None:
    """Replace what modules of the program have imported by name already: `from time import time`."""
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and sites.is_own_file(path):
            for name, value in list(vars(module).items()):
                if id(value) in replaced:
                    vars(module)[name] = replaced[id(value)]


class _Sleep(Read):
    """Stands in for `time.sleep`: a replay waits only a part of what was waited when it was recorded."""

    def __init__(self, original: Callable[..., Any]) -> None:
        super().__init__(original, "clock", "time.sleep")

    def __call__(self, seconds: Any, /) -> Any:  # type: ignore[override]
        if active() is not None and sites.place_is_own(_getframe(1)):
            seconds = _shortened(seconds)
        return self._original(seconds)


def _shortened(seconds: Any) -> Any:
    reel = active()
    part = reel.sleep if reel is not None else 1.0
    if part == 1.0 or not isinstance(seconds, int | float) or seconds <= _SHORTEST:
        return seconds
    return max(seconds * part, _SHORTEST)


def _original_of(function: Any) -> Any:
    return getattr(function, _PATCHED, function)
