"""Events as JSON lines."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from greenroom.storage.codec.json_lines import json_line
from greenroom.storage.errors import ValidationError

if TYPE_CHECKING:
    from greenroom.storage.events.model import Event

__all__ = ["write_lines", "write_of"]


def write_of(target: Any) -> Callable[[str], object]:
    with contextlib.suppress(Exception):  # an object whose attributes cannot be read
        if callable(write := target.write):
            found: Callable[[str], object] = write
            return found
    raise ValidationError("target: a path or a text file is needed", field="target")


def write_lines(write: Callable[[str], object], events: Iterable[Event]) -> int:
    count = 0
    for event in events:
        write(json_line(event.to_dict()) + "\n")
        count += 1
    return count
