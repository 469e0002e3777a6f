"""An operation on its way past the hooks."""

from __future__ import annotations

import uuid
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from greenroom.actors.messages.internal import RecordHooks
from greenroom.actors.scheduling.operation import CURRENT
from greenroom.storage.common.logs import logger_of
from greenroom.storage.errors import GreenroomError, OperationTimeout, RuntimeClosed, SessionNotFound

from .result import HookResult
from .services import HookServices
from .subject import Subject

if TYPE_CHECKING:
    from greenroom.actors.messages.core import PendingEvent
    from greenroom.storage.catalog.model import SessionInfo

__all__ = ["Call", "ToldSession"]

logger = logger_of("hooks")

_MAX_RECORDS: Final = 20_000


class ToldSession(NamedTuple):
    """What a description says of a session."""

    status: str | None
    tags: tuple[str, ...]
    custom_metadata: dict[str, Any]
    operation_count: int


class Call:
    """An operation with its session and component, the time it has, and the decision of its hooks so far."""

    # Most operations set none of these: as defaults of the class they cost nothing.
    records: list[PendingEvent] | None = None
    """Events to journal in the session: executions of replayable hooks, and failures."""
    decision: HookResult | None = None
    """The decision of the last phase, if it was not to go on."""
    decider: str | None = None
    """The id of the hook that made the decision."""
    component: str | None = None
    address: str | None = None
    """The id of the scope in whose journal the executions of hooks go, instead of the session's."""
    correlation: str | None = None
    allowed: float | None = None
    """The seconds that the hook which runs on a guard thread has."""
    _begun_ns: int | None = None
    told_session: ToldSession | None = None
    """The session of an operation that is only described."""
    _notes: dict[str, Any] | None = None

    def __init__(
        self,
        services: HookServices | None,
        original: Subject,
        operation: str | None,
        session_id: str | None,
        timeout: float | None = None,
    ) -> None:
        self.services = services
        self.original = original
        self.operation = operation
        self.session_id = session_id
        self.timeout = timeout
        self.begun = monotonic()

    def with_facts(
        self, component: str | None, notes: dict[str, Any] | None = None, address: str | None = None
    ) -> Call:
        """Set facts that only some operations have, and return the same call."""
        self.component, self._notes, self.address = component, notes, address
        return self

    @property
    def recipient(self) -> str | None:
        """The id of the journal that the operation concerns."""
        return self.address or self.session_id

    # -- what contexts show

    @property
    def about(self) -> str | None:
        """The component: the session, scope, tool or agent that the operation concerns."""
        if self.component is None and self.session_id is not None:
            self.component = f"session:{self.session_id}"
        return self.component

    @property
    def time_ns(self) -> int:
        if self._begun_ns is None:
            now = self.services.clock.time_ns() if self.services is not None else time_ns()
            self._begun_ns = now - int(self.elapsed() * 1e9)
        return self._begun_ns

    def now(self) -> float:
        return self.services.clock.monotonic() if self.services is not None else monotonic()

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
        """Return the correlation id of an operation without a given one: its session's, its scope's, or a new one."""
        own = self.services.correlation_of(self.session_id) if self.services is not None and self.session_id else None
        return own or self.recipient or str(uuid.uuid4())

    @property
    def language(self) -> str | None:
        current = CURRENT.get()
        return current.language if current is not None else None

    def session_info(self) -> SessionInfo | None:
        """Return a snapshot of the session; None if there is none."""
        if self.services is None or self.session_id is None:
            return None
        return self.services.info_of(self.session_id)

    def session_config(self) -> dict[str, Any]:
        """Return the settings of the session's own configuration."""
        return (
            self.services.config_of(self.session_id)
            if self.services is not None and self.session_id is not None
            else {}
        )

    # -- time

    def remaining(self) -> float | None:
        """Return the seconds that the operation has left; None if it has no limit."""
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
        """Wait before another try. Raises OperationTimeout if the operation does not have that much time left, and
        RuntimeClosed if the runtime closes meanwhile."""
        if seconds <= 0:
            return
        left = self.remaining()
        if left is not None and left <= seconds:
            raise self.late()
        assert self.services is not None
        if self.services.closing.wait(seconds):
            raise RuntimeClosed("the runtime is closing")

    # -- records

    def record(self, draft: PendingEvent) -> None:
        if self.records is None:
            self.records = []
        if len(self.records) < _MAX_RECORDS:
            self.records.append(draft)

    def take_records(self) -> list[PendingEvent] | None:
        """Return the records, for the command that carries them into the journal, and keep none."""
        records, self.records = self.records, None
        return records

    def journal(self) -> None:
        """Journal what the hooks of an operation did, unless it was journaled with the operation itself."""
        records = self.take_records()
        recipient = self.recipient
        services = self.services
        if not records or recipient is None or services is None or services.store.engine.read_only:
            return
        try:
            services.delivery.routing.ask(recipient, RecordHooks(records), services.wait_limit)
        except (SessionNotFound, RuntimeClosed):
            pass  # the operation has ended the session, or there never was one
        except GreenroomError as error:
            logger.warning("what hooks did for %s was not journaled: %s", self.about, error)
