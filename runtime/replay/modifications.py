"""Apply modifications to recorded events, on their way into a replay."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Final

from greenroom.actors.messages.conversation.commands import AddMessage
from greenroom.actors.session.state.evolve import CONFIGURED
from greenroom.runtime.config.config import session_overrides
from greenroom.storage.codec.records import pack_value, unpack_value
from greenroom.storage.common.validation import nearest
from greenroom.storage.errors import GreenroomError, ValidationError, shown
from greenroom.storage.events.calls import CALL_FIELDS
from greenroom.storage.events.model import ENCODED_FIELDS, PUBLISHED, PUBLISHED_HASH, Load, StoredEvent
from greenroom.storage.events.turns import ADDED, EDITED, FINISHED, STARTED, has_field

from .config import Modification
from .fields import with_field

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

Change = Callable[[StoredEvent, Load], "dict[str, Any] | None"]
"""Returns the changed data of an event; None if it does not concern the event. Contents are read with the second."""


_DIGITS: Final = 19
_LATER: Final = (FINISHED, EDITED)
"""Types of the events about a message that name it."""
_TYPES: Final[dict[str, tuple[str, ...]]] = {
    "config": ("session.created", CONFIGURED),
    "metadata": ("session.created", "metadata.updated"),
}
_NAMED: Final = {
    "variable.set": ("variables", "key"),
    "tool.called": ("tools", "name"),
    "tool.returned": ("tools", "name"),
    "agent.called": ("agents", "name"),
    "agent.returned": ("agents", "name"),
}
"""The roots of the paths for events of these types, and the fields with the name."""


class Modifications:
    """Changes recorded events. Serves as the `Edit` of a replay."""

    def __init__(self, given: Iterable[Modification], load: Load) -> None:
        """`load` reads the contents of large fields. Raises ValidationError for a path that means nothing, and for a
        value that cannot be there."""
        self._load = load
        self._changes: list[tuple[str, Change]] = []
        self._used: set[int] = set()
        self._places: dict[str | tuple[str, int], list[int]] = {}
        """The numbers of the changes for events of a type, for an event, or for a message."""
        self._names: dict[str, _Names] = {}
        """Those for variables, tools and agents, by their names."""
        for number, each in enumerate(given):
            root, rest = _segments(each)
            self._changes.append((each.path, _MAKERS[root](each, root, rest)))
            if root in ("variables", "tools", "agents"):
                self._names.setdefault(root, _Names()).add(rest, number)
                continue
            for place in _TYPES.get(root) or ((root, int(rest[0])),):
                self._places.setdefault(place, []).append(number)

    def __call__(self, sequence: int, stored: StoredEvent) -> StoredEvent:
        for number in self._concerning(sequence, stored):
            with contextlib.suppress(_NoPlaceError, LookupError, TypeError, ValueError):  # it has nothing at this place
                data = self._changes[number][1](stored, self._load)
                if data is not None:
                    self._used.add(number)
                    stored = stored._replace(data=data)
        return stored

    def _concerning(self, sequence: int, stored: StoredEvent) -> list[int]:
        """Return the numbers of the changes that may be for an event, in order."""
        type_ = stored.type
        turn = stored.data["sequence"] if type_ in _LATER else sequence
        found = [
            number
            for place in (("events", sequence), ("messages", turn), type_)
            for number in self._places.get(place, ())
        ]
        root, name = _NAMED.get(type_, ("", ""))
        if root in self._names and name in stored.data:
            found += self._names[root].under(stored.data[name])
        return sorted(found) if len(found) > 1 else found

    @property
    def unused(self) -> tuple[str, ...]:
        """The paths that have changed nothing so far."""
        return tuple(path for number, (path, _) in enumerate(self._changes) if number not in self._used)


class _Names:
    """Finds the changes whose paths begin with a name, which may have dots itself."""

    def __init__(self) -> None:
        self._tree: dict[str, Any] = {}

    def add(self, segments: list[str], number: int) -> None:
        node = self._tree
        for segment in segments:
            node = node.setdefault(segment, {})
        node.setdefault("", []).append(number)  # no segment is empty

    def under(self, name: str) -> list[int]:
        node: Any = self._tree
        for segment in name.split("."):
            node = node.get(segment) if segment else None
            if node is None:
                return []
        found: list[int] = []
        nodes = [node]
        while nodes:
            for segment, below in nodes.pop().items():
                if segment:
                    nodes.append(below)
                else:
                    found += below
        return found


class _NoPlaceError(Exception):
    """There is no such place in a value."""


def _segments(given: Modification) -> tuple[str, list[str]]:
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
    return root, rest


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


def _put_field(stored: StoredEvent, name: str, path: list[str], new: Any, load: Load) -> dict[str, Any]:
    """Return the data of an event with a new value at a path within an encoded field. What is kept as content is read
    for that, and then is in the event itself: nothing of a replay is stored."""
    data = stored.data
    if f"{name}_hash" in data:
        loaded = with_field(stored, name, load)
        if loaded is None and path:
            raise _NoPlaceError
        gone = (f"{name}_hash", f"{name}_form", "text" if name == "content" else "")
        data = loaded if loaded is not None else {each: value for each, value in data.items() if each not in gone}
    packed = _put_packed(data.get(name), path, new)
    return {**data, name: packed} if packed != data.get(name) else stored.data


def _put_packed(packed: bytes | None, path: list[str], new: Any) -> bytes:
    return pack_value(_put(unpack_value(packed) if packed is not None else None, path, new))


def _variables(given: Modification, root: str, rest: list[str]) -> Change:
    def change(stored: StoredEvent, load: Load) -> dict[str, Any] | None:
        path = _after(stored.data["key"], rest)
        return _put_field(stored, "value", path, given.value, load) if path is not None else None

    return change


def _calls(given: Modification, root: str, rest: list[str]) -> Change:
    if not {"input", "result"}.intersection(rest[1:]):
        raise _incomplete(given, root)

    def change(stored: StoredEvent, load: Load) -> dict[str, Any] | None:
        data = stored.data
        what = "input" if stored.type.endswith("called") else "result"
        path = _after(data["name"], rest)
        if not path or path[0] != what:
            return None
        if what == "result" and not data["success"]:
            if path[1:]:
                return None  # there is nothing to change within: the call has failed
            data = {**{name: value for name, value in data.items() if name != "error"}, "success": True}
        return _put_field(stored._replace(data=data), what, path[1:], given.value, load)

    return change


def _messages(given: Modification, root: str, rest: list[str]) -> Change:
    number, *path = rest
    if not _is_number(number) or not path or path[0] not in _TURN_FIELDS:
        raise _incomplete(given, root)
    name = path[0]
    plain = name in ("role", "name", "tool_call_id")
    if plain and path[1:]:
        raise _incomplete(given, root)
    if not path[1:]:
        _check_field(given, name)

    def change(stored: StoredEvent, load: Load) -> dict[str, Any] | None:
        type_, data = stored.type, stored.data
        whole = type_ == ADDED or (type_ == STARTED and name not in ("content", "tool_calls"))
        if not whole and not (type_ in _LATER and has_field(data, name)):
            return None
        return {**data, name: given.value} if plain else _put_field(stored, name, path[1:], given.value, load)

    return change


def _check_field(given: Modification, name: str) -> None:
    """Raise ValidationError for a value that this field of a message cannot have."""
    try:
        AddMessage(**{"role": "user", "content": None, name: given.value})
    except GreenroomError as error:
        raise ValidationError(f"modifications: {shown(given.path)}: {error}", field="modifications") from error


def _is_number(segment: str) -> bool:
    return segment.isascii() and segment.isdigit() and len(segment) <= _DIGITS


def _events(given: Modification, root: str, rest: list[str]) -> Change:
    number, *path = rest
    if not _is_number(number) or path[:1] != ["data"] or len(path) < 2:
        raise _incomplete(given, root)
    path = path[1:]
    field = path[0]

    def change(stored: StoredEvent, load: Load) -> dict[str, Any] | None:
        data = stored.data
        if PUBLISHED_HASH in data:
            loaded = with_field(stored, PUBLISHED, load)
            if loaded is None:
                return None
            data = loaded
        if PUBLISHED in data:
            return {**data, PUBLISHED: _put_packed(data[PUBLISHED], path, given.value)}
        if field in ENCODED_FIELDS.get(stored.type, ()):
            return _put_field(stored, field, path[1:], given.value, load)
        if f"{field}_hash" in data and stored.type in CALL_FIELDS:  # a text
            data = {name: there for name, there in data.items() if name not in (f"{field}_hash", f"{field}_form")}
            data[field] = ""
        changed: dict[str, Any] = _put(data, path, given.value)
        if not _fits(data[field], changed[field]):
            raise _NoPlaceError
        return changed

    if field.endswith(("_hash", "_form")):
        raise ValidationError(
            f"modifications: {shown(given.path)} names where a content is: give the value itself, as"
            f" events.{number}.data.{field[:-5]}",
            field="modifications",
        )
    return change


def _fits(there: Any, new: Any) -> bool:
    """Return whether a value has the form of the one that it replaces, so that its event can be read."""
    if there is None:
        return new is None or type(new) in (str, int)
    if type(there) is not type(new):
        return False
    if isinstance(there, list):
        return not there or all(any(_fits(one, each) for one in there) for each in new)
    if isinstance(there, dict):
        return all(_fits(there[name], new[name]) for name in there if name in new)
    return True


def _config(given: Modification, root: str, rest: list[str]) -> Change:
    setting: Any = given.value
    for name in reversed(rest):
        setting = {name: setting}
    session_overrides(setting)

    def change(stored: StoredEvent, load: Load) -> dict[str, Any] | None:
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
    def change(stored: StoredEvent, load: Load) -> dict[str, Any] | None:
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
