"""How well items of a store match: filters, text search (BM25) and vectors (cosine)."""

from __future__ import annotations

import math
import operator
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from greenroom.runtime import ValidationError

from .keys import shown

__all__ = ["Condition", "entries", "similarities", "text_scores", "texts_in"]

Condition = Callable[[object], bool]

_COMPARISONS: Final = {"$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le}
_WORD: Final = re.compile(r"\w+")
_SATURATION: Final = 1.2
_LENGTH_WEIGHT: Final = 0.75
"""The usual parameters of BM25."""


def _condition(wanted: object) -> Condition:
    """Return what tells whether a value is what a filter wants: the same value, a dictionary with (at least) the same
    entries, or what the operators `$eq $ne $gt $gte $lt $lte` hold for. Raises ValidationError for another operator."""
    if isinstance(wanted, Mapping):
        if any(isinstance(name, str) and name.startswith("$") for name in wanted):
            return _all_of([_holds(name, operand) for name, operand in wanted.items()])
        return entries(wanted)
    if isinstance(wanted, list | tuple):
        conditions = [_condition(each) for each in wanted]
        return lambda value: (
            isinstance(value, list)
            and len(value) == len(conditions)
            and all(one(each) for one, each in zip(conditions, value, strict=True))
        )
    return lambda value: bool(value == wanted)


def entries(wanted: Mapping[Any, object]) -> Condition:
    """Return what tells whether a value is a dictionary with entries that match. Raises ValidationError."""
    conditions = [(name, _condition(each)) for name, each in wanted.items()]
    if len(conditions) == 1:
        [(only, holds)] = conditions
        return lambda value: isinstance(value, Mapping) and holds(value.get(only))
    return lambda value: isinstance(value, Mapping) and all(holds(value.get(name)) for name, holds in conditions)


def _all_of(conditions: Sequence[Condition]) -> Condition:
    if len(conditions) == 1:
        return conditions[0]
    return lambda value: all(each(value) for each in conditions)


def _holds(name: str, operand: object) -> Condition:
    """Return the condition of an operator. Values are compared as numbers if both are, else as texts."""
    if name in {"$eq", "$ne"}:
        return lambda value: (value == operand) is (name == "$eq")
    compare: Callable[[Any, Any], bool] | None = _COMPARISONS.get(name)
    if compare is None:
        raise ValidationError(f"filter: $eq, $ne, $gt, $gte, $lt or $lte is needed, not {shown(name)}", field="filter")
    number = _number(operand)

    def holds(value: object) -> bool:
        if number is not None:
            own = value if value.__class__ is float else _number(value)
            if own is not None:
                return compare(own, number)
        return isinstance(value, str) and isinstance(operand, str) and compare(value, operand)

    return holds


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


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
