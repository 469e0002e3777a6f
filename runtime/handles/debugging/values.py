"""The differences of two JSON values by path, each shown briefly, and how similar the values are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from blake3 import blake3

from greenroom.storage.codec.records import Json

__all__ = ["StateChange", "brief", "comparison", "differences", "plain_json", "same", "similarity"]

MAX_DIFFERENCES: Final = 1000
_MAX_TEXT: Final = 4096
"""A longer text is compared by its hash, and shown by its beginning."""
_MAX_DEPTH: Final = 40
_MAX_NODES: Final = 20_000
"""A value with more parts is compared by its hash."""
_MAX_ALIGNED: Final = 1000
"""Longer lists are compared item by item, without looking for what moved."""
_SHOWN: Final = 200
_MAX_RATED: Final = 20_000

Kind = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class StateChange:
    """One difference: the path to it, and what is there before and after. What is long is cut, binary values and what
    is too large to compare part by part are shown by size and hash."""

    path: tuple[str | int, ...]
    kind: Kind
    before: Json = None
    after: Json = None

    @property
    def place(self) -> str:
        """The path as a text on one line: `variables.model`, `messages.7.content`."""
        text = ".".join(map(str, self.path))
        return text if text.isprintable() else json.dumps(text)[1:-1]

    def __str__(self) -> str:
        if self.kind == "added":
            return f"+ {self.place}: {brief(self.after)}"
        if self.kind == "removed":
            return f"- {self.place}: {brief(self.before)}"
        return f"~ {self.place}: {brief(self.before)} -> {brief(self.after)}"

    def to_dict(self) -> dict[str, Json]:
        return {"path": list(self.path), "kind": self.kind, "before": self.before, "after": self.after}


def brief(value: object, most: int = _SHOWN) -> str:
    """Return a value on one line of at most `most` characters."""
    if isinstance(value, str):
        text = json.dumps(value[: most + 1], ensure_ascii=False)
    else:
        text = json.dumps(plain_json(value), ensure_ascii=False)
    text = text.encode("utf-8", "backslashreplace").decode()  # half a surrogate pair cannot be printed
    return text if len(text) <= most else f"{text[: most - 3]}..."


def plain_json(value: Any) -> Any:
    """Return a value without bytes, which JSON does not know: their size and hash stand for them."""
    if isinstance(value, bytes):
        return {"bytes": len(value), "hash": blake3(value).hexdigest()}
    if isinstance(value, Mapping):
        return {str(key): plain_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(each) for each in value]
    return value


def differences(before: Any, after: Any, path: tuple[str | int, ...] = ()) -> tuple[list[StateChange], bool]:
    """Return the differences of two values, at most 1000, and whether these are all."""
    found: list[StateChange] = []
    for each in _differences(before, after, path):
        if len(found) >= MAX_DIFFERENCES:
            return found, False
        found.append(each)
    return found, True


def _differences(before: Any, after: Any, path: tuple[str | int, ...]) -> Iterator[StateChange]:
    # Most of two states is equal: only entries that differ are handed on.
    if type(before) is dict and type(after) is dict and len(path) < 2:
        for key in sorted({*before, *after}, key=_order):
            here = (*path, key)
            if key not in after:
                yield StateChange(here, "removed", _shown(before[key]), None)
            elif key not in before:
                yield StateChange(here, "added", None, _shown(after[key]))
            elif not same(before[key], after[key]):
                yield from _differences(before[key], after[key], here)
        return
    yield from _deep(before, after, path)


def same(one: Any, other: Any) -> bool:
    """Return whether two values are equal in JSON, where true is not 1 and 1 is not 1.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(each, other[key]) for key, each in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _order(key: Any) -> tuple[bool, Any]:
    return isinstance(key, str), key


def _deep(before: Any, after: Any, path: tuple[str | int, ...]) -> Iterator[StateChange]:
    one, other = _comparable(before), _comparable(after)
    if same(one, other):
        return
    kinds: set[type] = set()
    longest = max(_lists(one, kinds), _lists(other, kinds))
    # Who looks for what moved takes true, 1 and 1.0 for the same.
    if longest > _MAX_ALIGNED or len(kinds) > 1:
        yield from _by_position(one, other, path)
        return

    from deepdiff import DeepDiff

    tree = DeepDiff(one, other, view="tree", ignore_nan_inequality=True, verbose_level=0)
    levels = [(_KINDS[name], level) for name, found in tree.items() if name in _KINDS for level in found]
    rows = [((*path, *level.path(output_format="list")), kind, level) for kind, level in levels]
    for place, kind, level in sorted(rows, key=lambda row: [_order(each) for each in row[0]]):
        yield StateChange(
            place,
            kind,
            _shown(level.t1) if kind != "added" else None,
            _shown(level.t2) if kind != "removed" else None,
        )


