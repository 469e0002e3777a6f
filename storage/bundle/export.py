"""Write bundles: sessions as of one moment, with their whole journals or only the events that still hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

import msgpack

from greenroom.storage.artifacts.model import LABEL
from greenroom.storage.artifacts.records import Artifacts
from greenroom.storage.catalog.catalog import Catalog
from greenroom.storage.catalog.model import SessionRow
from greenroom.storage.codec.keys import session_bytes, session_id_of
from greenroom.storage.common.times import iso_time
from greenroom.storage.content.chunks import content_digest
from greenroom.storage.content.contents import Contents
from greenroom.storage.engine.read_view import ReadView
from greenroom.storage.errors import BundleError, IntegrityError, SessionNotFound
from greenroom.storage.events.index import event_place
from greenroom.storage.events.journal import Journal
from greenroom.storage.events.model import StoredEvent, Totals
from greenroom.storage.events.turns import TURN_EVENTS, contents_of, moved_turn_event
from greenroom.storage.records.model import IN_CONTENT, RECORDS_CHANGED, RecordChange, RecordFold
from greenroom.storage.records.records import Records

from .format import (
    MAX_RECORD_BYTES,
    MAX_SESSIONS,
    WITH_RECORDS,
    WITHOUT_RECORDS,
    BundledSession,
    BundleWriter,
    Manifest,
    content_name,
    framed,
)
from .turns import CurrentTurns

__all__ = ["Exported", "Progress", "write_bundle"]

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes to do."""

_pack: Callable[[Any], bytes] = msgpack.Packer(unicode_errors="surrogatepass").pack
_BLOCK_BYTES: Final = 1 << 20
_EMPTY_OBJECT: Final = b"\x80"


@dataclass(frozen=True, slots=True)
class Exported:
    """The contents of a bundle. `bytes` is the size of the file, `content_bytes` that of the contents in it, `checksum`
    the BLAKE3 at its end, in hex."""

    sessions: int
    events: int
    artifacts: int
    contents: int
    content_bytes: int
    bytes: int
    checksum: str


def write_bundle(
    moment: ReadView,
    root: bytes,
    file: BinaryIO,
    *,
    tree: bool,
    history: bool,
    written_by: str,
    on_progress: Progress | None = None,
) -> Exported:
    """Write one session, or with `tree` also all its descendants, to a file.

    Everything is read twice, so that sizes are known before anything is written and only the hashes of the contents are
    held in memory. Raises SessionNotFound, IntegrityError, or BundleError for more than a bundle can hold.
    """
    source = _Source(moment)
    sessions = source.family(root) if tree else [root]
    digests: set[bytes] = set()
    rows: list[BundledSession] = []
    sizes: list[tuple[int, int]] = []
    plans: list[_Effective | None] = []
    cut = {session for session in sessions if source.is_cut(session)}
    for session in sessions:
        plan = None if history and session not in cut else source.effective(session)
        row, artifact_bytes, journal_bytes = source.measure(session, plan, digests)
        rows.append(row)
        sizes.append((artifact_bytes, journal_bytes))
        plans.append(plan)
    ordered = sorted(digests)
    del digests
    content_bytes = sum(source.content_size(digest) for digest in ordered)
    manifest = Manifest(
        created_at=iso_time(datetime.now(UTC)) or "",
        written_by=written_by,
        history=history and not cut,
        sessions=tuple(rows),
        contents=len(ordered),
        content_bytes=content_bytes,
        version=WITH_RECORDS if source.has_records(sessions) else WITHOUT_RECORDS,
    )
    total = content_bytes + sum(map(sum, sizes))
    writer = BundleWriter(file)
    encoded = manifest.encode()
    writer.member("manifest.json", len(encoded), [encoded])
    for digest in ordered:
        writer.member(content_name(digest), source.content_size(digest), source.content(digest))
        if on_progress is not None:
            on_progress(min(writer.size, total), total)
    for session, plan, (artifact_bytes, journal_bytes) in zip(sessions, plans, sizes, strict=True):
        name = f"sessions/{session_id_of(session)}"
        writer.member(f"{name}/artifacts", artifact_bytes, source.artifact_records(session))
        writer.member(f"{name}/journal", journal_bytes, source.journal_records(session, plan))
        if on_progress is not None:
            on_progress(min(writer.size, total), total)
    checksum = writer.finish()
    if on_progress is not None:
        on_progress(total, total)
    return Exported(
        sessions=len(rows),
        events=sum(row.events for row in rows),
        artifacts=sum(row.artifacts for row in rows),
        contents=len(ordered),
        content_bytes=content_bytes,
        bytes=writer.size,
        checksum=checksum,
    )


