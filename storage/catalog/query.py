"""The query that lists sessions: its criteria, the test of one session, and cursors, which name a place in it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Literal

import pydantic
from blake3 import blake3

from greenroom.storage.codec.keys import canonical_value
from greenroom.storage.codec.records import pack_value, unpack_value
from greenroom.storage.common.arguments import as_mapping
from greenroom.storage.common.times import nanoseconds
from greenroom.storage.common.validation import Checked, Moment, SessionId, validated
from greenroom.storage.common.words import folded
from greenroom.storage.errors import GreenroomError, ValidationError

from .model import STATUS_CODE, STATUSES, SessionCriteria, SessionRow, SessionStatus

__all__ = ["Position", "SessionKeywords", "SessionQuery", "SortBy", "cursor_at", "row_test", "session_query"]

SortBy = Literal["created_at", "updated_at", "name", "artifact_count", "operation_count", "key"]
Status = SessionStatus | Literal["all"]
Position = tuple[int | str | bytes, ...]
"""Where a session stands in the order of an answer: what it is sorted by, then the session itself."""

_LISTED: Final = (SessionStatus.ACTIVE, SessionStatus.SUSPENDED)
_LAST_TIME: Final = (1 << 64) - 1
_FORMS: Final[dict[SortBy, Position]] = {
    "created_at": (0, b""),
    "updated_at": (0, b""),
    "name": ("", 0, b""),
    "artifact_count": (0, b""),
    "operation_count": (0, b""),
    "key": (b"", b""),
}
"""The positions of each order, by example."""


class SessionQuery(Checked):
    """Selects sessions, and says in which order and how many of them to list.

    `status` is one, several or "all"; without it, active and suspended sessions are listed. A session must have all
    `tags`, and each entry of `metadata`. `key_prefix` is the beginning of the session's key. `search` is a part of its
    name or description, in whatever case or Unicode spelling. Times are datetimes, RFC 3339 text or epoch seconds: from
    `…_after` on and before `…_before`. The order is that of creation, or of the keys with `key_prefix`, unless
    `sort_by` says another. `limit` is the most to list, None for all; `offset` sessions are passed over. `cursor` is
    the `next_cursor` of an earlier page of the same query, and goes on after it.

    Example:
        ```py
        page = rt.list_sessions(SessionQuery(tags=("nlp",), sort_by="updated_at", descending=True, limit=20))
        more = rt.list_sessions(tags=["nlp"], sort_by="updated_at", descending=True, cursor=page.next_cursor)
        ```
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    status: Status | tuple[Status, ...] | None = None
    created_by: str | None = None
    tags: tuple[str, ...] = ()
    parent: SessionId | None = None
    key_prefix: str | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    updated_after: Moment | None = None
    updated_before: Moment | None = None
    search: str | None = None
    metadata: dict[str, Any] = pydantic.Field(default_factory=dict)
    sort_by: SortBy | None = None
    descending: bool = False
    limit: int | None = pydantic.Field(default=100, ge=0)
    offset: int = pydantic.Field(default=0, ge=0)
    cursor: str | None = None

    @pydantic.field_validator("key_prefix")
    @classmethod
    def _is_text(cls, prefix: str | None) -> str | None:
        if prefix is not None and any("\ud800" <= each <= "\udfff" for each in prefix):
            raise ValueError("a text without lone surrogates is needed")
        return prefix

    @pydantic.field_validator("sort_by")
    @classmethod
    def _has_keys(cls, sort_by: SortBy | None, before: pydantic.ValidationInfo) -> SortBy | None:
        if sort_by == "key" and before.data.get("key_prefix") is None:
            raise ValueError("a key_prefix is needed to sort by key: '' stands for all keys")
        return sort_by

    @pydantic.field_validator("cursor")
    @classmethod
    def _is_alone(cls, cursor: str | None, before: pydantic.ValidationInfo) -> str | None:
        if cursor is not None and before.data.get("offset"):
            raise ValueError("give a cursor or an offset, not both")
        return cursor

    @property
    def statuses(self) -> tuple[SessionStatus, ...]:
        """The statuses of the sessions to list."""
        if self.status is None:
            return _LISTED
        wanted = self.status if isinstance(self.status, tuple) else (self.status,)
        return STATUSES if "all" in wanted else tuple(dict.fromkeys(SessionStatus(each) for each in wanted))

    @property
    def order(self) -> SortBy:
        """What the sessions are sorted by."""
        return self.sort_by or ("created_at" if self.key_prefix is None else "key")

    @property
    def created(self) -> tuple[int, int]:
        """The time of creation in ns: from the first on, before the second."""
        return _between(self.created_after, self.created_before)

    @property
    def updated(self) -> tuple[int, int]:
        """The time of the last event in ns: from the first on, before the second."""
        return _between(self.updated_after, self.updated_before)

    @property
    def updated_matters(self) -> bool:
        """Whether only sessions with a last event of certain times are listed."""
        return self.updated_after is not None or self.updated_before is not None

    @property
    def after(self) -> Position | None:
        """The position that the cursor names. Raises ValidationError if it is no cursor of this query."""
        if self.cursor is None:
            return None
        try:
            marked, *position = unpack_value(base64.urlsafe_b64decode(self.cursor.encode()))
        except (GreenroomError, binascii.Error, ValueError, TypeError, UnicodeError):
            raise ValidationError("cursor: this is no cursor: give the next_cursor of a page", field="cursor") from None
        forms = _FORMS[self.order]
        if (
            marked != _mark(self)
            or [type(each) for each in position] != [type(form) for form in forms]
            or any(type(each) is int and not 0 <= each <= _LAST_TIME for each in position)
        ):
            raise ValidationError(
                "cursor: it is of another query: only the limit may differ from page to page", field="cursor"
            )
        return tuple(position)


