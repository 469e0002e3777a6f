"""Handle messages for an owner on behalf of other sessions, and record them and the owner's own sharing. Runs in the
owner's turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.permissions import ADMIN, NAMES, READ, WRITE, AccessAttempt, Grant
from greenroom.actors.scheduling.operation import CURRENT
from greenroom.actors.session.decisions import sharing as sh
from greenroom.actors.session.decisions.draft import require_operations
from greenroom.actors.session.state import grants
from greenroom.actors.session.state.grants import Held
from greenroom.actors.session.state.shares import level_held
from greenroom.storage.artifacts.model import ArtifactId, ArtifactInfo
from greenroom.storage.codec.keys import session_bytes
from greenroom.storage.errors import ArtifactNotFound, GreenroomError, SessionNotFound, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .live import LiveSession

__all__ = [
    "ANSWERS",
    "DelegatedMessage",
    "MayWrite",
    "Refused",
    "Shared",
    "acting_session",
    "granted_reply",
    "once",
    "recorded",
    "require_grantee",
]


class DelegatedMessage:
    """A message about an artifact, to its owner, on behalf of another session. Only the runtime makes it: it is no
    `Message`, so nobody outside can send one and pretend to be another session."""

    __slots__ = ("family", "message", "principal", "sent")

    def __init__(self, principal: str, message: Any, *, family: bool, sent: bool = False) -> None:
        self.principal = principal
        self.message = message
        self.family = family
        """Whether the principal is an ancestor of the owner, and so may do everything."""
        self.sent = sent
        """Whether nobody waits for the reply. Then the owner records a refusal."""


class MayWrite:
    """Asks whether a version of an artifact may be stored, before its content is prepared. Replies None."""

    __slots__ = ("ref",)

    def __init__(self, ref: ArtifactId) -> None:
        self.ref = ref


class Shared:
    """Asks for the infos of the artifacts, by number, that the principal may read now."""

    __slots__ = ("numbers",)

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers


class Refused(GreenroomError):
    """The principal lacks the permission. `reason` is for the audit log; `needed` and `has` name permissions."""


def on_behalf(actor: LiveSession, asked: DelegatedMessage) -> Any:
    """Handle the message if a grant allows it now. Raises Refused."""
    message = asked.message
    if message.__class__ is m.CheckAccess:
        return _check(actor, asked)
    if message.__class__ is Shared:
        return _readable(actor, asked)
    earlier = actor.answered_before(message)
    if earlier is not None:  # whatever the permission is now: it was allowed then, and nothing changes
        actor.services.security.trail.record(_attempt(asked, actor.state.id, "answered before", granted=True))
        return earlier[0]
    artifact = message.ref if message.__class__ is MayWrite else message.artifact()
    try:
        has = _permitted(actor, asked, artifact, WRITE if message.__class__ is MayWrite else message.permission)
    except Refused as refused:
        if asked.sent:  # it was allowed when it was sent
            attempt = _attempt(asked, actor.state.id, refused.fields["reason"], granted=False)
            actor.services.security.trail.record(attempt)
        raise
    return _ON_BEHALF[message.__class__](actor, asked, has)


def _held(actor: LiveSession, asked: DelegatedMessage, artifact: ArtifactId) -> Held | None:
    if asked.family:
        return Held(ADMIN, None)
    return _granted(actor, asked.principal, artifact)


def _granted(actor: LiveSession, session_id: str, artifact: ArtifactId) -> Held | None:
    """Return the permission of a session on the artifact: by a grant, or because the whole session is shared."""
    now = actor.services.clock.time_ns()
    whole = level_held(actor.state, session_id, now)
    if not grants.grants_of(actor.state, artifact.sequence):
        return _capped(actor, artifact, Held(whole, None)) if whole else None
    above = actor.services.security.ancestors(session_id)
    given = grants.held(actor.state, artifact.sequence, session_id, above, now)
    return _capped(
        actor, artifact, given if given is not None and given.level > whole else Held(whole, None) if whole else None
    )


def _capped(actor: LiveSession, artifact: ArtifactId, held: Held | None) -> Held | None:
    """Return a permission on an artifact, or what of it the artifact's type allows."""
    if held is None or held.level == READ:
        return held
    info = actor.services.store.artifacts.info(actor.state.session, artifact.sequence)
    most = sh.most_level(info.artifact_type) if info is not None else held.level
    return held if held.level <= most else Held(most, held.expires_at)


