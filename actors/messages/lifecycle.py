"""Messages about the life of a session, its tags and its metadata."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from greenroom.storage.catalog.model import SessionInfo
from greenroom.storage.codec.records import Value, unpack_value
from greenroom.storage.common.arguments import as_flag, as_mapping, as_text
from greenroom.storage.engine.engine import Durability

from .checks import MAX_TAG, MAX_TEXT, metadata_bytes, tag_list, whole_number
from .core import CREATION, Command, Points, Query

__all__ = [
    "AddTag",
    "ArchiveSession",
    "CompleteSession",
    "DeleteSession",
    "FailSession",
    "Finish",
    "ForkSession",
    "GetConfig",
    "GetInfo",
    "LoadSession",
    "RemoveTag",
    "ResumeSession",
    "SaveSession",
    "SetTags",
    "SuspendSession",
    "UpdateConfig",
    "UpdateMetadata",
]


class SuspendSession(Command[SessionInfo]):
    """active → suspended."""

    __slots__ = ()
    rate = None
    points = Points("BeforeSessionSuspended", "SessionSuspended")


class ResumeSession(Command[SessionInfo]):
    """suspended → active."""

    __slots__ = ()
    rate = None
    points = Points("BeforeSessionResumed", "SessionResumed")


class CompleteSession(Command[SessionInfo]):
    """active or suspended → completed, for good."""

    __slots__ = ()
    rate = None
    points = Points("BeforeSessionCompleted", "SessionCompleted")


class FailSession(Command[SessionInfo]):
    """active or suspended → failed, for good, with a reason."""

    __slots__ = ("reason",)
    rate = None
    points = Points("BeforeSessionFailed", "SessionFailed")

    def __init__(self, reason: str, *, durability: Durability | str | None = None) -> None:
        super().__init__(durability=durability)
        self.reason = as_text("reason", reason, MAX_TEXT)


class ArchiveSession(Command[SessionInfo]):
    """completed or failed → archived: leaves the default listings, keeps journal and artifacts."""

    __slots__ = ()
    rate = None


class SaveSession(Command[SessionInfo]):
    """Write a snapshot; with `sync`, also put everything on disk. Replies SessionInfo."""

    __slots__ = ("sync",)
    rate = None
    points = Points("BeforeSessionSaved", "SessionSaved")

    def __init__(self, *, sync: bool = True) -> None:
        super().__init__()
        self.sync = as_flag("sync", sync)


class LoadSession(Command[SessionInfo]):
    """Bring the session into memory. Replies SessionInfo."""

    __slots__ = ()
    rate = None
    points = Points("BeforeSessionRestored", "SessionRestored")


class DeleteSession(Command[None]):
    """Remove the session and everything that belongs to it. Replies None."""

    __slots__ = ()
    rate = None
    access = "delete"
    points = Points("BeforeSessionDeleted", "SessionDeleted")
    may_cross = True

    def crosses(self, session_id: str) -> bool:
        return True  # what others shared with the session is taken back


class ForkSession(Command[str]):
    """Make a session whose history is this one's up to event `at_sequence` (default: all of it), in any status.
    Replies the new session's id."""

    __slots__ = ("at_sequence",)
    rate = CREATION
    access = "read"  # a fork has all artifacts of the original
    about_artifacts = True
    points = Points("BeforeSessionCreated", "SessionCreated")

    def __init__(self, at_sequence: int | None = None, *, durability: Durability | str | None = None) -> None:
        super().__init__(durability=durability)
        self.at_sequence = whole_number("at_sequence", at_sequence)


class GetInfo(Query[SessionInfo]):
    """Replies SessionInfo."""

    __slots__ = ()


class Finish(Query[None]):
    """Replies None once every message that was sent before it has been handled."""

    __slots__ = ()
    rate = None
    hookable = False


class AddTag(Command[SessionInfo]):
    """Add a tag; one that is there already changes nothing. Replies SessionInfo."""

    __slots__ = ("tag",)
    rate = "state_update"

    def __init__(self, tag: str, *, durability: Durability | str | None = None) -> None:
        super().__init__(durability=durability)
        self.tag = as_text("tag", tag, MAX_TAG)


class RemoveTag(Command[SessionInfo]):
    """Remove a tag; one that is not there changes nothing. Replies SessionInfo."""

    __slots__ = ("tag",)
    rate = "state_update"

    def __init__(self, tag: str, *, durability: Durability | str | None = None) -> None:
        super().__init__(durability=durability)
        self.tag = as_text("tag", tag, MAX_TAG)


class SetTags(Command[SessionInfo]):
    """Put these tags in the place of all others. Replies SessionInfo."""

    __slots__ = ("tags",)
    rate = "state_update"

    def __init__(self, tags: Iterable[str], *, durability: Durability | str | None = None) -> None:
        super().__init__(durability=durability)
        self.tags = tag_list(tags)


class UpdateMetadata(Command[SessionInfo]):
    """Merge into the metadata; a value of None removes its key."""

    __slots__ = ("changes",)
    rate = "state_update"

    def __init__(self, changes: Mapping[str, Value], *, durability: Durability | str | None = None) -> None:
        super().__init__(durability=durability)
        self.changes: dict[str, Value] = unpack_value(metadata_bytes(changes))


class GetConfig(Query[Mapping[str, Any]]):
    """Replies what the session itself sets of its configuration, as a dict. All else follows the runtime."""

    __slots__ = ()


def _as_given(changes: Mapping[str, Any]) -> dict[str, Any]:
    return dict(changes)


class UpdateConfig(Command[Mapping[str, Any]]):
    """Change settings of the session's configuration, in any status; None means no limit. For the host only.

    `changes` are settings of SessionConfig by name; of `policies`, what is to change in its sections. Replies what the
    session itself sets then, as a dict.
    """

    __slots__ = ("changes",)
    rate = None
    points = Points("ConfigurationChange", None)

    checked: ClassVar[Callable[[Mapping[str, Any]], dict[str, Any]]] = _as_given
    """Checks settings, and replies them as they are stored. Given by the floor above, which knows them."""

    def __init__(self, changes: Mapping[str, Value], *, durability: Durability | str | None = None) -> None:
        super().__init__(durability=durability)
        self.changes = type(self).checked(as_mapping("changes", changes))
