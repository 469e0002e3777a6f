"""The global `State`: reads and writes variables by scope."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any, Final, Protocol

from greenroom.runtime import Scope, Session, ValidationError, messages
from greenroom.scripting.definition.examples import call, example
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.shapes import COUNT, DICT, FLAG, LIST, TRUE, VALUE, Maybe
from greenroom.scripting.definition.types import Json, Text
from greenroom.scripting.definition.values import UNDEFINED
from greenroom.scripting.globals.choices import HOW
from greenroom.scripting.globals.context import ScriptContext

from .scopes import is_scope, key_of_session, place_of, text_of

__all__ = ["StateGlobal"]

_SET: Final = call("State.set", "user:7", "theme", "dark")


class _Variables(Protocol):
    @property
    def set(self) -> Callable[..., None]: ...
    @property
    def delete(self) -> Callable[..., bool]: ...
    @property
    def compare_and_set(self) -> Callable[..., bool]: ...
    def get(self, key: str, default: Any) -> Any: ...
    def list(self, prefix: str) -> dict[str, Any]: ...
    def keys(self) -> builtins.list[str]: ...


class _SessionVariables:
    """Gives a session's variables the interface of a scope."""

    def __init__(self, session: Session) -> None:
        self.set = session.set
        self.get = session.get
        self.delete = session.delete_variable
        self.compare_and_set = session.compare_and_set
        self.list = session.variables
        self.keys = session.variable_keys


