"""The journal: the append-only, gap-free sequence of events of each session, and the snapshots of its state."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from blake3 import blake3

from .engine import CF, Engine, Op
from .errors import IntegrityError, SchemaTooNew
from .keys import after_prefix, sequence_key, session_id_of
from .records import SCHEMA_VERSION, Value, seal, unpack_value, unseal

__all__ = ["PUBLISHED", "Event", "Journal", "StoredEvent", "Totals", "event_ids", "event_view", "iso_time", "utc_time"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Totals = tuple[int, int, int]
"""(operation_count, artifact_count, total_artifact_size) after an event: every event carries them, so that the
facts that change with each write are read with one seek and need no second record."""

StoredEvent = list[Any]
"""[type, time in ns since the epoch, data, operation_count, artifact_count, total_artifact_size, context?]"""

# User values inside event data are stored encoded, so that folding need not decode them.
ENCODED_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "session.created": ("metadata", "config"),
    "metadata.updated": ("metadata",),
    "session.configured": ("config",),
    "variable.set": ("value",),
    "message.added": ("content", "tool_calls", "metadata"),
    "artifact.stored": ("custom",),
    "tool.called": ("input",),
    "tool.returned": ("result",),
    "agent.called": ("input",),
    "agent.returned": ("result",),
    "hook.executed": ("data", "result"),
}

_LOOK_BACK: Final = 64
PUBLISHED: Final = "published"
"""In the data of events that hosts and scripts have published: all of their data, encoded."""


def utc_time(nanoseconds: int) -> datetime:
    """An aware UTC datetime, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def iso_time(when: datetime | None) -> str | None:
    """RFC 3339 with microseconds and `Z`."""
    return when.isoformat(timespec="microseconds").replace("+00:00", "Z") if when is not None else None


@dataclass(frozen=True, slots=True)
class Event:
    """A fact that was journaled, or one that was only told to who listened: those have `sequence` 0 and a UUID as id.

    `data` holds JSON values and bytes; `timestamp` is aware UTC. `session_id` is empty where no session is concerned.
    """

    id: str
    type: str
    session_id: str
    sequence: int
    timestamp: datetime
    data: dict[str, Value] = field(default_factory=dict)
    correlation_id: str | None = None
    causation_id: str | None = None
    root_id: str | None = None
    source: str | None = None
    target: str | None = None
    tags: tuple[str, ...] = ()
    language: str | None = None
    schema_version: int = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Value]:
        """Every field by name; the time in RFC 3339; bytes in `data` stay bytes."""
        row: dict[str, Value] = {each.name: getattr(self, each.name) for each in fields(self)}
        row["timestamp"] = iso_time(self.timestamp)
        row["tags"] = list(self.tags)
        return row


def event_view(session_id: str, sequence: int, stored: StoredEvent, told_id: str | None = None) -> Event:
    """A stored event as users see it; `told_id` is the id of one that was told and not journaled.

    An event that names no root has that of its cause, or is its own; one that names no correlation has that of its
    cause, or its session's, which is the session's id where its creator has given none.
    """
    type_, time, data = stored[0], stored[1], dict(stored[2])
    for name in ENCODED_FIELDS.get(type_, ()):
        encoded = data.get(name)
        if encoded is not None:
            data[name] = unpack_value(encoded)
    if PUBLISHED in data:
        data = unpack_value(data[PUBLISHED])
    else:
        for name in ("content_hash", "previous_hash"):
            if isinstance(data.get(name), bytes):
                data[name] = data[name].hex()
    context = stored[6] if len(stored) > 6 else {}
    own = told_id or f"{session_id}/{sequence}"
    correlation, causation, root = event_ids(own, context)
    return Event(
        id=own,
        type=type_,
        session_id=session_id,
        sequence=sequence,
        timestamp=utc_time(time),
        data=data,
        correlation_id=correlation,
        causation_id=causation,
        root_id=root,
        source=context.get("source"),
        target=context.get("target"),
        tags=tuple(context.get("tags", ())),
        language=context.get("language"),
    )


def event_ids(own: str, context: dict[str, Any]) -> tuple[str, str | None, str]:
    """Return the correlation, causation and root id of the event with the id `own`."""
    causation = context.get("causation_id")
    cause = context.get("root_id") or causation
    # What nothing has caused belongs to its session; one that was only told and concerns none, to itself.
    return context.get("correlation_id") or cause or own.partition("/")[0], causation, cause or own


def _event_name(key: bytes) -> str:
    return f"event {int.from_bytes(key[16:], 'big')} of session {session_id_of(key[:16])}"


