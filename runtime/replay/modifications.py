"""Apply modifications to recorded events, on their way into a replay."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from greenroom.actors.messages.conversation.turn_command import INLINE_BYTES, packed_content
from greenroom.actors.session.state.evolve import CONFIGURED
from greenroom.runtime.config.config import session_overrides
from greenroom.storage.codec.records import pack_value, unpack_value
from greenroom.storage.common.validation import nearest
from greenroom.storage.content.chunks import content_digest
from greenroom.storage.errors import ValidationError, shown
from greenroom.storage.events.model import ENCODED_FIELDS, PUBLISHED, StoredEvent
from greenroom.storage.events.turns import ADDED, EDITED, FINISHED, STARTED

from .config import Modification

__all__ = ["Modifications"]

_FORMS: Final = {
    "variables": "variables.KEY",
    "tools": "tools.NAME.result or tools.NAME.input",
    "agents": "agents.NAME.result or agents.NAME.input",
    "messages": "messages.SEQUENCE.content",
    "events": "events.SEQUENCE.data.FIELD",
    "config": "config.NAME",
    "metadata": "metadata.KEY",
}
_TURN_FIELDS: Final = ("content", "role", "name", "metadata", "tool_calls", "tool_call_id")

Change = Callable[[int, StoredEvent], "dict[str, Any] | None"]
"""Returns the changed data of an event; None if it does not concern the event."""


class Modifications:
    """Changes recorded events. Serves as the `Edit` of a replay."""

    def __init__(self, given: Iterable[Modification]) -> None:
        """Raises ValidationError for a path that means nothing."""
        self._changes = [(each.path, _change(each)) for each in given]
        self._used: set[str] = set()

    def __call__(self, sequence: int, stored: StoredEvent) -> StoredEvent:
        for path, change in self._changes:
            try:
                data = change(sequence, stored)
            except (_NoPlaceError, LookupError, TypeError, ValueError):
                continue  # the event has nothing at this place
            if data is not None:
                self._used.add(path)
                stored = stored._replace(data=data)
        return stored

    @property
    def unused(self) -> tuple[str, ...]:
        """The paths that have changed nothing so far."""
        return tuple(path for path, _ in self._changes if path not in self._used)


class _NoPlaceError(Exception):
    """There is no such place in a value."""


def _change(given: Modification) -> Change:
    root, *rest = given.path.split(".")
    if root not in _FORMS:
        near = nearest(root, _FORMS)
        raise ValidationError(
            f"modifications: {shown(given.path)} begins with none of {', '.join(_FORMS)}"
            + (f"; the nearest is {near}" if near is not None else ""),
            field="modifications",
        )
    if not rest or not all(rest):
        raise _incomplete(given, root)
    return _MAKERS[root](given, root, rest)


def _incomplete(given: Modification, root: str) -> ValidationError:
    return ValidationError(
        f"modifications: {shown(given.path)} is not complete: it reads {_FORMS[root]}", field="modifications"
    )


def _after(name: str, segments: list[str]) -> list[str] | None:
    """Return what follows a name, which may have dots itself; None if the segments do not begin with it."""
    count = name.count(".") + 1
    return segments[count:] if ".".join(segments[:count]) == name else None


def _put(value: Any, path: list[str], new: Any) -> Any:
    """Return a value with a new one at a path within it. Raises _NoPlaceError."""
    if not path:
        return new
    head, *rest = path
    if isinstance(value, dict):
        if rest and head not in value:
            raise _NoPlaceError
        return {**value, head: _put(value.get(head), rest, new)}
    if isinstance(value, list) and head.lstrip("-").isdigit() and -len(value) <= int(head) < len(value):
        changed = list(value)
        changed[int(head)] = _put(value[int(head)], rest, new)
        return changed
    raise _NoPlaceError


def _put_packed(packed: bytes | None, path: list[str], new: Any) -> bytes:
    return pack_value(_put(unpack_value(packed) if packed is not None else None, path, new))


def _variables(given: Modification, root: str, rest: list[str]) -> Change:
    def change(sequence: int, stored: StoredEvent) -> dict[str, Any] | None:
        if stored.type != "variable.set":
            return None
        path = _after(stored.data["key"], rest)
        return None if path is None else {**stored.data, "value": _put_packed(stored.data["value"], path, given.value)}

    return change


def _calls(given: Modification, root: str, rest: list[str]) -> Change:
    kind = root[:-1]
    if not {"input", "result"}.intersection(rest[1:]):
        raise _incomplete(given, root)

    def change(sequence: int, stored: StoredEvent) -> dict[str, Any] | None:
        data = stored.data
        if stored.type not in (f"{kind}.called", f"{kind}.returned"):
            return None
        what = "input" if stored.type.endswith("called") else "result"
        path = _after(data["name"], rest)
        if not path or path[0] != what:
            return None
        if what == "result" and not data["success"]:
            if path[1:]:
                return None  # there is nothing to change within: the call has failed
            data = {**{name: value for name, value in data.items() if name != "error"}, "success": True}
        if f"{what}_hash" in data:
            if path[1:]:
                return None  # it is stored as a content
            data = {name: value for name, value in data.items() if name not in (f"{what}_hash", f"{what}_form")}
        return {**data, what: _put_packed(data.get(what), path[1:], given.value)}

    return change


def _messages(given: Modification, root: str, rest: list[str]) -> Change:
    number, *path = rest
    if not number.isdigit() or not path or path[0] not in _TURN_FIELDS:
        raise _incomplete(given, root)
    turn, name = int(number), path[0]

    def change(sequence: int, stored: StoredEvent) -> dict[str, Any] | None:
        type_, data = stored.type, stored.data
        whole = type_ == ADDED or (type_ == STARTED and name not in ("content", "tool_calls"))
        later = type_ in (FINISHED, EDITED) and data["sequence"] == turn
        if not (whole and sequence == turn) and not (later and (name in data or f"{name}_hash" in data)):
            return None
        if name in ("role", "name", "tool_call_id"):
            return {**data, name: given.value}
        if path[1:] and name not in data:
            return None  # it is stored as a content
        packed = _put_packed(data.get(name), path[1:], given.value)
        return _with_field(data, name, packed)

    return change


def _with_field(data: dict[str, Any], name: str, packed: bytes) -> dict[str, Any]:
    """Return the data of an event about a turn with another field, which is a content if it is large."""
    old = (name, f"{name}_hash", *(("text",) if name == "content" else ()))
    small = len(packed) <= INLINE_BYTES
    value = unpack_value(packed)
    if name == "content":
        packed, text = packed_content(value)
        content = text.encode("utf-8", "surrogatepass") if text is not None else packed
    else:
        text, content = None, packed
    new: dict[str, Any] = {name: packed}
    if not small:
        new = {f"{name}_hash": content_digest(content)}
        if name == "content":
            new["text"] = text is not None
    changed: dict[str, Any] = {}
    for key, there in data.items():
        if key in old:
            changed.update(new)
        else:
            changed[key] = there
    return {**changed, **new}


def _events(given: Modification, root: str, rest: list[str]) -> Change:
    number, *path = rest
    if not number.isdigit() or path[:1] != ["data"] or len(path) < 2:
        raise _incomplete(given, root)
    wanted, path = int(number), path[1:]

    def change(sequence: int, stored: StoredEvent) -> dict[str, Any] | None:
        if sequence != wanted:
            return None
        data = stored.data
        if PUBLISHED in data:
            return {**data, PUBLISHED: _put_packed(data[PUBLISHED], path, given.value)}
        if path[0] in ENCODED_FIELDS.get(stored.type, ()):
            return {**data, path[0]: _put_packed(data.get(path[0]), path[1:], given.value)}
        changed: dict[str, Any] = _put(data, path, given.value)
        return changed

    return change


def _config(given: Modification, root: str, rest: list[str]) -> Change:
    setting: Any = given.value
    for name in reversed(rest):
        setting = {name: setting}
    session_overrides(setting)

    def change(sequence: int, stored: StoredEvent) -> dict[str, Any] | None:
        if stored.type not in ("session.created", CONFIGURED):
            return None
        packed = stored.data["config"]
        return {**stored.data, "config": pack_value(_merged(unpack_value(packed) if packed else {}, setting))}

    return change


def _merged(config: dict[str, Any], setting: dict[str, Any]) -> dict[str, Any]:
    merged = dict(config)
    for name, value in setting.items():
        there = merged.get(name)
        merged[name] = _merged(there, value) if isinstance(value, dict) and isinstance(there, dict) else value
    return merged


def _metadata(given: Modification, root: str, rest: list[str]) -> Change:
    def change(sequence: int, stored: StoredEvent) -> dict[str, Any] | None:
        if stored.type not in ("session.created", "metadata.updated"):
            return None
        return {**stored.data, "metadata": _put_packed(stored.data["metadata"], rest, given.value)}

    return change


_MAKERS: Final[dict[str, Callable[[Modification, str, list[str]], Change]]] = {
    "variables": _variables,
    "tools": _calls,
    "agents": _calls,
    "messages": _messages,
    "events": _events,
    "config": _config,
    "metadata": _metadata,
}
