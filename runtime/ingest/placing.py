"""Places every field in the message, in the metadata, or, if it does not fit there, in an artifact.

Sizes are those of the stored encoding. A field that is moved to an artifact leaves the artifact's name in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from blake3 import blake3

from greenroom.actors import messages as m
from greenroom.runtime.ingest.forms.message import as_json, with_free_key
from greenroom.storage.codec.records import pack_value
from greenroom.storage.common.message_text import is_tool_result, text_of, text_of_message
from greenroom.storage.errors import ValidationError

from .files import ARTIFACT_TYPES, Moved, take_files
from .records import Note, Turn

__all__ = ["Fitted", "Moved", "PlacedTurn", "fit", "place_turn", "plain_text", "texts_of"]

MESSAGE_ROOM: Final = 48 << 10
"""Limit of bytes for a message's other fields. Together with the names of moved fields, they stay within 64 KiB."""
_MOST_MOVED: Final = 32
_MOST_NESTED: Final = 3
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9._-]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SHORT: Final = 200


@dataclass(slots=True)
class Fitted:
    """Fields that fit, and fields that were moved to artifacts."""

    kept: dict[str, Any]
    moved: list[Moved]
    named: dict[str, str]
    """The artifacts of the moved fields, by path."""


@dataclass(slots=True)
class PlacedTurn:
    """A turn with all fields placed."""

    message: m.AddMessage
    content: str | list[Any] | None
    """The content of the message; None if it became an artifact."""
    texts: list[tuple[str, str, str]]
    """The texts of the turn, as artifact type, name and content."""
    moved: list[Moved]
    notes: list[Note] = field(default_factory=list)


