"""The player: a reel that answers what crosses a boundary from a tape, offline."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from types import CodeType
from typing import Any, Final, TypeVar

from greenroom.storage.errors import ReplayError, shown

from . import lanes, sites
from .endings import cut_of
from .matching.calls import Call, Calls, Claim, Found
from .matching.difference import difference
from .matching.order import Order
from .matching.reads import MISSING, Values
from .model import Asked, Crossing, Reads, Tape, key_of
from .reels import Partial, Reel
from .report import Drift, ReplayReport, Tally
from .secrets.redacting import Redactor, redactor_of

__all__ = ["Played", "Player"]

T = TypeVar("T")

PATIENCE: Final = 10.0
_STIR: Final = 0.005
"""Seconds."""
_STIRRED: Final = 8
"""Threads in a row that are delayed by different times."""
_SLEEP: Final = 0.001
"""Sleeps are shortened all alike, so that what was to come first still does."""


class Player(Reel):
    """Answers from the tape of one process. Safe for threads.

    ```python
    player = Player(tape)
    set_process_reel(player)  # or: with playing(player)
    ...
    player.end()
    print(player.report)
    ```

    A call that nothing recorded fits stops the replay: it and all later ones raise the same ReplayError, as the program
    may have caught the first.
    """

    def __init__(
        self,
        tape: Tape,
        *,
        strict: bool = False,
        patience: float = PATIENCE,
        process: int = 0,
        claim: Claim | None = None,
        sleep: float = _SLEEP,
        redactor: Redactor | None = None,
        answered: Callable[[], None] | None = None,
        lenient: bool = False,
        stirred: bool = False,
    ) -> None:
        """Make a player. With `strict`, nothing is answered that was recorded for another input. `patience` is how many
        seconds an answer waits for others that came before it when they were recorded. `process` says whose part of a
        tape of several processes is played.

        `claim` takes a crossing for this process, and returns whether no other has it. With it, a call that nothing of
        its own process fits is answered by what another of the started processes got for the very same: which worker
        of a pool does which work is not the same in each run.

        `sleep` is the part of its sleeps that the program sleeps. `redactor` removes secrets from what is asked, by
        default by the rules that are kept with the recording. `answered` is called after each answer, and when the
        report has more. `lenient` answers what nothing fits with what comes nearest, even if it has answered already,
        to find out what else a program does. `stirred` delays threads, those that come first the most, to find out
        whether their order matters."""
        self._lenient = lenient
        self._stirred = stirred
        self._stirs = itertools.count()
        self._sleep = sleep
        self._answered = answered
        self.report = Tally()
        self.about = tape.about
        self._redactor = redactor if redactor is not None else redactor_of(tape.about)
        self._strict = strict
        self._crossings = sorted(
            (crossing for crossing in tape.crossings if crossing.process == process), key=lambda each: each.number
        )
        self._calls = Calls(self._crossings, claim)
        self._elsewhere: Calls | None = None
        self._others: list[Crossing] = []
        self._last_of: dict[tuple[int, str], int] = {}
        if claim is not None:
            self._others = [each for each in tape.crossings if each.process not in (0, process)]
            self._elsewhere = Calls(self._others, claim)
        self._values = Values(reads for reads in tape.reads if reads.process == process)
        self._of_tasks = Values(_of_tasks(tape) if claim is not None else ())
        self._order = Order(self._crossings, patience, of_worker=claim is not None)
        self._last_clock: dict[str, Any] = {}
        self._stopped: ReplayError | None = None
        self._told: set[tuple[str, str, str]] = set()
        self._lock = threading.RLock()
        self._ended = False

    @property
    def sleep(self) -> float:
        """The part of its sleeps that the program sleeps."""
        return self._sleep

    def begin(self, asked: Asked) -> Played:
        """Answer a crossing: see `Reel`. Raises ReplayError if nothing that was recorded fits."""
        call = self.call_of(asked)
        found = self.take(call)
        if found is None:
            if self._lenient and (crossing := self._calls.nearest(call)) is not None:
                return self._answer_again(call, crossing)
            raise self.stop(call)
        return self.answer(call, found)

    def call_of(self, asked: Asked) -> Call:
        """Return what is looked for: what secrets were removed from is looked for without them."""
        if self._redactor is not None:
            asked = self._redactor.asked(asked)
        kind, name, input, _ = asked
        return Call(kind, name, sites.place(), lanes.current().name, key_of(*asked), input)

    def take(self, call: Call, *, own_lane: bool = False) -> Found | None:
        """Return the crossing that answers a call, and use it up; None if there is none. Raises the ReplayError that
        has stopped the replay. With `own_lane`, one of another input fits only if it is of the same lane."""
        with self._lock:
            if self._stopped is not None:
                raise self._stopped
            if self._elsewhere is None:
                return self._calls.take(call, strict=self._strict, own_lane=own_lane)
            found = self._calls.take(call, strict=True) or self._elsewhere_for(call)
            return found or self._calls.take(call, strict=self._strict, own_lane=own_lane)

    def _elsewhere_for(self, call: Call) -> Found | None:
        """Return a crossing of another process, behind all of this one."""
        found = self._elsewhere.take(call, strict=True) if self._elsewhere is not None else None
        return found._replace(at=found.at + len(self._crossings)) if found is not None else None

    def stop(self, call: Call) -> ReplayError:
        """Stop the replay because nothing fits a call. Return the error that says so."""
        with self._lock:
            self._stopped = self._missing(call)
        self._tell_changed()
        return self._stopped

    def crossing(self, at: int) -> Crossing:
        """Return a recorded crossing by its index."""
        own = len(self._crossings)
        return self._crossings[at] if at < own else self._others[at - own]

    def last_time(self, name: str) -> Any:
        """Return the last time that a recorded clock has given; None if it gave none."""
        return self._last_clock.get(name)

    def answer(self, call: Call, found: Found) -> Played:
        """Answer a call with the crossing that was found, and report how well it fits."""
        crossing = self.crossing(found.at)
        report = self.report
        if found.is_same:
            with self._lock:
                report.exact += 1
            if not found.is_same_place:
                report.tell(self._drift(call, crossing, "moved", f"recorded at {crossing.place}"))
        else:
            report.tell(self._drift(call, crossing, "drifted", difference(crossing.input, call.input)))
        if (new := found.before) is not None:
            told = (
                f"it was not recorded, and got the answer of number {crossing.number}, which the program asked for too"
            )
            report.tell(self._drift(new, crossing, "missing", told))
        self._tell_order(call, crossing)
        self._order.begin(found.at)
        self._tell_changed()
        return Played(self, found.at, crossing)

    def _tell_order(self, call: Call, crossing: Crossing) -> None:
        """Report a call that its thread or task made after another that it had made later when it was recorded."""
        if crossing.lane != call.lane:
            return
        with self._lock:
            of = crossing.process, call.lane
            last = self._last_of.get(of, 0)
            self._last_of[of] = max(last, crossing.number)
        if crossing.number < last:
            self.report.tell(self._drift(call, crossing, "order", f"made after call {last}, and recorded before it"))

    def _answer_again(self, call: Call, crossing: Crossing) -> Played:
        """Answer a call that nothing recorded fits with a crossing that comes near, out of all order."""
        self.report.tell(self._drift(call, crossing, "missing", difference(crossing.input, call.input)))
        self._tell_changed()
        return Played(self, len(self._crossings) + len(self._others), crossing)

    @property
    def stirs(self) -> bool:
        """Whether threads are delayed."""
        return self._stirred

    def stir(self) -> None:
        """Delay this thread, if threads are delayed: the first the most."""
        if self._stirred and threading.current_thread() is not threading.main_thread():
            threading.Event().wait(_STIR * (_STIRRED - next(self._stirs) % _STIRRED))

    def read(self, kind: str, name: str, code: CodeType, line: int, live: Callable[[], T]) -> T:
        """Return the recorded value of a quick read. One that was not recorded is reported, and gets a clock's last
        recorded time, or a value of now. Raises ReplayError if the player is strict."""
        place = sites.place_of(code, line)
        with self._lock:
            value, is_same_place = self._recorded_value(kind, name, place, lanes.current().name)
            if value is not MISSING:
                self.report.reads += 1
                if kind == "clock":
                    self._last_clock[name] = value
                if not is_same_place:
                    self._tell_once(kind, name, place, "moved")
                return value  # type: ignore[no-any-return]
            if self._strict:
                self._stopped = self._stopped or ReplayError(
                    f"the program reads {name} at {place} more often than when it was recorded: record anew, or replay"
                    " without --strict",
                    kind=kind,
                    name=name,
                    place=place,
                )
                self.report.refused = str(self._stopped)
                self._tell_changed()
                raise self._stopped
            self._tell_once(kind, name, place, "missing")
            if name in self._last_clock:
                return self._last_clock[name]  # type: ignore[no-any-return]
        return live()

    def _recorded_value(self, kind: str, name: str, place: str, lane: str) -> tuple[Any, bool]:
        """Return what was recorded of a read; of a task of a pool, what the worker read that did it then."""
        if self._elsewhere is not None and lane.startswith(lanes.TASK):
            return self._of_tasks.take(kind, name, place, lane, own_lane=True)
        return self._values.take(kind, name, place, lane)

    def unrecorded(self, what: str, name: str) -> None:
        """Refuse what no recording holds, and report it once. Raises ReplayError. The replay goes on, since it may be a
        library's own, such as that of traces."""
        place = sites.place()
        with self._lock:
            self._tell_once("network", f"{what} {name}", place, "missing")
        raise ReplayError(
            f"the program uses a {what}, {name}, at {place or 'an unknown place'}, which no recording holds, and a"
            " replay calls nobody. Use it in a function marked with @tool, and record anew",
            kind="network",
            name=name,
            place=place,
        )

    def end(self) -> ReplayReport:
        """Report what was recorded and not asked for. Return the report."""
        with self._lock:
            if not self._ended:
                self._ended = True
                if self._elsewhere is not None:
                    return self.report  # other processes may still ask for it
                for crossing in self._calls.unused():
                    self.report.tell(Drift(crossing.kind, crossing.name, crossing.place, crossing.number, "unused"))
        return self.report

    @property
    def waiting(self) -> int:
        """How many crossings nobody has asked for."""
        return self._calls.waiting

    @property
    def stopped(self) -> ReplayError | None:
        """The error that has stopped the replay, if anything has."""
        return self._stopped

    def left(self, *, everywhere: bool = False) -> list[Crossing]:
        """Return the crossings that nobody has asked for; also those of other processes, if they may answer this
        one, with `everywhere`."""
        with self._lock:
            others = self._elsewhere.unused() if everywhere and self._elsewhere is not None else []
            return [*self._calls.unused(), *others]

    def _drift(self, call: Call, crossing: Crossing, what: Any, difference: str) -> Drift:
        return Drift(call.kind, call.name, call.place, crossing.number, what, difference)

    def _tell_once(self, kind: str, name: str, place: str, what: Any) -> None:
        """Report a read that was not recorded so, once for each place: a loop may make thousands."""
        if (what, name, place) not in self._told:
            self._told.add((what, name, place))
            self.report.tell(Drift(kind, name, place, 0, what))
            self._tell_changed()

    def _tell_changed(self) -> None:
        if self._answered is not None:
            self._answered()

    def _missing(self, call: Call) -> ReplayError:
        near = self._calls.near(call)
        told = f"the nearest recordings are {', '.join(near)}" if near else f"no {call.kind} call was recorded"
        cut = cut_of(self.about)
        error = ReplayError(
            f"nothing was recorded for {call.kind} {shown(call.name, 160)} at {call.place or 'an unknown place'}, and a"
            f" replay calls nobody: {told}{f'; {cut}' if cut else ''}. Record anew, or fork to go on live",
            kind=call.kind,
            name=call.name,
            place=call.place,
        )
        self.report.refused = str(error)
        self.report.tell(Drift(call.kind, call.name, call.place, 0, "missing"))
        return error


