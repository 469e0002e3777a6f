"""The global `State`: reads and writes variables by scope."""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable
from typing import Any, Final, Protocol

from greenroom.runtime import Scope, Session, ValidationError
from greenroom.scripting.definition.examples import call, example
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.shapes import COUNT, DICT, FLAG, TRUE, VALUE, Maybe
from greenroom.scripting.definition.types import Text, as_text
from greenroom.scripting.definition.values import UNDEFINED
from greenroom.scripting.globals.choices import HOW
from greenroom.scripting.globals.context import ScriptContext

__all__ = ["StateGlobal"]

_SET: Final = call("State.set", "user:7", "theme", "dark")
_SCOPE: Final = re.compile(r"global|(?:session|user|agent|tool|workflow|custom):.+", re.DOTALL)
_KEY_OF_SESSION: Final = re.compile(
    r"(session:(?:current|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})):(.*)", re.DOTALL
)


class _Variables(Protocol):
    @property
    def set(self) -> Callable[..., None]: ...
    @property
    def delete(self) -> Callable[..., bool]: ...
    def get(self, key: str, default: Any) -> Any: ...
    def list(self, prefix: str) -> dict[str, Any]: ...
    def keys(self) -> builtins.list[str]: ...


class _SessionVariables:
    """Gives a session's variables the interface of a scope."""

    def __init__(self, session: Session) -> None:
        self.set = session.set
        self.get = session.get
        self.delete = session.delete_variable
        self.list = session.variables
        self.keys = session.variable_keys


def _text(value: Any, what: str) -> str:
    if type(value) is not str:
        value = as_text(value)
        if not isinstance(value, str):
            raise ValidationError(f"{what}: a text is needed", field=what)
    return value


class StateGlobal:
    """Reads and writes variables. The default scope is the current session, or "global" if none is current.

    A scope is "global", "session:<id>", "session:current", "user:<id>", "agent:<id>", "tool:<id>",
    "workflow:<id>" or "custom:<name>". A key "session:<id>:<key>" without a scope means <key> of that session.
    """

    NAME = "State"

    def __init__(self, context: ScriptContext) -> None:
        self._context = context

    def _scope(self, name: str) -> _Variables:
        if not _SCOPE.fullmatch(name):
            raise ValidationError(
                'scope: "global", "session:<id>", "session:current", "user:<id>", "agent:<id>", "tool:<id>",'
                ' "workflow:<id>" or "custom:<name>" is needed',
                field="scope",
            )
        if name.startswith("session:"):
            rest = name[len("session:") :]
            return _SessionVariables(self._context.session(UNDEFINED if rest == "current" else rest))
        scope: Scope = self._context.scope(name)
        return scope

    def _default(self) -> _Variables:
        if self._context.current_id is not None:
            return _SessionVariables(self._context.session())
        return self._context.scope("global")

    def _place(self, key: Any) -> tuple[_Variables, str]:
        """Return the variables and the key that a key without a scope means."""
        key = _text(key, "key")
        if key.startswith("session:") and (match := _KEY_OF_SESSION.fullmatch(key)):
            return self._scope(match[1]), match[2]
        return self._default(), key

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
            where, key = self._scope(_text(given[0], "scope")), _text(given[1], "key")
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
            if isinstance(second, str) and isinstance(first, str) and self._is_scope(first):
                return self._scope(first).get(second, UNDEFINED)
            where, key = self._place(first)
            return where.get(key, second)
        if len(given) == 3:
            return self._scope(_text(given[0], "scope")).get(_text(given[1], "key"), given[2])
        raise ValidationError("State.get takes key [, default] or scope, key [, default]")

    @staticmethod
    def _is_scope(text: str) -> bool:
        return _SCOPE.fullmatch(text) is not None and _KEY_OF_SESSION.fullmatch(text) is None

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
            where, key = self._scope(_text(given[0], "scope")), _text(given[1], "key")
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
        texts = [_text(each, "prefix") for each in given if each is not UNDEFINED]
        if not texts:
            return self._default().list("")
        if len(texts) == 1:
            return self._scope(texts[0]).list("") if self._is_scope(texts[0]) else self._default().list(texts[0])
        if len(texts) == 2:
            return self._scope(texts[0]).list(texts[1])
        raise ValidationError("State.list takes a prefix, or scope [, prefix]")

    @export("clear", returns=COUNT, example=example("user:7", before=[_SET]))
    def clear(self, scope: Text = UNDEFINED) -> int:
        """Delete all variables of a scope and return their number."""
        where = self._default() if scope is UNDEFINED else self._scope(_text(scope, "scope"))
        count = 0
        for key in where.keys():  # noqa: SIM118 (no dict: it would read the values)
            self._context.check_time()
            count += where.delete(key)
        return count
