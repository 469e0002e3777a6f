"""The delivery path: takes a message from its sender to the session's actor, through the stages between the two.

Each stage asks or tells the next one:

1. **trace**: makes a span of each operation while operations are traced.
2. **admission**: security checks whether the acting session has access; then rates check whether it asks too often.
3. **reading only**: refuses what asks for a change, in a read-only runtime.
4. **hooks**: the hooks of the message's class run before and after all that follows.
5. **routing**: removes secrets and checks values by their schemas, then passes the message to the session itself or, if
   it names an artifact of another session, to the router between sessions.
6. **home**: the session's own actor, loaded into memory if needed. Content is prepared on the sender's thread.

`Delivery` begins with the first stage. Callers that have done a part of the way begin at a later stage, by its name:
`delivery.routing.ask(...)`. If nothing is registered at any stage, the first two cost one look.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, Protocol

from greenroom.actors import messages as m
from greenroom.actors.access.cross_session import CrossSessionRouter
from greenroom.actors.access.security import Security
from greenroom.actors.messages.core import Command, Message, Reply
from greenroom.actors.messages.events import PublishEvent
from greenroom.actors.messages.lifecycle import GetConfig
from greenroom.actors.scheduling.futures import NOW, OperationEnvelope, WouldWait
from greenroom.actors.scheduling.operation import CURRENT, Operation, changed, own_operation
from greenroom.actors.session.directory import Way
from greenroom.actors.session.preparation import Preparation
from greenroom.storage.errors import IntegrityError, InvalidOperation, SchemaTooNew

from .joint import joined

if TYPE_CHECKING:
    from greenroom.actors.hooks.interception.interceptor import HookedMessage
    from greenroom.actors.scheduling.futures import TellReceipt
    from greenroom.actors.session.actor import SessionActor
    from greenroom.actors.session.decisions.calls import CallPath

    from .table import SessionTable

__all__ = ["Delivery", "Noted", "Trace"]

_BRIEF_CONTENT: Final = 64 << 10
"""So many bytes of content are hashed and compressed within a fraction of a millisecond."""
_FEW: Final = 50
"""So many operations of one message take a fraction of a millisecond."""
_BRIEF: Final = frozenset(
    {
        m.SetVariable, m.GetVariable, m.DeleteVariable, m.GetInfo, GetConfig,
        m.AddMessage, m.AddMessages, m.EditMessage, m.RetractMessage, m.PopMessage, m.StartMessage, m.ContinueMessage,
        m.FinishMessage, m.PutRecords, m.GetRecord, m.GetMessages, m.AddTag, m.RemoveTag, m.SetTags, m.UpdateMetadata,
        m.RenameSession, m.DescribeSession, m.SuspendSession, m.ResumeSession, m.CompleteSession, m.FailSession,
        m.StoreArtifact, m.GetArtifactInfo, PublishEvent,
    }
)  # fmt: skip
"""The messages that take a session some microseconds, whatever it holds, if they carry little."""


class Noted(Protocol):
    """Records facts of an operation that become known while it runs."""

    def session(self, session_id: str) -> None:
        """Record the session that the operation concerns."""

    def failure(self, code: str) -> None:
        """Record that the operation failed, and its error code."""


class Trace(Way, Protocol):
    """The stage that records messages on their way."""

    def span(
        self, operation: str, name: str | None, session_id: str | None, correlation_id: str | None
    ) -> AbstractContextManager[Noted]:
        """Record an operation that is no message to a session."""


class Home:
    """The last stage: the session's own actor."""

    def __init__(self, table: SessionTable, preparation: Preparation, security: Security) -> None:
        self._table = table
        self._security = security
        self._actors = table.actors
        self._preparation = preparation
        self.calls: Callable[[], CallPath]
        """Makes the calls of tools and agents that sessions are asked for."""

    def ask(self, session_id: str, message: Any, timeout: float) -> Any:
        actor = self._actors.get(session_id)
        if actor is None or self._table.closing:
            try:
                actor = self._table.activate(session_id)
            except (IntegrityError, SchemaTooNew):
                if not isinstance(message, m.DeleteSession):
                    raise
                self._table.delete_damaged(session_id, timeout)
                return None
        preparation = message.preparation
        if preparation is None:
            return actor.ask(message, timeout)
        if preparation == "call":
            return self.calls().ask(session_id, message, timeout)
        asked = joined(self._table, self._security, actor, message) if preparation == "batch" else actor
        return self._preparation.ask(asked, message, timeout)

    def tell(self, session_id: str, message: Any, receipt: TellReceipt | None = None) -> None:
        actor = self._table.actor(session_id)
        if message.preparation is not None:
            if message.preparation == "call":
                self.calls().tell(session_id, message, receipt)
                return
            if message.preparation == "batch" and joined(self._table, self._security, actor, message) is not actor:
                raise InvalidOperation("a batch that concerns scopes or shared sessions is asked and not told")
            # Nobody waits who could prepare the content again, so it travels along even if the store has it.
            message = self._preparation.prepare(actor, message, known=False)
        if receipt is None:
            actor.tell(message)
        else:
            receipt.message = message
            actor.put(OperationEnvelope(message, receipt))


