from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from greenroom.runtime import Runtime
from greenroom.storage.engine.engine import Durability, Engine, EngineOptions

# Fixtures are shared by all examples of a property on purpose: each example makes sessions of its own.
settings.register_profile("greenroom", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.load_profile("greenroom")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--crashes", type=int, default=50, help="how often the crash test kills its writer")
    parser.addoption("--sessions", type=int, default=100_000, help="how many sessions the scale test makes")


def pytest_configure(config: pytest.Config) -> None:
    """Let SIGINT reach the processes that tests start. A shell starts background jobs with it ignored, which would be
    inherited; a handler here makes it the default action there."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class DrivenClock:
    """Time that moves when a test says so."""

    def __init__(self) -> None:
        self.now_ns = 1_800_000_000 * 10**9
        self.seconds = 1000.0

    def time_ns(self) -> int:
        return self.now_ns

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.now_ns += int(seconds * 10**9)
        self.seconds += seconds


@pytest.fixture
def clock() -> DrivenClock:
    return DrivenClock()


@pytest.fixture
def store_path(tmp_path: Path) -> Path:
    """Where a store may be made."""
    return tmp_path / "store"


@pytest.fixture
def rt() -> Iterator[Runtime]:
    """An open runtime on a temporary store."""
    with Runtime.open() as runtime:
        yield runtime


@pytest.fixture
def on_disk(store_path: Path) -> Callable[[], AbstractContextManager[Engine]]:
    """Opens the bytes below a closed runtime on `store_path`, to look at them and to damage them."""

    @contextlib.contextmanager
    def opened() -> Iterator[Engine]:
        engine = Engine(store_path, Durability.WAL, EngineOptions())
        try:
            yield engine
        finally:
            engine.close()

    return opened
