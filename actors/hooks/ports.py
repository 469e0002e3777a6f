"""What hooks need of the way of messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from greenroom.actors.access.security import Security
from greenroom.actors.session.directory import Way

if TYPE_CHECKING:
    from .interceptor import HookedMessage

__all__ = ["HookedDelivery"]


class AdmissionStage(Protocol):
    """Whether a message may go on."""

    def admit(self, session_id: str, message: Any) -> str:
        """Return the id of the session at which a message is asked. Raises AccessDenied, RateLimited."""


class HookedDelivery(Way, Protocol):
    """The way of messages, whose stage of hooks is filled from here."""

    security: Security

    @property
    def admission(self) -> AdmissionStage:
        """The stage before hooks."""

    @property
    def routing(self) -> Way:
        """The stage after hooks."""

    hooked: Mapping[type[Any], HookedMessage]
    """Classes of messages with a hook at one of their points."""

    def is_restoring(self, session_id: str) -> bool:
        """Return whether loading this session brings it back into memory."""

    def discard(self, message: Any) -> None:
        """Give up what was prepared for a message that has failed."""
