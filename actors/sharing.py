"""Sharing an artifact with another session: the messages, and what is decided of them.

A grant is on one artifact, which is one version: what the owner stores under the same name later is not shared by it.
A version that a grantee stores by its write permission is shared with that grantee as the one before was.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from greenroom.storage.arguments import as_flag
from greenroom.storage.artifacts import ArtifactId, ArtifactInfo
from greenroom.storage.errors import ResourceLimitExceeded, ValidationError
from greenroom.storage.keys import is_session_id
from greenroom.storage.times import moment

from . import grants
from .messages import Command, GetArtifactInfo, Query, artifact_ref, version_of_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.storage.engine import Durability

    from .draft import Draft, Limits, Lookup
    from .state import SessionState

__all__ = ["CheckAccess", "GetPredecessor", "ListPermissions", "RevokeArtifact", "ShareArtifact"]


def grantee_id(value: object) -> str:
    """Raises ValidationError for what is no session id in its one spelling."""
    if not is_session_id(value):
        raise ValidationError("with_session: the id of a session is needed", field="with_session")
    return str(value)


# -- messages


class ShareArtifact(Command):
    """Let another session read, write or administer an artifact; a second grant takes the place of the first.

    Replies Grant. Works in every status of the session.
    """

    __slots__ = ("by", "expires_at", "inherit", "level", "ref", "version", "with_session")

    def __init__(
        self,
        ref: ArtifactId | str,
        with_session: str,
        permission: str = "read",
        *,
        expires_at: datetime | str | float | None = None,
        inherit: bool = False,
        version: int | str | None = None,
        durability: Durability | str | None = None,
    ) -> None:
        super().__init__(durability=durability)
        self.ref = artifact_ref(ref)
        self.version = version_of_name(version)
        self.with_session = grantee_id(with_session)
        self.level = grants.level_of(permission)
        self.expires_at = moment(expires_at, "expires_at")
        self.inherit = as_flag("inherit", inherit)
        self.by: str | None = None


class RevokeArtifact(Command):
    """Take from another session a permission on an artifact and those above it: `write` leaves it read, `read` leaves
    it nothing. Replies whether it had that permission. Works in every status of the session."""

    __slots__ = ("by", "level", "ref", "version", "with_session")

    def __init__(
        self,
        ref: ArtifactId | str,
        with_session: str,
        permission: str = "read",
        *,
        version: int | str | None = None,
        durability: Durability | str | None = None,
    ) -> None:
        super().__init__(durability=durability)
        self.ref = artifact_ref(ref)
        self.version = version_of_name(version)
        self.with_session = grantee_id(with_session)
        self.level = grants.level_of(permission)
        self.by: str | None = None


class ListPermissions(Query):
    """Replies a list of Grant: who may do what with an artifact, and what was granted and has expired."""

    __slots__ = ("ref", "version")

    def __init__(self, ref: ArtifactId | str, version: int | str | None = None) -> None:
        self.ref = artifact_ref(ref)
        self.version = version_of_name(version)


class CheckAccess(Query):
    """Replies whether a session (the asked one, unless another is named) has a permission on an artifact."""

    __slots__ = ("level", "ref", "version", "who")

    def __init__(
        self,
        ref: ArtifactId | str,
        permission: str = "read",
        *,
        session: str | None = None,
        version: int | str | None = None,
    ) -> None:
        self.ref = artifact_ref(ref)
        self.version = version_of_name(version)
        self.level = grants.level_of(permission)
        self.who = grantee_id(session) if session is not None else None


class GetPredecessor(GetArtifactInfo):
    """Replies ArtifactInfo of the artifact that a version is about to be stored of; needs the permission to do so."""

    __slots__ = ()


class ForgetGrantee(Command):
    """A session has been deleted: take back all that was shared with it. Sent by the runtime. Replies None."""

    __slots__ = ("session_id",)

    def __init__(self, session_id: str) -> None:
        super().__init__()
        self.session_id = session_id


# -- deciding


def _share(state: SessionState, command: ShareArtifact, limits: Limits, lookup: Lookup) -> list[Draft]:
    info = lookup.artifact(command.ref, command.version)
    if command.with_session == state.id:
        raise ValidationError("with_session: the owner has admin already", field="with_session")
    if command.with_session not in grants.grants_of(state, info.id.sequence):
        require_room(state)
    by = command.by or state.id
    return [
        shared_draft(
            info.id, info.name, command.with_session, command.level, command.expires_at, command.inherit, by=by
        )
    ]


def require_room(state: SessionState) -> None:
    """Raises ResourceLimitExceeded unless a session can give one more grant."""
    if grants.count(state) >= grants.MAX_GRANTS:
        raise ResourceLimitExceeded(
            f"session {state.id} has given its {grants.MAX_GRANTS} grants: revoke some, or delete what was shared",
            resource="grants",
            limit=grants.MAX_GRANTS,
            value=grants.MAX_GRANTS,
        )


def shared_draft(
    artifact: ArtifactId, name: str, grantee: str, level: int, expires_at: int | None, inherit: bool, *, by: str
) -> Draft:
    """The event of a grant."""
    data = {
        "sequence": artifact.sequence,
        "content_hash": bytes.fromhex(artifact.content_hash),
        "name": name,
        "session": grantee,
        "permission": grants.NAMES[level],
        "expires_at": expires_at,
        "inherit": inherit,
        "by": by,
    }
    return "artifact.shared", data, 0, 0


def _revoke(state: SessionState, command: RevokeArtifact, limits: Limits, lookup: Lookup) -> list[Draft]:
    info = lookup.artifact(command.ref, command.version)
    grant = grants.grants_of(state, info.id.sequence).get(command.with_session)
    if grant is None or grant[0] < command.level:
        return []
    by = command.by or state.id
    if command.level > grants.READ:  # what is below stays
        _, expires_at, inherit, _, _ = grant
        return [shared_draft(info.id, info.name, command.with_session, command.level - 1, expires_at, inherit, by=by)]
    content_hash = bytes.fromhex(info.id.content_hash)
    data = _revoked(info.id.sequence, command.with_session, by)
    return [("artifact.revoked", {**data, "content_hash": content_hash, "name": info.name}, 0, 0)]


def _revoked(number: int, grantee: str, by: str) -> dict[str, Any]:
    return {"sequence": number, "session": grantee, "by": by}


def ends(state: SessionState, info: ArtifactInfo) -> list[Draft]:
    """The events that end all grants on an artifact that is being deleted."""
    content_hash = bytes.fromhex(info.id.content_hash)
    return [
        (
            "artifact.revoked",
            {
                **_revoked(info.id.sequence, grantee, state.id),
                "content_hash": content_hash,
                "name": info.name,
                "reason": "the artifact was deleted",
            },
            0,
            0,
        )
        for grantee in sorted(grants.grants_of(state, info.id.sequence))
    ]


def _forget(state: SessionState, command: ForgetGrantee, limits: Limits, lookup: Lookup) -> list[Draft]:
    gone = command.session_id
    numbers = [number for number, given in state.more.get(grants.GRANTS, {}).items() if gone in given]
    return [
        ("artifact.revoked", {**_revoked(number, gone, state.id), "reason": "the session was deleted"}, 0, 0)
        for number in sorted(numbers)
    ]


DECIDERS: Final[dict[type[Command], Callable[[SessionState, Any, Limits, Lookup], list[Draft]]]] = {
    ShareArtifact: _share,
    RevokeArtifact: _revoke,
    ForgetGrantee: _forget,
}
