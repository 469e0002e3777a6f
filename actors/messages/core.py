"""What all messages have in common: their base classes and the facts that a class of messages carries."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any, Self

from greenroom.storage.engine.engine import Durability

from .checks import checked_durability

__all__ = ["Command", "Draft", "Message", "Query"]

Draft = tuple[str, dict[str, Any], int, int]

"""(event type, data, change of the artifact count, change of the artifact bytes)"""


@cache
def _slots(kind: type) -> tuple[tuple[str, ...], Callable[[Message], tuple[Any, ...]]]:
    """The names of all slots of messages of a class, and what reads them at once."""
    names = tuple(name for each in kind.__mro__ for name in getattr(each, "__slots__", ()))
    if len(names) > 1:
        return names, attrgetter(*names)
    return names, lambda message: tuple(getattr(message, name) for name in names)


class Message:
    """Base of everything that can be sent to a session."""

    __slots__ = ()

    def copy(self) -> Self:
        """The same message once more, for the path to complete: what a sender holds is never changed."""
        twin = object.__new__(type(self))
        kind: type = type(self)
        names, values = _slots(kind)
        for name, value in zip(names, values(self), strict=True):
            setattr(twin, name, value)
        return twin


class Query(Message):
    """Asks a session to answer; works in every status and changes nothing."""

    __slots__ = ()


class Command(Message):
    """Asks a session to change. `durability` overrides the runtime's for this one change."""

    __slots__ = ("durability", "records")

    def __init__(self, *, durability: Durability | str | None = None) -> None:
        self.durability = checked_durability(durability) if durability is not None else None
        self.records: list[Any] | None = None
        """Drafts of events about hooks, journaled with what the command does."""
