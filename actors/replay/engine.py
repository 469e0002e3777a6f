"""Replay a session: decide every recorded operation again, and compare the events with those in the journal.

The replay is a plain generator. It reads the journal and holds no turn, no lock and no thread, and it never touches the
live session. What comes from outside is answered by a boundary; the clock gives the times of the events; what commands
look up is what the replay itself has made so far.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from greenroom.actors.messages.core import Command, PendingEvent
from greenroom.actors.session.decisions.decide import DECIDERS
from greenroom.actors.session.projection import ARTIFACT_STORED, LOST
from greenroom.actors.session.state.approvals import pending_of
from greenroom.actors.session.state.evolve import evolve
from greenroom.actors.session.state.limits import UNLIMITED, Limits, limits_of
from greenroom.actors.session.state.model import ACTIVE, SUSPENDED, SessionState
from greenroom.storage.catalog.model import STATUSES
from greenroom.storage.errors import GreenroomError, IntegrityError, InvalidSessionState, ReplayError, SchemaTooNew
from greenroom.storage.events.index import APPROVAL_EVENTS
from greenroom.storage.events.model import StoredEvent, new_event, shown_type

from .boundary import Answer, Boundary, JournalBoundary, RecordedClock, Recording, Request
from .commands import DECIDED
from .folding import check_of, evolved, misshapen
from .history import History
from .lookups import Lookups
from .operations import OWN, Operation, Part, as_told, counts, operations, parts
from .places import Places
from .step import Pair, Refusal, Step, encoded, paired

__all__ = ["Edit", "replay"]

_ENDLESS: Final = Limits(
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
_NOT_PLAIN: Final = frozenset({*_CALLED, *_RETURNED, *APPROVAL_EVENTS})
"""Types that need more than a decision."""
_OPEN: Final = (ACTIVE, SUSPENDED)
_MOST_CALLS: Final = 10_000
"""How many calls may be without a return at a time. Those of crashed processes stay so for good."""


def replay(
    past: History,
    boundary: Boundary | None = None,
    *,
    upto: int | None = None,
    edit: Edit | None = None,
) -> Iterator[Step]:
    """Replay a session from its beginning, and yield a step for each recorded operation.

    `boundary` answers for tools and agents, by default from the journal. `upto` is the last sequence. `edit` changes
    recorded events before they are replayed.

    Raises IntegrityError where the journal is damaged, with the `sequence`; ReplayError for a moment that is not there,
    and for a request that the boundary cannot answer; SessionNotFound.
    """
    return _Replay(past, boundary or JournalBoundary(), upto, edit).steps()


class _Replay:
    """One replay on its way."""

    def __init__(self, past: History, boundary: Boundary, upto: int | None, edit: Edit | None) -> None:
        self._past = past
        self._boundary = boundary
        self._edit = edit
        self._end = past.last if upto is None else upto
        self.state = past.beginning()
        self._begin = self.state.sequence
        self.recorded = self.state
        """The state that the journal gives; the same object until something is different."""
        self._clock = RecordedClock()
        self._places = Places(past.id)
        self._lookups = Lookups(past, self._places, self._clock)
        self._config: bytes | None = None
        self._limits = _ENDLESS
        self._calls: dict[int, tuple[Request, Request]] = {}
        """The calls that have not returned, by their sequences in the replay: as recorded, and as replayed."""
        self._totals = self.state.totals
        """The recorded totals before the event that is next."""
        self._counted = self.state.operation_count
        """The number of operations before the replay begins."""
        self._uncertain = self.state.certain is not None
        """Whether an event was lost to damage: what it has changed is not known."""
        self._imported: int | None = None
        """The last event that came with a bundle; None as long as that does not matter."""
        self._pairs: list[Pair] = []
        self._refusals: list[Refusal] = []
        self._answers: list[Answer] = []
        self._taken = self._unproven = 0
        self._before = self._number = self._time = self._decided_at = 0
        """The number before the present operation and its own, its time, and the number at which it was decided."""

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
        reached = begin
        for operation in operations(past.events(begin, end)):
            reached += len(operation)
            if operation[-1][0] != reached:
                raise ReplayError(
                    f"events of session {past.id} were truncated by retention while it was replayed: replay it again",
                    session_id=past.id,
                )
            step = (self._plain_step(operation) if len(operation) == 1 else None) or self._step(operation)
            if following is not None and step.last >= following[0]:
                if step.last == following[0]:
                    step.check = check_of(past, *following, self.recorded, self.state)
                following = next(digests, None)
            yield step

    def _plain_step(self, operation: Operation) -> Step | None:
        """Replay an operation of one event that is decided just so, as most are. Return None for any other, about which
        nothing was done yet."""
        state, (sequence, recorded) = self.state, operation[0]
        type_, time, data, number, artifacts, size, context = recorded
        make = DECIDED.get(type_)
        if (
            make is None
            or type_ in _NOT_PLAIN
            or self.recorded is not state
            or self._edit is not None
            or sequence != state.sequence + 1
            or time < state.updated_at
            or number != state.operation_count + (type_ not in OWN)
        ):
            return None
        try:
            command = make(data, state, self._lookups)
            if command is None:
                return None
            if state.config is not self._config:
                self._config, self._limits = state.config, limits_of(state.config, _ENDLESS)
            (draft,) = DECIDERS[command.__class__](state, command, self._limits, self._lookups)
            made = new_event(
                (
                    draft.type,
                    time,
                    draft.data,
                    number,
                    state.artifact_count + draft.artifacts,
                    state.artifact_bytes + draft.bytes,
                    context,
                )
            )
            if encoded(made) != encoded(recorded):
                return None
        except (GreenroomError, LookupError, TypeError, ValueError, AttributeError):
            return None
        evolved(state, sequence, made)
        self._lookups.project(sequence, made, recorded=True)
        self._totals = number, artifacts, size
        return Step(operation, [Pair(sequence, recorded, sequence, made, True)], True, state, state)

    def _step(self, operation: Operation) -> Step:
        state, (sequence, first) = self.state, operation[0]
        self._pairs, self._refusals, self._answers = [], [], []
        self._taken = self._unproven = 0
        self._number = self._before = state.operation_count
        if sequence != self._begin + 1 or first.operation_count != self._number or first.time != state.updated_at:
            self._number += counts(operation, self._totals[0])
        # else retention has cut the journal within this operation, which is counted already
        self._decided_at = min(self._before, max(0, self._number - counts(operation, self._totals[0])))
        if self._number != first.operation_count and self._is_excused(sequence):
            self._number = state.operation_count + first.operation_count - self._totals[0]
        self._time = self._clock.at = max(first.time, state.updated_at)
        try:
            group = operation if self._edit is None and not self._places.moved else self._asked(operation)
            if len(group) > 1 or first.type.startswith("approval."):
                self._clock.at = self._time_of_questions(group)
            for part in parts(group, state, self._lookups) if group else ():
                self._perform(part, group, operation)
        except (IntegrityError, LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            if self._edit is not None and getattr(error, "fields", {}).get("sequence") is None:
                raise _misfit(state.id, sequence, first) from error
            if isinstance(error, GreenroomError):
                raise
            raise misshapen(state.id, sequence, first) from error
        pairs = self._pairs
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
                self._limits = limits_of(self._config, _ENDLESS)
            try:
                drafts = self._decide(command)
            except GreenroomError as error:
                if not self._is_excused(asked[0][0]):
                    self._refused(recorded, error)
                    self._uncount()
                    return
            if drafts is not None and self._journal(as_told(drafts, asked), asked, recorded):
                self._before = self._number
                return
            self._unproven += len(asked)
        drafts = self._as_recorded(asked, recorded)
        if drafts is not None:
            self._taken += len(asked)
            self._journal(drafts, asked, recorded, decided=False)

    def _decide(self, command: Command[Any]) -> list[PendingEvent]:
        """Decide a command at the number of operations at which it was decided: what its hooks did is journaled before
        it, and has the number of the operation already."""
        state, count = self.state, self.state.operation_count
        state.operation_count = self._decided_at
        try:
            return DECIDERS[command.__class__](state, command, self._limits, self._lookups)
        finally:
            state.operation_count = count

    def _uncount(self) -> None:
        """Take the number of a refused operation back: what its hooks did is journaled, and counts as none."""
        before = self._before
        if self._number == before:
            return
        self._split()
        self._number = self.state.operation_count = before
        self._pairs = [
            pair
            if pair.replayed is None
            else pair._replace(replayed=pair.replayed._replace(operation_count=before), equal=False)
            for pair in self._pairs
        ]

    def _split(self) -> None:
        """Go on with two states, if there is one yet: the recorded and the replayed one are not the same any more."""
        if self.recorded is self.state:
            self.recorded = SessionState.decode(self.state.id, self.state.encode())

    def _is_excused(self, sequence: int) -> bool:
        """Return whether an event may be taken as it was recorded although it is not what is decided: because an event
        before it was lost, or because it came with a bundle. A bundle of a truncated journal, or without history, has
        events that describe what was there, and not how it came about."""
        if self._uncertain:
            return True
        if self._imported is None:
            self._imported = self._last_imported()
        return sequence <= self._imported

    def _last_imported(self) -> int:
        """Return the last event that came with a bundle. A fork may have copied such events without the one that says
        so: they are known by numbers of operations that are left out."""
        imported, number, told_anew = 0, self._counted, False
        with contextlib.suppress(IntegrityError, SchemaTooNew):  # the replay comes to the damage too
            for at, stored in self._past.events(self._begin, self._past.last):
                told_anew = told_anew or stored.operation_count - number > 1
                number = stored.operation_count
                if stored.type == "session.imported" or (stored.type == "session.forked" and told_anew):
                    imported = at
        return imported

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
        kind = _CALLED[replayed.type]
        was, now = (Request(kind, each.data["name"], _input(each.data), place) for each in (recorded, replayed))
        self._calls[place] = was, now
        if len(self._calls) > _MOST_CALLS:
            del self._calls[next(iter(self._calls))]

    # -- the journal of the replay

    def _journal(
        self, drafts: list[PendingEvent], asked: Operation, recorded: Operation, *, decided: bool = True
    ) -> bool:
        """Evolve the states by the events of a part, and pair them with the recorded ones. Return False, and do
        nothing, if they differ from the recorded ones, which are to be taken in their place."""
        made = self._made(drafts, asked)
        pairs = list(paired(made, recorded))
        if decided and not all(pair.equal for pair in pairs) and self._is_told_otherwise(drafts, asked, recorded):
            return False
        for pair in pairs:
            self._take(pair)
        return True

    def _is_told_otherwise(self, drafts: list[PendingEvent], asked: Operation, recorded: Operation) -> bool:
        """Return whether a decision is not what was recorded, nobody has changed anything of it, and there is an
        excuse."""
        if any(now is not was for (_, now), (_, was) in zip(asked, recorded, strict=True)):
            return False
        same = self.recorded is self.state
        if not same and [draft[:2] for draft in drafts] == [stored[:3:2] for _, stored in asked]:
            return False
        return self._is_excused(asked[0][0]) and (same or not self._uncertain)

    def _made(self, drafts: list[PendingEvent], asked: Operation) -> list[tuple[int, StoredEvent]]:
        """Return the events that drafts become, with their places."""
        state, place = self.state, self.state.sequence
        artifacts, size = state.artifact_count, state.artifact_bytes
        made: list[tuple[int, StoredEvent]] = []
        for number, (type_, data, more, bytes_) in enumerate(drafts):
            place += 1
            artifacts += more
            size += bytes_
            context = asked[min(number, len(asked) - 1)][1].context
            made.append((place, new_event((type_, self._time, data, self._number, artifacts, size, context))))
        return made

    def _take(self, pair: Pair) -> None:
        """Evolve the states by an event of the recording, of the replay, or of both."""
        sequence, recorded, place, made, equal = pair
        state = self.state
        if not equal:
            self._split()
        if recorded is not None and sequence is not None:
            self._totals = recorded.totals
            if self.recorded is not state:
                evolve(self.recorded, sequence, recorded)
                self._place(sequence, recorded, place, made)
        if made is not None and place is not None:
            evolve(state, place, made)
            known = equal or (recorded is not None and self._tells(recorded, made))
            self._lookups.project(place, made, recorded=known)
            if made.type in _CALLED:
                self._note_call(place, recorded if recorded is not None else made, made)
        self._pairs.append(pair)

    def _tells(self, recorded: StoredEvent, made: StoredEvent) -> bool:
        """Return whether the journal tells what an event of the replay says, so that it need not be kept."""
        try:
            told = self._places.in_replay(recorded)
        except ReplayError:
            return False
        return made.type == told.type and made.data == told.data

    def _place(self, sequence: int, recorded: StoredEvent, place: int | None, made: StoredEvent | None) -> None:
        """Note where a recorded event, and the artifact that it has stored, are in the replay."""
        events, artifacts = self._places.events, self._places.artifacts
        if place is None or made is None:
            events.miss(sequence)
            if recorded.type == ARTIFACT_STORED:
                artifacts.miss(recorded.data["sequence"])
            return
        events.set(sequence, place)
        if made.type == recorded.type == ARTIFACT_STORED:
            artifacts.set(recorded.data["sequence"], made.data["sequence"])

    def _refused(self, recorded: Operation, error: GreenroomError) -> None:
        self._refusals.append(Refusal(tuple(sequence for sequence, _ in recorded), error))
        for sequence, stored in recorded:
            self._take(Pair(sequence, stored, None, None, False))


def _input(data: dict[str, Any]) -> bytes:
    """Return the input of a call, encoded, or the hash of a large one: what is the same is so in both forms."""
    known: bytes = data["input"] if "input" in data else data["input_hash"]
    return known


def _misfit(session_id: str, sequence: int, stored: StoredEvent) -> ReplayError:
    return ReplayError(
        f"event {sequence} of session {session_id}, {shown_type(stored.type)}, cannot be replayed with these"
        " modifications: one of them gives it, or an event before it, a value that cannot be there",
        session_id=session_id,
        sequence=sequence,
    )
