"""Journal the facts of a workflow that runs in a session: its start, what it decides, each stage, and its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.core import PendingEvent
from greenroom.actors.messages.internal import RecordWorkflow
from greenroom.actors.session.state.model import SessionState

from .draft import Limits, Lookup, require_writable

__all__ = ["WORKFLOW_DECIDERS", "WORKFLOW_REPLIES"]


def _record(state: SessionState, command: RecordWorkflow, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    require_writable(state, limits)
    return [PendingEvent(command.type, command.stored_fields())]


WORKFLOW_DECIDERS: Final[
    dict[type[m.Command[Any]], Callable[[SessionState, Any, Limits, Lookup], list[PendingEvent]]]
] = {RecordWorkflow: _record}


def _recorded(actor: Any, command: RecordWorkflow) -> tuple[str, str | None]:
    return f"{actor.actor_urn}/{actor.decided}", actor.state.correlation_id


WORKFLOW_REPLIES: Final = {RecordWorkflow: _recorded}
