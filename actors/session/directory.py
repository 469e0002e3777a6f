"""What rooms above need to know of sessions: the table that finds them, and the way of messages to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from greenroom.actors.messages.core import PendingEvent
    from greenroom.actors.scheduling.futures import TellReceipt

    from .actor import SessionActor
    from .services import SessionServices

__all__ = ["Directory", "Way"]


class Way(Protocol):
    """A way of messages to sessions, from some stage of it on."""

    def ask(self, session_id: str, message: Any, timeout: float) -> Any:
        """Have a message handled and return the reply. Raises what refuses or fails it, SessionNotFound,
        OperationTimeout, RuntimeClosed."""

    def tell(self, session_id: str, message: Any, receipt: TellReceipt | None = None) -> None:
        """Send a message without waiting; `receipt`, if given, gets what becomes of it."""


class Directory(Protocol):
    """The table of sessions: id → actor."""

    services: SessionServices

    def actor(self, session_id: str) -> SessionActor:
        """Return the session's actor, activated if it is not in memory. Raises SessionNotFound, IntegrityError."""

    def hold(self, actor: SessionActor, draft: PendingEvent) -> None:
        """Put an actor into the table whose session is not in the store yet, and give it its first event."""
