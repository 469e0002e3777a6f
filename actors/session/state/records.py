"""How many records a session has, and their bytes. The records themselves are not part of the state."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from .model import SessionState

__all__ = ["RECORDS", "Kept", "changed", "kept", "lost", "totals_after"]

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
    for change in changes:
        key, digest, length, _, replaced = change[:5]
        if replaced is not None:
            count -= 1
            size -= len(key) + replaced
        if digest is not None:
            count += 1
            size += len(key) + length
    return Kept(count, size)


def changed(state: SessionState, data: dict[str, Any], time: int) -> None:
    """Fold a `records.changed` event."""
    _keep(state, totals_after(kept(state), data.get("changes", ())))


def lost(state: SessionState, data: dict[str, Any], time: int) -> None:
    """Fold what the event in the place of a lost one tells of records. Its `records` is by how much the totals would be
    wrong without it."""
    changed(state, data, time)
    more = data.get(RECORDS)
    if more is not None:
        count, size = kept(state)
        _keep(state, Kept(count + more[0], size + more[1]))


def _keep(state: SessionState, totals: Kept) -> None:
    if totals == _NONE:
        state.more.pop(RECORDS, None)
    else:
        state.more[RECORDS] = {"count": totals.records, "bytes": totals.bytes}
