"""What all session actors of a runtime share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from greenroom.storage.engine.engine import Durability
from greenroom.storage.events.model import StoredEvent

from .draft import Limits

if TYPE_CHECKING:
    from pykka._envelope import Envelope

    from greenroom.actors.access.security import Security
    from greenroom.actors.scheduling.clock import Clock
    from greenroom.actors.scheduling.dispatcher import Dispatcher
    from greenroom.actors.store import ArtifactStore

    from .actor import SessionActor

__all__ = ["Owner", "SessionServices"]


class Owner(Protocol):
    """What a session actor needs of its supervisor."""

    def forward(self, session_id: str, envelope: Envelope[Any]) -> None:
        """Deliver a message that came after the actor had stopped to the session's next actor."""

    def discard(self, message: Any) -> None:
        """Give up what was prepared for a message that has failed."""

    def reserve(self, session_ids: list[str]) -> Callable[[], None]:
        """Keep ids from everybody else until what this returns is called. Raises SessionAlreadyExists."""

    def retire(self, actor: SessionActor) -> None:
        """Forget an actor that has stopped."""

    def configured(self, session: bytes, config: bytes | None) -> None:
        """The configuration of a session has changed. Called in its turn."""

    def failed(self, session_id: str, reason: str) -> None:
        """A session was failed because it had been restarted too often."""

    def weigh(self, actor: SessionActor, weight: int) -> None:
        """The memory that a resident session takes has changed to so many bytes."""


@dataclass(slots=True)
class SessionServices:
    """What all session actors of a runtime share."""

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
    security: Security
    publish: Callable[[str, int, list[StoredEvent]], None] | None = None
    """Told of events once they are journaled: session id, sequence of the first, the events. Called in the session's
    turn, so it must not block. None while nobody listens."""
    tell: Callable[[str, str, dict[str, Any]], None] | None = None
    """Told of what is no fact of a journal: session id, event type, data. None while nobody listens."""
