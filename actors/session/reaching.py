"""What messages reach for: which of them name an artifact, perhaps of another session, and with what intent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.permissions import ADMIN, READ, WRITE
from greenroom.storage.artifacts.model import ArtifactId

__all__ = ["CONCERNING", "NEEDED", "access_of", "artifact_of", "named_owner"]

NEEDED: Final[dict[type[Any], int]] = {
    m.GetArtifactInfo: READ,
    m.GetArtifact: READ,
    m.GetArtifacts: READ,
    m.ListArtifactVersions: READ,
    m.CheckAccess: READ,
    m.StoreArtifact: WRITE,
    m.GetPredecessor: WRITE,
    m.DeleteArtifact: ADMIN,
    m.ShareArtifact: ADMIN,
    m.RevokeArtifact: ADMIN,
    m.ListPermissions: ADMIN,
}
"""What messages that may name an artifact of another session need there."""

_ACCESS: Final[dict[type[Any], str]] = {
    m.GetArtifactInfo: "read",
    m.GetArtifact: "read",
    m.GetArtifacts: "read",
    m.ListArtifactVersions: "list",
    m.ListArtifacts: "list",
    m.QueryArtifacts: "list",
    m.StoreArtifact: "write",
    m.GetPredecessor: "write",
    m.StoreMany: "write",
    m.DeleteArtifact: "delete",
    m.ForkSession: "read",  # which has all artifacts of the original
    m.ShareArtifact: "share",
    m.RevokeArtifact: "change_permissions",
    m.ListPermissions: "list",
}
_OTHER_ACCESS: Final[dict[type[Any], str]] = {
    m.DeleteSession: "delete",
    m.ListVariables: "list",
    m.CheckAccess: "list",
}


def access_of(message: Any, *, default: bool = False) -> str | None:
    """The kind of access to artifacts that a message asks for; None if it is not about any. With `default`, the kind
    of access that it asks for at all."""
    access = _ACCESS.get(message.__class__)
    if access is not None or not default:
        return access
    return _OTHER_ACCESS.get(message.__class__) or ("read" if isinstance(message, m.Query) else "write")


def _by_ref(message: Any) -> ArtifactId | None:
    return ArtifactId.named_by(message.ref)


_ARTIFACT: Final[dict[type[Any], Callable[[Any], ArtifactId | None]]] = {
    **dict.fromkeys(
        (
            m.GetArtifactInfo,
            m.GetArtifact,
            m.DeleteArtifact,
            m.GetPredecessor,
            m.ShareArtifact,
            m.RevokeArtifact,
            m.ListPermissions,
            m.CheckAccess,
        ),
        _by_ref,
    ),
    m.ListArtifactVersions: lambda message: ArtifactId.named_by(message.name),
    m.StoreArtifact: lambda message: message.version_of,
}


def artifact_of(message: Any) -> ArtifactId | None:
    """The one artifact that a message names by its id."""
    find = _ARTIFACT.get(message.__class__)
    return find(message) if find is not None else None


def named_owner(message: Any) -> str | None:
    """The one session whose artifacts a message names by their ids."""
    if message.__class__ is m.GetArtifacts:
        owners = {found.session_id if (found := ArtifactId.named_by(ref)) is not None else None for ref in message.refs}
        return owners.pop() if len(owners) == 1 else None
    artifact = artifact_of(message)
    return artifact.session_id if artifact is not None else None


def _foreign(session_id: str, message: Any) -> bool:
    artifact = _ARTIFACT[message.__class__](message)
    return artifact is not None and artifact.session_id != session_id


def _any_foreign(session_id: str, message: m.GetArtifacts) -> bool:
    return any(
        (found := ArtifactId.named_by(ref)) is not None and found.session_id != session_id for ref in message.refs
    )


CONCERNING: Final[dict[type[Any], Callable[[str, Any], bool]]] = {
    **dict.fromkeys(_ARTIFACT, _foreign),
    m.GetArtifacts: _any_foreign,
    m.DeleteSession: lambda session_id, message: True,
}
"""For messages that may have business at other sessions than the one they are sent to: whether they do."""
