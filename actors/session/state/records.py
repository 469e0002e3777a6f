"""How many records a session has, and their bytes. The records themselves are not part of the state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from .model import SessionState

__all__ = ["RECORDS", "Kept", "changed", "kept", "totals_after"]

RECORDS: Final = "records"
"""The name of the entry in the state."""


class Kept(NamedTuple):
    """The records of a session: their number, and the bytes of their keys and values."""

    records: int
    bytes: int


_NONE: Final = Kept(0, 0)


def kept(state: SessionState) -> Kept:
    """Return how many records a session has, and their bytes."""
    found = state.more.get(RECORDS)
    return Kept(found["count"], found["bytes"]) if found is not None else _NONE


def totals_after(totals: Kept, changes: Iterable[Sequence[Any]]) -> Kept:
    """Return the totals after the changes of an event."""
    count, size = totals
    for key, digest, length, _, replaced, *_ in changes:
        if replaced is not None:
            count -= 1
            size -= len(key) + replaced
        if digest is not None:
            count += 1
            size += len(key) + length
    return Kept(count, size)


def changed(state: SessionState, data: dict[str, Any], time: int) -> None:
    """Fold a `records.changed` event."""
    count, size = totals_after(kept(state), data.get("changes", ()))
    if count > 0:
        state.more[RECORDS] = {"count": count, "bytes": max(0, size)}
    else:  # below nothing only after an event was lost to damage
        state.more.pop(RECORDS, None)
