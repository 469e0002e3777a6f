"""Whether a call is the one that was recorded, but for what was removed from the recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ..model import PATCHED
from ..secrets.urls import REDACTED

__all__ = ["fits_redacted"]

_NOT_COMPARED: Final = ("headers", "redacted", PATCHED)
_MARK: Final = REDACTED.encode()


def fits_redacted(recorded: Any, given: Any) -> bool:
    """Return whether a value is the recorded one, where the marks in that stand for anything. The rules by which it was
    redacted need not be known: one that was itself the secret is kept nowhere."""
    if isinstance(recorded, Mapping) and isinstance(given, Mapping):
        names = {name for name in (*recorded, *given) if name not in _NOT_COMPARED}
        return all(name in recorded and name in given and fits_redacted(recorded[name], given[name]) for name in names)
    if isinstance(recorded, list | tuple) and isinstance(given, list | tuple):
        return len(recorded) == len(given) and all(map(fits_redacted, recorded, given))
    if isinstance(recorded, str) and isinstance(given, str):
        return _fits(recorded.encode("utf-8", "surrogatepass"), given.encode("utf-8", "surrogatepass"))
    if isinstance(recorded, bytes) and isinstance(given, bytes):
        return _fits(recorded, given)
    return bool(recorded == given)


def _fits(recorded: bytes, given: bytes) -> bool:
    if recorded == given:
        return True
    first, *parts = recorded.split(_MARK)
    if not parts or not given.startswith(first):
        return False
    last = parts.pop()
    end = len(given) - len(last)
    at = len(first)
    for part in parts:
        found = given.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return at <= end and given.endswith(last)
