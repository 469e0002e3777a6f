"""Converts one message of any form to a turn. No field is dropped."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any, Final

from greenroom.runtime.ingest.records import Note, Turn
from greenroom.storage.common.message_text import role_of

__all__ = ["UNKNOWN", "time_of", "turn_of_message", "with_free_key"]


_EARLIEST: Final = 631_152_000  # 1990, in seconds: a smaller number cannot be the time of a recording
_DAY: Final = 86_400
_UNITS: Final = ((1, 10**9), (10**3, 10**6), (10**6, 10**3), (10**9, 1))
"""Units per second, and ns per unit, of seconds, milliseconds, microseconds and nanoseconds."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def time_of(value: Any) -> int | None:
    """Return a time in ns since the epoch; None for anything that cannot be the time of a recording.

    Numbers count seconds, milliseconds, microseconds or nanoseconds, whichever makes a plausible time. Texts are ISO
    8601; one without an offset is taken for UTC.
    """
    if isinstance(value, dict):
        value = value.get("$date")  # MongoDB
    if isinstance(value, str):
        return _of_text(value.strip())
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    latest = time.time() + _DAY
    for per_second, nanoseconds in _UNITS:
        if _EARLIEST * per_second <= value <= latest * per_second:
            return int(value * nanoseconds)
    return None


def _of_text(text: str) -> int | None:
    if not 8 <= len(text) <= 40:
        return None
    try:
        number = float(text)
    except ValueError:
        pass
    else:
        return time_of(number)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    try:
        seconds = (when - _EPOCH).total_seconds()
    except OverflowError:
        return None
    if not _EARLIEST <= seconds <= time.time() + _DAY:
        return None
    delta = when - _EPOCH
    return (delta.days * _DAY + delta.seconds) * 10**9 + delta.microseconds * 1000


def _is_impossible(value: Any) -> bool:
    """Return whether a value, which `time_of` knows no time for, is meant to be one: it is before 1990, say."""
    if isinstance(value, str) and 8 <= len(value.strip()) <= 40:
        try:
            datetime.fromisoformat(value.strip())
        except ValueError:
            return False
        return True
    return isinstance(value, (int, float)) and not isinstance(value, bool)


UNKNOWN: Final = "unknown"
"""The role of a message without one, in a conversation where other messages have roles."""

_AUTHORS: Final = ("role", "from", "author", "speaker", "sender")
_CONTENTS: Final = ("content", "value", "text", "parts", "message")
_TIMES: Final = ("timestamp", "created_at", "create_time", "createTime", "createdAt", "created", "time", "date", "ts")


def turn_of_message(number: int, item: Any, notes: list[Note]) -> tuple[Turn, str | None]:
    """Return the turn of a message, and the reason if its role is unknown. Changes are added to `notes`."""
    if not isinstance(item, dict):
        notes.append(Note(f"message {number}", f"it is not an object: kept as a turn of the role {UNKNOWN}"))
        return Turn(UNKNOWN, item if isinstance(item, str) else as_json(item)), f"message {number} is not an object"
    rest = dict(item)
    place = f"message {number}"
    role, missing = _role(rest, place)
    if missing is not None:
        notes.append(Note(place, f"it has no role: kept as a turn of the role {UNKNOWN}"))
    content = _content(rest, place, notes)
    tool_calls = _tool_calls(rest, place, notes)
    name = _text(rest, "name")
    tool_call_id = _text(rest, "tool_call_id")
    ids = rest.get("tool_call_ids")
    if tool_call_id is None and isinstance(ids, list) and ids and isinstance(ids[0], str) and ids[0]:
        tool_call_id = ids[0]
        if len(ids) == 1:
            del rest["tool_call_ids"]
    return Turn(role, content, name, tool_calls, tool_call_id, rest, _time(rest, place, notes)), missing


def _time(rest: dict[str, Any], place: str, notes: list[Note]) -> int | None:
    """Return the time of a message: that of the first field that has one. A time that cannot be is noted."""
    told = [key for key in _TIMES if rest.get(key) is not None] if rest else ()
    for key in told:
        time = time_of(rest[key])
        if time is not None:
            return time
    for key in told:
        if _is_impossible(rest[key]):
            notes.append(Note(f"{place}.{key}", f"{rest[key]} cannot be its time: that of the turn before it is shown"))
            break
    return None


