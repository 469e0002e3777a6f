"""Calls tools and agents on elastic threads, within a time limit. The session of a call journals it."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.hooks import Performed
from greenroom.actors.hooks.interception.around import settled
from greenroom.actors.messages.calls import Call, CallAgent, Called, CallTool, RecordCall, RecordReturn
from greenroom.actors.messages.core import idempotency_key
from greenroom.actors.scheduling.operation import CURRENT, changed, in_own_realm
from greenroom.actors.scheduling.thread_identity import watch_threads
from greenroom.actors.scheduling.threads import Share
from greenroom.actors.session.state.budgets import over_operation
from greenroom.actors.session.state.usage import returned_use
from greenroom.runtime.handles.session import session_id_of
from greenroom.runtime.model.pieces import Pieces
from greenroom.storage.codec.records import Value, unpack_value
from greenroom.storage.common.logs import logger_of
from greenroom.storage.concurrency.forking import runtime_closed
from greenroom.storage.concurrency.waiting import Bell, Promise
from greenroom.storage.errors import (
    CallFailed,
    GreenroomError,
    InvalidSessionState,
    OperationTimeout,
    ResourceLimitExceeded,
    RuntimeClosed,
    SessionNotFound,
    ValidationError,
)

from .collectors import Output
from .once import CallsOnce
from .work import MAX_ERROR_TEXT, NESTING, AgentSource, CallContext, Outcome, ToolSource, Work, attempt, usable

if TYPE_CHECKING:
    from greenroom.runtime.core import RuntimeCore
    from greenroom.runtime.handles.session import Session

__all__ = ["Calls"]

logger = logger_of("calls")

MAX_NESTING: Final = 32


class Calls:
    """Makes calls. After `close` nobody waits for one any more."""

    def __init__(self, core: RuntimeCore, session_of: Callable[[str], Session]) -> None:
        """Create it with `session_of`, which returns a handle on a session."""
        self.core = core
        self._session_of = session_of
        self._elastic = core.elastic
        self.tools: ToolSource
        """The source of tools; set once they exist."""
        self.agents: AgentSource
        """The source of agents; set once they exist."""
        self._lock = threading.Lock()
        self._bell = Bell()
        self._running: dict[Promise[Any], CallContext] = {}
        """The calls that somebody waits for. Abandoned calls also keep a thread, until their callables return."""
        self._closed = False
        self._once = CallsOnce(core, self._perform)
        self._before: tuple[Callable[[str], object], ...] = ()
        """What is called before each callable: see `before`."""

    @property
    def running(self) -> int:
        """The number of calls that somebody waits for."""
        return len(self._running)

    def at_work(self, session_id: str) -> bool:
        """Return whether a tool or an agent is at work for a session."""
        return self._elastic.at_work_for(session_id) > 0

    # -- the way of messages

    def ask(self, session_id: str | None, message: Call, timeout: float) -> Any:
        """Make the requested call on the caller's thread, in a session or, with None, for the host. A call with an
        idempotency key is made once."""
        key = idempotency_key(message)
        if key is None:
            return self._perform(session_id, message, timeout)
        if session_id is None:
            raise ValidationError(
                "idempotency_key: a call outside of a session takes none, because nothing remembers its result",
                field="idempotency_key",
            )
        return self._once.ask(session_id, message, key, timeout)

    def _perform(self, session_id: str | None, message: Call, timeout: float) -> Any:
        if isinstance(message, CallAgent):
            return self.agents.perform(session_id, message, timeout)
        assert isinstance(message, CallTool)
        return self.tools.perform(session_id, message, timeout)

    def send(self, message: Call, session: Session | str | None, timeout: float | None) -> Any:
        """Make the call of a message within `timeout` seconds, in a session or, with None, outside of any."""
        session_id = session_id_of(session, "session")
        wait = timeout if timeout is not None else threading.TIMEOUT_MAX
        if session_id is not None:
            return self.core.supervisor.ask(session_id, message, wait)
        self.core.check_open()
        with self.core.span(type(message).__name__, message.name):
            return self.ask(None, message, wait)

    def tell(self, session_id: str, message: Call, receipt: Any) -> None:
        """Make a call that nobody waits for. Raises ResourceLimitExceeded when no thread is free."""
        self._elastic.submit(self._told, session_id, message, receipt, spare=self._elastic.spare)

    def _told(self, session_id: str, message: Call, receipt: Any) -> None:
        NESTING.set(0)  # no other call waits for this one
        try:
            reply = self.ask(session_id, message, threading.TIMEOUT_MAX)
        except GreenroomError as error:
            logger.error("session %s: a call that nobody waits for has failed: %s", session_id, error)
            if receipt is not None:
                receipt.set_exception((type(error), error, error.__traceback__))
        else:
            if receipt is not None:
                receipt.set(reply)

    # -- making calls

    @property
    def _realm(self) -> object:
        return self.core.security

    def make(self, work: Work, session_id: str | None) -> Any:
        """Make a call in a session, or with None outside of any, and return its reply.

        Raises CallFailed, OperationTimeout, ResourceLimitExceeded when no thread is free, RuntimeClosed, any
        GreenroomError of the callable, and in a session what journaling raises.
        """
        return settled(self.begin(work, session_id))

    @in_own_realm
    def begin(self, work: Work, session_id: str | None) -> Performed:
        """Make a call. Its end is journaled later, with the reply that hooks leave."""
        if session_id is None:
            return self._begin_outside(work)
        supervisor, wait = self.core.supervisor, self.core.config.ask_timeout
        data = {"name": work.name, "input": self._shown(work.packed), **work.about}
        if work.given is not None:
            data.update(self._given(work.given))
        record = RecordCall(work.kind, data, sound=work.given is None)
        if work.condition is not None and work.condition.expected_sequence is not None:
            record.condition = work.condition._replace(idempotency_key=None)
        called: Called = supervisor.delivery.routing.ask(session_id, record, wait)
        caller = CURRENT.get()
        acts: dict[str, Any] = {
            "principal": session_id,
            "realm": self._realm,
            "source": f"{work.kind}:{work.name}",
            "correlation_id": (caller.correlation_id if caller else None) or called.correlation_id or session_id,
            "causation_id": called.event_id,
            "root_id": (caller.root_id if caller else None) or called.event_id,
        }
        watch_threads()
        made = _Made(work, session_id, called, acts)
        context = self._context(work, session_id, called.event_id, acts["correlation_id"])
        try:  # not by `with`: see `changed`
            CURRENT.set(changed(caller, {**acts, "lease": context._lease, "lent": False}))
            try:
                if self._before:
                    made.outcome = contextvars.copy_context().run(self._run_prepared, work, context, called.event_id)
                else:
                    made.outcome = self._run(work, context)
                error = None
            except Exception as failure:
                error = made.failure = failure
            except BaseException as failure:
                made.stop()
                self._settle(made, None, failure)
                raise
        finally:
            CURRENT.set(caller)
        made.stop()
        reply = made.outcome.reply if made.outcome is not None else None
        return Performed(reply, error, partial(self._settle, made))

    def _begin_outside(self, work: Work) -> Performed:
        source = f"{work.kind}:{work.name}"
        caller = CURRENT.get()
        try:  # not by `with`: see `changed`
            operation = changed(caller, {"source": source, "realm": self._realm})
            CURRENT.set(operation)
            context = self._context(work, None, None, operation.correlation_id)
            try:
                return Performed(self._run(work, context).reply, None, _reply_of)
            except Exception as error:
                return Performed(None, error, _reply_of)
        finally:
            CURRENT.set(caller)

    def _settle(self, made: _Made, reply: Any, error: BaseException | None) -> Any:
        """Journal the end of a call, with the reply or the error that its caller gets. Returns the reply."""
        work, session_id, called = made.work, made.session_id, made.called
        supervisor = self.core.supervisor
        caller = CURRENT.get()
        try:  # not by `with`: see `changed`
            CURRENT.set(changed(caller, made.acts))
            returned: dict[str, Any] = {"name": work.name, "call": called.sequence, **work.about}
            returned["duration"] = made.seconds
            outcome = made.outcome
            if error is None and (outcome is None or reply is not outcome.reply):
                try:
                    outcome = usable(work, reply)
                except CallFailed as unusable:  # a hook has made the reply unusable
                    self._settle(made, None, unusable)
                    raise
            if error is not None:
                described = self._described(error)
                returned |= {"success": False, "result": None, "error": described}
                if called.collect:
                    self._collect(work, called, session_id, None, error, returned)
                self._record_failure(work, session_id, returned)
                return None
            assert outcome is not None
            # Hooks may change the reply, but tokens and cost stay as the callable reported them.
            facts = work.facts(made.outcome.reply) if made.outcome is not None else {}
            packed = self._shown(outcome.packed)
            returned |= {"success": True, "result": packed, **facts}
            if made.failure is not None:  # a hook has replaced the error by a reply
                returned["recovered_from"] = self._described(made.failure)
            value = outcome.value if packed is outcome.packed else unpack_value(packed)
            collected = self._collect(work, called, session_id, value, None, returned) if called.collect else None
            self._record(work, session_id, returned, work.key, collected, sound=not facts)
            tokens, _ = returned_use(returned)
            if tokens:
                excess = over_operation(session_id, supervisor.table.actor(session_id).limits, tokens)
                if excess is not None:
                    raise excess
        finally:
            CURRENT.set(caller)
        return outcome.reply

    def _shown(self, packed: bytes) -> bytes:
        """Return an encoded value with its secrets removed."""
        redaction = self.core.redaction
        return packed if redaction is None else redaction.packed(packed)

    def _given(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return what an agent gives its model besides the input, with its secrets removed."""
        redaction = self.core.redaction
        if redaction is None:
            return given
        return {
            name: redaction.packed(value) if isinstance(value, bytes) else redaction.value(value)
            for name, value in given.items()
        }

    def _described(self, error: BaseException) -> dict[str, str]:
        described, redaction = _described(error), self.core.redaction
        if redaction is not None:
            described["message"] = redaction.text(described["message"])
        return described

    def _context(
        self, work: Work, session_id: str | None, call_id: str | None, correlation_id: str | None
    ) -> CallContext:
        session = self._session_of(session_id) if session_id is not None else None
        deadline = time.monotonic() + work.timeout
        key = work.key if work.key is not None else work.about.get("stage")
        return CallContext(self, work.name, session, call_id, correlation_id, deadline, key)

    def before(self, fn: Callable[[str], object]) -> Callable[[], None]:
        """Call a function before each callable that works for a session: see `Runtime.before_calls`."""
        entry = partial(fn)  # known by its identity, so that a function may be given twice

        def end() -> None:
            with self._lock:
                self._before = tuple(each for each in self._before if each is not entry)

        with self._lock:
            self._before = (*self._before, entry)
        return end

    def _run_prepared(self, work: Work, context: CallContext, call_id: str) -> Outcome:
        for fn in self._before:
            try:
                fn(call_id)
            except Exception:
                logger.exception("a function that is called before calls has failed")
        return self._run(work, context)

    def _run(self, work: Work, context: CallContext) -> Outcome:
        """Run the callable on an elastic thread and wait for it, or on this one if it is quick."""
        if NESTING.get() >= MAX_NESTING:
            raise ResourceLimitExceeded(
                f"{work.kind} {work.name!r}: calls are nested deeper than {MAX_NESTING}:"
                " they call each other without end",
                resource="call_depth",
                limit=MAX_NESTING,
                value=MAX_NESTING,
            )
        if work.inline:
            if self._closed:
                raise runtime_closed("closed or closing")
            made = attempt(work, context)
            if isinstance(made, Outcome):
                return made
            raise made
        bell = Bell()
        promise: Promise[Outcome | GreenroomError] = Promise(bell)
        pieces = context._pieces = Pieces[str](bell) if work.on_piece is not None else None
        try:
            with self._lock:
                if self._closed:
                    raise runtime_closed("closed or closing")
                self._running[promise] = context
            self._elastic.submit(
                attempt, work, context, spare=self._elastic.spare, share=self._share(context), promise=promise
            )
            if pieces is not None and work.on_piece is not None:
                self._hand_over(pieces, work.on_piece, promise, bell, work.timeout)
            outcome = promise.result(min(work.timeout, threading.TIMEOUT_MAX))
        except TimeoutError:
            context.cancel()
            raise OperationTimeout(
                f"{work.kind} {work.name!r} did not return within {work.timeout:g} s: what it still returns is dropped",
                timeout=work.timeout,
                started=True,
            ) from None
        except BaseException:
            context.cancel()
            raise
        finally:
            if pieces is not None:
                pieces.end()
            self._running.pop(promise, None)
            self._bell.ring()
        if isinstance(outcome, Outcome):
            return outcome
        raise outcome

    @staticmethod
    def _hand_over(
        pieces: Pieces[str], to: Callable[[str], object], promise: Promise[Any], bell: Bell, timeout: float
    ) -> None:
        """Give the pieces of a reply to a function as they come, until the reply is there or the time is over."""
        deadline = time.monotonic() + timeout
        while True:
            left = min(deadline - time.monotonic(), threading.TIMEOUT_MAX)
            if not bell.wait_for(lambda: pieces.there or promise.settled(), max(0.0, left)):
                raise TimeoutError
            ended = promise.settled()
            pieces.hand_over(to)
            if ended:
                return

    def _share(self, context: CallContext) -> Share | None:
        """Return the share of threads that the callables of a session may use."""
        session_id, most = context.session_id, self.core.config.max_session_calls
        if session_id is None:
            return None

        def refusal() -> ResourceLimitExceeded:
            return ResourceLimitExceeded(
                f"session {session_id} has {most} tools and agents at work: wait until some have returned",
                resource="calls",
                limit=most,
                value=most,
            )

        return Share(session_id, most, refusal)

    def _collect(
        self,
        work: Work,
        called: Called,
        session_id: str,
        value: Value,
        error: BaseException | None,
        returned: dict[str, Any],
    ) -> bytes | None:
        """Store the output as an artifact if the collector selects it. Return the artifact's content if that holds all
        of it. Never fails the call."""
        if work.collector is None:
            return None
        output = Output(
            kind=work.kind,
            name=work.name,
            sequence=called.sequence,
            call_id=called.event_id,
            value=value,
            error=returned.get("error") if error is not None else None,
            packed_input=self._shown(work.packed),
            facts={key: returned[key] for key in ("model", "provider", "usage", "cost_microusd") if key in returned},
        )
        try:
            collected = work.collector.artifact(output)
            if collected is None:
                return None
            info = self.core.supervisor.delivery.hooks.ask(session_id, collected.message, self.core.config.ask_timeout)
        except Exception as failure:
            code = failure.code if isinstance(failure, GreenroomError) else type(failure).__name__
            returned["not_collected"] = code
            logger.warning(
                "session %s: the output of %s %r is not collected: %s", session_id, work.kind, work.name, code
            )
            return None
        returned["artifact"] = info.id.sequence
        return collected.content if collected.whole else None

    def _record(
        self,
        work: Work,
        session_id: str,
        returned: dict[str, Any],
        key: str | None = None,
        collected: bytes | None = None,
        *,
        sound: bool = False,
    ) -> None:
        record = RecordReturn(work.kind, returned, work.durability, key, collected, sound=sound)
        wait = self.core.config.ask_timeout
        try:
            try:
                self.core.supervisor.delivery.routing.ask(session_id, record, wait)
            except ResourceLimitExceeded:
                if not record.large:
                    raise
                # The store takes no more content. That the call has returned is journaled all the same.
                returned |= {"result": None, "bytes": len(returned["result"])}
                kept = RecordReturn(work.kind, returned, work.durability)
                self.core.supervisor.delivery.routing.ask(session_id, kept, wait)
        except SessionNotFound:
            raise SessionNotFound(
                f"session {session_id} was deleted while {work.kind} {work.name!r} was at work", session_id=session_id
            ) from None

    def _record_failure(self, work: Work, session_id: str, returned: dict[str, Any]) -> None:
        """Journal a failed call. The caller gets the call's own error, not the error of journaling."""
        try:
            self._record(work, session_id, returned)
        except (SessionNotFound, InvalidSessionState, RuntimeClosed):
            pass  # the session has ended
        except GreenroomError as error:
            logger.warning(
                "session %s: the failure of %s %r is not journaled: %s", session_id, work.kind, work.name, error
            )

    def close(self, timeout: float) -> None:
        """Refuse new calls, cancel the running ones and wait for them at most `timeout` seconds. Callers that still
        wait then get RuntimeClosed."""
        with self._lock:
            self._closed = True
            contexts = list(self._running.values())
        for context in contexts:
            context.cancel()
        self._bell.wait_for(lambda: not self._running, max(0.0, timeout))
        for promise in list(self._running):
            promise.settle(error=runtime_closed("closed or closing"))


def _reply_of(reply: Any, error: BaseException | None) -> Any:
    return reply


@dataclass(slots=True)
class _Made:
    """A call in a session, before or after it is made."""

    work: Work
    session_id: str
    called: Called
    acts: dict[str, Any]
    """The operation under which the end of the call is journaled."""
    outcome: Outcome | None = None
    failure: Exception | None = None
    began: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0

    def stop(self) -> None:
        self.seconds = time.perf_counter() - self.began


def _described(error: BaseException) -> dict[str, str]:
    if isinstance(error, GreenroomError):
        return {"code": error.code, "message": str(error)[:MAX_ERROR_TEXT]}
    return {"code": type(error).__name__, "message": "the call was interrupted"}