def place_turn(number: int, turn: Turn) -> PlacedTurn:
    """Place every field of a turn, which is number `number` of its session, from 1."""
    stem = f"turn-{number:04d}"
    place = f"message {number - 1}"
    notes: list[Note] = []
    moved: list[Moved] = []
    fields = turn.metadata

    def shortened(key: str, value: str | None, most: int) -> str | None:
        nonlocal fields
        if value is None or len(value) <= most:
            return value
        fields = with_free_key(fields, key, value)
        notes.append(Note(f"{place}.{key}", f"{len(value)} characters: short in its field, whole in the metadata"))
        return f"{value[: min(_SHORT, most - 17)]}…{blake3(value.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"

    role = shortened("role", turn.role, m.MAX_ROLE) or turn.role
    name = shortened("name", turn.name, m.MAX_NAME)
    tool_call_id = shortened("tool_call_id", turn.tool_call_id, m.MAX_NAME)
    tool_calls = turn.tool_calls
    content, fields, files = take_files(turn.content, fields, stem, turn.role)
    for each in files:
        moved.append(each)
        notes.append(Note(f"{place}.{each.field}", f"a file: kept as the artifact {each.name}", moved=True))
    room = m.MAX_MESSAGE_BYTES
    size = _size(tool_calls)
    if tool_calls is not None and (size is None or size > room // 2):
        moved.append(_moved("tool_calls", tool_calls, stem, notes, place))
        tool_calls, size = None, 0
    room -= size or 0
    size = _size(content)
    if size is None or size > room:
        moved.append(_moved("content", content, stem, notes, place))
        content = None
    fitted = fit(fields, MESSAGE_ROOM, stem, notes, place, moved)
    metadata = with_free_key(fitted.kept, "artifacts", fitted.named) if fitted.named else fitted.kept
    message = m.AddMessage(
        role, content, name=name, tool_calls=tool_calls, tool_call_id=tool_call_id, metadata=metadata
    )
    return PlacedTurn(message, content, texts_of(number, turn), fitted.moved, notes)


def fit(
    fields: dict[str, Any],
    room: int,
    stem: str,
    notes: list[Note],
    place: str,
    before: Iterable[Moved] = (),
) -> Fitted:
    """Keep the fields of an object that fit into a number of bytes, and move the others, largest first.

    Nested objects keep the fields that fit. `before` are fields that were moved already.
    """
    moved = list(before)
    if not fields and not moved:
        return Fitted(fields, moved, {})
    kept = fields
    size = _size(fields)
    if size is None or size > room:
        kept, out = _divide(fields, room, _MOST_NESTED)
        if len(out) > _MOST_MOVED:
            out.sort(key=lambda pair: _weight(pair[1]), reverse=True)
            out, rest = out[: _MOST_MOVED - 1], out[_MOST_MOVED - 1 :]
            out.append((("other fields",), {".".join(path): value for path, value in rest}))
        moved += [_moved(".".join(path), value, stem, notes, place) for path, value in out]
    taken: set[str] = set()
    named: dict[str, str] = {}
    for number, each in enumerate(moved):
        name = each.name
        if name in taken:
            base, dot, ending = name.rpartition(".")
            name = f"{base}-{number}{dot}{ending}"
            moved[number] = each = replace(each, name=name)
        taken.add(name)
        key = _cut(each.field)
        named[key if key not in named else f"{key} ({number})"] = name
    return Fitted(kept, moved, named)


def plain_text(text: str) -> str:
    """Return the text without control characters, as names of sessions and files must be."""
    return _CONTROL.sub(" ", text)


def _divide(
    fields: Mapping[str, Any], room: int, depth: int
) -> tuple[dict[str, Any], list[tuple[tuple[str, ...], Any]]]:
    """Return the fields that fit, smallest first, and the others with their paths."""
    sizes = {key: _weight(value) + len(key) * 4 + 8 for key, value in fields.items()}
    kept: dict[str, Any] = {}
    out: list[tuple[tuple[str, ...], Any]] = []
    for key in sorted(fields, key=sizes.__getitem__):
        size, value = sizes[key], fields[key]
        if size <= room:
            kept[key] = value
            room -= size
        elif isinstance(value, dict) and len(value) > 1 and depth and room > 1024:
            inner, more = _divide(value, room - len(key) * 4 - 64, depth - 1)
            kept[key] = inner
            room -= _weight(inner) + len(key) * 4 + 8
            out += [((key, *path), each) for path, each in more]
        else:
            out.append(((key,), value))
    return {key: kept[key] for key in fields if key in kept}, out


def _moved(path: str, value: Any, stem: str, notes: list[Note], place: str) -> Moved:
    text = isinstance(value, str)
    slug = _NOT_IN_NAMES.sub("_", path)[:80].strip("._") or "field"
    name = f"{stem}-{slug}.{'txt' if text else 'json'}"
    where = f"{place}.{path}" if place else path
    notes.append(Note(_cut(where), f"too large for its place: kept as the artifact {name}", moved=True))
    return Moved(path, name, value if text else as_json(value), "text/plain" if text else "application/json")


def texts_of(number: int, turn: Turn) -> list[tuple[str, str, str]]:
    """Return the texts of a turn as artifact type, name and content. The type follows from the speaker; results of
    tools are tool results whatever the message's role."""
    stem = f"turn-{number:04d}"
    content, role = turn.content, turn.role
    results: list[Any] = []
    if isinstance(content, list) and role != "tool":
        results = [part for part in content if is_tool_result(part)]
        if results:
            content = [part for part in content if not is_tool_result(part)]
    texts = [("tool", text_of(results)), (role, text_of_message(content, turn.metadata))]
    return [(ARTIFACT_TYPES[who], f"{stem}-{who}.txt", text) for who, text in texts if text and who in ARTIFACT_TYPES]


def _size(value: Any) -> int | None:
    """Return the stored size of a value in bytes, or None if it is nested too deeply to be stored."""
    if value is None:
        return 1
    if isinstance(value, str) and len(value) < 1 << 20:
        return 4 * len(value) + 5 if len(value) < 64 else len(value.encode("utf-8", "surrogatepass")) + 5
    try:
        return len(pack_value(value))
    except ValidationError:
        return None


def _weight(value: Any) -> int:
    """Return the stored size of a nested value; more than any limit if it is nested too deeply."""
    size = _size([[[[[value]]]]])
    return size if size is not None else 1 << 62


def _cut(text: str) -> str:
    return text if len(text) <= 40 else text.encode("utf-8", "replace")[:120].decode("utf-8", "ignore")
