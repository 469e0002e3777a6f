from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from greenroom.runtime import Runtime

from ...conftest import DrivenClock


@pytest.fixture(scope="module")
def time() -> DrivenClock:
    """The clock of `shared_rt`."""
    return DrivenClock()


@pytest.fixture(scope="module")
def shared_rt(time: Any) -> Iterator[Runtime]:
    """One runtime for all tests of a module; each makes sessions of its own."""
    with Runtime.open(clock=time) as runtime:
        yield runtime
