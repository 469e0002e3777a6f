"""The index entry of a session by the first moment at which the time limits of its own configuration can matter.

Sessions on the runtime's limits have no entry: they are found by their age and their last event.
"""

from __future__ import annotations

from typing import Final

from greenroom.storage.codec.keys import INDEX_DEADLINE
from greenroom.storage.codec.records import unpack_value
from greenroom.storage.common.times import SECOND

__all__ = ["deadline_keys"]

_NEVER: Final = (1 << 64) - 1


def deadline_keys(session: bytes, created_at: int, config: bytes) -> list[bytes]:
    """Return the index entry of an active session with this (encoded) configuration, if it has one: it stands at the
    earliest moment at which the session may have to be warned, suspended or failed."""
    if b"max_duration" not in config and b"idle_timeout" not in config:
        return []
    settings = unpack_value(config)
    timeout = (settings.get("policies") or {}).get("timeout") or {}
    lead = max(timeout.get("warnings") or (), default=0.0)
    due: list[float] = []
    for each in (settings, timeout):
        duration, idle = each.get("max_duration"), each.get("idle_timeout")
        due += [duration - lead] if duration is not None else []
        due += [idle] if idle is not None else []
    if not due:
        return []
    first = min(created_at + round(max(0.0, min(due)) * SECOND), _NEVER)
    return [INDEX_DEADLINE + first.to_bytes(8, "big") + session]
