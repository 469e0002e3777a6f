"""Truncate a journal: remove the events that led to an old state, and make that state its base.

Events that users would miss stay, under their own sequences: the creation, the conversation, the existing artifacts,
the records, calls of tools and agents, ends and forks. Nothing of the present session changes, and no turn of its actor
is needed: events never change, so everything is computed beforehand and written by the one writer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from greenroom.actors.session.projection import LOST, Change, add_event
from greenroom.actors.session.state.answers import ANSWERED
from greenroom.actors.session.state.evolve import CONFIGURED, DESCRIBED, RENAMED, evolve
from greenroom.actors.session.state.model import SessionState
from greenroom.actors.store import ArtifactStore, Repair
from greenroom.storage.artifacts.records import Artifacts
from greenroom.storage.codec.keys import after_prefix, sequence_key, session_id_of
from greenroom.storage.content.chunks import Reference
from greenroom.storage.content.staging import staged_sessions
from greenroom.storage.engine.engine import CF, Op
from greenroom.storage.errors import IntegrityError, SchemaTooNew
from greenroom.storage.events.journal import Journal
from greenroom.storage.events.snapshots import is_anchor
from greenroom.storage.events.turns import DELTA, FINISHED
from greenroom.storage.records.model import RECORDS_CHANGED, RecordFold

__all__ = ["CUT", "Cut", "cut_journal", "cut_journals", "cuttable"]

CUT: Final = frozenset(
    {
        "variable.set",
        "variable.deleted",
        "metadata.updated",
        "tags.changed",
        CONFIGURED,
        RENAMED,
        DESCRIBED,
        "session.suspended",
        "session.resumed",
        "session.saved",
        "session.restored",
        "hook.executed",
        "policy.warning",
        "policy.violated",
        "script.started",
        "script.finished",
        "artifact.retrieved",
        ANSWERED,
    }
)
"""Types of the events that are removed. Events of deleted artifacts are removed too, as long as no version number could
be given out again, and events about records that are not there any more."""
_SLICE: Final = 5000
"""How many events are read for one batch."""


@dataclass(slots=True)
class Cut:
    """What a truncation removes from a journal: the number of events, the bytes of their records, and the last
    sequence."""

    events: int = 0
    bytes: int = 0
    base: int = 0


@dataclass(slots=True)
class _Slice:
    """One step of a truncation: the operations that make the state at `upto` the base."""

    upto: int
    ops: list[Op] = field(default_factory=list)
    released: list[tuple[bytes, Reference]] = field(default_factory=list)
    """The contents of the events that go, each with the reference to it."""
    events: int = 0
    bytes: int = 0


def cuttable(store: ArtifactStore, session: bytes, *, before: int | None, most: int | None) -> int:
    """Return the last event that a truncation may reach: older than `before` (ns since the epoch), not among the newest
    `most`, and not the newest of all. Return 0 if there is none."""
    last = store.journal.last(session)
    if last is None:
        return 0
    upto = 0
    if most is not None:
        upto = last[0] - most
    if before is not None:
        low, high = 0, last[0] - 1  # the times of events only grow
        while low < high:
            middle = (low + high + 1) // 2
            found = store.engine.scan(CF.JOURNAL, sequence_key(session, middle), after_prefix(session), limit=1)
            if found and store.journal.stored(session, int.from_bytes(found[0][0][16:], "big")).time < before:
                low = middle
            else:
                high = middle - 1
        upto = max(upto, low)
    return max(0, min(upto, last[0] - 1))


def cut_journals(
    store: ArtifactStore, *, before: int | None, most: int | None, dry_run: bool
) -> Iterator[tuple[bytes, Cut]]:
    """Truncate every journal, those of scopes too, as far as `cuttable` allows. Yield (session, what is removed) for
    each journal that loses events. Damaged journals are skipped until they are repaired."""
    if before is None and most is None:
        return
    hidden = staged_sessions(store.engine)
    for session in store.journal.sessions():
        if session in hidden:
            continue
        try:
            cut = cut_journal(store, session, cuttable(store, session, before=before, most=most), dry_run=dry_run)
        except (IntegrityError, SchemaTooNew):
            continue
        if cut.events:
            yield session, cut


def cut_journal(store: ArtifactStore, session: bytes, upto: int, *, dry_run: bool) -> Cut:
    """Truncate the journal of a session up to an event, which is not its newest.

    Return what is removed. Nothing is removed from a journal that has lost events. Raises IntegrityError if it is
    damaged.
    """
    cut = Cut()
    while True:
        base = store.journal.base(session)
        begin = base[0] if base is not None else 0
        if begin >= upto:
            return cut
        step = _slice(store, session, begin, upto if dry_run else min(upto, begin + _SLICE))
        if step is None:
            return cut

        def look(base: Any = base, step: _Slice = step) -> list[Op]:
            there = store.journal.holds(session, step.upto + 1) and store.journal.base(session) == base
            if not there:
                return []  # it was deleted, or truncated by somebody else
            return step.ops + store.contents.release_ops(step.released)

        if not dry_run and not store.ask(Repair(look), ArtifactStore.WRITE_TIMEOUT):
            return cut
        if not dry_run:
            store.await_synced(ArtifactStore.WRITE_TIMEOUT)
        cut.events += step.events
        cut.bytes += step.bytes
        cut.base = step.upto
        if dry_run:
            return cut


def _slice(store: ArtifactStore, session: bytes, begin: int, upto: int) -> _Slice | None:
    """Return the step that makes the state at `upto` the base. Return None if events are lost."""
    step = _Slice(upto)
    stored_at: dict[int, tuple[int, dict[str, Any]]] = {}
    deleted_at: dict[int, int] = {}
    newest: dict[str, int] = {}
    going: list[int] = []
    deltas: dict[int, list[int]] = {}
    changed: list[tuple[int, list[list[Any]]]] = []
    state = _state_before(store, session, begin, upto)
    for sequence, stored in store.journal.read(session):
        if sequence > upto:
            break
        kind, data = stored.type, stored.data
        if kind == LOST:
            return None
        if kind in CUT:
            going.append(sequence)
        elif kind == "artifact.stored":
            stored_at[data["sequence"]] = sequence, data
            newest[data["name"]] = data["sequence"]
        elif kind == "artifact.deleted":
            deleted_at[data["sequence"]] = sequence
        elif kind == DELTA:
            deltas.setdefault(data["sequence"], []).append(sequence)
        elif kind == FINISHED:
            going += deltas.pop(data["sequence"], ())  # it has all of the text
        elif kind == RECORDS_CHANGED:
            changed.append((sequence, data.get("changes", [])))
        if sequence > state.sequence:
            evolve(state, sequence, stored)
    if state.sequence != upto:
        raise IntegrityError(f"event {upto} of session {session_id_of(session)} is missing; run verify")
    going += _superseded(changed)
    kept = {*newest.values(), *list(stored_at)[-1:]}
    for number, at in deleted_at.items():
        if number in kept or number not in stored_at:
            continue
        sequence, data = stored_at[number]
        going += [sequence, at]
        # Stores of older versions have an entry that this version was given out. A later version shows that too.
        step.ops.append(Artifacts.name_entry(session, data["name"], data["version"], None))
    for sequence in going:
        key = sequence_key(session, sequence)
        record = store.engine.get(CF.JOURNAL, key)
        if record is None:
            continue
        step.events += 1
        step.bytes += len(key) + len(record)
        step.ops.append((CF.JOURNAL, key, None))
        change = Change()
        add_event(change, session, sequence, store.journal.stored(session, sequence))
        step.released += change.held
        step.ops += change.removed()
    step.ops += [(CF.SNAPSHOTS, sequence_key(session, each), None) for each in _needless(store, session, upto)]
    step.ops.append(Journal.rebase(session, upto, state.encode()))
    return step


def _needless(store: ArtifactStore, session: bytes, base: int) -> list[int]:
    """Return the sequences of the snapshots that go when the journal gets a new base: those before it, and the first
    behind it if the events between the two do not pay for it."""
    sequences = store.journal.snapshot_sequences(session)
    going = [sequence for sequence in sequences if sequence < base]
    behind = sequences[len(going) :]
    first = store.journal.snapshot(session, behind[0]) if behind else None
    if first is not None and is_anchor(first.since, first.size):
        paid = store.journal.size(session, base, first.sequence, enough=first.since)
        if not is_anchor(paid, first.size):
            going.append(first.sequence)
    return going


def _superseded(changed: list[tuple[int, list[list[Any]]]]) -> list[int]:
    """Return the events about records, of (sequence, changes), that are not needed to tell which records there are.

    An event stays if one of its records is there, and if it takes away a record that an event which stays has put:
    otherwise the record would seem to be there still.
    """
    fold = RecordFold()
    for sequence, changes in changed:
        fold.apply(sequence, changes)
    needed = {record.sequence for record in fold.live.values()}
    told: set[bytes] = set()
    going: list[int] = []
    for sequence, changes in changed:
        if sequence not in needed and not any(fields[0] in told for fields in changes):
            going.append(sequence)
            continue
        for key, digest, *_ in changes:
            (told.add if digest is not None else told.discard)(key)
    return going


def _state_before(store: ArtifactStore, session: bytes, begin: int, upto: int) -> SessionState:
    """Return the newest known state up to an event: of a snapshot, else of the base, else the empty one."""
    session_id = session_id_of(session)
    for each in store.journal.snapshots(session, upto):
        if each.sequence >= begin:
            return SessionState.decode(session_id, each.state)
        break
    base = store.journal.base(session)
    if base is not None:
        return SessionState.decode(session_id, base[1])
    return SessionState(session_id)
