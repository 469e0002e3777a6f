"""The context that each call of a hook gets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from greenroom.actors.scheduling.callables import cancelled_error
from greenroom.actors.scheduling.operation import CURRENT
from greenroom.storage.common.arguments import as_items, as_mapping, as_number, as_seconds, as_text
from greenroom.storage.common.times import iso_time, moment, utc_time
from greenroom.storage.concurrency.waiting import Promise
from greenroom.storage.errors import GreenroomError, ValidationError

from .call import Call, ToldSession
from .result import HookResult, awaited, result_of
from .subject import Failure, Plain, Reply, Subject, plain

if TYPE_CHECKING:
    from greenroom.storage.catalog.model import SessionInfo


__all__ = ["CALLING", "Component", "HookContext", "HookContextBuilder"]


class Component(NamedTuple):
    """The type and name of a component, such as ("tool", "weather")."""

    type: str
    name: str


class HookContext:
    """One call of a hook at one point.

    `data` is the hook's own copy: its changes count if the hook answers, and are dropped if it fails.
    """

    __slots__ = ("_call", "_data", "_info", "_subject", "attempt", "outer", "point")

    def __init__(
        self, call: Call, point: str, subject: Subject, attempt: int, outer: HookContext | None = None
    ) -> None:
        self._call = call
        self._subject = subject
        self._data: dict[str, Any] | None = None
        self._info: SessionInfo | None = None
        self.outer = outer
        """The call of a hook that this one came out of, whoever may see it."""
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

    @property
    def parent(self) -> HookContext | None:
        """The context of the hook whose code caused this operation; None if no hook did. Code that acts for a session
        sees only contexts of that session."""
        outer = self.outer
        if outer is None or outer._call.services is not self._call.services:
            return None  # of no runtime, or of another one
        current = CURRENT.get()
        principal = current.principal if current is not None else None
        return outer if principal in (None, outer.session_id) else None

    def to_dict(self) -> dict[str, Any]:
        """Return everything that the context says as JSON values and bytes, with the facts of the session and the
        parents. Reads the session. Values that cannot be shown are given by the name of their class."""
        parent = self.parent
        row = {
            "point": self.point,
            "operation": self.operation,
            "component": {"type": self.component.type, "name": self.component.name},
            "session_id": self.session_id,
            "session": {
                "status": self.status,
                "tags": list(self.tags),
                "metadata": self.session_metadata,
                "config": self.config,
                "operation_count": self.operation_count,
            }
            if self.session_id is not None
            else None,
            "correlation_id": self.correlation_id,
            "language": self.language,
            "attempt": self.attempt,
            "started_at": iso_time(self.started_at),
            "elapsed": self.elapsed,
            "metadata": self.metadata,
            "operation_data": self.operation_data,
            "data": self.data,
        }
        found: dict[str, Any] = plain(row)
        found["parent"] = parent.to_dict() if parent is not None else None
        return found

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> HookContext:
        """Return a context that says what `to_dict` has returned: for another process, or for trying out a hook later.
        It belongs to no operation that is under way. Raises ValidationError."""
        return _context_of(row)

    # -- the present session: read when a hook asks for it, once for each call of the hook

    @property
    def session_info(self) -> SessionInfo | None:
        """A snapshot of the session; None if there is none (yet, or any more)."""
        if self._info is None:
            self._info = self._call.session_info()
        return self._info

    @property
    def _session(self) -> SessionInfo | ToldSession | None:
        return self._call.told_session or self.session_info

    @property
    def session_metadata(self) -> dict[str, Any]:
        """A copy of the session's own metadata; empty if there is no session."""
        session = self._session
        return session.custom_metadata if session is not None else {}

    @property
    def tags(self) -> tuple[str, ...]:
        """The session's tags."""
        session = self._session
        return session.tags if session is not None else ()

    @property
    def status(self) -> str | None:
        """The session's status; None if there is no session."""
        session = self._session
        return str(session.status) if session is not None and session.status is not None else None

    @property
    def operation_count(self) -> int:
        """The number of operations that the session has made."""
        session = self._session
        return session.operation_count if session is not None else 0

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
        twins = [HookContext(self._call, self.point, self._subject, self.attempt, self.outer) for _ in members]
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


CALLING: Final[ContextVar[HookContext | None]] = ContextVar("greenroom_hook", default=None)
"""The context of the hook that runs."""


class _Told(Call):
    """An operation that is not under way: it is as it was described."""

    def __init__(self, facts: Mapping[str, Any], operation_data: dict[str, Any]) -> None:
        super().__init__(None, Plain(operation_data), facts.get("operation"), facts.get("session_id"))
        self.with_facts(facts.get("component_id"), facts.get("metadata", {}))
        self.correlation = facts.get("correlation_id")
        self._facts = facts
        session: Mapping[str, Any] = facts.get("session") or {}
        self.told_session = ToldSession(
            session.get("status"),
            tuple(session.get("tags", ())),
            dict(session.get("metadata", {})),
            session.get("operation_count", 0),
        )
        self._config = dict(session.get("config", {}))

    @property
    def language(self) -> str | None:
        return self._facts.get("language")

    @property
    def time_ns(self) -> int:
        started: int | None = self._facts.get("started_at")
        return super().time_ns if started is None else started

    def elapsed(self) -> float:
        elapsed: float | None = self._facts.get("elapsed")
        return super().elapsed() if elapsed is None else elapsed

    def session_config(self) -> dict[str, Any]:
        return dict(self._config)