def _of_tasks(tape: Tape) -> Iterator[Reads]:
    """Yield what tasks of pools have read, in whichever process."""
    for reads in tape.reads:
        if reads.process and (of_tasks := [each for each in reads.reads if each[3].startswith(lanes.TASK)]):
            yield Reads(of_tasks, reads.process)


class Played:
    """A crossing that is answered from the tape."""

    __slots__ = ("_at", "_crossing", "_player", "_position", "recorded")

    changed: Mapping[str, Any] | None = None

    def __init__(self, player: Player, at: int, crossing: Crossing) -> None:
        self.recorded: Mapping[str, Any] | None = crossing.outcome
        self._player = player
        self._at = at
        self._crossing = crossing
        self._position = 0

    def tick(self) -> None:
        """Wait until it is the turn of what the program gets next."""
        self._position += 1
        self._tell(self._player._order.wait(self._at, self._position))
        self._player.stir()

    async def atick(self) -> None:
        """Do the same without holding the event loop."""
        self._position += 1
        self._tell(await self._player._order.wait_async(self._at, self._position))

    def watch(self, partial: Partial) -> None:
        """Do nothing: it is on the tape."""

    def finish(self, outcome: Mapping[str, Any]) -> None:
        """Do nothing: it is on the tape."""

    def fail(self, error: BaseException) -> None:
        """Do nothing: it is on the tape."""

    def _tell(self, late: str | None) -> None:
        if late is not None:
            crossing = self._crossing
            told = f"handed over before what lane {late} had got before it"
            self._player.report.tell(
                Drift(crossing.kind, crossing.name, crossing.place, crossing.number, "order", told)
            )

    def __del__(self) -> None:
        self._player._order.drop(self._at)
