"""Text that nobody has stored before and that compresses like prose and logs do. The same for the same seed."""

from __future__ import annotations

import itertools
import random
from functools import cache

__all__ = ["fresh_text", "large_text"]

_SYLLABLES = (
    "ka",
    "lo",
    "mi",
    "ter",
    "ven",
    "sa",
    "ro",
    "ni",
    "el",
    "dun",
    "is",
    "po",
    "wen",
    "tha",
    "er",
    "ing",
    "est",
)
_numbers = itertools.count(1)


@cache
def _sentences(count: int = 12_000) -> tuple[bytes, ...]:
    dice = random.Random(7)
    words = ["".join(dice.choices(_SYLLABLES, k=dice.randint(1, 4))) for _ in range(4000)]
    weights = [1 / (rank + 3) for rank in range(len(words))]  # as in language, few words make up most of the text
    return tuple(" ".join(dice.choices(words, weights, k=dice.randint(6, 18))).encode() + b".\n" for _ in range(count))


def fresh_text(size: int) -> bytes:
    """Text of `size` bytes that differs from all that was made before."""
    number = next(_numbers)
    dice = random.Random(number)
    sentences = _sentences()
    parts = [b"%d\n" % number]
    length = len(parts[0])
    while length < size:
        part = dice.choice(sentences)
        parts.append(part)
        length += len(part)
    return b"".join(parts)[:size]


def large_text(size: int) -> bytes:
    """Like `fresh_text`, made faster: the same sentences in an order that is new every megabyte."""
    dice = random.Random(next(_numbers))
    sentences = list(_sentences())
    parts: list[bytes] = []
    length = 0
    while length < size:
        dice.shuffle(sentences)
        part = b"".join(sentences)
        parts.append(part)
        length += len(part)
    return b"".join(parts)[:size]
