"""An operation on its way past the hooks, and the context that each hook gets."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from greenroom.actors.messages.internal import RecordHooks
from greenroom.actors.scheduling.callables import cancelled_error
from greenroom.actors.scheduling.operation import CURRENT
from greenroom.storage.common.logs import logger_of
from greenroom.storage.common.times import utc_time
from greenroom.storage.concurrency.waiting import Promise
from greenroom.storage.errors import GreenroomError, OperationTimeout, RuntimeClosed, SessionNotFound

from .result import HookResult, awaited, result_of
from .services import HookServices
from .subject import Failure, Plain, Reply, Subject

if TYPE_CHECKING:
    from greenroom.actors.messages.core import PendingEvent
    from greenroom.storage.catalog.model import SessionInfo


__all__ = ["Call", "Component", "HookContext", "HookContextBuilder"]


logger = logger_of("hooks")

_MAX_RECORDS: Final = 20_000


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
        now = self.services.clock.time_ns() if self.services is not None else time_ns()
        return now - int(self.elapsed() * 1e9)

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


class Component(NamedTuple):
    """The type and name of a component, such as ("tool", "weather")."""

    type: str
    name: str


class HookContext:
    """One call of a hook at one point.

    `data` is the hook's own copy: its changes count if the hook answers, and are dropped if it fails.
    """

    __slots__ = ("_call", "_data", "_info", "_subject", "attempt", "point")

    def __init__(self, call: Call, point: str, subject: Subject, attempt: int) -> None:
        self._call = call
        self._subject = subject
        self._data: dict[str, Any] | None = None
        self._info: SessionInfo | None = None
        self.point = point
        """The name of the point."""
        self.attempt = attempt
        """1, and one more for each repeated call of the hook for the same operation at this point."""

    def __repr__(self) -> str:
        return f"<HookContext {self.point} {self._call.about or ''}>"

    @staticmethod
    def builder(point: str) -> HookContextBuilder:
        """Return a builder of contexts, for trying out a hook without an operation."""
        return HookContextBuilder(point)

    @property
    def session_id(self) -> str | None:
        """The session that the operation is sent to; None if it belongs to no session."""
        return self._call.session_id

    @property
    def component_id(self) -> str | None:
        """The component: "session:<id>", "scope:<name>", "tool:<name>" or "agent:<name>"."""
        return self._call.about

    @property
    def operation(self) -> str:
        """The operation's name: the class of the message. At the host's own points it is the name given there,
        or else the point."""
        return self._call.operation or self.point

    @property
    def component(self) -> Component:
        """The type and the name of the component."""
        type_, _, name = (self._call.about or "runtime:").partition(":")
        return Component(type_, name)

    @property
    def language(self) -> str | None:
        """The language of the acting script; None if no script acts."""
        return self._call.language

    @property
    def metadata(self) -> dict[str, Any]:
        """The facts besides the data. All hooks of an operation share one dict, in which they may leave
        notes."""
        return self._call.notes()

    @property
    def correlation_id(self) -> str:
        """The correlation id of the operation, or else the session's own. Never empty."""
        return self._call.correlation_id

    # -- the present session: read when a hook asks for it, once for each call of the hook

    @property
    def session_info(self) -> SessionInfo | None:
        """A snapshot of the session; None if there is none (yet, or any more)."""
        if self._info is None:
            self._info = self._call.session_info()
        return self._info

    @property
    def session_metadata(self) -> dict[str, Any]:
        """A copy of the session's own metadata; empty if there is no session."""
        info = self.session_info
        return info.custom_metadata if info is not None else {}

    @property
    def tags(self) -> tuple[str, ...]:
        """The session's tags."""
        info = self.session_info
        return info.tags if info is not None else ()

    @property
    def status(self) -> str | None:
        """The session's status; None if there is no session."""
        info = self.session_info
        return str(info.status) if info is not None else None

    @property
    def operation_count(self) -> int:
        """The number of operations that the session has made."""
        info = self.session_info
        return info.operation_count if info is not None else 0

    @property
    def config(self) -> dict[str, Any]:
        """The settings of the session's own configuration. All others follow the runtime's."""
        return self._call.session_config()

    @property
    def data(self) -> dict[str, Any]:
        """The parameters of the operation. After it they include its "result", at its failure its "error"."""
        if self._data is None:
            self._data = self._subject.view()
        return self._data

    @data.setter
    def data(self, data: Mapping[str, Any]) -> None:
        self._data = dict(data)

    @property
    def operation_data(self) -> dict[str, Any]:
        """A copy of the parameters as they were before any hook changed them."""
        return self._call.original.view()

    @property
    def result(self) -> Any:
        """The reply itself, after the operation; None before it."""
        subject = self._subject
        return subject.reply if isinstance(subject, Reply) else None

    @property
    def error(self) -> BaseException | None:
        """The operation's error at a point for failures; else None."""
        subject = self._subject
        return subject.error if isinstance(subject, Failure) else None

    @property
    def started_at(self) -> datetime:
        """When the operation began, aware UTC."""
        return utc_time(self._call.time_ns)

    @property
    def now(self) -> float:
        """The seconds of the runtime's clock, which never go back."""
        return self._call.now()

    @property
    def elapsed(self) -> float:
        """The seconds since the operation began."""
        return self._call.elapsed()

    # -- for the chain

    @property
    def untouched(self) -> bool:
        """Whether the hook has not even read the data."""
        return self._data is None

    def ask_at_once(self, members: Sequence[Callable[[HookContext], Any]]) -> list[HookResult | BaseException]:
        """Call members at once, on threads of their own, each with a copy of the data. Return the result or the error
        of each. Changes of a member to its copy count as `modified`."""
        before = self._view()
        twins = [HookContext(self._call, self.point, self._subject, self.attempt) for _ in members]
        for twin in twins:
            twin._data = Plain(before).view()
        services = self._call.services
        promises: list[Promise[Any] | None] = []
        for member, twin in zip(members, twins, strict=True):
            try:
                promises.append(services.guard.elastic.submit(_answer, member, twin) if services is not None else None)
            except GreenroomError:
                promises.append(None)  # no thread is free: it is called on this one
        answers: list[HookResult | BaseException] = []
        for member, twin, promise in zip(members, twins, promises, strict=True):
            try:
                answer = promise.result(self._call.allowed) if promise is not None else awaited(member(twin))
                result = result_of(answer)
                if result.kind == "continue" and twin.data != before:
                    result = HookResult.modified(twin.data)
                answers.append(result)
            except (Exception, SystemExit, cancelled_error()) as error:
                answers.append(error)
        return answers

    def _view(self) -> dict[str, Any]:
        return Plain(self._data).view() if self._data is not None else self._subject.view()


