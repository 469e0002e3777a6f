"""The records of a thread's session: checkpoints, values of channels and pending writes.

| key | value |
| --- | --- |
| `c` namespace, checkpoint | a `CheckpointRow`: the checkpoint without the values of its channels, and where they are |
| `v` hash | the value of a channel, by the hash of its bytes: a value that many checkpoints have is stored once |
| `w` namespace, checkpoint, task | the pending writes of a task |

A long list is a tree of values (`trees`).

Parts of keys end by a zero byte (`keys.part`); values are lists in MessagePack.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import ormsgpack

from greenroom.runtime import IntegrityError, ValidationError

from ..keys import part, short_part, shown

__all__ = ["CheckpointRow", "Held", "Typed", "WriteRow", "checkpoint_key", "checkpoints_in", "mark_of", "packed_value"]

Typed = tuple[str, bytes]
"""A value that a serializer has written: the name of its form, and the bytes."""

INLINE: Final = 256
"""A value of at most so many bytes stands in the checkpoint itself."""

_FORMAT: Final = 1
_MAX_NAMESPACE: Final = 400
_MAX_CHECKPOINT: Final = 256
_MAX_TASK: Final = 256


@dataclass(frozen=True, slots=True)
class Held:
    """Where the value of a channel stands. `mark` stands for the channel's version, empty if it has none. The value
    that is `split` is a list, and its content the top of a tree."""

    mark: bytes
    inline: bytes | None
    hash: bytes
    split: bool


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A checkpoint as it is stored."""

    parent: str | None
    checkpoint: Typed
    metadata: Typed
    held: Mapping[str, Held]
    namespace: str

    def packed(self) -> bytes:
        """Return the bytes of the record."""
        held = {name: [each.mark, each.inline, each.hash, each.split] for name, each in self.held.items()}
        return packed([_FORMAT, self.parent, *self.checkpoint, *self.metadata, held, self.namespace], "the checkpoint")

    @classmethod
    def of(cls, record: object) -> CheckpointRow:
        """Return the checkpoint of a record. Raises IntegrityError."""
        _, parent, form, checkpoint, metadata_form, metadata, held, namespace = unpacked(record)
        return cls(
            parent,
            (form, checkpoint),
            (metadata_form, metadata),
            {name: Held(*each) for name, each in held.items()},
            namespace,
        )


@dataclass(frozen=True, slots=True)
class WriteRow:
    """One pending write of a task."""

    path: str
    task: str
    index: int
    channel: str
    value: Typed

    def as_list(self) -> list[Any]:
        return [self.path, self.task, self.index, self.channel, *self.value]

    @classmethod
    def all_of(cls, record: object) -> list[WriteRow]:
        """Return the writes of a record. Raises IntegrityError."""
        return [
            cls(path, task, index, channel, (form, value))
            for path, task, index, channel, form, value in unpacked(record)[1]
        ]

    @staticmethod
    def packed(rows: list[WriteRow]) -> bytes:
        """Return the bytes of the record of a task's writes."""
        return packed([_FORMAT, [each.as_list() for each in rows]], "the writes")


def packed(value: list[Any], what: str) -> bytes:
    try:
        return ormsgpack.packb(value)
    except (TypeError, ValueError) as error:
        raise ValidationError(f"{what}: a name in it cannot be stored: {error}", field="checkpoint") from error


def unpacked(record: object) -> list[Any]:
    try:
        value = ormsgpack.unpackb(record)  # type: ignore[arg-type]  # refuses what is not bytes
    except (TypeError, ValueError) as error:
        raise IntegrityError(f"a record of LangGraph cannot be read: {error}") from error
    if not isinstance(value, list) or not value or value[0] != _FORMAT:
        raise IntegrityError("a record of LangGraph was written in a form that this version cannot read")
    return value


def checkpoints_in(namespace: str) -> bytes:
    """Return the prefix of the keys of a namespace's checkpoints, which are in the order of their ids."""
    return b"c" + short_part(namespace, _MAX_NAMESPACE)


def id_part(checkpoint: str) -> bytes:
    """Return the id of a checkpoint as a part of a key. Raises ValidationError for one that is too long."""
    whole = part(checkpoint)
    if len(whole) > _MAX_CHECKPOINT:
        most = _MAX_CHECKPOINT - 1
        raise ValidationError(f"checkpoint_id: at most {most} bytes, not {shown(checkpoint)}", field="checkpoint_id")
    return whole


def checkpoint_key(namespace: str, checkpoint: str) -> bytes:
    """Return the key of a checkpoint. Raises ValidationError for an id that is too long."""
    return checkpoints_in(namespace) + id_part(checkpoint)


def writes_prefix(namespace: str, checkpoint: str) -> bytes:
    """Return the prefix of the keys of a checkpoint's pending writes."""
    return b"w" + short_part(namespace, _MAX_NAMESPACE) + id_part(checkpoint)


def writes_key(namespace: str, checkpoint: str, task: str) -> bytes:
    """Return the key of the pending writes of a task."""
    return writes_prefix(namespace, checkpoint) + short_part(task, _MAX_TASK)


def value_key(digest: bytes) -> bytes:
    """Return the key of a channel's value by its hash."""
    return b"v" + digest


def mark_of(version: object) -> bytes:
    """Return what stands for the version of a channel: values of a channel with the same mark are the same."""
    return hashlib.blake2b(repr(version).encode(), digest_size=8).digest() if version is not None else b""


def packed_value(value: Typed) -> bytes:
    """Return a serialized value as the bytes of a record."""
    form = value[0].encode()
    if len(form) > 255:
        raise ValidationError(f"serde: the name of a form has at most 255 bytes, not {len(form)}", field="serde")
    return bytes([len(form)]) + form + value[1]


def typed_value(content: bytes) -> Typed:
    """Return the serialized value of a record."""
    end = 1 + content[0]
    return content[1:end].decode(), content[end:]


def digest_of(content: bytes) -> bytes:
    """Return the hash under which the value of a channel stands."""
    return hashlib.blake2b(content, digest_size=16).digest()
