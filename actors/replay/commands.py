"""The inverse of decide: the command that decides the recorded events again, by their types.

Every type of event is in exactly one of two tables. `DECIDED` has the types that a command decides: the function there
makes that command, without the checks that its sender's command has passed. `TAKEN` has the types that no command
decides, or whose cause is outside of the session: a replay takes them as they were recorded. So it does with events of
types that it does not know, which a newer greenroom has written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.calls import RecordCall, RecordReturn
from greenroom.actors.messages.events import LinkEvents, PublishEvent
from greenroom.actors.messages.forking.changes import RecordToolResult
from greenroom.actors.messages.internal import WORKFLOW_EVENTS, RecordWorkflow
from greenroom.actors.messages.permissions import PERMISSIONS
from greenroom.actors.messages.sharing import (
    ForgetGrantee,
    GrantScope,
    RevokeArtifact,
    RevokeScope,
    RevokeSession,
    ShareArtifact,
    ShareSession,
)
from greenroom.actors.messages.values.records import RecordPut
from greenroom.actors.session.state.answers import ANSWERED
from greenroom.actors.session.state.collected import COLLECTED
from greenroom.actors.session.state.evolve import CONFIGURED, DESCRIBED, RENAMED
from greenroom.actors.session.state.model import SessionState
from greenroom.actors.session.state.schemas import schema_in
from greenroom.storage.artifacts.model import LABEL, ArtifactId
from greenroom.storage.codec.records import unpack_value
from greenroom.storage.common.times import SECOND
from greenroom.storage.content.chunks import Encoded
from greenroom.storage.events.calls import RECORDING_EVENTS
from greenroom.storage.events.index import APPROVAL_REQUESTED, LINKED
from greenroom.storage.events.model import PUBLISHED, PUBLISHED_HASH, RESULT_CHANGED, StoredEvent, shown_type
from greenroom.storage.events.turns import ADDED, DELTA, EDITED, FINISHED, RETRACTED, STARTED
from greenroom.storage.records.model import RECORDS_CHANGED, RecordChange

if TYPE_CHECKING:
    from .lookups import Lookups

__all__ = [
    "DECIDED",
    "ENDED",
    "TAKEN",
    "Make",
    "command_of",
    "is_published",
    "many_added",
    "many_deleted",
    "many_stored",
]

Make = Callable[[dict[str, Any], SessionState, "Lookups"], "m.Command[Any] | None"]
"""Makes the command of an event from its data, the state before it and what was there then. None stands for an event
that is taken as it was recorded: the runtime itself has caused it."""

ENDED: Final = "the session has ended"
"""The reason of cancellations that come with the end of a session."""

_new: Final = object.__new__


class _Size:
    """Stands for the bytes of a record's value, which the journal does not have. Only their number is asked for."""

    __slots__ = ("_size",)

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return self._size


def _bare(kind: type[Any], /, **attributes: Any) -> Any:
    """Return a command with these attributes, past its checks. All others are None."""
    command = _new(kind)
    for name in _attributes(kind):  # type: ignore[arg-type]
        setattr(command, name, attributes.get(name))
    return command


@cache
def _attributes(kind: Any) -> tuple[str, ...]:
    return tuple(name for each in kind.__mro__ for name in getattr(each, "__slots__", ()))


def command_of(stored: StoredEvent, state: SessionState, lookups: Lookups) -> m.Command[Any] | None:
    """Return the command that decides this event; None if it is taken as it was recorded."""
    make = DECIDED.get(stored.type)
    if make is not None:
        return make(stored.data, state, lookups)
    return _published(stored) if is_published(stored) else None


def is_published(stored: StoredEvent) -> bool:
    """Return whether a host or a script has published an event, whatever its type."""
    return PUBLISHED in stored.data or PUBLISHED_HASH in stored.data


# -- variables and records


