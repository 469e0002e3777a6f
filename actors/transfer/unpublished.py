"""The actor of a session that nobody can find in the store yet: it comes in whole, by ingestion or as a fork."""

from __future__ import annotations

from typing import Any

from greenroom.actors.session.actor import SessionActor
from greenroom.storage.engine.engine import Durability

__all__ = ["UnpublishedSession"]


class UnpublishedSession(SessionActor):
    """Decides and folds as every session does. It stays in memory until it is published."""

    def _durable(self, reply: Any, durability: Durability, *, reading: bool = False) -> Any:
        return reply  # who publishes it waits, once for all

    def passivate(self, *, save: bool = False) -> bool:
        return False  # only this actor knows the session

    @property
    def unsaved(self) -> bool:
        return False

    def leave(self) -> None:
        """Take the actor out of the table. From now on the store has the session, or it does not exist."""
        if not self.actor_stopped.is_set():
            self.actor_stopped.set()
            self.services.owner.retire(self)
