"""What all handles of the asynchronous API have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from types import TracebackType
from typing import Any, Concatenate, Final, Generic, ParamSpec, Protocol, TypeVar

__all__ = ["Block", "Face", "Way", "again", "beneath", "each", "readable"]

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")

_PAGE: Final = 256
_MOST: Final = 100_001
"""More items than any method takes."""


class Way(Protocol):
    """Makes the calls of a face: a bridge, or what stands for one."""

    def once(
        self, here: Any, method: Callable[Concatenate[Any, P], T], /, *args: P.args, **options: P.kwargs
    ) -> Awaitable[T]:
        """Call a method of a handle that asks once."""

    def brief(self, fn: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> Awaitable[T]:
        """Call a function in the loop that never waits."""

    def run(self, fn: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> Awaitable[T]:
        """Call a function on a thread."""

    def run_abandoning(self, fn: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> Awaitable[T]:
        """Call a function on a thread. A task that is cancelled does not wait for it."""


class Face(Generic[S]):
    """A handle whose methods are awaited. Each is named after a method of the synchronous handle, `sync`."""

    def __init__(self, way: Way, sync: S, here: Any = None) -> None:
        """`here` is the handle that asks in the loop, if there is one."""
        self._bridge = way
        self.sync = sync
        """The handle for synchronous code, on other threads."""
        self._here = here

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Face) and type(other) is type(self) and bool(other.sync == self.sync)

    def __hash__(self) -> int:
        return hash(self.sync)

    def __repr__(self) -> str:
        shown = repr(self.sync)
        told = shown.startswith(f"<{type(self.sync).__name__}")
        return f"<Async{shown[1:]}" if told else f"<{type(self).__name__}>"


def beneath(given: Any) -> Any:
    """Return the synchronous handle of an asynchronous one, also of those in a list. All else is returned as it is."""
    if issubclass(type(given), Face):  # an object may raise when it is looked at
        return given.sync
    if type(given) in (list, tuple):
        return [beneath(each) for each in given]
    return given


def again(given: Any) -> Any:
    """Return an iterable that may be gone through more than once."""
    if hasattr(type(given), "__next__") and not readable(given):
        return _Taken(given)
    return given


def readable(given: Any) -> bool:
    """Return whether an object can be read like a file."""
    try:
        return hasattr(given, "read")
    except Exception:  # by code of the object's own
        return False


class _Taken:
    """What an iterator gives, which may be gone through more than once; an error that it raises comes each time."""

    def __init__(self, source: Any) -> None:
        self._items: list[Any] = []
        self._error: Exception | None = None
        try:
            self._items.extend(islice(source, _MOST))
        except Exception as error:
            self._error = error

    def __iter__(self) -> Iterator[Any]:
        yield from self._items
        if self._error is not None:
            raise self._error


async def each(way: Way, begin: Callable[[], Iterable[T]]) -> AsyncIterator[T]:
    """Yield what an iterator gives. It is read on threads, page by page."""
    source: Iterator[T] = iter(await way.run(begin))
    while page := await way.run(lambda: list(islice(source, _PAGE))):
        for item in page:
            yield item


class Block(Generic[T]):
    """A `with` block of the runtime that waits for nothing: `async with` and `with` do the same."""

    def __init__(self, block: AbstractContextManager[T]) -> None:
        self._block = block

    def __enter__(self) -> T:
        return self._block.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._block.__exit__(kind, error, trace)

    async def __aenter__(self) -> T:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self.__exit__(kind, error, trace)
