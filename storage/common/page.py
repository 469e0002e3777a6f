"""One page of an answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, overload

__all__ = ["Page", "T"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T], Sequence[T]):
    """One page of an answer: a sequence of `items`, with the `total` before pagination."""

    items: tuple[T, ...]
    total: int
    offset: int = 0
    limit: int | None = None

    def __repr__(self) -> str:
        return f"<Page of {len(self.items)} from {self.offset}>"

    @property
    def has_more(self) -> bool:
        return self.offset + len(self.items) < self.total

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
