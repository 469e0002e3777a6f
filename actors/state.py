"""The state of a session, and how events make it: a session is a fold over its journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgpack

from greenroom.storage.catalog import SessionInfo, SessionRow, SessionStatus
from greenroom.storage.errors import IntegrityError
from greenroom.storage.journal import StoredEvent, Totals
from greenroom.storage.keys import session_bytes

from .messages import EMPTY_METADATA

__all__ = ["ACTIVE", "ARCHIVED", "COMPLETED", "FAILED", "NEW_WEIGHT", "SUSPENDED", "SessionState", "evolve"]

ACTIVE, SUSPENDED, COMPLETED, FAILED, ARCHIVED = range(len(SessionStatus))

NEW_WEIGHT: Final = 3000
"""Bytes of memory that an actor with an empty state takes, measured."""

# Only built-in values go in, so no Python code runs while the shared packer works.
_pack: Callable[[Any], bytes] = msgpack.Packer(unicode_errors="surrogatepass").pack


class SessionState:
    """What a session is at one sequence of its journal.

    Owned by one actor and changed in place, by `evolve` alone. Values of variables and metadata are kept encoded:
    what is handed out is always a fresh copy, so no caller can reach into a session.
    """

    __slots__ = (
        "artifact_bytes",
        "artifact_count",
        "config",
        "correlation_id",
        "created_at",
        "created_by",
        "description",
        "ended_at",
        "failure_reason",
        "id",
        "last_artifact",
        "message_count",
        "metadata",
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
        self.operation_count = 0
        self.artifact_count = 0
        self.artifact_bytes = 0
        self.last_artifact = 0
        self.message_count = 0
        self.variables: dict[str, bytes] = {}
        self.variable_bytes = 0

    @property
    def totals(self) -> Totals:
        return self.operation_count, self.artifact_count, self.artifact_bytes

    def row(self) -> SessionRow:
        """What the catalog stores of this state."""
        return SessionRow(
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
        )

    def info(self) -> SessionInfo:
        return SessionInfo(self.id, self.row(), self.sequence, self.updated_at, self.totals)

    @property
    def weight(self) -> int:
        """Bytes of memory that this state takes, roughly."""
        return NEW_WEIGHT + self.variable_bytes + 160 * len(self.variables) + len(self.metadata)

    def encode(self) -> bytes:
        """The canonical encoding: equal states give equal bytes, whatever the order of their making."""
        return _pack(
            [
                list(self.row()),
                self.sequence,
                self.updated_at,
                self.operation_count,
                self.artifact_count,
                self.artifact_bytes,
                self.last_artifact,
                self.message_count,
                sorted(self.variables.items()),
            ]
        )

    @classmethod
    def decode(cls, session_id: str, data: bytes) -> SessionState:
        """The state that `encode` encoded. Raises IntegrityError."""
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
            ) = msgpack.unpackb(data, unicode_errors="surrogatepass")
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
            ) = row
            self.variables = dict(variables)
        except (ValueError, TypeError, msgpack.UnpackException) as error:
            raise IntegrityError(f"a snapshot of session {session_id} cannot be decoded") from error
        self.variable_bytes = sum(map(len, self.variables.values()))
        return self


# -- evolve: one function per type of event that changes more than the totals

Data = dict[str, Any]


def _created(state: SessionState, data: Data, time: int) -> None:
    state.name = data["name"]
    state.description = data["description"]
    state.created_by = data["created_by"]
    state.tags = data["tags"]
    state.metadata = data["metadata"]
    state.parent = data["parent"]
    state.config = data["config"]
    state.correlation_id = data["correlation_id"]
    state.created_at = time
    state.started_at = time


def _status(code: int, *, ends: bool = False) -> Callable[[SessionState, Data, int], None]:
    def change(state: SessionState, data: Data, time: int) -> None:
        state.status = code
        if ends:
            state.ended_at = time

    return change


def _failed(state: SessionState, data: Data, time: int) -> None:
    state.status = FAILED
    state.ended_at = time
    state.failure_reason = data["reason"]


def _variable_set(state: SessionState, data: Data, time: int) -> None:
    key, value = data["key"], data["value"]
    old = state.variables.get(key)
    state.variables[key] = value
    state.variable_bytes += len(value) - (len(old) if old is not None else 0)


def _variable_deleted(state: SessionState, data: Data, time: int) -> None:
    old = state.variables.pop(data["key"], None)
    if old is not None:
        state.variable_bytes -= len(old)


def _metadata_updated(state: SessionState, data: Data, time: int) -> None:
    state.metadata = data["metadata"]


def _tags_changed(state: SessionState, data: Data, time: int) -> None:
    state.tags = data["tags"]


def _message_added(state: SessionState, data: Data, time: int) -> None:
    state.message_count += 1


def _artifact_stored(state: SessionState, data: Data, time: int) -> None:
    state.last_artifact = data["sequence"]


_EVOLVE: Final[dict[str, Callable[[SessionState, Data, int], None]]] = {
    "session.created": _created,
    "session.suspended": _status(SUSPENDED),
    "session.resumed": _status(ACTIVE),
    "session.completed": _status(COMPLETED, ends=True),
    "session.failed": _failed,
    "session.archived": _status(ARCHIVED),
    "variable.set": _variable_set,
    "variable.deleted": _variable_deleted,
    "metadata.updated": _metadata_updated,
    "tags.changed": _tags_changed,
    "message.added": _message_added,
    "artifact.stored": _artifact_stored,
}


def evolve(state: SessionState, sequence: int, stored: StoredEvent) -> None:
    """Bring the state from `sequence - 1` to `sequence`. No input but state and event; events of types that it
    does not know only move the totals, so that a newer journal still folds."""
    change = _EVOLVE.get(stored[0])
    if change is not None:
        change(state, stored[2], stored[1])
    state.sequence = sequence
    state.updated_at = stored[1]
    state.operation_count = stored[3]
    state.artifact_count = stored[4]
    state.artifact_bytes = stored[5]