class StateGlobal:
    """Reads and writes variables. The default scope is the current session, or "global" if none is current.

    A scope is "global", "session:<id>", "session:current", "user:<id>", "agent:<id>", "tool:<id>",
    "workflow:<id>" or "custom:<name>". A key "session:<id>:<key>" without a scope means <key> of that session.
    """

    NAME = "State"

    def __init__(self, context: ScriptContext) -> None:
        self._context = context

    def _scope(self, scope: Any, *, custom: bool = False) -> _Variables:
        """Return the variables of a scope; without one, of the current session, or of "global" if none is current."""
        place = place_of(self._context, scope, custom=custom)
        if isinstance(place, Session):
            return _SessionVariables(place)
        found: Scope = self._context.scope(place if place is not None else "global")
        return found

    def _place(self, key: Any) -> tuple[_Variables, str]:
        """Return the variables and the key that a key without a scope means."""
        key = text_of(key, "key")
        named = key_of_session(key)
        return (self._scope(named[0]), named[1]) if named is not None else (self._scope(UNDEFINED), key)

    @export(
        "set",
        returns=TRUE,
        forms=("set(key, value)", "set(scope, key, value [, options])"),
        example=example("user:7", "theme", "dark"),
    )
    def set(self, *given: Any) -> bool:
        """Set a variable, or delete it if the value is nil."""
        more: dict[str, Any] = {}
        if len(given) == 4:
            more = HOW.read(given[-1], "State.set")
            given = given[:-1]
        if len(given) == 2:
            where, key = self._place(given[0])
        elif len(given) == 3:
            where, key = self._scope(given[0]), text_of(given[1], "key")
        else:
            raise ValidationError("State.set takes key, value or scope, key, value")
        if given[-1] is UNDEFINED:
            where.delete(key, **more)
        else:
            where.set(key, given[-1], **more)
        return True

    @export(
        "get",
        returns=Maybe(VALUE),
        forms=("get(key [, default])", "get(scope, key [, default])"),
        example=example("user:7", "theme", "light", before=[_SET]),
    )
    def get(self, *given: Any) -> Any:
        """Return a variable, or the default if there is none.

        The first of two texts is a scope if it has the form of one.
        """
        if len(given) == 1:
            where, key = self._place(given[0])
            return where.get(key, UNDEFINED)
        if len(given) == 2:
            first, second = given
            if isinstance(second, str) and isinstance(first, str) and is_scope(first):
                return self._scope(first).get(second, UNDEFINED)
            where, key = self._place(first)
            return where.get(key, second)
        if len(given) == 3:
            return self._scope(given[0]).get(text_of(given[1], "key"), given[2])
        raise ValidationError("State.get takes key [, default] or scope, key [, default]")

    @export(
        "delete",
        returns=FLAG,
        forms=("delete(key)", "delete(scope, key [, options])"),
        example=example("user:7", "theme", before=[_SET]),
    )
    def delete(self, *given: Any) -> bool:
        """Delete a variable and return whether it existed."""
        more: dict[str, Any] = {}
        if len(given) == 3:
            more = HOW.read(given[-1], "State.delete")
            given = given[:-1]
        if len(given) == 1:
            where, key = self._place(given[0])
        elif len(given) == 2:
            where, key = self._scope(given[0], custom=True), text_of(given[1], "key")
        else:
            raise ValidationError("State.delete takes key or scope, key")
        return where.delete(key, **more)

    @export(
        "list",
        returns=DICT,
        counted=True,
        forms=("list([prefix])", "list(scope [, prefix])"),
        example=example("user:7", "th", before=[_SET]),
    )
    def list(self, *given: Any) -> dict[str, Any]:
        """Return variables by key: those of a scope, or those whose key begins with a prefix."""
        texts = [text_of(each, "prefix") for each in given if each is not UNDEFINED]
        if not texts:
            return self._scope(UNDEFINED).list("")
        if len(texts) == 1:
            return self._scope(texts[0]).list("") if is_scope(texts[0]) else self._scope(UNDEFINED).list(texts[0])
        if len(texts) == 2:
            return self._scope(texts[0]).list(texts[1])
        raise ValidationError("State.list takes a prefix, or scope [, prefix]")

    @export("clear", returns=COUNT, example=example("user:7", before=[_SET]))
    def clear(self, scope: Text = UNDEFINED) -> int:
        """Delete all variables of a scope and return their number."""
        where = self._scope(scope)
        count = 0
        for key in where.keys():  # noqa: SIM118 (no dict: it would read the values)
            self._context.check_time()
            count += where.delete(key)
        return count

    @export(
        "compareAndSet",
        returns=FLAG,
        options={"options": HOW},
        example=example("user:7", "theme", "dark", "light", before=[_SET]),
    )
    def compare_and_set(self, scope: Json, key: Text, expected: Json, value: Json, options: Any = UNDEFINED) -> bool:
        """Set a variable if its value is the expected one now, and return whether it was. Otherwise nothing changes.

        Values are equal as JSON. Nil is expected of a variable that does not exist; null also of one that does not
        exist, or is null. A value of nil deletes the variable.
        """
        wanted = messages.ABSENT if expected is UNDEFINED else expected
        new = messages.ABSENT if value is UNDEFINED else value
        return self._scope(scope).compare_and_set(key, wanted, new, **options)

    # -- the same with a scope first

    @export(
        "save",
        returns=TRUE,
        options={"options": HOW},
        example=example("user:7", "theme", "dark"),
    )
    def save(self, scope: Json, key: Text, value: Json = UNDEFINED, options: Any = UNDEFINED) -> bool:
        """Set a variable of a scope, or delete it if the value is nil. A text that is no scope is a custom scope of
        that name."""
        where = self._scope(scope, custom=True)
        if value is UNDEFINED:
            where.delete(key, **options)
        else:
            where.set(key, value, **options)
        return True

    @export("load", returns=Maybe(VALUE), counted=True, example=example("user:7", "theme", "light", before=[_SET]))
    def load(self, scope: Json, key: Text, default: Json = UNDEFINED) -> Any:
        """Return a variable of a scope, or the default if there is none. A text that is no scope is a custom scope of
        that name."""
        return self._scope(scope, custom=True).get(key, default)

    @export("list_keys", returns=LIST, counted=True, example=example("user:7", "th", before=[_SET]))
    def list_keys(self, scope: Json = UNDEFINED, prefix: Text = "") -> Any:
        """Return the keys of a scope, or those that begin with a prefix, in order. A text that is no scope is a custom
        scope of that name."""
        return [each for each in self._scope(scope, custom=True).keys() if each.startswith(prefix)]  # noqa: SIM118
