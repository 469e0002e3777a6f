"""ADK's artifact service on greenroom artifacts.

Artifacts of an ADK session are artifacts of its greenroom session, and go with it; those of a user (their names begin
with "user:") are artifacts of a session of the user's own, `adk:files:["app","user"]`.
"""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, cast

from google.adk.artifacts import artifact_util
from google.adk.artifacts.base_artifact_service import ArtifactVersion, BaseArtifactService, ensure_part
from google.adk.errors.input_validation_error import InputValidationError
from google.genai import types

from greenroom.runtime import ArtifactInfo, ArtifactNotFound, Runtime, Session, SessionNotFound

from ..opening import Adapter, Opened
from .names import OWN, home_key, session_key, tag

if TYPE_CHECKING:
    from greenroom.runtime import AsyncRuntime

__all__ = ["GreenroomArtifactService"]

_USER: Final = "user:"
_DEPTH: Final = 5
"""How many references to other artifacts are followed."""
_REWOUND: Final = types.Part(inline_data=types.Blob(mime_type="application/octet-stream", data=b""))
"""What a rewind of ADK stores as the next version of an artifact that was not there yet: it counts as missing."""


class GreenroomArtifactService(Adapter, BaseArtifactService):
    """Keeps the artifacts of ADK. `runtime` is an open runtime or the path of a store; what was opened from a path,
    `close` closes. The same content is kept once, whatever the names, versions and users that have it."""

    def __init__(self, runtime: Runtime | AsyncRuntime | str | os.PathLike[str]) -> None:
        self._opened = Opened(runtime)

    def __repr__(self) -> str:
        return f"<GreenroomArtifactService on {self._opened.runtime!r}>"

    # -- the interface

    async def save_artifact(
        self,
        *,
        app_name: str,
        user_id: str,
        filename: str,
        artifact: types.Part | dict[str, Any],
        session_id: str | None = None,
        custom_metadata: dict[str, Any] | None = None,
    ) -> int:
        """Store a part as the next version of a name, and return its number, from 0. Raises InputValidationError."""
        key, user = _place(app_name, user_id, filename, session_id)
        part = ensure_part(artifact)
        return await self._opened.run(
            self._save, key, (app_name, user_id, None if user else session_id), filename, part, custom_metadata or {}
        )

    async def load_artifact(
        self,
        *,
        app_name: str,
        user_id: str,
        filename: str,
        session_id: str | None = None,
        version: int | None = None,
    ) -> types.Part | None:
        """Return a version, by default the newest; None if there is none. References to artifacts are followed."""
        place: tuple[str, str, str | None, str, int | None] = (app_name, user_id, session_id, filename, version)
        for left in range(_DEPTH, -1, -1):
            app_name, user_id, session_id, filename, version = place
            key, _ = _place(app_name, user_id, filename, session_id)
            part = await self._opened.run(self._load, key, filename, version)
            if part is None or not artifact_util.is_artifact_ref(part):
                return None if part in (types.Part(), _REWOUND) else part
            assert part.file_data is not None
            to = artifact_util.resolve_artifact_reference(
                file_uri=cast("str", part.file_data.file_uri),
                app_name=app_name,
                user_id=user_id,
                session_id=session_id,
                remaining_depth=left,
            )
            place = (to.app_name, to.user_id, to.session_id, to.filename, to.version)
        return None

    async def list_artifact_keys(self, *, app_name: str, user_id: str, session_id: str | None = None) -> list[str]:
        """Return the names of a session's artifacts and of its user's, in order."""
        keys = [home_key("files", _segment(app_name, "app_name"), _segment(user_id, "user_id"))]
        if session_id is not None:
            keys.append(session_key(app_name, user_id, _segment(session_id, "session_id")))
        return await self._opened.run(lambda: sorted(name for key in keys for name in self._names(key)))

    async def delete_artifact(
        self, *, app_name: str, user_id: str, filename: str, session_id: str | None = None
    ) -> None:
        """Delete a name with all its versions. One that is not there is no error."""
        key, _ = _place(app_name, user_id, filename, session_id)
        await self._opened.run(self._delete, key, filename)

    async def list_versions(
        self, *, app_name: str, user_id: str, filename: str, session_id: str | None = None
    ) -> list[int]:
        """Return the numbers of all versions of a name, from 0."""
        key, _ = _place(app_name, user_id, filename, session_id)
        return [number for number, _ in await self._opened.run(self._versions, key, filename)]

    async def list_artifact_versions(
        self, *, app_name: str, user_id: str, filename: str, session_id: str | None = None
    ) -> list[ArtifactVersion]:
        """Return what is known of all versions of a name, oldest first."""
        key, user = _place(app_name, user_id, filename, session_id)
        names: tuple[str, str, str | None] = (app_name, user_id, None if user else session_id)
        return [
            _version(number, info, *names) for number, info in await self._opened.run(self._versions, key, filename)
        ]

    async def get_artifact_version(
        self,
        *,
        app_name: str,
        user_id: str,
        filename: str,
        session_id: str | None = None,
        version: int | None = None,
    ) -> ArtifactVersion | None:
        """Return what is known of a version, by default of the newest; None if there is none."""
        found = await self.list_artifact_versions(
            app_name=app_name, user_id=user_id, filename=filename, session_id=session_id
        )
        if version is None:
            return found[-1] if found else None
        return next((each for each in found if each.version == version), None)

    # -- on the runtime

    def _find(self, key: str) -> Session | None:
        try:
            return self._opened.runtime.session(key=key)
        except SessionNotFound:
            return None

    def _names(self, key: str) -> list[str]:
        session = self._find(key)
        return session.artifact_names() if session is not None else []

    def _versions(self, key: str, filename: str) -> list[tuple[int, ArtifactInfo]]:
        """Return the versions of a name, oldest first, with their numbers."""
        session = self._find(key)
        if session is None:
            return []
        first = _first(session, filename)
        return [(info.version - first, info) for info in session.artifact_versions(filename)]

    def _save(
        self,
        key: str,
        names: tuple[str, str, str | None],
        filename: str,
        part: types.Part,
        custom: dict[str, Any],
    ) -> int:
        app_name, user_id, session_id = names
        content, mime_type = _content(part, app_name, user_id, session_id)
        around = part.model_dump(mode="json", exclude_none=True, exclude={"inline_data": {"data"}, "text": True})
        tags = [tag(app_name), tag(app_name, user_id)] if session_id is not None else []
        metadata: dict[str, object] = {"adk": {"app_name": app_name, "user_id": user_id, "session_id": session_id}}
        session = self._opened.runtime.get_or_create(key, tags=tags, metadata=metadata)
        info = session.store_artifact(
            "user_input" if part.text is None and part.inline_data is None else "file",
            filename,
            content,
            mime_type=mime_type,
            metadata={"part": around, "is_text": part.text is not None, "custom": custom},
        )
        return info.version - _first(session, filename)

    def _load(self, key: str, filename: str, version: int | None) -> types.Part | None:
        session = self._find(key)
        if session is None or (version is not None and version < 0):
            return None
        try:
            artifact = session.get_artifact(
                filename, "latest" if version is None else version + _first(session, filename)
            )
        except ArtifactNotFound:
            return None
        about = cast("dict[str, Any]", artifact.info.custom)
        part = dict(about["part"])
        if about["is_text"]:
            part["text"] = artifact.content.decode("utf-8", "surrogatepass")
        made = types.Part.model_validate(part)
        if made.inline_data is not None:
            made.inline_data.data = artifact.content
        return made

    def _delete(self, key: str, filename: str) -> None:
        session = self._find(key)
        versions = session.artifact_versions(filename) if session is not None else []
        if session is not None and versions:
            with session.batch() as batch:
                batch.set(_first_key(filename), versions[-1].version + 1)
                for info in versions:
                    batch.delete_artifact(info.id)


