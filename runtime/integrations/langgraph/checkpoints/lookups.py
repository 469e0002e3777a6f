"""Where the checkpoints of threads are, and what stands there."""

from __future__ import annotations

from collections.abc import Iterator

from langgraph.checkpoint.base import writes_sort_key

from greenroom.runtime import Session, SessionNotFound

from ..keys import parts_of
from .configs import Place
from .rows import CheckpointRow, WriteRow, checkpoint_key, checkpoints_in, writes_prefix
from .threads import Threads

__all__ = ["found_at", "row_at", "rows_of", "writes_of"]


def rows_of(
    threads_there: Threads, place: Place | None, end: str | None, limit: int | None
) -> Iterator[tuple[str, Session, str, object]]:
    """Yield (thread, session, checkpoint's id, record) of what a configuration names, newest first."""
    if place is None:
        threads = threads_there.all()
    else:
        session = threads_there.look_up(place.thread)
        threads = iter([(place.thread, session)] if session is not None else [])
    if place is not None and place.namespace is not None:
        prefix = checkpoints_in(place.namespace)
        after = checkpoint_key(place.namespace, end) if end is not None else None
        for name, session in threads:
            if place.checkpoint is not None:
                found = existing(session, checkpoint_key(place.namespace, place.checkpoint))
                if found is not None and (end is None or place.checkpoint < end):
                    yield name, session, place.checkpoint, found
                continue
            try:
                for key, record in session.records.iterate(prefix, reverse=True, after=after, limit=limit):
                    yield name, session, id_of(key), record
            except SessionNotFound:
                continue
        return
    places: list[tuple[str, str, Session, bytes]] = []
    for name, session in threads:
        for key in keys_of(session):
            checkpoint_id = id_of(key)
            if (end is None or checkpoint_id < end) and (
                place is None or place.checkpoint is None or checkpoint_id == place.checkpoint
            ):
                places.append((checkpoint_id, name, session, key))
    places.sort(key=lambda each: each[0], reverse=True)
    for checkpoint_id, name, session, key in places:
        there = existing(session, key)
        if there is not None:
            yield name, session, checkpoint_id, there


def id_of(key: bytes) -> str:
    """Return the checkpoint's id of a checkpoint's key."""
    return parts_of(key[1:])[-1] or ""


def existing(session: Session, key: bytes) -> object:
    try:
        return session.records.get(key)
    except SessionNotFound:
        return None


def keys_of(session: Session) -> list[bytes]:
    try:
        return session.records.keys(b"c")
    except SessionNotFound:
        return []


def row_at(session: Session | None, key: bytes) -> CheckpointRow | None:
    record = existing(session, key) if session is not None else None
    return CheckpointRow.of(record) if record is not None else None


def found_at(session: Session, namespace: str, checkpoint: str | None) -> tuple[str, CheckpointRow] | None:
    """Return the id and the row of a checkpoint, of the newest without an id; None if there is none."""
    if checkpoint is not None:
        row = row_at(session, checkpoint_key(namespace, checkpoint))
        return (checkpoint, row) if row is not None else None
    for key, record in session.records.iterate(checkpoints_in(namespace), reverse=True, limit=1):
        return id_of(key), CheckpointRow.of(record)
    return None


def writes_of(session: Session, namespace: str, checkpoint: str) -> list[WriteRow]:
    """Return the pending writes of a checkpoint in the order in which LangGraph applies them."""
    rows = [
        row
        for _, record in session.records.scan(writes_prefix(namespace, checkpoint))
        for row in WriteRow.all_of(record)
    ]
    return sorted(rows, key=lambda row: writes_sort_key(row.path, row.task, row.index))
