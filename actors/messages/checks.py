"""Check and encode the parts of messages, on the thread that makes the message."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from greenroom.storage.artifacts.model import ArtifactId
from greenroom.storage.codec.plain import plain
from greenroom.storage.codec.records import pack_value
from greenroom.storage.common.arguments import as_items, as_number, as_text, kind_of
from greenroom.storage.engine.engine import Durability
from greenroom.storage.errors import ValidationError

__all__ = [
    "EMPTY_METADATA",
    "MAX_BATCH",
    "MAX_IDEMPOTENCY_KEY",
    "MAX_KEY",
    "MAX_MESSAGE_BYTES",
    "MAX_METADATA_BYTES",
    "MAX_NAME",
    "MAX_ROLE",
    "MAX_SESSION_KEY_BYTES",
    "MAX_TAG",
    "MAX_TAGS",
    "MAX_TEXT",
    "MAX_VARIABLE_BYTES",
    "artifact_ref",
    "is_session_key",
    "metadata_bytes",
    "named_ref",
    "object_bytes",
    "session_key",
    "tag_list",
    "version_of_name",
    "whole_number",
]

MAX_KEY: Final = 255

MAX_IDEMPOTENCY_KEY: Final = 255

MAX_VARIABLE_BYTES: Final = 1 << 20

MAX_TAGS: Final = 64

MAX_TAG: Final = 64

MAX_METADATA_BYTES: Final = 64 << 10

MAX_NAME: Final = 255

MAX_TEXT: Final = 64 << 10

MAX_ROLE: Final = 64

MAX_MESSAGE_BYTES: Final = 16 << 20

MAX_BATCH: Final = 10_000

MAX_SESSION_KEY_BYTES: Final = 512


def is_session_key(value: object) -> bool:
    """Return whether a session can have this key: any text of at most 512 bytes in UTF-8."""
    if type(value) is not str:
        return False
    try:
        return 0 < len(value.encode()) <= MAX_SESSION_KEY_BYTES
    except UnicodeEncodeError:
        return False


def session_key(value: object, field: str = "key") -> str:
    """Return the key of a session as a plain text. Raises ValidationError."""
    if issubclass(type(value), str):
        key = str.__str__(value)
        if is_session_key(key):
            return key
    raise ValidationError(
        f"{field}: a text of 1 to {MAX_SESSION_KEY_BYTES} bytes in UTF-8 is needed, without lone surrogates",
        field=field,
    )


def optional_text(field: str, value: object, most: int = MAX_NAME) -> str | None:
    return as_text(field, value, most) if value is not None else None


def artifact_ref(ref: object, field: str = "artifact") -> ArtifactId | str:
    """Return an artifact id from any spelling of one, or a name."""
    if issubclass(type(ref), ArtifactId):
        return ArtifactId.of(ref)
    return as_text(field, ref, 4096)


def named_ref(ref: object, field: str) -> ArtifactId | str:
    """Return an artifact's id or name as plain values, as the caller gave it. Whether it names an artifact is checked
    on reading."""
    if issubclass(type(ref), ArtifactId):
        parts = ArtifactId.parts(ref)
        if parts is not None:
            return ArtifactId(*parts)
    return as_text(field, ref, MAX_TEXT, empty=True)


def version_of_name(version: object) -> int | str | None:
    """Return a version that a caller asks for: its number, or its text."""
    if version is None or type(version) is int:
        return version
    if issubclass(type(version), str):
        return as_text("version", version, MAX_NAME)
    raise ValidationError('version: a whole number from 1 is needed, or "latest"', field="version")


def variable_key(key: object) -> str:
    if type(key) is str and 0 < len(key) <= MAX_KEY:
        return key
    return as_text("key", key, MAX_KEY)


def checked_durability(value: Durability | str) -> Durability:
    if type(value) is Durability:
        return value
    found = _DURABILITIES.get(str.__str__(value)) if issubclass(type(value), str) else None
    if found is None:
        raise ValidationError("durability: memory, wal or fsync", field="durability")
    return found


_DURABILITIES: Final = {each.value: each for each in Durability}


def whole_number(field: str, value: object) -> int | None:
    return as_number(field, value) if value is not None else None


def tag_list(tags: Iterable[str]) -> list[str]:
    """Return tags in their order, without repetitions."""
    if type(tags) is tuple and not tags:
        return []
    items = as_items("tags", tags, _MAX_GIVEN_TAGS, "a list of texts")
    unique = list(dict.fromkeys(as_text("tags", tag, MAX_TAG) for tag in items))
    if len(unique) > MAX_TAGS:
        raise ValidationError(f"tags: at most {MAX_TAGS}, these are {len(unique)}", field="tags")
    return unique


_MAX_GIVEN_TAGS: Final = 10_000

EMPTY_METADATA: Final = pack_value({})


def object_bytes(field: str, value: object) -> bytes:
    """Encode a mapping, a model or a dataclass as a JSON object."""
    if type(value) is not dict:
        value = plain(value, field)
        if type(value) is not dict:
            raise ValidationError(f"{field}: an object with text keys is needed, not {kind_of(value)}", field=field)
    return pack_value(value, field)


def metadata_bytes(metadata: object) -> bytes:
    """Encode metadata, a JSON object of at most 64 KiB."""
    if metadata is None:
        return EMPTY_METADATA
    packed = object_bytes("metadata", metadata)
    if len(packed) > MAX_METADATA_BYTES:
        raise ValidationError(
            f"metadata: at most {MAX_METADATA_BYTES} bytes, this has {len(packed)}: store an artifact",
            field="metadata",
        )
    return packed
