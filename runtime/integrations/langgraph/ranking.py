"""How well items of a store match: filters, text search (BM25) and vectors (cosine)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from greenroom.runtime import ValidationError

from .keys import shown

__all__ = ["matches", "similarities", "text_scores", "texts_in"]

_WORD: Final = re.compile(r"\w+")
_SATURATION: Final = 1.2
_LENGTH_WEIGHT: Final = 0.75
"""The usual parameters of BM25."""


def matches(value: object, wanted: object) -> bool:
    """Return whether a value is what a filter wants: the same value, a dictionary with (at least) the same entries, or
    what the operators `$eq $ne $gt $gte $lt $lte` hold for. Raises ValidationError for another operator."""
    if isinstance(wanted, str | int | float | None):
        return bool(value == wanted)
    if isinstance(wanted, Mapping):
        if any(isinstance(name, str) and name.startswith("$") for name in wanted):
            return all(_holds(value, name, operand) for name, operand in wanted.items())
        return isinstance(value, Mapping) and all(matches(value.get(name), each) for name, each in wanted.items())
    if isinstance(wanted, list | tuple):
        return (
            isinstance(value, list)
            and len(value) == len(wanted)
            and all(matches(one, other) for one, other in zip(value, wanted, strict=True))
        )
    return bool(value == wanted)


def _holds(value: object, operator: str, operand: object) -> bool:
    if operator in {"$eq", "$ne"}:
        return (value == operand) is (operator == "$eq")
    if operator not in {"$gt", "$gte", "$lt", "$lte"}:
        raise ValidationError(
            f"filter: $eq, $ne, $gt, $gte, $lt or $lte is needed, not {shown(operator)}", field="filter"
        )
    one, other = _comparable(value, operand)
    if one is None or other is None:
        return False
    less, equal = bool(one < other), bool(one == other)
    return {"$gt": not less and not equal, "$gte": not less, "$lt": less, "$lte": less or equal}[operator]


def _comparable(one: object, other: object) -> tuple[Any, Any]:
    """Return both values in a form in which they can be compared, as numbers if they are; None for what cannot be."""
    try:
        return float(one), float(other)  # type: ignore[arg-type]  # whatever is no number is refused
    except (TypeError, ValueError, OverflowError):
        return (one, other) if isinstance(one, str) and isinstance(other, str) else (None, None)


def texts_in(value: object) -> Iterator[str]:
    """Yield all texts and numbers of a JSON value."""
    if isinstance(value, Mapping):
        for each in value.values():
            yield from texts_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_in(each)
    elif value is not None:
        yield str(value)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def text_scores(query: str, texts: Sequence[str]) -> list[float]:
    """Return how well each text matches the words of a query: 0 if it has none of them."""
    counts = [Counter(_words(text)) for text in texts]
    lengths = [each.total() for each in counts]
    mean = sum(lengths) / len(lengths) if any(lengths) else 1.0
    scores = [0.0] * len(texts)
    for word in {*_words(query)}:
        found = sum(1 for each in counts if word in each)
        weight = math.log(1 + (len(texts) - found + 0.5) / (found + 0.5))
        for number, each in enumerate(counts):
            times = each[word]
            if times:
                length = 1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * lengths[number] / mean
                scores[number] += weight * times * (_SATURATION + 1) / (times + _SATURATION * length)
    return scores


def similarities(query: Sequence[float], vectors: Sequence[Sequence[float]]) -> list[float]:
    """Return the cosine of the angle between a vector and each of others."""
    try:
        import numpy
    except ImportError:
        return [_cosine(query, each) for each in vectors]
    if not vectors:
        return []
    rows, one = numpy.asarray(vectors, dtype=numpy.float64), numpy.asarray(query, dtype=numpy.float64)
    norms = numpy.linalg.norm(rows, axis=1) * numpy.linalg.norm(one)
    found: list[float] = numpy.divide(rows @ one, norms, out=numpy.zeros(len(rows)), where=norms > 0).tolist()
    return found


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    norms = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / norms if norms else 0.0
