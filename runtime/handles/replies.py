"""Checks replies that the runtime uses itself: a hook may replace a reply by any value."""

from __future__ import annotations

from typing import Any, Final, NoReturn, TypeVar, cast

from greenroom.storage.errors import InvalidOperation

__all__ = ["LATER", "reply_as"]

T = TypeVar("T")


class _Later(int):
    """Stands for a reply that there is only after a batch. Methods that look whether something was done find that it
    was."""

    def __repr__(self) -> str:
        return "<a reply after the batch>"

    def __getattr__(self, name: str) -> NoReturn:
        raise InvalidOperation("a batch has its replies when it was sent: look into `replies` after the block")


LATER: Final[Any] = _Later(1)
"""The reply to every command of a batch before it is sent."""


def reply_as(kind: type[T] | tuple[type[T], ...], reply: object, what: str) -> T:
    """Return the reply if it has this class. Raises InvalidOperation if a hook has replaced it by something else."""
    if isinstance(reply, kind):
        return reply
    if reply is LATER:
        return cast(T, reply)
    raise InvalidOperation(
        f"a hook has answered with a value of class {type(reply).__name__[:64]} in the place of {what}"
    )
