"""Queries for artifacts: the criteria, a builder for them, and the test of one record."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from fnmatch import translate
from typing import Annotated, Any, Final, Literal, Protocol, Self, TypedDict, Unpack

import pydantic
from annotated_types import Ge, MaxLen, MinLen

from greenroom.storage.codec.keys import canonical_value
from greenroom.storage.codec.records import unpack_value
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.page import Page
from greenroom.storage.common.session_ids import SessionHandle
from greenroom.storage.common.times import nanoseconds
from greenroom.storage.common.validation import Moment, SessionId, validated
from greenroom.storage.common.words import folded, wanted_words
from greenroom.storage.errors import GreenroomError, ValidationError

from .model import ArtifactId, ArtifactInfo, ArtifactRecord, artifact_type
from .similar import is_similar
from .words import words_of

__all__ = [
    "ArtifactCriteria",
    "ArtifactFilter",
    "ArtifactKeywords",
    "ArtifactQuery",
    "Queryable",
    "SortField",
    "artifact_query",
]

SortField = Literal["date", "name", "size", "type"]
_MOST: Final = (1 << 63) - 1
_Count = Annotated[int, Ge(0), pydantic.Field(le=_MOST)]
_Text = Annotated[str, MinLen(1), MaxLen(4096)]
_DEFAULT_LIMIT: Final = 100


class ArtifactCriteria(pydantic.BaseModel):
    """Selects artifacts: all given criteria must match.

    `name_pattern` is a part of the name, or a glob for the whole name if it has `*` or `?`; case is ignored unless
    `case_sensitive`. An artifact must have all `tags`; `custom` is equality per key. Every word of `text` must begin a
    word of the name, the description, the tags or the custom values, without regard to case or to how Unicode spells a
    character; runs of Chinese and Japanese are compared by pairs of characters. With `fuzzy` it may also be a part of
    such a word, or differ from it by one edit from 3 characters on, by two from 6 on. Times are datetimes, RFC 3339
    text or epoch seconds, from `created_after` on and before `created_before`. Sizes are bytes, both bounds included.
    `latest_only` leaves out every artifact of which the session has a later version. The order is newest first by
    default; sorted by anything else than the date, it is ascending unless `descending`. A `limit` of None means all.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    session_id: SessionId | None = None
    artifact_type: str | None = None
    mime_type: _Text | None = None
    name_pattern: _Text | None = None
    case_sensitive: bool = False
    tags: tuple[_Text, ...] = ()
    without_tags: tuple[_Text, ...] = ()
    content_hash: str | None = None
    parent_artifact: _Text | None = None
    latest_only: bool = False
    custom: dict[str, Any] = pydantic.Field(default_factory=dict)
    text: _Text | None = None
    fuzzy: bool = False
    created_after: Moment | None = None
    created_before: Moment | None = None
    min_size: _Count | None = None
    max_size: _Count | None = None
    created_by: _Text | None = None
    sort: SortField = pydantic.Field(
        default="date", validation_alias=pydantic.AliasChoices("sort", "sort_by", "order_by")
    )
    descending: bool | None = None
    limit: _Count | None = _DEFAULT_LIMIT
    offset: _Count = 0

    @pydantic.field_validator("artifact_type")
    @classmethod
    def _is_type(cls, value: str | None) -> str | None:
        try:
            return artifact_type(value) if value is not None else None
        except ValidationError as error:
            raise ValueError(str(error)) from None

    @pydantic.field_validator("content_hash")
    @classmethod
    def _is_hash(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch("[0-9a-f]{64}", value):
            raise ValueError("64 lower-case hex digits are needed")
        return value

    @pydantic.field_validator("parent_artifact", mode="before")
    @classmethod
    def _id_text(cls, value: Any) -> Any:
        return str(ArtifactId.of(value)) if isinstance(value, ArtifactId) else value

    @pydantic.field_validator("text")
    @classmethod
    def _has_words(cls, value: str | None) -> str | None:
        if value is not None and next(wanted_words(value), None) is None:
            raise ValueError("letters or digits are needed")
        return value

    @pydantic.field_validator("custom")
    @classmethod
    def _is_storable(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            canonical_value(value)
        except GreenroomError as error:
            raise ValueError(str(error)) from None
        return value

    @pydantic.field_validator("sort", mode="before")
    @classmethod
    def _field_name(cls, value: Any) -> Any:
        return {"created_at": "date", "artifact_type": "type"}.get(value, value) if isinstance(value, str) else value

    @property
    def low(self) -> int:
        """The first nanosecond of the wanted time."""
        return nanoseconds(self.created_after) if self.created_after is not None else 0

    @property
    def high(self) -> int:
        """The first nanosecond after the wanted time."""
        return nanoseconds(self.created_before) if self.created_before is not None else (1 << 64) - 1

    @property
    def reverse(self) -> bool:
        """Whether the last in order comes first."""
        return self.sort == "date" if self.descending is None else self.descending

    @property
    def words(self) -> frozenset[str]:
        """The beginnings of words that an artifact must have."""
        return frozenset(wanted_words(self.text)) if self.text is not None else frozenset()

    @property
    def asked(self) -> frozenset[str]:
        """The names of the given criteria, except sorting and paging."""
        values = self.__dict__
        return frozenset(name for name in _FILTERS if values[name] not in (None, (), {}) and values[name] is not False)


_PAGING: Final = frozenset(("case_sensitive", "fuzzy", "sort", "descending", "limit", "offset"))
_FILTERS: Final = tuple(name for name in ArtifactCriteria.model_fields if name not in _PAGING)


class ArtifactKeywords(TypedDict, total=False):
    """The criteria of `ArtifactCriteria` as callers give them by keyword."""

    session_id: SessionHandle | str | None
    artifact_type: str | None
    mime_type: str | None
    name_pattern: str | None
    case_sensitive: bool
    tags: Iterable[str]
    without_tags: Iterable[str]
    content_hash: str | None
    parent_artifact: ArtifactId | str | None
    latest_only: bool
    custom: Mapping[str, Any]
    text: str | None
    fuzzy: bool
    created_after: datetime | str | float | None
    created_before: datetime | str | float | None
    min_size: int | None
    max_size: int | None
    created_by: str | None
    sort: SortField | Literal["created_at", "artifact_type"]
    sort_by: SortField | Literal["created_at", "artifact_type"]
    order_by: SortField | Literal["created_at", "artifact_type"]
    descending: bool | None
    limit: int | None
    offset: int


class Queryable(Protocol):
    """What can be asked for artifacts: a session, or a runtime for all sessions."""

    def query_artifacts(self, query: ArtifactQuery, /) -> Page[ArtifactInfo]:
        """Return the artifacts that match."""


class ArtifactQuery:
    """Builds up a query for artifacts step by step. Immutable: each step makes a new query.

    Example:
        ```py
        reports = ArtifactQuery().of_type("tool_result").with_tag("report").named("*.json")
        page = reports.order_by("size", descending=True).limit(20).run(session)
        ```
    """

    __slots__ = ("criteria",)

    criteria: ArtifactCriteria

    def __init__(self, **criteria: Unpack[ArtifactKeywords]) -> None:
        """Make a query from criteria by keyword: the fields of `ArtifactCriteria`. Raises ValidationError."""
        for name in ("tags", "without_tags"):
            if type(criteria.get(name)) is str:
                raise ValidationError(f"{name}: a list of texts is needed, not one text", field=name)
        object.__setattr__(self, "criteria", validated(ArtifactCriteria, criteria))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a query is immutable: its methods make new ones")

    def to_dict(self) -> dict[str, Any]:
        """Return the given criteria by name."""
        return {name: getattr(self.criteria, name) for name in sorted(self.criteria.model_fields_set)}

    def having(self, **criteria: Unpack[ArtifactKeywords]) -> Self:
        """Return the same query with these criteria replaced."""
        given: dict[str, Any] = dict(criteria)
        for other in ("sort_by", "order_by"):
            if other in given:
                given["sort"] = given.pop(other)
        kept = {name: getattr(self.criteria, name) for name in self.criteria.model_fields_set}
        return type(self)(**{**kept, **given})

    def in_session(self, session_id: str) -> Self:
        return self.having(session_id=session_id)

    def of_type(self, artifact_type: str) -> Self:
        return self.having(artifact_type=artifact_type)

    def with_mime_type(self, mime_type: str) -> Self:
        return self.having(mime_type=mime_type)

    def named(self, pattern: str, *, case_sensitive: bool = False) -> Self:
        """Filter by a part of the name, or a glob for the whole name, in any case unless `case_sensitive`."""
        return self.having(name_pattern=pattern, case_sensitive=case_sensitive)

    @checked
    def with_tag(self, *tags: str) -> Self:
        """Require all of these tags, besides those required before."""
        return self.having(tags=(*self.criteria.tags, *tags))

    @checked
    def without_tag(self, *tags: str) -> Self:
        """Exclude these tags, besides those excluded before."""
        return self.having(without_tags=(*self.criteria.without_tags, *tags))

    def with_content(self, content_hash: str) -> Self:
        return self.having(content_hash=content_hash)

    def with_parent(self, artifact: ArtifactId | str) -> Self:
        return self.having(parent_artifact=artifact)

    def latest(self) -> Self:
        """Filter by version: only the latest of each name."""
        return self.having(latest_only=True)

    @checked
    def where(self, custom: Mapping[str, Any] | None = None, **more: Any) -> Self:
        """Require these custom entries, besides those required before."""
        return self.having(custom={**self.criteria.custom, **(custom or {}), **more})

    @checked
    def containing(self, text: str, *, fuzzy: bool = False) -> Self:
        """Require that every word of the text begins a word of the name, description, tags or custom values; with
        `fuzzy`, it may be a part of one or almost the same."""
        return self.having(text=text, fuzzy=fuzzy)

    def created_after(self, when: datetime | str | float) -> Self:
        """Filter by time: from this moment on."""
        return self.having(created_after=when)

    def created_before(self, when: datetime | str | float) -> Self:
        """Filter by time: before this moment."""
        return self.having(created_before=when)

    def sized(self, at_least: int | None = None, at_most: int | None = None) -> Self:
        """Filter by size in bytes, both bounds included."""
        return self.having(min_size=at_least, max_size=at_most)

    def by(self, created_by: str) -> Self:
        return self.having(created_by=created_by)

    @checked
    def order_by(self, sort: SortField, *, descending: bool | None = None) -> Self:
        """Sort by date (newest first unless `descending` is False), name, size or type."""
        return self.having(sort=sort, descending=descending)

    def offset(self, offset: int) -> Self:
        return self.having(offset=offset)

    def limit(self, limit: int | None) -> Self:
        return self.having(limit=limit)

    def run(self, where: Queryable) -> Page[ArtifactInfo]:
        """Return the artifacts of a session, or of all sessions of a runtime, that match."""
        ask: Any = getattr(type(where), "query_artifacts", None)
        if not callable(ask):
            raise ValidationError("where: a session or a runtime is needed", field="where")
        page: Page[ArtifactInfo] = ask(where, self)
        return page

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ArtifactQuery) and self.criteria == other.criteria

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        names = sorted(self.criteria.model_fields_set)
        return f"ArtifactQuery({', '.join(f'{name}={getattr(self.criteria, name)!r}' for name in names)})"


def artifact_query(query: ArtifactQuery | None, criteria: Mapping[str, Any]) -> ArtifactQuery:
    """Return a given query with more criteria by keyword. Raises ValidationError."""
    if query is None:
        return ArtifactQuery(**criteria)
    if not issubclass(type(query), ArtifactQuery):
        raise ValidationError("query: an ArtifactQuery or criteria by keyword are needed", field="query")
    return query.having(**criteria) if criteria else query


def _begins(wanted: str, word: str) -> bool:
    return word.startswith(wanted)


class ArtifactFilter:
    """Tests whether a record matches the criteria, except session and latest version, which the caller has checked."""

    def __init__(self, criteria: ArtifactCriteria) -> None:
        self._criteria = criteria
        self._tags = frozenset(criteria.tags)
        self._without = frozenset(criteria.without_tags)
        self._hash = bytes.fromhex(criteria.content_hash) if criteria.content_hash is not None else None
        self._custom = {key: canonical_value(value) for key, value in criteria.custom.items()}
        self._words = criteria.words
        self._low, self._high = criteria.low, criteria.high
        self._spelt: Callable[[str], str] = str if criteria.case_sensitive else folded
        pattern = criteria.name_pattern
        glob = pattern is not None and ("*" in pattern or "?" in pattern)
        pattern = self._spelt(pattern) if pattern is not None else None
        self._glob = re.compile(translate(pattern)) if pattern is not None and glob else None
        self._part = pattern if not glob else None

    def matches(self, record: ArtifactRecord) -> bool:
        """Return whether an artifact record (docs/format.md) matches."""
        wanted = self._criteria
        if wanted.artifact_type is not None and record.type != wanted.artifact_type:
            return False
        if wanted.mime_type is not None and record.mime_type != wanted.mime_type:
            return False
        if not self._low <= record.time < self._high:
            return False
        if self._tags and not self._tags.issubset(record.tags):
            return False
        if self._without and not self._without.isdisjoint(record.tags):
            return False
        if wanted.parent_artifact is not None and record.parent_artifact != wanted.parent_artifact:
            return False
        if wanted.created_by is not None and record.created_by != wanted.created_by:
            return False
        if wanted.min_size is not None and record.size < wanted.min_size:
            return False
        if wanted.max_size is not None and record.size > wanted.max_size:
            return False
        if self._hash is not None and record.content_hash != self._hash:
            return False
        if self._part is not None and self._part not in self._spelt(record.name):
            return False
        if self._glob is not None and self._glob.match(self._spelt(record.name)) is None:
            return False
        return (not self._custom or self._has_custom(record)) and (not self._words or self._has_words(record))

    def _has_custom(self, record: ArtifactRecord) -> bool:
        custom = unpack_value(record.custom)
        return all(key in custom and canonical_value(custom[key]) == value for key, value in self._custom.items())

    def _has_words(self, record: ArtifactRecord) -> bool:
        missing = set(self._words)
        matches: Callable[[str, str], bool] = is_similar if self._criteria.fuzzy else _begins
        for word in words_of(record):
            missing.difference_update([wanted for wanted in missing if matches(wanted, word)])
            if not missing:
                return True
        return False
