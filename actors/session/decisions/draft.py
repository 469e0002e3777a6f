"""The inputs of decisions: drafts of events, the limits of a session, and look-ups of its artifacts and records."""

from __future__ import annotations

from typing import Protocol

from greenroom.actors.messages.approvals import Approval
from greenroom.actors.messages.core import PendingEvent
from greenroom.actors.messages.internal import RecordHooks
from greenroom.actors.session.state.limits import Limits
from greenroom.actors.session.state.model import ACTIVE, SUSPENDED, SessionState
from greenroom.storage.artifacts.model import ArtifactId, ArtifactInfo
from greenroom.storage.catalog.model import STATUSES
from greenroom.storage.errors import InvalidSessionState, ResourceLimitExceeded
from greenroom.storage.events.model import StoredEvent
from greenroom.storage.events.turns import Head
from greenroom.storage.records.model import StoredRecord

__all__ = ["Limits", "Lookup", "decide_records", "require_active", "require_operations", "require_writable"]


class Lookup(Protocol):
    """Look-ups for decisions. They give the same answer for the same sequence."""

    restored: bool
    """Whether the session came into memory from its journal, and was not loaded since."""

    @property
    def read_only(self) -> bool:
        """Whether nothing can be journaled."""

    def latest_version(self, name: str) -> tuple[int, bytes | None]:
        """Return (highest version number ever given, content hash of the newest existing version) of a name."""

    def artifact(self, ref: ArtifactId | str, version: int | str | None) -> ArtifactInfo:
        """Return the info of an artifact. Raises ArtifactNotFound."""

    def turn_head(self, sequence: int) -> Head | None:
        """Return the head of a turn, or None if the conversation has no such turn."""

    def turns(self, after: int, *, newest: bool = False) -> list[int]:
        """Return the turns with a sequence greater than `after`, oldest first; or only the newest of them."""

    def now(self) -> int:
        """Return the time by the runtime's clock. What is decided by it is journaled, so no fold depends on it."""

    def approval(self, sequence: int) -> Approval:
        """Return a question that the session has asked, as it stands. Raises ValidationError, IntegrityError."""

    def turn_event(self, sequence: int) -> StoredEvent:
        """Return an event about a turn. Raises IntegrityError."""

    def record(self, key: bytes) -> StoredRecord | None:
        """Return a record, by which a change of it is decided."""

    def record_keys(self, prefix: bytes, limit: int) -> list[bytes]:
        """Return the first keys of records with a prefix."""


def require_writable(state: SessionState, limits: Limits) -> None:
    """Raise InvalidSessionState unless the session is active, ResourceLimitExceeded if it has made all its
    operations."""
    # Asked here too, because two calls are dear where they say yes.
    if state.status != ACTIVE:
        require_active(state)
    if state.operation_count >= limits.max_operations:
        require_operations(state, limits)


def require_active(state: SessionState) -> None:
    """Raise InvalidSessionState unless the session is active."""
    if state.status != ACTIVE:
        status = STATUSES[state.status]
        advice = "resume it first" if state.status == SUSPENDED else "it is final; fork it, or start a new session"
        raise InvalidSessionState(f"session {state.id} is {status}, writing needs active: {advice}", status=str(status))


def require_operations(state: SessionState, limits: Limits) -> None:
    """Raise ResourceLimitExceeded if the session has made all its operations."""
    if state.operation_count >= limits.max_operations:
        raise ResourceLimitExceeded(
            f"session {state.id} has made its {limits.max_operations} operations: "
            "complete it, or raise max_operations with session.update_config",
            resource="operations",
            limit=limits.max_operations,
            value=state.operation_count,
        )


def decide_records(state: SessionState, command: RecordHooks, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    # The journal of an ended session is closed.
    return command.drafts if state.status in (ACTIVE, SUSPENDED) else []
