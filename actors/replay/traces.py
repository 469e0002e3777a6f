"""Find the event at which a journal and one of its snapshots go apart."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final, NamedTuple

from greenroom.actors.session.state.evolve import evolve
from greenroom.actors.session.state.model import SessionState, in_order

from .history import History

__all__ = ["Trace", "trace"]

_ROW: Final = (
    "status",
    "name",
    "description",
    "created_by",
    "tags",
    "parent",
    "metadata",
    "created_at",
    "started_at",
    "ended_at",
    "correlation_id",
    "failure_reason",
    "config",
    "key",
    "operation_count",
    "artifact_count",
    "artifact_bytes",
    "last_artifact",
    "message_count",
    "updated_at",
)


class Trace(NamedTuple):
    """Where a journal and a snapshot go apart: the first event that shows it, its type, and by path what the snapshot
    and what the journal say. Values of variables and metadata are encoded."""

    sequence: int
    type: str
    differences: dict[str, tuple[Any, Any]]


def trace(past: History, sequence: int) -> Trace | None:
    """Return the event that explains why the snapshot at `sequence` is not what the journal gives; None if both agree.

    That is the first of those that were the last to change something which differs. Reads the journal from the snapshot
    before.
    """
    snapshots = [*islice(past.store.journal.snapshots(past.session, sequence), 2)]
    if not snapshots or snapshots[0].sequence != sequence:
        return None
    wanted = _facts(SessionState.decode(past.id, snapshots[0].state))
    begin = SessionState.decode(past.id, snapshots[1].state) if len(snapshots) > 1 else past.beginning()
    end = SessionState.decode(past.id, begin.encode()) if begin.sequence else SessionState(past.id, past.session)
    for at, stored in past.events(begin.sequence, sequence):
        evolve(end, at, stored)
    found = _facts(end)
    paths = [path for path in {**wanted, **found} if wanted.get(path) != found.get(path)]
    if not paths:
        return None
    values = {path: _fact(begin, path) for path in paths}
    touched: dict[str, tuple[int, str]] = {}
    for at, stored in past.events(begin.sequence, sequence):
        evolve(begin, at, stored)
        for path in paths:
            now = _fact(begin, path)
            if now != values[path]:
                touched[path], values[path] = (at, stored.type), now
    first = min(touched.values(), default=(sequence, past.store.journal.stored(past.session, sequence).type))
    return Trace(*first, {path: (wanted.get(path), found.get(path)) for path in paths})


def _facts(state: SessionState) -> dict[str, Any]:
    """Return the facts of a state by path."""
    names = [
        *_ROW,
        *(f"variables.{key}" for key in state.variables),
        *(f"artifact_types.{name}" for name in state.artifact_types or ()),
        *(f"more.{name}" for name in state.more),
    ]
    return {path: _fact(state, path) for path in names}


def _fact(state: SessionState, path: str) -> Any:
    """Return one fact of a state; None if it does not have it."""
    kind, dot, name = path.partition(".")
    if not dot:
        value = getattr(state, path)
        return list(value) if isinstance(value, list) else value
    within: dict[str, Any] = getattr(state, kind) or {}
    return repr(in_order(within.get(name))) if kind == "more" else within.get(name)
