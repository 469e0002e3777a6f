"""Give threads, tasks, and work for pools their lanes, and threads the reel of whoever starts them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from sys import _getframe
from types import FrameType, ModuleType
from typing import Any, Final

from ...tape import lanes
from ...tape.reels import Reel, active, playing, scoped

__all__ = ["patch_futures", "patch_loops", "patch_threading", "patch_uvloop", "watch_threads"]

_PATCHED: Final = "__greenroom_original__"
_told: Callable[[FrameType], None] | None = None
"""What is told of each frame that starts a thread."""


def watch_threads(tell: Callable[[FrameType], None]) -> None:
    """Have each frame told that starts a thread."""
    global _told
    _told = tell


def patch_threading(module: ModuleType) -> None:
    """Patch `threading`."""
    start, run = module.Thread.start, "run"
    if hasattr(start, _PATCHED):
        return

    @wraps(start)
    def started(self: Any) -> None:
        current = active()
        if current is not None:
            lanes.started_by(lanes.current(), self)
            if _told is not None:
                _told(_getframe(1))
            if current.stirs:
                _stir(self, current)
            reel = scoped()
            if reel is not None and not _is_of_pool(self):
                own_run = self.run

                def run_with_reel() -> None:
                    self.__dict__.pop(run, None)
                    with playing(reel):
                        own_run()

                self.run = run_with_reel
        start(self)

    setattr(started, _PATCHED, start)
    module.Thread.start = started


def _stir(thread: Any, reel: Reel) -> None:
    """Have a thread wait a while before it runs."""
    own_run = thread.run

    def run_stirred() -> None:
        thread.__dict__.pop("run", None)
        reel.stir()
        own_run()

    thread.run = run_stirred


def _is_of_pool(thread: Any) -> bool:
    """Return whether a thread works for a pool: it outlives what started it, and gets the reel with each work."""
    target = getattr(thread, "_target", None)
    return getattr(target, "__module__", None) == "concurrent.futures.thread"


def patch_futures(module: ModuleType) -> None:
    """Patch `concurrent.futures.thread`."""
    submit = module.ThreadPoolExecutor.submit
    if hasattr(submit, _PATCHED):
        return

    @wraps(submit)
    def submitted(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        if active() is None:
            return submit(self, fn, *args, **kwargs)
        lane = lanes.current().child(getattr(fn, "__qualname__", None) or type(fn).__qualname__)
        reel = scoped()
        if reel is None:
            return submit(self, lanes.work, lane, fn, *args, **kwargs)

        def with_reel(*args: Any, **kwargs: Any) -> Any:
            with playing(reel):
                return fn(*args, **kwargs)

        return submit(self, lanes.work, lane, with_reel, *args, **kwargs)

    setattr(submitted, _PATCHED, submit)
    module.ThreadPoolExecutor.submit = submitted


def patch_loops(module: ModuleType) -> None:
    """Patch `asyncio.base_events`."""
    _patch_create_task(module.BaseEventLoop)


def patch_uvloop(module: ModuleType) -> None:
    """Patch `uvloop`."""
    _patch_create_task(module.Loop)


def _patch_create_task(loop: Any) -> None:
    create_task = loop.create_task
    if hasattr(create_task, _PATCHED):
        return

    @wraps(create_task)
    def created(self: Any, coro: Any, **kwargs: Any) -> Any:
        if active() is None or kwargs.get("context") is not None:
            return create_task(self, coro, **kwargs)
        name = getattr(coro, "__qualname__", None) or type(coro).__qualname__
        with lanes.entered(lanes.current().child(name)):
            return create_task(self, coro, **kwargs)

    setattr(created, _PATCHED, create_task)
    loop.create_task = created
