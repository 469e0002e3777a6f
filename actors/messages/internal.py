"""Messages that only the runtime itself sends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from greenroom.storage.errors import ValidationError

from .calls import Recorded
from .core import Command, PendingEvent, Points, Query

__all__ = [
    "WORKFLOW_EVENTS",
    "Consumption",
    "GetConsumption",
    "KeepTime",
    "RecordHooks",
    "RecordWorkflow",
    "VariableKeys",
    "VariableSchemas",
]


class RecordHooks(Command[None]):
    """Journal executions of hooks."""

    __slots__ = ("drafts",)
    batched = False
    note = True
    rate = None
    hookable = False

    def __init__(self, drafts: list[PendingEvent]) -> None:
        super().__init__()
        self.drafts = drafts


class KeepTime(Command[None]):
    """Warn, suspend or fail the session if its time has come. Sent by the timekeeper. `on_done` is called with the
    session, the time to look again (ns since the epoch; None: not before it is active again), and the type of the event
    that changed the status, if any."""

    __slots__ = ("busy", "now", "on_done", "outcome")
    batched = False

    def __init__(
        self, now: int, on_done: Callable[[bytes, int | None, str | None], None], *, busy: bool = False
    ) -> None:
        """`busy`: a tool or an agent works for the session, so the session is not idle."""
        super().__init__()
        self.busy = busy
        self.now = now
        self.on_done = on_done
        self.outcome: str | None = None


WORKFLOW_EVENTS: Final = frozenset(
    (
        "workflow.started",
        "workflow.decided",
        "workflow.stage",
        "workflow.resumed",
        "workflow.rolled_back",
        "workflow.finished",
    )
)


class RecordWorkflow(Recorded[tuple[str, str | None]]):
    """Journal a fact of a running workflow. Sent by its runner. Replies the event's id, and the correlation id that the
    session was created with, if any."""

    __slots__ = ()
    note = True

    def __init__(self, type: str, data: dict[str, Any]) -> None:
        if type not in WORKFLOW_EVENTS:
            raise ValidationError(f"type: one of {', '.join(sorted(WORKFLOW_EVENTS))}", field="type")
        super().__init__(type, data)


@dataclass(frozen=True, slots=True)
class Consumption:
    """How much of a resource a session has used: bytes, US dollars, or a number. A `limit` of None means no limit."""

    value: float
    limit: float | None

    @property
    def percent(self) -> float | None:
        """The share of the limit that is used; None if there is no limit."""
        if self.limit is None:
            return None
        return 100 * self.value / self.limit if self.limit else 100.0


class GetConsumption(Query[dict[str, Consumption]]):
    """Replies a dict of Consumption by the name of the resource: what the session has used and may use."""

    __slots__ = ()
    whole = 0
    rate = None


class VariableKeys(Query[list[str]]):
    """Replies the keys of all variables, in order, without reading a value. Used to remove variables."""

    __slots__ = ()
    access = "list"
    points = Points("BeforeStateRead", "AfterStateRead")


class VariableSchemas(Query[dict[str, "tuple[str, int] | None"]]):
    """Replies for each variable, in order, the name and the version of the schema by which it was set, or None. Reads
    no value."""

    __slots__ = ()
    access = "list"
    points = Points("BeforeStateRead", "AfterStateRead")
