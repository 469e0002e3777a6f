"""Messages about the life of a session, its tags and its metadata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from greenroom.storage.codec.records import Value, unpack_value
from greenroom.storage.common.arguments import as_flag, as_text
from greenroom.storage.engine.engine import Durability

from .checks import (
    MAX_TAG,
    MAX_TEXT,
    metadata_bytes,
    tag_list,
    whole_number,
)
from .core import Command, Query

__all__ = [
    "AddTag",
    "ArchiveSession",
    "CompleteSession",
    "DeleteSession",
    "FailSession",
    "Finish",
    "ForkSession",
    "GetInfo",
    "LoadSession",
    "RemoveTag",
    "ResumeSession",
    "SaveSession",
    "SetTags",
    "SuspendSession",
    "UpdateMetadata",
]


class SuspendSession(Command):
    """active → suspended."""

    __slots__ = ()


class ResumeSession(Command):
    """suspended → active."""

    __slots__ = ()


class CompleteSession(Command):
    """active or suspended → completed, for good."""

    __slots__ = ()


class FailSession(Command):
    """active or suspended → failed, for good, with a reason."""

    __slots__ = ("reason",)

    def __init__(self, reason: str, *, durability: Durability | str | None = None) -> None:
        super().__init__(durability=durability)
        self.reason = as_text("reason", reason, MAX_TEXT)


class ArchiveSession(Command):
    """completed or failed → archived: leaves the default listings, keeps journal and artifacts."""

    __slots__ = ()


class SaveSession(Command):
    """Write a snapshot; with `sync`, also put everything on disk. Replies SessionInfo."""

    __slots__ = ("sync",)

    def __init__(self, *, sync: bool = True) -> None:
        super().__init__()
        self.sync = as_flag("sync", sync)


class LoadSession(Command):
    """Bring the session into memory. Replies SessionInfo."""

    __slots__ = ()


class DeleteSession(Command):
    """Remove the session and everything that belongs to it. Replies None."""

    __slots__ = ()


class ForkSession(Command):
    """Make a session whose history is this one's up to event `at_sequence` (default: all of it), in any status.
    Replies the new session's id."""

    __slots__ = ("at_sequence",)

    def __init__(self, at_sequence: int | None = None, *, durability: Durability | str | None = None) -> None:
        super().__init__(durability=durability)
        self.at_sequence = whole_number("at_sequence", at_sequence)


class GetInfo(Query):
    """Replies SessionInfo."""

    __slots__ = ()


class Finish(Query):
    """Replies None once every message that was sent before it has been handled."""

    __slots__ = ()


class AddTag(Command):
    __slots__ = ("tag",)

    def __init__(self, tag: str, *, durability: Durability | str | None = None) -> None:
        super().__init__(durability=durability)
        self.tag = as_text("tag", tag, MAX_TAG)


class RemoveTag(Command):
    __slots__ = ("tag",)

    def __init__(self, tag: str, *, durability: Durability | str | None = None) -> None:
        super().__init__(durability=durability)
        self.tag = as_text("tag", tag, MAX_TAG)


class SetTags(Command):
    __slots__ = ("tags",)

    def __init__(self, tags: Iterable[str], *, durability: Durability | str | None = None) -> None:
        super().__init__(durability=durability)
        self.tags = tag_list(tags)


class UpdateMetadata(Command):
    """Merge into the metadata; a value of None removes its key."""

    __slots__ = ("changes",)

    def __init__(self, changes: Mapping[str, Value], *, durability: Durability | str | None = None) -> None:
        super().__init__(durability=durability)
        self.changes: dict[str, Value] = unpack_value(metadata_bytes(changes))
