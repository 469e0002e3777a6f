"""The clock of the engine: one thread while scripts run, none otherwise."""

from __future__ import annotations

import os
import threading
import time

import pytest

from greenroom.scripting.js import ticker as ticker_module
from greenroom.scripting.js.ticker import PERIOD, Ticker


def _wait_until(condition: object) -> None:
    assert callable(condition)
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_it_ticks_while_a_script_runs_and_makes_up_for_lateness() -> None:
    ticks: list[float] = []
    ticker = Ticker(lambda: ticks.append(time.monotonic()))
    began = time.monotonic()
    with ticker.running():
        _wait_until(lambda: len(ticks) >= 20)
    assert time.monotonic() - began >= 19 * PERIOD


def test_one_thread_for_all_scripts_and_none_when_they_have_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticker_module, "_IDLE", 0.02)
    ticker = Ticker(lambda: None)
    assert ticker.thread is None
    with ticker.running():
        first = ticker.thread
        assert first is not None
        assert first.daemon
        with ticker.running():
            assert ticker.thread is first
    _wait_until(lambda: ticker.thread is None)
    _wait_until(lambda: not first.is_alive())
    with ticker.running():
        assert ticker.thread is not None


def test_it_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticker_module, "_IDLE", 0.01)
    ticks: list[int] = []
    ticker = Ticker(lambda: ticks.append(1))
    ticker.keep()
    kept = ticker.thread
    with ticker.running():
        _wait_until(lambda: ticks)
        with ticker.paused():
            pass
    time.sleep(0.05)
    assert ticker.thread is kept
    assert kept is not None
    assert kept.is_alive()


def test_it_starts_anew_in_a_child_process() -> None:
    ticks: list[int] = []
    ticker = Ticker(lambda: ticks.append(1))
    with ticker.running():
        _wait_until(lambda: ticks)
        child = os.fork()
        if child == 0:  # pragma: no cover
            ticks.clear()
            fresh = ticker.thread is None
            with ticker.running():
                time.sleep(20 * PERIOD)
            os._exit(0 if fresh and ticks else 1)
        assert os.waitpid(child, 0)[1] == 0
    assert threading.active_count() >= 1
