"""The interfaces through which higher rooms reach sessions: the table that finds them, and the delivery of messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from greenroom.actors.messages.core import PendingEvent
    from greenroom.actors.scheduling.futures import TellReceipt

    from .actor import SessionActor
    from .services import SessionServices

__all__ = ["Directory", "Way"]


class Way(Protocol):
    """A part of the delivery path, from some stage on."""

    def ask(self, session_id: str, message: Any, timeout: float) -> Any:
        """Have a message handled and return the reply. Raises what refuses or fails it, SessionNotFound,
        OperationTimeout, RuntimeClosed."""

    def tell(self, session_id: str, message: Any, receipt: TellReceipt | None = None) -> None:
        """Send a message without waiting. `receipt`, if given, gets its outcome."""


class Directory(Protocol):
    """The table of sessions: id → actor."""

    services: SessionServices

    def actor(self, session_id: str) -> SessionActor:
        """Return the session's actor, activated if it is not in memory. Raises SessionNotFound, IntegrityError."""

    def hold(self, actor: SessionActor, draft: PendingEvent | None) -> None:
        """Put the actor of a session that is not in the store yet into the table, and give it its first event, unless
        its journal has begun already."""
