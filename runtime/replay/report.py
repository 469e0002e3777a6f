"""Gather what a replay finds on its way into a result."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from blake3 import blake3

from greenroom.actors.replay.folding import Fold
from greenroom.actors.replay.step import Check, Pair, Step
from greenroom.actors.replay.traces import Trace
from greenroom.actors.session.projection import LOST
from greenroom.actors.session.state.model import SessionState
from greenroom.storage.codec.records import Json, unpack_value
from greenroom.storage.errors import GreenroomError
from greenroom.storage.events.model import ENCODED_FIELDS, PUBLISHED, Load, StoredEvent, shown_type

from .captures import Captures
from .fields import large_fields_of, with_field
from .result import (
    Difference,
    Divergence,
    DriftedAnswer,
    EventComparison,
    ReplayFault,
    ReplayResult,
    SnapshotCheck,
)

if TYPE_CHECKING:
    from .config import ReplayConfig

__all__ = ["Report", "differences_of"]

_MOST: Final = 1000
"""How many errors, and how many answers, a result keeps."""
_MOST_DIFFERENCES: Final = 32
"""How many differences of one event are told."""
_DEPTH: Final = 32
_MOST_LOADED: Final = 16 << 20
"""The bytes of contents that are read to tell differences. Beyond that, their hashes are told."""


class Report:
    """Takes the steps of one replay, and returns its result at any moment."""

    def __init__(self, session_id: str, config: ReplayConfig, state: SessionState, load: Load) -> None:
        """`state` is the one in which the replay begins; `load` reads contents."""
        self._load = load
        self._left_to_load = _MOST_LOADED
        self._session_id = session_id
        self._config = config
        self._state = self._recorded = state
        self._begun = time.perf_counter()
        self._times: list[int] = []
        self._first = self._last = 0
        self._events = self._operations = 0
        self._taken = self._unproven = 0
        self._different = False
        self._checks: list[SnapshotCheck] = []
        self._comparisons: list[EventComparison] = []
        self._left = config.max_comparisons
        self._left_differing = config.max_comparisons
        self._left_out = 0
        self._kinds: Counter[str] = Counter()
        self._types: Counter[str] = Counter()
        self._errors: list[ReplayFault] = []
        self._answers: list[DriftedAnswer] = []
        self.captured = Captures(session_id, config.max_captured_bytes)
        self.divergence: Divergence | None = None
        self.stopped: Any = None
        """Why the replay ended before its end; None if it did not."""
        self._stopped_at: int | None = None
        self._lost: int | None = None
        """The first event that was lost to damage."""
        self._reason: str | None = None

    def take(self, step: Step) -> None:
        """Take the next step."""
        if not self._first:
            self._first = step.first
            self._times = [step.time, step.time]
        self._last, self._times[1] = step.last, step.time
        self._events += len(step.operation)
        self._operations += 1
        self._taken += step.taken
        self._unproven += step.unproven
        self._state, self._recorded = step.state, step.recorded_state
        for sequence, stored in step.operation:
            self._types[stored.type] += 1
            if stored.type == LOST and self._lost is None:
                self._lost = sequence
        if step.refusals or step.answers:
            self._take_faults(step)
        if step.equal and not self._left:
            self._kinds["equal"] += len(step.pairs)
            self._left_out += len(step.pairs) if self._config.compare_results else 0
        else:
            for pair in step.pairs:
                self._compare(pair)
        if step.check is not None:
            self.check(step.check)
        if self._config.mode == "debug":
            self.captured.take(step.last, step.state)

    def _take_faults(self, step: Step) -> None:
        for refusal in step.refusals:
            fault = ReplayFault(refusal.sequences, refusal.error.code, str(refusal.error))
            if len(self._errors) < _MOST:
                self._errors.append(fault)
            if self.divergence is None:
                stored = dict(step.operation)[fault.sequence]
                self.divergence = Divergence(fault.sequence, shown_type(stored.type), f"it is refused: {fault.message}")
        for answer in step.answers:
            if answer.match != "exact" and len(self._answers) < _MOST:
                request = answer.request
                same = all(pair.equal for pair in step.pairs if pair.sequence == answer.sequence)
                self._answers.append(DriftedAnswer(answer.sequence, request.kind, request.name, answer.match, same))

    def _compare(self, pair: Pair) -> None:
        kind, differences = _compared(pair, self._loaded)
        self._kinds[kind] += 1
        stored = pair.recorded if pair.recorded is not None else pair.replayed
        assert stored is not None
        sequence = pair.sequence if pair.sequence is not None else pair.place
        assert sequence is not None
        if kind != "equal":
            self._different = True
            if self.divergence is None:
                self.divergence = Divergence(sequence, shown_type(stored.type), _REASONS[kind], differences)
        if not self._config.compare_results:
            return
        if self._left:
            self._left -= 1
        elif kind != "equal" and self._left_differing:
            self._left_differing -= 1
        else:
            self._left_out += 1
            return
        self._comparisons.append(EventComparison(kind, shown_type(stored.type), pair.sequence, pair.place, differences))

    def _loaded(self, digest: bytes) -> bytes | None:
        """Return a content, as long as there were not too many: the differences of the events hold them."""
        if self._left_to_load <= 0:
            return None
        content = self._load(digest)
        self._left_to_load -= len(content or b"")
        return content

    def check(self, check: Check) -> None:
        """Take the check of a snapshot on the way."""
        equal = check.intact and check.replayed == check.recorded
        self._checks.append(
            SnapshotCheck(
                check.sequence,
                check.snapshot.hex(),
                check.recorded.hex(),
                check.replayed.hex(),
                check.intact,
                equal,
            )
        )

    def found(self, traced: Trace | None, at: int) -> None:
        """Note where the journal and the snapshot at an event go apart, unless something before differs already. An
        event that was lost to damage explains everything after it."""
        if self._lost is not None:
            reason = "the event was lost to damage, and the snapshot after it knows more than the journal"
            self._diverge(Divergence(self._lost, LOST, reason))
        elif traced is None:
            self._diverge(Divergence(at, "", "the snapshot after this event is not what the journal gives"))
        else:
            self._explain(traced)

    def _diverge(self, divergence: Divergence) -> None:
        if self.divergence is None or self.divergence.sequence > divergence.sequence:
            self.divergence = divergence

    def _explain(self, traced: Trace) -> None:
        reason = "the snapshot after it says otherwise: the event is not what it was, or not all events are there"
        told = tuple(
            Difference(path, _told(path, snapshot), _told(path, journal))
            for path, (snapshot, journal) in list(traced.differences.items())[:_MOST_DIFFERENCES]
        )
        self._diverge(Divergence(traced.sequence, shown_type(traced.type), reason, told))

    def stop(self, why: str, at: int | None, reason: str | None = None) -> None:
        """Note that the replay has ended before its end."""
        self.stopped, self._stopped_at, self._reason = why, at, reason

    def fail(self, error: GreenroomError) -> None:
        """Note the damage at which the replay has ended."""
        at = error.fields.get("sequence")
        self.stop("damage", at if type(at) is int else self._last + 1, str(error))

    def take_fold(self, fold: Fold) -> None:
        """Take what a replay that only folds has gone through."""
        state = self._state = self._recorded = fold.state
        self._first, self._last, self._events = fold.begin + 1 if fold.events else 0, state.sequence, fold.events
        self._operations = state.operation_count
        self._times = [fold.first_time, state.updated_at] if fold.events else []

    def result(self, unused: tuple[str, ...] = ()) -> ReplayResult:
        """Return what was found so far."""
        replayed = blake3(self._state.encode()).hexdigest()
        recorded = replayed if self._recorded is self._state else blake3(self._recorded.encode()).hexdigest()
        intact = all(each.intact for each in self._checks)
        same = not self._different and not self._errors and replayed == recorded and intact
        times = self._times
        return ReplayResult(
            session_id=self._session_id,
            mode=self._config.mode,
            identical=same and self.stopped is None and self.divergence is None,
            first=self._first,
            last=self._last,
            events=self._events,
            operations=self._operations,
            digest=replayed,
            recorded_digest=recorded,
            checks=tuple(self._checks),
            comparisons=tuple(self._comparisons),
            comparisons_left_out=self._left_out,
            counts=dict(self._kinds),
            types={shown_type(each): count for each, count in sorted(self._types.items())},
            divergence=self.divergence,
            errors=tuple(self._errors),
            answers=tuple(self._answers),
            taken=self._taken,
            unproven=self._unproven,
            unused=unused,
            stopped=self.stopped,
            stopped_at=self._stopped_at,
            reason=self._reason,
            duration=time.perf_counter() - self._begun,
            recorded_duration=(times[1] - times[0]) / 1e9 if times else 0.0,
            captured=self.captured,
            _state=SessionState.decode(self._session_id, self._state.encode()),
        )


_REASONS: Final = {
    "changed": "the replay has made another event",
    "moved": "the replay has the event at another place, or with other totals or ids",
    "missing": "the replay has no such event",
    "added": "the replay has an event more",
}


def _compared(pair: Pair, load: Load) -> tuple[Any, tuple[Difference, ...]]:
    """Return the kind of a comparison, and the differences."""
    recorded, replayed = pair.recorded, pair.replayed
    if pair.equal:
        return "equal", ()
    if recorded is None:
        return "added", ()
    if replayed is None:
        return "missing", ()
    if recorded.type == replayed.type and recorded.data == replayed.data and recorded.time == replayed.time:
        told = differences_of(_envelope(recorded), _envelope(replayed))
        if pair.sequence != pair.place:
            told = (Difference("sequence", pair.sequence, pair.place), *told)
        return "moved", told
    for name in (*large_fields_of(recorded), *large_fields_of(replayed)):
        if recorded.data.get(f"{name}_hash") != replayed.data.get(f"{name}_hash"):
            recorded, replayed = (_with_field(each, name, load) for each in (recorded, replayed))
    return "changed", differences_of(
        {"type": shown_type(recorded.type), **_envelope(recorded), "data": _readable(recorded)},
        {"type": shown_type(replayed.type), **_envelope(replayed), "data": _readable(replayed)},
    )


def _with_field(stored: StoredEvent, name: str, load: Load) -> StoredEvent:
    data = with_field(stored, name, load) if name in large_fields_of(stored) else None
    return stored._replace(data=data) if data is not None else stored


def _envelope(stored: StoredEvent) -> dict[str, Json]:
    operations, artifacts, size = stored.totals
    return {
        "time": stored.time,
        "operation_count": operations,
        "artifact_count": artifacts,
        "artifact_bytes": size,
        "context": stored.context,
    }


def _readable(stored: StoredEvent) -> dict[str, Json]:
    """Return the data of an event with its values decoded."""
    data = dict(stored.data)
    for name in ENCODED_FIELDS.get(stored.type, ()):
        if isinstance(data.get(name), bytes):
            data[name] = unpack_value(data[name])
    if PUBLISHED in data:
        data = unpack_value(data[PUBLISHED])
    return data


def differences_of(recorded: Json, replayed: Json) -> tuple[Difference, ...]:
    """Return the places at which two values differ, at most 32."""
    found: list[Difference] = []
    _differ("", recorded, replayed, found, _DEPTH)
    return tuple(found[:_MOST_DIFFERENCES])


def _differ(path: str, one: Json, other: Json, found: list[Difference], depth: int) -> None:
    if len(found) >= _MOST_DIFFERENCES:
        return
    if depth and isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(each for each in other if each not in one)]:
            _differ(f"{path}.{key}" if path else key, one.get(key), other.get(key), found, depth - 1)
    elif depth and isinstance(one, list) and isinstance(other, list):
        for at in range(max(len(one), len(other))):
            here = one[at] if at < len(one) else None
            there = other[at] if at < len(other) else None
            _differ(f"{path}.{at}", here, there, found, depth - 1)
    elif type(one) is not type(other) or one != other:
        found.append(Difference(path, _plain(one), _plain(other)))


def _told(path: str, value: Any) -> Json:
    """Return a fact of a state as users see it."""
    if isinstance(value, bytes) and (path.startswith("variables.") or path in ("metadata", "config")):
        return _plain(unpack_value(value))
    return _plain(value)


def _plain(value: Json) -> Json:
    return value.hex() if isinstance(value, bytes) else value
