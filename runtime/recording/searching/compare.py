"""Compare the tapes of two runs of one program: what came out differently, and where in the program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from greenroom.runtime.recording.tape.matching.difference import difference
from greenroom.runtime.recording.tape.model import Crossing, Tape

__all__ = ["Source", "sources_between"]

_LONGEST: Final = 60


@dataclass(frozen=True, slots=True)
class Source:
    """A place of the program at which two runs got different things: what kind of boundary it is, what was called there
    and how often, and an example of the difference. `kind` "order" is that in which calls began, or were answered."""

    kind: str
    name: str
    place: str
    times: int
    example: str


def sources_between(a: Tape, b: Tape) -> list[Source]:
    """Return where two runs got different things, in the order of the first run."""
    found = [_source(kind, name, place, *values) for (kind, name, place), values in _differing(_reads(a), _reads(b))]
    answers = _differing(_answers(a.crossings), _answers(b.crossings))
    found += [_source(kind, name, place, *values) for (kind, name, place), values in answers]
    order = _order(a.crossings, b.crossings, "begins", lambda each: each.began) or _order(
        a.crossings, b.crossings, "is answered", lambda each: min(each.ticks, default=each.began)
    )
    return [*found, order] if order is not None else found


Grouped = dict[tuple[str, str, str], list[Any]]


def _reads(tape: Tape) -> Grouped:
    grouped: Grouped = {}
    for each in tape.reads:
        for kind, name, place, _lane, value in each.reads:
            grouped.setdefault((kind, name, place), []).append(value)
    return grouped


def _answers(crossings: Iterable[Crossing]) -> Grouped:
    grouped: Grouped = {}
    for each in crossings:
        grouped.setdefault((each.kind, each.name, each.place), []).append(_answer(each.outcome))
    return grouped


def _answer(outcome: Mapping[str, Any]) -> Any:
    """Return what counts of an outcome: not its headers, which nearly always differ, nor its time."""
    if "chunks" in outcome:
        return {"status": outcome.get("status"), "body": b"".join(outcome["chunks"] or ())}
    return {name: value for name, value in outcome.items() if name not in ("gaps", "headers")}


def _differing(a: Grouped, b: Grouped) -> Iterator[tuple[tuple[str, str, str], tuple[list[Any], list[Any]]]]:
    for place, values in a.items():
        other = b.get(place)
        if other is not None and values != other:
            yield place, (values, other)


def _source(kind: str, name: str, place: str, a: list[Any], b: list[Any]) -> Source:
    one, other = next(((x, y) for x, y in zip(a, b, strict=False) if x != y), (None, None))
    if one is None and other is None:
        example = f"{len(a)} in one run, {len(b)} in the other"
    elif isinstance(one, dict) and isinstance(other, dict):
        example = difference(one, other)
    else:
        example = f"{_shown(one)} and {_shown(other)}"
    return Source(kind, name, place, len(a), example)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _order(a: list[Crossing], b: list[Crossing], does: str, tick: Callable[[Crossing], int]) -> Source | None:
    """Return where calls began, or were answered, in another order, if the calls are the same."""
    one, other = (
        [(each.name, each.place, each.key) for each in sorted(crossings, key=lambda each: (each.process, tick(each)))]
        for crossings in (a, b)
    )
    if one == other or sorted(one) != sorted(other):
        return None
    at = next(place for place, (x, y) in enumerate(zip(one, other, strict=True)) if x != y)
    names = f"{one[at][0]} and {other[at][0]}" if one[at][0] != other[at][0] else f"{one[at][0]}, of other input"
    return Source(
        "order", "calls at the same time", one[at][1], len(one), f"the call that {does} as number {at + 1}: {names}"
    )
