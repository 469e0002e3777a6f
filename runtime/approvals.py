"""Questions to people, over all sessions: list them, answer them, wait for answers."""

from __future__ import annotations

import builtins
import math
import time
from collections.abc import Callable
from typing import Any, Final, Unpack

from greenroom.actors import messages as m
from greenroom.actors.events import Subscription
from greenroom.actors.messages.approvals import Approval, ApprovalStatus
from greenroom.actors.messages.core import How
from greenroom.actors.session.answers.approvals import find_approvals, read_approval
from greenroom.runtime.handles.session import Session, required_session_id
from greenroom.storage.common.arguments import as_seconds, as_text
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.session_ids import is_session_id, session_bytes
from greenroom.storage.errors import OperationTimeout, SessionNotFound, ValidationError

from .core import RuntimeCore

__all__ = ["Approvals"]

_GLANCE: Final = 1.0
"""Seconds between two looks at the store while waiting: events may be dropped, and a question may expire."""


class Approvals:
    """The questions that sessions ask people, by their ids.

    Example:
        ```py
        asked = session.ask_human("Send the mail?", schema={"type": "boolean"}, expires=3600)
        rt.approvals.answer(asked, True, by="ada")  # in this process or another one, now or after a restart
        rt.approvals.wait(asked).value  # True
        ```
    """

    def __init__(self, core: RuntimeCore, subscribe: Callable[..., Subscription]) -> None:
        self._core = core
        self._subscribe = subscribe

    def __repr__(self) -> str:
        return "<Approvals>"

    def list(
        self, status: ApprovalStatus | None = "pending", *, session: Session | str | None = None, limit: int = 100
    ) -> builtins.list[Approval]:
        """Return at most `limit` questions of all sessions, or of one, oldest first: those that are pending, or with
        another status ("answered", "expired", "cancelled"; None for all). Pending ones are listed by an index.

        All sessions are for the host. Raises ValidationError, SessionNotFound, AccessDenied.
        """
        self._core.check_open()
        query = m.ListApprovals(status, limit)
        if session is not None:
            return self._core.ask(required_session_id(session, "session"), query)
        self._core.require_host("approvals.list", "list")
        return find_approvals(self._core.store, None, query.status, query.limit, self._core.clock.time_ns())

    def get(self, approval: str) -> Approval:
        """Return a question as it stands. Raises ValidationError for an id of no question, SessionNotFound."""
        session_id, sequence = _place(approval)
        return self._core.ask(session_id, m.GetApproval(sequence))

    def answer(self, approval: str, value: object, by: str | None = None, **how: Unpack[How]) -> Approval:
        """Answer a pending question with a JSON value, and return it. `by` says who answered.

        For the host only. Of several answers the first one counts. Raises InvalidOperation, which says what became of
        the question, if it is not pending; ValidationError if the value does not fit its schema; HookCancelled;
        AccessDenied for code that acts for a session.
        """
        session_id, sequence = _place(approval)
        return self._core.ask(session_id, m.AnswerApproval(sequence, value, by, **how))

    def cancel(self, approval: str, reason: str | None = None, **how: Unpack[How]) -> Approval:
        """Cancel a pending question, and return it. Raises InvalidOperation if it is not pending."""
        session_id, sequence = _place(approval)
        return self._core.ask(session_id, m.CancelApproval(sequence, reason, **how))

    @checked
    def wait(self, approval: str, timeout: float | None = None) -> Approval:
        """Wait until a question is answered, expired or cancelled, and return it; its `status` tells which.

        Blocks only the calling thread. The question is in the store: whoever waited can wait again by its id, after a
        restart too, and in a read-only runtime beside the one that writes. Raises OperationTimeout after `timeout`
        seconds, SessionNotFound if the session is deleted, RuntimeClosed.
        """
        session_id, sequence = _place(approval)
        patience = as_seconds("timeout", timeout, zero=True, endless=True) if timeout is not None else math.inf
        deadline = time.monotonic() + patience
        found = self.get(approval)
        if found.status != "pending":
            return found
        with self._subscribe("approval.*", 16, session=session_id) as heard:
            while self._look(session_id, sequence) == "pending":
                left = deadline - time.monotonic()
                if left <= 0:
                    raise OperationTimeout(
                        f"question {found.id} was not answered within {patience:g} seconds: it stays pending, wait for"
                        " it again by its id",
                        timeout=patience,
                        approval=found.id,
                        started=True,
                    )
                heard.receive(min(left, self._until(found), _GLANCE))
        return self.get(approval)

    def _until(self, found: Approval) -> float:
        """Return the seconds until a question expires, at least 0.01: a wait of none would be a busy loop."""
        if found.expires_at is None:
            return math.inf
        return max(0.01, found.expires_at.timestamp() - self._core.clock.time_ns() / 1e9)

    def _look(self, session_id: str, sequence: int) -> ApprovalStatus:
        """Return the status of a question, straight from the store."""
        self._core.check_open()
        now = self._core.clock.time_ns()
        try:
            return read_approval(self._core.store, session_bytes(session_id), sequence, now).status
        except ValidationError:
            raise SessionNotFound(
                f"session {session_id} was deleted while its question was waited for", session_id=session_id
            ) from None


def _place(approval: Any) -> tuple[str, int]:
    """Return the session and the sequence that an id names. Raises ValidationError."""
    text = as_text("approval", approval, 128)
    session_id, slash, sequence = text.partition("/")
    if slash and is_session_id(session_id) and sequence.isascii() and sequence.isdigit() and len(sequence) < 19:
        return session_id, int(sequence)
    raise ValidationError("approval: the id of a question reads SESSION/SEQUENCE", field="approval")
