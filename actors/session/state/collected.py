"""Artifacts that collectors have made of outputs. They have limits of their own, and never use up the user's.

The event that stores one says so (`collected`), and so does the event that deletes it, with the bytes that this gives
back. Events of older journals do not: their artifacts count as the user's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from .model import SessionState

__all__ = ["COLLECTED", "Held", "deleted", "held", "is_collected", "stored"]

COLLECTED: Final = "collected"
"""The name of the mark in the data of events, and of the entry in the state."""
_PAGE: Final = 4096
"""How many artifact numbers one page of bits covers."""


class Held(NamedTuple):
    """How much a session has of artifacts: the user's, and collected ones."""

    artifacts: int
    bytes: int
    collected: int
    collected_bytes: int


def held(state: SessionState) -> Held:
    """Return how many artifacts and bytes a session has, separately for the user's and the collected ones."""
    kept = state.more.get(COLLECTED)
    if kept is None:
        return Held(state.artifact_count, state.artifact_bytes, 0, 0)
    count, size = kept["count"], kept["bytes"]
    return Held(state.artifact_count - count, state.artifact_bytes - size, count, size)


def is_collected(state: SessionState, number: int) -> bool:
    """Return whether the artifact with this number was collected."""
    kept = state.more.get(COLLECTED)
    if kept is None:
        return False
    bits = kept["pages"].get(number // _PAGE, b"")
    place = number % _PAGE
    return place // 8 < len(bits) and bool(bits[place // 8] >> place % 8 & 1)


def stored(state: SessionState, data: dict[str, Any]) -> None:
    """Fold the storing of a collected artifact."""
    kept = state.more.get(COLLECTED) or {"count": 0, "bytes": 0, "pages": {}}
    state.more[COLLECTED] = {
        "count": kept["count"] + 1,
        "bytes": kept["bytes"] + data["size"],
        "pages": _with_bit(kept["pages"], data["sequence"], there=True),
    }


def deleted(state: SessionState, data: dict[str, Any]) -> None:
    """Fold the deletion of a collected artifact."""
    if not is_collected(state, data["sequence"]):
        return  # the event that stored it was lost to damage, or is not trusted
    kept = state.more[COLLECTED]
    if kept["count"] == 1:
        del state.more[COLLECTED]
        return
    state.more[COLLECTED] = {
        "count": kept["count"] - 1,
        "bytes": kept["bytes"] - data[COLLECTED],
        "pages": _with_bit(kept["pages"], data["sequence"], there=False),
    }


def _with_bit(pages: dict[int, bytes], number: int, *, there: bool) -> dict[int, bytes]:
    page, place = divmod(number, _PAGE)
    bits = bytearray(pages.get(page, b""))
    bits.extend(bytes(max(0, place // 8 + 1 - len(bits))))
    if there:
        bits[place // 8] |= 1 << place % 8
    else:
        bits[place // 8] &= ~(1 << place % 8)
    stripped = bytes(bits).rstrip(b"\0")
    others = {each: bits for each, bits in pages.items() if each != page}
    return {**others, page: stripped} if stripped else others
