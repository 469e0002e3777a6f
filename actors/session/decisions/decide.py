"""Decide: state + command → events, or the error that refuses it. Nothing here reads a clock or writes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Mapping
from typing import Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.core import PendingEvent, pending
from greenroom.actors.messages.internal import KeepTime, RecordHooks
from greenroom.actors.session.state.approvals import cancellations
from greenroom.actors.session.state.collected import COLLECTED, held, is_collected
from greenroom.actors.session.state.evolve import DESCRIBED, RENAMED
from greenroom.actors.session.state.model import (
    ACTIVE,
    ARCHIVED,
    COMPLETED,
    FAILED,
    SUSPENDED,
    VARIABLE_WEIGHT,
    SessionState,
)
from greenroom.actors.session.state.schemas import SCHEMA, VERSION
from greenroom.actors.session.state.timeout import keep_time
from greenroom.storage.artifacts.model import LABEL, ArtifactId, ArtifactInfo
from greenroom.storage.catalog.model import STATUSES
from greenroom.storage.codec.keys import canonical_value
from greenroom.storage.codec.records import pack_value, unpack_value
from greenroom.storage.errors import (
    ArtifactNotFound,
    Conflict,
    InvalidOperation,
    InvalidStateTransition,
    ResourceLimitExceeded,
    ValidationError,
    shown,
)

from .approvals import APPROVAL_DECIDERS
from .calls import CALL_DECIDERS
from .configuring import CONFIG_DECIDERS
from .conversation import CONVERSATION_DECIDERS
from .draft import Limits, Lookup, decide_records, require_operations, require_writable
from .facts import EVENT_DECIDERS
from .records import RECORD_DECIDERS
from .session_sharing import DECIDERS as SESSION_SHARING_DECIDERS
from .sharing import DECIDERS as SHARING_DECIDERS
from .sharing import ends
from .workflows import WORKFLOW_DECIDERS

__all__ = ["DECIDERS", "Limits", "Lookup", "PendingEvent", "decide", "require_room"]


def decide(state: SessionState, command: m.Command[Any], limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    """Return the events that a command causes; none if it changes nothing. Raises the typed error that refuses it."""
    decider = DECIDERS.get(type(command))
    if decider is None:
        raise InvalidOperation(f"a session does not know the message {type(command).__name__}")
    return decider(state, command, limits, lookup)


def _require_expected(state: SessionState, command: m.SetVariable | m.DeleteVariable) -> None:
    """Raise Conflict unless the variable has the value that the command expects."""
    packed, expected = state.variables.get(command.key), command.expected
    if isinstance(expected, m.Expectation):
        holds = packed is None or (expected is m.UNSET and unpack_value(packed) is None)
    else:
        holds = packed is not None and (
            packed == expected or canonical_value(unpack_value(packed)) == canonical_value(unpack_value(expected))
        )
    if not holds:
        raise Conflict(
            f"variable {command.key!r} of session {state.id} is not what was expected, somebody has changed it:"
            " read it again and decide anew",
            conflict=True,
            key=command.key,
        )


def _set_variable(state: SessionState, command: m.SetVariable, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    require_writable(state, limits)
    if command.expected is not m.ANY:
        _require_expected(state, command)
    if state.variables_weight + _MOST_ADDED + len(command.packed) > limits.max_state_bytes:
        _require_state_room(state, command, limits)
    data: dict[str, Any] = {"key": command.key, "value": command.packed}
    if command.schema is not None:
        data[SCHEMA], data[VERSION] = command.schema
    return [pending(("variable.set", data, 0, 0))]


_MOST_ADDED: Final = m.MAX_KEY + VARIABLE_WEIGHT
"""The most that a new variable adds to the state besides its value."""


def _require_state_room(state: SessionState, command: m.SetVariable, limits: Limits) -> None:
    """Raise ResourceLimitExceeded if the variables would exceed their limit. They may always shrink."""
    old = state.variables.get(command.key)
    size = len(command.packed)
    more = size - len(old) if old is not None else size + len(command.key) + VARIABLE_WEIGHT
    weight = state.variables_weight + more
    if more > 0 and weight > limits.max_state_bytes:
        raise ResourceLimitExceeded(
            f"the variables of session {state.id} may have {limits.max_state_bytes} bytes together and would have "
            f"{weight} with {command.key!r}: delete some, store artifacts instead, or raise max_state_bytes"
            " (session.update_config; for a scope, the runtime's policies)",
            resource="state_bytes",
            limit=limits.max_state_bytes,
            value=weight,
        )


def _delete_variable(
    state: SessionState, command: m.DeleteVariable, limits: Limits, lookup: Lookup
) -> list[PendingEvent]:
    require_writable(state, limits)
    if command.expected is not m.ANY:
        _require_expected(state, command)
    return [PendingEvent("variable.deleted", {"key": command.key})] if command.key in state.variables else []


_TRANSITIONS: Final = {
    m.SuspendSession: ("session.suspended", SUSPENDED, (ACTIVE,)),
    m.ResumeSession: ("session.resumed", ACTIVE, (SUSPENDED,)),
    m.CompleteSession: ("session.completed", COMPLETED, (ACTIVE, SUSPENDED)),
    m.FailSession: ("session.failed", FAILED, (ACTIVE, SUSPENDED)),
    m.ArchiveSession: ("session.archived", ARCHIVED, (COMPLETED, FAILED)),
}


def _transition(state: SessionState, command: m.Command[Any], limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    event, target, allowed = _TRANSITIONS[type(command)]
    if state.status not in allowed:
        now, wanted = STATUSES[state.status], STATUSES[target]
        raise InvalidStateTransition(
            f"session {state.id} is {now} and cannot become {wanted}; "
            f"that is possible from {' or '.join(STATUSES[each] for each in allowed)}",
            from_status=str(now),
            to_status=str(wanted),
        )
    if target == ACTIVE:
        require_operations(state, limits)  # or suspending and resuming in turns would be operations without end
    ends = cancellations(state) if target in (COMPLETED, FAILED) else []
    return [*ends, PendingEvent(event, {"reason": command.reason} if isinstance(command, m.FailSession) else {})]


def _saved(state: SessionState, command: m.SaveSession, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    # The journal is closed once a session has ended or made all its operations. A snapshot is still written.
    open_ = state.status in (ACTIVE, SUSPENDED) and state.operation_count < limits.max_operations
    return [PendingEvent("session.saved", {})] if open_ else []


def _loaded(state: SessionState, command: m.LoadSession, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    noted = lookup.restored and state.status in (ACTIVE, SUSPENDED) and not lookup.read_only
    return [PendingEvent("session.restored", {})] if noted else []


def _accept_losses(state: SessionState, command: m.AcceptLosses, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    # In any status, because an ended session must stay readable too.
    return [PendingEvent("losses.accepted", {})] if state.certain is not None else []


def _nothing(state: SessionState, command: m.Command[Any], limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    return []


def _tags(state: SessionState, command: m.Command[Any], limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    require_writable(state, limits)
    tags = list(state.tags)
    if isinstance(command, m.SetTags):
        tags = command.tags
    elif isinstance(command, m.AddTag) and command.tag not in tags:
        tags.append(command.tag)
    elif isinstance(command, m.RemoveTag) and command.tag in tags:
        tags.remove(command.tag)
    return [PendingEvent("tags.changed", {"tags": m.tag_list(tags)})] if tags != state.tags else []


def _rename(state: SessionState, command: m.RenameSession, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    return [PendingEvent(RENAMED, {"name": command.name})] if command.name != state.name else []


def _describe(state: SessionState, command: m.DescribeSession, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    return [PendingEvent(DESCRIBED, {"description": command.text})] if command.text != state.description else []


def _update_metadata(
    state: SessionState, command: m.UpdateMetadata, limits: Limits, lookup: Lookup
) -> list[PendingEvent]:
    require_writable(state, limits)
    merged = {**unpack_value(state.metadata), **command.changes}
    packed = m.metadata_bytes({key: value for key, value in merged.items() if value is not None})
    return [PendingEvent("metadata.updated", {"metadata": packed})] if packed != state.metadata else []


def require_room(session_id: str, artifacts: int, size: int, limits: Limits, *, more: int, bytes: int) -> None:
    """Raise ResourceLimitExceeded unless a session with `artifacts` and `size` bytes can take `more` artifacts and
    `bytes`."""
    if artifacts + more > limits.max_artifacts:
        raise ResourceLimitExceeded(
            f"session {session_id} may have {limits.max_artifacts} artifacts; it has {artifacts} and this would add "
            f"{more}: delete some, or raise max_artifacts with session.update_config",
            resource="artifacts",
            limit=limits.max_artifacts,
            value=artifacts + more if more > 1 else artifacts,
        )
    if size + bytes > limits.max_storage_bytes:
        raise ResourceLimitExceeded(
            f"session {session_id} may store {limits.max_storage_bytes} bytes; it has {size} and this would add "
            f"{bytes}: delete some, or raise max_storage_bytes with session.update_config",
            resource="storage_bytes",
            limit=limits.max_storage_bytes,
            value=size + bytes,
        )


def _room_for(state: SessionState, limits: Limits, more: int, bytes: int) -> None:
    has = held(state)
    require_room(state.id, has.artifacts, has.bytes, limits, more=more, bytes=bytes)


def _room_for_collected(state: SessionState, limits: Limits, bytes: int) -> None:
    has = held(state)
    for resource, value, limit in (
        ("collected_artifacts", has.collected + 1, limits.max_collected_artifacts),
        ("collected_bytes", has.collected_bytes + bytes, limits.max_collected_bytes),
    ):
        if value > limit:
            raise ResourceLimitExceeded(
                f"session {state.id} collects no more outputs: with this one it would have {value} {resource} and may "
                f"have {limit}: delete some, or raise max_{resource} with session.update_config",
                resource=resource,
                limit=limit,
                value=value,
            )


def _size(command: m.StoreArtifact) -> int:
    assert command.encoded is not None, "content is prepared before the message is sent"
    return command.encoded.size


def _store_artifact(
    state: SessionState, command: m.StoreArtifact, limits: Limits, lookup: Lookup
) -> list[PendingEvent]:
    require_writable(state, limits)
    if command.collected:
        _room_for_collected(state, limits, _size(command))
    else:
        _room_for(state, limits, 1, _size(command))
    if command.label is not None:
        _require_free_label(state, command, lookup)
    parent = _parent(state, command, lookup) if command.parent_artifact is not None else None
    highest, previous = lookup.latest_version(command.name)
    return [_stored(command, state.last_artifact + 1, highest + 1, previous, parent)]


def _store_many(state: SessionState, command: m.StoreMany, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    require_writable(state, limits)
    _room_for(state, limits, len(command.items), sum(map(_size, command.items)))
    latest: dict[str, tuple[int, bytes | None]] = {}
    ids: dict[str, ArtifactId] = {}
    labels: set[tuple[str, str]] = set()
    drafts: list[PendingEvent] = []
    for number, item in enumerate(command.items, state.last_artifact + 1):
        if item.label is not None:
            _require_free_label(state, item, lookup, labels)
            labels.add((item.name, item.label))
        parent = _parent(state, item, lookup, ids) if item.parent_artifact is not None else None
        highest, previous = latest.get(item.name) or lookup.latest_version(item.name)
        draft = _stored(item, number, highest + 1, previous, parent)
        digest = draft.data["content_hash"]
        latest[item.name] = highest + 1, digest
        ids[item.name] = ArtifactId(digest.hex(), state.id, number)
        drafts.append(draft)
    return drafts


def _require_free_label(
    state: SessionState, command: m.StoreArtifact, lookup: Lookup, batch: Container[tuple[str, str]] = ()
) -> None:
    """Raise InvalidOperation if a version of the name has the label already, in the session or in the same batch."""
    label = command.label
    assert label is not None
    if (command.name, label) not in batch:
        try:
            lookup.artifact(command.name, label)
        except ArtifactNotFound:
            return
    raise InvalidOperation(
        f"a version of {shown(command.name)} in session {state.id} has the label {shown(label)} already, and a label"
        " names one version: choose another, or delete that version first",
        artifact=command.name,
        label=label,
    )


def _parent(
    state: SessionState, command: m.StoreArtifact, lookup: Lookup, batch: Mapping[str, ArtifactId] | None = None
) -> str:
    """Return the id of the parent artifact. One of another session was looked up before the message came here. Raises
    ArtifactNotFound."""
    parent = command.parent_artifact
    assert parent is not None
    found = ArtifactId.named_by(parent)
    if found is None and batch is not None:
        found = batch.get(str(parent))
    elif found is not None and found.session_id == state.id:
        found = None
    return str(found if found is not None else lookup.artifact(parent, None).id)


def _stored(
    command: m.StoreArtifact, number: int, version: int, previous: bytes | None, parent: str | None
) -> PendingEvent:
    content = command.encoded
    assert content is not None
    data = {
        "sequence": number,
        "content_hash": content.hash,
        "name": command.name,
        "version": version,
        "previous_hash": previous,
        "type": command.artifact_type,
        "mime_type": command.mime_type,
        "size": content.size,
        "stored_size": content.stored_size,
        "description": command.description,
        "created_by": command.created_by,
        "parent_artifact": parent,
        "tags": command.tags,
        "custom": command.custom,
    }
    if command.label is not None:
        data[LABEL] = command.label
    if command.collected:
        data[COLLECTED] = True
    return pending(("artifact.stored", data, 1, content.size))


def _delete_artifact(
    state: SessionState, command: m.DeleteArtifact, limits: Limits, lookup: Lookup
) -> list[PendingEvent]:
    require_writable(state, limits)
    return _deletion(state, lookup.artifact(command.ref, command.version))


def _delete_many(state: SessionState, command: m.DeleteMany, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    require_writable(state, limits)
    found: dict[int, ArtifactInfo] = {}
    for ref in command.refs:
        artifact = ArtifactId.named_by(ref)
        if artifact is not None and artifact.session_id != state.id:
            raise ValidationError(
                f"refs: artifact {ref} belongs to another session than {state.id}: delete it alone, with"
                " delete_artifact",
                field="refs",
            )
        with contextlib.suppress(ArtifactNotFound):
            info = lookup.artifact(ref, None)
            found[info.id.sequence] = info
    return [draft for info in found.values() for draft in _deletion(state, info)]


def _deletion(state: SessionState, info: ArtifactInfo) -> list[PendingEvent]:
    """Return the events that delete an artifact."""
    data = {
        "sequence": info.id.sequence,
        "content_hash": bytes.fromhex(info.id.content_hash),
        "name": info.name,
        "version": info.version,
        "type": info.artifact_type,
    }
    if is_collected(state, info.id.sequence):
        data[COLLECTED] = info.size
    return [*ends(state, info), PendingEvent("artifact.deleted", data, -1, -info.size)]


DECIDERS: Final[dict[type[m.Command[Any]], Callable[[SessionState, Any, Limits, Lookup], list[PendingEvent]]]] = {
    m.SetVariable: _set_variable,
    m.DeleteVariable: _delete_variable,
    m.AcceptLosses: _accept_losses,
    **dict.fromkeys(_TRANSITIONS, _transition),
    m.SaveSession: _saved,
    m.LoadSession: _loaded,
    m.AddTag: _tags,
    m.RemoveTag: _tags,
    m.SetTags: _tags,
    m.RenameSession: _rename,
    m.DescribeSession: _describe,
    m.UpdateMetadata: _update_metadata,
    m.StoreArtifact: _store_artifact,
    m.StoreMany: _store_many,
    m.DeleteArtifact: _delete_artifact,
    m.DeleteMany: _delete_many,
    RecordHooks: decide_records,
    KeepTime: keep_time,
    **APPROVAL_DECIDERS,
    **CALL_DECIDERS,
    **CONFIG_DECIDERS,
    **CONVERSATION_DECIDERS,
    **EVENT_DECIDERS,
    **RECORD_DECIDERS,
    **SHARING_DECIDERS,
    **SESSION_SHARING_DECIDERS,
    **WORKFLOW_DECIDERS,
}


def creation(
    name: str | None,
    description: str | None,
    created_by: str | None,
    tags: list[str],
    metadata: bytes,
    parent: str | None,
    config: Mapping[str, Any] | None,
    correlation_id: str | None,
    key: str | None = None,
) -> PendingEvent:
    """Return the first event of a session."""
    data: dict[str, Any] = {
        "name": name,
        "description": description,
        "created_by": created_by,
        "tags": tags,
        "metadata": metadata,
        "parent": parent,
        "config": pack_value(dict(config), "config") if config else None,
        "correlation_id": correlation_id,
    }
    if key is not None:
        data["key"] = key
    return pending(("session.created", data, 0, 0))
