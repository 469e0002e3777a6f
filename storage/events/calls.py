"""The events about calls of tools and agents, and about runs of scripts and workflows, and what of them is stored as
content."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from greenroom.storage.codec.records import Value, pack_value, unpack_value

__all__ = [
    "BYTES",
    "CALL_FIELDS",
    "INLINE_BYTES",
    "JSON",
    "RESULT_CHANGED",
    "SHARED_FIELDS",
    "TEXT",
    "call_contents",
    "call_value",
    "large_fields",
]

INLINE_BYTES: Final = 4096
"""Larger fields are stored as content."""
RESULT_CHANGED: Final = "tool.result_changed"
"""The type of the event by which a fork takes another result for a recorded call of a tool."""
CALL_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "tool.called": ("input",),
    "agent.called": ("input", "system_prompt", "parameters"),
    "tool.returned": ("result",),
    "agent.returned": ("result",),
    RESULT_CHANGED: ("result",),
    "script.started": ("source", "arguments"),
    "script.finished": ("value", "output", "transcript"),
    "workflow.started": ("definition", "given"),
    "workflow.stage": ("result",),
    "workflow.decided": ("value",),
}
"""The fields that can be large. The hash of a content is in the field with `_hash` after its name, and the form of the
content, if it is no encoded value, in the field with `_form` after it."""
SHARED_FIELDS: Final = frozenset({"source", "transcript"})
"""Fields that are stored as content however small they are: many runs have the same, and nothing lists them."""
TEXT, BYTES, JSON = "text", "bytes", "json"
"""Forms of contents that artifacts have as well: so an output that is collected is stored once. The text of an agent's
reply is taken out of the reply, of which the field itself keeps the rest."""


_HASHES: Final = {type_: tuple(f"{name}_hash" for name in names) for type_, names in CALL_FIELDS.items()}


def call_contents(type_: str, data: Mapping[str, Any]) -> list[bytes]:
    """Return the hashes of the contents that an event about a call holds, in the order of its fields."""
    return [data[name] for name in _HASHES[type_] if name in data]


def large_fields(
    type_: str, data: dict[str, Any], collected: bytes | None = None
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the data of an event without its large fields, and the contents to store, by the name of the field.

    `collected` is the content of the artifact that has the whole result.
    """
    large: dict[str, bytes] = {}
    form: str | None
    rest: bytes | None
    for name in CALL_FIELDS.get(type_, ()):
        value = data.get(name)
        if value is None or (len(value) <= INLINE_BYTES and name not in SHARED_FIELDS):
            continue
        if not large:
            data = dict(data)
        if isinstance(value, str):
            form, large[name], rest = TEXT, value.encode("utf-8", "surrogatepass"), None
        elif name == "result":
            form, large[name], rest = _result(value, collected)
        else:
            form, large[name], rest = None, value, None
        if name == "result":
            data[name] = rest
        else:
            del data[name]
        if form is not None:
            data[f"{name}_form"] = form
    return data, large


def _result(value: bytes, collected: bytes | None) -> tuple[str | None, bytes, bytes | None]:
    """Return the form and the bytes of a result's content, and what stays in the event of an agent's reply."""
    plain = unpack_value(value)
    if isinstance(plain, str):
        return TEXT, plain.encode("utf-8", "surrogatepass"), None
    if isinstance(plain, bytes):
        return BYTES, plain, None
    if isinstance(plain, dict) and isinstance(plain.get("text"), str):
        text = plain["text"].encode("utf-8", "surrogatepass")
        rest = pack_value({name: each for name, each in plain.items() if name != "text"})
        if len(text) > INLINE_BYTES >= len(rest):
            return TEXT, text, rest
    return (JSON, collected, None) if collected is not None and _is_json(collected, plain) else (None, value, None)


def _is_json(content: bytes, value: Value) -> bool:
    """Return whether a content is the JSON of a value, from which it can be read."""
    try:
        return bool(json.loads(content) == value)
    except (ValueError, RecursionError):
        return False


def call_value(data: Mapping[str, Any], name: str, load: Callable[[bytes], bytes | None] | None) -> Value:
    """Return a field of an event about a call, decoded. `load` reads contents; without it, and for a content that
    cannot be read, the value is None."""
    digest, kept = data.get(f"{name}_hash"), data.get(name)
    if digest is None:
        return unpack_value(kept) if isinstance(kept, bytes) else kept
    content = load(digest) if load is not None else None
    if content is None:
        return None
    form = data.get(f"{name}_form")
    if form == BYTES:
        return content
    if form == JSON:
        value: Value = json.loads(content)
        return value
    if form != TEXT:
        return unpack_value(content)
    text = content.decode("utf-8", "surrogatepass")
    return text if kept is None else {"text": text, **unpack_value(kept)}
