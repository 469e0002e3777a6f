"""State that belongs to no session: "global", "user:<id>", "agent:<id>" and the like."""

from __future__ import annotations

import builtins
from typing import Any

from greenroom.actors import messages as m
from greenroom.actors.messages.internal import VariableKeys
from greenroom.actors.supervisor.supervisor import Supervisor
from greenroom.storage.codec.records import Value
from greenroom.storage.errors import SessionNotFound

from .replies import reply_as

__all__ = ["Scope"]


class Scope:
    """The variables of one scope. Durable, journaled and serialized like a session's."""

    def __init__(self, supervisor: Supervisor, scope_id: str, timeout: float) -> None:
        self._supervisor = supervisor
        self._id = scope_id
        self._timeout = timeout

    def _ask(self, message: m.Message[Any], missing: Value = None) -> Value:
        try:
            return self._supervisor.ask(self._id, message, self._timeout)
        except SessionNotFound:
            return missing  # in a read-only runtime a scope has no journal before the first write

    def set(self, key: str, value: Value) -> None:
        self._ask(m.SetVariable(key, value))

    def get(self, key: str, default: Value = None) -> Value:
        return self._ask(m.GetVariable(key, default), default)

    def delete(self, key: str) -> bool:
        """Delete a variable and return whether it existed."""
        return bool(self._ask(m.DeleteVariable(key)))

    def list(self, prefix: str = "") -> dict[str, Value]:
        """Return the variables whose key begins with `prefix`, by key."""
        found: dict[str, Value] = self._ask(m.ListVariables(prefix), {})
        return found

    def keys(self) -> builtins.list[str]:
        """Return the keys of all variables, in order. Reads no value."""
        return reply_as(builtins.list, self._ask(VariableKeys(), []), "the keys")

    def clear(self) -> int:
        """Delete all variables and return their number. Reads no value."""
        return sum(self.delete(key) for key in self.keys())