def _permitted(actor: LiveSession, asked: DelegatedMessage, artifact: ArtifactId | None, needed: int) -> Held:
    """Return the principal's permission on the artifact. Raises Refused if it is not enough or there is no such
    artifact."""
    assert artifact is not None, "a message that crosses names an artifact"
    assert artifact.session_id == actor.state.id, "it goes to the owner it names"
    has = _held(actor, asked, artifact)
    if has is None:
        expired = grants.grants_of(actor.state, artifact.sequence).get(asked.principal)
        reason = "the grant has expired" if expired is not None else "no grant"
        raise Refused(reason, reason=reason, needed=NAMES[needed], has=None)
    if has.level < needed:
        reason = f"{NAMES[has.level]} is not enough"
        raise Refused(reason, reason=reason, needed=NAMES[needed], has=NAMES[has.level])
    try:
        actor.artifact(artifact, None)
    except ArtifactNotFound:
        raise Refused("", reason="no such artifact", needed=NAMES[needed], has=None) from None
    return has


def _readable(actor: LiveSession, asked: DelegatedMessage) -> list[ArtifactInfo]:
    artifacts = actor.services.store.artifacts
    infos = [artifacts.info(actor.state.session, number) for number in asked.message.numbers]
    return [info for info in infos if info is not None and _held(actor, asked, info.id) is not None]


def _check(actor: LiveSession, asked: DelegatedMessage) -> bool:
    message: m.CheckAccess = asked.message
    artifact = message.artifact()
    assert artifact is not None
    who = message.who or asked.principal
    if who != asked.principal:
        _permitted(actor, asked, artifact, ADMIN)  # only a session that may change permissions sees those of others
        return _may(actor, who, artifact, message.level)
    has = _held(actor, asked, artifact)
    return has is not None and has.level >= message.level and _there(actor, artifact)


def _may(actor: LiveSession, who: str, artifact: ArtifactId, level: int) -> bool:
    if not _there(actor, artifact):
        return False
    if actor.services.security.can_access(who, actor.state.id):
        return True
    has = _granted(actor, who, artifact)
    return has is not None and has.level >= level


def _there(actor: LiveSession, artifact: ArtifactId) -> bool:
    try:
        actor.artifact(artifact, None)
    except ArtifactNotFound:
        return False
    return True


def _attempt(asked: DelegatedMessage, owner: str, reason: str, *, granted: bool) -> AccessAttempt:
    message = asked.message
    artifact = message.ref if message.__class__ is MayWrite else message.artifact()
    access = "write" if message.__class__ is MayWrite else message.access
    return AccessAttempt(asked.principal, owner, str(artifact), access, granted, reason, type(message).__name__)


def _answered(actor: LiveSession, asked: DelegatedMessage, has: Held) -> Any:
    return actor.answer(asked.message)


def _versions(actor: LiveSession, asked: DelegatedMessage, has: Held) -> Any:
    found = actor.answer(asked.message).finish()  # finished within the turn, because grants may change after it
    return [info for info in found if asked.family or _granted(actor, asked.principal, info.id) is not None]


def _performed(actor: LiveSession, asked: DelegatedMessage, has: Held, more: Any = None) -> Any:
    """Perform the message, and record it in the same batch."""
    reason = "above the owner" if asked.family else f"{NAMES[has.level]} permission"
    return recorded(actor, asked.message, _attempt(asked, actor.state.id, reason, granted=True), more)


def recorded(actor: LiveSession, command: m.Command[Any], attempt: AccessAttempt, more: Any = None) -> Any:
    trail, before = actor.services.security.trail, actor.state.sequence
    beside = trail.beside(attempt)
    reply = actor.perform(command, more=more, also=beside)
    if not beside or actor.state.sequence == before:  # a command that changes nothing writes nothing
        trail.record(attempt)
    return reply


def _stored(actor: LiveSession, asked: DelegatedMessage, has: Held) -> Any:
    """Store the next version, and share it with its author as the version before it is."""
    message: m.StoreArtifact = asked.message
    before = actor.artifact(message.version_of or "", None)
    if message.name != before.name:
        raise ValidationError("name: a version has the name of the artifact it is a version of", field="name")
    if asked.family or level_held(actor.state, asked.principal, actor.services.clock.time_ns()) >= WRITE:
        return _performed(actor, asked, has)

    def share(drafts: list[Any]) -> list[Any]:
        data = drafts[0].data
        artifact = ArtifactId(data["content_hash"].hex(), actor.state.id, data["sequence"])
        given = grants.grants_of(actor.state, before.id.sequence).get(asked.principal)
        # A grantee by a grant to its ancestor does not pass that grant on, but gets this version for itself.
        inherit = given is not None and given[2] and (given[1] is None or given[1] > actor.services.clock.time_ns())
        sh.require_room(actor.state)
        level = min(has.level, sh.most_level(data["type"]))
        return [
            sh.shared_draft(artifact, before.name, asked.principal, level, has.expires_at, inherit, by=asked.principal)
        ]

    return _performed(actor, asked, has, share)


