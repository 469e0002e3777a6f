"""Whether the data of an event have a text."""

from __future__ import annotations

from typing import Any

from greenroom.storage.events.model import Event

__all__ = ["text_matches"]


def text_matches(event: Event, wanted: str) -> bool:
    """Return whether the type, or any key, text or number in the data, has a text; `wanted` is casefolded."""
    if wanted in event.type.casefold():
        return True
    waiting: list[Any] = [event.data]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            if wanted in each.casefold():
                return True
        elif isinstance(each, dict):
            waiting += each.values()
            waiting += each
        elif isinstance(each, list | tuple):
            waiting += each
        elif not isinstance(each, bytes) and each is not None and wanted in str(each).casefold():
            return True
    return False
