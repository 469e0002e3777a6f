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

__all__ = ["Event", "Journal", "StoredEvent", "Totals", "iso_time", "utc_time"]

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
    "variable.set": ("value",),
    "message.added": ("content", "tool_calls", "metadata"),
    "artifact.stored": ("custom",),
}


def utc_time(nanoseconds: int) -> datetime:
    """An aware UTC datetime, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def iso_time(when: datetime | None) -> str | None:
    """RFC 3339 with microseconds and `Z`."""
    return when.isoformat(timespec="microseconds").replace("+00:00", "Z") if when is not None else None


@dataclass(frozen=True, slots=True)
class Event:
    """A fact that was journaled. `data` holds JSON values and bytes; `timestamp` is aware UTC."""

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


def _event_view(session_id: str, sequence: int, stored: StoredEvent) -> Event:
    type_, time, data = stored[0], stored[1], dict(stored[2])
    for name in ENCODED_FIELDS.get(type_, ()):
        encoded = data.get(name)
        if encoded is not None:
            data[name] = unpack_value(encoded)
    for name in ("content_hash", "previous_hash"):
        if isinstance(data.get(name), bytes):
            data[name] = data[name].hex()
    context = stored[6] if len(stored) > 6 else {}
    return Event(
        id=f"{session_id}/{sequence}",
        type=type_,
        session_id=session_id,
        sequence=sequence,
        timestamp=utc_time(time),
        data=data,
        correlation_id=context.get("correlation_id"),
        causation_id=context.get("causation_id"),
        root_id=context.get("root_id"),
        source=context.get("source"),
        target=context.get("target"),
        tags=tuple(context.get("tags", ())),
        language=context.get("language"),
    )


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

    def read(self, session: bytes, after: int = 0) -> Iterator[tuple[int, StoredEvent]]:
        """The stored events with a sequence greater than `after`, in order.

        Raises IntegrityError at a damaged event or a gap.
        """
        expected = after + 1
        end = after_prefix(session)
        for key, record in self._engine.pages(CF.JOURNAL, sequence_key(session, expected), end, page=self.PAGE):
            sequence = int.from_bytes(key[16:], "big")
            if sequence != expected:
                raise IntegrityError(
                    f"event {expected} of session {session_id_of(session)} is missing; run verify",
                    session_id=session_id_of(session),
                    sequence=expected,
                )
            yield sequence, self._unseal(key, record)
            expected += 1

    def events(self, session: bytes, after: int = 0, limit: int | None = None) -> Iterator[Event]:
        """The events with a sequence greater than `after`, at most `limit`, as users see them."""
        session_id = session_id_of(session)
        for count, (sequence, stored) in enumerate(self.read(session, after)):
            if limit is not None and count >= limit:
                return
            yield _event_view(session_id, sequence, stored)

    def event(self, session: bytes, sequence: int) -> Event:
        """One event. Raises IntegrityError when it is missing or damaged."""
        key = sequence_key(session, sequence)
        record = self._engine.get(CF.JOURNAL, key)
        if record is None:
            raise IntegrityError(
                f"event {sequence} of session {session_id_of(session)} is missing; run verify",
                sequence=sequence,
            )
        return _event_view(session_id_of(session), sequence, self._unseal(key, record))

    def last(self, session: bytes) -> tuple[int, StoredEvent] | None:
        """The newest event, or None for a session without a journal. One seek."""
        found = self._engine.last(CF.JOURNAL, session)
        if found is None:
            return None
        return int.from_bytes(found[0][16:], "big"), self._unseal(*found)

    def is_empty(self, session: bytes) -> bool:
        """Whether a session has no event at all, damaged or not."""
        return self._engine.last(CF.JOURNAL, session) is None

    @staticmethod
    def _unseal(key: bytes, record: bytes) -> StoredEvent:
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

    def snapshots(self, session: bytes) -> Iterator[tuple[int, bytes, bytes]]:
        """Valid snapshots, newest first, as (sequence, state, digest). Damaged ones are skipped, never trusted."""
        for key, record in self._engine.scan(CF.SNAPSHOTS, session, after_prefix(session), reverse=True):
            try:
                digest, state = unseal(key, record, "a snapshot")
            except (IntegrityError, SchemaTooNew):
                continue
            if blake3(state).digest() == digest:
                yield int.from_bytes(key[16:], "big"), state, digest