class Journal:
    """Reads journals and snapshots, and makes the operations that append to them."""

    PAGE: Final = 256
    SNAPSHOTS_KEPT: Final = 2

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # -- events

    @staticmethod
    def append(session: bytes, sequence: int, stored: StoredEvent) -> Op:
        """The operation that writes one event."""
        key = sequence_key(session, sequence)
        return CF.JOURNAL, key, seal(key, stored)

    def read(self, session: bytes, after: int = 0, *, whole: bool = False) -> Iterator[tuple[int, StoredEvent]]:
        """The stored events with a sequence greater than `after`, in order. Of those up to the base of a journal that
        was cut some are gone; with `whole`, for folding, that is a gap like any other.

        Raises IntegrityError at a damaged event or a gap.
        """
        expected = after + 1
        cut = 0
        end = after_prefix(session)
        for key, record in self._engine.pages(CF.JOURNAL, sequence_key(session, expected), end, page=self.PAGE):
            sequence = int.from_bytes(key[16:], "big")
            if sequence != expected and not whole and sequence > cut:
                base = self.base(session)
                cut = base[0] if base is not None else 0
            if sequence != expected and (whole or sequence > cut + 1):
                raise IntegrityError(
                    f"event {expected} of session {session_id_of(session)} is missing; run verify",
                    session_id=session_id_of(session),
                    sequence=expected,
                )
            yield sequence, self.unsealed(key, record)
            expected = sequence + 1

    def readable(self, session: bytes, after: int = 0) -> Iterator[tuple[int, StoredEvent]]:
        """Like `read`, but what is damaged or missing is left out."""
        begin, end = sequence_key(session, after + 1), after_prefix(session)
        for key, record in self._engine.pages(CF.JOURNAL, begin, end, page=self.PAGE):
            try:
                stored = self.unsealed(key, record)
            except (IntegrityError, SchemaTooNew):
                continue
            yield int.from_bytes(key[16:], "big"), stored

    def events(self, session: bytes, after: int = 0, limit: int | None = None) -> Iterator[Event]:
        """The events with a sequence greater than `after`, at most `limit`, as users see them."""
        session_id = session_id_of(session)
        for count, (sequence, stored) in enumerate(self.read(session, after)):
            if limit is not None and count >= limit:
                return
            yield event_view(session_id, sequence, stored)

    def event(self, session: bytes, sequence: int) -> Event:
        """One event. Raises IntegrityError when it is missing or damaged."""
        return event_view(session_id_of(session), sequence, self.stored(session, sequence))

    def stored(self, session: bytes, sequence: int) -> StoredEvent:
        """One event as it is stored. Raises IntegrityError when it is missing or damaged."""
        key = sequence_key(session, sequence)
        record = self._engine.get(CF.JOURNAL, key)
        if record is None:
            base = self.base(session)
            gone = "was removed by retention" if base is not None and sequence <= base[0] else "is missing; run verify"
            raise IntegrityError(f"event {sequence} of session {session_id_of(session)} {gone}", sequence=sequence)
        return self.unsealed(key, record)

    def holds(self, session: bytes, sequence: int) -> bool:
        """Whether there is an event, damaged or not."""
        return self._engine.get(CF.JOURNAL, sequence_key(session, sequence)) is not None

    def last(self, session: bytes) -> tuple[int, StoredEvent] | None:
        """The newest event, or None for a session without a journal. One seek."""
        found = self._engine.last(CF.JOURNAL, session)
        if found is None:
            return None
        return int.from_bytes(found[0][16:], "big"), self.unsealed(*found)

    def last_but(self, session: bytes, types: frozenset[str]) -> int | None:
        """The time of the newest event that is of none of these types, among the last 64; else of the oldest of
        these. None without a journal."""
        time = None
        for key, record in self._engine.scan(
            CF.JOURNAL, session, after_prefix(session), reverse=True, limit=_LOOK_BACK
        ):
            stored = self.unsealed(key, record)
            time = stored[1]
            if stored[0] not in types:
                break
        return time

    def is_empty(self, session: bytes) -> bool:
        """Whether a session has no event at all, damaged or not."""
        return self._engine.last(CF.JOURNAL, session) is None

    @staticmethod
    def unsealed(key: bytes, record: bytes) -> StoredEvent:
        """Return the event of a record. Raises IntegrityError, SchemaTooNew."""
        stored: StoredEvent = unseal(key, record, _event_name)
        return stored

    # -- snapshots

    @classmethod
    def snapshot(cls, session: bytes, sequence: int, state: bytes, previous: list[int]) -> list[Op]:
        """The operations that write a snapshot and drop all but the newest of the `previous` ones.

        `state` is the canonical encoding of the state at `sequence`; its BLAKE3 digest is stored with it.
        """
        key = sequence_key(session, sequence)
        ops: list[Op] = [(CF.SNAPSHOTS, key, seal(key, [blake3(state).digest(), state]))]
        surplus = previous[: max(0, len(previous) - cls.SNAPSHOTS_KEPT + 1)]
        ops += [(CF.SNAPSHOTS, sequence_key(session, old), None) for old in surplus if old != sequence]
        return ops

    # -- the base of a journal that was cut: the state from which the fold begins

    @staticmethod
    def rebase(session: bytes, sequence: int, state: bytes) -> Op:
        """The operation that makes the state at `sequence` the base of the journal."""
        key = sequence_key(session, 0)
        return CF.SNAPSHOTS, key, seal(key, [sequence, blake3(state).digest(), state])

    def base(self, session: bytes) -> tuple[int, bytes] | None:
        """(sequence, state) of the base; None for a journal that is whole. Raises IntegrityError."""
        key = sequence_key(session, 0)
        record = self._engine.get(CF.SNAPSHOTS, key)
        if record is None:
            return None
        name = f"the base of the journal of session {session_id_of(session)}"
        sequence, digest, state = unseal(key, record, name)
        if blake3(state).digest() != digest:
            raise IntegrityError(f"{name} is damaged on disk; run verify", session_id=session_id_of(session))
        return sequence, state

    def snapshots(self, session: bytes) -> Iterator[tuple[int, bytes, bytes]]:
        """Valid snapshots, newest first, as (sequence, state, digest). Damaged ones are skipped, never trusted."""
        begin, end = sequence_key(session, 1), after_prefix(session)
        for key, record in self._engine.scan(CF.SNAPSHOTS, begin, end, reverse=True):
            try:
                digest, state = unseal(key, record, "a snapshot")
            except (IntegrityError, SchemaTooNew):
                continue
            if blake3(state).digest() == digest:
                yield int.from_bytes(key[16:], "big"), state, digest
