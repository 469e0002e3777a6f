"""The index entries of events: by the ids of events that belong together, and by the links between events.

The keys end in the session and the sequence of their event, so that a match is one read away. docs/format.md is the
specification.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from greenroom.storage.codec.keys import sequence_key, session_bytes, session_id_of, text_digest

from .model import StoredEvent

__all__ = [
    "APPROVAL_CLOSED",
    "APPROVAL_EVENTS",
    "APPROVAL_REQUESTED",
    "BY_APPROVAL",
    "BY_ID",
    "BY_LINK",
    "LINKED",
    "LISTED",
    "OF_EVENTS",
    "approval_prefix",
    "event_id",
    "event_keys",
    "event_place",
    "id_keys",
    "id_prefix",
    "link_keys",
    "link_prefix",
]

# First bytes of keys in the `index` family.
BY_ID: Final = b"e"  # digest of a correlation, causation or root id, time, session, sequence
BY_LINK: Final = b"l"  # session and sequence of an event that is linked, session, sequence of the link

BY_APPROVAL: Final = b"h"  # session and sequence of a question, session, sequence of an event about it

OF_EVENTS: Final = (BY_ID, BY_LINK, BY_APPROVAL)
"""First bytes of the keys that end in the session and the sequence of an event."""
LINKED: Final = "event.linked"
APPROVAL_REQUESTED: Final = "approval.requested"
APPROVAL_CLOSED: Final = frozenset({"approval.answered", "approval.expired", "approval.cancelled"})
APPROVAL_EVENTS: Final = frozenset({APPROVAL_REQUESTED, *APPROVAL_CLOSED})
LISTED: Final = frozenset({LINKED, *APPROVAL_EVENTS})
"""Types of the events that have keys besides those of their contexts."""

_SESSION: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[48][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_EVENT_ID: Final = re.compile(f"({_SESSION})/([1-9][0-9]{{0,17}})")

_digest = lru_cache(maxsize=4096)(text_digest)


def event_id(session: bytes, sequence: int) -> str:
    """Return the id of a journaled event."""
    return f"{session_id_of(session)}/{sequence}"


def event_place(text: object) -> tuple[bytes, int] | None:
    """Return the session and the sequence that the id of a journaled event names; None for any other text."""
    match = _EVENT_ID.fullmatch(text) if type(text) is str else None
    return (session_bytes(match[1]), int(match[2])) if match is not None else None


def event_keys(session: bytes, sequence: int, stored: StoredEvent) -> list[bytes]:
    """Return all the keys that list an event."""
    keys = id_keys(session, sequence, stored) if stored.context is not None else []
    if stored.type == LINKED:
        keys += link_keys(session, sequence, stored.data)
    elif stored.type in APPROVAL_EVENTS:
        question = stored.data.get("approval", sequence)
        keys.append(approval_prefix(session, question) + sequence_key(session, sequence))
    return keys


def id_keys(session: bytes, sequence: int, stored: StoredEvent) -> list[bytes]:
    """Return the keys of an event with a context, one for each id that it names. The id of its own session gets none:
    the journal lists the events of the session."""
    context = stored.context or {}
    named: set[Any] = {context.get("correlation_id"), context.get("causation_id"), context.get("root_id")}
    named -= {None, session_id_of(session)}
    if not named:
        return []
    place = stored.time.to_bytes(8, "big") + sequence_key(session, sequence)
    return [id_prefix(each) + place for each in named]


def link_keys(session: bytes, sequence: int, data: dict[str, Any]) -> list[bytes]:
    """Return the keys of a link, one for each of the two events."""
    ends = (event_place(data.get("from")), event_place(data.get("to")))
    return [link_prefix(*end) + sequence_key(session, sequence) for end in ends if end is not None]


def id_prefix(named: str) -> bytes:
    """Return the beginning of the keys of events whose context names this id. A match is confirmed on the event."""
    return BY_ID + _digest(named)


def approval_prefix(session: bytes, sequence: int) -> bytes:
    """Return the beginning of the keys of the events about a question: the one that asked, and the one that closed
    it."""
    return BY_APPROVAL + sequence_key(session, sequence)


def link_prefix(session: bytes, sequence: int) -> bytes:
    """Return the beginning of the keys of links from or to this event."""
    return BY_LINK + sequence_key(session, sequence)
