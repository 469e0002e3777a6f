"""Which sessions can be replayed, what is known of their recordings, and what hooks have done in them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, TypeVar

import pydantic
from annotated_types import Ge, Le, MaxLen, MinLen

from greenroom.actors.replay.history import History
from greenroom.runtime.handles.listing import iterate_pages
from greenroom.runtime.handles.session import required_session_id
from greenroom.storage.catalog.model import STATUSES, SessionInfo
from greenroom.storage.catalog.query import session_query
from greenroom.storage.codec.records import Json, unpack_value
from greenroom.storage.common.arguments import as_mapping
from greenroom.storage.common.page import Page
from greenroom.storage.common.session_ids import SessionHandle, session_bytes
from greenroom.storage.common.times import iso_time, utc_time
from greenroom.storage.common.validation import Checked, Moment, SessionId, validated
from greenroom.storage.errors import GreenroomError, ReplayError, SessionNotFound, shown
from greenroom.storage.events.model import StoredEvent
from greenroom.storage.events.query import EventQuery

if TYPE_CHECKING:
    from greenroom.runtime.core import RuntimeCore

__all__ = [
    "HookExecution",
    "HookKeywords",
    "HookQuery",
    "ReplayMetadata",
    "hook_executions",
    "list_replayable",
    "metadata_of",
    "past_of",
    "readable_session",
    "why_not",
]

T = TypeVar("T")


# -- which sessions can be replayed


def readable_session(core: RuntimeCore, session: SessionHandle | str, operation: str) -> str:
    """Return the id of a session that the running code may read. Raises SessionNotFound, AccessDenied,
    ValidationError."""
    session_id = required_session_id(session, "session")
    core.security.require_reading(session_id, operation)
    if not core.exists(session_id):
        raise SessionNotFound(f"there is no session {shown(session_id)}", session_id=session_id[:64])
    return session_id


def why_not(core: RuntimeCore, session_id: str) -> str | None:
    """Return why a session cannot be replayed; None if it can."""
    row = core.store.catalog.row(session_bytes(session_id))
    if row is None or row.config is None or unpack_value(row.config).get("enable_replay", True):
        return None
    return "its configuration has enable_replay=False: session.update_config(enable_replay=True) allows it"


def past_of(core: RuntimeCore, session_id: str) -> History:
    """Return the past of a session that can be replayed. Raises ReplayError, which says why it cannot be."""
    refused = why_not(core, session_id)
    if refused is not None:
        raise ReplayError(f"session {session_id} is not replayed: {refused}", session_id=session_id)
    core.settle(session_id)
    return History(core.store, session_id)


@dataclass(frozen=True, slots=True)
class ReplayMetadata:
    """What is known of the recording of a session, without replaying it. Times are aware UTC, durations seconds."""

    session_id: str
    replayable: bool
    reason: str | None
    """Why it cannot be replayed."""
    status: str
    first: int
    """The first event whose state can be had: 1, or a later one if retention has truncated the journal."""
    last: int
    operations: int
    truncated: bool
    started_at: datetime
    """When the first event was recorded."""
    ended_at: datetime
    """When the last event was recorded."""
    duration: float
    snapshots: tuple[int, ...]
    """The events at which a replay is compared with the digest of a snapshot."""

    def to_dict(self) -> dict[str, Any]:
        """Return every field by name as JSON values, with times in RFC 3339."""
        row: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        row["started_at"], row["ended_at"] = iso_time(self.started_at), iso_time(self.ended_at)
        row["snapshots"] = list(self.snapshots)
        return row


def metadata_of(core: RuntimeCore, session_id: str) -> ReplayMetadata:
    """Return what is known of the recording of a session. Raises IntegrityError."""
    core.settle(session_id)
    past = History(core.store, session_id)
    reason = why_not(core, session_id)
    _, earliest = next(past.events(max(0, past.begin - 1)))
    latest = core.store.journal.stored(past.session, past.last)
    return ReplayMetadata(
        session_id,
        reason is None,
        reason,
        str(STATUSES[row.status]) if (row := core.store.catalog.row(past.session)) is not None else "",
        past.first,
        past.last,
        latest.operation_count,
        past.first > 1,
        utc_time(earliest.time),
        utc_time(latest.time),
        (latest.time - earliest.time) / 1e9,
        tuple(sequence for sequence, _ in past.digests()),
    )


def list_replayable(core: RuntimeCore, criteria: Mapping[str, Any]) -> Page[SessionInfo]:
    """Return a page of the sessions that match a query and can be replayed."""
    asked = session_query(None, {"status": "all", **criteria})
    rest = session_query(asked, {"limit": None, "offset": 0})

    def every() -> Iterator[SessionInfo]:
        return (info for info in iterate_pages(core, rest, {}) if why_not(core, info.id) is None)

    return _page(every, asked.offset, asked.limit)


def _page(every: Callable[[], Iterator[T]], offset: int, limit: int | None) -> Page[T]:
    """Return a page of what is found one by one. All of it is counted when somebody asks for the total."""
    begin, end = min(offset, sys.maxsize), sys.maxsize if limit is None else min(offset + limit, sys.maxsize)
    return Page(tuple(islice(every(), begin, end)), lambda: sum(1 for _ in every()), offset, limit)


# -- what hooks have done


_Name = Annotated[str, MinLen(1), MaxLen(255)]


class HookQuery(Checked):
    """Selects recorded executions of hooks: all given criteria must match.

    `hook`, `point` and `operation` are names in which `*` stands for any characters. `kind` is the kind of the hook's
    result, such as "modified". `failed` selects those that failed, or those that did not. Times are datetimes, RFC 3339
    text or epoch seconds, from `after` on and before `before`.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    session_id: SessionId | None = None
    hook: _Name | None = None
    point: _Name | None = None
    operation: _Name | None = None
    kind: _Name | None = None
    failed: bool | None = None
    replayable: bool | None = None
    correlation_id: _Name | None = None
    after: Moment | None = None
    before: Moment | None = None
    limit: Annotated[int, Ge(0), Le(10_000)] = 100
    offset: Annotated[int, Ge(0)] = 0


