"""Replay a session: decide every recorded operation again, and compare the events with those in the journal.

The replay is a plain generator. It reads the journal and holds no turn, no lock and no thread, and it never touches the
live session. What comes from outside is answered by a boundary; the clock gives the times of the events; what commands
look up is what the replay itself has made so far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgpack
from blake3 import blake3

from greenroom.actors.messages.core import PendingEvent
from greenroom.actors.session.decisions.decide import DECIDERS
from greenroom.actors.session.projection import ARTIFACT_STORED, LOST
from greenroom.actors.session.state.approvals import pending_of
from greenroom.actors.session.state.evolve import evolve
from greenroom.actors.session.state.limits import UNLIMITED, Limits, limits_of
from greenroom.actors.session.state.model import ACTIVE, SUSPENDED, SessionState
from greenroom.storage.catalog.model import STATUSES
from greenroom.storage.errors import GreenroomError, IntegrityError, InvalidSessionState, ReplayError
from greenroom.storage.events.model import StoredEvent, new_event

from .boundary import Answer, Boundary, JournalBoundary, RecordedClock, Recording, Request
from .history import History
from .lookups import Lookups
from .operations import Operation, Part, counts, operations, parts
from .places import Places
from .step import Check, Pair, Refusal, Step

__all__ = ["ENDLESS", "Edit", "Fold", "replay"]

ENDLESS: Final = Limits(
    max_artifacts=UNLIMITED,
    max_storage_bytes=UNLIMITED,
    max_collected_artifacts=UNLIMITED,
    max_collected_bytes=UNLIMITED,
    max_records=UNLIMITED,
    max_record_bytes=UNLIMITED,
    max_state_bytes=UNLIMITED,
    alert_thresholds=(),
)
"""The limits under those that a session itself sets: what the runtime allowed then is not recorded, and what it allows
today does not matter."""

Edit = Callable[[int, StoredEvent], StoredEvent]
"""Returns a recorded event as it is to be replayed: the same object if nothing is to change. Given its sequence too."""

_CALLED: Final = {"tool.called": "tool", "agent.called": "agent"}
_RETURNED: Final = {"tool.returned": "tool", "agent.returned": "agent"}
_OPEN: Final = (ACTIVE, SUSPENDED)
_MOST_CALLS: Final = 10_000
"""How many calls may be without a return at a time. Those of crashed processes stay so for good."""

# Only built-in values are packed, so no Python code runs while the shared packer works.
_pack: Final[Callable[[Any], bytes]] = msgpack.Packer(unicode_errors="surrogatepass").pack


def replay(
    past: History,
    boundary: Boundary | None = None,
    *,
    after: int | None = None,
    upto: int | None = None,
    edit: Edit | None = None,
) -> Iterator[Step]:
    """Replay a session, and yield a step for each recorded operation.

    `boundary` answers for tools and agents, by default from the journal. `after` is the sequence after which the replay
    begins, by default at the beginning of the past; `upto` is the last sequence. `edit` changes recorded events before
    they are replayed.

    Raises IntegrityError where the journal is damaged, with the `sequence`; ReplayError for a moment that is not there,
    and for a request that the boundary cannot answer; SessionNotFound.
    """
    return _Replay(past, boundary or JournalBoundary(), after, upto, edit).steps()


class Fold:
    """Folds the journal without deciding anything."""

    def __init__(self, past: History, *, upto: int | None = None) -> None:
        self._past = past
        self.begin = 0 if past.first <= 1 else past.first
        self._end = past.last if upto is None else upto
        self.state = past.state(self.begin) if self.begin else SessionState(past.id, past.session)
        self.first_time = 0
        self.events = 0

    def checks(self) -> Iterator[Check]:
        """Fold on, and yield a check for each snapshot on the way. Raises IntegrityError with the `sequence` of
        damage."""
        past, state = self._past, self.state
        digests = past.digests(self.begin, self._end)
        following = next(digests, (0, b""))
        for sequence, stored in past.events(self.begin, self._end):
            _evolve(state, sequence, stored)
            self.events += 1
            if self.events == 1:
                self.first_time = stored.time
            if sequence == following[0]:
                yield _check(past, *following, state, state)
                following = next(digests, (0, b""))


def _check(past: History, sequence: int, snapshot: bytes, recorded: SessionState, replayed: SessionState) -> Check:
    digest = blake3(recorded.encode()).digest()
    other = digest if replayed is recorded else blake3(replayed.encode()).digest()
    intact = digest == snapshot
    if not intact:  # older versions kept fewer facts in a snapshot
        found = past.store.journal.snapshot(past.session, sequence)
        intact = found is not None and recorded.agrees(found.state)
    return Check(sequence, snapshot, digest, other, intact)


def _evolve(state: SessionState, sequence: int, stored: StoredEvent) -> None:
    try:
        evolve(state, sequence, stored)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _misshapen(state.id, sequence, stored) from error


def _misshapen(session_id: str, sequence: int, stored: StoredEvent) -> IntegrityError:
    return IntegrityError(
        f"event {sequence} of session {session_id} does not have the form of {stored.type}; run verify",
        session_id=session_id,
        sequence=sequence,
    )


class _Replay:
    """One replay on its way."""

    def __init__(
        self, past: History, boundary: Boundary, after: int | None, upto: int | None, edit: Edit | None
    ) -> None:
        self._past = past
        self._boundary = boundary
        self._edit = edit
        first = past.first
        self._begin = after if after is not None else (0 if first <= 1 else first)
        self._end = past.last if upto is None else upto
        self.state = past.state(self._begin) if self._begin else SessionState(past.id, past.session)
        self.recorded = self.state
        """The state that the journal gives; the same object until something is different."""
        self._clock = RecordedClock()
        self._places = Places(past.id)
        self._lookups = Lookups(past, self._places, self._clock)
        self._config: bytes | None = None
        self._limits = ENDLESS
        self._calls: dict[int, tuple[Request, Request]] = {}
        """The calls that have not returned, by their sequences in the replay: as recorded, and as replayed."""
        self._totals = self.state.totals
        """The recorded totals before the event that is next."""
        self._uncertain = self.state.certain is not None
        self._pairs: list[Pair] = []
        self._refusals: list[Refusal] = []
        self._answers: list[Answer] = []
        self._taken = self._unproven = 0
        self._number = self._time = 0
        """The number and the time of the present operation."""

    def steps(self) -> Iterator[Step]:
        past, begin, end = self._past, self._begin, self._end
        for sequence, stored in past.events(0, begin) if begin else ():
            self._lookups.project(sequence, stored, recorded=True)
            if stored.type in _CALLED:
                self._note_call(sequence, stored, stored)
            elif stored.type in _RETURNED:
                self._calls.pop(stored.data["call"], None)
            self._uncertain = self._uncertain or stored.type == LOST
        digests = past.digests(begin, end)
        following = next(digests, None)
        for operation in operations(past.events(begin, end)):
            step = self._step(operation)
            if following is not None and step.last >= following[0]:
                if step.last == following[0]:
                    step.check = _check(past, *following, self.recorded, self.state)
                following = next(digests, None)
            yield step

    def _step(self, operation: Operation) -> Step:
        state, (sequence, first) = self.state, operation[0]
        self._pairs, self._refusals, self._answers = [], [], []
        pairs = self._pairs
        self._taken = self._unproven = 0
        self._number = state.operation_count
        if sequence != self._begin + 1 or first.operation_count != self._number or first.time != state.updated_at:
            self._number += counts(operation, self._totals[0])
        # else retention has cut the journal within this operation, which is counted already
        self._time = self._clock.at = max(first.time, state.updated_at)
        try:
            group = operation if self._edit is None and not self._places.moved else self._asked(operation)
            if len(group) > 1 or first.type.startswith("approval."):
                self._clock.at = self._time_of_questions(group)
            for part in parts(group, state, self._lookups):
                self._perform(part, group, operation)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, GreenroomError):
                raise
            raise _misshapen(state.id, sequence, first) from error
        equal = len(pairs) == 1 or all(pair.equal for pair in pairs)
        return Step(
            operation,
            pairs,
            equal and pairs[0].equal,
            state,
            self.recorded,
            tuple(self._refusals),
            tuple(self._answers),
            None,
            self._taken,
            self._unproven,
        )

    def _asked(self, operation: Operation) -> Operation:
        """Return the events of an operation as they are to be replayed: edited, and at their places in this replay.
        An event that names something which is not there is refused."""
        group: Operation = []
        for sequence, stored in operation:
            try:
                edited = self._edit(sequence, stored) if self._edit is not None else stored
                group.append((sequence, self._places.in_replay(edited)))
            except ReplayError as error:
                self._refused([(sequence, stored)], error)
        return group

    def _time_of_questions(self, group: Operation) -> int:
        """Return the time at which an operation about questions was decided: a moment before its events were journaled.
        A question that expired in between was still pending."""
        now = self._time
        expired = {stored.data["approval"] for _, stored in group if stored.type == "approval.expired"}
        for asked, (expires, _) in pending_of(self.state).items():
            if expires is not None and expires <= now and asked not in expired:
                now = expires - 1
        return now

    def _perform(self, part: Part, group: Operation, operation: Operation) -> None:
        """Decide a part of an operation, or take it as it was recorded, and journal its events."""
        asked = group[part.begin : part.end] if len(group) > 1 else group
        recorded = asked
        if group is not operation:
            there = dict(operation)
            recorded = [(sequence, there[sequence]) for sequence, _ in asked]
        command = part.command
        drafts: list[PendingEvent] | None = None
        if command is not None:
            if asked[0][1].type in _RETURNED:
                command.data = self._outcome(asked[0][0], asked[0][1])  # type: ignore[attr-defined]
            if self.state.config is not self._config:
                self._config = self.state.config
                self._limits = limits_of(self._config, ENDLESS)
            try:
                drafts = DECIDERS[command.__class__](self.state, command, self._limits, self._lookups)
            except GreenroomError as error:
                if not self._uncertain:
                    self._refused(recorded, error)
                    return
            if self._uncertain and (drafts is None or not _alike(drafts, asked)):
                self._unproven += len(asked)
                drafts = None
        if drafts is None:
            drafts = self._as_recorded(asked, recorded)
            if drafts is None:
                return
            self._taken += len(asked)
        self._journal(drafts, asked, recorded)

    def _as_recorded(self, asked: Operation, recorded: Operation) -> list[PendingEvent] | None:
        """Return the events themselves. Return None if the replayed session has ended and the recorded had not."""
        if self.recorded is not self.state and self.recorded.status in _OPEN and self.state.status not in _OPEN:
            status = STATUSES[self.state.status]
            ended = InvalidSessionState(f"session {self.state.id} is {status} in this replay", status=str(status))
            self._refused(recorded, ended)
            return None
        _, artifacts, size = self._totals
        drafts: list[PendingEvent] = []
        for (_, stored), (_, before) in zip(asked, recorded, strict=True):
            more = before.artifact_count - artifacts, before.artifact_bytes - size
            artifacts, size = before.artifact_count, before.artifact_bytes
            drafts.append(PendingEvent(stored.type, stored.data, *more))
            self._uncertain = self._uncertain or stored.type == LOST
        return drafts

    def _outcome(self, sequence: int, stored: StoredEvent) -> dict[str, Any]:
        """Return the outcome of a call that has returned, as the boundary answers."""
        data = stored.data
        calls = self._calls.pop(data["call"], None)
        if calls is None:  # it was made before what is known of the session
            return data
        was, request = calls
        self._boundary.record(Recording(was, data, sequence))
        answer = self._boundary.answer(request)
        self._answers.append(answer)
        outcome: dict[str, Any] = answer.outcome
        return outcome

    def _note_call(self, place: int, recorded: StoredEvent, replayed: StoredEvent) -> None:
        """Note a call, until it returns. `place` is its sequence in the replay."""
        kind = _CALLED[recorded.type]
        was, now = (Request(kind, each.data["name"], _input(each.data), place) for each in (recorded, replayed))
        self._calls[place] = was, now
        if len(self._calls) > _MOST_CALLS:
            del self._calls[next(iter(self._calls))]

    # -- the journal of the replay

    def _journal(self, drafts: list[PendingEvent], asked: Operation, recorded: Operation) -> None:
        """Evolve the states by the events of a part, and pair them with the recorded ones."""
        if len(drafts) == len(recorded):
            for draft, (_, now), (sequence, was) in zip(drafts, asked, recorded, strict=True):
                self._event(draft, now.context, sequence, was)
            return
        rest = list(recorded)
        context = asked[0][1].context
        for draft in drafts:
            while rest and any(stored.type == draft.type for _, stored in rest) and rest[0][1].type != draft.type:
                self._missing(*rest.pop(0))
            if rest and rest[0][1].type == draft.type:
                self._event(draft, context, *rest.pop(0))
            else:
                self._event(draft, context, None, None)
        for sequence, stored in rest:
            self._missing(sequence, stored)

    def _event(self, draft: PendingEvent, context: Any, sequence: int | None, recorded: StoredEvent | None) -> None:
        state = self.state
        type_, data, artifacts, size = draft
        place = state.sequence + 1
        stored = new_event(
            (
                type_,
                self._time,
                data,
                self._number,
                state.artifact_count + artifacts,
                state.artifact_bytes + size,
                context,
            )
        )
        equal = sequence == place and recorded is not None and _bytes(stored) == _bytes(recorded)
        if not equal and self.recorded is state:
            self._split()
        if recorded is not None:
            self._totals = recorded.totals
        if self.recorded is not state and recorded is not None and sequence is not None:
            evolve(self.recorded, sequence, recorded)
            self._places.events.set(sequence, place)
            if type_ == recorded.type == ARTIFACT_STORED:
                self._places.artifacts.set(recorded.data["sequence"], data["sequence"])
        evolve(state, place, stored)
        self._lookups.project(place, stored, recorded=equal)
        if type_ in _CALLED:
            self._note_call(place, recorded if recorded is not None else stored, stored)
        self._pairs.append(Pair(sequence, recorded, place, stored, equal))

    def _missing(self, sequence: int, recorded: StoredEvent) -> None:
        """Note a recorded event that the replay does not have."""
        if self.recorded is self.state:
            self._split()
        evolve(self.recorded, sequence, recorded)
        self._totals = recorded.totals
        self._places.events.miss(sequence)
        if recorded.type == ARTIFACT_STORED:
            self._places.artifacts.miss(recorded.data["sequence"])
        self._pairs.append(Pair(sequence, recorded, None, None, False))

    def _refused(self, recorded: Operation, error: GreenroomError) -> None:
        self._refusals.append(Refusal(tuple(sequence for sequence, _ in recorded), error))
        for sequence, stored in recorded:
            self._missing(sequence, stored)

    def _split(self) -> None:
        """Go on with two states: the recorded one and the replayed one are not the same any more."""
        self.recorded = SessionState.decode(self.state.id, self.state.encode())


def _bytes(stored: StoredEvent) -> bytes:
    return _pack(stored if stored.context is not None else stored[:6])


def _alike(drafts: list[PendingEvent], asked: Operation) -> bool:
    """Return whether a decision says what was recorded."""
    return [draft[:2] for draft in drafts] == [stored[:3:2] for _, stored in asked]


def _input(data: dict[str, Any]) -> bytes:
    """Return the input of a call, encoded, or the hash of a large one: what is the same is so in both forms."""
    known: bytes = data["input"] if "input" in data else data["input_hash"]
    return known