def _first_key(filename: str) -> str:
    return f"{OWN}adk:first:{sha256(filename.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _first(session: Session, filename: str) -> int:
    """Return the version that ADK counts as 0: versions of the store go on after a deletion, ADK's begin anew."""
    return cast("int", session.get(_first_key(filename), 1))


def _segment(value: str, field: str) -> str:
    artifact_util.validate_path_segment(value, field)
    return value


def _place(app_name: str, user_id: str, filename: str, session_id: str | None) -> tuple[str, bool]:
    """Return the key of the session that an artifact is in, and whether that is its user's. Raises
    InputValidationError."""
    _segment(app_name, "app_name")
    _segment(user_id, "user_id")
    if filename.startswith(_USER):
        return home_key("files", app_name, user_id), True
    if session_id is None:
        raise InputValidationError("Session ID must be provided for session-scoped artifacts.")
    return session_key(app_name, user_id, _segment(session_id, "session_id")), False


def _content(part: types.Part, app_name: str, user_id: str, session_id: str | None) -> tuple[bytes, str | None]:
    """Return the content of a part and its MIME type. Raises InputValidationError for a part that has none."""
    if part.inline_data is not None:
        return part.inline_data.data or b"", part.inline_data.mime_type
    if part.text is not None:
        return part.text.encode("utf-8", "surrogatepass"), "text/plain"
    if part.file_data is None:
        raise InputValidationError("Not supported artifact type.")
    if not artifact_util.is_artifact_ref(part):
        return b"", part.file_data.mime_type
    uri = cast("str", part.file_data.file_uri)
    to = artifact_util.parse_artifact_uri(uri)
    if not to:
        raise InputValidationError(f"Invalid artifact reference URI: {uri}")
    artifact_util.validate_artifact_reference_scope(
        app_name=app_name, user_id=user_id, session_id=session_id, parsed_uri=to
    )
    return b"", None


def _version(number: int, info: ArtifactInfo, app_name: str, user_id: str, session_id: str | None) -> ArtifactVersion:
    owner = f"users/{user_id}" if session_id is None else f"users/{user_id}/sessions/{session_id}"
    about = cast("dict[str, Any]", info.custom)
    has_type = bool(
        about["part"].get("inline_data") or about["is_text"] or about["part"].get("file_data", {}).get("mime_type")
    )
    return ArtifactVersion(
        version=number,
        canonical_uri=f"greenroom://apps/{app_name}/{owner}/artifacts/{info.name}/versions/{number}",
        custom_metadata=about["custom"],
        create_time=info.created_at.timestamp(),
        mime_type=info.mime_type if has_type else None,
    )
