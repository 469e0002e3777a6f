"""Recordings that tests make up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from greenroom.runtime.replay.config import ReplayConfig
from greenroom.runtime.replay.controls.breakpoints import Passed
from greenroom.storage.errors import ReplayError
from greenroom.storage.events.model import StoredEvent

__all__ = ["Course"]

SECOND = 10**9


@dataclass
class Moment:
    sequence: int
    events: list[tuple[int, StoredEvent]]
    error: BaseException | None = None
    seen: Any = None

    def state(self) -> Any:
        return self.seen


@dataclass
class Past:
    variables: dict[str, Any]
    sequence: int


@dataclass
class Result:
    total: int
    stopped: str | None = None
    session_id: str = "session"
    comparisons: tuple[Any, ...] = ()
    comparisons_left_out: int = 0
    captured: Any = None


@dataclass
class Course:
    """A recording in which event n sets k to n, a second after the one before."""

    length: int
    session_id: str = "session"
    config: ReplayConfig = field(default_factory=ReplayConfig)
    begin: int = 0
    gate: Callable[[int], object] = lambda sequence: None
    """Is called before each step."""
    replayed: list[int] = field(default_factory=list)
    types: dict[int, str] = field(default_factory=dict)
    data: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def last(self) -> int:
        return self.length

    def steps(self) -> Iterator[Passed]:
        for sequence in range(1, self.length + 1):
            self.gate(sequence)
            self.replayed.append(sequence)
            yield self._moment(sequence)

    def again(self, after: int, upto: int) -> Iterator[Passed]:
        for sequence in range(after + 1, upto + 1):
            yield self._moment(sequence)

    def _moment(self, sequence: int) -> Moment:
        stored = StoredEvent(
            self.types.get(sequence, "variable.set"), sequence * SECOND, self.data.get(sequence, {}), sequence, 0, 0
        )
        return Moment(sequence, [(sequence, stored)], seen=self.state(sequence))

    def state(self, sequence: int) -> Any:
        if not sequence:
            raise ReplayError("nothing is replayed yet")
        return Past({"k": sequence}, sequence)

    def time(self, sequence: int) -> int | None:
        return sequence * SECOND if 0 < sequence <= self.length else None

    def result(self) -> Any:
        return Result(sum(self.replayed))
