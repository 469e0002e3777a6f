"""What is known of the operation that the running code belongs to: for whom it acts, and what caused it.

The runtime sets it around scripts, tools, agents and hooks; it goes with every message, also through mailboxes. Where
none is set, the host itself acts, and what it does is the root of whatever follows.

An operation belongs to one runtime, its *realm*: in another one of the same process it means nothing. Code of one that
calls another is the host there, and when it comes back from there it is again who it was: operations of other realms
stand below the current one (`outer`).
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from functools import wraps
from operator import attrgetter
from types import TracebackType
from typing import Any, Concatenate, Final, ParamSpec, Protocol, TypeVar

from greenroom.storage.errors import OperationTimeout
from greenroom.storage.events.model import Event

__all__ = [
    "CURRENT",
    "Lease",
    "Operation",
    "acting",
    "changed",
    "event_context",
    "following",
    "in_own_realm",
    "in_place",
    "operation_in",
    "own_operation",
    "require_run",
]

P = ParamSpec("P")
T = TypeVar("T")
V = TypeVar("V")
R = TypeVar("R", bound="Realm")


class Lease:
    """How long a call lasts."""

    __slots__ = ("over",)

    def __init__(self) -> None:
        self.over = False


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
    realm: object | None = field(default=None, repr=False)
    """The runtime that it belongs to, by its `Security`; None: any."""
    outer: Operation | None = field(default=None, repr=False)
    """The operation of another realm that this one was begun in."""
    lease: Lease | None = field(default=None, repr=False)
    """The call of a tool or an agent that the code belongs to."""
    run: Lease | None = field(default=None, repr=False)
    """The run of a script that the code belongs to: over once its caller has been told that it timed out."""
    lent: bool = False
    """Whether a thread has it that the code has started: that one acts for its session as long as the call lasts."""


CURRENT: contextvars.ContextVar[Operation | None] = contextvars.ContextVar("greenroom_operation", default=None)

_HOST = Operation()


_FIELDS: Final = tuple(each.name for each in fields(Operation))
_values = attrgetter(*_FIELDS)


def changed(around: Operation | None, changes: dict[str, Any]) -> Operation:
    """Return an operation (None: the host's) with these changes.

    Code that acts for somebody else than its caller enters and leaves such an operation like this, because an exception
    may be thrown in at any moment: the first call of a `finally` is made whatever comes, the end of a `with` is not::

        around = CURRENT.get()
        try:
            CURRENT.set(changed(around, {"principal": session_id}))
            ...
        finally:
            CURRENT.set(around)
    """
    # Not by `dataclasses.replace`: tools are called in it.
    return Operation(**(dict(zip(_FIELDS, _values(around or _HOST), strict=True)) | changes))


class _Acting(contextlib.AbstractContextManager[Operation]):
    """What `acting` gives."""

    __slots__ = ("_around", "_changes")

    def __init__(self, changes: dict[str, Any]) -> None:
        self._changes = changes

    def __enter__(self) -> Operation:
        around = self._around = CURRENT.get()
        operation = changed(around, self._changes)
        try:
            CURRENT.set(operation)
        except BaseException:
            CURRENT.set(around)
            raise
        return operation

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        CURRENT.set(self._around)


def acting(**changes: Any) -> contextlib.AbstractContextManager[Operation]:
    """Run the code inside as the current operation with these changes. For threads of our own, and for ids: on a
    thread of the host a change of the principal is made as `changed` shows."""
    return _Acting(changes)


class Realm(Protocol):
    """What belongs to a runtime."""

    @property
    def _realm(self) -> object:
        """The runtime, by its `Security`."""


def operation_in(realm: object) -> Operation | None:
    """The operation of this realm that the running code is in; None: it is the host's own there."""
    operation = CURRENT.get()
    while operation is not None and operation.realm is not None and operation.realm is not realm:
        operation = operation.outer
    return operation


def own_operation(realm: object) -> Operation | None:
    """Return what the running code is in this realm, as the operation that it is to be there."""
    own = operation_in(realm)
    current = CURRENT.get()
    if own is current:
        return current
    return Operation(realm=realm, outer=current) if own is None else changed(own, {"outer": current})


@contextlib.contextmanager
def in_place(variable: contextvars.ContextVar[V], value: V) -> Iterator[V]:
    """Give a variable a value for the code inside: for what the host uses by `with`, and no authority depends on.

    The end of a `with` can be interrupted before its first line. Then the value is taken back when the exception is
    dropped, which ends this generator; by then it may have been replaced, and is left alone.
    """
    before = variable.get()
    try:
        variable.set(value)
        yield value
    except GeneratorExit:
        if variable.get() is value:
            variable.set(before)
        raise
    except BaseException:
        variable.set(before)
        raise
    else:
        variable.set(before)


def in_own_realm(
    method: Callable[Concatenate[R, P], T],
) -> Callable[Concatenate[R, P], T]:
    """Have a method run as what its caller is in the realm of its object. For what reads the current operation and
    is reached from outside in another way than by a message."""

    @wraps(method)
    def run(self: R, /, *args: P.args, **options: P.kwargs) -> T:
        current = CURRENT.get()
        if current is None or current.realm is None or current.realm is self._realm:
            return method(self, *args, **options)
        try:  # not by `with`: see `changed`
            CURRENT.set(own_operation(self._realm))
            return method(self, *args, **options)
        finally:
            CURRENT.set(current)

    return run


def require_run() -> None:
    """Raise OperationTimeout for what a script has begun whose caller has been told meanwhile that it timed out.

    Whatever takes effect asks before it does, so that nothing happens behind the caller's back.
    """
    operation = CURRENT.get()
    if operation is not None and operation.run is not None and operation.run.over:
        raise OperationTimeout("the script's caller was told that it timed out: nothing was done", started=False)


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
