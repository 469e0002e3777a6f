"""Handle messages of sessions with which a whole session is shared, or that may use a scope, and the sharing itself.
Runs in the turn of the session or scope that is reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.permissions import ADMIN, NAMES, READ, WRITE, AccessAttempt, ScopeGrant, SessionShare
from greenroom.actors.session.decisions.sharing import most_level
from greenroom.actors.session.state import shares

from .delegated import DelegatedMessage, Refused, acting_session, granted_reply, once, recorded, require_grantee

if TYPE_CHECKING:
    from collections.abc import Callable

    from .live import LiveSession

__all__ = ["ANSWERS", "SHARING_REPLIES", "VisitingMessage"]


class VisitingMessage(DelegatedMessage):
    """A message to a session or scope on behalf of a session that has a permission on all of it. Like the delegated
    message, only the runtime makes it."""

    __slots__ = ()


def _visited(actor: LiveSession, asked: VisitingMessage) -> Any:
    """Handle the message if the permission holds now. Raises Refused."""
    message = asked.message
    level, why = _level(actor, asked)
    if level == WRITE and not _may_store(actor, message):
        level = READ
    attempt = AccessAttempt(asked.principal, actor.state.id, None, message.access, True, why, type(message).__name__)
    if level < message.whole:
        reason = f"{NAMES[level]} is not enough" if level else "no permission"
        if asked.sent:  # it was allowed when it was sent
            actor.services.security.trail.record(attempt.denied(reason))
        raise Refused(reason, reason=reason, needed=NAMES[message.whole], has=NAMES.get(level))
    if isinstance(message, m.Command):
        return recorded(actor, message, attempt)
    return actor.answer(message)


def _may_store(actor: LiveSession, message: Any) -> bool:
    """Return whether a writer may store what the message stores. Names of artifacts that others only read are not
    theirs to go on."""
    if isinstance(message, m.Batch):
        return all(_may_store(actor, command) for command in message.commands)
    items = message.items if isinstance(message, m.StoreMany) else [message]
    artifacts, session = actor.services.store.artifacts, actor.state.session
    for item in items if isinstance(message, (m.StoreMany, m.StoreArtifact)) else ():
        _, number = artifacts.latest(session, item.name)
        record = artifacts.record(session, number) if number is not None else None
        if record is not None and most_level(record.type) < WRITE:
            return False
    return True


def _level(actor: LiveSession, asked: VisitingMessage) -> tuple[int, str]:
    """Return the level of the principal's permission, and the reason for the audit log."""
    if asked.family:
        return ADMIN, "above the owner"
    if actor.cataloged:
        level = shares.level_held(actor.state, asked.principal, actor.services.clock.time_ns())
        return level, f"{NAMES.get(level)} permission on the session"
    reach = actor.services.security.reach(asked.principal, actor.state.id)
    if reach is None:
        return 0, ""
    return reach.level, f"{NAMES[reach.level]} permission on the scope {reach.scope}"


def _changed(actor: LiveSession, command: Any) -> Any:
    """Change permissions as the owner or the host, record it in the same batch, and return the reply."""
    who = acting_session()
    reason = "the owner" if who == actor.state.id else "above the owner" if who is not None else "the host"
    attempt = AccessAttempt(who, actor.state.id, None, command.access, True, reason, type(command).__name__)
    return recorded(actor, command, attempt)


def _shared(actor: LiveSession, command: m.ShareSession) -> Any:
    require_grantee(actor, command.with_session)
    return _changed(actor, command)


def _share(actor: LiveSession, command: m.ShareSession) -> SessionShare:
    return shares.share_of(actor.state, command.with_session, actor.services.clock.time_ns())


def _scope(actor: LiveSession, command: m.GrantScope) -> ScopeGrant:
    return next(each for each in shares.scopes_listed(actor.state) if each.scope == command.scope)


def _shares(actor: LiveSession, query: m.ListShares) -> list[SessionShare]:
    return shares.shares_listed(actor.state, actor.services.clock.time_ns())


def _scopes(actor: LiveSession, query: m.ListScopes) -> list[ScopeGrant]:
    return shares.scopes_listed(actor.state)


ANSWERS: Final[dict[type[Any], Callable[[LiveSession, Any], Any]]] = {
    VisitingMessage: _visited,
    m.ShareSession: once(_shared),
    m.RevokeSession: once(_changed),
    m.ListShares: _shares,
    m.GrantScope: once(_changed),
    m.RevokeScope: once(_changed),
    m.ListScopes: _scopes,
}
SHARING_REPLIES: Final[dict[type[Any], Callable[[LiveSession, Any], Any]]] = {
    m.ShareArtifact: granted_reply,
    m.ShareSession: _share,
    m.GrantScope: _scope,
}
"""Replies to commands, once their events are journaled."""
