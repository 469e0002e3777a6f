"""The functions of the global `Artifact` for other sessions: sharing, permissions and the audit log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from greenroom.runtime import IntegrityError
from greenroom.scripting.definition.examples import call, example
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.options import Options
from greenroom.scripting.definition.shapes import DICT, FLAG, Page
from greenroom.scripting.definition.types import (
    ANYTHING,
    TEXT,
    TIME,
    WHOLE,
    ArtifactRef,
    Content,
    Json,
    OtherSession,
    SessionRef,
    Table,
    Text,
)
from greenroom.scripting.definition.types import FLAG as IS_FLAG
from greenroom.scripting.definition.values import UNDEFINED, defined
from greenroom.scripting.globals.choices import HOW
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.objects import ARTIFACT, ARTIFACT_ID
from greenroom.scripting.globals.references import artifact_reference, other_session, store_options
from greenroom.scripting.globals.rows import artifact_row, filled, stored_row
from greenroom.scripting.globals.samples import ARTIFACT as AN_ARTIFACT
from greenroom.scripting.globals.samples import OTHER
from greenroom.scripting.globals.samples import SESSION as A_SESSION

__all__ = ["ArtifactSharing"]

_GRANT: Final = HOW | Options({"permission": TEXT, "expires_at": ANYTHING, "inherit": IS_FLAG, "version": ANYTHING})
_PERMISSIONS: Final = ("read", "write", "admin")
_AUDIT: Final = Options(
    {
        "session": ANYTHING,
        "artifact": ANYTHING,
        "access": TEXT,
        "granted": IS_FLAG,
        "after": TIME,
        "before": TIME,
        "limit": WHOLE,
        "offset": WHOLE,
    }
)
_SHARED: Final = call("Artifact.share", A_SESSION, AN_ARTIFACT, OTHER, "read")


class ArtifactSharing:
    """Shares artifacts between sessions. Functions take the acting session first ("" or nil: the current one), then one
    of its artifacts, or the id of an artifact that another session shares."""

    NAME = "Artifact"

    def __init__(self, context: ScriptContext) -> None:
        self._context = context

    @export(
        "share",
        "grantPermission",
        returns=DICT,
        forms=("share(session, artifact, other [, permission] [, options])",),
        options={"options": _GRANT},
        example=example(A_SESSION, AN_ARTIFACT, OTHER, "read", {"inherit": True}),
        read=False,
    )
    def share(
        self,
        session: SessionRef,
        artifact: ArtifactRef,
        other: OtherSession,
        permission: Json = "read",
        options: Json = UNDEFINED,
    ) -> Any:
        """Let another session read, write or admin one version of an artifact, and return the grant."""
        given = permission if isinstance(permission, Mapping) else options
        wanted = _GRANT.read(given, "Artifact.share")
        if not isinstance(permission, Mapping) and permission is not UNDEFINED and permission is not None:
            wanted["permission"] = permission
        grant = self._context.session(session).share(artifact_reference(artifact), other, **wanted)
        return filled(grant.to_dict())

    @export(
        "revoke",
        "revokePermission",
        returns=FLAG,
        options={"options": HOW},
        example=example(A_SESSION, AN_ARTIFACT, OTHER, before=[_SHARED]),
    )
    def revoke(
        self,
        session: SessionRef,
        artifact: ArtifactRef,
        other: OtherSession,
        permission: Text = "read",
        options: Any = UNDEFINED,
    ) -> bool:
        """Revoke a permission and all higher ones from another session. Return whether it had them."""
        kind: Any = permission
        return self._context.session(session).revoke(artifact_reference(artifact), other, kind, **options)

    @export(
        "getPermissions", returns=Page(DICT), counted=True, example=example(A_SESSION, AN_ARTIFACT, before=[_SHARED])
    )
    def get_permissions(self, session: SessionRef, artifact: ArtifactRef, version: Json = UNDEFINED) -> Any:
        """Return the grants of an artifact."""
        handle = self._context.session(session)
        found = handle.permissions(artifact_reference(artifact), WHOLE.convert(defined(version)))
        return [filled(each.to_dict()) for each in found]

    @export(
        "checkAccess",
        returns=FLAG,
        forms=("checkAccess(session, artifact [, permission [, other [, version]]])",),
        example=example(A_SESSION, AN_ARTIFACT, "read", OTHER),
    )
    def check_access(
        self,
        session: SessionRef,
        artifact: ArtifactRef,
        permission: Json = "read",
        other: Json = UNDEFINED,
        version: Json = UNDEFINED,
    ) -> bool:
        """Return whether the session, or the other one, has a permission. The last two stand in either order."""
        if other in _PERMISSIONS or not (permission in _PERMISSIONS or permission is UNDEFINED or permission is None):
            permission, other = other, permission
        who = None if other is UNDEFINED or other is None else other_session(other)
        handle = self._context.session(session)
        kind = "read" if permission is UNDEFINED or permission is None else permission
        which = artifact_reference(artifact)
        return handle.check_access(which, kind, session=who, version=WHOLE.convert(defined(version)))

    @export(
        "storeVersion",
        "update",
        returns=ARTIFACT_ID,
        options={"options": HOW},
        example=example(A_SESSION, AN_ARTIFACT, "# Report\n\nNew.", {"label": "final"}),
    )
    def store_version(
        self,
        session: SessionRef,
        artifact: ArtifactRef,
        content: Content,
        metadata: Table = UNDEFINED,
        options: Any = UNDEFINED,
    ) -> dict[str, Any]:
        """Store the next version of an artifact in the artifact's session, and return its id."""
        handle = self._context.session(session)
        more: Any = {**store_options(metadata), **options}
        return stored_row(handle.store_version(artifact_reference(artifact), content, **more))

    @export("sharedWithMe", returns=Page(ARTIFACT), counted=True, example=example(OTHER, before=[_SHARED]))
    def shared_with_me(self, session: SessionRef = UNDEFINED) -> Any:
        """Return the artifacts that other sessions share with a session."""
        return [artifact_row(each) for each in self._context.session(session).shared_with_me()]

    @export(
        "getAuditLog",
        returns=Page(DICT),
        counted=True,
        forms=("getAuditLog([session] [, filter])",),
        options={"filter": _AUDIT},
        example=example(A_SESSION, {"access": "read", "limit": 10}, before=[_SHARED]),
        read=False,
    )
    def get_audit_log(self, session: Json = UNDEFINED, filter: Json = UNDEFINED) -> Any:
        """Return the access attempts by this session and on its artifacts, newest first. The filter is an artifact, or
        a table. The default is the current session; for a script of the host without one, all sessions."""
        alone = filter is UNDEFINED and not (isinstance(session, str) and ":" not in session)
        session, given = (UNDEFINED, session) if alone else (session, filter)
        if isinstance(given, str) or (isinstance(given, Mapping) and "content_hash" in given):
            given = {"artifact": given}
        wanted = _AUDIT.read(given, "Artifact.getAuditLog")
        if "artifact" in wanted:
            wanted["artifact"] = artifact_reference(wanted["artifact"])
        who = wanted.pop("session", session)
        nobody = who is UNDEFINED or who is None or who == ""
        if not (nobody and self._context.current_id is None):
            wanted["session"] = self._context.session(who)
        found = self._context.runtime.audit(**wanted)
        return [filled(each.to_dict()) for each in found]

    @export("verify", returns=FLAG, example=example(A_SESSION, AN_ARTIFACT))
    def verify(self, session: SessionRef, artifact: ArtifactRef, version: Json = UNDEFINED) -> bool:
        """Return whether the content is undamaged."""
        which = artifact_reference(artifact)
        try:
            self._context.session(session).get_artifact(which, WHOLE.convert(defined(version)))
        except IntegrityError:
            return False
        return True
