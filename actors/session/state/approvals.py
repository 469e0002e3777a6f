"""Pending questions to people, as the journal says.

They are in `state.more["approvals"]`: sequence of the event that asked → [expires_at, time], in ns since the epoch.
Only events change them. A question that is not among them and has no event that closed it is cancelled: it was asked
before a fork, or what became of it was lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.messages.core import PendingEvent
from greenroom.storage.codec.keys import INDEX_APPROVAL, sequence_key
from greenroom.storage.events.index import APPROVAL_CLOSED, APPROVAL_REQUESTED

if TYPE_CHECKING:
    from .model import SessionState

__all__ = [
    "APPROVALS",
    "CLOSING",
    "MAX_PENDING",
    "cancellations",
    "closed",
    "expirations",
    "pending_entries",
    "pending_entry",
    "pending_of",
    "requested",
]

APPROVALS: Final = "approvals"
"""The name of the entry in the state."""
MAX_PENDING: Final = 256
"""The most questions that one session may have pending at a time."""
CLOSING: Final = APPROVAL_CLOSED


def pending_of(state: SessionState) -> dict[int, list[Any]]:
    """Return the pending questions, [expires_at, time] by sequence, those that have expired unnoticed included."""
    found: dict[int, list[Any]] = state.more.get(APPROVALS, {})
    return found


def expirations(state: SessionState, now: int) -> list[PendingEvent]:
    """Return the events for the pending questions that have expired."""
    return [
        PendingEvent("approval.expired", {"approval": sequence})
        for sequence, (expires, _) in sorted(pending_of(state).items())
        if expires is not None and expires <= now
    ]


def cancellations(state: SessionState) -> list[PendingEvent]:
    """Return the events that cancel all pending questions of a session that ends."""
    return [
        PendingEvent("approval.cancelled", {"approval": sequence, "reason": "the session has ended"})
        for sequence in sorted(pending_of(state))
    ]


# -- folds


def requested(state: SessionState, data: dict[str, Any], time: int) -> None:
    state.more.setdefault(APPROVALS, {})[state.sequence + 1] = [data["expires_at"], time]


def closed(state: SessionState, data: dict[str, Any], time: int) -> None:
    pending = pending_of(state)
    if pending.pop(data["approval"], None) is not None and not pending:
        del state.more[APPROVALS]


# -- the index of pending questions


def pending_entry(session: bytes, sequence: int, expires: int | None, time: int) -> tuple[bytes, bytes]:
    """Return the entry of a pending question: when it was asked, and when it expires if it does."""
    value = time.to_bytes(8, "big") + (expires.to_bytes(8, "big") if expires is not None else b"")
    return sequence_key(INDEX_APPROVAL + session, sequence), value


def pending_entries(state: SessionState) -> Iterator[tuple[bytes, bytes]]:
    """Yield the entries of all pending questions of a session."""
    for sequence, (expires, time) in pending_of(state).items():
        yield pending_entry(state.session, sequence, expires, time)


def entry_changed(
    session: bytes, sequence: int, type_: str, data: dict[str, Any], time: int
) -> tuple[bytes, bytes | None]:
    """Return the key and the value of the entry that an event about a question changes; None as value removes it."""
    if type_ == APPROVAL_REQUESTED:
        return pending_entry(session, sequence, data["expires_at"], time)
    return sequence_key(INDEX_APPROVAL + session, data["approval"]), None
