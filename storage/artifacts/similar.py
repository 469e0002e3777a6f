"""Decide which words a search word matches that may be a part of them, or misspelt."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

__all__ = ["is_similar"]

_ONE_EDIT: Final = 3
_TWO_EDITS: Final = 6


def is_similar(wanted: str, word: str) -> bool:
    """Return whether a word contains the wanted one or is within one edit of it (wanted words of 3 to 5 characters), or
    two edits (longer ones). An edit inserts, removes or replaces a character, or swaps two neighbours."""
    if wanted in word:
        return True
    edits = 0 if len(wanted) < _ONE_EDIT else 1 if len(wanted) < _TWO_EDITS else 2
    return abs(len(word) - len(wanted)) <= edits and _distance()(wanted, word, score_cutoff=edits) <= edits


@cache
def _distance() -> Callable[..., int]:
    """Return what counts edits. It is imported here, because most processes never search for misspelt words."""
    from rapidfuzz.distance import OSA

    return OSA.distance