class HookContextBuilder:
    """Builds a `HookContext` of an operation that is not under way.

    Example:
        ```py
        context = HookContext.builder("BeforeStateWrite").session(id).data(key="k", value=1).build()
        assert my_hook(context) is None
        ```
    """

    def __init__(self, point: str) -> None:
        self._point = point
        self._facts: dict[str, Any] = {"metadata": {}}
        self._session: dict[str, Any] = {}
        self._data: dict[str, Any] = {}
        self._operation_data: dict[str, Any] | None = None
        self._attempt = 1
        self._parent: HookContext | None = None

    def __repr__(self) -> str:
        return f"<HookContextBuilder {self._point}>"

    def session(
        self,
        session_id: str,
        *,
        status: str | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
        config: Mapping[str, Any] | None = None,
        operation_count: int = 0,
    ) -> HookContextBuilder:
        """Set the session, and what the context says of it."""
        self._facts["session_id"] = session_id
        self._session = {
            "status": as_text("status", status, _MOST) if status is not None else None,
            "tags": [as_text("tags", each, _MOST) for each in as_items("tags", tags, _MOST)],
            "metadata": as_mapping("metadata", {} if metadata is None else metadata),
            "config": as_mapping("config", {} if config is None else config),
            "operation_count": as_number("operation_count", operation_count),
        }
        return self

    def component(self, component_id: str) -> HookContextBuilder:
        """Set the component, such as "tool:weather"."""
        self._facts["component_id"] = component_id
        return self

    def operation(self, name: str) -> HookContextBuilder:
        """Set the class of the message."""
        self._facts["operation"] = name
        return self

    def correlation(self, correlation_id: str) -> HookContextBuilder:
        self._facts["correlation_id"] = correlation_id
        return self

    def language(self, name: str) -> HookContextBuilder:
        """Set the language of the acting script."""
        self._facts["language"] = name
        return self

    def time(self, started_at: datetime, elapsed: float = 0.0) -> HookContextBuilder:
        """Set when the operation began, and the seconds since."""
        self._facts["started_at"] = moment(started_at, "started_at")
        self._facts["elapsed"] = as_seconds("elapsed", elapsed, zero=True)
        return self

    def attempt(self, number: int) -> HookContextBuilder:
        self._attempt = as_number("attempt", number, 1)
        return self

    def parent(self, context: HookContext) -> HookContextBuilder:
        """Set the context of the hook whose code caused this operation."""
        if not issubclass(type(context), HookContext):
            raise ValidationError("parent: a HookContext is needed", field="parent")
        self._parent = context
        return self

    def metadata(self, **metadata: Any) -> HookContextBuilder:
        self._facts["metadata"].update(metadata)
        return self

    def operation_data(self, **data: Any) -> HookContextBuilder:
        """Set the parameters as they were before any hook changed them (default: the data)."""
        self._operation_data = {**(self._operation_data or {}), **data}
        return self

    def data(self, **data: Any) -> HookContextBuilder:
        self._data.update(data)
        return self

    def build(self) -> HookContext:
        facts = {**self._facts, "session": self._session} if self._session else self._facts
        before = self._operation_data
        call = _Told(facts, self._data if before is None else before)
        return HookContext(call, self._point, Plain(self._data), self._attempt, self._parent)


_MOST: Final = 1000
_MAX_PARENTS: Final = 64


def _context_of(row: Mapping[str, Any], depth: int = _MAX_PARENTS) -> HookContext:
    row = as_mapping("context", row)
    point = as_text("point", row.get("point"), _MOST)
    if depth == 0:
        raise ValidationError(f"parent: more than {_MAX_PARENTS} contexts within each other", field="parent")
    built = HookContextBuilder(point).attempt(row.get("attempt", 1))
    for name in ("operation", "correlation_id", "language"):
        if row.get(name) is not None:
            built._facts[name] = as_text(name, row[name], _MOST)
    component = row.get("component")
    if component is not None:
        component = as_mapping("component", component)
        kind, name = (as_text("component", component.get(each), 4096, empty=True) for each in ("type", "name"))
        built._facts["component_id"] = f"{kind}:{name}"
    if row.get("session_id") is not None:
        session = as_mapping("session", row.get("session") or {})
        known = {name: session[name] for name in _SESSION_FACTS if session.get(name) is not None}
        built.session(as_text("session_id", row["session_id"], _MOST), **known)
    if row.get("started_at") is not None:
        built._facts["started_at"] = moment(row["started_at"], "started_at")
    if row.get("elapsed") is not None:
        built._facts["elapsed"] = as_seconds("elapsed", row["elapsed"], zero=True)
    built._facts["metadata"] = as_mapping("metadata", row.get("metadata") or {})
    built._data = as_mapping("data", row.get("data") or {})
    if row.get("operation_data") is not None:
        built._operation_data = as_mapping("operation_data", row["operation_data"])
    if row.get("parent") is not None:
        built._parent = _context_of(row["parent"], depth - 1)
    return built.build()


_SESSION_FACTS: Final = ("status", "tags", "metadata", "config", "operation_count")
