"""Keep the audit log: what is written when, how much of it, and for how long."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.messages.permissions import AccessAttempt
from greenroom.actors.scheduling.operation import operation_in
from greenroom.actors.scheduling.token_bucket import TokenBucket
from greenroom.actors.store import Append, ArtifactStore
from greenroom.storage.audit import AuditRecord
from greenroom.storage.common.logs import logger_of
from greenroom.storage.engine.engine import Durability
from greenroom.storage.errors import GreenroomError

if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.actors.clock import Clock
    from greenroom.actors.scheduling.operation import Operation
    from greenroom.storage.common.page import Page
    from greenroom.storage.engine.engine import Op

__all__ = ["AuditTrail"]

logger = logger_of("audit")

_DAY: Final = 86_400 * 1_000_000_000
BURST: Final = 1000
PER_SECOND: Final = 10.0
"""Audit records that the attempts of one family may cause at once, and then per second. Further attempts are
counted."""
_KINDS: Final = 64
_FAMILIES: Final = 1024
_OTHERS: Final = "others"
_STEP: Final = 500
_STEPS: Final = 20


class _Allowance(TokenBucket):
    """How many audit records one family may still cause. Attempts beyond that are counted."""

    __slots__ = ("counted",)

    def __init__(self, now: float) -> None:
        super().__init__(PER_SECOND, BURST, now)
        self.counted: dict[AccessAttempt, int] = {}


class AuditTrail:
    """Writes the audit log of a runtime and keeps at most `most` records, none older than `days`.

    A change is recorded in its own batch (`beside`). A read or a denied attempt is recorded by itself (`record`) before
    its answer goes out. Attempts beyond the allowance of their family are counted, and written as one record for each
    kind of attempt. A read-only runtime records nothing.
    """

    def __init__(self, store: ArtifactStore, clock: Clock, timeout: float, *, most: int, days: float) -> None:
        self._store = store
        self._clock = clock
        self._timeout = timeout
        self._most = most
        self._age = int(days * _DAY)
        self._lock = threading.Lock()
        self._allowances: dict[str, _Allowance] = {}
        self.family_of: Callable[[str], str] = str
        """Maps a session to the one whose allowance is charged. Descendants share their ancestor's allowance: a session
        must not gain allowances by creating sessions."""
        self.realm: object = None
        """The runtime that the log belongs to, see `Operation`. Set by its `Security`."""
        self._count: int | None = None
        self._tidying = threading.Lock()

    # -- writing

    def beside(self, attempt: AccessAttempt) -> list[Op]:
        """Return the operations that record a granted attempt, for the write batch of the change itself. Return none if
        the acting session has used up its allowance: then call `record` after the change, whose event is evidence
        too."""
        operation = operation_in(self.realm)
        if operation is not None and operation.principal is not None:
            family = self.family_of(operation.principal)
            with self._lock:
                now = self._clock.monotonic()
                if not self._allowance(family, now).admits(now):
                    return []
        return self._ops(attempt, operation)

    def record(self, attempt: AccessAttempt) -> None:
        """Record an attempt by itself. A failure is logged and not raised: it must not keep anybody from an answer."""
        if self._store.engine.read_only:
            return
        operation = operation_in(self.realm)
        # Charge the session that acts, not the one it asks: it may have created that one, and cut it off from its
        # family since.
        who = operation.principal if operation is not None and operation.principal is not None else attempt.session
        family = self.family_of(who) if who is not None else ""
        with self._lock:
            now = self._clock.monotonic()
            allowance = self._allowance(family, now)
            if not allowance.admits(now):
                if attempt not in allowance.counted and len(allowance.counted) >= _KINDS:
                    attempt = AccessAttempt(
                        attempt.session, None, None, attempt.access, attempt.granted, "many different attempts", "many"
                    )
                allowance.counted[attempt] = allowance.counted.get(attempt, 0) + 1
                return
        self._write(self._ops(attempt, operation))

    def _allowance(self, family: str, now: float) -> _Allowance:
        allowance = self._allowances.get(family)
        if allowance is None:
            if len(self._allowances) >= _FAMILIES:
                self._allowances = {who: each for who, each in self._allowances.items() if each.counted}
                if len(self._allowances) >= _FAMILIES:
                    family = _OTHERS
            allowance = self._allowances.setdefault(family, _Allowance(now))
        return allowance

    def _ops(self, attempt: AccessAttempt, operation: Operation | None, times: int = 1) -> list[Op]:
        if self._count is not None:
            self._count += 1
        return self._store.audit.add(
            self._clock.time_ns(),
            session=attempt.session,
            owner=attempt.owner,
            artifact=attempt.artifact,
            access=attempt.access,
            granted=attempt.granted,
            reason=attempt.reason,
            operation=attempt.operation,
            source=operation.source if operation is not None else None,
            correlation_id=operation.correlation_id if operation is not None else None,
            times=times,
        )

    def _write(self, ops: list[Op]) -> None:
        try:
            commit_number = self._store.commit(Append(ops), self._timeout)
            if self._store.engine.durability is Durability.FSYNC:
                self._store.engine.wait_synced(commit_number, self._timeout)
        except GreenroomError as error:
            logger.error("the audit log could not be written: %s", error)

    def flush(self) -> None:
        """Write records of the attempts that were only counted so far."""
        with self._lock:
            counted = [entry for allowance in self._allowances.values() for entry in allowance.counted.items()]
            for allowance in self._allowances.values():
                allowance.counted = {}
        if counted:
            self._write([op for attempt, times in counted for op in self._ops(attempt, None, times)])

    # -- reading

    def query(self, **criteria: Any) -> Page[AuditRecord]:
        """Return the records that match, see `AuditLog.query`. Counted attempts are written first if the host asks, not
        if a session does: its queries could flood the log."""
        operation = operation_in(self.realm)
        if operation is None or operation.principal is None:
            self.flush()
        return self._store.audit.query(**criteria)

    # -- keeping

    def tidy(self) -> None:
        """Write the counted attempts, and delete records that are too old or too many, a bounded number at a time.
        Called by the timer."""
        with self._tidying:
            self.flush()
            keep = self._most
            if self._count is None or self._count > keep:
                self._count = self._store.audit.count()
                if self._count > keep:
                    keep -= keep // 20  # deletes some more, so that not each new record makes it count and delete again
            oldest = self._clock.time_ns() - self._age
            for _ in range(_STEPS):
                ops, removed = self._store.audit.removal(_STEP, keep=keep, before=oldest, count=self._count)
                if not ops:
                    return
                self._store.commit(Append(ops), self._timeout)
                self._count -= removed
