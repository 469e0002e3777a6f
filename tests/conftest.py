from __future__ import annotations

import contextlib
import gc
import os
import shutil
import signal
import tempfile
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


_MEMORY = Path("/dev/shm")
_ROOM = 2 << 30
"""A run needs about 300 MB, as what passes is removed at once."""


def _work_in_memory(config: pytest.Config) -> None:
    """Make all stores in memory, where there is room: opening one waits for the disk five times as long as it works,
    and what a killed process leaves is in the kernel's hands either way. TMPDIR says otherwise; processes that are
    started inherit it, the workers of a run too."""
    if "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK) or shutil.disk_usage(_MEMORY).free < _ROOM:
        return
    for old in _MEMORY.glob("greenroom-run-*"):  # of runs that are over: it is memory that they take
        if not Path("/proc", old.name.split("-")[2]).exists():
            shutil.rmtree(old, ignore_errors=True)
    made = tempfile.mkdtemp(prefix=f"greenroom-run-{os.getpid()}-", dir=_MEMORY)
    os.chmod(made, 0o755)  # tests that become another user walk through it, as through /tmp
    os.environ["TMPDIR"] = made
    tempfile.tempdir = None  # found anew
    config.stash[_made] = Path(made)


_made = pytest.StashKey[Path]()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep what failed, to be looked at until the next run."""
    if exitstatus == pytest.ExitCode.OK and (made := session.config.stash.get(_made, None)):
        session.config.add_cleanup(lambda: shutil.rmtree(made, ignore_errors=True))


def pytest_configure(config: pytest.Config) -> None:
    """Let SIGINT reach the processes that tests start. A shell starts background jobs with it ignored, which would be
    inherited; a handler here makes it the default action there."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _work_in_memory(config)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave what collecting has made out of all garbage collections to come: it stays, and takes 0.3 s each time."""
    gc.collect()
    gc.freeze()


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