def _answer(member: Callable[[HookContext], Any], context: HookContext) -> Any:
    return awaited(member(context))


class HookContextBuilder:
    """Builds a `HookContext`.

    Example:
        ```py
        context = HookContext.builder("BeforeStateWrite").session(id).data(key="k", value=1).build()
        assert my_hook(context) is None
        ```
    """

    def __init__(self, point: str) -> None:
        self._point = point
        self._session_id: str | None = None
        self._component: str | None = None
        self._operation: str | None = None
        self._correlation_id: str | None = None
        self._metadata: dict[str, Any] = {}
        self._data: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<HookContextBuilder {self._point}>"

    def session(self, session_id: str) -> HookContextBuilder:
        self._session_id = session_id
        return self

    def component(self, component_id: str) -> HookContextBuilder:
        self._component = component_id
        return self

    def operation(self, name: str) -> HookContextBuilder:
        self._operation = name
        return self

    def correlation(self, correlation_id: str) -> HookContextBuilder:
        self._correlation_id = correlation_id
        return self

    def metadata(self, **metadata: Any) -> HookContextBuilder:
        self._metadata.update(metadata)
        return self

    def data(self, **data: Any) -> HookContextBuilder:
        self._data.update(data)
        return self

    def build(self) -> HookContext:
        subject = Plain(self._data)
        call = Call(None, subject, self._operation, self._session_id).with_facts(self._component, self._metadata)
        if self._correlation_id is not None:
            call.correlation = self._correlation_id
        return HookContext(call, self._point, subject, 1)
