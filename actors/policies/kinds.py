"""The kinds of operations that rates are set for, and which message is of which kind."""

from __future__ import annotations

from typing import Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.calls import CallAgent, CallTool, RecordCall, RecordReturn
from greenroom.actors.messages.configuration import UpdateConfig
from greenroom.actors.messages.events import LinkEvents, PublishEvent, RecordEvent
from greenroom.actors.messages.internal import RecordHooks
from greenroom.actors.messages.limits import GetConsumption
from greenroom.actors.messages.sharing import ForgetGrantee
from greenroom.actors.messages.workflows import RecordWorkflow

__all__ = ["CREATION", "KINDS", "READ", "kind_of", "weight_of"]

READ: Final = "read"
"""Reads count against a rate of their own, where there is one, and never against those of runtime and session: a
session over its rate can still be looked at."""
CREATION: Final = "session_create"
_OTHER: Final = "operation"

KINDS: Final[dict[type[Any], str | None]] = {
    m.SetVariable: "state_update",
    m.DeleteVariable: "state_update",
    m.UpdateMetadata: "state_update",
    m.AddTag: "state_update",
    m.RemoveTag: "state_update",
    m.SetTags: "state_update",
    m.AddMessage: "message",
    m.StoreArtifact: "artifact_store",
    m.StoreMany: "artifact_store",
    m.DeleteArtifact: "artifact_delete",
    m.ForkSession: CREATION,
    CallAgent: "llm_call",
    CallTool: "tool_execution",
    PublishEvent: "event",
    LinkEvents: "event",
    # What is only written down of an operation that was counted.
    **dict.fromkeys((RecordEvent, RecordCall, RecordReturn, RecordHooks, RecordWorkflow, ForgetGrantee)),
    # The life of a session is never held up by rates: it can always be suspended, ended, saved and deleted.
    **dict.fromkeys(
        (
            m.SuspendSession,
            m.ResumeSession,
            m.CompleteSession,
            m.FailSession,
            m.ArchiveSession,
            m.DeleteSession,
            m.SaveSession,
            m.LoadSession,
            m.AcceptLosses,
            m.Finish,
            UpdateConfig,
            GetConsumption,
        )
    ),
}
"""By class of message. None: not limited. Queries that are not here are reads, commands that are not are of the kind
"operation"."""


def kind_of(message: type[Any]) -> str | None:
    """The kind of operation that messages of a class are."""
    try:
        return KINDS[message]
    except KeyError:
        kind = KINDS[message] = READ if issubclass(message, m.Query) else _OTHER
        return kind


def weight_of(message: Any) -> int:
    """How many operations a message is: one for each artifact of a batch."""
    return len(message.items) if message.__class__ is m.StoreMany else 1
