"""The subject of an operation: its data as hooks see and change it, and as `hook.executed` journals it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Protocol

from greenroom.storage.artifacts.model import Artifact
from greenroom.storage.codec.records import pack_value
from greenroom.storage.errors import GreenroomError, ValidationError

from .result import HookResult

__all__ = ["Checked", "Failure", "Plain", "Reply", "Subject", "bounded", "error_name", "fresh", "plain", "shortened"]


class Subject(Protocol):
    """The data of an operation at one point of its way."""

    def view(self) -> dict[str, Any]:
        """Return the data as a deep copy that belongs to the caller."""

    def changed(self, data: dict[str, Any]) -> Subject:
        """Return the same operation with other data. Raises ValidationError, or what its checks raise."""


def fresh(value: Any) -> Any:
    """Return a deep copy of dicts and lists; other values are returned unchanged."""
    kind = value.__class__
    if kind is dict:
        return {key: fresh(each) for key, each in value.items()}
    if kind is list:
        return [fresh(each) for each in value]
    return value


class Plain:
    """Data that is a dict already."""

    __slots__ = ("data",)

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = data

    def view(self) -> dict[str, Any]:
        return {key: fresh(each) for key, each in self.data.items()}

    def changed(self, data: dict[str, Any]) -> Plain:
        return Plain(data)


class Checked(Plain):
    """Data with a check that refuses invalid changes by hooks."""

    __slots__ = ("_check",)

    def __init__(self, data: dict[str, Any], check: Callable[[dict[str, Any]], object]) -> None:
        super().__init__(data)
        self._check = check

    def changed(self, data: dict[str, Any]) -> Checked:
        self._check(data)
        return Checked(data, self._check)


class Reply:
    """An operation after it was performed: its data, and the reply as "result"."""

    __slots__ = ("reply", "source")

    def __init__(self, source: Subject, reply: Any) -> None:
        self.source = source
        self.reply = reply

    def view(self) -> dict[str, Any]:
        data = self.source.view()
        data["result"] = fresh(self.reply)
        return data

    def changed(self, data: dict[str, Any]) -> Reply:
        """Return the same with another result. Nothing else can be changed any more."""
        return Reply(self.source, data.get("result"))


class Failure:
    """An operation that has failed: its data, and the class and message of its error as "error"."""

    __slots__ = ("error", "source")

    def __init__(self, source: Subject, error: BaseException) -> None:
        self.source = source
        self.error = error

    def view(self) -> dict[str, Any]:
        data = self.source.view()
        error = self.error
        data["error"] = {"code": type(error).__name__, "message": str(error)[:4096]}
        if isinstance(error, GreenroomError):
            data["error"]["fields"] = dict(error.fields)
        return data

    def changed(self, data: dict[str, Any]) -> Failure:
        """Return the operation that a retry or a redirection performs."""
        return Failure(self.source.changed({key: each for key, each in data.items() if key != "error"}), self.error)


MAX_BYTES: Final = 16 << 10
"""The most bytes of the data, and of the result, of one execution. Longer texts and bytes in them are truncated and
marked."""
_CUT: Final = 256
_DEPTH: Final = 32
_MOST: Final = 1_000_000


def error_name(error: BaseException) -> str:
    """Return the class of an error, by the name that users know."""
    return error.code if isinstance(error, GreenroomError) else type(error).__name__


def result_row(result: HookResult) -> dict[str, Any]:
    """Return a result with the fields of its kind, as scripts write it."""
    row: dict[str, Any] = {"type": result.kind}
    match result.kind:
        case "modified":
            row["data"] = dict(result.data or {})
        case "cancel" | "skipped":
            row["reason"] = result.reason
        case "redirect":
            row["target"] = result.target
        case "replace":
            row["value"] = result.value
        case "retry":
            row["delay"], row["max_attempts"] = result.delay, result.max_attempts
        case "fork":
            row["operations"] = len(result.operations)
        case "cache":
            row["key"], row["ttl"] = result.key, result.ttl
    return row


def plain(value: Any, depth: int = _DEPTH) -> Any:
    """Return a value as JSON data and bytes: greenroom's objects as their fields, others by the name of their class.
    Values nested deeper than `depth`, or after a million others, are given by their class too. Raises ValidationError
    for an object that fails when it is read."""
    try:
        return _plain(value, depth, itertools.count())
    except Exception as error:
        raise ValidationError("value: an object in it cannot be read", field="value") from error


def _plain(value: Any, depth: int, seen: itertools.count[int]) -> Any:
    kind = value.__class__
    if value is None or kind in (str, bool, float, bytes):
        return value
    if kind is int:
        return value if -(1 << 63) <= value < 1 << 64 else str(value)
    if depth == 0 or next(seen) > _MOST:
        return f"<{kind.__name__}>"
    if isinstance(value, dict):
        return {str(key): _plain(each, depth - 1, seen) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each, depth - 1, seen) for each in value]
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Artifact):
        return {"info": _plain(value.info, depth - 1, seen), "content": value.content}
    to_dict = getattr(value, "to_dict", None)
    if callable(to_dict):
        return _plain(to_dict(), depth - 1, seen)
    identity = getattr(value, "id", None)
    return identity if isinstance(identity, str) else f"<{kind.__name__}>"


def shortened(value: Any, longest: int) -> Any:
    """Return `plain` of a value, with no text, bytes or list longer than this."""
    return _cut(plain(value), longest)[0]


def bounded(data: Any) -> tuple[bytes, bool]:
    """Return a value encoded in at most `MAX_BYTES`, and whether something was truncated."""
    shown = _plain(data, _DEPTH, itertools.count(_MOST - 4 * MAX_BYTES))  # more cannot be within the bound
    whole = True
    for longest in (MAX_BYTES, _CUT):
        shown, cut = _cut(shown, longest)
        whole = whole and not cut
        try:
            packed = pack_value(shown)
        except GreenroomError:
            break  # NaN, or nested too deep
        if len(packed) <= MAX_BYTES:
            return packed, not whole
    return pack_value({"cut": True}), True


def _cut(value: Any, longest: int) -> tuple[Any, bool]:
    """Return the value with no text, bytes or list longer than this, and whether there was one."""
    if isinstance(value, (str, bytes)):
        return value[:longest], len(value) > longest
    if isinstance(value, dict):
        cuts = {key: _cut(each, longest) for key, each in value.items()}
        return {key: each for key, (each, _) in cuts.items()}, any(cut for _, cut in cuts.values())
    if isinstance(value, list):
        kept = [_cut(each, longest) for each in value[:longest]]
        return [each for each, _ in kept], len(value) > longest or any(cut for _, cut in kept)
    return value, False