class _Source:
    """Reads sessions at one moment and encodes them for a bundle."""

    def __init__(self, moment: ReadView) -> None:
        self._journal = Journal(moment)
        self._catalog = Catalog(moment, self._journal)
        self._contents = Contents(moment, 0)
        self._artifacts = Artifacts(moment)
        self._records = Records(moment)
        self._inline: dict[bytes, tuple[bytes, bytes]] = {}
        """(session, key) of a record that has this content as its value, where the content is none of the store's."""

    def family(self, root: bytes) -> list[bytes]:
        """Return a session and all its descendants, parents first."""
        order = [root]
        seen = {root}
        for session in order:
            for child in self._catalog.children(session):
                below = session_bytes(child.id)
                if below not in seen:
                    seen.add(below)
                    order.append(below)
            if len(order) > MAX_SESSIONS:
                raise BundleError(f"the tree has more than the {MAX_SESSIONS} sessions that a bundle can carry")
        return order

    def is_cut(self, session: bytes) -> bool:
        return self._journal.base(session) is not None

    def effective(self, session: bytes) -> _Effective:
        live = {number for number, _ in self._artifacts.records(session)}
        return _Effective(self._read(session), live)

    def measure(self, session: bytes, plan: _Effective | None, digests: set[bytes]) -> tuple[BundledSession, int, int]:
        """Return the manifest's entry of a session, and the bytes of its artifact records and of its journal."""
        row = self._catalog.row(session)
        if row is None:
            session_id = session_id_of(session)
            raise SessionNotFound(f"there is no session {session_id}", session_id=session_id)
        artifacts = artifact_bytes = events = journal_bytes = 0
        for _, record in self._artifacts.records(session):
            digests.add(record.content_hash)
        for key, kept in self._records.all(session):
            digests.add(kept.hash)
            if not kept.flags & IN_CONTENT:
                self._inline[kept.hash] = session, key
        for framed_record in self.artifact_records(session):
            artifacts += 1
            artifact_bytes += len(framed_record)
        for _, stored in self._events(session, plan):
            events += 1
            journal_bytes += len(_framed_event(events, stored))
            digests.update(contents_of(stored))
        return BundledSession(session_id_of(session), row.parent, events, artifacts), artifact_bytes, journal_bytes

    def artifact_records(self, session: bytes) -> Iterator[bytes]:
        for number, record in self._artifacts.records(session):
            yield _framed([number, *record.stored()])

    def journal_records(self, session: bytes, plan: _Effective | None) -> Iterator[bytes]:
        for sequence, stored in self._events(session, plan):
            yield _framed_event(sequence, stored)

    def _events(self, session: bytes, plan: _Effective | None) -> Iterator[tuple[int, StoredEvent]]:
        events = self._read(session)
        return events if plan is None else plan.events(events)

    def _read(self, session: bytes) -> Iterator[tuple[int, StoredEvent]]:
        base = self._journal.base(session)
        events = self._journal.read(session)
        for sequence, stored in events if base is None else _with_base(events, *base):
            if stored.type == "event.lost":
                raise BundleError(
                    f"session {session_id_of(session)} has lost events to damage, and nobody could check what a bundle "
                    "says in their place: make a backup instead",
                    session_id=session_id_of(session),
                )
            yield sequence, stored

    def has_records(self, sessions: list[bytes]) -> bool:
        return any(self._records.keys(session, b"", after=None, limit=1) for session in sessions)

    def _value(self, digest: bytes) -> bytes | None:
        """Return the value of a record that has this hash and is no content; None if there is none."""
        place = self._inline.get(digest)
        record = self._records.get(*place) if place is not None else None
        if place is None or record is None:
            return None
        value = record.whole(place[1])
        if content_digest(value) != digest:
            raise IntegrityError(f"record {place[1]!r} of session {session_id_of(place[0])} is damaged; run verify")
        return value

    def content_size(self, digest: bytes) -> int:
        value = self._value(digest)
        if value is not None:
            return len(value)
        record = self._contents.record(digest)
        if record is None:
            raise IntegrityError(f"content {digest.hex()} is missing from the store; run verify")
        return record[0]

    def content(self, digest: bytes) -> Iterator[bytes]:
        value = self._value(digest)
        if value is not None:
            yield value
            return
        # Chunks are verified one by one as they are read. The importer checks that they are the right ones.
        with self._contents.open(digest, cached=False) as stream:
            while block := stream.read(_BLOCK_BYTES):
                yield block


