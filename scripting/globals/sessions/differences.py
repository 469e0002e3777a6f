"""The functions of `Session` that find out what happened: differences, comparisons, and contexts of calls."""

from __future__ import annotations

from typing import Any

from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.shapes import DICT
from greenroom.scripting.definition.types import Whole
from greenroom.scripting.definition.values import UNDEFINED, defined
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.objects import SESSION
from greenroom.scripting.globals.rows import without_nothing

__all__ = ["SessionDifferences"]


class SessionDifferences:
    """Compares moments, sessions, and the calls of a model."""

    NAME = "Session"

    def __init__(self, context: ScriptContext) -> None:
        self._context = context

    @export("diff", returns=DICT, on=SESSION, counted=True)
    def diff(self, session: Any, before: Whole, after: Whole = UNDEFINED) -> dict[str, Any]:
        """Return what is different between two events of a session; the later one is the newest by default."""
        found: dict[str, Any] = without_nothing(self._context.session(session).diff(before, defined(after)).to_dict())
        return found

    @export("compare", returns=DICT, on=SESSION, counted=True)
    def compare(self, session: Any, other: Any) -> dict[str, Any]:
        """Return where two sessions stopped being the same, and what each did alone."""
        one, another = self._context.session(session), self._context.session(other)
        found: dict[str, Any] = without_nothing(self._context.runtime.compare(one, another).to_dict())
        return found

    @export("context", returns=DICT, on=SESSION, counted=True)
    def context(self, session: Any, number: Whole = UNDEFINED) -> dict[str, Any]:
        """Return what the model of a call was given, and what changed since its last call; of the newest by default."""
        view = self._context.session(session).context(number=defined(number))
        found: dict[str, Any] = without_nothing(view.to_dict())
        return found
