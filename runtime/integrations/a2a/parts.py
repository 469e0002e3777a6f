"""A task as records: what grows with the work stands in records of its own, so that saving writes what is new only.

The records of a task begin with its id. The first is the *head*: the task without its history and artifacts. Then come
artifacts, without their parts, each followed by its parts; then the messages of the history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from a2a.types.a2a_pb2 import Artifact, Message, Part, Task

from greenroom.runtime import ValidationError

__all__ = ["HEAD", "MAX_ID", "item_prefix", "items_of", "key_part", "order_of", "task_of"]

MAX_ID: Final = 256
"""The most bytes of a task's id and of what else is a part of a record's key."""
HEAD: Final = b""
_ARTIFACT: Final = b"a"
_MESSAGE: Final = b"m"
_NUMBER: Final = 8
_NS_BYTES: Final = 13
_NS_ZERO: Final = 1 << (8 * _NS_BYTES - 1)


def key_part(name: str, what: str) -> bytes:
    """Return a name as a part of a record's key. Raises ValidationError for one that is too long or has NULs."""
    part = name.encode()
    if len(part) > MAX_ID or b"\x00" in part:
        raise ValidationError(f"{what}: at most {MAX_ID} bytes without NUL are needed", field=what)
    return part


def item_prefix(task_id: str) -> bytes:
    """Return what the keys of all records of a task begin with."""
    return b"i/" + key_part(task_id, "task id") + b"\x00"


def order_of(timestamp_ns: int | None, task_id: str) -> bytes:
    """Return the key that puts a task in its place in lists: those without a time first, then by time and id."""
    when = b"\x00" if timestamp_ns is None else b"\x01" + (timestamp_ns + _NS_ZERO).to_bytes(_NS_BYTES, "big")
    return b"o/" + when + key_part(task_id, "task id")


def items_of(task: Task) -> dict[bytes, bytes]:
    """Return a task as records, by what their keys end with."""
    head = Task(id=task.id, context_id=task.context_id)
    if task.HasField("status"):
        head.status.CopyFrom(task.status)
    if task.HasField("metadata"):
        head.metadata.CopyFrom(task.metadata)
    items = {HEAD: head.SerializeToString(deterministic=True)}
    for number, artifact in enumerate(task.artifacts):
        place = _ARTIFACT + number.to_bytes(_NUMBER, "big")
        bare = Artifact()
        bare.CopyFrom(artifact)
        bare.ClearField("parts")
        items[place] = bare.SerializeToString(deterministic=True)
        for nth, part in enumerate(artifact.parts):
            items[place + nth.to_bytes(_NUMBER, "big")] = part.SerializeToString(deterministic=True)
    for number, message in enumerate(task.history):
        items[_MESSAGE + number.to_bytes(_NUMBER, "big")] = message.SerializeToString(deterministic=True)
    return items


def task_of(head: bytes, items: Mapping[bytes, bytes] | Iterable[tuple[bytes, bytes]]) -> Task:
    """Return the task that a head and the other records, in the order of their keys, make."""
    task: Task = Task.FromString(head)
    for place, data in items.items() if isinstance(items, Mapping) else items:
        if place.startswith(_MESSAGE):
            task.history.append(Message.FromString(data))
        elif len(place) == 1 + _NUMBER:
            task.artifacts.append(Artifact.FromString(data))
        else:
            task.artifacts[-1].parts.append(Part.FromString(data))
    return task
