"""The metrics of one session, and the figures shared with the metrics of many."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from greenroom.actors.session.loading import load_state
from greenroom.actors.store import ArtifactStore
from greenroom.storage.catalog.model import STATUSES, SessionRow
from greenroom.storage.common.session_ids import session_id_of
from greenroom.storage.common.times import iso_time, nanoseconds, utc_time

from .counts import Activity, CallMetrics, CallTable
from .pseudonyms import Pseudonyms
from .tally import Tally, Window, read_session

__all__ = [
    "Checkpoints",
    "Facts",
    "Figures",
    "ResourceUse",
    "SessionMetrics",
    "as_json",
    "facts_of",
    "figures_of",
    "session_metrics",
]


_SECOND: Final = 1_000_000_000
_MICRO: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ResourceUse:
    """Resources used: artifacts stored and deleted, bytes stored (each artifact counted whole, before compression),
    tokens and cost as reported by agents."""

    artifacts_stored: int = 0
    artifacts_deleted: int = 0
    bytes_stored: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    tokens: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """How often state was saved: the `count` of saves, saves per hour, and the mean seconds between two saves. None
    where the divisor is 0."""

    count: int = 0
    per_hour: float | None = None
    mean_interval: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The figures of the events in the window: only names, counts, sizes and times, never content.

    events: the number of events; operations: journaled changes, of one or more events each. by_type counts events by
    type, by_family by the part before the first dot. success_rate covers tools, agents and scripts together. errors
    counts failures by code. Calls are by name; models are the calls of agents by model.
    """

    events: int
    operations: int
    by_family: dict[str, int]
    by_type: dict[str, int]
    tools: CallTable
    agents: CallTable
    models: CallTable
    hooks: CallTable
    scripts: CallTable
    success_rate: float | None
    errors: dict[str, int]
    resources: ResourceUse
    checkpoints: Checkpoints
    messages_by_role: dict[str, int]
    activity: Activity
    first_activity: datetime | None
    last_activity: datetime | None

    def to_dict(self) -> dict[str, Any]:
        """Return every field by name, as JSON values; times in RFC 3339."""
        names = [name for each in type(self).__mro__ for name in getattr(each, "__dataclass_fields__", {})]
        return {name: as_json(getattr(self, name)) for name in dict.fromkeys(names)}


