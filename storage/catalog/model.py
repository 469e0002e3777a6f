"""The facts of a session: its row, and its public snapshot."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple, TypedDict

from greenroom.storage.codec.records import Json, Value, unpack_value
from greenroom.storage.common.session_ids import SessionHandle
from greenroom.storage.common.times import SECOND, iso_time, utc_time
from greenroom.storage.events.model import Totals

__all__ = ["STATUSES", "SessionCriteria", "SessionInfo", "SessionRow", "SessionStatus", "new_row", "row_of"]


class SessionStatus(enum.StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    COMPLETED = "completed"
    FAILED = "failed"
    ARCHIVED = "archived"


STATUSES: Final = tuple(SessionStatus)

STATUS_CODE: Final = {status: code for code, status in enumerate(STATUSES)}


class SessionCriteria(TypedDict, total=False):
    """What selects sessions, as keywords: the criteria of a `SessionQuery` that every search for sessions has."""

    status: SessionStatus | str | Sequence[SessionStatus | str] | None
    created_by: str | None
    tags: Sequence[str]
    parent: SessionHandle | str | None
    key_prefix: str | None
    created_after: datetime | str | float | None
    created_before: datetime | str | float | None
    updated_after: datetime | str | float | None
    updated_before: datetime | str | float | None
    metadata: Mapping[str, Any]


class SessionRow(NamedTuple):
    """The fields that the catalog stores of a session. Times are ns since the epoch; metadata and config are
    encoded."""

    status: int
    name: str | None
    description: str | None
    created_by: str | None
    tags: list[str]
    parent: str | None
    metadata: bytes
    created_at: int
    started_at: int | None
    ended_at: int | None
    correlation_id: str | None
    failure_reason: str | None
    config: bytes | None
    key: str | None = None

    def fields(self) -> tuple[Any, ...]:
        """Return the fields as they are stored. A session without a key has none, as all sessions had once."""
        return self if self.key is not None else self[:-1]


new_row: Final[Callable[[Iterable[Any]], SessionRow]] = partial(tuple.__new__, SessionRow)
"""Make a row from all its fields, at half the usual cost."""


def row_of(fields: list[Any]) -> SessionRow:
    """Return the row from its fields as they are stored. The list must not be used afterwards."""
    if len(fields) == len(SessionRow._fields) - 1:
        fields.append(None)
    return new_row(fields)


class SessionInfo:
    """An immutable snapshot of a session's metadata.

    Times are aware UTC datetimes, sizes are bytes; `duration` is the seconds from start to end, or to the last event
    while the session is open. Fields are computed when read: most readers look at two or three of them.
    """

    __slots__ = ("_id", "_row", "_sequence", "_totals", "_updated")

    FIELDS: Final = (
        "id",
        "status",
        "name",
        "description",
        "created_by",
        "tags",
        "parent_session_id",
        "custom_metadata",
        "created_at",
        "updated_at",
        "started_at",
        "ended_at",
        "artifact_count",
        "total_artifact_size",
        "operation_count",
        "sequence",
        "correlation_id",
        "failure_reason",
        "duration",
        "key",
    )

    def __init__(self, session_id: str, row: SessionRow, sequence: int, updated: int, totals: Totals) -> None:
        self._id = session_id
        self._sequence = sequence
        self._row = row
        self._updated = updated
        self._totals = totals

    @property
    def id(self) -> str:
        return self._id

    @property
    def sequence(self) -> int:
        return self._sequence

    @property
    def status(self) -> SessionStatus:
        return STATUSES[self._row.status]

    @property
    def name(self) -> str | None:
        return self._row.name

    @property
    def description(self) -> str | None:
        return self._row.description

    @property
    def created_by(self) -> str | None:
        return self._row.created_by

    @property
    def tags(self) -> tuple[str, ...]:
        return tuple(self._row.tags)

    @property
    def parent_session_id(self) -> str | None:
        return self._row.parent

    @property
    def custom_metadata(self) -> dict[str, Json]:
        metadata: dict[str, Value] = unpack_value(self._row.metadata)
        return metadata

    @property
    def created_at(self) -> datetime:
        return utc_time(self._row.created_at)

    @property
    def updated_at(self) -> datetime:
        return utc_time(self._updated)

    @property
    def updated_ns(self) -> int:
        """The time of the last event in ns since the epoch."""
        return self._updated

    @property
    def started_at(self) -> datetime | None:
        return utc_time(self._row.started_at) if self._row.started_at is not None else None

    @property
    def ended_at(self) -> datetime | None:
        return utc_time(self._row.ended_at) if self._row.ended_at is not None else None

    @property
    def operation_count(self) -> int:
        return self._totals[0]

    @property
    def artifact_count(self) -> int:
        return self._totals[1]

    @property
    def total_artifact_size(self) -> int:
        return self._totals[2]

    @property
    def correlation_id(self) -> str:
        return self._row.correlation_id or self.id

    @property
    def failure_reason(self) -> str | None:
        return self._row.failure_reason

    @property
    def duration(self) -> float:
        start = self._row.started_at if self._row.started_at is not None else self._row.created_at
        until = self._row.ended_at if self._row.ended_at is not None else self._updated
        return max(0, until - start) / SECOND

    @property
    def key(self) -> str | None:
        """The host's own name for this session, unique in the store."""
        return self._row.key

    def to_dict(self) -> dict[str, Json]:
        """Return every field by name as JSON values, with times in RFC 3339."""
        row: dict[str, Value] = {name: getattr(self, name) for name in self.FIELDS}
        for name in ("created_at", "updated_at", "started_at", "ended_at"):
            row[name] = iso_time(row[name])
        row["status"] = str(self.status)
        row["tags"] = list(self.tags)
        return row

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SessionInfo) and self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash((self.id, self.sequence))

    def _facts(self) -> tuple[object, ...]:
        return self._id, self._sequence, self._updated, self._totals, self._row

    def __repr__(self) -> str:
        return f"<SessionInfo {self.id} {self.status} at {self.sequence}>"
