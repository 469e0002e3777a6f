"""What values mean that scripts give and take: plain Python data, the same for all languages."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["UNDEFINED", "Undefined", "defined", "given"]


class Undefined:
    """The type of `UNDEFINED`."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "UNDEFINED"


Undefined.__name__ = "nothing"  # so errors call it
UNDEFINED: Final = Undefined()
"""A missing argument or answer: nil in Lua, undefined in JavaScript. None is the null of JSON."""


def defined(value: Any, default: Any = None) -> Any:
    """Return an argument, or the default if the script has not given it."""
    return default if value is UNDEFINED else value


def given(value: Any) -> bool:
    """Return whether an argument has a value: it is neither missing nor null."""
    return value is not UNDEFINED and value is not None
