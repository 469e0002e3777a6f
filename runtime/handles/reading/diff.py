"""The difference between two versions of a text."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Final

from greenroom.runtime.handles.replies import reply_as
from greenroom.storage.artifacts.model import Artifact, ArtifactInfo
from greenroom.storage.errors import ArtifactTooLarge, InvalidOperation, ValidationError

__all__ = ["unified_diff"]

MAX_BYTES: Final = 4 << 20
MAX_LINES: Final = 50_000
_Read = Callable[[str, "int | str"], Artifact]
_Look = Callable[[str, "int | str"], ArtifactInfo]


def unified_diff(read: _Read, look: _Look, name: str, old: int | str, new: int | str, context: int) -> str:
    """Return a unified diff of two versions, with headers `NAME (version N)`. Raises what `Session.diff_artifact`
    raises."""
    if type(context) is not int or not 0 <= context <= 1000:
        raise ValidationError("context: 0 to 1000 lines", field="context")
    infos = [look(name, version) for version in (old, new)]
    for info in infos:
        if info.size > MAX_BYTES:
            raise _too_large(info, info.size, MAX_BYTES, "bytes")
    if infos[0].id.content_hash == infos[1].id.content_hash:
        _lines(read(name, infos[0].version))
        return ""
    before, after = (_lines(read(name, info.version)) for info in infos)
    labels = [f"{info.name} (version {info.version})" for info in infos]
    # Like diff(1), say where a last line has no end: it may be all that differs.
    lines = difflib.unified_diff(before, after, labels[0], labels[1], n=context)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(artifact: Artifact) -> list[str]:
    info = reply_as(Artifact, artifact, "an artifact").info
    try:
        text = artifact.content.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InvalidOperation(
            f"version {info.version} of {info.name!r} is not text ({info.mime_type}): only texts can be compared",
            artifact=str(info.id),
        )
    lines = text.split("\n")
    if len(lines) > MAX_LINES:
        raise _too_large(info, len(lines), MAX_LINES, "lines")
    return [line + "\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _too_large(info: ArtifactInfo, size: int, limit: int, unit: str) -> ArtifactTooLarge:
    return ArtifactTooLarge(
        f"version {info.version} of {info.name!r} has {size} {unit}, a diff takes up to {limit}: "
        "save both to files and compare those",
        size=size,
        limit=limit,
    )
