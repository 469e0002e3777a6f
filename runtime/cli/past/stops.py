"""Breakpoints as people write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import typer

from greenroom.runtime.cli.times import moment_of

if TYPE_CHECKING:
    from greenroom.runtime import Breakpoint

__all__ = ["STOPS", "breakpoint_of"]

STOPS: Final = (
    "N, a pattern of types (tool.*), error, error=CLASS, hook=NAME, time=TIME, when=CONDITION; "
    "several with spaces between must all hold; once or skip=N beside them"
)
"""How help describes breakpoints."""

_NAMED: Final = ("event", "hook", "error", "sequence", "time", "when")


def breakpoint_of(text: str, option: str = "--break") -> Breakpoint:
    """Return the breakpoint that a text means.

    Its words must all hold: a sequence, a pattern of types, `error`, `NAME=VALUE`; `once` and `skip=N` say how often it
    holds. `when=` takes the rest of the text: `variable.set when=variables.k == 3`. Raises BadParameter.
    """
    from greenroom.runtime import Breakpoint, ValidationError

    given: dict[str, Any] = {}
    head, when, condition = f" {text}".partition(" when=")
    if when:
        given["when"] = condition.strip()
    for word in head.split():
        name, equals, value = word.partition("=")
        if not equals:
            name, value = ("sequence", word) if word.isdecimal() else (word, "") if word in _FLAGS else ("event", word)
        if name in given:
            raise typer.BadParameter(f"{name} stands twice in {text!r}", param_hint=option)
        if name in _FLAGS and not value:
            given[name] = True
        elif name in ("sequence", "skip"):
            given[name] = int(value) if value.isdecimal() else value
        elif name == "time":
            given[name] = moment_of(value, option)
        elif name in _NAMED:
            given[name] = value
        else:
            raise typer.BadParameter(f"{word!r} is no part of a breakpoint; give {STOPS}", param_hint=option)
    try:
        return Breakpoint.model_validate(given)
    except (ValidationError, ValueError) as error:
        raise typer.BadParameter(_wrong(error, text), param_hint=option) from None


_FLAGS: Final = ("error", "once")


def _wrong(error: Exception, text: str) -> str:
    """Return what is wrong with a breakpoint, in our words."""
    import pydantic

    if isinstance(error, pydantic.ValidationError):
        from greenroom.storage.common.validation import complaints

        return f"{complaints(error, pydantic.BaseModel)[0].text} in {text!r}; give {STOPS}"
    return f"{error}, in {text!r}"
