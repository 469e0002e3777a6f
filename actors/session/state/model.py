"""The state of a session. A session is a fold over its journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgpack

from greenroom.actors.messages.checks import EMPTY_METADATA
from greenroom.storage.catalog.model import SessionInfo, SessionRow, SessionStatus, new_row
from greenroom.storage.codec.keys import session_bytes
from greenroom.storage.errors import IntegrityError
from greenroom.storage.events.model import Totals

__all__ = [
    "ACTIVE",
    "ARCHIVED",
    "COMPLETED",
    "FAILED",
    "GRANTS",
    "GRANT_WEIGHT",
    "NEW_WEIGHT",
    "SCOPES",
    "SHARES",
    "SUSPENDED",
    "VARIABLE_WEIGHT",
    "SessionState",
    "grant_count",
]


ACTIVE, SUSPENDED, COMPLETED, FAILED, ARCHIVED = range(len(SessionStatus))

NEW_WEIGHT: Final = 3000
"""The bytes of memory that an actor with an empty state takes, measured."""

VARIABLE_WEIGHT: Final = 160
"""The bytes of memory that a variable takes besides its key and its encoded value, measured."""

_SINCE_POLICIES: Final = ("timeouts", "usage", "alerts")

# Only built-in values are packed, so no Python code runs while the shared packer works.
_pack: Callable[[Any], bytes] = msgpack.Packer(unicode_errors="surrogatepass").pack


class SessionState:
    """A session's state at one sequence of its journal.

    It is owned by one actor and changed in place, only by `evolve`. Values of variables and metadata are kept encoded,
    and callers always get a fresh copy, so none can reach into a session.
    """

    __slots__ = (
        "artifact_bytes",
        "artifact_count",
        "artifact_types",
        "certain",
        "config",
        "correlation_id",
        "created_at",
        "created_by",
        "description",
        "ended_at",
        "failure_reason",
        "id",
        "key",
        "last_artifact",
        "message_count",
        "metadata",
        "more",
        "name",
        "operation_count",
        "parent",
        "sequence",
        "session",
        "started_at",
        "status",
        "tags",
        "updated_at",
        "variable_bytes",
        "variables",
    )

    def __init__(self, session_id: str, session: bytes | None = None) -> None:
        self.id = session_id
        self.session = session if session is not None else session_bytes(session_id)
        self.sequence = 0
        self.status = ACTIVE
        self.name: str | None = None
        self.description: str | None = None
        self.created_by: str | None = None
        self.tags: list[str] = []
        self.parent: str | None = None
        self.metadata = EMPTY_METADATA
        self.created_at = 0
        self.updated_at = 0
        self.started_at: int | None = None
        self.ended_at: int | None = None
        self.correlation_id: str | None = None
        self.failure_reason: str | None = None
        self.config: bytes | None = None
        self.key: str | None = None
        self.operation_count = 0
        self.artifact_count = 0
        self.artifact_bytes = 0
        self.artifact_types: dict[str, int] | None = {}
        """The number of artifacts of each type. None if unknown, because an event did not say or was lost."""
        self.last_artifact = 0
        self.message_count = 0
        self.variables: dict[str, bytes] = {}
        self.variable_bytes = 0
        """The bytes of the keys and the encoded values of all variables."""
        self.certain: set[str] | None = None
        """None if all variables are as they were set. Otherwise an event was lost that may have changed any variable
        except these, which were set after it."""
        self.more: dict[str, Any] = {}
        """Facts that only some sessions have, by name: plain lists, dicts and scalars. Absent means none, so that a
        session pays only for what it uses."""

    @property
    def totals(self) -> Totals:
        return self.operation_count, self.artifact_count, self.artifact_bytes

    def row(self) -> SessionRow:
        """Return the catalog's row of this state."""
        return new_row(
            (
                self.status,
                self.name,
                self.description,
                self.created_by,
                self.tags,
                self.parent,
                self.metadata,
                self.created_at,
                self.started_at,
                self.ended_at,
                self.correlation_id,
                self.failure_reason,
                self.config,
                self.key,
            )
        )

    def info(self) -> SessionInfo:
        return SessionInfo(self.id, self.row(), self.sequence, self.updated_at, self.totals)

    @property
    def weight(self) -> int:
        """The approximate bytes of memory that this state takes."""
        shared = GRANT_WEIGHT * (grant_count(self) + len(self.more.get("approvals", ()))) if self.more else 0
        checked = VARIABLE_WEIGHT * len(self.more.get("schemas", ())) if self.more else 0
        return NEW_WEIGHT + self.variables_weight + len(self.metadata) + shared + checked

    @property
    def variables_weight(self) -> int:
        """The bytes of memory that all variables take, which `max_state_bytes` limits."""
        return self.variable_bytes + VARIABLE_WEIGHT * len(self.variables)

    def agrees(self, snapshot: bytes) -> bool:
        """Return whether an encoded state equals this one, apart from facts that older versions did not keep: the
        counts by type, and those of policies."""
        if snapshot == self.encode():
            return True
        try:
            other = SessionState.decode(self.id, snapshot)
        except IntegrityError:
            return False
        if other.artifact_types is None or self.artifact_types is None:
            other.artifact_types = self.artifact_types
        for name in _SINCE_POLICIES:
            if name in self.more:
                other.more.setdefault(name, self.more[name])
        return other.encode() == self.encode()

    def encode(self) -> bytes:
        """Return the canonical encoding: equal states give equal bytes, in whatever order they were made."""
        fields = [
            self.row().fields(),
            self.sequence,
            self.updated_at,
            self.operation_count,
            self.artifact_count,
            self.artifact_bytes,
            self.last_artifact,
            self.message_count,
            sorted(self.variables.items()),
            sorted(self.artifact_types.items()) if self.artifact_types is not None else None,
        ]
        if self.certain is not None or self.more:
            fields.append(sorted(self.certain) if self.certain is not None else None)
        if self.more:
            fields.append(in_order(self.more))
        return _pack(fields)

    @classmethod
    def decode(cls, session_id: str, data: bytes) -> SessionState:
        """Decode a state. A state of format 1 has no counts by type. Raises IntegrityError."""
        self = cls(session_id)
        try:
            (
                row,
                self.sequence,
                self.updated_at,
                self.operation_count,
                self.artifact_count,
                self.artifact_bytes,
                self.last_artifact,
                self.message_count,
                variables,
                *more,
            ) = msgpack.unpackb(data, unicode_errors="surrogatepass", strict_map_key=False)
            (
                self.status,
                self.name,
                self.description,
                self.created_by,
                self.tags,
                self.parent,
                self.metadata,
                self.created_at,
                self.started_at,
                self.ended_at,
                self.correlation_id,
                self.failure_reason,
                self.config,
                *key,
            ) = row
            self.key = key[0] if key else None
            self.variables = dict(variables)
            if more:
                self.artifact_types = dict(more[0]) if more[0] is not None else None
                self.certain = set(more[1]) if len(more) > 1 and more[1] is not None else None
                self.more = more[2] if len(more) > 2 else {}
            elif self.last_artifact:
                self.artifact_types = None
            self.variable_bytes = sum(map(len, self.variables)) + sum(map(len, self.variables.values()))
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            raise IntegrityError(f"a snapshot of session {session_id} cannot be decoded") from error
        return self


def in_order(value: Any) -> Any:
    """Return the same data with the keys of every dict sorted."""
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [in_order(each) for each in value]
    return value


# -- evolve: one function per type of event that changes more than the totals


GRANTS: Final = "grants"
SHARES: Final = "shares"
SCOPES: Final = "scopes"

GRANT_WEIGHT: Final = 350

"""The approximate bytes of memory that a grant takes."""


def grant_count(state: SessionState) -> int:
    """Return how many permissions on artifacts, on the session, and on scopes there are."""
    more = state.more
    return sum(map(len, more.get(GRANTS, {}).values())) + len(more.get(SHARES, ())) + len(more.get(SCOPES, ()))