def as_json(value: Any) -> Any:
    """Return a part of metrics as JSON values."""
    if isinstance(value, datetime):
        return iso_time(value)
    if isinstance(value, dict):
        return {key: as_json(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [as_json(each) for each in value]
    to_dict = getattr(value, "to_dict", None)
    if to_dict is not None:
        return to_dict()
    if hasattr(value, "__dataclass_fields__"):
        return {each.name: as_json(getattr(value, each.name)) for each in fields(value)}
    return value


def figures_of(tally: Tally, seconds: float, pseudonyms: Pseudonyms | None) -> dict[str, Any]:
    """Return the fields of `Figures`. `seconds` is the time that the tally covers, added up over its sessions."""
    types, roles, errors = tally.types, tally.roles, tally.errors
    if pseudonyms is not None:
        errors = _renamed(errors, pseudonyms.text)
        types = _renamed(types, pseudonyms.event_type)
        roles = _renamed(roles, pseudonyms.role)
    families: dict[str, int] = {}
    for type_, count in types.items():
        family = type_.partition(".")[0]
        families[family] = families.get(family, 0) + count
    return {
        "events": tally.events,
        "operations": tally.operations,
        "by_family": _most_first(families),
        "by_type": _most_first(types),
        **{
            name: _named(getattr(tally, name).table(), pseudonyms)
            for name in ("tools", "agents", "models", "hooks", "scripts")
        },
        "success_rate": _success_rate(tally),
        "errors": _most_first(errors),
        "resources": ResourceUse(
            tally.stored_artifacts,
            tally.deleted_artifacts,
            tally.stored_bytes,
            tally.tokens[0],
            tally.tokens[1],
            tally.tokens[2],
            tally.cost / _MICRO,
        ),
        "checkpoints": Checkpoints(
            tally.saves,
            tally.saves * 3600 / seconds if seconds > 0 else None,
            tally.save_distance / tally.save_intervals / _SECOND if tally.save_intervals else None,
        ),
        "messages_by_role": _most_first(roles),
        "activity": tally.activity.activity(),
        "first_activity": utc_time(tally.first) if tally.first is not None else None,
        "last_activity": utc_time(tally.last) if tally.last is not None else None,
    }


def _success_rate(tally: Tally) -> float | None:
    totals = [table.total() for table in (tally.tools, tally.agents, tally.scripts)]
    return CallMetrics(
        succeeded=sum(each.succeeded for each in totals), failed=sum(each.failed for each in totals)
    ).success_rate


def _most_first(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))


def _renamed(counts: dict[str, int], name: Any) -> dict[str, int]:
    renamed: dict[str, int] = {}
    for each, count in counts.items():
        renamed[name(each)] = renamed.get(name(each), 0) + count
    return renamed


def _named(table: CallTable, pseudonyms: Pseudonyms | None) -> CallTable:
    if pseudonyms is None:
        return table
    return CallTable(table.total, {pseudonyms.text(name): each for name, each in table.by_name.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionMetrics(Figures):
    """The state of a session now, and the figures of its events within the window.

    The state now: status, created_by, the times of creation and end, duration (seconds to the end, or to the newest
    event), artifacts and artifact_bytes, state_bytes (the size of its snapshot). In privacy mode session_id and
    created_by are pseudonyms.
    """

    session_id: str
    status: str
    created_by: str | None
    created_at: datetime
    ended_at: datetime | None
    duration: float
    artifacts: int
    artifact_bytes: int
    state_bytes: int


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts read of one session: its row, its state now, and the tally of its events.

    seconds: how long the session has existed within the window. state_bytes is 0 if it was not read.
    """

    row: SessionRow
    duration: float
    artifacts: int
    artifact_bytes: int
    state_bytes: int
    seconds: float
    tally: Tally


def facts_of(
    store: ArtifactStore, session: bytes, row: SessionRow, window: Window, bucket: float, *, if_active: bool = False
) -> Facts:
    """Read a session's facts; with `if_active` its state only if it has events within the window. Raises IntegrityError
    or SchemaTooNew if its journal cannot be read, SessionNotFound if it was deleted."""
    return store.journal.settled(session, lambda: _facts_of(store, session, row, window, bucket, if_active))


def _facts_of(
    store: ArtifactStore, session: bytes, row: SessionRow, window: Window, bucket: float, if_active: bool
) -> Facts:
    info = store.catalog.info_of(session, row)
    updated = nanoseconds(info.updated_at)
    if row.created_at < window.high and updated >= window.low:
        tally = read_session(store.journal, session, info.sequence, window, bucket)
    else:
        tally = Tally(bucket)
    begin, end = max(row.created_at, window.low), min(row.ended_at or updated, window.high)
    needed = tally.events or not if_active
    state_bytes = len(load_state(store, session_id_of(session))[0].encode()) if needed else 0
    return Facts(
        row,
        info.duration,
        info.artifact_count,
        info.total_artifact_size,
        state_bytes,
        max(0, end - begin) / _SECOND,
        tally,
    )


def session_metrics(
    store: ArtifactStore,
    session: bytes,
    row: SessionRow,
    window: Window,
    bucket: float,
    pseudonyms: Pseudonyms | None,
) -> SessionMetrics:
    """Return the metrics of a session. Raises what `facts_of` raises."""
    facts = facts_of(store, session, row, window, bucket)
    session_id, created_by = session_id_of(session), row.created_by
    if pseudonyms is not None:
        session_id = pseudonyms.session(session_id)
        created_by = pseudonyms.name(created_by) if created_by is not None else None
    return SessionMetrics(
        session_id=session_id,
        status=str(STATUSES[row.status]),
        created_by=created_by,
        created_at=utc_time(row.created_at),
        ended_at=utc_time(row.ended_at) if row.ended_at is not None else None,
        duration=facts.duration,
        artifacts=facts.artifacts,
        artifact_bytes=facts.artifact_bytes,
        state_bytes=facts.state_bytes,
        **figures_of(facts.tally, facts.seconds, pseudonyms),
    )
