"""The services that all session actors of a runtime share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from greenroom.actors.session.state.limits import Limits
from greenroom.storage.engine.engine import Durability
from greenroom.storage.events.model import StoredEvent

if TYPE_CHECKING:
    from greenroom.actors.clock import Clock
    from greenroom.actors.messages import ForkSession
    from greenroom.actors.messages.permissions import AccessAttempt
    from greenroom.actors.scheduling.dispatcher import Dispatcher, Envelope
    from greenroom.actors.session.state.shares import Reach
    from greenroom.actors.store import ArtifactStore
    from greenroom.storage.engine.engine import Op

__all__ = ["AccessControl", "AuditLog", "Owner", "Resident", "SessionServices"]


class Resident(Protocol):
    """A session in memory, as its supervisor counts it."""

    actor_urn: str
    weight: int


class AuditLog(Protocol):
    """The part of the audit log that a session actor uses."""

    def beside(self, attempt: AccessAttempt) -> list[Op]:
        """Return the operations that record a granted attempt, for the write batch of the change itself."""

    def record(self, attempt: AccessAttempt) -> None:
        """Record an attempt by itself."""


class AccessControl(Protocol):
    """The part of security that a session actor uses."""

    @property
    def trail(self) -> AuditLog:
        """The audit log."""

    def principal(self) -> str | None:
        """Return the session for which the running code acts; None for the host."""

    def ancestors(self, session_id: str) -> list[str]:
        """Return the ancestors of a session, its parent first."""

    def can_access(self, principal: str, session_id: str) -> bool:
        """Return whether a session is the principal's own or a descendant of it."""

    def reach(self, principal: str, session_id: str) -> Reach | None:
        """Return how far a session reaches into another session, or a scope, that is not below it."""

    def forget_families(self) -> None:
        """Forget which sessions are descendants of which, because a session was deleted or imported."""


class Owner(Protocol):
    """The part of the supervisor that a session actor uses."""

    def ask(self, session_id: str, message: Any, timeout: float) -> Any:
        """Ask a session's actor. Within the session's turn, have it handle the message at once."""

    def forward(self, session_id: str, envelope: Envelope[Any]) -> None:
        """Deliver a message that came after the actor had stopped to the session's next actor."""

    def reserve(self, session_ids: list[str]) -> Callable[[], None]:
        """Reserve ids until the returned function is called. Raises SessionAlreadyExists."""

    def retire(self, actor: Resident) -> None:
        """Remove an actor that has stopped."""

    def configured(self, session: bytes, config: bytes | None) -> None:
        """Take note that the configuration of a session has changed. Called in the session's turn."""

    def failed(self, session_id: str, reason: str) -> None:
        """Take note that a session was failed because it had been restarted too often."""

    def weigh(self, actor: Resident, weight: int) -> None:
        """Take note of the bytes of memory that a resident session takes now."""


@dataclass(slots=True)
class SessionServices:
    """The services that all session actors of a runtime share."""

    store: ArtifactStore
    dispatcher: Dispatcher
    clock: Clock
    limits: Limits
    durability: Durability
    mailbox_capacity: int
    store_timeout: float
    snapshot_every: int
    max_restarts: int
    restart_window: float
    artifact_name_limit: int
    owner: Owner
    discard: Callable[[Any], None]
    """Drops what was prepared for a message that has failed."""
    security: AccessControl
    fork: Callable[[SessionServices, str, int, ForkSession], str]
    """Creates a session from the history of another one up to a sequence, as a command asks, and returns its id."""
    publish: Callable[[str, int, list[StoredEvent]], None] | None = None
    """Called with events once they are journaled: session id, sequence of the first, the events. Called in the
    session's turn, so it must not block. None while there is no subscription."""
    tell: Callable[[str, str, dict[str, Any]], None] | None = None
    """Called with events that are not journaled: session id, event type, data. None while there is no subscription."""