def _set_variable(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    # Without `_bare`, like `_add`: most events of many journals are of these two types.
    command = _new(m.SetVariable)
    command.durability = command.condition = command.records = None
    command.key, command.packed, command.expected = data["key"], data["value"], m.ANY
    command.schema = schema_in(data) if len(data) > 2 else None
    return command


def _delete_variable(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    return _bare(m.DeleteVariable, key=data["key"], expected=m.ANY)


def _change_records(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    changes = [RecordChange.of(fields) for fields in data["changes"]]
    put = [change for change in changes if change.hash is not None]
    if not put:
        return _bare(m.DeleteRecords, keys=[change.key for change in changes], prefix=None)
    if len(put) < len(changes):
        return None  # no command both puts and deletes
    return _bare(m.PutRecords, if_absent=False, items=[*map(_record, put)])


def _record(change: RecordChange) -> RecordPut:
    item: Any = _new(RecordPut)
    digest, size = change.hash, change.size
    assert digest is not None
    item.key, item.hash, item.flags, item.data = change.key, digest, change.flags, _Size(size)
    item.encoded = Encoded(digest, size, size, b"")  # so that it is put even where it equals what is there
    return item  # type: ignore[no-any-return]


# -- the life of a session


def _plain(kind: type[m.Command[Any]]) -> Make:
    return lambda data, state, lookups: _bare(kind)


def _suspend(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    return _bare(m.SuspendSession) if not data else None  # with a reason, its time had come


def _fail(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    return _bare(m.FailSession, reason=data["reason"])


def _set_tags(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    return _bare(m.SetTags, tags=data["tags"])


def _update_metadata(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    before, after = unpack_value(state.metadata), unpack_value(data["metadata"])
    return _bare(m.UpdateMetadata, changes=_changes(before, after))


def _changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    changed = {key: value for key, value in after.items() if key not in before or before[key] != value}
    return {**dict.fromkeys(key for key in before if key not in after), **changed}


def _configure(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    before = unpack_value(state.config) if state.config is not None else {}
    after = unpack_value(data["config"]) if data["config"] is not None else {}
    changes = {key: value for key, value in after.items() if key != "policies" and (key, value) not in before.items()}
    sections = before.get("policies") or {}
    policies: dict[str, Any] = {}
    for name, settings in (after.get("policies") or {}).items():
        there = sections.get(name)
        if there is None or not isinstance(settings, dict):
            if settings != there:
                policies[name] = settings
        elif changed := {key: value for key, value in settings.items() if (key, value) not in there.items()}:
            policies[name] = changed
    return _bare(m.UpdateConfig, changes={**changes, "policies": policies} if policies else changes)


def _rename(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    return _bare(m.RenameSession, name=data["name"])


def _describe(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    return _bare(m.DescribeSession, text=data["description"])


# -- the conversation


def _fields(command: Any, data: dict[str, Any]) -> Any:
    """Give a command the fields of a turn, as they are stored."""
    digest = data.get("content_hash")
    if digest is None:
        command.content = data.get("content")
        command.encoded = command.text = None
    else:
        command.content = b""
        command.text = "" if data["text"] else None
        command.encoded = Encoded(digest, 0, 0)
    command.tool_calls, command.metadata, command.more = data.get("tool_calls"), data.get("metadata"), None
    for name in ("tool_calls", "metadata"):
        if f"{name}_hash" in data:
            setattr(command, name, b"")
            command.more = {**(command.more or {}), name: Encoded(data[f"{name}_hash"], 0, 0)}
    return command


def _add(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    command = _new(m.AddMessage)
    command.durability = command.condition = command.records = None
    command.small = True
    command.role, command.name, command.tool_call_id = data["role"], data.get("name"), data.get("tool_call_id")
    return _fields(command, data)


def many_added(events: Sequence[dict[str, Any]], state: SessionState, lookups: Lookups) -> m.Command[Any]:
    """Return the command that adds several turns at once."""
    return _bare(m.AddMessages, messages=[_add(data, state, lookups) for data in events])  # type: ignore[no-any-return]


def _edit(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    return _fields(_bare(m.EditMessage, sequence=data["sequence"]), data)


def _retract(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    first, last = data["turns"][0]
    if len(data["turns"]) == 1 and first == last:
        head = lookups.turn_head(first)
        if "head" in data or head is None or head.sequence == first:
            return _bare(m.RetractMessage, sequence=first)
    return _bare(m.TruncateMessages, after_sequence=first - 1)


def _start(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    return _fields(
        _bare(m.StartMessage, role=data["role"], name=data.get("name"), tool_call_id=data.get("tool_call_id")), data
    )


def _continue(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    return _bare(m.ContinueMessage, sequence=data["sequence"], text=data["text"])


def _finish(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    command = _bare(m.FinishMessage, sequence=data["sequence"], partial=data.get("partial", False))
    return _fields(command, data)


# -- artifacts


def _store(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    return _bare(
        m.StoreArtifact,
        name=data["name"],
        artifact_type=data["type"],
        mime_type=data["mime_type"],
        description=data["description"],
        created_by=data["created_by"],
        parent_artifact=data["parent_artifact"],
        tags=data["tags"],
        custom=data["custom"],
        label=data.get(LABEL),
        collected=COLLECTED in data,
        encoded=Encoded(data["content_hash"], data["size"], data["stored_size"]),
    )


def many_stored(events: Sequence[dict[str, Any]], state: SessionState, lookups: Lookups) -> m.Command[Any]:
    """Return the command that stores several artifacts at once. A parent among them is named, as it was by whoever
    stored them: it had no id yet."""
    names = {data["sequence"]: data["name"] for data in events}
    items = []
    for data in events:
        item = _store(data, state, lookups)
        parent = ArtifactId.named_by(item.parent_artifact)
        if parent is not None and parent.session_id == state.id and parent.sequence in names:
            item.parent_artifact = names[parent.sequence]
        items.append(item)
    return _bare(m.StoreMany, items=items)  # type: ignore[no-any-return]


def _artifact(data: dict[str, Any], state: SessionState) -> ArtifactId:
    return ArtifactId(data["content_hash"].hex(), state.id, data["sequence"])


def _delete(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    return _bare(m.DeleteArtifact, ref=_artifact(data, state), version=None)


def many_deleted(events: Sequence[dict[str, Any]], state: SessionState, lookups: Lookups) -> m.Command[Any]:
    """Return the command that deletes artifacts, with the grants on them."""
    if len(events) == 1:
        return _delete(events[0], state, lookups)  # type: ignore[no-any-return]
    return _bare(m.DeleteMany, refs=[_artifact(data, state) for data in events])  # type: ignore[no-any-return]


# -- sharing


def _share(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    return _bare(
        ShareArtifact,
        ref=_artifact(data, state),
        version=None,
        with_session=data["session"],
        level=PERMISSIONS[data["permission"]],
        expires_at=data["expires_at"],
        inherit=data["inherit"],
        by=data["by"],
    )


def _revoke(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    if "reason" in data:
        return _bare(ForgetGrantee, session_id=data["session"])
    return _bare(
        RevokeArtifact,
        ref=_artifact(data, state),
        version=None,
        with_session=data["session"],
        level=m.READ,
        by=data["by"],
    )


def _share_session(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    return _bare(
        ShareSession,
        with_session=data["session"],
        level=PERMISSIONS[data["permission"]],
        expires_at=data["expires_at"],
    )


def _unshare(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    if "reason" in data:
        return _bare(ForgetGrantee, session_id=data["session"])
    return _bare(RevokeSession, with_session=data["session"])


def _grant_scope(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    return _bare(GrantScope, scope=data["scope"], level=PERMISSIONS[data["permission"]])


def _revoke_scope(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    return _bare(RevokeScope, scope=data["scope"])


# -- questions to people


def _ask(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    expires = data["expires_at"]
    return _bare(
        m.AskHuman,
        question=data["question"],
        schema=data["schema"],
        metadata=data["metadata"],
        expires=Fraction(expires - lookups.now(), SECOND) if expires is not None else None,  # exact to the nanosecond
    )


def _answer(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    return _bare(m.AnswerApproval, approval=data["approval"], value=data["value"], by=data["by"])


def _cancel(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    return _bare(m.CancelApproval, approval=data["approval"], reason=data["reason"])


# -- calls, workflows, and events that somebody published


def _call(kind: str) -> Make:
    return lambda data, state, lookups: _bare(RecordCall, kind=kind, type=f"{kind}.called", data=data)


def _return(kind: str) -> Make:
    return lambda data, state, lookups: _bare(RecordReturn, kind=kind, type=f"{kind}.returned", data=data)


def _change_result(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    return _bare(RecordToolResult, type=RESULT_CHANGED, data=data)


def _workflow(type_: str) -> Make:
    return lambda data, state, lookups: _bare(RecordWorkflow, type=type_, data=data)


def _link(data: dict[str, Any], state: SessionState, lookups: Lookups) -> Any:
    return _bare(LinkEvents, from_id=data["from"], to_id=data["to"], kind=data["kind"])


def _published(stored: StoredEvent) -> m.Command[Any]:
    data = stored.data
    digest = data.get(PUBLISHED_HASH)
    return _bare(  # type: ignore[no-any-return]
        PublishEvent,
        type=shown_type(stored.type),
        packed=data.get(PUBLISHED),
        encoded=Encoded(digest, 0, 0) if digest is not None else None,
    )


DECIDED: Final[dict[str, Make]] = {
    "variable.set": _set_variable,
    "variable.deleted": _delete_variable,
    RECORDS_CHANGED: _change_records,
    "session.suspended": _suspend,
    "session.resumed": _plain(m.ResumeSession),
    "session.completed": _plain(m.CompleteSession),
    "session.failed": _fail,
    "session.archived": _plain(m.ArchiveSession),
    "session.saved": _plain(m.SaveSession),
    "session.restored": _plain(m.LoadSession),
    "losses.accepted": _plain(m.AcceptLosses),
    CONFIGURED: _configure,
    RENAMED: _rename,
    DESCRIBED: _describe,
    "metadata.updated": _update_metadata,
    "tags.changed": _set_tags,
    ADDED: _add,
    EDITED: _edit,
    RETRACTED: _retract,
    STARTED: _start,
    DELTA: _continue,
    FINISHED: _finish,
    "artifact.stored": _store,
    "artifact.deleted": _delete,
    "artifact.shared": _share,
    "artifact.revoked": _revoke,
    "session.shared": _share_session,
    "session.unshared": _unshare,
    "scope.granted": _grant_scope,
    "scope.revoked": _revoke_scope,
    APPROVAL_REQUESTED: _ask,
    "approval.answered": _answer,
    "approval.cancelled": _cancel,
    "tool.called": _call("tool"),
    "agent.called": _call("agent"),
    "tool.returned": _return("tool"),
    "agent.returned": _return("agent"),
    RESULT_CHANGED: _change_result,
    **{type_: _workflow(type_) for type_ in sorted(WORKFLOW_EVENTS)},
    LINKED: _link,
}
"""Makes the command of each type. A type that somebody published is decided too, whatever it is."""

TAKEN: Final = frozenset(
    {
        "session.created",
        "session.forked",
        "session.imported",
        "session.started",
        "session.deleted",
        "artifact.retrieved",
        "approval.expired",  # by the clock; it comes with another event about questions, and is decided with that
        "hook.executed",
        "policy.warning",
        "policy.violated",
        "script.started",
        "script.finished",
        "event.lost",
        "retention.finished",
        ANSWERED,
        *RECORDING_EVENTS,
    }
)
"""Types that a replay takes as they were recorded."""