class Routing:
    """Passes a message to its session, or across to the owner of an artifact that it names."""

    def __init__(
        self, home: Way, crossing: CrossSessionRouter, clean: Callable[[Any], Any] | None, timeout: float
    ) -> None:
        """`clean` removes secrets from a message; None if there are none to remove."""
        self._home = home
        self._crossing = crossing
        self._clean = clean
        self._timeout = timeout
        self.schemas: Callable[[str, Any], Any] | None = None
        """Checks the values in a message to a session or scope, while any schema is registered. Returns the message
        with the names of the schemas. Raises ValidationError."""

    def ask(self, session_id: str, message: Any, timeout: float) -> Any:
        if self._clean is not None:
            message = self._clean(message)
        if self.schemas is not None:
            message = self.schemas(session_id, message)
        if message.may_cross and message.crosses(session_id):
            return self._crossing.ask(session_id, message, timeout)
        operation = CURRENT.get()
        if operation is not None and message.whole and _visits(operation, session_id):
            return self._crossing.visit(session_id, message, timeout)
        return self._home.ask(session_id, message, timeout)

    def tell(self, session_id: str, message: Any, receipt: TellReceipt | None = None) -> None:
        if self._clean is not None:
            message = self._clean(message)
        if self.schemas is not None:
            message = self.schemas(session_id, message)
        if message.may_cross and message.crosses(session_id):
            self._crossing.tell(session_id, message, self._timeout, receipt)
        elif (operation := CURRENT.get()) is not None and message.whole and _visits(operation, session_id):
            self._crossing.visit_telling(session_id, message, receipt)
        else:
            self._home.tell(session_id, message, receipt)


def _visits(operation: Operation, session_id: str) -> bool:
    """Return whether the running code was admitted to this session by a permission on all of it."""
    return operation.visiting == session_id and operation.principal is not None


class HookStage:
    """Runs hooks around the rest of the way, for classes of messages with a hook at one of their points."""

    def __init__(self, routing: Way) -> None:
        self._routing = routing
        self.of: Mapping[type[Any], HookedMessage] = {}
        """The hooked delivery of each class of messages that has hooks."""

    def ask(self, session_id: str, message: Any, timeout: float) -> Any:
        hooked = self.of.get(message.__class__)
        if hooked is not None:
            return hooked(session_id, message, timeout)
        return self._routing.ask(session_id, message, timeout)

    def tell(self, session_id: str, message: Any, receipt: TellReceipt | None = None) -> None:
        hooked = self.of.get(message.__class__)
        if hooked is not None:
            hooked.tell(session_id, message)
        else:
            self._routing.tell(session_id, message, receipt)

    def tell_unasked(self, actor: SessionActor, message: Any) -> None:
        """Send a message of the runtime's own to a session in memory. Its hooks run on a thread of their own."""
        hooked = self.of.get(message.__class__)
        if hooked is None:
            actor.tell(message)
        else:
            hooked.tell_unasked(actor.actor_urn, message)

    def happened(self, session_id: str, message: Any) -> None:
        """Run the hooks after a message for a change that has happened without the message."""
        hooked = self.of.get(message.__class__)
        if hooked is not None:
            hooked.happened(session_id, message)


