"""Many sessions in little memory, and many threads on few sessions."""

from __future__ import annotations

import bisect
import itertools
import os
import random
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime, Session

FOREVER = 1 << 62


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.timeout(900)
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc to see the memory in use")
def test_many_sessions_live_in_the_memory_of_few(store_path: Path, request: pytest.FixtureRequest) -> None:
    wanted = request.config.getoption("sessions", 100_000)
    chance = random.Random(1)
    config = {"max_resident_sessions": 1000, "write_buffer_bytes": 16 << 20, "block_cache_bytes": 8 << 20}
    with Runtime.open(store_path, config=config) as runtime:
        threads, memory = threading.active_count(), _resident_bytes()
        ids = [runtime.create_session(name=f"number {number}").id for number in range(wanted)]
        assert runtime.stats()["resident"] <= 1000
        visits: dict[int, int] = defaultdict(int)
        for _ in range(wanted // 5):
            number = chance.randrange(wanted)
            session = runtime.session(ids[number])
            assert session.get("visits", 0) == visits[number]
            visits[number] += 1
            session.set("visits", visits[number])
        assert threading.active_count() <= threads
        # What a session is in memory takes 1.7 kB and more: if all stayed, 100 000 of them would take over 170 MB.
        assert _resident_bytes() - memory < 100 << 20
        stats = runtime.stats()
        assert stats["resident"] <= 1000
        assert stats["activations"] > 0.9 * (wanted // 5)
        assert runtime.count_sessions() == wanted
    with Runtime.open(store_path, config=config) as runtime:
        for number in chance.sample(range(wanted), 1000):
            session = runtime.session(ids[number])
            assert session.get("visits", 0) == visits[number]
            assert session.info().name == f"number {number}"


# -- each session's journal is a serial order that explains every reply


@dataclass(frozen=True)
class Call:
    """What one thread asked of one session, what it heard, and when, in ticks of a clock that all threads share."""

    kind: str
    key: str
    value: Any
    began: int
    ended: int


class Order:
    """The serial order of one session's changes, and the times at which each was certainly done or not yet begun."""

    def __init__(self, session: Session, calls: list[Call]) -> None:
        self._events = list(session.events())
        self._calls = sorted(calls, key=lambda call: call.ended)
        self._positions: dict[str, int] = {}
        self._history: dict[str, list[tuple[int, Any]]] = defaultdict(lambda: [(0, None)])
        for event in self._events:
            if event.type == "variable.set":
                assert event.data["value"] not in self._positions, "a change was journaled twice"
                self._positions[event.data["value"]] = event.sequence
                self._history[event.data["key"]].append((event.sequence, event.data["value"]))

    def explain(self) -> None:
        """Every reply fits: a position in the journal can be given to each call, in the order of their times."""
        assert [event.sequence for event in self._events] == list(range(1, len(self._events) + 1))
        writes = [call for call in self._calls if call.kind in ("set", "message")]
        assert len(self._events) == 1 + len(writes)
        starts = sorted((call.began, self._position(call)) for call in writes)
        # next_position[i]: the first change among the writes that began i-th or later
        upcoming = list(itertools.accumulate((at for _, at in reversed(starts)), min, initial=FOREVER))[::-1]
        ends: list[int] = []
        done: list[int] = []  # the furthest position that was certainly reached when the call with this end had ended
        for call in self._calls:
            before = bisect.bisect_left(ends, call.began)
            low = done[before - 1] if before else 1
            high = upcoming[bisect.bisect_right(starts, (call.ended, FOREVER))] - 1
            position = self._fit(call, low, high)
            ends.append(call.ended)
            done.append(max(position, done[-1] if done else 1))

    def _position(self, call: Call) -> int:
        return int(call.value) if call.kind == "message" else self._positions[call.value]

    def _fit(self, call: Call, low: int, high: int) -> int:
        """The first position from low to high that explains the call's reply."""
        if call.kind in ("set", "message"):
            position = self._position(call)
            assert low < position <= high
            return position
        if call.kind == "info":
            assert low <= call.value <= high
            return int(call.value)
        observed = {call.key: call.value} if call.kind == "get" else {key: call.value.get(key) for key in KEYS}
        for key, value in observed.items():
            history = self._history[key]
            at = next(index for index, (_, each) in enumerate(history) if each == value)
            low = max(low, history[at][0])
            if at + 1 < len(history):
                high = min(high, history[at + 1][0] - 1)
        assert low <= high, "no moment in the journal has these values"
        return low


KEYS = ("a", "b", "c")


@pytest.fixture
def eager_switching() -> Iterator[None]:
    """Threads take turns far more often than usual."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("eager_switching")
@pytest.mark.parametrize("resident", [1000, 5])
def test_a_serial_order_explains_what_200_threads_hear_from_50_sessions(resident: int) -> None:
    tick = itertools.count(1).__next__
    with Runtime.open(config={"max_resident_sessions": resident}) as runtime:
        sessions = [runtime.create_session() for _ in range(50)]
        calls: dict[str, list[Call]] = {session.id: [] for session in sessions}
        ready = threading.Barrier(200)

        def hammer(number: int) -> None:
            chance = random.Random(number)
            ready.wait(60)
            for count in range(60):
                session, key = chance.choice(sessions), chance.choice(KEYS)
                kind = chance.choice(("set", "set", "get", "get", "message", "info", "all"))
                began = tick()
                value: Any
                if kind == "set":
                    value = f"{number}/{count}"
                    session.set(key, value)
                elif kind == "get":
                    value = session.get(key)
                elif kind == "message":
                    value = session.add_message("user", "x").sequence
                elif kind == "info":
                    value = session.info().sequence
                else:
                    value = session.variables()
                calls[session.id].append(Call(kind, key, value, began, tick()))

        with ThreadPoolExecutor(200) as pool:
            list(pool.map(hammer, range(200)))
        for session in sessions:
            Order(session, calls[session.id]).explain()
        assert runtime.verify().problems == []
