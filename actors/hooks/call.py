"""One operation on its way past the hooks: what all of its hooks share."""

from __future__ import annotations

import uuid
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.scheduling.operation import CURRENT
from greenroom.storage.errors import OperationTimeout, RuntimeClosed

from .result import HookResult
from .subject import Subject

if TYPE_CHECKING:
    from greenroom.actors.messages.core import Draft
    from greenroom.storage.catalog.model import SessionInfo

    from .hook import Hook
    from .hooks import Hooks

__all__ = ["Call"]


_MAX_RECORDS: Final = 20_000


class Call:
    """An operation, its session and component, the time it has, and what its hooks have decided so far."""

    # Most operations set none of these: defaults of the class cost them nothing.
    records: list[Draft] | None = None
    """Events to journal in the session: what replayable hooks did, and what failed."""
    decision: HookResult | None = None
    """What the last phase has decided, if anything but to go on."""
    decider: Hook | None = None
    component: str | None = None
    address: str | None = None
    """In whose journal the hooks' executions are, if not in the session's: that of a scope."""
    correlation: str | None = None
    allowed: float | None = None
    """The seconds that the hook which runs on a guard thread has."""
    _notes: dict[str, Any] | None = None

    def __init__(
        self,
        hooks: Hooks | None,
        original: Subject,
        operation: str | None,
        session_id: str | None,
        timeout: float | None = None,
    ) -> None:
        self.hooks = hooks
        self.original = original
        self.operation = operation
        self.session_id = session_id
        self.timeout = timeout
        self.begun = monotonic()

    def with_facts(
        self, component: str | None, notes: dict[str, Any] | None = None, address: str | None = None
    ) -> Call:
        """What only some operations have."""
        self.component, self._notes, self.address = component, notes, address
        return self

    @property
    def recipient(self) -> str | None:
        """The id of the journal that it is about."""
        return self.address or self.session_id

    # -- what contexts show

    @property
    def about(self) -> str | None:
        """What the operation is about."""
        if self.component is None and self.session_id is not None:
            self.component = f"session:{self.session_id}"
        return self.component

    @property
    def time_ns(self) -> int:
        now = self.hooks.clock.time_ns() if self.hooks is not None else time_ns()
        return now - int(self.elapsed() * 1e9)

    def now(self) -> float:
        return self.hooks.clock.monotonic() if self.hooks is not None else monotonic()

    def elapsed(self) -> float:
        return monotonic() - self.begun

    def notes(self) -> dict[str, Any]:
        if self._notes is None:
            current = CURRENT.get()
            self._notes = {"operation": self.operation} if self.operation is not None else {}
            if current is not None and current.principal is not None:
                self._notes["principal"] = current.principal
        return self._notes

    @property
    def correlation_id(self) -> str:
        if self.correlation is None:
            current = CURRENT.get()
            if current is not None and current.correlation_id is not None:
                self.correlation = current.correlation_id
            else:
                self.correlation = self._own_correlation()
        return self.correlation

    def _own_correlation(self) -> str:
        """What an operation belongs to of which nobody has said it: its session, its scope, or nothing but itself."""
        own = self.hooks.correlation_of(self.session_id) if self.hooks is not None and self.session_id else None
        return own or self.recipient or str(uuid.uuid4())

    @property
    def language(self) -> str | None:
        current = CURRENT.get()
        return current.language if current is not None else None

    def session_info(self) -> SessionInfo | None:
        """A snapshot of the session; None where there is none."""
        if self.hooks is None or self.session_id is None:
            return None
        return self.hooks.info_of(self.session_id)

    def session_config(self) -> dict[str, Any]:
        """What the session's configuration sets."""
        return self.hooks.config_of(self.session_id) if self.hooks is not None and self.session_id is not None else {}

    # -- time

    def remaining(self) -> float | None:
        """Seconds that the operation has left; None if it has no limit."""
        return None if self.timeout is None else self.timeout - (monotonic() - self.begun)

    def is_late(self) -> bool:
        left = self.remaining()
        return left is not None and left <= 0

    def late(self) -> OperationTimeout:
        return OperationTimeout(
            f"no answer within {self.timeout:g} s: its hooks have used up the time of the operation; nothing was done",
            timeout=self.timeout,
            started=False,
        )

    def pause(self, seconds: float) -> None:
        """Wait before trying again. Raises OperationTimeout if the operation has not so much time left, and
        RuntimeClosed when the runtime closes meanwhile."""
        if seconds <= 0:
            return
        left = self.remaining()
        if left is not None and left <= seconds:
            raise self.late()
        assert self.hooks is not None
        if self.hooks.closing.wait(seconds):
            raise RuntimeClosed("the runtime is closing")

    # -- records

    def record(self, draft: Draft) -> None:
        if self.records is None:
            self.records = []
        if len(self.records) < _MAX_RECORDS:
            self.records.append(draft)

    def take_records(self) -> list[Draft] | None:
        """The records, for the command that is to carry them into the journal."""
        records, self.records = self.records, None
        return records
