"""Replies that are used further: hooks may answer with any value, in the place of what an operation replies."""

from __future__ import annotations

from typing import TypeVar

from greenroom.storage.errors import InvalidOperation

__all__ = ["reply_as"]

T = TypeVar("T")


def reply_as(kind: type[T] | tuple[type[T], ...], reply: object, what: str) -> T:
    """Return a reply that is of this class. Raises InvalidOperation for what a hook has put in its place."""
    if isinstance(reply, kind):
        return reply
    raise InvalidOperation(
        f"a hook has answered with a value of class {type(reply).__name__[:64]} in the place of {what}"
    )
