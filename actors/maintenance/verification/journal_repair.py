"""Repair a journal: fill in damaged or missing events from their witnesses, the records that depend on them.

An artifact's record and index entry tell the whole event; the index of messages tells that it was a message; the
catalog's row tells the present session. A later snapshot makes the event unnecessary for the state. An event without
witnesses counts as one that may have set any variable: reading those raises IntegrityError until they are set anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from greenroom.actors.session.projection import LOST, is_session
from greenroom.actors.session.state.collected import COLLECTED
from greenroom.actors.session.state.evolve import evolve
from greenroom.actors.session.state.model import SessionState
from greenroom.actors.session.state.records import kept
from greenroom.actors.store import ArtifactStore
from greenroom.storage.artifacts.model import ArtifactRecord
from greenroom.storage.artifacts.records import unsealed_record
from greenroom.storage.catalog.model import SessionRow
from greenroom.storage.codec.keys import INDEX_ARTIFACT_NAME, INDEX_MESSAGE, after_prefix, sequence_key, session_id_of
from greenroom.storage.content.chunks import ARTIFACT, CONTENT_REFERENCE, MESSAGE, Reference
from greenroom.storage.engine.engine import CF, Op
from greenroom.storage.errors import IntegrityError, SchemaTooNew
from greenroom.storage.events.journal import Journal
from greenroom.storage.events.model import StoredEvent
from greenroom.storage.events.turns import CONTENT_FIELDS, DELTA, EDITED, FINISHED, RETRACTED, parse_head, sequences_of
from greenroom.storage.records.model import LOST_VALUE, RECORDS_CHANGED, RecordChange, RecordFold
from greenroom.storage.records.records import record_key, stored_record

__all__ = ["Mended", "mend", "message_contents"]

_MOST: Final = 1_000_000
_NO_CHANGE: Final = RecordChange(b"", None, 0, 0, None)
"""Stands where a change was of which nothing is known."""


@dataclass(slots=True)
class Mended:
    """The operations that make a journal whole, and what they mean."""

    ops: list[Op] = field(default_factory=list)
    quarantined: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    """(column family, key, damaged record)"""
    restored: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    doubtful: list[int] = field(default_factory=list)
    """Sequences of the lost events of which nothing is known."""


@dataclass(slots=True)
class _Evidence:
    events: dict[int, StoredEvent] = field(default_factory=dict)
    damaged: dict[int, bytes] = field(default_factory=dict)
    snapshots: list[int] = field(default_factory=list)
    """The sequences of the valid ones, newest first."""
    newest: bytes | None = None
    """The state in the newest of them."""
    base: int = 0
    """Where the fold begins: events up to it that retention has truncated are not missing."""
    base_state: bytes | None = None
    base_damaged: bytes | None = None
    row: SessionRow | None = None
    records: dict[int, ArtifactRecord] = field(default_factory=dict)
    listed: set[tuple[str, int]] = field(default_factory=set)
    """(name, version) of artifacts that exist by their index entry, or by their reference to the content."""
    messages: set[int] = field(default_factory=set)
    """Sequences of the events that began turns, current or retracted."""
    heads: dict[int, str] = field(default_factory=dict)
    """Types of the newest events about turns, by sequence."""
    kept: dict[int, dict[int, RecordChange]] = field(default_factory=dict)
    """What the present records tell of the events that put them: by sequence and position."""

    @property
    def told(self) -> set[int]:
        """The sequences of events of which other entries tell what they were."""
        return self.messages.union(self.kept)


def mend(
    store: ArtifactStore, session: bytes, *, tail_lost: bool, contents: dict[tuple[bytes, int], list[bytes]]
) -> Mended:
    """Return the repair that makes the journal of a session whole again. Raises IntegrityError if too little is left.

    `tail_lost`: events may be missing at the end. `contents`: the contents that messages refer to, by (session,
    sequence).
    """
    seen = _gather(store, session)
    mended = Mended()
    if seen.base_damaged is not None:
        _set_new_base(seen, session, mended)
    known = [
        *seen.events,
        *seen.damaged,
        *seen.snapshots,
        *seen.messages,
        *seen.kept,
        *([seen.base] if seen.base else []),
    ]
    if not known and seen.row is None and is_session(session):
        raise IntegrityError(f"nothing is left of session {session_id_of(session)}")
    last = max(known, default=0)
    if tail_lost or not known:
        last += 1
    missing = sorted(n for n in {*seen.damaged, *seen.told} if n <= seen.base and n not in seen.events)
    missing += [n for n in range(seen.base + 1, last + 1) if n not in seen.events]
    if len(missing) > _MOST:
        raise IntegrityError(f"the journal of session {session_id_of(session)} has too many gaps")
    filled = _restore_artifacts(seen, missing, mended)
    for n in missing:
        if n in filled:
            continue
        data: dict[str, Any] = {}
        if n == 1:
            if seen.row is None and is_session(session):
                raise IntegrityError(f"the first event and the row of session {session_id_of(session)} are lost")
            data["was"] = "session.created"
            data["row"] = seen.row.fields() if seen.row is not None else None
        elif n in seen.messages:
            data["was"] = "message.added"
            data.update(_content_fields(contents.get((session, n), ())))
        elif n in seen.heads or (session, n) in contents:
            # It told of a message: the state does not depend on it. The message is then as it was before.
            data["was"] = seen.heads.get(n, EDITED)
            data.update(_content_fields(contents.get((session, n), ())))
        elif n in seen.kept:
            data["was"] = RECORDS_CHANGED
            known_changes = seen.kept[n]
            data["changes"] = [known_changes.get(at, _NO_CHANGE).fields() for at in range(max(known_changes) + 1)]
        filled[n] = StoredEvent(LOST, 0, data, 0, 0, 0)
        mended.lost.append(n)
    _carry_totals(seen, filled, last)
    _tell_row(seen, filled, session, last)
    _tell_records(store, seen, filled, session)
    newest = max(seen.snapshots, default=seen.base)
    mended.doubtful = [n for n in mended.lost if not filled[n].data.get("was") and n > newest]
    mended.ops += [Journal.append(session, n, stored) for n, stored in sorted(filled.items())]
    mended.quarantined += [
        (CF.JOURNAL, sequence_key(session, n), record) for n, record in sorted(seen.damaged.items()) if record
    ]
    return mended


def _gather(store: ArtifactStore, session: bytes) -> _Evidence:
    seen = _Evidence()
    engine, end = store.engine, after_prefix(session)
    for key, record in engine.pages(CF.JOURNAL, session, end):
        sequence = int.from_bytes(key[16:], "big")
        try:
            seen.events[sequence] = Journal.unsealed(key, record)
        except (IntegrityError, SchemaTooNew):
            seen.damaged[sequence] = record
    for snapshot in store.journal.snapshots(session):
        seen.snapshots.append(snapshot.sequence)
        seen.newest = seen.newest if seen.newest is not None else snapshot.state
    try:
        base = store.journal.base(session)
        seen.base, seen.base_state = base if base is not None else (0, None)
    except (IntegrityError, SchemaTooNew):
        seen.base_damaged = engine.get(CF.SNAPSHOTS, sequence_key(session, 0))
    try:
        seen.row = store.catalog.row(session)
    except (IntegrityError, SchemaTooNew):
        seen.row = None
    if seen.row is None and seen.newest is not None and is_session(session):
        seen.row = SessionState.decode(session_id_of(session), seen.newest).row()
    for key, record in engine.pages(CF.ARTIFACTS, session, end):
        try:
            seen.records[int.from_bytes(key[16:], "big")] = unsealed_record(key, record)
        except (IntegrityError, SchemaTooNew):
            continue
    prefix = INDEX_ARTIFACT_NAME + session
    for key, value in engine.pages(CF.INDEX, prefix, after_prefix(prefix)):
        if value:
            name = key[17:-5].decode("utf-8", "surrogatepass")
            seen.listed.add((name, int.from_bytes(key[-4:], "big")))
    for event in seen.events.values():
        if event.type == "artifact.stored":
            data = event.data
            reference = Reference(session, ARTIFACT, data["sequence"]).key(data["content_hash"])
            if engine.get(CF.REFERENCES, reference) is not None:
                seen.listed.add((data["name"], data["version"]))
    prefix = INDEX_MESSAGE + session
    for key, value in engine.pages(CF.INDEX, prefix, after_prefix(prefix)):
        turn = int.from_bytes(key[-8:], "big")
        head = parse_head(turn, value)
        seen.messages.add(turn)
        if head.sequence != turn:
            seen.heads[head.sequence] = DELTA if head.open else EDITED
    for event in seen.events.values():
        if event.type == RETRACTED:
            seen.messages.update(sequences_of(event.data))
        elif event.type in (DELTA, FINISHED, EDITED):
            seen.messages.add(event.data["sequence"])
    for key, entry in store.records.entries(session):
        try:
            kept = stored_record(record_key(session, key), entry)
        except (IntegrityError, SchemaTooNew):
            continue
        if kept.sequence not in seen.events:
            change = RecordChange(key, kept.hash, kept.size, kept.flags & ~LOST_VALUE, None)
            seen.kept.setdefault(kept.sequence, {})[kept.position] = change
    return seen


def _content_fields(digests: Iterable[bytes]) -> dict[str, bytes]:
    """Return fields of a lost event that keep its contents."""
    return dict(zip((f"{name}_hash" for name in CONTENT_FIELDS), digests, strict=False))


def _set_new_base(seen: _Evidence, session: bytes, mended: Mended) -> None:
    """Replace a damaged base by the newest snapshot. Without a snapshot, the truncated events count as lost."""
    key = sequence_key(session, 0)
    mended.quarantined.append((CF.SNAPSHOTS, key, seen.base_damaged or b""))
    mended.ops.append((CF.SNAPSHOTS, key, None))
    if seen.newest is not None:
        seen.base, seen.base_state = seen.snapshots[0], seen.newest
        mended.ops.append(Journal.rebase(session, seen.base, seen.base_state))


def _restore_artifacts(seen: _Evidence, missing: list[int], mended: Mended) -> dict[int, StoredEvent]:
    """Return the events that stored and deleted artifacts, from their records and index entries."""
    filled: dict[int, StoredEvent] = {}
    stored: dict[int, int] = {}
    deleted: set[int] = set()
    collected: set[int] = set()
    for n, event in seen.events.items():
        if event.type == "artifact.stored":
            stored[event.data["sequence"]] = n
        elif event.type == "artifact.deleted":
            deleted.add(event.data["sequence"])
        elif event.type in ("tool.returned", "agent.returned") and "artifact" in event.data:
            collected.add(event.data["artifact"])
    for number, record in sorted(seen.records.items()):
        if number in stored:
            continue
        after = max((n for each, n in stored.items() if each < number), default=1)
        before = min((n for each, n in stored.items() if each > number), default=1 << 63)
        free = [n for n in missing if after < n < before and n not in filled and n not in seen.told]
        if not free:
            continue  # verify reports the record as unknown to the journal
        data: dict[str, Any] = record._asdict()
        time = data.pop("time")
        if number in collected:
            data[COLLECTED] = True
        # If several places are free, take the one whose neighbours have fitting times.
        place = next((n for n in free if _time_before(seen, filled, n) <= time <= _time_after(seen, n)), free[0])
        filled[place] = StoredEvent("artifact.stored", time, {"sequence": number, **data}, 0, 0, 0)
        stored[number] = place
        mended.restored.append(place)
    for number, n in sorted(stored.items()):
        event = seen.events.get(n) or filled[n]
        data = event.data
        if number in deleted or number in seen.records or (data["name"], data["version"]) in seen.listed:
            continue
        free = [each for each in missing if each > n and each not in filled and each not in seen.told]
        if free:
            facts = {name: data[name] for name in ("sequence", "content_hash", "name", "version", "type")}
            if COLLECTED in data:
                facts[COLLECTED] = data["size"]
            filled[free[0]] = StoredEvent("artifact.deleted", 0, facts, 0, 0, 0)
            mended.restored.append(free[0])
    return filled


def _time_before(seen: _Evidence, filled: dict[int, StoredEvent], n: int) -> int:
    return next((e.time for at in range(n - 1, 0, -1) if (e := seen.events.get(at) or filled.get(at))), 0)


def _time_after(seen: _Evidence, n: int) -> int:
    return min((event.time for at, event in seen.events.items() if at > n), default=1 << 63)


def _carry_totals(seen: _Evidence, filled: dict[int, StoredEvent], last: int) -> None:
    """Give the events in the gaps the times and totals that their neighbours imply."""
    time, operations, artifacts, size = 0, 0, 0, 0
    if seen.row is not None:
        time = seen.row.created_at
    for n in range(1, last + 1):
        event = seen.events.get(n)
        if event is not None:
            time, (operations, artifacts, size) = event.time, event.totals
            continue
        if n not in filled:  # it was truncated, and its changes are in the base
            continue
        event = filled[n]
        operations += 1
        if event.type == "artifact.stored":
            artifacts, size = artifacts + 1, size + event.data["size"]
        elif event.type == "artifact.deleted":
            gone = _size_of(seen, filled, event.data["sequence"])
            artifacts, size = artifacts - 1, size - gone
        elif event.type == LOST:
            data = event.data.get("row")
            time = max(time, data[7] if data else 0)
        time = max(time, event.time)
        filled[n] = StoredEvent(event.type, time, event.data, operations, artifacts, size)


def _size_of(seen: _Evidence, filled: dict[int, StoredEvent], number: int) -> int:
    for event in (*seen.events.values(), *filled.values()):
        if event.type == "artifact.stored" and event.data["sequence"] == number:
            size: int = event.data["size"]
            return size
    return 0


def _tell_row(seen: _Evidence, filled: dict[int, StoredEvent], session: bytes, last: int) -> None:
    """Put the catalog's row into the last lost event that may have made it, if the fold does not lead to this row."""
    if seen.row is None:
        return
    session_id = session_id_of(session)
    state = SessionState.decode(session_id, seen.base_state) if seen.base_state else SessionState(session_id)
    unknown = 0
    for n in range(seen.base + 1, last + 1):
        event = seen.events.get(n) or filled[n]
        evolve(state, n, event)
        if event.type == LOST and "was" not in event.data:
            unknown = n
    if unknown and state.row() != seen.row:
        # Later events make their changes to the row again.
        filled[unknown].data["row"] = seen.row.fields()
        if sum(event.type == LOST and "was" not in event.data for event in filled.values()) == 1:
            filled[unknown].data["was"] = "session"


