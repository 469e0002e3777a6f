"""Parts of an object that are made when somebody first asks for them, with the modules that they need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

__all__ = ["late"]

T = TypeVar("T")


class late(Generic[T]):  # noqa: N801 - a decorator, like property
    """Makes a method an attribute that is made at the first access: once, however many threads ask.

    Unlike `functools.cached_property`, which makes one for each thread that comes meanwhile. The object has an RLock,
    `_making`.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    def __repr__(self) -> str:
        """Say what it is: `help` shows no more of an attribute."""
        return (self.__doc__ or self._name).partition("\n")[0]

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...
    @overload
    def __get__(self, owner: object, kind: type) -> T: ...
    def __get__(self, owner: Any, kind: type) -> Self | T:
        if owner is None:
            return self
        made: dict[str, T] = vars(owner)
        with owner._making:
            if self._name not in made:
                made[self._name] = self._make(owner)
        return made[self._name]
