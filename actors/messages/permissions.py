"""The names and levels of permissions on artifacts, and the grant that gives one to a session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from greenroom.storage.artifacts.model import ArtifactId
from greenroom.storage.common.times import iso_time
from greenroom.storage.errors import ValidationError

if TYPE_CHECKING:
    from greenroom.storage.codec.records import Value

__all__ = [
    "ADMIN",
    "NAMES",
    "PERMISSIONS",
    "READ",
    "WRITE",
    "AccessAttempt",
    "Grant",
    "ScopeGrant",
    "SessionShare",
    "level_of",
    "whole_level",
]

READ: Final = 1

WRITE: Final = 2

ADMIN: Final = 3

PERMISSIONS: Final = {"read": READ, "write": WRITE, "admin": ADMIN}

NAMES: Final = {level: name for name, level in PERMISSIONS.items()}


@dataclass(frozen=True, slots=True)
class Grant:
    """What one session may do with one artifact of another. Times are aware UTC."""

    artifact: ArtifactId
    session_id: str
    """The grantee."""
    permission: str
    """"read", "write" (includes read) or "admin" (includes both)."""
    expires_at: datetime | None
    """When the grant expires. From then on it counts as not given."""
    inherit: bool
    """Whether the descendants of the grantee have it too."""
    granted_at: datetime
    granted_by: str
    """The session that gave the grant: the owner, or a session with admin permission."""
    expired: bool = False

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name as JSON values."""
        return {
            "artifact": str(self.artifact),
            "session_id": self.session_id,
            "permission": self.permission,
            "expires_at": iso_time(self.expires_at),
            "inherit": self.inherit,
            "granted_at": iso_time(self.granted_at),
            "granted_by": self.granted_by,
            "expired": self.expired,
        }


@dataclass(frozen=True, slots=True)
class SessionShare:
    """What one session may do with all of another one. Times are aware UTC."""

    session_id: str
    """The session that is shared."""
    with_session: str
    """The grantee."""
    permission: str
    """"read", or "write" (includes read)."""
    expires_at: datetime | None
    """When the share expires. From then on it counts as not given."""
    shared_at: datetime
    expired: bool = False

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name as JSON values."""
        return {
            "session_id": self.session_id,
            "with_session": self.with_session,
            "permission": self.permission,
            "expires_at": iso_time(self.expires_at),
            "shared_at": iso_time(self.shared_at),
            "expired": self.expired,
        }


@dataclass(frozen=True, slots=True)
class ScopeGrant:
    """What a session may do with the state of a scope. Times are aware UTC."""

    scope: str
    permission: str
    """"read", or "write" (includes read)."""
    granted_at: datetime

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name as JSON values."""
        return {"scope": self.scope, "permission": self.permission, "granted_at": iso_time(self.granted_at)}


def whole_level(permission: object) -> int:
    """Return the level of a permission on a whole session or scope. Raises ValidationError."""
    level = level_of(permission)
    if level > WRITE:
        raise ValidationError("permission: read or write, for a whole session or scope", field="permission")
    return level


def level_of(permission: object) -> int:
    """Return the level of a permission given by name. Raises ValidationError."""
    level = PERMISSIONS.get(str.__str__(permission)) if issubclass(type(permission), str) else None
    if level is None:
        raise ValidationError(f"permission: one of {', '.join(PERMISSIONS)}", field="permission")
    return level


class AccessAttempt(NamedTuple):
    """Describes an attempt to access something across the border of a session; see `AuditRecord`."""

    session: str | None
    owner: str | None
    artifact: str | None
    access: str
    granted: bool
    reason: str
    operation: str

    def denied(self, reason: str) -> AccessAttempt:
        """Return the same attempt, denied for a reason."""
        return self._replace(granted=False, reason=reason)