class SessionKeywords(SessionCriteria, total=False):
    """The criteria of a SessionQuery as keywords."""

    search: str | None
    sort_by: SortBy | None
    descending: bool
    limit: int | None
    offset: int
    cursor: str | None


def session_query(query: SessionQuery | Mapping[str, Any] | None, criteria: Mapping[str, Any]) -> SessionQuery:
    """Return the query that keywords make, or change an existing one into. Raises ValidationError."""
    if query is not None and not issubclass(type(query), SessionQuery):
        query = as_mapping("query", query, "a SessionQuery or a mapping of criteria")
    if isinstance(query, SessionQuery):
        if not criteria:
            return query
        query = {name: getattr(query, name) for name in query.model_fields_set}
    wanted = {**(query or {}), **criteria}
    if type(wanted.get("tags")) is str:
        raise ValidationError("tags: a list of texts is needed, not one text", field="tags")
    return validated(SessionQuery, wanted)


def row_test(query: SessionQuery) -> Callable[[SessionRow], bool]:
    """Return the function that says whether a session matches, as far as its row tells."""
    statuses = {STATUS_CODE[status] for status in query.statuses}
    created_by, tags, parent, key_prefix = query.created_by, set(query.tags), query.parent, query.key_prefix
    low, high = query.created
    metadata = {key: canonical_value(value) for key, value in query.metadata.items()}
    needle = folded(query.search) if query.search else None

    def matches(row: SessionRow) -> bool:
        if row.status not in statuses or not low <= row.created_at < high:
            return False
        if tags and not tags.issubset(row.tags):
            return False
        if created_by is not None and row.created_by != created_by:
            return False
        if parent is not None and row.parent != parent:
            return False
        if key_prefix is not None and not (row.key is not None and row.key.startswith(key_prefix)):
            return False
        if metadata:
            found = unpack_value(row.metadata)
            if any(key not in found or canonical_value(found[key]) != value for key, value in metadata.items()):
                return False
        return needle is None or needle in folded(row.name or "") or needle in folded(row.description or "")

    return matches


def cursor_at(query: SessionQuery, position: Position) -> str:
    """Return the cursor that goes on after a position in the answer to a query."""
    return base64.urlsafe_b64encode(pack_value([_mark(query), *position])).decode()


def _mark(query: SessionQuery) -> bytes:
    """Return what tells the cursors of one query from those of others."""
    facets = [
        [str(status) for status in sorted(query.statuses)],
        query.created_by,
        sorted(set(query.tags)),
        query.parent,
        query.key_prefix,
        list(query.created),
        list(query.updated),
        query.search or None,
        query.order,
        query.descending,
    ]
    return blake3(pack_value(facets) + canonical_value(query.metadata)).digest(8)


def _between(after: datetime | None, before: datetime | None) -> tuple[int, int]:
    low = nanoseconds(after) if after is not None else 0
    return low, nanoseconds(before) if before is not None else _LAST_TIME
