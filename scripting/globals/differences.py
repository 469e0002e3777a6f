"""The functions of `Session` that find out what happened: differences, comparisons, and contexts of calls."""

from __future__ import annotations

from typing import Any

from greenroom.scripting.conversions import Whole
from greenroom.scripting.export import export
from greenroom.scripting.script_context import ScriptContext
from greenroom.scripting.values import UNDEFINED, defined, without_nothing

__all__ = ["SessionDifferences"]


class SessionDifferences:
    """Compares moments, sessions, and the calls of a model."""

    def __init__(self, principal: ScriptContext) -> None:
        self._principal = principal

    @export("diff", on_session=True, counted=True)
    def diff(self, session: Any, before: Whole, after: Whole = UNDEFINED) -> dict[str, Any]:
        """Return what is different between two events of a session; the later one is the newest by default."""
        found: dict[str, Any] = without_nothing(self._principal.session(session).diff(before, defined(after)).to_dict())
        return found

    @export("compare", on_session=True, counted=True)
    def compare(self, session: Any, other: Any) -> dict[str, Any]:
        """Return where two sessions stopped being the same, and what each did alone."""
        one, another = self._principal.session(session), self._principal.session(other)
        found: dict[str, Any] = without_nothing(self._principal.runtime.compare(one, another).to_dict())
        return found

    @export("context", on_session=True, counted=True)
    def context(self, session: Any, number: Whole = UNDEFINED) -> dict[str, Any]:
        """Return what the model of a call was given, and what changed since its last call; of the newest by default."""
        view = self._principal.session(session).context(number=defined(number))
        found: dict[str, Any] = without_nothing(view.to_dict())
        return found