def as_json(value: Any) -> str:
    """Return the value as JSON text."""
    return json.dumps(value, ensure_ascii=False)


def with_free_key(fields: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """Return the fields with one more, under the key or, if the recording uses that key itself, under a similar one."""
    while key in fields:
        key += "_"
    return {**fields, key: value}


def _role(rest: dict[str, Any], place: str) -> tuple[str, str | None]:
    """Return the usual name of a message's role, and the reason if it is unknown. An original name that differs stays
    in `rest`."""
    for key in _AUTHORS:
        said = rest.get(key)
        if isinstance(said, dict):  # ChatGPT's author
            said = said.get("role")
        if isinstance(said, str) and said.strip():
            role = role_of(said) or said
            if rest[key] == role:
                del rest[key]
            return role, None
    said = rest.get("type")  # LangChain's
    if isinstance(said, str) and (kind := role_of(said)) is not None:
        return kind, None
    if "from" in rest and "role" not in rest:
        return UNKNOWN, f"{place} does not say who it is from"
    return UNKNOWN, f"{place} has no role"


def _content(rest: dict[str, Any], place: str, notes: list[Note]) -> str | list[Any] | None:
    keys = ("value", *_CONTENTS) if "from" in rest and "role" not in rest else _CONTENTS
    key = next((each for each in keys if rest.get(each) is not None), None)
    if key is None:
        inner = rest.get("data")  # LangChain's messages have their content there
        if isinstance(inner, dict) and isinstance(inner.get("content"), (str, list)):
            rest["data"] = {each: value for each, value in inner.items() if each != "content"}
            content: str | list[Any] = inner["content"]
            return content
        for each in ("content", "value"):
            if rest.get(each, "") is None:
                del rest[each]
        return None
    value = rest.pop(key)
    if isinstance(value, (str, list)):
        return value
    if isinstance(value, dict) and _is_part(value):
        notes.append(Note(f"{place}.{key}", "an object: kept as the one part of the content"))
        return [value]
    notes.append(Note(f"{place}.{key}", "neither text nor a list of parts: kept as its JSON text"))
    return as_json(value)


def _is_part(value: dict[str, Any]) -> bool:
    return isinstance(value.get("type"), str) or isinstance(value.get("text"), str)


def _tool_calls(rest: dict[str, Any], place: str, notes: list[Note]) -> list[Any] | None:
    """Take the calls of tools out of `rest`. A text is parsed as JSON; if that fails, it stays in `rest`."""
    calls = rest.get("tool_calls")
    if isinstance(calls, list):
        return list(rest.pop("tool_calls"))
    if isinstance(calls, str) and calls.strip():
        try:
            parsed = json.loads(calls)
        except (ValueError, RecursionError):
            parsed = None
        if isinstance(parsed, (list, dict)):
            calls = parsed
            notes.append(Note(f"{place}.tool_calls", "a text: read as the JSON in it"))
        else:
            notes.append(Note(f"{place}.tool_calls", "a text that is no JSON: kept in the metadata"))
    if isinstance(calls, (list, dict)):
        if isinstance(calls, dict):
            notes.append(Note(f"{place}.tool_calls", "one object: kept as a list of one"))
        del rest["tool_calls"]
        return calls if isinstance(calls, list) else [calls]
    if not calls:
        rest.pop("tool_calls", None)
    function = rest.get("function_call")
    if isinstance(function, dict) and function and not calls:
        del rest["function_call"]
        return [{"type": "function", "function": function}]
    return None


def _text(rest: dict[str, Any], key: str) -> str | None:
    """Take a text field out of `rest`. Other values stay there and become metadata. Null and "" count as missing."""
    value = rest.get(key)
    if value is None or value == "":
        rest.pop(key, None)
        return None
    if isinstance(value, str):
        del rest[key]
        return value
    return None
