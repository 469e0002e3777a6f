"""The names of scopes, as scripts write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from greenroom.runtime import Session, ValidationError
from greenroom.scripting.definition.types import as_text
from greenroom.scripting.definition.values import UNDEFINED
from greenroom.scripting.globals.context import ScriptContext

__all__ = ["is_scope", "key_of_session", "place_of", "text_of"]

_SCOPE: Final = re.compile(r"global|(?:session|user|agent|tool|workflow|custom):.+", re.DOTALL)
_ID: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_SESSION: Final = re.compile(_ID)
_KEY_OF_SESSION: Final = re.compile(rf"(session:(?:current|{_ID})):(.*)", re.DOTALL)


def text_of(value: Any, what: str) -> str:
    """Return a text, also where a number stands for it. Raises ValidationError."""
    if type(value) is not str and not isinstance(value := as_text(value), str):
        raise ValidationError(f"{what}: a text is needed", field=what)
    return value


def is_scope(text: str) -> bool:
    """Return whether a text has the form of a scope, and not that of a key of a session."""
    return _SCOPE.fullmatch(text) is not None and _KEY_OF_SESSION.fullmatch(text) is None


def key_of_session(key: str) -> tuple[str, str] | None:
    """Return the scope and the key that a key such as "session:<id>:k" names."""
    match = _KEY_OF_SESSION.fullmatch(key) if key.startswith("session:") else None
    return (match[1], match[2]) if match is not None else None


def place_of(context: ScriptContext, scope: Any, *, custom: bool = False, known: bool = True) -> Session | str | None:
    """Return the session or the name of the scope that a script names. Nothing, null and "" mean the current session;
    None is returned if none is current.

    With `custom`, any text without the form of a scope is a custom scope of that name. Without `known`, a session may
    be gone. Raises ValidationError, SessionNotFound, AccessDenied.
    """
    if scope is UNDEFINED or scope is None or scope == "":
        return context.session() if context.current_id is not None else None
    name: str = scope  # mostly a text: looking for a table costs as much as the rest
    if type(scope) is not str:
        name = text_of(scope.get("id") if isinstance(scope, Mapping) else scope, "scope")
    if not _SCOPE.fullmatch(name):
        if _SESSION.fullmatch(name):
            return context.session(name) if known else f"session:{name}"
        if not custom:
            raise ValidationError(
                'scope: "global", "session:<id>", "session:current", "user:<id>", "agent:<id>", "tool:<id>",'
                ' "workflow:<id>" or "custom:<name>" is needed',
                field="scope",
            )
        return f"custom:{name}"
    if not name.startswith("session:"):
        return name
    rest = name.removeprefix("session:")
    if rest == "current":
        return context.session()
    return context.session(rest) if known else name
