"""What a session journals of a workflow that runs in it: its start, each stage, and its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from greenroom.storage.errors import ValidationError
from greenroom.storage.records import checked_data

from . import messages as m
from .draft import Draft, Limits, Lookup, require_writable
from .state import SessionState

__all__ = ["WORKFLOW_DECIDERS", "WORKFLOW_EVENTS", "WORKFLOW_REPLIES", "RecordWorkflow"]

WORKFLOW_EVENTS: Final = frozenset(("workflow.started", "workflow.stage", "workflow.rolled_back", "workflow.finished"))


class RecordWorkflow(m.Command):
    """Journal a fact of a running workflow. Sent by its runner. Replies the event's id and the correlation id that
    the session was created with, if any."""

    __slots__ = ("data", "type")

    def __init__(self, type: str, data: dict[str, Any]) -> None:
        super().__init__()
        if type not in WORKFLOW_EVENTS:
            raise ValidationError(f"type: one of {', '.join(sorted(WORKFLOW_EVENTS))}", field="type")
        self.type = type
        self.data = checked_data(data)


def _record(state: SessionState, command: RecordWorkflow, limits: Limits, lookup: Lookup) -> list[Draft]:
    require_writable(state, limits)
    return [(command.type, command.data, 0, 0)]


WORKFLOW_DECIDERS: Final[dict[type[m.Command], Callable[[SessionState, Any, Limits, Lookup], list[Draft]]]] = {
    RecordWorkflow: _record
}


def _recorded(actor: Any, command: RecordWorkflow) -> tuple[str, str | None]:
    return f"{actor.actor_urn}/{actor.decided}", actor.state.correlation_id


WORKFLOW_REPLIES: Final = {RecordWorkflow: _recorded}
