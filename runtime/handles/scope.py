"""State that belongs to no session: "global", "user:<id>", "agent:<id>" and the like."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from greenroom.actors import messages as m
from greenroom.actors.messages.core import How
from greenroom.storage.codec.records import Json
from greenroom.storage.errors import SessionNotFound

from .collecting import Asking
from .variables import Variables

if TYPE_CHECKING:
    from greenroom.runtime.core import RuntimeCore

    from .variables import TypeOf

__all__ = ["Scope", "own_scope"]

T = TypeVar("T")
D = TypeVar("D")


class Scope(Variables):
    """The variables of one scope. Durable, journaled and serialized like a session's."""

    def __init__(self, supervisor: Asking, scope_id: str, timeout: float, name: str = "") -> None:
        self._supervisor = supervisor
        self._id = scope_id
        self._timeout = timeout
        self._name = name

    def __repr__(self) -> str:
        return f"<Scope {self._name or self._id}>"

    def _through(self, asking: Asking) -> Scope:
        """Return a handle on the same scope that sends its messages to `asking`."""
        return Scope(asking, self._id, self._timeout, self._name)

    def _send(self, message: m.Message[Any], missing: Any = None) -> Any:
        try:
            return self._supervisor.ask(self._id, message, self._timeout)
        except SessionNotFound:
            return missing  # in a read-only runtime a scope has no journal before the first write

    def set(self, key: str, value: object, **how: Unpack[How]) -> None:
        """Set a variable to a value of at most 1 MiB."""
        self._send(m.SetVariable(key, value, **how))

    @overload
    def get(self, key: str) -> Json: ...
    @overload
    def get(self, key: str, default: D) -> Json | D: ...
    @overload
    def get(self, key: str, default: None = None, *, as_: TypeOf[T]) -> T | None: ...
    @overload
    def get(self, key: str, default: T, *, as_: TypeOf[T]) -> T: ...
    @overload
    def get(self, key: str, default: D, *, as_: TypeOf[T]) -> T | D: ...
    def get(self, key: str, default: Any = None, as_: Any = None) -> Any:
        """Return a copy of the value of a variable, or `default`; with `as_`, as that type (see `Session.get`)."""
        if as_ is not None:
            return self._typed(key, default, as_)
        return self._send(m.GetVariable(key, default), default)

    def delete(self, key: str, **how: Unpack[How]) -> bool:
        """Delete a variable and return whether it existed."""
        return bool(self._send(m.DeleteVariable(key, **how)))

    def list(self, prefix: str = "") -> dict[str, Json]:
        """Return the variables whose key begins with `prefix`, by key."""
        found: dict[str, Json] = self._send(m.ListVariables(prefix), {})
        return found

    def keys(self) -> builtins.list[str]:
        """Return the keys of all variables, in order. Reads no value."""
        return builtins.list(self)

    def clear(self) -> int:
        """Delete all variables and return their number. Reads no value."""
        return sum(self.delete(key) for key in self.keys())


def own_scope(core: RuntimeCore, name: str) -> Scope:
    """Return a scope in which the runtime keeps state of its own."""
    return Scope(core.supervisor, core.supervisor.table.scope(name), core.config.ask_timeout, name)
