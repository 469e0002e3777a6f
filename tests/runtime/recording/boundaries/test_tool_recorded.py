"""Calls of `@tool` functions are recorded, and answered in a replay without running them."""

from __future__ import annotations

import asyncio
import datetime
import warnings
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import pydantic
import pytest

from greenroom.runtime import ReplayError, tool
from greenroom.runtime.recording.tape.model import Asked, Tape
from greenroom.runtime.recording.tape.player import Player
from greenroom.runtime.recording.tape.recorder import Recorder
from greenroom.runtime.recording.tape.reels import Reel, playing

from ..tape.lists import ListSink

runs: list[str] = []
"""What has really run."""


def recorded(call: Any) -> tuple[Any, Tape]:
    """Return what a call gives while it is recorded, and its tape."""
    runs.clear()
    sink = ListSink()
    recorder = Recorder(sink)
    with playing(recorder):
        value = call()
    recorder.close()
    assert recorder.failure is None
    return value, sink.tape


def replayed(call: Any, tape: Tape) -> Any:
    """Return what a call gives in a replay, in which no tool runs."""
    runs.clear()
    player = Player(tape)
    with playing(player):
        value = call()
    player.end()
    assert player.report.is_exact, player.report.to_dict()
    assert runs == []
    return value


@dataclass
class Receipt:
    order: int
    at: datetime.datetime


class Line(pydantic.BaseModel):
    item: str
    receipt: Receipt


class Refused(Exception):
    def __init__(self, order: int, *, why: str) -> None:
        super().__init__(f"order {order} is refused")
        self.why = why


@tool
def charge(order: int, cents: int = 100) -> Receipt:
    runs.append("charge")
    if order < 0:
        raise Refused(order, why="negative")
    return Receipt(order, datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC))


@tool
async def lines(*orders: int, **more: Any) -> list[Line]:
    runs.append("lines")
    await asyncio.sleep(0)
    return [Line(item=more.get("item", "kettle"), receipt=charge(each)) for each in orders]


@tool
def words(text: str) -> Generator[str, None, int]:
    runs.append("words")
    for each in text.split():
        if each == "stop":
            raise Refused(0, why="stop")
        yield each
    return len(text)


@tool(name="words-later")
async def words_later(text: str) -> AsyncIterator[str]:
    for each in words.__wrapped__(text):  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        yield each


def test_results_come_back_as_what_they_were() -> None:
    value, tape = recorded(lambda: charge(7, cents=5))
    assert runs == ["charge"]
    assert tape.crossings[0].input == {"arguments": {"order": 7, "cents": 5}}
    assert tape.crossings[0].outcome["value"] == {"order": 7, "at": "2026-03-01T00:00:00+00:00"}
    assert replayed(lambda: charge(7, cents=5), tape) == value


def test_exceptions_are_raised_again() -> None:
    def call() -> str:
        with pytest.raises(Refused, match="order -1 is refused") as caught:
            charge(-1)
        return caught.value.why

    value, tape = recorded(call)
    assert replayed(call, tape) == value == "negative"


def test_a_tool_in_a_tool_is_recorded_once() -> None:
    def call() -> list[Line]:
        return asyncio.run(lines(1, 2, item="pan"))

    value, tape = recorded(call)
    assert runs == ["lines", "charge", "charge"]
    assert [each.name for each in tape.crossings] == ["lines"]
    assert tape.crossings[0].input == {"arguments": {"orders": [1, 2], "more": {"item": "pan"}}}
    assert replayed(call, tape) == value
    assert value[1].receipt.order == 2


def test_wrong_arguments_are_an_error_as_without_a_recording() -> None:
    with pytest.raises(TypeError, match="order"):
        recorded(charge)


def gathered(text: str) -> tuple[list[str], str | int]:
    found: list[str] = []
    source = words(text)
    while True:
        try:
            found.append(next(source))
        except StopIteration as end:
            return found, end.value
        except Refused as error:
            return found, error.why


def test_generators_give_the_same_items_value_and_error() -> None:
    for text, last in (("a b c", 5), ("a stop b", "stop"), ("", 0)):
        value, tape = recorded(lambda text=text: gathered(text))
        assert value[1] == last
        assert replayed(lambda text=text: gathered(text), tape) == value


