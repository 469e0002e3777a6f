"""Messages about the life of a session, its tags and its metadata."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Unpack

from greenroom.storage.catalog.model import SessionInfo
from greenroom.storage.codec.records import Json, Value, unpack_value
from greenroom.storage.common.arguments import as_flag, as_mapping, as_text

from .checks import MAX_TAG, MAX_TEXT, metadata_bytes, optional_text, tag_list
from .core import Command, How, Points, Query
from .permissions import WRITE

__all__ = [
    "AddTag",
    "ArchiveSession",
    "CompleteSession",
    "DeleteSession",
    "DescribeSession",
    "FailSession",
    "Finish",
    "GetConfig",
    "GetInfo",
    "LoadSession",
    "RemoveTag",
    "RenameSession",
    "ResumeSession",
    "SaveSession",
    "SetTags",
    "SuspendSession",
    "UpdateConfig",
    "UpdateMetadata",
]


class SuspendSession(Command[SessionInfo]):
    """Suspend an active session."""

    __slots__ = ()
    rate = None
    points = Points("BeforeSessionSuspended", "SessionSuspended")


class ResumeSession(Command[SessionInfo]):
    """Make a suspended session active again."""

    __slots__ = ()
    rate = None
    points = Points("BeforeSessionResumed", "SessionResumed")


class CompleteSession(Command[SessionInfo]):
    """Complete an active or suspended session, for good."""

    __slots__ = ()
    rate = None
    points = Points("BeforeSessionCompleted", "SessionCompleted")


class FailSession(Command[SessionInfo]):
    """Fail an active or suspended session, for good, with a reason."""

    __slots__ = ("reason",)
    rate = None
    points = Points("BeforeSessionFailed", "SessionFailed")

    def __init__(self, reason: str, **how: Unpack[How]) -> None:
        super().__init__(**how)
        self.reason = as_text("reason", reason, MAX_TEXT)


class ArchiveSession(Command[SessionInfo]):
    """Archive a completed or failed session: default listings skip it, its journal and artifacts stay."""

    __slots__ = ()
    rate = None


class SaveSession(Command[SessionInfo]):
    """Write a snapshot; with `sync`, also put everything on disk. Replies SessionInfo."""

    __slots__ = ("sync",)
    batched = False
    rate = None
    points = Points("BeforeSessionSaved", "SessionSaved")

    def __init__(self, *, sync: bool = True, **how: Unpack[How]) -> None:
        super().__init__(**how)
        self.sync = as_flag("sync", sync)


class LoadSession(Command[SessionInfo]):
    """Bring the session into memory. Replies SessionInfo."""

    __slots__ = ()
    batched = False
    rate = None
    points = Points("BeforeSessionRestored", "SessionRestored")


class DeleteSession(Command[None]):
    """Delete the session and everything that belongs to it. Replies None. With an idempotency key, a session that is
    not there counts as deleted."""

    __slots__ = ()
    batched = False
    rate = None
    access = "delete"
    points = Points("BeforeSessionDeleted", "SessionDeleted")
    may_cross = True

    def crosses(self, session_id: str) -> bool:
        return True  # what others shared with the session is revoked


class GetInfo(Query[SessionInfo]):
    """Replies SessionInfo."""

    __slots__ = ()


class Finish(Query[None]):
    """Replies None once every message that was sent earlier has been handled."""

    __slots__ = ()
    rate = None
    hookable = False


class AddTag(Command[SessionInfo]):
    """Add a tag; adding a tag that is present changes nothing. Replies SessionInfo."""

    __slots__ = ("tag",)
    whole = WRITE
    rate = "state_update"

    def __init__(self, tag: str, **how: Unpack[How]) -> None:
        super().__init__(**how)
        self.tag = as_text("tag", tag, MAX_TAG)


class RemoveTag(Command[SessionInfo]):
    """Remove a tag; removing a tag that is absent changes nothing. Replies SessionInfo."""

    __slots__ = ("tag",)
    whole = WRITE
    rate = "state_update"

    def __init__(self, tag: str, **how: Unpack[How]) -> None:
        super().__init__(**how)
        self.tag = as_text("tag", tag, MAX_TAG)


class SetTags(Command[SessionInfo]):
    """Replace all tags with these. Replies SessionInfo."""

    __slots__ = ("tags",)
    whole = WRITE
    rate = "state_update"

    def __init__(self, tags: Iterable[str], **how: Unpack[How]) -> None:
        super().__init__(**how)
        self.tags = tag_list(tags)


class RenameSession(Command[SessionInfo]):
    """Give a session another name, or none, in any status. Replies SessionInfo."""

    __slots__ = ("name",)
    rate = "state_update"

    def __init__(self, name: str | None, **how: Unpack[How]) -> None:
        super().__init__(**how)
        self.name = optional_text("name", name)


class DescribeSession(Command[SessionInfo]):
    """Give a session another description, or none, in any status. Replies SessionInfo."""

    __slots__ = ("text",)
    rate = "state_update"

    def __init__(self, text: str | None, **how: Unpack[How]) -> None:
        super().__init__(**how)
        self.text = as_text("text", text, MAX_TEXT, empty=True) if text is not None else None


class UpdateMetadata(Command[SessionInfo]):
    """Merge into the metadata; a value of None removes its key. Replies SessionInfo."""

    __slots__ = ("changes",)
    whole = WRITE
    rate = "state_update"

    def __init__(self, changes: Mapping[str, object], **how: Unpack[How]) -> None:
        super().__init__(**how)
        self.changes: dict[str, Value] = unpack_value(metadata_bytes(changes))


class GetConfig(Query[Mapping[str, Json]]):
    """Replies, as a dict, the settings that the session itself sets. All others follow the runtime."""

    __slots__ = ()


def _as_given(changes: Mapping[str, Any]) -> dict[str, Any]:
    return dict(changes)


class UpdateConfig(Command[Mapping[str, Json]]):
    """Change settings of the session's configuration, in any status; None means no limit. For the host only.

    `changes` are settings of SessionConfig by name; `policies` names only the settings to change in its sections.
    Replies, as a dict, the settings that the session itself sets afterwards.
    """

    __slots__ = ("changes",)
    batched = False
    rate = None
    points = Points("ConfigurationChange", None)

    host_only = True

    checked: ClassVar[Callable[[Mapping[str, Any]], dict[str, Any]]] = _as_given
    """Checks settings and returns them as they are stored. Set by the floor above, which knows the settings."""

    def __init__(self, changes: Mapping[str, object], **how: Unpack[How]) -> None:
        super().__init__(**how)
        self.changes = type(self).checked(as_mapping("changes", changes))
