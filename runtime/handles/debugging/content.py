"""What an event says, apart from when, how long, and under which ids: equal for two runs that did the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgpack
from blake3 import blake3

from greenroom.storage.events.model import StoredEvent
from greenroom.storage.events.turns import sequences_of

__all__ = ["content_of"]

_pack: Callable[[Any], bytes] = msgpack.Packer(unicode_errors="surrogatepass", default=repr).pack

_VOLATILE: Final = frozenset(
    {
        "duration", "hook_id", "run_id", "instructions", "expires_at", "ends_at", "left", "lasted", "warned", "parent",
        "from_session", "stored_size", "dropped_key", "correlation_id", "is_compressed", "artifact", "blob",
    }
)  # fmt: skip
"""Fields with times, durations and ids."""
_PLACES: Final = frozenset(
    {"call", "sequence", "previous", "base", "content_at", "metadata_at", "head", "approval", "turns", "version"}
)
"""Fields with the sequences of other events, and numbers that follow from what was before."""
_FIRST: Final = "session.created"


def content_of(stored: StoredEvent, own_id: str, *, placed: bool) -> bytes:
    """Return a digest of what an event says. `placed` counts the sequences that it names, too: two journals that have
    been the same so far name the same ones.

    How a session was created does not count: two sessions may have other names and do the same.
    """
    if stored.type == _FIRST:
        return b""
    facts: list[Any] = [stored.type]
    for name, value in sorted(stored.data.items()):
        if name in _VOLATILE:
            continue
        if name in _PLACES and not placed:
            if name == "turns":
                facts += (name, sum(1 for _ in sequences_of(stored.data)))
            continue
        if name == "changes" and isinstance(value, list):
            value = [each[:2] if isinstance(each, list) else each for each in value]
        elif isinstance(value, str) and own_id in value:
            value = value.replace(own_id, "")
        facts += (name, value)
    return blake3(_pack(facts)).digest(length=16)
