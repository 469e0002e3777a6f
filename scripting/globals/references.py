"""Reads artifact ids and metadata that scripts give."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from greenroom.runtime import ArtifactId, ValidationError
from greenroom.scripting.definition.options import Options
from greenroom.scripting.definition.types import ANYTHING, TEXT, TEXTS
from greenroom.scripting.definition.values import UNDEFINED

_HASH: Final = re.compile(r"[0-9a-f]{64}")

__all__ = ["artifact_reference", "named", "other_session", "store_options"]

_FIELDS: Final = Options(
    {
        "mime_type": TEXT,
        "description": TEXT,
        "tags": TEXTS,
        "label": TEXT,
        "created_by": TEXT,
        "parent_artifact": ANYTHING,
    }
)


def artifact_reference(reference: Any) -> ArtifactId | str:
    """Return the artifact that a script names: an id table, a row with one, the text of an id, or a name.

    An id includes a session. An artifact of another session is accessible if that session shares it. Raises
    ValidationError.
    """
    if isinstance(reference, Mapping) and "content_hash" not in reference:
        reference = reference.get("id")
    identity: ArtifactId | None = None
    if isinstance(reference, Mapping):
        try:
            identity = ArtifactId(reference["content_hash"], reference["session_id"], reference["sequence"])
            identity = ArtifactId.parse(str(identity))
        except (KeyError, TypeError):
            raise ValidationError(
                "an artifact id has content_hash, session_id and sequence", field="artifact_id"
            ) from None
    elif isinstance(reference, str):
        identity = ArtifactId.named_by(reference)
    else:
        raise ValidationError("an artifact id or a name is needed", field="artifact_id")
    if identity is None:
        return str(reference)
    return identity


def store_options(metadata: Any) -> dict[str, Any]:
    """Return the options for storing in a table of metadata: mime_type, description, tags, label,
    created_by and parent_artifact, and all else as custom metadata."""
    if metadata is UNDEFINED or metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise ValidationError("metadata: a table is needed", field="metadata")
    custom = dict(metadata)
    found = _FIELDS.read({key: custom.pop(key) for key in _FIELDS.keys if key in custom}, "metadata")
    if isinstance(found.get("parent_artifact"), str) and _HASH.fullmatch(found["parent_artifact"]):
        custom["parent_artifact"] = found.pop("parent_artifact")  # a hash names content, and no one artifact
    if "parent_artifact" in found:
        found["parent_artifact"] = artifact_reference(found["parent_artifact"])
    return {**found, "metadata": custom} if custom else found


def other_session(reference: Any) -> str:
    """Return the id of a session that the script need not have access to. Raises ValidationError."""
    if isinstance(reference, Mapping):
        reference = reference.get("id")
    if not isinstance(reference, str) or not reference:
        raise ValidationError("the id of the other session is needed", field="with_session")
    return reference


def named(reference: Any) -> Any:
    """Return the name of a tool or an agent that may be given as its row."""
    return reference.get("name") if isinstance(reference, Mapping) else reference
