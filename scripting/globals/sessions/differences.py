"""The functions of `Session` that find out what happened: differences, comparisons, and contexts of calls."""

from __future__ import annotations

from typing import Any, Final

from greenroom.scripting.definition.examples import Variable, call, example
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.shapes import DICT
from greenroom.scripting.definition.types import OtherSession, SessionRef, Whole
from greenroom.scripting.definition.values import UNDEFINED, defined
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.objects import SESSION
from greenroom.scripting.globals.rows import without_nothing
from greenroom.scripting.globals.samples import CURRENT, VARIABLE
from greenroom.scripting.globals.samples import SESSION as A_SESSION

__all__ = ["SessionDifferences"]

_FORK: Final = Variable("fork", call("Session.fork", A_SESSION))
_CALLED: Final = call("Agent.invoke", "echo", "Hello")


class SessionDifferences:
    """Compares moments, sessions, and the calls of a model."""

    NAME = "Session"

    def __init__(self, context: ScriptContext) -> None:
        self._context = context

    @export("diff", returns=DICT, on=SESSION, counted=True, example=example(A_SESSION, 1, before=[VARIABLE]))
    def diff(self, session: SessionRef, before: Whole, after: Whole = UNDEFINED) -> dict[str, Any]:
        """Return what is different between two events of a session; the later one is the newest by default."""
        found: dict[str, Any] = without_nothing(self._context.session(session).diff(before, defined(after)).to_dict())
        return found

    @export("compare", returns=DICT, on=SESSION, counted=True, example=example(A_SESSION, _FORK))
    def compare(self, session: SessionRef, other: OtherSession) -> dict[str, Any]:
        """Return where two sessions stopped being the same, and what each did alone."""
        one, another = self._context.session(session), self._context.session(other)
        found: dict[str, Any] = without_nothing(self._context.runtime.compare(one, another).to_dict())
        return found

    @export("context", returns=DICT, on=SESSION, counted=True, example=example(A_SESSION, before=[CURRENT, _CALLED]))
    def context(self, session: SessionRef, number: Whole = UNDEFINED) -> dict[str, Any]:
        """Return what the model of a call was given, and what changed since its last call; of the newest by default."""
        view = self._context.session(session).context(number=defined(number))
        found: dict[str, Any] = without_nothing(view.to_dict())
        return found
