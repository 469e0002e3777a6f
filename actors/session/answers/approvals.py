"""Read questions to people from the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.approvals import Approval, ApprovalStatus
from greenroom.actors.scheduling.futures import DeferredReply
from greenroom.storage.codec.keys import INDEX_APPROVAL, after_prefix, sequence_key, session_id_of
from greenroom.storage.codec.records import unpack_value
from greenroom.storage.common.times import utc_time
from greenroom.storage.content.staging import staged_sessions
from greenroom.storage.engine.engine import CF
from greenroom.storage.errors import IntegrityError, SchemaTooNew, ValidationError
from greenroom.storage.events.index import APPROVAL_REQUESTED, BY_APPROVAL, approval_prefix, event_id

if TYPE_CHECKING:
    from greenroom.actors.session.live import LiveSession
    from greenroom.actors.session.staging import Reading
    from greenroom.actors.store import ArtifactStore
    from greenroom.storage.events.model import StoredEvent

__all__ = ["APPROVAL_ANSWERS", "APPROVAL_REPLIES", "approval_of", "find_approvals", "read_approval"]

_CLOSED: Final[dict[str, ApprovalStatus]] = {
    "approval.answered": "answered",
    "approval.expired": "expired",
    "approval.cancelled": "cancelled",
}


def read_approval(store: Reading, session: bytes, sequence: int, now: int) -> Approval:
    """Return a question as it stands. Raises ValidationError if the event asked no question, IntegrityError."""
    # In this order: what is pending no more when this looks has its closing event by then.
    entry = store.engine.get(CF.INDEX, sequence_key(INDEX_APPROVAL + session, sequence))
    asked = store.journal.stored(session, sequence) if store.journal.holds(session, sequence) else None
    if asked is None or asked.type != APPROVAL_REQUESTED:
        raise ValidationError(
            f"approval: event {event_id(session, sequence)} asked no question: approvals lists those that there are",
            field="approval",
        )
    closing: StoredEvent | None = None
    if entry is None:
        prefix = approval_prefix(session, sequence)
        found = store.engine.last(CF.INDEX, prefix)
        closed_by = int.from_bytes(found[0][-8:], "big") if found is not None else sequence
        if closed_by != sequence:
            closing = store.journal.stored(session, closed_by)
    return approval_of(session, sequence, asked, closing, now, pending=entry is not None)


def approval_of(
    session: bytes, sequence: int, asked: StoredEvent, closing: StoredEvent | None, now: int, *, pending: bool
) -> Approval:
    """Return a question as it stands at `now`, from the event that asked it and the one that closed it, if any."""
    data = asked.data
    expires = data["expires_at"]
    status: ApprovalStatus = "cancelled"
    ended: int | None = None
    if pending:
        overdue = expires is not None and expires <= now
        status, ended = ("expired", expires) if overdue else ("pending", None)
    elif closing is not None:
        status = _CLOSED.get(closing.type, "cancelled")
        ended = expires if status == "expired" else closing.time
    answered = closing is not None and status == "answered"
    return Approval(
        event_id(session, sequence),
        session_id_of(session),
        sequence,
        data["question"],
        unpack_value(data["schema"]) if data["schema"] is not None else None,
        unpack_value(data["metadata"]),
        status,
        utc_time(asked.time),
        utc_time(expires) if expires is not None else None,
        unpack_value(closing.data["value"]) if closing is not None and answered else None,
        closing.data["by"] if closing is not None and answered else None,
        utc_time(ended) if ended is not None else None,
        closing.data.get("reason") if closing is not None else None,
    )


def find_approvals(
    store: ArtifactStore, session: bytes | None, status: ApprovalStatus | None, limit: int, now: int
) -> list[Approval]:
    """Return at most `limit` questions of a session, or of all (None), oldest first. Pending ones are found by an index
    of their own."""
    if not limit:
        return []
    pending = status in ("pending", "expired")
    places = list(_pending(store, session, status, now)) if pending else []
    if status != "pending":
        places += _asked(store, session)
    hidden = staged_sessions(store.engine) if session is None else ()
    found: list[Approval] = []
    seen: set[tuple[bytes, int]] = set()
    for _, owner, sequence in sorted(places):
        if owner in hidden or (owner, sequence) in seen:
            continue
        seen.add((owner, sequence))
        try:
            approval = read_approval(store, owner, sequence, now)
        except (ValidationError, IntegrityError, SchemaTooNew):
            continue  # deleted meanwhile, or damaged, which verify reports
        if status is None or approval.status == status:
            found.append(approval)
            if len(found) == limit:
                break
    return found


def _pending(
    store: ArtifactStore, session: bytes | None, status: ApprovalStatus | None, now: int
) -> Iterator[tuple[int, bytes, int]]:
    """Yield (time, session, sequence) of the questions in the index of pending ones with this status."""
    prefix = INDEX_APPROVAL + (session or b"")
    for key, value in store.engine.pages(CF.INDEX, prefix, after_prefix(prefix)):
        overdue = len(value) == 16 and int.from_bytes(value[8:], "big") <= now
        if overdue == (status == "expired"):
            yield int.from_bytes(value[:8], "big"), key[1:17], int.from_bytes(key[17:25], "big")


def _asked(store: ArtifactStore, session: bytes | None) -> Iterator[tuple[int, bytes, int]]:
    """Yield (time, session, sequence) of every question, whatever became of it."""
    prefix = BY_APPROVAL + (session or b"")
    for key, _ in store.engine.pages(CF.INDEX, prefix, after_prefix(prefix)):
        owner, sequence = key[1:17], int.from_bytes(key[17:25], "big")
        if key[25:] != sequence_key(owner, sequence):
            continue
        try:
            yield store.journal.stored(owner, sequence).time, owner, sequence
        except (IntegrityError, SchemaTooNew):
            continue


# -- in the session's turn


def _get(actor: LiveSession, query: m.GetApproval) -> DeferredReply:
    store, now = actor.services.store, actor.services.clock.time_ns()
    return DeferredReply(partial(read_approval, store, actor.state.session, query.approval, now))


def _list(actor: LiveSession, query: m.ListApprovals) -> DeferredReply:
    store, now = actor.services.store, actor.services.clock.time_ns()
    return DeferredReply(partial(find_approvals, store, actor.state.session, query.status, query.limit, now))


def _asked_id(actor: LiveSession, command: m.AskHuman) -> str:
    return event_id(actor.state.session, actor.decided)


def _closed(actor: LiveSession, command: m.AnswerApproval | m.CancelApproval) -> DeferredReply:
    store, session, now = actor.services.store, actor.state.session, actor.services.clock.time_ns()
    return DeferredReply(partial(read_approval, store, session, command.approval, now))


APPROVAL_ANSWERS: Final[dict[type[Any], Callable[[LiveSession, Any], Any]]] = {
    m.GetApproval: _get,
    m.ListApprovals: _list,
}
APPROVAL_REPLIES: Final[dict[type[Any], Callable[[LiveSession, Any], Any]]] = {
    m.AskHuman: _asked_id,
    **dict.fromkeys((m.AnswerApproval, m.CancelApproval), _closed),
}