def _tell_records(store: ArtifactStore, seen: _Evidence, filled: dict[int, StoredEvent], session: bytes) -> None:
    """Put into the last lost event by how much the totals of records are wrong without it."""
    lost = [n for n, event in filled.items() if event.type == LOST and event.data.get("was") in (None, RECORDS_CHANGED)]
    if not lost:
        return
    session_id = session_id_of(session)
    state = SessionState.decode(session_id, seen.base_state) if seen.base_state else SessionState(session_id)
    fold = RecordFold()
    for n, event in sorted({**filled, **seen.events}.items()):
        if event.type == RECORDS_CHANGED or event.data.get("was") == RECORDS_CHANGED:
            fold.apply(n, event.data.get("changes", ()))
        if n > seen.base:
            evolve(state, n, event)
    unknown = max((n for n in lost if "was" not in filled[n].data), default=0)
    there = {key for key, _ in store.records.entries(session)}
    sizes = [len(key) + record.size for key, record in fold.live.items() if key in there or record.sequence > unknown]
    has = kept(state)
    more = [len(sizes) - has.records, sum(sizes) - has.bytes]
    if more != [0, 0]:
        filled[max(lost)].data["records"] = more


def message_contents(store: ArtifactStore) -> dict[tuple[bytes, int], list[bytes]]:
    """Return the contents that messages refer to, by (session, sequence), from the references themselves."""
    end = after_prefix(CONTENT_REFERENCE)
    found: dict[tuple[bytes, int], list[bytes]] = {}
    for key, _ in store.engine.pages(CF.REFERENCES, CONTENT_REFERENCE, end):
        digest, reference = Reference.parse(key)
        if reference.kind == MESSAGE:
            found.setdefault((reference.session, reference.sequence), []).append(digest)
    return found
