"""The hooks of a runtime: registered, and called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.internal import RecordHooks
from greenroom.actors.messages.lifecycle import GetConfig
from greenroom.actors.scheduling.operation import CURRENT, Operation, in_own_realm
from greenroom.actors.scheduling.threads import Elastic
from greenroom.storage.codec.keys import is_session_id, session_bytes
from greenroom.storage.common.logs import logger_of
from greenroom.storage.common.waiting import Flag
from greenroom.storage.errors import (
    GreenroomError,
    ResourceLimitExceeded,
    RuntimeClosed,
    SessionNotFound,
    ValidationError,
)

from .around import around, settled
from .chain import AFTER_CHANGE, AFTER_READ, ALONE, ALONE_AFTER, Phase, ask
from .context import Call
from .guard import Guard
from .hook import Hook
from .interceptor import HookedDelivery
from .points import AFTER, CREATE, CREATION, CUSTOM, LIMIT, OPERATION, POINTS, can_veto, resolve
from .registry import Registry
from .result import Outcome
from .subject import Checked, Plain, execution

if TYPE_CHECKING:
    from greenroom.actors.session.services import SessionServices
    from greenroom.storage.catalog.model import SessionInfo

__all__ = ["Hooks"]

logger = logger_of("hooks")

_SCOPES_REMEMBERED: Final = 1000


class Hooks(Registry):
    """The hooks of a runtime.

    Example:
        ```py
        def veto(context):
            if context.data["name"].endswith(".exe"):
                return HookResult.cancel("no programs here")

        handle = rt.hooks.register("BeforeArtifactStore", veto, priority="high")
        handle.unregister()
        ```
    """

    def __init__(
        self, delivery: HookedDelivery, services: SessionServices, elastic: Elastic, wait_limit: float
    ) -> None:
        super().__init__(delivery, services.clock)
        self._services = services
        self.wait_limit = wait_limit
        """Seconds that what nobody waits for may take."""
        self.guard = Guard(elastic)
        self.closing = Flag()
        """Set when the runtime closes: whoever waits to try again gives up."""
        self._elastic = elastic
        self._scopes: dict[str, str] = {}

    @property
    def _realm(self) -> object:
        return self.delivery.security

    @in_own_realm
    def fire(
        self,
        point: str,
        data: Mapping[str, Any],
        *,
        session_id: str | None = None,
        component: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        operation: str | None = None,
    ) -> Outcome:
        """Call the hooks of a point that stands alone, such as one of your own ("custom:deploy"). `operation` is what
        the context calls the operation; by default the point.

        Raises HookCancelled when one of them cancels or a required one fails. Code of a session may fire custom
        points, for sessions that it reaches.
        """
        point = _one(point)
        self._require(point, session_id)
        phase = self._chains.get(point)
        if phase is None:
            return Outcome(dict(data))
        call, subject = self._call(operation or point, data, session_id, component, metadata, timeout)
        try:
            left: Any = ask(phase, call, subject, ALONE if can_veto(point) else ALONE_AFTER)
        finally:
            self.journal(call)
        decision = call.decision
        if decision is None or decision.kind == "retry":
            return Outcome(left.data)
        return Outcome(left.data, decision.kind, decision.value, decision.target)

    @in_own_realm
    def around(
        self,
        data: Mapping[str, Any],
        perform: Callable[[dict[str, Any], str | None], Any],
        *,
        before: str | None = None,
        after: str | None = None,
        error: str | None = None,
        session_id: str | None = None,
        component: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        timeout: float | None = None,
        operation: str | None = None,
    ) -> Any:
        """Perform an operation of your own with hooks around it; its reply, as they leave it.

        `perform(data, target)` is called with the data as the hooks before it leave them, and the target that one of
        them redirected to, else None. Hooks after it see its reply as `result`, hooks at its failure `error`.
        Raises what it raises, and HookCancelled.
        """
        before, after, error = (_one(each) if each is not None else None for each in (before, after, error))
        for point in (before, after, error):
            if point is not None:
                self._require(point, session_id)
        return self._around(
            data,
            perform,
            self._phase(before),
            self._phase(after),
            self._phase(error),
            operation or before or after or error or "operation",
            session_id,
            component,
            metadata,
            timeout,
        )

    def creation(
        self,
        data: Mapping[str, Any],
        create: Callable[[dict[str, Any], str | None], Any],
        check: Callable[[dict[str, Any]], object],
    ) -> Any:
        """Create a session with the hooks and the middleware around it. `create` returns what has its `id`; `check`
        raises what refuses the data that a hook has changed."""
        call, _ = self._call("CreateSession", data, None, None, None, self.wait_limit)
        subject = call.original = Checked(dict(data), check)
        limit = self._phase(LIMIT)

        def perform(call: Call, left: Any, target: str | None) -> Any:
            session = create(left.data, target)
            call.session_id = session.id
            return session

        return around(
            call,
            subject,
            self._phase(OPERATION, CREATE, "BeforeSessionCreated"),
            self._phase("SessionCreated", CREATE + AFTER, OPERATION + AFTER),
            lambda error: limit if isinstance(error, ResourceLimitExceeded) else (),
            perform,
            AFTER_CHANGE,
        )

    @property
    def creating(self) -> bool:
        """Whether there is a hook at the creation of sessions."""
        chains = self._chains
        return bool(chains) and any(point in chains for point in CREATION)

    def _around(
        self,
        data: Mapping[str, Any],
        perform: Callable[[dict[str, Any], str | None], Any],
        before: Phase,
        after: Phase,
        failed: Phase,
        operation: str,
        session_id: str | None,
        component: str | None,
        metadata: Mapping[str, Any] | None,
        timeout: float | None,
    ) -> Any:
        limit = self._phase(LIMIT)
        if not (before or after or failed or limit):
            return settled(perform(dict(data), None))
        call, subject = self._call(operation, data, session_id, component, metadata, timeout)

        def failures(error: BaseException) -> Phase:
            return failed + limit if isinstance(error, ResourceLimitExceeded) else failed

        return around(
            call, subject, before, after, failures, lambda _, left, target: perform(left.data, target), AFTER_READ
        )

    def _call(
        self,
        operation: str,
        data: Mapping[str, Any],
        session_id: str | None,
        component: str | None,
        metadata: Mapping[str, Any] | None,
        timeout: float | None,
    ) -> tuple[Call, Plain]:
        subject = Plain(dict(data))
        notes = {"operation": operation, **metadata} if metadata is not None else None
        return Call(self, subject, operation, session_id, timeout).with_facts(component, notes), subject

    def _require(self, point: str, session_id: str | None) -> None:
        principal = self.delivery.security.principal()
        if principal is None or session_id is None:
            return
        if point.startswith(CUSTOM):
            self.delivery.security.require(session_id, "hooks.fire", "write")

    # -- what calls need of the runtime

    def can_access(self, principal: str, session_id: str) -> bool:
        """Whether what acts for a session reaches another one."""
        return self.delivery.security.can_access(principal, session_id)

    def correlation_of(self, session_id: str) -> str | None:
        """What a session belongs to, as its creator said."""
        if not is_session_id(session_id):
            return None
        row = self._services.store.catalog.row(session_bytes(session_id))
        return row.correlation_id if row is not None else None

    def info_of(self, session_id: str) -> SessionInfo | None:
        """A session as it is now; None where there is none, or it cannot be read."""
        try:
            info: SessionInfo = self.delivery.routing.ask(session_id, m.GetInfo(), self.wait_limit)
        except GreenroomError:
            return None
        return info

    def config_of(self, session_id: str) -> dict[str, Any]:
        """What the configuration of a session sets."""
        try:
            config: dict[str, Any] = self.delivery.routing.ask(session_id, GetConfig(), self.wait_limit)
        except GreenroomError:
            return {}
        return config

    def scope_name(self, scope_id: str) -> str | None:
        """The name of the scope whose state is kept under this id; None for what is no scope."""
        name = self._scopes.get(scope_id)
        if name is None:
            try:
                name = self.delivery.routing.ask(scope_id, m.GetInfo(), self.wait_limit).name
            except GreenroomError:
                return None
            if len(self._scopes) >= _SCOPES_REMEMBERED:
                self._scopes.clear()
            self._scopes[scope_id] = name
        return name

    def journal(self, call: Call) -> None:
        """Journal what the hooks of an operation did, where it was not journaled with the operation itself."""
        records = call.take_records()
        recipient = call.recipient
        if not records or recipient is None or self._services.store.engine.read_only:
            return
        try:
            self.delivery.routing.ask(recipient, RecordHooks(records), self.wait_limit)
        except (SessionNotFound, RuntimeClosed):
            pass  # the operation has ended the session, or there never was one
        except GreenroomError as error:
            logger.warning("what hooks did for %s was not journaled: %s", call.about, error)

    def besides(self, job: Callable[[], Any], what: str) -> None:
        """Run something that nobody waits for on a thread of its own; its failure is logged."""

        def run() -> None:
            try:
                job()
            except Exception as error:
                logger.error(
                    "%s failed: %s", what, error, exc_info=None if isinstance(error, GreenroomError) else error
                )

        try:
            self._elastic.submit(run)
        except GreenroomError as error:
            logger.error("%s was not run: %s", what, error)

    def fork(self, operations: tuple[Any, ...], call: Call, hook: Hook, point: str, current: Operation | None) -> None:
        """Run the operations of a hook's `fork` besides, with what the hook may do."""

        def attempt(operation: Any) -> None:
            try:
                if callable(operation):
                    operation()
                    return
                session_id, message = operation if isinstance(operation, tuple) else (call.recipient, operation)
                if not isinstance(message, m.Message) or session_id is None:
                    raise ValidationError("fork: messages, pairs (session id, message) and callables are operations")
                self.delivery.ask(session_id, message, self.wait_limit)
            except Exception as error:
                logger.error("an operation forked by hook %s at %s failed: %s", hook.name, point, type(error).__name__)
                call_of_fork = Call(self, call.original, call.operation, call.session_id)
                call_of_fork.address = call.address
                call_of_fork.record(execution(hook, f"{point}:fork", call.operation, 1, {}, None, 0.0, error))
                self.journal(call_of_fork)

        inner = hook.operation(current)
        try:
            CURRENT.set(inner)
            for operation in operations:
                self.besides(lambda each=operation: attempt(each), f"an operation forked by hook {hook.name}")  # type: ignore[misc]
        finally:
            CURRENT.set(current)

    def close(self) -> None:
        """Have those give up who wait to try again. Hooks that run are let be: their threads are the elastic ones."""
        self.closing.set()


def _one(point: str) -> str:
    """The one point that a name means, in any spelling. Raises ValidationError."""
    if point in POINTS or (isinstance(point, str) and point.startswith(CUSTOM)):
        return point
    found = resolve(point)
    if len(found) > 1:
        raise ValidationError(f"point: {point!r} means {' and '.join(found)}: name one of them", field="point")
    return found[0]