def _framed(record: list[Any]) -> bytes:
    packed = _pack(record)
    if len(packed) > MAX_RECORD_BYTES:
        raise BundleError(f"a record has {len(packed)} bytes; a bundle can hold records of {MAX_RECORD_BYTES}")
    return framed(packed)


def _framed_event(sequence: int, stored: StoredEvent) -> bytes:
    return _framed([sequence, *stored.fields()])


def _lasting_context(context: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the context of an event without the ids of events: after counting anew, these would name others."""
    return {name: value for name, value in (context or {}).items() if event_place(value) is None} or None


def _with_base(events: Iterator[tuple[int, StoredEvent]], at: int, state: bytes) -> Iterator[tuple[int, StoredEvent]]:
    """Yield a truncated journal, counted anew, with events in place of its base. They describe the session as if it had
    been so from the beginning."""
    fields = msgpack.unpackb(state, unicode_errors="surrogatepass", strict_map_key=False)
    row, _, updated_at, *_, variables, _ = fields[:10]
    schemas = fields[11].get("schemas", {}) if len(fields) > 11 else {}
    row = SessionRow(*row)
    number = 0
    places: dict[int, int] = {}
    below = True
    last: Totals = 0, 0, 0
    for sequence, stored in events:
        if below and sequence > at:
            below = False
            if row.status == _SUSPENDED:
                number += 1
                yield number, StoredEvent("session.suspended", updated_at, {}, *last)
        last = stored.totals
        number += 1
        if stored.type in TURN_EVENTS:
            places[sequence] = number
            stored = stored._replace(data=moved_turn_event(stored.data, places.get))
        if stored.type != "session.created" or not below:
            yield number, stored
            continue
        yield number, stored._replace(data={**stored.data, "tags": row.tags, "metadata": row.metadata})
        for key, value in variables:
            number += 1
            data = {"key": key, "value": value}
            if key in schemas:
                data["schema"], data["schema_version"] = schemas[key]
            yield number, StoredEvent("variable.set", stored.time, data, *last)


_SUSPENDED: Final = 1
_ENDINGS: Final = frozenset({"session.completed", "session.failed", "session.archived"})


_SUPERSEDED: Final[dict[str, tuple[str, Any]]] = {
    "tags.changed": ("tags", []),
    "metadata.updated": ("metadata", _EMPTY_OBJECT),
    "session.configured": ("config", None),
    "session.renamed": ("name", None),
    "session.described": ("description", None),
}
"""Settings whose last event tells all, so that the creation keeps none of them."""


class _Effective:
    """The events of a journal that still hold: they give the same session, conversation and artifacts without the way
    there.

    Kept are the creation, the current messages as they are now, the artifacts that exist, the last change of each
    variable, of the tags, of the metadata and of the configuration, and the changes of status that lead to the present
    one. A bare entry of a deleted artifact is kept if its number or its version would be given out again.
    """

    def __init__(self, events: Iterator[tuple[int, StoredEvent]], live: set[int]) -> None:
        variables: dict[str, int] = {}
        last: dict[str, int] = {}
        suspended: int | None = None
        kept: set[int] = set()
        endings: set[int] = set()
        stored_at: dict[int, tuple[int, int]] = {}
        gone: dict[int, int] = {}
        newest: dict[str, int] = {}
        self._turns = CurrentTurns()
        records = RecordFold()
        for sequence, stored in events:
            kind, data = stored.type, stored.data
            if kind in TURN_EVENTS:
                self._turns.follow(sequence, stored)
            elif kind == RECORDS_CHANGED:
                records.apply(sequence, data.get("changes", ()))
            elif kind == "variable.set":
                variables[data["key"]] = sequence
            elif kind == "variable.deleted":
                variables.pop(data["key"], None)
            elif kind in _SUPERSEDED:
                last[kind] = sequence
            elif kind == "session.forked":  # active, whatever the status of the original
                suspended = None
                kept -= endings
                kept.add(sequence)
            elif kind == "session.suspended":
                suspended = sequence
            elif kind == "session.resumed":
                suspended = None
            elif kind in _ENDINGS:
                suspended = None
                endings.add(sequence)
                kept.add(sequence)
            elif kind == "artifact.stored":
                stored_at[data["sequence"]] = sequence, data["size"]
                newest[data["name"]] = data["sequence"]
            elif kind == "artifact.deleted":
                gone[data["sequence"]] = sequence
        # Versions and numbers only grow, so the newest of each name and the newest of all tell which are taken.
        needed = {*newest.values(), *list(stored_at)[-1:]}
        bare = [number for number in needed if number in gone]
        kept.update(variables.values(), last.values())
        kept.update(sequence for number, (sequence, _) in stored_at.items() if number in live or number in needed)
        kept.update(gone[number] for number in bare)
        if suspended is not None:
            kept.add(suspended)
        self._kept = kept
        self._bare = {stored_at[number][0] for number in bare}
        self._sizes = {number: stored_at[number][1] for number in bare}
        self._records: dict[int, list[list[Any]]] = {}
        """The changes of events about records that still hold, by sequence."""
        for key, record in records.live.items():
            change = RecordChange(key, record.hash, record.size, record.flags, None)
            self._records.setdefault(record.sequence, []).append(change.fields())
        self._superseded = dict(_SUPERSEDED[kind] for kind in last)

    def events(self, events: Iterator[tuple[int, StoredEvent]]) -> Iterator[tuple[int, StoredEvent]]:
        """Yield the events that still hold, counted anew, with the totals of artifacts adjusted."""
        number = artifacts = size = operations = 0
        previous: StoredEvent | None = None
        places: dict[int, int] = {}
        for sequence, stored in events:
            kind, time, data, operations = stored.type, stored.time, stored.data, stored.operation_count
            if kind == "session.created":
                data = {**data, **self._superseded}
            elif sequence in self._bare:
                data = {**data, "description": None, "tags": [], "custom": _EMPTY_OBJECT, "parent_artifact": None}
                data.pop(LABEL, None)
            elif kind in TURN_EVENTS:
                present = self._turns.present(sequence, stored, places.get)
                if present is None:
                    continue
                data = present
                places[sequence] = number + 1 + (previous is not None)
            elif sequence in self._records:
                data = {"changes": self._records[sequence]}
            elif sequence not in self._kept:
                continue
            if kind == "artifact.stored":
                artifacts, size = artifacts + 1, size + data["size"]
            elif kind == "artifact.deleted":
                artifacts, size = artifacts - 1, size - self._sizes[data["sequence"]]
            if previous is not None:
                number += 1
                yield number, previous
            context = _lasting_context(stored.context)
            previous = StoredEvent(kind, time, data, operations, artifacts, size, context)
        if previous is not None:
            # The count is that of the last operation, whether its event is kept or not.
            yield number + 1, previous._replace(operation_count=operations)
