"""Checks replies that the runtime uses itself: a hook may replace a reply by any value."""

from __future__ import annotations

from typing import TypeVar

from greenroom.storage.errors import InvalidOperation

__all__ = ["reply_as"]

T = TypeVar("T")


def reply_as(kind: type[T] | tuple[type[T], ...], reply: object, what: str) -> T:
    """Return the reply if it has this class. Raises InvalidOperation if a hook has replaced it by something else."""
    if isinstance(reply, kind):
        return reply
    raise InvalidOperation(
        f"a hook has answered with a value of class {type(reply).__name__[:64]} in the place of {what}"
    )