class ReadingOnly:
    """Refuses what asks a session to change, whether or not it would change anything now."""

    def __init__(self, table: SessionTable, hooks: Way) -> None:
        self._table = table
        self._hooks = hooks

    def ask(self, session_id: str, message: Any, timeout: float) -> Any:
        self._check(message)
        return self._hooks.ask(session_id, message, timeout)

    def tell(self, session_id: str, message: Any, receipt: TellReceipt | None = None) -> None:
        self._check(message)
        self._hooks.tell(session_id, message, receipt)

    def _check(self, message: Any) -> None:
        self._table.check_open()
        # Loading brings a session into memory; that it came back is noted only where it can be.
        if isinstance(message, Command) and not isinstance(message, m.LoadSession):
            raise InvalidOperation("this runtime is open for reading only: open it without read_only to write")


class Admission:
    """Decides whether a message may go on: security first, then rates."""

    def __init__(self, security: Security, hooks: Way, home: Way) -> None:
        self._security = security
        self._hooks = hooks
        self._home = home
        self.straight = False
        """Whether no stage after this one has anything to say about a message that stays with its session."""
        self.rates: Callable[[str, Any], None] | None = None
        """Called with each message to a session while any rate is limited. Raises RateLimited."""

    def ask(self, session_id: str, message: Any, timeout: float) -> Any:
        session_id, visiting = self._admitted(session_id, message)
        if visiting:
            around = CURRENT.get()
            try:  # not by `with`: see `changed`
                CURRENT.set(changed(around, {"visiting": session_id}))
                return self._hooks.ask(session_id, message, timeout)
            finally:
                CURRENT.set(around)
        if self.straight and not (message.may_cross and message.crosses(session_id)):
            return self._home.ask(session_id, message, timeout)
        return self._hooks.ask(session_id, message, timeout)

    def tell(self, session_id: str, message: Any, receipt: TellReceipt | None = None) -> None:
        session_id, visiting = self._admitted(session_id, message)
        if not visiting:
            self._hooks.tell(session_id, message, receipt)
            return
        around = CURRENT.get()
        try:  # not by `with`: see `changed`
            CURRENT.set(changed(around, {"visiting": session_id}))
            self._hooks.tell(session_id, message, receipt)
        finally:
            CURRENT.set(around)

    def admit(self, session_id: str, message: Any) -> str:
        """Return the id of the session to ask. A permission on a whole session does not count. Raises AccessDenied,
        RateLimited."""
        session_id, visiting = self._admitted(session_id, message)
        if visiting:
            principal = self._security.principal() or ""
            raise self._security.deny(principal, session_id, type(message).__name__, message.access)
        return session_id

    def _admitted(self, session_id: str, message: Any) -> tuple[str, bool]:
        operation = CURRENT.get()
        visiting = False
        if operation is not None and operation.principal is not None:
            if operation.lent:
                self._security.require_call(operation)
            session_id, visiting = self._security.authorize(operation.principal, session_id, message)
        if self.rates is not None:
            self.rates(session_id, message)
        return session_id, visiting


