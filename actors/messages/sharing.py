"""Messages about sharing artifacts and whole sessions with other sessions, and about scopes that a session may use."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Unpack

from greenroom.storage.artifacts.model import ArtifactId, ArtifactInfo
from greenroom.storage.codec.keys import is_session_id
from greenroom.storage.common.arguments import as_flag, as_text
from greenroom.storage.common.times import iso_time, moment, utc_time
from greenroom.storage.errors import ValidationError

from .artifacts import AboutArtifact
from .checks import MAX_KEY, artifact_ref, version_of_name
from .core import Command, How, Query, attribute
from .permissions import ADMIN, NAMES, READ, WRITE, Grant, ScopeGrant, SessionShare, level_of, whole_level

__all__ = [
    "CheckAccess",
    "ForgetGrantee",
    "GetPredecessor",
    "GrantScope",
    "ListPermissions",
    "ListScopes",
    "ListShares",
    "RevokeArtifact",
    "RevokeScope",
    "RevokeSession",
    "ShareArtifact",
    "ShareSession",
    "grantee_id",
    "is_own_scope",
    "scope_name",
]


def grantee_id(value: object, field: str = "with_session") -> str:
    """Return the id of a grantee. Raises ValidationError unless it is a session id in its one spelling."""
    if not is_session_id(value):
        raise ValidationError(f"{field}: the id of a session is needed", field=field)
    return str(value)


def _permission(message: Any) -> str:
    """Return the name of the permission in a message."""
    return NAMES[message.level]


def _expiry_text(message: Any) -> str | None:
    """Return when the grant in a message expires, in RFC 3339."""
    return iso_time(utc_time(message.expires_at)) if message.expires_at is not None else None


class ShareArtifact(Command[Grant]):
    """Let another session read, write or administer an artifact. A new grant replaces an earlier one.

    Replies Grant. Works in every status of the session.
    """

    __slots__ = ("by", "expires_at", "inherit", "level", "ref", "version", "with_session")
    batched = False
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
        **how: Unpack[How],
    ) -> None:
        super().__init__(**how)
        self.ref = artifact_ref(ref)
        self.version = version_of_name(version)
        self.with_session = grantee_id(with_session)
        self.level = level_of(permission)
        self.expires_at = moment(expires_at, "expires_at")
        self.inherit = as_flag("inherit", inherit)
        self.by: str | None = None


class RevokeArtifact(Command[bool]):
    """Revoke a permission of another session on an artifact, together with all higher ones: revoking `write` leaves
    read, revoking `read` leaves nothing. Replies whether the session had that permission. Works in every status."""

    __slots__ = ("by", "level", "ref", "version", "with_session")
    batched = False
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
        **how: Unpack[How],
    ) -> None:
        super().__init__(**how)
        self.ref = artifact_ref(ref)
        self.version = version_of_name(version)
        self.with_session = grantee_id(with_session)
        self.level = level_of(permission)
        self.by: str | None = None


class ListPermissions(AboutArtifact[list[Grant]]):
    """Replies a list of Grant: all grants on an artifact, expired ones included."""

    __slots__ = ()
    whole = 0
    access = "list"
    permission = ADMIN


class CheckAccess(Query[bool]):
    """Replies whether a session (default: the one that is asked) has a permission on an artifact."""

    __slots__ = ("level", "ref", "version", "who")
    whole = 0
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
        self.who = grantee_id(session, "session") if session is not None else None


class GetPredecessor(AboutArtifact[ArtifactInfo]):
    """Replies the ArtifactInfo of the artifact that a new version will follow. Needs the permission to store that
    version."""

    __slots__ = ()
    whole = WRITE
    access = "write"
    permission = WRITE


class ShareSession(Command[SessionShare]):
    """Let another session read this one (`read`), or also change its variables, messages, artifacts, tags and metadata
    (`write`). A new share replaces an earlier one. Replies SessionShare. Works in every status."""

    __slots__ = ("expires_at", "level", "with_session")
    batched = False
    access = "share"
    shown = {"permission": _permission, "expires_at": _expiry_text}

    def __init__(
        self,
        with_session: str,
        permission: str = "read",
        *,
        expires_at: datetime | str | float | None = None,
        **how: Unpack[How],
    ) -> None:
        super().__init__(**how)
        self.with_session = grantee_id(with_session)
        self.level = whole_level(permission)
        self.expires_at = moment(expires_at, "expires_at")


class RevokeSession(Command[bool]):
    """End the share of this session with another one. Replies whether there was one. Works in every status."""

    __slots__ = ("with_session",)
    batched = False
    access = "change_permissions"

    def __init__(self, with_session: str, **how: Unpack[How]) -> None:
        super().__init__(**how)
        self.with_session = grantee_id(with_session)


class ListShares(Query[list[SessionShare]]):
    """Replies a list of SessionShare: the sessions with which this one is shared, expired shares included."""

    __slots__ = ()
    access = "list"
    whole = 0


def scope_name(value: object, field: str = "scope") -> str:
    """Return the name of a scope that the host can grant. Raises ValidationError."""
    name = as_text(field, value, MAX_KEY)
    if name.startswith("session:") or is_own_scope(name):
        raise ValidationError(
            f'{field}: the name of a scope such as "user:7" is needed, and no session nor state of the runtime',
            field=field,
        )
    return name


def is_own_scope(name: str) -> bool:
    """Return whether the runtime keeps state of its own in a scope, which is changed by methods of its own alone."""
    return name.startswith("greenroom:") or name == "templates"


class GrantScope(Command[ScopeGrant]):
    """Let the session read the state of a scope such as "user:7" (`read`), or also change it (`write`). A new grant
    replaces an earlier one. For the host only. Replies ScopeGrant. Works in every status."""

    __slots__ = ("level", "scope")
    batched = False
    access = "share"
    rate = None
    host_only = True
    shown = {"permission": _permission}

    def __init__(self, scope: str, permission: str = "read", **how: Unpack[How]) -> None:
        super().__init__(**how)
        self.scope = scope_name(scope)
        self.level = whole_level(permission)


class RevokeScope(Command[bool]):
    """Take the permission on a scope from the session. For the host only. Replies whether there was one. Works in every
    status."""

    __slots__ = ("scope",)
    batched = False
    access = "change_permissions"
    rate = None
    host_only = True

    def __init__(self, scope: str, **how: Unpack[How]) -> None:
        super().__init__(**how)
        self.scope = scope_name(scope)


class ListScopes(Query[list[ScopeGrant]]):
    """Replies a list of ScopeGrant: the scopes that the host lets the session use."""

    __slots__ = ()
    access = "list"
    whole = 0


class ForgetGrantee(Command[None]):
    """Revoke all that was shared with a session which has been deleted. Sent by the runtime. Replies None."""

    __slots__ = ("session_id",)
    batched = False
    rate = None

    def __init__(self, session_id: str) -> None:
        super().__init__()
        self.session_id = session_id
