"""The index entry of a session whose own configuration says when it may be deleted. A retention run looks at these
sessions, and at no others, to find those that are over their time."""

from __future__ import annotations

from typing import Final

from greenroom.storage.codec.keys import INDEX_LIFETIME
from greenroom.storage.codec.records import unpack_value

__all__ = ["SETTINGS", "lifetime_keys"]

SETTINGS: Final = ("retention_days", "delete_after_idle_days")


def lifetime_keys(session: bytes, config: bytes) -> list[bytes]:
    """Return the index entry of a session with this (encoded) configuration, if it has one."""
    if b"retention_days" not in config and b"delete_after_idle_days" not in config:
        return []
    settings = unpack_value(config)
    return [INDEX_LIFETIME + session] if any(settings.get(name) is not None for name in SETTINGS) else []
