"""The message that journals the progress of a workflow."""

from __future__ import annotations

from typing import Any, Final

from greenroom.storage.codec.records import checked_data
from greenroom.storage.errors import ValidationError

from .core import Command

__all__ = ["WORKFLOW_EVENTS", "RecordWorkflow"]

WORKFLOW_EVENTS: Final = frozenset(("workflow.started", "workflow.stage", "workflow.rolled_back", "workflow.finished"))


class RecordWorkflow(Command[tuple[str, str | None]]):
    """Journal a fact of a running workflow. Sent by its runner. Replies the event's id and the correlation id that
    the session was created with, if any."""

    __slots__ = ("data", "type")
    rate = None

    def __init__(self, type: str, data: dict[str, Any]) -> None:
        super().__init__()
        if type not in WORKFLOW_EVENTS:
            raise ValidationError(f"type: one of {', '.join(sorted(WORKFLOW_EVENTS))}", field="type")
        self.type = type
        self.data = checked_data(data)
