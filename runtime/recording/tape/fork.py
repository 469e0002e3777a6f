"""The reel of a fork: it answers what stands on a tape, and then goes on live, as a recorder."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import CodeType
from typing import Any, Final, TypeVar

from . import sites
from .matching.calls import Call, Claim
from .model import Asked, Crossing, Sink, Tape
from .player import Played, Player
from .recorder import Recorder
from .reels import Pending, Reel

__all__ = ["LATER", "Changes", "ForkReel"]

T = TypeVar("T")

Changes = Callable[[Asked], Mapping[str, Any] | None]
"""Returns the fields of the input of a live call that are to be other; None: none is."""

LATER: Final = "later"
"""The entry in what is known of a tape that has the keys of the steps behind it: calls that go live."""
_RUNNING_ON: Final = ("time.monotonic", "time.perf_counter", "time.process_time", "time.thread_time")
"""Clocks that have no meaning but their differences: after the fork they go on from where the recording left them."""


class ForkReel(Reel):
    """Answers the calls of a tape, which is that of the run up to the fork, and then goes on live.

    What is answered goes to the sink too, so that what the sink has is a recording of its own. As long as calls of the
    tape are left that the program's lane has not made, nothing of this lane goes live: a call that fits none of them
    raises ReplayError.

    Live calls need what the recorded ones did not: keys, and a network. Whoever makes a fork says so before.
    """

    def __init__(
        self,
        tape: Tape,
        sink: Sink,
        *,
        changes: Changes | None = None,
        strict: bool = False,
        process: int = 0,
        claim: Claim | None = None,
        is_claimed: Claim = lambda _: False,
    ) -> None:
        """Make the reel of one process. `changes` says what live calls are made with, in place of what the program
        gives. `claim` is that of `Player`, for the processes that the program has started; `is_claimed` says whether
        any process has taken a crossing."""
        self._player = Player(tape, strict=strict, process=process, claim=claim)
        self._is_claimed = is_claimed
        self._is_shared = claim is not None and any(each.process not in (0, process) for each in tape.crossings)
        self._later: frozenset[bytes] = frozenset(tape.about.get(LATER) or ()) if claim is not None else frozenset()
        left = self._player.left()
        self._left = len(left)
        self._recorder = Recorder(
            sink,
            process=process,
            after_number=max((crossing.number for crossing in left), default=0),
            after_tick=max((max([crossing.began, *crossing.ticks]) for crossing in left), default=0),
        )
        self._changes = changes
        self._offsets: dict[str, Any] = {}
        self._lock = threading.RLock()
        self.report = self._player.report
        self.live = 0
        """How many calls have gone live."""

    def begin(self, asked: Asked) -> Pending:
        """Answer a crossing, or have it made live. Raises ReplayError if it fits none of those that the program has to
        make first."""
        if self._left or self._is_shared:
            call = self._player.call_of(asked)
            played = self._answer(call)
            if played is not None:
                return played
        with self._lock:
            self.live += 1
            changed = self._changes(asked) if self._changes is not None else None
        pending = self._recorder.begin(asked)
        if changed:
            pending.change(changed, self._player.call_of(asked).key)
        return pending

    def unrecorded(self, what: str, name: str) -> None:
        """Refuse what no recording holds as long as recorded calls are left to be made."""
        if self._left:
            self._player.unrecorded(what, name)

    def read(self, kind: str, name: str, code: CodeType, line: int, live: Callable[[], T]) -> T:
        """Return the recorded value as long as recorded calls are left to be made, and then one of now."""
        if self._left:
            value = self._player.read(kind, name, code, line, live)
        else:
            value = live()
            if kind == "clock" and name.removesuffix("_ns") in _RUNNING_ON:
                value = self._running_on(name, value)
        self._recorder.note(kind, name, sites.place_of(code, line), value)
        return value

    def end(self) -> None:
        """End the recording, and the report of what was replayed."""
        self._player.end()
        self._recorder.close()

    @property
    def sleep(self) -> float:
        """The part of its sleeps that the program sleeps."""
        return self._player.sleep if self._left else 1.0

    @property
    def waiting(self) -> int:
        """How many crossings of the tape nobody has asked for."""
        return self._left

    @property
    def recorder(self) -> Recorder:
        """The recorder that goes on."""
        return self._recorder

    def _answer(self, call: Call) -> Played | None:
        with self._lock:
            if call.key in self._later and not self._has(call):
                return None  # which worker of a pool does which work is not the same in each run
            found = self._player.take(call, own_lane=True)
            if found is None:
                left = [each for each in self._player.left() if not self._is_claimed(each)]
                if any(crossing.lane == call.lane for crossing in left):
                    raise self._player.stop(call)
                return None
            self._left = len(self._player.left())
        played = self._player.answer(call, found)
        self._recorder.keep(self._copied(self._player.crossing(found.at), call))
        return played

    def _has(self, call: Call) -> bool:
        """Return whether the tape has just this call, and nobody has taken it."""
        return any(each.key == call.key and not self._is_claimed(each) for each in self._player.left(everywhere=True))

    def _copied(self, crossing: Crossing, call: Call) -> Crossing:
        """Return what the fork's own recording has of a call that was answered: with the input of now. It stays the
        call of the process that has made it in the recording."""
        return replace(crossing, place=call.place, lane=call.lane, input=call.input, key=call.key)

    def _running_on(self, name: str, value: Any) -> Any:
        offset = self._offsets.get(name)
        if offset is None:
            last = self._player.last_time(name)
            offset = self._offsets[name] = 0 if last is None else last - value
        return value + offset