def test_a_generator_that_is_left_early_is_recorded_so_far() -> None:
    def call() -> str:
        source = words("a b c")
        first = next(source)
        source.close()
        return first

    value, tape = recorded(call)
    assert tape.crossings[0].outcome == {"items": ["a"]}
    assert replayed(call, tape) == value == "a"


def test_async_generators_give_the_same_items() -> None:
    async def collect(text: str) -> list[str]:
        found = []
        try:
            async with aclosing(words_later(text)) as source:
                async for each in source:
                    found.append(each)  # noqa: PERF401
        except Refused as error:
            found.append(error.why)
        return found

    for text in ("a b", "a stop"):
        value, tape = recorded(lambda text=text: asyncio.run(collect(text)))
        assert [each.name for each in tape.crossings] == ["words-later"]
        assert replayed(lambda text=text: asyncio.run(collect(text)), tape) == value


def test_methods_are_recorded_without_their_object() -> None:
    class Desk:
        @tool
        def open(self, at: int) -> int:
            runs.append("open")
            return at + 1

    value, tape = recorded(lambda: Desk().open(at=3))
    assert tape.crossings[0].input == {"arguments": {"at": 3}}
    assert replayed(lambda: Desk().open(at=3), tape) == value == 4


def test_what_cannot_be_recorded_reaches_the_program_and_is_told() -> None:
    @tool
    def connect(to: object) -> object:
        return object()

    with pytest.warns(RuntimeWarning, match="the result of tool 'connect' is not recorded"):
        value, tape = recorded(lambda: connect(object()))
    assert type(value) is object
    assert tape.crossings[0].input == {"arguments": {"to": "<builtins.object>"}}
    with pytest.raises(ReplayError, match="the recording does not have its result"):
        replayed(lambda: connect(object()), tape)


def test_it_is_told_once() -> None:
    @tool
    def connect() -> object:
        return object()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        recorded(lambda: [connect(), connect()])
    assert len(caught) == 1


def test_a_call_that_timed_out_times_out_again() -> None:
    @tool
    async def slow() -> str:
        runs.append("slow")
        await asyncio.Event().wait()
        return "never"

    async def call() -> str:
        try:
            async with asyncio.timeout(0.05):
                return await slow()
        except TimeoutError:
            return "timeout"

    value, tape = recorded(lambda: asyncio.run(call()))
    assert tape.crossings[0].outcome["error"]["name"] == "CancelledError"
    assert replayed(lambda: asyncio.run(call()), tape) == value == "timeout"


class Forked(Reel):
    """A reel that records, and changes what tools are called with as a fork does."""

    def __init__(self) -> None:
        self.recorder = Recorder(ListSink())
        self.arguments: dict[str, Any] = {}

    def begin(self, asked: Asked) -> Any:
        return Changed(self.recorder.begin(asked), {"arguments": self.arguments})

    def read(self, *args: Any) -> Any:
        return self.recorder.read(*args)


class Changed:
    def __init__(self, pending: Any, changed: Mapping[str, Any]) -> None:
        self.pending = pending
        self.changed = changed

    def __getattr__(self, name: str) -> Any:
        return getattr(self.pending, name)


def test_patched_arguments_are_what_the_annotations_say() -> None:
    @tool
    def store(line: Line, times: int = 1) -> list[Line]:
        return [line] * times

    reel = Forked()
    line = Line(item="kettle", receipt=Receipt(1, datetime.datetime(2026, 1, 1)))
    plain = {"item": "pan", "receipt": {"order": 2, "at": "2026-01-02T00:00:00"}}
    reel.arguments = {"line": plain, "times": 2}
    with playing(reel):
        assert store(line, times=1) == [Line(item="pan", receipt=Receipt(2, datetime.datetime(2026, 1, 2)))] * 2
        with pytest.raises(ReplayError, match="was called without 'times'"):
            store(line)
        reel.arguments = {"line": {"item": "pan"}}
        with pytest.raises(ReplayError, match="the patched argument 'line' is no Line"):
            store(line)
