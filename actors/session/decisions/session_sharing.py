"""Share a whole session with another one, and let a session use scopes: what is decided about the messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.messages.core import Command, PendingEvent
from greenroom.actors.messages.permissions import NAMES
from greenroom.actors.messages.sharing import ForgetGrantee, GrantScope, RevokeScope, RevokeSession, ShareSession
from greenroom.actors.session.state.model import SHARES
from greenroom.actors.session.state.shares import scopes_of
from greenroom.storage.errors import ValidationError

from .sharing import forgotten, require_room

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.actors.session.state.model import SessionState

    from .draft import Limits, Lookup

__all__ = ["DECIDERS"]


def _share(state: SessionState, command: ShareSession, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    if command.with_session == state.id:
        raise ValidationError("with_session: a session need not be shared with itself", field="with_session")
    if command.with_session not in state.more.get(SHARES, {}):
        require_room(state)
    data = {
        "session": command.with_session,
        "permission": NAMES[command.level],
        "expires_at": command.expires_at,
    }
    return [PendingEvent("session.shared", data)]


def _revoke(state: SessionState, command: RevokeSession, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    return unshares(state, command.with_session)


def unshares(state: SessionState, grantee: str, reason: str | None = None) -> list[PendingEvent]:
    """Return the event that ends the share with a grantee; none if there is no share."""
    if grantee not in state.more.get(SHARES, {}):
        return []
    because = {"reason": reason} if reason is not None else {}
    return [PendingEvent("session.unshared", {"session": grantee, **because})]


def _grant(state: SessionState, command: GrantScope, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    if command.scope not in scopes_of(state):
        require_room(state)
    return [PendingEvent("scope.granted", {"scope": command.scope, "permission": NAMES[command.level]})]


def _take(state: SessionState, command: RevokeScope, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    return [PendingEvent("scope.revoked", {"scope": command.scope})] if command.scope in scopes_of(state) else []


def _forget(state: SessionState, command: ForgetGrantee, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    gone = command.session_id
    return [*forgotten(state, gone), *unshares(state, gone, "the session was deleted")]


DECIDERS: Final[dict[type[Command[Any]], Callable[[SessionState, Any, Limits, Lookup], list[PendingEvent]]]] = {
    ShareSession: _share,
    RevokeSession: _revoke,
    GrantScope: _grant,
    RevokeScope: _take,
    ForgetGrantee: _forget,
}
