"""A hook that takes secrets out of what operations are given, and of what tools and agents answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .context import HookContext
from .result import CONTINUE, HookResult

if TYPE_CHECKING:
    from greenroom.actors.session.redaction import Rules

__all__ = ["RedactHook"]


class RedactHook:
    """Takes out of the data of an operation what the rules say: regular expressions whose matches become
    "[redacted]", or a function from text to text.

    Before an operation it is performed with what is left: a tool gets, and the journal keeps, the cleaned input. After
    a tool or an agent both the caller and the journal get the cleaned result. Its own failure refuses the operation.
    For a runtime as a whole, without changing what tools get and return, there is `RuntimeConfig.redact`.

    Example:
        ```py
        rt.hooks.register("AfterToolExecution", hooks.RedactHook([r"sk-[A-Za-z0-9]+"]))
        ```
    """

    def __init__(self, rules: Rules) -> None:
        """Raises ValidationError."""
        from greenroom.actors.session.redaction import Redaction

        self._redaction = Redaction(rules)

    def __call__(self, context: HookContext) -> HookResult:
        data = context.data
        cleaned = self._redaction.parameters(data)
        changes = {name: value for name, value in cleaned.items() if name not in data or value != data[name]}
        return HookResult.modified(changes) if changes else CONTINUE
