"""Messages about sharing artifacts with other sessions."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from greenroom.storage.artifacts.model import ArtifactId, ArtifactInfo
from greenroom.storage.codec.keys import is_session_id
from greenroom.storage.common.arguments import as_flag
from greenroom.storage.common.times import iso_time, moment, utc_time
from greenroom.storage.errors import ValidationError

from .artifacts import AboutArtifact
from .checks import artifact_ref, version_of_name
from .core import Command, Query, attribute
from .permissions import ADMIN, NAMES, READ, WRITE, Grant, level_of

if TYPE_CHECKING:
    from greenroom.storage.engine.engine import Durability


__all__ = [
    "CheckAccess",
    "ForgetGrantee",
    "GetPredecessor",
    "ListPermissions",
    "RevokeArtifact",
    "ShareArtifact",
    "grantee_id",
]


def grantee_id(value: object) -> str:
    """Raises ValidationError for what is no session id in its one spelling."""
    if not is_session_id(value):
        raise ValidationError("with_session: the id of a session is needed", field="with_session")
    return str(value)


def _permission(message: Any) -> str:
    """Return the name of the permission that a message is about."""
    return NAMES[message.level]


def _expiry_text(message: Any) -> str | None:
    """Return when the grant of a message expires, in RFC 3339."""
    return iso_time(utc_time(message.expires_at)) if message.expires_at is not None else None


class ShareArtifact(Command[Grant]):
    """Let another session read, write or administer an artifact; a second grant takes the place of the first.

    Replies Grant. Works in every status of the session.
    """

    __slots__ = ("by", "expires_at", "inherit", "level", "ref", "version", "with_session")
    access = "share"
    about_artifacts = True
    permission = ADMIN
    names = "ref"
    may_cross = True
    shown = {"permission": _permission, "expires_at": _expiry_text}

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
        self.level = level_of(permission)
        self.expires_at = moment(expires_at, "expires_at")
        self.inherit = as_flag("inherit", inherit)
        self.by: str | None = None


class RevokeArtifact(Command[bool]):
    """Take from another session a permission on an artifact and those above it: `write` leaves it read, `read` leaves
    it nothing. Replies whether it had that permission. Works in every status of the session."""

    __slots__ = ("by", "level", "ref", "version", "with_session")
    access = "change_permissions"
    about_artifacts = True
    permission = ADMIN
    names = "ref"
    may_cross = True
    shown = {"permission": _permission}

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
        self.level = level_of(permission)
        self.by: str | None = None


class ListPermissions(AboutArtifact[list[Grant]]):
    """Replies a list of Grant: who may do what with an artifact, and what was granted and has expired."""

    __slots__ = ()
    access = "list"
    permission = ADMIN


class CheckAccess(Query[bool]):
    """Replies whether a session (the asked one, unless another is named) has a permission on an artifact."""

    __slots__ = ("level", "ref", "version", "who")
    access = "list"
    permission = READ
    names = "ref"
    may_cross = True
    shown = {"permission": _permission, "session": attribute("who")}

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
        self.level = level_of(permission)
        self.who = grantee_id(session) if session is not None else None


class GetPredecessor(AboutArtifact[ArtifactInfo]):
    """Replies ArtifactInfo of the artifact that a version is about to be stored of; needs the permission to do so."""

    __slots__ = ()
    access = "write"
    permission = WRITE


class ForgetGrantee(Command[None]):
    """A session has been deleted: take back all that was shared with it. Sent by the runtime. Replies None."""

    __slots__ = ("session_id",)
    rate = None

    def __init__(self, session_id: str) -> None:
        super().__init__()
        self.session_id = session_id