class Delivery:
    """Holds the whole delivery path of messages, and its stages by name."""

    def __init__(
        self,
        table: SessionTable,
        security: Security,
        preparation: Preparation,
        clean: Callable[[Any], Any] | None,
    ) -> None:
        self._services = services = table.services
        self._table = table
        self._actors = table.actors
        self.security = security
        self.home = Home(table, preparation, security)
        self.crossing = CrossSessionRouter(table, self.home, preparation, security)
        self.routing = Routing(self.home, self.crossing, clean, services.store_timeout)
        self.hooks = HookStage(self.routing)
        self._reads_only = services.store.engine.read_only
        after = ReadingOnly(table, self.hooks) if self._reads_only else self.hooks
        self.admission = Admission(security, after, self.home)
        self._trace: Trace | None = None
        self._cleans = clean is not None
        self._first: Way
        self._direct: bool
        self._compile()

    def _compile(self) -> None:
        """Choose the first stage. The path is direct if no stage does anything with a message of the host."""
        self._first = self._trace if self._trace is not None else self.admission
        changes = self._cleans or self.routing.schemas is not None
        self.admission.straight = not (self.hooks.of or changes or self._reads_only)
        self._hooked = self.hooks.of
        self._direct = not (self._trace or self.admission.rates or changes or self._reads_only)

    @property
    def trace(self) -> Trace | None:
        """The first stage while operations are traced."""
        return self._trace

    @trace.setter
    def trace(self, trace: Trace | None) -> None:
        self._trace = trace
        self._compile()

    @property
    def schemas(self) -> Callable[[str, Any], Any] | None:
        """Checks the values in messages, while any schema is registered."""
        return self.routing.schemas

    @schemas.setter
    def schemas(self, schemas: Callable[[str, Any], Any] | None) -> None:
        self.routing.schemas = schemas
        self._compile()

    @property
    def rates(self) -> Callable[[str, Any], None] | None:
        """Counts each message to a session, while any rate is limited."""
        return self.admission.rates

    @rates.setter
    def rates(self, rates: Callable[[str, Any], None] | None) -> None:
        self.admission.rates = rates
        self._compile()

    @property
    def hooked(self) -> Mapping[type[Any], HookedMessage]:
        """The classes of messages with a hook at one of their points."""
        return self.hooks.of

    @hooked.setter
    def hooked(self, hooked: Mapping[type[Any], HookedMessage]) -> None:
        self.hooks.of = hooked
        self._compile()

    def ask(self, session_id: str, message: Message[Reply], timeout: float) -> Reply:
        """Deliver a message through all stages and return the reply.

        Raises what refuses or fails it, SessionNotFound, OperationTimeout, RuntimeClosed.
        """
        operation = CURRENT.get()
        reply: Reply
        if operation is None:
            if self._direct:
                hooked = self._hooked.get(message.__class__)
                if hooked is not None:
                    reply = hooked(session_id, message, timeout)
                    return reply
                if not (message.may_cross and message.crosses(session_id)):
                    actor = self._actors.get(session_id)
                    if actor is None or message.preparation is not None or self._table.closing:
                        reply = self.home.ask(session_id, message, timeout)
                    else:  # what the home would do, without a step through it
                        reply = actor.ask(message, timeout)
                    return reply
        elif operation.realm is not None and operation.realm is not self.security:
            try:  # not by `with`: see `changed`
                CURRENT.set(own_operation(self.security))
                return self.ask(session_id, message, timeout)
            finally:
                CURRENT.set(operation)
        reply = self._first.ask(session_id, message, timeout)
        return reply

    def ask_now(self, session_id: str, message: Message[Reply]) -> Reply:
        """Deliver a message on this thread without waiting for anything, and return the reply.

        Raises WouldWait before anything has happened: if a stage has something to do with the message, the session is
        busy or not in memory, the message carries much content, or its kind may take long. Raises Unfinished if the
        reply waits for a disk.
        """
        reply: Reply
        actor = self._actors.get(session_id)
        if (
            actor is None
            or not self._direct
            or CURRENT.get() is not None
            or message.__class__ not in _BRIEF
            or message.__class__ in self._hooked
            or (message.may_cross and message.crosses(session_id))
            or self._table.closing
        ):
            raise WouldWait
        if message.preparation is None:
            reply = actor.ask(message, NOW)
            return reply
        if message.content_bytes > _BRIEF_CONTENT or message.operations > _FEW:
            raise WouldWait
        reply = self.home._preparation.ask(actor, message, NOW)
        return reply

    def replies_by_receipt(self, session_id: str, message: Message[Any]) -> bool:
        """Return whether a message that is told with a receipt brings its reply there, and nobody waits meanwhile: no
        hooks run, no tool or agent is called, no other session is asked, no much content prepared, nothing loaded."""
        return (
            message.__class__ not in self._hooked
            and self._trace is None
            and session_id in self.home._actors
            and not (message.may_cross and message.crosses(session_id))
            and (
                message.preparation is None
                or (message.preparation == "content" and message.content_bytes <= _BRIEF_CONTENT)
            )
        )

    def tell(self, session_id: str, message: Message[Any], receipt: TellReceipt | None = None) -> None:
        """Deliver a message through all stages without waiting. A failure is logged."""
        operation = CURRENT.get()
        if operation is not None and operation.realm is not None and operation.realm is not self.security:
            try:  # not by `with`: see `changed`
                CURRENT.set(own_operation(self.security))
                self.tell(session_id, message, receipt)
            finally:
                CURRENT.set(operation)
        else:
            self._first.tell(session_id, message, receipt)

    def is_restoring(self, session_id: str) -> bool:
        """Return whether loading this session restores it: it is not in memory, or was not loaded since it came
        there."""
        actor = self._actors.get(session_id)
        return actor is None or actor.restored

    def discard(self, message: Any) -> None:
        """Drop what was prepared for a message that has failed."""
        self._services.discard(message)
