"""The variables of a session or a scope as a mapping, and as types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, Unpack

from greenroom.actors import messages as m
from greenroom.actors.messages.core import How
from greenroom.actors.messages.internal import VariableKeys
from greenroom.storage.codec.records import Json
from greenroom.storage.common.arguments import as_mapping
from greenroom.storage.errors import Conflict, ValidationError, VariableNotFound, shown

from .replies import reply_as

__all__ = ["TypeOf", "Variables"]

T = TypeVar("T")

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    TypeOf: TypeAlias = type[T] | TypeAdapter[T]
"""What `as_` takes: a type, or a `pydantic.TypeAdapter` where a type checker accepts no type, as for `int | None`."""


class Variables:
    """Base of handles that have variables: `handle["k"]`, `handle["k"] = v`, `del handle["k"]`, `"k" in handle`,
    `handle.update({…})`, and iteration over the keys. There is no `len`, so that a handle is never false."""

    __slots__ = ()

    def _send(self, message: m.Message[Any], missing: Any = None) -> Any:
        """Send a message and return the reply; `missing` if nothing has ever been there to ask."""
        raise NotImplementedError

    def _typed(self, key: str, default: Any, kind: Any) -> Any:
        """Return the value of a variable as a type, or `default` as it is."""
        value = self._send(m.GetVariable(key, m.ABSENT), m.ABSENT)
        if value is m.ABSENT:
            return default
        from greenroom.runtime.model.typed import as_type

        return as_type(value, kind, key)

    def __getitem__(self, key: str) -> Json:
        """Return a copy of the value of a variable. Raises VariableNotFound, which is a KeyError."""
        value: Json | m.Expectation = self._send(m.GetVariable(key, m.ABSENT), m.ABSENT)
        if isinstance(value, m.Expectation):
            raise _not_found(key)
        return value

    def __setitem__(self, key: str, value: object) -> None:
        self._send(m.SetVariable(key, value))

    def update(self, values: Mapping[str, object] | None = None, /, **more: object) -> None:
        """Set several variables in one write, all or none: `handle.update({"a": 1}, b=2)`."""
        given = {**as_mapping("values", {} if values is None else values), **more}
        if given:
            self._send(m.Batch([m.SetVariable(key, value) for key, value in given.items()]))

    def compare_and_set(self, key: str, expected: object, value: object, **how: Unpack[How]) -> bool:
        """Set a variable if its value is `expected` now, and return whether it was. Otherwise nothing changes.

        Values are equal as JSON: 1 is 1.0 but not true, and the order of an object's keys does not count. Expecting
        None holds for a variable that does not exist or is null, as `get` answers None for both; `messages.ABSENT` only
        for one that does not exist. Setting `messages.ABSENT` deletes the variable. In a batch, a value that is not the
        expected one refuses the whole batch: InvalidOperation with the field `conflict` true.

        Example:
            ```py
            while not session.compare_and_set("n", n := session.get("n"), (n or 0) + 1):
                pass
            ```
        """
        wanted = m.UNSET if expected is None else expected
        command: m.SetVariable | m.DeleteVariable
        if value is m.ABSENT:
            command = m.DeleteVariable(key, expected=wanted, **how)
        else:
            command = m.SetVariable(key, value, expected=wanted, **how)
        try:
            self._send(command)
        except Conflict as error:
            if error.fields.get("key") == command.key:
                return False
            raise  # the session does not have the expected sequence
        return True

    def __delitem__(self, key: str) -> None:
        if not self._send(m.DeleteVariable(key), False):
            raise _not_found(key)

    def __contains__(self, key: object) -> bool:
        """Return whether there is a variable with this key."""
        try:
            message = m.GetVariable(key, m.ABSENT)  # type: ignore[arg-type]
        except ValidationError:
            return False  # it could not be a key
        return self._send(message, m.ABSENT) is not m.ABSENT

    def __iter__(self) -> Iterator[str]:
        """Return an iterator over the keys of all variables, in order. Reads no value."""
        return iter(reply_as(list, self._send(VariableKeys(), []), "the keys"))


def _not_found(key: str) -> VariableNotFound:
    return VariableNotFound(f"there is no variable {shown(key)}", key=key)
