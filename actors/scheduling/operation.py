"""Describe the operation that the running code belongs to: for whom it acts, and what caused it.

The runtime sets it around scripts, tools, agents and hooks. It travels with every message, also through mailboxes.
Where none is set, the host itself acts, and what the host does is the root of whatever follows.

An operation belongs to one runtime, its *realm*, and means nothing in another runtime of the same process. Code of one
runtime that calls another one is the host there; back in its own realm it is again who it was. So operations of other
realms are kept below the current one (`outer`).
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, TypeVar

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
    """Tells how long a call lasts."""

    __slots__ = ("over",)

    def __init__(self) -> None:
        self.over = False


class Operation(NamedTuple):
    """The facts of an operation that its events are journaled with."""

    principal: str | None = None
    """The session for which the code acts; the code can access what that session can. None: the host."""
    correlation_id: str | None = None
    """The id shared by operations and events that belong together, whatever caused them."""
    causation_id: str | None = None
    """The id of the event that caused this operation."""
    root_id: str | None = None
    """The id of the event at the beginning of the chain of causes."""
    source: str | None = None
    """Who acts: "script:<name>", "tool:<name>", "agent:<name>", "hook:<name>", "host"."""
    language: str | None = None
    """The language of the script that acts."""
    within: tuple[str, ...] = ()
    """The hooks that this operation runs in. None of them is called for what the operation itself does."""
    realm: object | None = None
    """The runtime that it belongs to, identified by its `Security`; None: any."""
    outer: Operation | None = None
    """The operation of another realm in which this one began."""
    lease: Lease | None = None
    """The call of a tool or an agent that the code belongs to."""
    run: Lease | None = None
    """The run of the script that the code belongs to. It is over once its caller has been told that it timed out."""
    visiting: str | None = None
    """The session or scope that a message of this operation was admitted to by a permission on all of it."""
    lent: bool = False
    """Whether this is the operation of a thread that the code has started. Such a thread acts for its session as long
    as the call lasts."""


CURRENT: contextvars.ContextVar[Operation | None] = contextvars.ContextVar("greenroom_operation", default=None)

_HOST = Operation()


def changed(around: Operation | None, changes: dict[str, Any]) -> Operation:
    """Return an operation (None: the host's) with these changes.

    Code that acts for somebody else than its caller enters and leaves such an operation as shown, because an exception
    may be thrown in at any moment: the first call of a `finally` is always made, the end of a `with` is not::

        around = CURRENT.get()
        try:
            CURRENT.set(changed(around, {"principal": session_id}))
            ...
        finally:
            CURRENT.set(around)
    """
    return (around or _HOST)._replace(**changes)


class _Acting(contextlib.AbstractContextManager[Operation]):
    """The context manager that `acting` returns."""

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
    """Run the code inside as the current operation with these changes. Meant for threads of our own, and for ids. On a
    thread of the host, change the principal as `changed` shows."""
    return _Acting(changes)


class Realm(Protocol):
    """An object that belongs to a runtime."""

    @property
    def _realm(self) -> object:
        """The runtime, identified by its `Security`."""


def operation_in(realm: object) -> Operation | None:
    """Return the operation of this realm in which the code runs; None if the code is the host in this realm."""
    operation = CURRENT.get()
    while operation is not None and operation.realm is not None and operation.realm is not realm:
        operation = operation.outer
    return operation


def own_operation(realm: object) -> Operation | None:
    """Return the operation that the running code must have in this realm."""
    own = operation_in(realm)
    current = CURRENT.get()
    if own is current:
        return current
    return Operation(realm=realm, outer=current) if own is None else changed(own, {"outer": current})


@contextlib.contextmanager
def in_place(variable: contextvars.ContextVar[V], value: V) -> Iterator[V]:
    """Set a variable for the code inside. Only for the host's use by `with`, where no authority depends on the value.

    The end of a `with` can be interrupted before its first line. Then the value is restored when the exception is
    dropped, which ends this generator. If the value has been replaced by then, it is left alone.
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
    """Run a method as the operation that its caller has in the realm of the object. For methods that read the current
    operation and are reached from outside other than by a message."""

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
    """Raise OperationTimeout in a script whose caller has already been told that it timed out.

    Whatever takes effect calls this first, so that nothing happens behind the caller's back.
    """
    operation = CURRENT.get()
    if operation is not None and operation.run is not None and operation.run.over:
        raise OperationTimeout("the script's caller was told that it timed out: nothing was done", started=False)


def event_context(operation: Operation | None, correlation_id: str | None) -> dict[str, Any] | None:
    """Return the parts of an operation that its events keep; None if there are none. `correlation_id` is the
    session's."""
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
    """Return the ids for what an event causes, to be passed to `acting`. An event that was not journaled cannot be
    looked up as a cause, but what follows from it still belongs together."""
    journaled = event.sequence > 0
    return {
        "correlation_id": event.correlation_id,
        "causation_id": event.id if journaled else event.causation_id,
        "root_id": event.root_id if journaled or event.root_id != event.id else None,
    }
