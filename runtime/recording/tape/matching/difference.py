"""The difference between the recorded input of a call and that of now, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from ..model import PATCHED

__all__ = ["Change", "changes", "difference"]

_TOLD: Final = 5
"""Changes that are told."""
_LOOKED_AT: Final = 200
_DEEPEST: Final = 32
_LONGEST: Final = 60
_MISSING: Final = object()
_LARGEST: Final = 4 << 20
"""Bytes of a body in which it is looked for JSON."""
_VOLATILE: Final = ("headers", PATCHED)
"""Fields of an input that do not identify it."""


class Change(NamedTuple):
    """A value that is not the same: its path, and both values in short."""

    path: str
    before: str
    after: str


def difference(before: Mapping[str, Any], after: Mapping[str, Any], *, values: bool = True) -> str:
    """Return how two inputs differ, in one line; with `values` False only where, for messages that must not carry
    content."""
    found = changes(before, after)
    if not found:
        return "the same fields"
    told = [
        f"{change.path}: {change.before} → {change.after}" if values else f"other {change.path}"
        for change in found[:_TOLD]
    ]
    more = f", and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
    return (", " if not values else "; ").join(told) + more


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Return what is not the same in two inputs, in order."""
    found: list[Change] = []
    for change in _walk(_opened(before), _opened(after), "", 0):
        found.append(change)
        if len(found) >= _LOOKED_AT:
            break
    return found


def _opened(value: Any) -> Any:
    """Return an input without what does not identify it, and with bodies of JSON opened."""
    if isinstance(value, Mapping):
        return {name: _opened(each) for name, each in value.items() if name not in _VOLATILE}
    if isinstance(value, bytes | bytearray) and value[:1] in (b"{", b"[") and len(value) <= _LARGEST:
        try:
            return json.loads(value)
        except ValueError:
            return value
    return list(value) if isinstance(value, tuple) else value


def _walk(before: Any, after: Any, path: str, depth: int) -> Iterator[Change]:
    if before is after or (type(before) is type(after) and before == after):
        return
    if depth < _DEEPEST:
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            for name in dict.fromkeys([*before, *after]):
                field = str(name) if str(name).isprintable() else json.dumps(str(name))
                inner = f"{path}.{field}" if path else field
                yield from _walk(before.get(name, _MISSING), after.get(name, _MISSING), inner, depth + 1)
            return
        if isinstance(before, list) and isinstance(after, list):
            for at in range(max(len(before), len(after))):
                one = before[at] if at < len(before) else _MISSING
                other = after[at] if at < len(after) else _MISSING
                yield from _walk(one, other, f"{path}[{at}]", depth + 1)
            return
    yield Change(path or "input", *_short_pair(before, after))


def _short_pair(before: Any, after: Any) -> tuple[str, str]:
    """Return two values in short. Of long texts, the part where they part."""
    if isinstance(before, str) and isinstance(after, str) and max(len(before), len(after)) > _LONGEST:
        at = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
        start = max(0, min(at, len(before), len(after)) - _LONGEST // 3)
        return tuple(f"{'…' if start else ''}{_short(text[start:])}" for text in (before, after))  # type: ignore[return-value]
    return _short(before), _short(after)


def _short(value: Any) -> str:
    if value is _MISSING:
        return "nothing"
    if isinstance(value, bytes | bytearray):
        return f"{len(value)} bytes"
    text = json.dumps(value, ensure_ascii=False, default=lambda each: f"<{type(each).__name__}>")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
