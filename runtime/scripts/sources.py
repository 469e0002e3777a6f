"""Finds the source of a script: a text, a file, or an artifact of a session."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from greenroom.runtime.handles.host import Host
from greenroom.runtime.handles.session import find_session
from greenroom.storage.artifacts.model import ArtifactId, ArtifactInfo
from greenroom.storage.errors import ScriptError, ValidationError
from greenroom.storage.files.regular_file import file_path

from .scripts import MAX_SOURCE_BYTES, ScriptEngine, as_source, engine_for, read_source

if TYPE_CHECKING:
    from greenroom.runtime.handles.session import Session

__all__ = ["ScriptSource", "find_source"]


@dataclass(frozen=True, slots=True)
class ScriptSource:
    """The text of a script and where it is from: `path` of a file, or `artifact`, which says the version too."""

    text: str
    path: Path | None = None
    artifact: ArtifactInfo | None = None

    @property
    def name(self) -> str:
        """The name of the script, unless its caller gives another one."""
        if self.artifact is not None:
            return self.artifact.name
        return self.path.name if self.path is not None else "script"

    def engine(self, language: str | None) -> ScriptEngine:
        """Return the engine for a language, else for what the source is. Raises ConfigurationError."""
        if self.artifact is not None:
            return engine_for(language, self.artifact.name, self.artifact.mime_type)
        return engine_for(language, self.path.name if self.path is not None else None)


def find_source(
    host: Host,
    source: str | os.PathLike[str] | ArtifactId | None,
    artifact: ArtifactId | str | None,
    version: int | str | None,
    session: Session | None,
) -> ScriptSource:
    """Return a script that is given as text, as a path, or as an artifact: its id, or a name in `session`.

    With a session, what the session cannot read is denied, whoever asks. Raises ValidationError, ScriptError if it
    cannot be a script, and what reading an artifact raises.
    """
    if isinstance(source, ArtifactId) and artifact is None:
        source, artifact = None, source
    if (source is None) == (artifact is None):
        raise ValidationError("source: a text, a file or an artifact is needed, and only one of them", field="source")
    if artifact is not None:
        return _artifact_source(host, artifact, version, session)
    if version is not None:
        raise ValidationError("version: only an artifact has versions", field="version")
    if isinstance(source, str):
        return ScriptSource(str.__str__(source))
    path = file_path(source, "source")
    return ScriptSource(read_source(path), path)


def _artifact_source(
    host: Host, artifact: ArtifactId | str, version: int | str | None, session: Session | None
) -> ScriptSource:
    named = ArtifactId.named_by(artifact)
    if session is None:
        if named is None:
            raise ValidationError(
                "artifact: a name is looked up in a session: give the session too, or the artifact's id",
                field="artifact",
            )
        session = find_session(host, named.session_id)
    info = session.get_artifact_info(artifact, version)
    if info.size > MAX_SOURCE_BYTES:
        raise ScriptError(f"artifact {info.name} is larger than {MAX_SOURCE_BYTES} bytes", script=info.name)
    return ScriptSource(as_source(info.name, session.get_artifact(info.id).content), artifact=info)
