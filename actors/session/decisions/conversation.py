"""Decide what adds, edits and retracts the turns of a conversation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.core import PendingEvent, pending
from greenroom.actors.session.state.model import SessionState
from greenroom.storage.errors import InvalidOperation, ValidationError
from greenroom.storage.events.turns import (
    ADDED,
    DELTA,
    EDITED,
    FINISHED,
    RETRACTED,
    STARTED,
    Head,
    edit_pointers,
    is_broken_off,
    runs_of,
)

from .draft import Limits, Lookup, require_active, require_writable

__all__ = ["CONVERSATION_DECIDERS"]


def _add(state: SessionState, command: m.AddMessage, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    require_writable(state, limits)
    return [pending((ADDED, command.stored_fields(), 0, 0))]


def _add_many(state: SessionState, command: m.AddMessages, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    require_writable(state, limits)
    return [pending((ADDED, message.stored_fields(), 0, 0)) for message in command.messages]


def _edit(state: SessionState, command: m.EditMessage, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    require_writable(state, limits)
    turn = command.sequence
    head = require_turn(state, lookup, turn)
    data: dict[str, Any] = {"sequence": turn}
    command.put_fields(data)
    if head.sequence != turn:
        newest = lookup.turn_event(head.sequence)
        pointers = edit_pointers(turn, head.sequence, newest.type, newest.data)
        if command.content is not None:
            pointers.pop("content_at", None)
        if command.metadata is not None:
            pointers.pop("metadata_at", None)
        data.update(pointers)
    return [PendingEvent(EDITED, data)]


def _retract(state: SessionState, command: m.RetractMessage, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    require_writable(state, limits)
    return _retracted(command.sequence, require_turn(state, lookup, command.sequence))


def _pop(state: SessionState, command: m.PopMessage, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    require_writable(state, limits)
    newest = lookup.turns(0, newest=True)
    if not newest:
        raise InvalidOperation(f"session {state.id} has no message to take back: its conversation is empty")
    return _retracted(newest[0], require_turn(state, lookup, newest[0]))


def _retracted(turn: int, head: Head) -> list[PendingEvent]:
    """Return the retraction of one turn, which says where its last form is read."""
    return [
        PendingEvent(RETRACTED, {"turns": [[turn, turn]], **({"head": head.sequence} if head.sequence != turn else {})})
    ]


def _truncate(state: SessionState, command: m.Command[Any], limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    require_writable(state, limits)
    after = command.after_sequence if isinstance(command, m.TruncateMessages) else 0
    turns = runs_of(lookup.turns(after))
    return [PendingEvent(RETRACTED, {"turns": turns})] if turns else []


def _start(state: SessionState, command: m.StartMessage, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    require_writable(state, limits)
    data: dict[str, Any] = {}
    command.put_fields(data)
    return [PendingEvent(STARTED, data)]


def _continue(state: SessionState, command: m.ContinueMessage, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    head = _require_open(state, lookup, command.sequence)
    data: dict[str, Any] = {"sequence": command.sequence, "text": command.text}
    if head is not None and head.sequence != command.sequence:
        data["previous"] = head.sequence
    return [PendingEvent(DELTA, data)]


def _finish(state: SessionState, command: m.FinishMessage, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    _require_open(state, lookup, command.sequence)
    data: dict[str, Any] = {}
    command.put_fields(data)
    return [PendingEvent(FINISHED, data)]


def _require_open(state: SessionState, lookup: Lookup, turn: int) -> Head | None:
    """Return the head of a turn that takes more text; None if it was broken off, and is now written anew. Its operation
    was counted when it began."""
    require_active(state)
    head = lookup.turn_head(turn)
    if head is None or not head.open:
        if head is not None and is_broken_off(lookup.turn_event(head.sequence)):
            return None
        raise InvalidOperation(
            f"message {turn} of session {state.id} takes no more text: it is complete, or was edited or retracted "
            "meanwhile"
        )
    return head


def require_turn(state: SessionState, lookup: Lookup, turn: int) -> Head:
    """Return the head of a turn. Raises ValidationError if the conversation has no such turn."""
    head = lookup.turn_head(turn)
    if head is None:
        raise ValidationError(
            f"sequence: the conversation of session {state.id} has no message {turn}, or no longer: "
            "give the sequence of one of its messages",
            field="sequence",
        )
    return head


CONVERSATION_DECIDERS: Final[
    dict[type[m.Command[Any]], Callable[[SessionState, Any, Limits, Lookup], list[PendingEvent]]]
] = {
    m.AddMessage: _add,
    m.AddMessages: _add_many,
    m.StartMessage: _start,
    m.ContinueMessage: _continue,
    m.FinishMessage: _finish,
    m.EditMessage: _edit,
    m.RetractMessage: _retract,
    m.PopMessage: _pop,
    m.TruncateMessages: _truncate,
    m.ClearMessages: _truncate,
}
