"""Decide and answer what concerns records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.core import PendingEvent
from greenroom.actors.scheduling.futures import DeferredReply
from greenroom.actors.session.state.limits import Limits
from greenroom.actors.session.state.model import SessionState
from greenroom.actors.session.state.records import kept, totals_after
from greenroom.storage.codec.records import unpack_value
from greenroom.storage.common.metering import built, hold, metering
from greenroom.storage.engine.settled import settled
from greenroom.storage.errors import ArtifactNotFound, IntegrityError, ResourceLimitExceeded
from greenroom.storage.records.model import (
    IN_CONTENT,
    IS_VALUE,
    LOST_VALUE,
    RECORDS_CHANGED,
    RecordChange,
    StoredRecord,
)
from greenroom.storage.records.records import stored_records

from .draft import Lookup, require_writable

if TYPE_CHECKING:
    from greenroom.actors.session.live import LiveSession
    from greenroom.actors.session.staging import Reading
    from greenroom.actors.store import ArtifactStore

__all__ = ["RECORD_ANSWERS", "RECORD_DECIDERS", "RECORD_OUTCOMES", "known_record"]

_TRIES: Final = 8


def known_record(store: Reading, session: bytes, key: bytes) -> StoredRecord | None:
    """Return a record for a decision about it. If its entry is damaged, the newest event that names its key says what
    the entry said."""
    try:
        return store.records.get(session, key)
    except IntegrityError:
        newest: StoredRecord | None = None
        for sequence, stored in store.journal.readable(session):
            for position, fields in enumerate(stored.data.get("changes", ()) if stored.type == RECORDS_CHANGED else ()):
                change = RecordChange.of(fields)
                if change.key == key:
                    newest = None
                    if change.hash is not None:
                        flags = change.flags | LOST_VALUE
                        newest = StoredRecord(sequence, position, flags, change.size, change.hash)
        return newest


# -- commands


def _put(state: SessionState, command: m.PutRecords, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    require_writable(state, limits)
    changes: list[list[Any]] = []
    for item in command.items:
        there = lookup.record(item.key)
        if there is None:
            changes.append([item.key, item.hash, len(item.data), item.flags, None])
            continue
        if command.if_absent:
            return []
        if there.hash == item.hash and there.flags == item.flags and not item.is_missing:
            continue  # it would change nothing
        change = RecordChange(item.key, item.hash, len(item.data), item.flags, there.size, there.released)
        changes.append(change.fields())
    return _changed(state, changes, limits)


def _delete(state: SessionState, command: m.DeleteRecords, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    require_writable(state, limits)
    keys: Sequence[bytes] = command.keys
    if command.prefix is not None:
        keys = lookup.record_keys(command.prefix, m.MAX_BATCH)
    changes: list[list[Any]] = []
    for key in keys:
        there = lookup.record(key)
        if there is not None:
            changes.append(RecordChange(key, None, 0, 0, there.size, there.released).fields())
    return _changed(state, changes, limits)


def _changed(state: SessionState, fields: list[list[Any]], limits: Limits) -> list[PendingEvent]:
    if not fields:
        return []
    before = kept(state)
    after = totals_after(before, fields)
    if after.records <= limits.max_records and after.bytes <= limits.max_record_bytes:
        return [PendingEvent(RECORDS_CHANGED, {"changes": fields})]
    for resource, value, has, limit in (
        ("records", after.records, before.records, limits.max_records),
        ("record_bytes", after.bytes, before.bytes, limits.max_record_bytes),
    ):
        if value > limit and value > has:
            raise ResourceLimitExceeded(
                f"session {state.id} may have {limit} {resource} and would have {value} with this: delete some, or "
                f"raise max_{resource} with session.update_config",
                resource=resource,
                limit=limit,
                value=value,
            )
    return [PendingEvent(RECORDS_CHANGED, {"changes": fields})]


def _was_put(command: m.PutRecords, drafts: list[PendingEvent]) -> bool:
    return not command.if_absent or bool(drafts) or not command.items


def _number_deleted(command: m.DeleteRecords, drafts: list[PendingEvent]) -> int:
    return len(drafts[0].data["changes"]) if drafts else 0


# -- queries


def _get_record(actor: LiveSession, query: m.GetRecord) -> Any:
    store, session = actor.services.store, actor.state.session
    record = store.records.get(session, query.key)
    if record is None:
        return query.default
    if record.data is not None and not metering():
        return unpack_value(record.data) if record.flags & IS_VALUE else record.data

    def read() -> Any:
        found = _value(store, session, query.key, record)
        return query.default if found is None else found[0]

    return DeferredReply(read)


def _get_records(actor: LiveSession, query: m.GetRecords) -> DeferredReply:
    store, session = actor.services.store, actor.state.session

    def read() -> dict[bytes, Any]:
        found: dict[bytes, Any] = {}
        limited = metering()
        for key, record in store.records.many(session, query.keys):
            data = record.data
            if data is None or limited:
                value = _value(store, session, key, record)
                if value is not None:
                    found[key] = value[0]
            else:
                found[key] = unpack_value(data) if record.flags & IS_VALUE else data
        return found

    return DeferredReply(lambda: settled(store.engine, read))


def _scan_records(actor: LiveSession, query: m.ScanRecords) -> DeferredReply:
    store, session = actor.services.store, actor.state.session
    keys_only = not query.values

    def read() -> list[Any]:
        rows: list[Any] = []
        after, size, limited = query.after, 0, metering()
        while len(rows) < query.limit and size < m.RECORD_PAGE_BYTES:
            wanted = query.limit - len(rows)
            page = store.records.page(session, query.prefix, after=after, reverse=query.reverse, limit=wanted)
            if keys_only:
                rows += [place[17:] for place, _ in page]
                return rows
            for after, record in stored_records(page):  # where the next page begins
                data = record.data
                if data is None or limited:
                    found = _value(store, session, after, record)
                    if found is None:
                        continue  # deleted while the page was read
                    rows.append((after, found[0]))
                else:
                    rows.append((after, unpack_value(data) if record.flags & IS_VALUE else data))
                size += record.size
                if size >= m.RECORD_PAGE_BYTES:
                    break
            if len(page) < wanted:
                break
        return rows

    return DeferredReply(lambda: settled(store.engine, read))


def _value(store: ArtifactStore, session: bytes, key: bytes, record: StoredRecord) -> tuple[Any] | None:
    """Return the value of a record, or of what has taken its place while it was read; None if it was deleted."""
    for _ in range(_TRIES):
        hold(record.size)
        try:
            data = store.contents.read(record.hash) if record.flags & IN_CONTENT else record.whole(key)
        except ArtifactNotFound:
            now = store.records.get(session, key)
            if now is None:
                return None
            record = now
            continue
        if not record.flags & IS_VALUE:
            return (data,)
        value = unpack_value(data)
        if metering():
            built(value)
        return (value,)
    raise IntegrityError(f"record {key!r} changes faster than it can be read")


def _count_records(actor: LiveSession, query: m.CountRecords) -> Any:
    if not query.prefix and actor.state.certain is None:
        return kept(actor.state).records
    store, session = actor.services.store, actor.state.session
    return DeferredReply(lambda: store.records.count(session, query.prefix))


RECORD_DECIDERS: Final[
    dict[type[m.Command[Any]], Callable[[SessionState, Any, Limits, Lookup], list[PendingEvent]]]
] = {
    m.PutRecords: _put,
    m.DeleteRecords: _delete,
}
RECORD_OUTCOMES: Final[dict[type[Any], Callable[[Any, list[PendingEvent]], Any]]] = {
    m.PutRecords: _was_put,
    m.DeleteRecords: _number_deleted,
}
RECORD_ANSWERS: Final[dict[type[Any], Callable[[LiveSession, Any], Any]]] = {
    m.GetRecord: _get_record,
    m.GetRecords: _get_records,
    m.ScanRecords: _scan_records,
    m.CountRecords: _count_records,
}
