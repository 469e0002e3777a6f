"""The tool `text_stats`."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from greenroom.storage.errors import ValidationError

from .inputs import AnyText, any_case

__all__ = ["text_stats"]

# Match only the last mark of a run: matching whole runs takes quadratic time when no space follows.
_SENTENCE_END: Final = re.compile(r"[.!?](?=\s|$)")


def text_stats(
    input: AnyText | None = None,
    text: AnyText | None = None,
    operation: Annotated[Literal["count"], any_case({"stats": "count", "analyze": "count"})] = "count",
) -> dict[str, int | float]:
    """Count of a text: characters, words, unique words, lines, sentences, paragraphs, bytes in UTF-8."""
    given = input if input is not None else text
    if given is None:
        raise ValidationError("input: a text is needed", field="input")
    words = given.split()
    return {
        "characters": len(given),
        "characters_without_spaces": sum(map(len, words)),
        "bytes": len(given.encode("utf-8", "surrogatepass")),
        "words": len(words),
        "unique_words": len({each.strip(".,;:!?\"'()[]").casefold() for each in words}),
        "lines": len(given.splitlines()),
        "sentences": max(len(_SENTENCE_END.findall(given)), 1 if words else 0),
        "paragraphs": sum(1 for each in given.replace("\r\n", "\n").split("\n\n") if each.strip()),
        "average_word_length": round(sum(map(len, words)) / len(words), 2) if words else 0.0,
    }
