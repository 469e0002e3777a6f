"""Cut the part of a text that shows where the words of a search stand in it."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

from greenroom.storage.common.words import folded

from .query import MAX_WORD, Term, indexed_words

__all__ = ["snippet_of"]

_LENGTH: Final = 160
_BEFORE: Final = 40
_LOOK: Final = 1 << 16
"""How many characters of a text are looked at."""
_MOST_MARKS: Final = 32
_ASCII_WORD: Final = re.compile(r"[^\W_]+")


def snippet_of(text: str, terms: Sequence[Term]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Return the part of a text around the first hits, on one line, and the places of the hits in it."""
    text = text[:_LOOK]
    marks = list(_marks(text, terms))
    begin = 0
    if marks and marks[0][1] > _LENGTH:
        begin = max(0, marks[0][0] - _BEFORE)
        space = text.find(" ", begin, marks[0][0])
        begin = space + 1 if space >= 0 else begin
    end = min(len(text), begin + _LENGTH)
    part = re.sub(r"\s", " ", text[begin:end])
    inside = tuple((first - begin, last - begin) for first, last in marks if first >= begin and last <= end)
    return part, inside


def _marks(text: str, terms: Sequence[Term]) -> Iterator[tuple[int, int]]:
    exact = {word for term in terms for word in (term.words[:-1] if term.begins else term.words)}
    beginnings = tuple(term.words[-1] for term in terms if term.begins)
    found = 0
    pattern = _ASCII_WORD if text.isascii() else _words()
    for match in pattern.finditer(text):
        run = match[0]
        words = (run.lower()[:MAX_WORD],) if run.isascii() else indexed_words(run)
        hits = [each for each in words if each in exact or (beginnings and each.startswith(beginnings))]
        if not hits:
            continue
        for first, last in _within(run, hits):
            yield match.start() + first, match.start() + last
            found += 1
            if found >= _MOST_MARKS:
                return


def _within(run: str, hits: list[str]) -> Iterator[tuple[int, int]]:
    """Yield the places of words in a run of letters. Hits that touch are one."""
    plain = folded(run)
    if len(plain) != len(run) or run.isascii():  # one character may stand for several, and then places are not the same
        yield 0, len(run)
        return
    covered = sorted((at, at + len(hit)) for hit in set(hits) for at in _places(plain, hit))
    first, last = covered[0] if covered else (0, len(run))
    for begin, end in covered[1:]:
        if begin <= last:
            last = max(last, end)
        else:
            yield first, last
            first, last = begin, end
    yield first, last


def _places(text: str, part: str) -> Iterator[int]:
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


@cache
def _words() -> re.Pattern[str]:
    """Return the pattern of runs of letters, digits and marks; `re` has no class of marks."""
    marks: list[str] = []
    begin = None
    for code in range(0x300, min(sys.maxunicode, 0x1F000)):
        is_mark = unicodedata.category(chr(code))[0] == "M"
        if is_mark and begin is None:
            begin = code
        elif not is_mark and begin is not None:
            marks.append(f"{chr(begin)}-{chr(code - 1)}")
            begin = None
    return re.compile(f"(?:[^\\W_]|[{''.join(marks)}])+")