def _shared(actor: LiveSession, asked: DelegatedMessage, has: Held) -> Any:
    message: m.ShareArtifact = asked.message.copy()
    if has.expires_at is not None and (message.expires_at is None or message.expires_at > has.expires_at):
        raise Refused("", reason="a grant beyond its own", needed="an admin permission that lasts as long", has="admin")
    if message.with_session == actor.state.id:
        raise ValidationError("with_session: the owner has admin already", field="with_session")
    require_grantee(actor, message.with_session)
    message.by = asked.principal
    return _performed(actor, DelegatedMessage(asked.principal, message, family=asked.family), has)


def _revoked(actor: LiveSession, asked: DelegatedMessage, has: Held) -> Any:
    message: m.RevokeArtifact = asked.message.copy()
    message.by = asked.principal
    return _performed(actor, DelegatedMessage(asked.principal, message, family=asked.family), has)


def _nothing(actor: LiveSession, asked: DelegatedMessage, has: Held) -> None:
    """Do nothing: the message only asks whether something is allowed."""


_ON_BEHALF: Final[dict[type[Any], Callable[[LiveSession, DelegatedMessage, Held], Any]]] = {
    MayWrite: _nothing,
    m.GetArtifactInfo: _answered,
    m.GetArtifact: _answered,
    m.GetPredecessor: _answered,
    m.ListArtifactVersions: _versions,
    m.StoreArtifact: _stored,
    m.DeleteArtifact: _performed,
    m.ShareArtifact: _shared,
    m.RevokeArtifact: _revoked,
    m.ListPermissions: _answered,
}


# -- the owner itself


def once(handler: Callable[[LiveSession, Any], Any]) -> Callable[[LiveSession, Any], Any]:
    """Return a handler of commands that answers one which comes again with what it was answered."""

    def handle(actor: LiveSession, command: Any) -> Any:
        earlier = actor.answered_before(command)
        return earlier[0] if earlier is not None else handler(actor, command)

    return handle


def require_grantee(actor: LiveSession, grantee: str) -> None:
    """Raise SessionNotFound for the host if the grantee does not exist, for instance after a typing error. Code that
    acts for a session gets no such error, because it would learn which sessions exist; it is limited by its operations
    instead, since no status ends sharing."""
    if actor.services.security.principal() is not None:
        require_operations(actor.state, actor.limits)
        return
    if actor.services.store.catalog.row(session_bytes(grantee)) is None:
        raise SessionNotFound(f"there is no session {grantee} to share with", session_id=grantee)


def acting_session() -> str | None:
    """Return the session that the running code acts for; None for the host."""
    operation = CURRENT.get()
    return operation.principal if operation is not None else None


def granted_reply(actor: LiveSession, message: m.ShareArtifact) -> Grant:
    """Reply to `ShareArtifact`."""
    artifact = actor.artifact(message.ref, message.version).id
    return grants.grant_of(actor.state, artifact, message.with_session, actor.services.clock.time_ns())


def _change(actor: LiveSession, message: Any, access: str) -> Any:
    """Change permissions as the owner, record it in the same batch, and return the reply."""
    info = actor.artifact(message.ref, message.version)
    who = acting_session() or actor.state.id
    reason = "the owner" if who == actor.state.id else "above the owner"
    attempt = AccessAttempt(who, actor.state.id, str(info.id), access, True, reason, type(message).__name__)
    return recorded(actor, message, attempt)


def _owner_shares(actor: LiveSession, message: m.ShareArtifact) -> Any:
    require_grantee(actor, message.with_session)
    return _change(actor, message, "share")


def _owner_revokes(actor: LiveSession, message: m.RevokeArtifact) -> Any:
    return _change(actor, message, "change_permissions")


def _owner_lists(actor: LiveSession, message: m.ListPermissions) -> list[Grant]:
    info = actor.artifact(message.ref, message.version)
    return grants.listed(actor.state, info.id, actor.services.clock.time_ns())


def _owner_checks(actor: LiveSession, message: m.CheckAccess) -> bool:
    try:
        artifact = actor.artifact(message.ref, message.version).id
    except ArtifactNotFound:
        return False
    return message.who is None or _may(actor, message.who, artifact, message.level)


def _owner_names(actor: LiveSession, message: m.GetPredecessor) -> ArtifactInfo:
    return actor.artifact(message.ref, message.version)


ANSWERS: Final[dict[type[Any], Callable[[LiveSession, Any], Any]]] = {
    m.GetPredecessor: _owner_names,
    DelegatedMessage: on_behalf,
    m.ShareArtifact: once(_owner_shares),
    m.RevokeArtifact: once(_owner_revokes),
    m.ListPermissions: _owner_lists,
    m.CheckAccess: _owner_checks,
}
