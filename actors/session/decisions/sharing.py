"""Share an artifact with another session: what is decided about the messages.

A grant is on one artifact, which is one version: later versions of the same name are not shared by it. A version that a
grantee stores by its write permission is shared with that grantee as the version before it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.core import Command, PendingEvent
from greenroom.actors.messages.sharing import RevokeArtifact, ShareArtifact
from greenroom.actors.session.state import grants
from greenroom.actors.session.state.model import GRANTS, grant_count
from greenroom.storage.artifacts.model import ArtifactId, ArtifactInfo
from greenroom.storage.errors import InvalidOperation, ResourceLimitExceeded, ValidationError, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.actors.session.state.model import SessionState

    from .draft import Limits, Lookup

__all__ = []


# -- messages


# -- deciding


def _share(state: SessionState, command: ShareArtifact, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    info = lookup.artifact(command.ref, command.version)
    if command.with_session == state.id:
        raise ValidationError("with_session: the owner has admin already", field="with_session")
    if command.level > most_level(info.artifact_type):
        raise InvalidOperation(
            f"artifact {shown(info.name)} of session {state.id} is {SYSTEM_GENERATED}, and such artifacts are shared"
            ' for reading only: share it with the permission "read", or store a copy of another type and share that',
            artifact=str(info.id),
            permission=m.NAMES[command.level],
        )
    if command.with_session not in grants.grants_of(state, info.id.sequence):
        require_room(state)
    by = command.by or state.id
    return [
        shared_draft(
            info.id, info.name, command.with_session, command.level, command.expires_at, command.inherit, by=by
        )
    ]


SYSTEM_GENERATED: Final = "system_generated"


def most_level(artifact_type: str) -> int:
    """Return the highest permission that other sessions can have on an artifact of this type."""
    return m.READ if artifact_type == SYSTEM_GENERATED else m.ADMIN


def require_room(state: SessionState) -> None:
    """Raise ResourceLimitExceeded unless the session can give one more grant."""
    if grant_count(state) >= grants.MAX_GRANTS:
        raise ResourceLimitExceeded(
            f"session {state.id} has given its {grants.MAX_GRANTS} grants: revoke some, or delete shared artifacts",
            resource="grants",
            limit=grants.MAX_GRANTS,
            value=grants.MAX_GRANTS,
        )


def shared_draft(
    artifact: ArtifactId, name: str, grantee: str, level: int, expires_at: int | None, inherit: bool, *, by: str
) -> PendingEvent:
    """Return the event of a grant."""
    data = {
        "sequence": artifact.sequence,
        "content_hash": bytes.fromhex(artifact.content_hash),
        "name": name,
        "session": grantee,
        "permission": m.NAMES[level],
        "expires_at": expires_at,
        "inherit": inherit,
        "by": by,
    }
    return PendingEvent("artifact.shared", data)


def _revoke(state: SessionState, command: RevokeArtifact, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    info = lookup.artifact(command.ref, command.version)
    grant = grants.grants_of(state, info.id.sequence).get(command.with_session)
    if grant is None or grant[0] < command.level:
        return []
    by = command.by or state.id
    if command.level > m.READ:  # the lower permissions stay
        _, expires_at, inherit, _, _ = grant
        level = min(command.level - 1, most_level(info.artifact_type))
        return [shared_draft(info.id, info.name, command.with_session, level, expires_at, inherit, by=by)]
    content_hash = bytes.fromhex(info.id.content_hash)
    data = _revoked(info.id.sequence, command.with_session, by)
    return [PendingEvent("artifact.revoked", {**data, "content_hash": content_hash, "name": info.name})]


def _revoked(number: int, grantee: str, by: str) -> dict[str, Any]:
    return {"sequence": number, "session": grantee, "by": by}


def ends(state: SessionState, info: ArtifactInfo) -> list[PendingEvent]:
    """Return the events that end all grants on an artifact that is being deleted."""
    content_hash = bytes.fromhex(info.id.content_hash)
    return [
        PendingEvent(
            "artifact.revoked",
            {
                **_revoked(info.id.sequence, grantee, state.id),
                "content_hash": content_hash,
                "name": info.name,
                "reason": "the artifact was deleted",
            },
        )
        for grantee in sorted(grants.grants_of(state, info.id.sequence))
    ]


def forgotten(state: SessionState, gone: str) -> list[PendingEvent]:
    """Return the events that end all grants to a session which was deleted."""
    numbers = [number for number, given in state.more.get(GRANTS, {}).items() if gone in given]
    return [
        PendingEvent("artifact.revoked", {**_revoked(number, gone, state.id), "reason": "the session was deleted"})
        for number in sorted(numbers)
    ]


DECIDERS: Final[dict[type[Command[Any]], Callable[[SessionState, Any, Limits, Lookup], list[PendingEvent]]]] = {
    ShareArtifact: _share,
    RevokeArtifact: _revoke,
}
