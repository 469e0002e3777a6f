"""What is known of the operation that the running code belongs to: for whom it acts, and what caused it.

The runtime sets it around scripts, tools, agents and hooks; it goes with every message, also through mailboxes. Where
none is set, the host itself acts, and what it does is the root of whatever follows.
"""

from __future__ import annotations

import contextlib
import contextvars
from dataclasses import dataclass, fields
from operator import attrgetter
from types import TracebackType
from typing import Any, Final

from greenroom.storage.journal import Event

__all__ = ["CURRENT", "Operation", "acting", "event_context", "following"]


@dataclass(frozen=True, slots=True)
class Operation:
    """The facts of an operation, as its events are journaled with."""

    principal: str | None = None
    """The session for which the code acts; it reaches what that session may reach. None: the host."""
    correlation_id: str | None = None
    """What belongs together, whatever caused it."""
    causation_id: str | None = None
    """The id of the event that caused this operation."""
    root_id: str | None = None
    """The id of the event at the beginning of the chain of causes."""
    source: str | None = None
    """Who acts: "script:<name>", "tool:<name>", "agent:<name>", "hook:<name>", "host"."""
    language: str | None = None
    """The language of the script that acts."""
    within: tuple[str, ...] = ()
    """The hooks above this operation: none of them is called for what it does itself."""


CURRENT: contextvars.ContextVar[Operation | None] = contextvars.ContextVar("greenroom_operation", default=None)

_HOST = Operation()


_FIELDS: Final = tuple(each.name for each in fields(Operation))
_values = attrgetter(*_FIELDS)


class _Acting(contextlib.AbstractContextManager[Operation]):
    """What `acting` gives. Not a generator, and not by `dataclasses.replace`: hooks and tools are called in it."""

    __slots__ = ("_changes", "_token")

    def __init__(self, changes: dict[str, Any]) -> None:
        self._changes = changes

    def __enter__(self) -> Operation:
        around = dict(zip(_FIELDS, _values(CURRENT.get() or _HOST), strict=True))
        operation = Operation(**(around | self._changes))
        self._token = CURRENT.set(operation)
        return operation

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        CURRENT.reset(self._token)


def acting(**changes: Any) -> contextlib.AbstractContextManager[Operation]:
    """Run the code inside as the current operation with these changes."""
    return _Acting(changes)


def event_context(operation: Operation | None, correlation_id: str | None) -> dict[str, Any] | None:
    """What an event keeps of its operation; None if there is nothing. `correlation_id` is its session's."""
    if operation is None:
        return {"correlation_id": correlation_id} if correlation_id is not None else None
    context = {
        name: value
        for name, value in (
            ("correlation_id", operation.correlation_id or correlation_id),
            ("causation_id", operation.causation_id),
            ("root_id", operation.root_id),
            ("source", operation.source),
            ("language", operation.language),
        )
        if value is not None
    }
    return context or None


def following(event: Event) -> dict[str, Any]:
    """The ids of what an event causes, for `acting`. An event that was only told is no cause that anybody could look
    up, but what follows from it still belongs together."""
    journaled = event.sequence > 0
    return {
        "correlation_id": event.correlation_id,
        "causation_id": event.id if journaled else event.causation_id,
        "root_id": event.root_id if journaled or event.root_id != event.id else None,
    }
