from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from greenroom.runtime import Runtime

BOUND = 20.0


@pytest.fixture
def opened(clock: Any) -> Iterator[Callable[..., Runtime]]:
    """Opens runtimes on the driven clock, whose timers do nothing by themselves: tests call `tick`."""
    runtimes: list[Runtime] = []

    def open_one(path: Any = None, **settings: Any) -> Runtime:
        runtimes.append(Runtime.open(path, config=settings, clock=clock))
        runtimes[-1].core.timers.close(BOUND)
        return runtimes[-1]

    yield open_one
    for runtime in runtimes:
        runtime.close()


@pytest.fixture
def tick() -> Callable[..., None]:
    """Do what is due in a runtime, until nothing is."""

    def tick(rt: Runtime) -> None:
        for _ in range(100):
            if not rt.policies.timekeeper.tick():
                return
            for info in rt.list_sessions(limit=None):
                rt.session(info.id).info()  # its answer tells that what was sent before has been handled
        raise AssertionError("the timekeeper finds no end")

    return tick
