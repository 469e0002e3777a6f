"""The events about calls of tools and agents, about runs of scripts and workflows, and about recordings, and what of
them is stored as content."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import lz4.block

from greenroom.storage.codec.records import Value, pack_value, unpack_value
from greenroom.storage.concurrency.interrupts import thrown_in
from greenroom.storage.errors import IntegrityError

__all__ = [
    "BYTES",
    "CALL_FIELDS",
    "INLINE_BYTES",
    "INLINE_RAW_BYTES",
    "JSON",
    "LZ4",
    "RAW_FIELDS",
    "RECORDING_CROSSING",
    "RECORDING_ENDED",
    "RECORDING_EVENTS",
    "RECORDING_READS",
    "RECORDING_STARTED",
    "RESULT_CHANGED",
    "SHARED_FIELDS",
    "TEXT",
    "call_contents",
    "call_value",
    "large_fields",
]

INLINE_BYTES: Final = 4096
"""Larger fields are stored as content."""
INLINE_RAW_BYTES: Final = 16 << 10
"""The same for `RAW_FIELDS`, compressed. Answers of models are seldom larger, and seldom the same: as content, writing
one would take twice as long."""
RESULT_CHANGED: Final = "tool.result_changed"
"""The type of the event by which a fork takes another result for a recorded call of a tool."""
RECORDING_STARTED: Final = "recording.started"
RECORDING_CROSSING: Final = "recording.crossing"
RECORDING_READS: Final = "recording.reads"
RECORDING_ENDED: Final = "recording.ended"
RECORDING_EVENTS: Final = frozenset({RECORDING_STARTED, RECORDING_CROSSING, RECORDING_READS, RECORDING_ENDED})
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
    RECORDING_STARTED: ("about",),
    RECORDING_CROSSING: ("input", "body", "outcome", "chunks", "flow"),
    RECORDING_READS: ("reads",),
    RECORDING_ENDED: ("about",),
}
"""The fields that can be large. The hash of a content is in the field with `_hash` after its name, and the form of the
content, if it is no encoded value, in the field with `_form` after it."""
SHARED_FIELDS: Final = frozenset({"source", "transcript"})
"""Fields that are stored as content however small they are: many runs have the same, and nothing lists them."""
RAW_FIELDS: Final = frozenset({"body", "chunks"})
"""Fields that are bytes as they are, and no encoded values. Small ones are compressed in the event itself."""
TEXT, BYTES, JSON, LZ4 = "text", "bytes", "json", "lz4"
"""Forms of contents that artifacts have as well: so an output that is collected is stored once. The text of an agent's
reply is taken out of the reply, of which the field itself keeps the rest."""


_TINY_BYTES: Final = 256
_MOST_COMPRESSED: Final = 64 << 10
"""Longer bytes are content without a try: they would seldom become small enough."""
_MOST_RATIO: Final = 256
"""No block of LZ4 becomes longer than this many times its own length."""

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
        if name in RAW_FIELDS and type(value) is bytes:
            if not large:
                data = dict(data)
            _pack_raw(data, large, name, value)
            continue
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


def _pack_raw(data: dict[str, Any], large: dict[str, bytes], name: str, value: bytes) -> None:
    """Put bytes into the data of an event: as they are, compressed, or, if they are large even so, as content."""
    if len(value) <= _TINY_BYTES:
        return
    if len(value) <= _MOST_COMPRESSED:
        packed = lz4.block.compress(value, store_size=True)
        if len(packed) <= INLINE_RAW_BYTES:
            if len(packed) < len(value):
                data[name], data[f"{name}_form"] = packed, LZ4
            return
    del data[name]
    data[f"{name}_form"] = BYTES
    large[name] = value


def _unpacked_raw(kept: bytes, form: object) -> bytes:
    """Return the bytes that an event has itself. Raises IntegrityError."""
    if form != LZ4:
        return kept
    if int.from_bytes(kept[:4], "little") > _MOST_RATIO * len(kept):
        raise IntegrityError("bytes in an event cannot be decompressed; run verify")
    try:
        plain: bytes = lz4.block.decompress(kept)
    except Exception as error:
        if thrown_in(error):
            raise
        raise IntegrityError("bytes in an event cannot be decompressed; run verify") from error
    return plain


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
    if name in RAW_FIELDS:
        if digest is not None:
            return load(digest) if load is not None else None
        return _unpacked_raw(kept, data.get(f"{name}_form")) if isinstance(kept, bytes) else kept
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
