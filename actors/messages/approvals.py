"""Messages about questions that a session asks people, and the answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, Unpack

from greenroom.storage.codec.records import Json, pack_value, unpack_value
from greenroom.storage.common.arguments import as_mapping, as_number, as_seconds, as_text
from greenroom.storage.common.times import iso_time, moment, utc_time
from greenroom.storage.errors import ValidationError, shown

from .checks import MAX_METADATA_BYTES, MAX_NAME, MAX_TEXT, MAX_VARIABLE_BYTES, metadata_bytes, optional_text
from .core import Command, How, Points, Query, unpacked
from .permissions import READ

__all__ = [
    "APPROVAL_STATUSES",
    "AnswerApproval",
    "Approval",
    "ApprovalStatus",
    "AskHuman",
    "CancelApproval",
    "GetApproval",
    "ListApprovals",
]

ApprovalStatus = Literal["pending", "answered", "expired", "cancelled"]
APPROVAL_STATUSES: Final[tuple[ApprovalStatus, ...]] = ("pending", "answered", "expired", "cancelled")
MAX_LISTED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Approval:
    """A question that a session has asked people, as it stands. Times are aware UTC."""

    id: str
    """The id of the event that asked: "session/sequence"."""
    session_id: str
    sequence: int
    question: str
    schema: dict[str, Json] | None
    """The JSON schema that an answer must fit."""
    metadata: dict[str, Json]
    status: ApprovalStatus
    asked_at: datetime
    expires_at: datetime | None
    value: Json
    """The answer; None as long as there is none."""
    answered_by: str | None
    closed_at: datetime | None
    """When it was answered, expired or cancelled."""
    reason: str | None
    """Why it was cancelled."""

    def __repr__(self) -> str:
        return f"<Approval {self.id} {self.status}>"

    def to_dict(self) -> dict[str, Any]:
        """Return every field by name as JSON values, with times in RFC 3339."""
        row: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        for name in ("asked_at", "expires_at", "closed_at"):
            row[name] = iso_time(row[name])
        return row


class AskHuman(Command[str]):
    """Ask people a question. Replies the question's id, "session/sequence".

    An answer must fit `schema`, a JSON schema, if one is given. The question `expires` after so many seconds, or at a
    moment (a datetime or RFC 3339 text).
    """

    __slots__ = ("expires", "metadata", "question", "schema")
    points = Points("BeforeApprovalRequest", "ApprovalRequested")
    shown = {"schema": unpacked("schema"), "metadata": unpacked("metadata")}

    def __init__(
        self,
        question: str,
        schema: Mapping[str, Any] | None = None,
        expires: float | datetime | str | None = None,
        metadata: Mapping[str, object] | None = None,
        **how: Unpack[How],
    ) -> None:
        super().__init__(**how)
        self.question = as_text("question", question, MAX_TEXT)
        self.schema = _schema(schema) if schema is not None else None
        self.expires = _expiry(expires) if expires is not None else None
        self.metadata = metadata_bytes(metadata)


def _schema(schema: Any) -> bytes:
    """Return a JSON schema encoded. Raises ValidationError."""
    from greenroom.actors.schema import compiled, schema_of

    given = schema_of(as_mapping("schema", schema, "a JSON schema, which is an object,"))
    compiled(given, trusted=False)
    packed = pack_value(given, "schema")
    if len(packed) > MAX_METADATA_BYTES:
        raise ValidationError(f"schema: at most {MAX_METADATA_BYTES} bytes, this has {len(packed)}", field="schema")
    return packed


def _expiry(expires: Any) -> float | datetime:
    """Return a duration in seconds or a moment. Raises ValidationError."""
    if issubclass(type(expires), (int, float)) and type(expires) is not bool:
        return as_seconds("expires", expires)
    at = moment(expires, "expires")
    if at is None:
        raise ValidationError("expires: seconds, a datetime or RFC 3339 text", field="expires")
    return utc_time(at)


def _sequence(approval: object) -> int:
    return as_number("approval", approval, 1)


class AnswerApproval(Command[Approval]):
    """Answer the question that event `approval` has asked. Replies the Approval. For the host only."""

    __slots__ = ("approval", "by", "value")
    rate = None
    host_only = True
    points = Points("BeforeApprovalAnswer", "ApprovalAnswered")
    shown = {"value": unpacked("value")}

    def __init__(self, approval: int, value: object, by: str | None = None, **how: Unpack[How]) -> None:
        super().__init__(**how)
        self.approval = _sequence(approval)
        self.value = pack_value(value, "value")
        if len(self.value) > MAX_VARIABLE_BYTES:
            raise ValidationError(
                f"value: at most {MAX_VARIABLE_BYTES} bytes, this has {len(self.value)}: store an artifact and answer"
                " with its id",
                field="value",
            )
        self.by = optional_text("by", by, MAX_NAME)


class CancelApproval(Command[Approval]):
    """Cancel the pending question that event `approval` has asked. Replies the Approval."""

    __slots__ = ("approval", "reason")
    rate = None

    def __init__(self, approval: int, reason: str | None = None, **how: Unpack[How]) -> None:
        super().__init__(**how)
        self.approval = _sequence(approval)
        self.reason = optional_text("reason", reason, MAX_TEXT)


class GetApproval(Query[Approval]):
    """Replies the Approval that event `approval` has asked for."""

    __slots__ = ("approval",)
    whole = READ

    def __init__(self, approval: int) -> None:
        self.approval = _sequence(approval)


class ListApprovals(Query[list[Approval]]):
    """Replies a list of at most `limit` of the session's questions, oldest first; with a status, of those only."""

    __slots__ = ("limit", "status")
    access = "list"
    whole = READ

    def __init__(self, status: ApprovalStatus | None = None, limit: int = 100) -> None:
        self.status = _status(status)
        self.limit = as_number("limit", limit, 0, MAX_LISTED)


def _status(status: Any) -> ApprovalStatus | None:
    """Return a status. Raises ValidationError."""
    if status is None:
        return None
    for each in APPROVAL_STATUSES:
        if type(status) is str and status == each:
            return each
    raise ValidationError(f"status: {shown(status)} is none of {', '.join(APPROVAL_STATUSES)}", field="status")


def fits_schema(schema: bytes | None, value: bytes) -> None:
    """Raise ValidationError unless an encoded answer fits an encoded schema."""
    if schema is None:
        return
    from greenroom.actors.schema import compiled

    try:
        compiled(unpack_value(schema), trusted=False)(unpack_value(value))
    except ValidationError as error:
        field = str(error.fields.get("field", "value")).replace("input", "value", 1)
        raise ValidationError(str(error).replace("input", "value", 1), field=field) from None
