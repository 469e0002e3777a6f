"""The functions of the global `Artifact` for other sessions: sharing, permissions and the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from greenroom.runtime import IntegrityError
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.shapes import DICT, FLAG, Page
from greenroom.scripting.definition.types import Content, Text, Whole
from greenroom.scripting.definition.values import UNDEFINED, defined
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.objects import ARTIFACT, ARTIFACT_ID
from greenroom.scripting.globals.references import artifact_reference, other_session, store_options
from greenroom.scripting.globals.rows import HOW, artifact_row, filled, how, options, stored_row

__all__ = ["ArtifactSharing"]

_GRANT: Final = HOW | {"permission", "expires_at", "inherit", "version"}
_PERMISSIONS: Final = ("read", "write", "admin")
_AUDIT: Final = frozenset(("session", "artifact", "access", "granted", "after", "before", "limit", "offset"))


class ArtifactSharing:
    """Shares artifacts between sessions. Functions take the acting session first ("" or nil: the current one), then one
    of its artifacts, or the id of an artifact that another session shares."""

    def __init__(self, context: ScriptContext) -> None:
        self._context = context

    @export("share", "grantPermission", returns=DICT)
    def share(self, session: Any, reference: Text, other: Any, first: Any = "read", second: Any = UNDEFINED) -> Any:
        """Share an artifact and return the grant as a table: share(session, artifact, other [, permission] [,
        options]). Options: permission, expires_at, inherit, version."""
        given = first if isinstance(first, Mapping) else second
        wanted = options(given, "Artifact.share", _GRANT)
        if not isinstance(first, Mapping) and first is not UNDEFINED and first is not None:
            wanted["permission"] = first
        handle = self._context.session(session)
        grant = handle.share(artifact_reference(reference), other_session(other), **wanted)
        return filled(grant.to_dict())

    @export("revoke", "revokePermission", returns=FLAG)
    def revoke(
        self, session: Any, reference: Text, other: Any, permission: Any = "read", given: Any = UNDEFINED
    ) -> bool:
        """Revoke a permission and all higher ones from another session. Return whether it had them."""
        handle = self._context.session(session)
        more = how(given, "Artifact.revoke")
        return handle.revoke(artifact_reference(reference), other_session(other), defined(permission, "read"), **more)

    @export("getPermissions", returns=Page(DICT), counted=True)
    def get_permissions(self, session: Any, reference: Text, version: Whole = UNDEFINED) -> Any:
        handle = self._context.session(session)
        found = handle.permissions(artifact_reference(reference), defined(version))
        return [filled(each.to_dict()) for each in found]

    @export("checkAccess", returns=FLAG)
    def check_access(
        self,
        session: Any,
        reference: Text,
        permission: Any = "read",
        other: Any = UNDEFINED,
        version: Whole = UNDEFINED,
    ) -> bool:
        """Return whether the session, or the other one, has a permission: checkAccess(session, artifact [, permission
        [, other]]), the last two in either order."""
        if other in _PERMISSIONS or not (permission in _PERMISSIONS or permission is UNDEFINED or permission is None):
            permission, other = other, permission
        who = None if other is UNDEFINED or other is None else other_session(other)
        handle = self._context.session(session)
        kind = "read" if permission is UNDEFINED or permission is None else permission
        return handle.check_access(artifact_reference(reference), kind, session=who, version=defined(version))

    @export("storeVersion", "update", returns=ARTIFACT_ID)
    def store_version(
        self, session: Any, reference: Text, content: Content, metadata: Any = UNDEFINED, given: Any = UNDEFINED
    ) -> dict[str, Any]:
        """Store the next version of an artifact in the artifact's session, and return its id."""
        handle = self._context.session(session)
        more: Any = {**store_options(metadata), **how(given, "Artifact.storeVersion")}
        return stored_row(handle.store_version(artifact_reference(reference), content, **more))

    @export("sharedWithMe", returns=Page(ARTIFACT), counted=True)
    def shared_with_me(self, session: Any = UNDEFINED) -> Any:
        return [artifact_row(each) for each in self._context.session(session).shared_with_me()]

    @export("getAuditLog", returns=Page(DICT), counted=True)
    def get_audit_log(self, first: Any = UNDEFINED, second: Any = UNDEFINED) -> Any:
        """Return the access attempts by this session and on its artifacts, newest first: getAuditLog([session] [,
        filter]). The filter is an artifact, or a table: artifact, access, granted, after, before, limit, offset. The
        default is the current session; for a script of the host without one, all sessions."""
        alone = second is UNDEFINED and not (isinstance(first, str) and ":" not in first)
        session, given = (UNDEFINED, first) if alone else (first, second)
        if isinstance(given, str) or (isinstance(given, Mapping) and "content_hash" in given):
            given = {"artifact": given}
        wanted = options(given, "Artifact.getAuditLog", _AUDIT)
        if "artifact" in wanted:
            wanted["artifact"] = artifact_reference(wanted["artifact"])
        who = wanted.pop("session", session)
        nobody = who is UNDEFINED or who is None or who == ""
        if not (nobody and self._context.current_id is None):
            wanted["session"] = self._context.session(who)
        found = self._context.runtime.audit(**wanted)
        return [filled(each.to_dict()) for each in found]

    @export("verify", returns=FLAG)
    def verify(self, session: Any, reference: Text, version: Whole = UNDEFINED) -> bool:
        """Return whether the content is undamaged."""
        try:
            self._context.session(session).get_artifact(artifact_reference(reference), defined(version))
        except IntegrityError:
            return False
        return True