class HookKeywords(TypedDict, total=False):
    """The criteria of a `HookQuery` as callers give them by keyword."""

    session_id: SessionHandle | str | None
    hook: str | None
    point: str | None
    operation: str | None
    kind: str | None
    failed: bool | None
    replayable: bool | None
    correlation_id: str | None
    after: datetime | str | float | None
    before: datetime | str | float | None
    limit: int
    offset: int


@dataclass(frozen=True, slots=True)
class HookExecution:
    """One recorded execution of a hook. `duration` is in seconds. Only a hook that was registered as replayable has
    `data` and `result` recorded."""

    event_id: str
    session_id: str
    sequence: int
    timestamp: datetime
    hook: str
    hook_id: str
    point: str
    operation: str | None
    attempt: int
    duration: float
    replayable: bool
    error: str | None
    data: dict[str, Json] | None = field(repr=False)
    result: dict[str, Json] | None = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return every field by name as JSON values, with the time in RFC 3339."""
        row: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        row["timestamp"] = iso_time(self.timestamp)
        return row


def hook_executions(
    core: RuntimeCore, given: HookQuery | Mapping[str, object] | None, criteria: Mapping[str, Any]
) -> Page[HookExecution]:
    """Return a page of the recorded executions that match: those of one session, else session by session. Raises
    ValidationError."""
    if criteria:
        before = given.model_dump(exclude_unset=True) if isinstance(given, HookQuery) else given
        given = {**as_mapping("filter", before if before is not None else {}), **criteria}
    query = validated(HookQuery, {} if given is None else given)
    if query.session_id is not None:
        readable_session(core, query.session_id, "query_hooks")
    principal = core.security.principal()

    def visible(session_id: str) -> bool:
        return principal is None or core.security.can_read(principal, session_id)

    asked = EventQuery(
        session_id=query.session_id,
        type="hook.executed",
        correlation_id=query.correlation_id,
        after=query.after,
        before=query.before,
    )

    def every() -> Iterator[HookExecution]:
        for session, sequence, stored in core.store.events.stored(asked, visible):
            if _matches(query, stored):
                try:
                    yield _execution(core, session, sequence, stored)
                except GreenroomError:
                    continue  # damaged, which verify reports

    return _page(every, query.offset, query.limit)


def _matches(query: HookQuery, stored: StoredEvent) -> bool:
    data = stored.data
    if "hook" not in data or "point" not in data:
        return False  # published by a host under this type
    for wanted, name in ((query.hook, "hook"), (query.point, "point"), (query.operation, "operation")):
        if wanted is not None and not fnmatchcase(str(data.get(name) or ""), wanted):
            return False
    if query.failed is not None and (data.get("error") is not None) != query.failed:
        return False
    if query.replayable is not None and bool(data.get("replayable")) != query.replayable:
        return False
    if query.kind is None:
        return True
    packed = data.get("result")
    return packed is not None and unpack_value(packed).get("type", unpack_value(packed).get("kind")) == query.kind


def _execution(core: RuntimeCore, session: bytes, sequence: int, stored: StoredEvent) -> HookExecution:
    event = core.store.events.view(session, sequence, stored)
    data: dict[str, Any] = event.data
    return HookExecution(
        event.id,
        event.session_id,
        sequence,
        event.timestamp,
        data["hook"],
        data.get("hook_id", ""),
        data["point"],
        data.get("operation"),
        data.get("attempt", 1),
        data.get("duration", 0) / 1e6,
        bool(data.get("replayable")),
        data.get("error"),
        data.get("data"),
        data.get("result"),
    )
