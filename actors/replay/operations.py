"""Group recorded events into the operations that caused them, and each operation into the parts that are decided."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from greenroom.actors import messages as m
from greenroom.actors.messages.core import PendingEvent
from greenroom.actors.session.projection import ARTIFACT_DELETED, ARTIFACT_STORED, LOST
from greenroom.actors.session.state.answers import ANSWERED
from greenroom.actors.session.state.model import SessionState
from greenroom.storage.artifacts.model import LABEL, ArtifactId
from greenroom.storage.errors import IntegrityError, SchemaTooNew
from greenroom.storage.events.calls import RECORDING_EVENTS
from greenroom.storage.events.model import StoredEvent
from greenroom.storage.events.turns import ADDED, DELTA, FINISHED

from .commands import DECIDED, ENDED, command_of, is_published, many_added, many_deleted, many_stored

if TYPE_CHECKING:
    from .lookups import Lookups

__all__ = ["OWN", "Operation", "Part", "as_told", "counts", "operations", "parts"]

Operation = list[tuple[int, StoredEvent]]
"""The events of one operation, with their sequences."""

_HOOK: Final = "hook.executed"
OWN: Final = frozenset({DELTA, FINISHED, ANSWERED, *RECORDING_EVENTS})
"""Types of the events that end no operation of their own: each was journaled by itself, and counts as none."""
_AS_RECORDED: Final = frozenset({"session.imported", LOST})
"""Types of the events whose totals follow from nothing that a replay knows."""
_DELETED: Final = "the artifact was deleted"


def operations(events: Iterable[tuple[int, StoredEvent]]) -> Iterator[Operation]:
    """Yield the events operation by operation. All events of one have its number, its time and its context. At damage,
    what came before it is yielded first."""
    group: Operation = []
    number = time = -1
    context: Any = None
    damage: Exception | None = None
    try:
        for each in events:
            stored = each[1]
            if group and (
                stored[3] != number
                or stored[1] != time
                or (stored[0] in OWN and any(other[0] != _HOOK for _, other in group))
                or stored[6] != context
            ):
                yield group
                group = []
            if not group:
                _, time, _, number, _, _, context = stored
            group.append(each)
    except (IntegrityError, SchemaTooNew) as error:
        damage = error
    if group:
        yield group
    if damage is not None:
        raise damage


def counts(group: Operation, before: int) -> int:
    """Return by how much an operation raises the number of operations. `before` is the recorded number before it."""
    type_ = group[0][1].type
    if len(group) == 1 and type_ in DECIDED:
        return int(type_ not in OWN)
    types = {stored.type for _, stored in group}
    if types & _AS_RECORDED:
        return group[0][1].operation_count - before
    if types & OWN or (types.isdisjoint(DECIDED) and not is_published(group[-1][1])):
        # Whatever was done has changed nothing, or is no operation: only what hooks did for it was journaled. What ends
        # no operation of its own may follow that at the same time.
        return min(1, max(0, group[0][1].operation_count - before))
    return 1


class Part(NamedTuple):
    """Events of one operation that one decision makes: those from `begin` on, before `end`. They are taken as they were
    recorded if there is no command."""

    begin: int
    end: int
    command: m.Command[Any] | None


def parts(group: Operation, state: SessionState, lookups: Lookups) -> Iterator[Part]:
    """Yield the parts of an operation, each with its command, which is made when the part is due."""
    if len(group) == 1:
        yield Part(0, 1, command_of(group[0][1], state, lookups))
        return
    begin, every = 0, len(group)
    forked = group[0][1].type == "session.forked"  # what follows it concerns contents that are gone
    while begin < every:
        end = begin + 1 if forked else _end(group, begin)
        yield Part(begin, end, None if forked else _command(group, begin, end, state, lookups))
        begin = end


def _end(group: Operation, begin: int) -> int:
    """Return where the part ends that begins here."""
    type_, every = group[begin][1].type, len(group)
    end = begin
    if type_ in ("artifact.stored", ADDED):
        while end < every and group[end][1].type == type_:
            end += 1
    elif type_ == "approval.expired":
        while end < every and group[end][1].type == type_:
            end += 1
        if end < every and group[end][1].type.startswith("approval."):
            return end + 1
        return begin + 1
    elif type_ == "approval.cancelled" and group[begin][1].data.get("reason") == ENDED:
        while end < every and group[end][1].type == type_:
            end += 1
        if end < every and group[end][1].type in ("session.completed", "session.failed"):
            return end + 1
        return begin + 1
    elif _goes(group[begin][1]):
        while end < every and _goes(group[end][1]):
            end += 1
        return end if group[end - 1][1].type == "artifact.deleted" else begin + 1
    elif (gone := _forgotten(group[begin][1])) is not None:
        while end < every and _forgotten(group[end][1]) == gone:
            end += 1
    return max(end, begin + 1)


def _goes(stored: StoredEvent) -> bool:
    """Return whether an event tells of the deletion of an artifact."""
    return stored.type == "artifact.deleted" or (
        stored.type == "artifact.revoked" and stored.data.get("reason") == _DELETED
    )


def _forgotten(stored: StoredEvent) -> str | None:
    """Return the deleted session of which an event tells, if any."""
    if stored.type not in ("artifact.revoked", "session.unshared") or "reason" not in stored.data:
        return None
    session: str = stored.data["session"]
    return session


def _command(group: Operation, begin: int, end: int, state: SessionState, lookups: Lookups) -> m.Command[Any] | None:
    events = [stored for _, stored in group[begin:end]]
    first, last = events[0], events[-1]
    if len(events) == 1:
        return command_of(first, state, lookups)
    if first.type == "artifact.stored":
        return many_stored([each.data for each in events], state, lookups)
    if first.type == ADDED:
        return many_added([each.data for each in events], state, lookups)
    if last.type == "artifact.deleted":
        return many_deleted([each.data for each in events if each.type == last.type], state, lookups)
    return command_of(last, state, lookups)


def as_told(drafts: list[PendingEvent], asked: Operation) -> list[PendingEvent]:
    """Return the same events, told as they were when they were recorded: with the id that the session had then (the
    events that a fork has copied name the session that they are from), and as older versions told them."""
    if not drafts or drafts[0].type not in _TOLD_OTHERWISE:
        return drafts
    told = list(drafts)
    for number, (draft, (_, stored)) in enumerate(zip(drafts, asked, strict=False)):
        if draft.type != stored.type:
            continue
        now, then = draft.data, stored.data
        if draft.type == "artifact.revoked":
            now = {**now, "by": then["by"]}
        elif draft.type == ARTIFACT_DELETED and "type" not in then:
            now = {name: value for name, value in now.items() if name != "type"}
        elif draft.type == ARTIFACT_STORED:
            if ArtifactId.named_by(then["parent_artifact"]) is None:
                now = {**now, "parent_artifact": then["parent_artifact"]}  # once the name was recorded, as it was given
            if LABEL in then and LABEL not in now and then[LABEL] is None:
                now = {**now, LABEL: None}  # repair has made the event from the artifact's record
        told[number] = draft._replace(data=now)
    return told


_TOLD_OTHERWISE: Final = frozenset({"artifact.revoked", ARTIFACT_DELETED, ARTIFACT_STORED})
