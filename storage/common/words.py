"""Split texts into words as searches compare them: without regard to case or to how Unicode spells a character. Chinese
and Japanese, which have no spaces, are split into pairs of characters."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

__all__ = ["folded", "phrase_words", "split_words", "wanted_words"]

_WORD: Final = re.compile(r"[^\W_]+")
_CJK: Final = re.compile(
    "[\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+"
)
"""Runs of Han, Hiragana and Katakana."""
_SHORT: Final = 1024


def folded(text: str) -> str:
    """Return a text without the differences that searches ignore: case, and the several spellings of a character."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def split_words(text: str) -> Iterator[str]:
    """Yield the words of a text: runs of letters, digits and marks. For a run of Chinese or Japanese characters, yield
    each pair of neighbours and the last character, so that each character begins a word."""
    for word in _runs(text):
        if word.isascii():
            yield word
            continue
        for part, is_cjk in _parts(word):
            if is_cjk:
                yield from (part[at : at + 2] for at in range(len(part)))
            else:
                yield part


def wanted_words(text: str) -> Iterator[str]:
    """Yield the beginnings of words that a text must have to contain this one: its words, and the pairs of runs of
    Chinese or Japanese characters."""
    for word in _runs(text):
        for part, is_cjk in _parts(word):
            if is_cjk and len(part) > 1:
                yield from (part[at : at + 2] for at in range(len(part) - 1))
            else:
                yield part


def phrase_words(text: str) -> tuple[list[str], bool]:
    """Return the words that stand one after the other where `split_words` has split a text which contains this one, and
    whether the last of them may be only the beginning of a word there."""
    parts = [part for word in _runs(text) for part in _parts(word)]
    words: list[str] = []
    begins = False
    for number, (part, is_cjk) in enumerate(parts, 1):
        if not is_cjk:
            words.append(part)
            continue
        words += [part[at : at + 2] for at in range(len(part))]
        if number == len(parts):
            # More may follow the last character, so that it is no word by itself there.
            begins = len(part) == 1
            if not begins:
                words.pop()
    return words, begins


def _runs(text: str) -> Iterator[str]:
    if text.isascii():
        lower = text.lower()
        if len(lower) <= _SHORT:
            yield from _WORD.findall(lower)
        else:
            for match in _WORD.finditer(lower):
                yield match[0]
        return
    # A mark belongs to the letter before it: many scripts have no character for both.
    yield from "".join(
        each if each.isalnum() or unicodedata.category(each)[0] == "M" else " " for each in folded(text)
    ).split()


def _parts(word: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a run of letters that are Chinese or Japanese, and the parts that are not."""
    at = 0
    for match in _CJK.finditer(word):
        if match.start() > at:
            yield word[at : match.start()], False
        yield match[0], True
        at = match.end()
    if at < len(word):
        yield word[at:], False
