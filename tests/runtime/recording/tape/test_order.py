"""Concurrent calls are answered in the order in which they ended when they were recorded."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.runtime.recording.boundaries.install import install
from greenroom.runtime.recording.tape.model import Asked, Crossing, Tape
from greenroom.runtime.recording.tape.player import Player
from greenroom.runtime.recording.tape.recorder import Recorder
from greenroom.runtime.recording.tape.reels import active, playing

from .lists import ListSink

install()


async def acall(name: str, pieces: int, turn: Callable[[str], Any]) -> list[int]:
    """Call through a boundary that gives pieces. `turn` is waited for before each when it is recorded."""
    reel = active()
    assert reel is not None
    pending = reel.begin(Asked("tool", name, {"pieces": pieces}))
    got = []
    for piece in pending.recorded["value"] if pending.recorded is not None else range(pieces):
        if pending.recorded is None:
            await turn(name)
        await pending.atick()
        got.append(piece)
        SEEN.append((name, piece))
    if pending.recorded is None:
        pending.finish({"value": got})
    return got


SEEN: list[tuple[str, int]] = []


class Turns:
    """Lets calls go on in a given order."""

    def __init__(self, order: list[str]) -> None:
        self.order = order
        self.at = 0
        self.changed = asyncio.Condition()

    async def __call__(self, name: str) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: self.at < len(self.order) and self.order[self.at] == name)
            self.at += 1
            self.changed.notify_all()


async def together(names: list[str], pieces: int, turn: Callable[[str], Any]) -> list[tuple[str, int]]:
    SEEN.clear()
    await asyncio.gather(*[acall(name, pieces, turn) for name in names])
    return list(SEEN)


@settings(max_examples=40)
@given(st.data())
def test_pieces_of_concurrent_calls_come_in_the_recorded_order(data: Any) -> None:
    names = [f"call{n}" for n in range(data.draw(st.integers(1, 6)))]
    pieces = data.draw(st.integers(1, 3))
    order = data.draw(st.permutations([name for name in names for _ in range(pieces)]))
    sink = ListSink()
    with playing(Recorder(sink)):
        recorded = asyncio.run(together(names, pieces, Turns(list(order))))
    assert [name for name, _ in recorded] == order
    player = Player(sink.tape)
    with playing(player):
        assert asyncio.run(together(names, pieces, Turns([]))) == recorded
    assert player.end().is_exact, player.report.drifts


def test_a_thousand_tasks_get_their_answers_in_order() -> None:
    names = [f"call{n}" for n in range(1000)]
    crossings = [
        Crossing(n + 1, "tool", name, "", f"lane{n}", {"pieces": 1}, {"value": [0]}, n + 1, [3000 - n])
        for n, name in enumerate(names)
    ]
    player = Player(Tape({"exit_code": 0}, crossings))
    with playing(player):
        seen = asyncio.run(together(names, 1, Turns([])))
    assert [name for name, _ in seen] == list(reversed(names))
    assert player.end().is_exact


def call(name: str, before: threading.Event | None, after: threading.Event | None) -> str:
    reel = active()
    assert reel is not None
    pending = reel.begin(Asked("tool", name, {}))
    if pending.recorded is None and before is not None:
        assert before.wait(30)
    pending.tick()
    DONE.append(name)
    if pending.recorded is None:
        pending.finish({"value": name})
    if after is not None:
        after.set()
    return name


DONE: list[str] = []


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
def test_threads_get_their_answers_in_the_recorded_order(order: list[int]) -> None:
    def program(events: list[threading.Event | None]) -> list[str]:
        DONE.clear()
        turn = {each: at for at, each in enumerate(order)}
        with ThreadPoolExecutor(4) as pool:
            for n in range(4):
                pool.submit(call, f"call{n}", events[turn[n]], events[turn[n] + 1])
        return list(DONE)

    sink = ListSink()
    with playing(Recorder(sink)):
        recorded = program([None, *[threading.Event() for _ in order]])
    assert recorded == [f"call{n}" for n in order]
    player = Player(sink.tape)
    with playing(player):
        assert program([None] * 5) == recorded
    assert player.end().is_exact, player.report.drifts


def test_threads_started_in_a_block_belong_to_it() -> None:
    def program() -> None:
        threads = [threading.Thread(target=call, args=(f"call{n}", None, None)) for n in range(3)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()

    sink = ListSink()
    with playing(Recorder(sink)):
        program()
    assert {crossing.lane for crossing in sink.tape.crossings} == {"main/call#1", "main/call#2", "main/call#3"}
    player = Player(sink.tape)
    with playing(player):
        program()
    assert player.end().is_exact


def test_a_lane_that_does_something_else_is_waited_for_only_so_long() -> None:
    def crossing(number: int, lane: str, began: int, tick: int) -> Crossing:
        return Crossing(number, "tool", f"call{number}", "", lane, {}, {"value": number}, began, [tick])

    tape = Tape({"exit_code": 0}, [crossing(1, "main", 1, 4), crossing(2, "other", 2, 3)])
    player = Player(tape, patience=0.05)
    pending = player.begin(Asked("tool", "call1", {}))
    pending.tick()
    assert pending.recorded == {"value": 1}
    assert [drift.what for drift in player.end().drifts] == ["moved", "order", "unused"]


def test_an_answer_that_the_program_dropped_holds_up_nobody() -> None:
    def crossing(number: int, lane: str, began: int, ticks: list[int]) -> Crossing:
        return Crossing(number, "tool", f"call{number}", "", lane, {}, {"value": number}, began, ticks)

    tape = Tape({"exit_code": 0}, [crossing(1, "main", 1, [5]), crossing(2, "other", 2, [3, 4])])
    player = Player(tape, patience=60)
    first = player.begin(Asked("tool", "call1", {}))
    player.begin(Asked("tool", "call2", {})).tick()
    first.tick()
    assert not player.report.order


def test_trio_tasks_get_their_answers_in_order() -> None:
    trio = pytest.importorskip("trio")

    async def program(names: list[str]) -> list[tuple[str, int]]:
        SEEN.clear()
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(acall, name, 2, None)
        return list(SEEN)

    crossings = [
        Crossing(1, "tool", "a", "", "a", {"pieces": 2}, {"value": [0, 1]}, 1, [4, 6]),
        Crossing(2, "tool", "b", "", "b", {"pieces": 2}, {"value": [0, 1]}, 2, [3, 5]),
    ]
    player = Player(Tape({"exit_code": 0}, crossings))
    with playing(player):
        assert trio.run(program, ["a", "b"]) == [("b", 0), ("a", 0), ("b", 1), ("a", 1)]


def test_a_call_that_holds_its_event_loop_does_not_wait_for_other_tasks_of_it() -> None:
    async def program() -> None:
        reel = active()
        assert reel is not None

        async def waiting() -> None:
            pending = reel.begin(Asked("tool", "a", {}))
            await pending.atick()

        async def holding() -> None:
            reel.begin(Asked("tool", "b", {})).tick()

        await asyncio.gather(waiting(), holding())

    crossings = [
        Crossing(1, "tool", "a", "", "a", {}, {"value": 0}, 1, [4]),
        Crossing(2, "tool", "b", "", "b", {}, {"value": 0}, 2, [6]),
        Crossing(3, "tool", "c", "", "c", {}, {"value": 0}, 3, []),
    ]
    player = Player(Tape({"exit_code": 0}, crossings), patience=0.2)
    with playing(player):
        asyncio.run(asyncio.wait_for(program(), 60))
    assert player.report.exact == 2
