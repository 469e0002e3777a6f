"""The interface of a session in memory that replies use. The caller holds the session's turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from greenroom.actors.messages.core import Command, Condition, PendingEvent, Query
    from greenroom.actors.session.state.limits import Limits
    from greenroom.actors.session.state.model import SessionState
    from greenroom.actors.store import Append
    from greenroom.storage.artifacts.model import ArtifactId, ArtifactInfo
    from greenroom.storage.engine.engine import Durability, Op
    from greenroom.storage.errors import IntegrityError

    from .services import SessionServices

__all__ = ["LiveSession"]


class LiveSession(Protocol):
    """A session in memory."""

    services: SessionServices
    state: SessionState
    cataloged: bool
    """False for the state of a scope, which is in no listing."""
    decided: int
    """The sequence of the last event of the command that was just handled."""
    restored: bool
    """Whether the session came into memory from its journal, and was not loaded since."""

    @property
    def limits(self) -> Limits:
        """The limits that hold now."""

    def artifact(self, ref: ArtifactId | str, version: int | str | None) -> ArtifactInfo:
        """Return the info of an artifact. Raises ArtifactNotFound."""

    def doubtful(self, what: str) -> IntegrityError:
        """Return the error for something that a damaged and lost event may have changed."""

    def answer(self, query: Query[Any]) -> Any:
        """Return the reply to a query."""

    def perform(
        self,
        command: Command[Any],
        *,
        more: Callable[[list[PendingEvent]], list[PendingEvent]] | None = None,
        also: Sequence[Op] = (),
    ) -> Any:
        """Perform a command, with additional events and operations in its batch."""

    def require(self, condition: Condition) -> None:
        """Raise Conflict if the session has another sequence than a command expects."""

    def answered_before(self, message: Any) -> tuple[Any] | None:
        """Return what a command with the same idempotency key was answered; None if that is not known."""

    def await_durability(self, reply: Any, durability: Durability | None) -> Any:
        """Hold a reply back until the change is as durable as asked."""

    def commit(
        self,
        drafts: list[PendingEvent],
        command: Command[Any] | None = None,
        also: Sequence[Op] = (),
        *,
        write: Callable[[Append], int] | None = None,
    ) -> None:
        """Journal events and evolve the state. `write` writes in place of the store."""

    def follow_config(self) -> None:
        """Apply the session's own configuration, which has changed."""

    def save(self) -> None:
        """Write a snapshot, if there are events after the newest one."""

    def last_activity(self) -> int:
        """Return the time (ns since the epoch) of the newest event that is not the runtime's own care of the
        session."""
