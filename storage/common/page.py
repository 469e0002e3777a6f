"""One page of an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar, overload

__all__ = ["Page", "T"]

T = TypeVar("T")


class Page(Generic[T], Sequence[T]):
    """One page of an answer: a sequence of `items`.

    `total` is the number of all items before pagination. Some pages count them only when it is read for the first time,
    and it is the number of that moment. `has_more` says whether there are items after this page; `next_cursor`
    continues there, where the call takes a cursor.
    """

    __slots__ = ("_has_more", "_total", "items", "limit", "next_cursor", "offset")

    def __init__(
        self,
        items: tuple[T, ...],
        total: int | Callable[[], int],
        offset: int = 0,
        limit: int | None = None,
        *,
        has_more: bool | None = None,
        next_cursor: str | None = None,
    ) -> None:
        """`has_more` None: there is more if the total is larger. A function as `total` is called by who asks."""
        self.items = items
        self.offset = offset
        self.limit = limit
        self.next_cursor = next_cursor
        self._total = total
        self._has_more = has_more

    def __repr__(self) -> str:
        return f"<Page of {len(self.items)} from {self.offset}>"

    @property
    def total(self) -> int:
        """The number of all items before pagination. Raises RuntimeClosed if they are still to be counted."""
        if not isinstance(self._total, int):
            self._total = self._total()
        return self._total

    @property
    def has_more(self) -> bool:
        return self._has_more if self._has_more is not None else self.offset + len(self.items) < self.total

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Page) and (self.items, self.offset, self.limit, self.has_more) == (
            other.items,
            other.offset,
            other.limit,
            other.has_more,
        )

    __hash__ = None  # type: ignore[assignment]

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)
