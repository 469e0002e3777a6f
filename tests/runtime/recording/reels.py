"""Reels that keep crossings in a list, for tests of boundaries alone."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import CodeType
from typing import Any, TypeVar

import msgpack

from greenroom.runtime.recording.tape.held.errors import held_error
from greenroom.runtime.recording.tape.model import Asked
from greenroom.runtime.recording.tape.reels import Partial, Reel, playing
from greenroom.storage.errors import ReplayError

__all__ = ["ListPlayer", "ListRecorder", "Made", "playback", "recording"]

T = TypeVar("T")


class Made:
    """A crossing in a list."""

    recorded: Mapping[str, Any] | None = None
    changed: Mapping[str, Any] | None = None

    def __init__(self, asked: Asked) -> None:
        self.kind, self.name, self.input, self.key = asked
        self.ticks = 0
        self.outcome: dict[str, Any] = {}

    def tick(self) -> None:
        self.ticks += 1

    async def atick(self) -> None:
        self.ticks += 1

    def watch(self, partial: Partial) -> None:
        """Ends with the program here."""

    def finish(self, outcome: Mapping[str, Any]) -> None:
        assert not self.outcome, "it has ended already"
        self.outcome = msgpack.unpackb(msgpack.packb(outcome))

    def fail(self, error: BaseException) -> None:
        self.finish({"error": held_error(error)})


class ListRecorder(Reel):
    def __init__(self) -> None:
        self.made: list[Made] = []

    def begin(self, asked: Asked) -> Made:
        self.made.append(Made(asked._replace(input=msgpack.unpackb(msgpack.packb(asked.input)))))
        return self.made[-1]

    def read(self, kind: str, name: str, code: CodeType, line: int, live: Callable[[], T]) -> T:
        return live()


class ListPlayer(ListRecorder):
    def __init__(self, made: list[Made]) -> None:
        super().__init__()
        self.left: dict[bytes | None, deque[Made]] = defaultdict(deque)
        for each in made:
            self.left[each.key].append(each)

    def begin(self, asked: Asked) -> Made:
        if not self.left[asked.key]:
            raise ReplayError(f"{asked.name} has no recording left")
        recorded = self.left[asked.key].popleft()
        made = super().begin(asked)
        made.recorded = recorded.outcome
        return made


@contextmanager
def recording() -> Iterator[ListRecorder]:
    reel = ListRecorder()
    with playing(reel):
        yield reel
    assert all(each.outcome for each in reel.made), "each crossing has ended"


@contextmanager
def playback(recorded: ListRecorder) -> Iterator[ListPlayer]:
    reel = ListPlayer(recorded.made)
    with playing(reel):
        yield reel
    assert not any(reel.left.values()), "all that was recorded was asked for"
