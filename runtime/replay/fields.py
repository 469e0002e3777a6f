"""Put what an event keeps as content into its data: large inputs, results, texts and published data."""

from __future__ import annotations

from typing import Any, Final

from greenroom.storage.codec.records import pack_value
from greenroom.storage.events.calls import CALL_FIELDS, RAW_FIELDS, call_value
from greenroom.storage.events.model import PUBLISHED, PUBLISHED_HASH, Load, StoredEvent
from greenroom.storage.events.turns import CONTENT_FIELDS, TURN_EVENTS

__all__ = ["large_fields_of", "with_field"]

_NONE: Final[tuple[str, ...]] = ()


def large_fields_of(stored: StoredEvent) -> tuple[str, ...]:
    """Return the names of the fields that this event keeps as content."""
    if PUBLISHED_HASH in stored.data:
        return (PUBLISHED,)
    type_ = stored.type
    names = CONTENT_FIELDS if type_ in TURN_EVENTS else CALL_FIELDS.get(type_, _NONE)
    return tuple(name for name in names if f"{name}_hash" in stored.data)


def with_field(stored: StoredEvent, name: str, load: Load) -> dict[str, Any] | None:
    """Return the data of an event with one of its `large_fields_of` in it, as it is stored if it is small; None if the
    content cannot be read."""
    data = stored.data
    content = load(data[f"{name}_hash"])
    if content is None:
        return None
    if stored.type in CALL_FIELDS:
        value = call_value(data, name, lambda _: content)
        content = value if name == "system_prompt" or name in RAW_FIELDS else pack_value(value)
    elif name == "content" and data["text"]:
        content = pack_value(content.decode("utf-8", "surrogatepass"))
    gone = (name, f"{name}_hash", f"{name}_form", "text" if name == "content" else "")
    return {**{each: there for each, there in data.items() if each not in gone}, name: content}
