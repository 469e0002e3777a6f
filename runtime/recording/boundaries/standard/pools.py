"""Give the tasks of pools lanes of their own, that are the same in each run, whichever worker does which of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial, wraps
from types import ModuleType
from typing import Any, Final

from ...tape import lanes
from ...tape.reels import active

__all__ = ["patch_executor", "patch_pool"]

_PATCHED: Final = "__greenroom_original__"


def patch_pool(module: ModuleType) -> None:
    """Patch `multiprocessing.pool`."""
    worker = module.worker
    if hasattr(worker, _PATCHED):
        return
    raises = module._helper_reraises_exception

    def placed(task: Any) -> Any:
        if task is None or task[2] is raises:
            return task
        job, number, call, args, kwargs = task
        return job, number, _in_lane(f"pool {job}.{number}", call), args, kwargs

    @wraps(worker)
    def working(inqueue: Any, *rest: Any, **more: Any) -> Any:
        return worker(_Tasks(inqueue, placed), *rest, **more)

    setattr(working, _PATCHED, worker)
    vars(module)["worker"] = working


def patch_executor(module: ModuleType) -> None:
    """Patch `concurrent.futures.process`."""
    worker, init = module._process_worker, module.ProcessPoolExecutor.__init__
    if hasattr(worker, _PATCHED):
        return

    def placed(item: Any) -> Any:
        if item is not None:
            item.fn = _in_lane(f"executor {_Numbered.here}.{item.work_id}", item.fn)
        return item

    @wraps(worker)
    def working(queue: Any, *rest: Any, **more: Any) -> Any:
        return worker(_Tasks(queue, placed), *rest, **more)

    @wraps(init)
    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        if active() is not None:
            self._initializer = _Numbered(next(_executors), self._initializer)

    setattr(working, _PATCHED, worker)
    vars(module)["_process_worker"] = working
    module.ProcessPoolExecutor.__init__ = made


_executors: Final = itertools.count(1)


class _Numbered:
    """Initializes a worker: notes which executor of the program it works for."""

    here = 0

    def __init__(self, number: int, own: Callable[..., object] | None) -> None:
        self._number = number
        self._own = own

    def __call__(self, *args: Any) -> None:
        _Numbered.here = self._number
        if self._own is not None:
            self._own(*args)


class _Tasks:
    """The queue that a worker takes its tasks from."""

    def __init__(self, queue: Any, placed: Callable[[Any], Any]) -> None:
        self._queue = queue
        self._placed = placed

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """Return the next task, to be done in a lane of its own."""
        return self._placed(self._queue.get(*args, **kwargs))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)


def _in_lane(number: str, call: Callable[..., Any]) -> Callable[..., Any]:
    return partial(_done, number, call)


def _done(number: str, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    if active() is None:
        return call(*args, **kwargs)
    here = lanes.current()
    return lanes.work(lanes.Lane(f"{lanes.TASK}{number}", owner=here.owner), call, *args, **kwargs)
