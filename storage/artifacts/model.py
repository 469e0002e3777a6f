"""Artifacts as users see them: their ids, their infos, and their content."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple

from greenroom.storage.codec.keys import is_session_id
from greenroom.storage.codec.records import Json, Value
from greenroom.storage.common.arguments import as_text
from greenroom.storage.common.times import iso_time
from greenroom.storage.errors import ValidationError, shown

__all__ = [
    "LABEL",
    "MAX_TYPE",
    "Artifact",
    "ArtifactId",
    "ArtifactInfo",
    "ArtifactRecord",
    "artifact_label",
    "artifact_type",
    "is_artifact_name",
    "new_record",
]

CONTENT_HASH: Final = re.compile(r"[0-9a-f]{64}")

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

_ALIASES: Final = {"tool_output": "tool_result", "prompt": "user_input"}

MAX_TYPE: Final = 64
MAX_LABEL: Final = 255
LABEL: Final = "label"
"""The key of a version's label in the data of `artifact.stored`. It is absent without a label."""


class ArtifactRecord(NamedTuple):
    """The record that the store keeps of an artifact, in this order. The event that stored the artifact has the same
    fields by these names; the time (ns since the epoch) is the event's. A record without a label ends with the time."""

    content_hash: bytes
    name: str
    version: int
    previous_hash: bytes | None
    type: str
    mime_type: str
    size: int
    stored_size: int
    description: str | None
    created_by: str | None
    parent_artifact: str | None
    tags: list[str]
    custom: bytes
    time: int
    label: str | None = None

    def stored(self) -> tuple[Any, ...]:
        """Return the fields to be written."""
        return self if self.label is not None else self[:-1]


new_record: Final[Callable[[Iterable[Any]], ArtifactRecord]] = partial(tuple.__new__, ArtifactRecord)
"""Make a record from all its fields, at half the usual cost."""


@dataclass(frozen=True, slots=True)
class ArtifactId:
    """Names one stored artifact: the BLAKE3 of its content (64 hex digits), its session, its number there (from 1)."""

    content_hash: str
    session_id: str
    sequence: int

    def __str__(self) -> str:
        return f"{self.content_hash}:{self.session_id}:{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> ArtifactId:
        """Return the id from its text. Raises ValidationError."""
        parts = text.split(":") if type(text) is str else []
        if (
            len(parts) == 3
            and CONTENT_HASH.fullmatch(parts[0])
            and is_session_id(parts[1])
            and parts[2].isascii()
            and parts[2].isdigit()
            and parts[2][0] != "0"
            and len(parts[2]) < 19
        ):
            return cls(parts[0], parts[1], int(parts[2]))
        raise ValidationError("an artifact id reads HASH:SESSION:NUMBER", field="artifact_id")

    @classmethod
    def of(cls, given: object) -> ArtifactId:
        """Return an id from an id or its text. Raises ValidationError for anything else, also for an id with wrong
        parts."""
        kind = type(given)
        if issubclass(kind, cls):
            parts = cls.parts(given)
            return cls.parse(f"{parts[0]}:{parts[1]}:{parts[2]}" if parts is not None else "")
        return cls.parse(str.__str__(given) if issubclass(kind, str) else "")

    @staticmethod
    def parts(given: object) -> tuple[str, str, int] | None:
        """Return the fields of an id if they are plain values, else None: anybody can make an id from other values."""
        content_hash, session_id, sequence = (object.__getattribute__(given, name) for name in ArtifactId.__slots__)
        plain = type(content_hash) is type(session_id) is str and type(sequence) is int
        return (content_hash, session_id, sequence) if plain else None

    @classmethod
    def named_by(cls, ref: object) -> ArtifactId | None:
        """Return the id that a reference is or spells; None for a name. No text is both, because `is_artifact_name`
        refuses every text that this takes for an id."""
        if isinstance(ref, ArtifactId):
            return ref
        if isinstance(ref, str) and ref[64:65] == ":" and ref[101:102] == ":":
            try:
                return cls.parse(ref)
            except ValidationError:
                return None
        return None


@dataclass(frozen=True, slots=True)
class ArtifactInfo:
    """The facts of an artifact, without its content. Sizes are bytes; `version` counts from 1, and `label` is its
    optional name."""

    id: ArtifactId
    name: str
    description: str | None
    artifact_type: str
    mime_type: str
    size: int
    stored_size: int
    tags: tuple[str, ...]
    custom: dict[str, Json]
    version: int
    previous_hash: str | None
    created_at: datetime
    created_by: str | None
    parent_artifact: str | None
    is_compressed: bool
    label: str | None = None

    def __repr__(self) -> str:
        return f"<ArtifactInfo {shown(self.name)} version {self.version}, {self.artifact_type}, {self.size} bytes>"

    def to_dict(self) -> dict[str, Json]:
        """Return every field by name as JSON values, with `id` as text and the time in RFC 3339."""
        row: dict[str, Value] = {each.name: getattr(self, each.name) for each in fields(self)}
        row["id"] = str(self.id)
        row["created_at"] = iso_time(self.created_at)
        row["tags"] = list(self.tags)
        return row


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact with its content."""

    info: ArtifactInfo
    content: bytes

    def __repr__(self) -> str:
        return f"<Artifact of {self.info!r}>"


def is_artifact_name(text: str) -> bool:
    """Return whether this text can be a name: it has no control characters, and does not spell an id."""
    return bool(text) and _CONTROL.search(text) is None and ArtifactId.named_by(text) is None


def artifact_label(text: object) -> str:
    """Return the label of a version. Raises ValidationError for a number and for "latest": they mean other versions."""
    label = as_text("label", text, MAX_LABEL)
    if not label.isprintable():
        raise ValidationError("label: it has printable characters only", field="label")
    if label.strip().casefold() == "latest":
        raise ValidationError('label: "latest" always means the newest version: choose another text', field="label")
    if _is_number(label):
        advice = f"write it as {shown('v' + label.strip())}"
        raise ValidationError(
            f"label: {shown(label)} could be taken for the number of a version: {advice}", field="label"
        )
    return label


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def artifact_type(text: str) -> str:
    """Return the canonical name of a type. Raises ValidationError."""
    text = as_text("artifact_type", text, MAX_TYPE)
    if not text.isprintable():
        raise ValidationError("artifact_type: it has printable characters only", field="artifact_type")
    return _ALIASES.get(text, text)