def _by_position(before: Any, after: Any, path: tuple[str | int, ...]) -> Iterator[StateChange]:
    """Yield the differences without looking for what moved, in a fraction of the time."""
    places: Iterable[Any]
    if type(before) is dict and type(after) is dict:
        places = sorted({*before, *after}, key=_order)
    elif type(before) is list and type(after) is list:
        places, before, after = range(max(len(before), len(after))), _numbered(before), _numbered(after)
    else:
        if not same(before, after) and not (before != before and after != after):  # noqa: PLR0124 (NaN is not itself)
            yield StateChange(path, "changed", _shown(before), _shown(after))
        return
    for place in places:
        here = (*path, place)
        if place not in after:
            yield StateChange(here, "removed", _shown(before[place]), None)
        elif place not in before:
            yield StateChange(here, "added", None, _shown(after[place]))
        else:
            yield from _by_position(before[place], after[place], here)


def _numbered(items: list[Any]) -> dict[int, Any]:
    return dict(enumerate(items))


_KINDS: Final[dict[str, Kind]] = {
    "type_changes": "changed",
    "values_changed": "changed",
    "dictionary_item_added": "added",
    "dictionary_item_removed": "removed",
    "iterable_item_added": "added",
    "iterable_item_removed": "removed",
}


class _Budget:
    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = _MAX_NODES


def _comparable(value: Any) -> Any:
    """Return a value in which whatever is long, deep, binary or large is replaced by a text with its hash."""
    budget = _Budget()
    made = _part(value, 0, budget)
    return made if budget.left >= 0 else _summary(value)


def _part(value: Any, depth: int, budget: _Budget) -> Any:
    budget.left -= 1
    if isinstance(value, str):
        return value if len(value) <= _MAX_TEXT else _long_text(value)
    if isinstance(value, bytes):
        return _binary(value)
    if isinstance(value, dict | list | tuple):
        if budget.left < 0:
            return None
        if depth >= _MAX_DEPTH:
            return _summary(value)
        if isinstance(value, dict):
            return {str(key): _part(each, depth + 1, budget) for key, each in value.items()}
        return [_part(each, depth + 1, budget) for each in value]
    return value


def _lists(value: Any, kinds: set[type]) -> int:
    """Return the length of the longest list in a value. Add to `kinds` the kinds of numbers in lists."""
    if isinstance(value, dict):
        return max((_lists(each, kinds) for each in value.values()), default=0)
    if isinstance(value, list):
        kinds.update(type(each) for each in value if isinstance(each, bool | int | float))
        return max(len(value), max((_lists(each, kinds) for each in value), default=0))
    return 0


def _long_text(text: str) -> str:
    digest = blake3(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{text[:_SHOWN]}... ({len(text)} characters, {digest[:16]})"


def _binary(data: bytes) -> str:
    return f"({len(data)} bytes, {blake3(data).hexdigest()[:16]})"


def _summary(value: Any) -> str:
    packed = repr(value).encode("utf-8", "surrogatepass")
    kind = "an object" if isinstance(value, dict) else "a list"
    return f"({kind} with {len(value)} entries, {blake3(packed).hexdigest()[:16]})"


def _shown(value: Any) -> Json:
    """Return a value for a difference: whole if it is small."""
    made = _comparable(value)
    text = json.dumps(made, ensure_ascii=False)
    return made if len(text) <= 2 * _MAX_TEXT else _summary(value)


# -- similarity


def comparison(recorded: Any, replayed: Any) -> dict[str, Any]:
    """Return how two values differ, as JSON values: `equal`, `similarity` from 0 to 1, the `differences` by path, and
    whether these are all (`complete`)."""
    found, complete = differences(recorded, replayed)
    return {
        "equal": not found,
        "similarity": similarity(recorded, replayed),
        "differences": [{**each.to_dict(), "place": each.place} for each in found],
        "complete": complete,
    }


def similarity(one: Any, other: Any) -> float:
    """Return how similar two values are: 1.0 if they are equal, 0.0 if nothing of one is in the other. Texts count by
    what they have in common."""
    if same(one, other):
        return 1.0
    total = max(_leaves(one), _leaves(other))
    score = 1.0 - min(1.0, _distance(one, other, 0) / total)
    return min(score, 0.9999)


def _leaves(value: Any) -> int:
    count, waiting = 0, [value]
    while waiting and count < _MAX_NODES:
        each = waiting.pop()
        if isinstance(each, dict) and each:
            waiting.extend(each.values())
        elif isinstance(each, list | tuple) and each:
            waiting.extend(each)
        else:
            count += 1
    return max(1, count)


def _distance(one: Any, other: Any, depth: int) -> float:
    """Return how many leaves differ; a text counts by the part that differs."""
    if depth > _MAX_DEPTH:
        return 0.0 if same(one, other) else 1.0
    if isinstance(one, dict) and isinstance(other, dict):
        return sum(
            _distance(one[key], other[key], depth + 1)
            if key in one and key in other
            else float(_leaves(one[key] if key in one else other[key]))
            for key in {*one, *other}
        )
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        paired = sum(_distance(a, b, depth + 1) for a, b in zip(one, other, strict=False))
        rest = one[len(other) :] if len(one) > len(other) else other[len(one) :]
        return paired + sum(map(_leaves, rest))
    if isinstance(one, str) and isinstance(other, str):
        if one == other:
            return 0.0
        # Texts that only differ behind what is rated are not quite the same.
        from rapidfuzz.distance import Indel

        return float(Indel.normalized_distance(one[:_MAX_RATED], other[:_MAX_RATED])) or 0.001
    if same(one, other):
        return 0.0
    return float(max(_leaves(one), _leaves(other)))
