"""Decide which words a search word matches that may be a part of them, or misspelt."""

from __future__ import annotations

from typing import Final

from rapidfuzz.distance import OSA

__all__ = ["is_similar"]

_ONE_EDIT: Final = 3
_TWO_EDITS: Final = 6


def is_similar(wanted: str, word: str) -> bool:
    """Return whether a word contains the wanted one or is within one edit of it (wanted words of 3 to 5 characters), or
    two edits (longer ones). An edit inserts, removes or replaces a character, or swaps two neighbours."""
    if wanted in word:
        return True
    edits = 0 if len(wanted) < _ONE_EDIT else 1 if len(wanted) < _TWO_EDITS else 2
    return abs(len(word) - len(wanted)) <= edits and OSA.distance(wanted, word, score_cutoff=edits) <= edits
