"""Decide what asks, answers, cancels and expires questions to people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.approvals import fits_schema
from greenroom.actors.messages.core import PendingEvent
from greenroom.actors.session.state.approvals import MAX_PENDING, expirations, pending_of
from greenroom.actors.session.state.model import SessionState
from greenroom.storage.common.times import SECOND, iso_time, nanoseconds
from greenroom.storage.errors import InvalidOperation, ResourceLimitExceeded

from .draft import Limits, Lookup, require_writable

__all__ = ["APPROVAL_DECIDERS"]

_LAST: Final = (1 << 64) - 1


def _ask(state: SessionState, command: m.AskHuman, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    require_writable(state, limits)
    now = lookup.now()
    gone = expirations(state, now)
    if len(pending_of(state)) - len(gone) >= MAX_PENDING:
        raise ResourceLimitExceeded(
            f"session {state.id} has {MAX_PENDING} questions pending: answer or cancel some",
            resource="approvals",
            limit=MAX_PENDING,
            value=MAX_PENDING,
        )
    expires = command.expires
    if isinstance(expires, datetime):
        at: int | None = nanoseconds(expires)
    else:
        at = min(now + round(expires * SECOND), _LAST) if expires is not None else None
    data = {
        "question": command.question,
        "schema": command.schema,
        "metadata": command.metadata,
        "expires_at": at,
    }
    return [*gone, PendingEvent("approval.requested", data)]


def _answer(state: SessionState, command: m.AnswerApproval, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    _require_pending(state, command, lookup)
    fits_schema(lookup.turn_event(command.approval).data["schema"], command.value)
    data = {"approval": command.approval, "value": command.value, "by": command.by}
    return [*expirations(state, lookup.now()), PendingEvent("approval.answered", data)]


def _cancel(state: SessionState, command: m.CancelApproval, limits: Limits, lookup: Lookup) -> list[PendingEvent]:
    _require_pending(state, command, lookup)
    data = {"approval": command.approval, "reason": command.reason}
    return [*expirations(state, lookup.now()), PendingEvent("approval.cancelled", data)]


def _require_pending(state: SessionState, command: m.AnswerApproval | m.CancelApproval, lookup: Lookup) -> None:
    """Raise InvalidOperation, which says what became of the question, unless it is pending."""
    entry = pending_of(state).get(command.approval)
    if entry is not None and (entry[0] is None or entry[0] > lookup.now()):
        return
    found = lookup.approval(command.approval)
    status = "expired" if entry is not None else found.status
    closed = found.closed_at or found.expires_at
    when = f" at {iso_time(closed)}" if closed is not None else ""
    by = f" by {found.answered_by}" if found.answered_by is not None else ""
    raise InvalidOperation(
        f"question {found.id} is no longer pending: it was {status}{when}{by}"
        if status != "expired"
        else f"question {found.id} is no longer pending: it expired{when}",
        approval=found.id,
        status=status,
        conflict=True,
    )


APPROVAL_DECIDERS: Final[
    dict[type[m.Command[Any]], Callable[[SessionState, Any, Limits, Lookup], list[PendingEvent]]]
] = {
    m.AskHuman: _ask,
    m.AnswerApproval: _answer,
    m.CancelApproval: _cancel,
}
