"""What a search looks for: words, phrases and beginnings of words, read from the text that somebody has typed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from greenroom.storage.common.words import phrase_words, split_words
from greenroom.storage.errors import ValidationError

__all__ = ["MAX_TERMS", "MAX_TEXT", "MAX_WORD", "Term", "indexed_words", "parse_text"]

MAX_TEXT: Final = 1024
"""The longest text to look for, in characters."""
MAX_TERMS: Final = 32
"""The most words and phrases to look for at once."""
MAX_WORD: Final = 64
"""Of a longer word, only this many characters count."""
_TOKEN: Final = re.compile(r'"([^"]*)"|([^\s"]+)|(")')
_LEAST_BEGINNING: Final = 2


@dataclass(frozen=True, slots=True)
class Term:
    """Words that stand one after the other. With `begins`, the last of them is the beginning of a word."""

    words: tuple[str, ...]
    begins: bool = False

    def expression(self) -> str:
        """Return the term as FTS5 spells it. Words are letters, digits and marks: nothing in them has a meaning
        there."""
        return f'"{" ".join(self.words)}"{" *" if self.begins else ""}'

    def count_in(self, words: str) -> int:
        """Return how often the term stands in words that are joined by spaces, with a space on both ends."""
        return words.count(f" {' '.join(self.words)}{'' if self.begins else ' '}")


def indexed_words(text: str) -> Iterator[str]:
    """Yield the words of a text as the index has them."""
    return (word[:MAX_WORD] for word in split_words(text))


def parse_text(text: str) -> tuple[Term, ...]:
    """Return what a text asks for: all of its words, each phrase in quotes, and with `*` at its end the beginning of a
    word. Words that punctuation joins, such as `a-b`, are a phrase. Raises ValidationError."""
    terms: dict[Term, None] = {}
    for phrase, token, opened in _TOKEN.findall(text):
        if opened:
            raise ValidationError("text: a quote is not closed: close it, or leave it out", field="text")
        if not token:
            _add(terms, *phrase_words(phrase))
            continue
        begins = token.endswith("*")
        token = token[:-1] if begins else token
        if "*" in token:
            raise ValidationError("text: a * stands at the end of a word, as in wor*, and nowhere else", field="text")
        words, is_part = phrase_words(token)
        if begins and (not words or (len(words[-1]) < _LEAST_BEGINNING and not is_part)):
            raise ValidationError(
                f"text: at least {_LEAST_BEGINNING} letters or digits are needed before a *", field="text"
            )
        _add(terms, words, begins or is_part)
    if not terms:
        raise ValidationError("text: it has no word to look for: a letter or a digit is needed", field="text")
    if len(terms) > MAX_TERMS:
        raise ValidationError(f"text: {len(terms)} words are too many: give {MAX_TERMS} at most", field="text")
    return tuple(terms)


def _add(terms: dict[Term, None], words: Iterable[str], begins: bool) -> None:
    kept = tuple(word[:MAX_WORD] for word in words)
    if kept:
        terms[Term(kept, begins)] = None
