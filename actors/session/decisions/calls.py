"""Calls of tools and agents, as a session sees them: that a call began, and what it returned.

The callable itself runs outside the session's turn, on an elastic thread: between the two events the session answers
everybody else. A call whose process dies has no return in the journal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from greenroom.actors import messages as m
from greenroom.actors.messages.calls import (
    Call,
    CallAgent,
    Called,
    CallTool,
    RecordCall,
    RecordReturn,
    RecordScript,
    RecordTape,
)
from greenroom.actors.messages.core import PendingEvent
from greenroom.actors.messages.events import RecordEvent
from greenroom.actors.messages.forking import RecordToolResult
from greenroom.actors.session.state.answers import answer_draft
from greenroom.actors.session.state.budgets import require_budget
from greenroom.actors.session.state.model import ACTIVE, SUSPENDED, SessionState
from greenroom.storage.catalog.model import STATUSES
from greenroom.storage.errors import InvalidSessionState
from greenroom.storage.events.calls import RECORDING_STARTED

from .draft import Limits, Lookup, require_writable

__all__ = ["CALL_DECIDERS", "CALL_REPLIES", "CallPath"]


class CallPath(Protocol):
    """Makes the calls that sessions are asked for."""

    def ask(self, session_id: str, message: Call, timeout: float) -> Any:
        """Make a call on the caller's thread, and return its reply."""

    def tell(self, session_id: str, message: Call, receipt: Any) -> None:
        """Make a call for which nobody waits. `receipt`, if not None, gets its outcome."""


def _called(state: SessionState, command: RecordCall, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    require_writable(state, limits)
    if command.kind == "agent" and "crossing" not in command.data:  # what was recorded is spent already
        require_budget(state, limits)
    return [PendingEvent(command.type, command.stored_fields())]


def _returned(state: SessionState, command: RecordReturn, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    if state.status not in (ACTIVE, SUSPENDED):
        status = STATUSES[state.status]
        raise InvalidSessionState(
            f"session {state.id} has become {status} while {command.kind} {command.data['name']!r} was at work: "
            "its result is not recorded",
            status=str(status),
        )
    drafts = [PendingEvent(command.type, command.stored_fields())]
    if command.key is not None:
        call = CallAgent if command.kind == "agent" else CallTool
        drafts.append(answer_draft(command.key, call, ["call", state.sequence + 1]))
    return drafts


def _result_changed(
    state: SessionState, command: RecordToolResult, limits: Limits, lookup: Lookup
) -> list[PendingEvent]:
    require_writable(state, limits)
    return [PendingEvent(command.type, command.stored_fields())]


def _script(state: SessionState, command: RecordScript, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    idle = state.status != ACTIVE or state.operation_count >= limits.max_operations
    if idle and command.type == "script.started":
        return []
    return [PendingEvent(command.type, command.stored_fields())]


def _tape(state: SessionState, command: RecordTape, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    if command.type == RECORDING_STARTED:
        require_writable(state, limits)
    elif state.status not in (ACTIVE, SUSPENDED):
        status = STATUSES[state.status]
        raise InvalidSessionState(
            f"session {state.id} has become {status} while it was recorded, and takes nothing more: "
            "end the recording before the session, or record into a new session",
            status=str(status),
        )
    return [PendingEvent(command.type, command.stored_fields())]


CALL_DECIDERS: Final[dict[type[m.Command[Any]], Callable[[SessionState, Any, Limits, Lookup], list[PendingEvent]]]] = {
    RecordCall: _called,
    RecordReturn: _returned,
    RecordToolResult: _result_changed,
    RecordScript: _script,
    RecordTape: _tape,
}


def _reply(actor: Any, command: RecordCall | RecordEvent | RecordScript | RecordTape) -> Called:
    state: SessionState = actor.state
    return Called(
        actor.decided,
        f"{state.id}/{actor.decided}",
        state.correlation_id,
        actor.limits.auto_collect_artifacts,
    )


CALL_REPLIES: Final[dict[type[Any], Callable[[Any, Any], Any]]] = dict.fromkeys(
    (RecordCall, RecordEvent, RecordScript, RecordTape), _reply
)
