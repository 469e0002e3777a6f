"""Calling tools and agents: on elastic threads, within a time, journaled by the session that they are called in."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.hooks import Performed
from greenroom.actors.hooks.around import settled
from greenroom.actors.messages.calls import Call, CallAgent, Called, CallTool, RecordCall, RecordReturn
from greenroom.actors.scheduling.operation import CURRENT, Lease, changed, in_own_realm
from greenroom.actors.scheduling.thread_identity import watch_threads
from greenroom.actors.scheduling.threads import Elastic, Share
from greenroom.actors.session.state.budgets import over_operation
from greenroom.actors.session.state.usage import returned_use
from greenroom.storage.codec.records import Value, pack_value, unpack_value
from greenroom.storage.common.durability import Durability
from greenroom.storage.common.forking import runtime_closed
from greenroom.storage.common.logs import logger_of
from greenroom.storage.common.times import utc_time
from greenroom.storage.common.waiting import Bell, Flag, Promise
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

from .collectors import Collector, Output
from .values import plain

if TYPE_CHECKING:
    from greenroom.runtime.handles.session import Session
    from greenroom.runtime.runtime import Runtime

__all__ = ["CallContext", "Calls", "Work"]

logger = logger_of("calls")

MAX_RESULT_BYTES: Final = 16 << 20
MAX_NESTING: Final = 32
_INLINE_BYTES: Final = 64 << 10
_MAX_INLINE_BYTES: Final = 1 << 20
_MAX_ERROR_TEXT: Final = 1000


class CallContext:
    """What a tool or an agent is told of its call, in the parameter `context` if it has one.

    session: the session that it is called in, None outside of one; session_id: its id. call_id: the id of the event
    that journaled the call. correlation_id: what this call belongs to. cancelled: a `threading.Event` that is set when
    nobody waits for the result any more; who works for long looks at it. A coroutine is cancelled instead.
    """

    def __init__(
        self,
        runtime: Runtime,
        name: str,
        session: Session | None,
        call_id: str | None,
        correlation_id: str | None,
        deadline: float,
    ) -> None:
        self._runtime = runtime
        self._deadline = deadline
        self._stop: Callable[[], Any] | None = None
        self._lease = Lease()
        self.name = name
        self.session = session
        self.call_id = call_id
        self.correlation_id = correlation_id
        self.cancelled = Flag()

    @property
    def session_id(self) -> str | None:
        return self.session.id if self.session is not None else None

    def now(self) -> datetime:
        """The time, aware UTC."""
        return utc_time(self._runtime._clock.time_ns())

    def remaining(self) -> float:
        """Seconds until the caller is gone; 0 when it is."""
        return max(0.0, self._deadline - time.monotonic())

    def call_tool(self, name: str, input: Value = None, timeout: float | None = None) -> Any:
        """Call another tool, in the same session, within what is left of this call's time. Raises what it raises."""
        message = CallTool(name, input, timeout=timeout)
        return self._runtime.tools.send(message, self.session, max(0.001, self.remaining()))

    def cancel(self) -> None:
        """Tell the callable that nobody waits any more."""
        self.cancelled.set()
        stop = self._stop
        if stop is not None:
            with contextlib.suppress(RuntimeError):  # its event loop has ended meanwhile
                stop()

    def complete(self, awaitable: Any) -> Any:
        """Run an awaitable to its end, or until this call is cancelled."""

        async def main() -> Any:
            task = asyncio.ensure_future(awaitable)
            self._stop = partial(asyncio.get_running_loop().call_soon_threadsafe, task.cancel)
            if self.cancelled.is_set():
                task.cancel()
            return await task

        return asyncio.run(main())


def _nothing(reply: Any) -> dict[str, Any]:
    return {}


def _itself(reply: Any) -> Any:
    return reply


@dataclass(frozen=True, slots=True)
class Work:
    """One call to be made."""

    kind: str
    """"tool" or "agent"."""
    name: str
    packed: bytes
    """The input, encoded."""
    run: Callable[[CallContext], Any]
    """Calls the callable; what it returns may be awaitable."""
    timeout: float
    """Seconds."""
    about: dict[str, str] = field(default_factory=dict)
    """What else the journal says of the call."""
    reply: Callable[[Any], Any] = plain
    """Makes the reply of what was returned. Raises ValidationError for what cannot be one."""
    value: Callable[[Any], Value] = _itself
    """The reply as a JSON value or bytes."""
    facts: Callable[[Any], dict[str, Any]] = _nothing
    """What else the journal says of the reply."""
    collector: Collector | None = None
    durability: Durability | None = None
    """Of the return, and with it of all before it; None for the runtime's."""


class Calls:
    """Makes calls. None of them outlives `close` for those who wait for it."""

    def __init__(self, runtime: Runtime, elastic: Elastic) -> None:
        self._runtime = runtime
        self._elastic = elastic
        self._lock = threading.Lock()
        self._bell = Bell()
        self._running: dict[Promise[Any], CallContext] = {}
        """The calls that somebody waits for. Others have a thread too, until their callables return."""
        self._closed = False

    @property
    def running(self) -> int:
        """Calls that somebody waits for."""
        return len(self._running)

    def at_work(self, session_id: str) -> bool:
        """Whether a tool or an agent is at work for a session."""
        return self._elastic.at_work_for(session_id) > 0

    # -- the way of messages

    def ask(self, session_id: str, message: Call, timeout: float) -> Any:
        """Make the call that a session was asked for, on the asker's thread."""
        runtime = self._runtime
        if isinstance(message, CallAgent):
            return runtime.agents.perform(session_id, message, timeout)
        assert isinstance(message, CallTool)
        return runtime.tools.perform(session_id, message, timeout)

    def tell(self, session_id: str, message: Call, receipt: Any) -> None:
        """Make a call that nobody waits for. Raises ResourceLimitExceeded when no thread is free."""
        self._elastic.submit(self._told, session_id, message, receipt, spare=self._elastic.spare)

    def _told(self, session_id: str, message: Call, receipt: Any) -> None:
        _NESTING.set(0)  # no call holds its thread for this one
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
        return self._runtime._security

    def make(self, work: Work, session_id: str | None) -> Any:
        """Make a call in a session, or, with None, outside of any; its reply.

        Raises CallFailed, OperationTimeout, ResourceLimitExceeded when no thread is free, RuntimeClosed; what the
        callable raises of our own errors; in a session also what journaling raises.
        """
        return settled(self.begin(work, session_id))

    @in_own_realm
    def begin(self, work: Work, session_id: str | None) -> Performed:
        """Make a call up to its end, which is journaled when that is settled: with the reply that hooks have left."""
        if session_id is None:
            return self._begin_outside(work)
        supervisor, wait = self._runtime._supervisor, self._runtime.config.ask_timeout
        data = {"name": work.name, "input": self._shown(work.packed), **work.about}
        called: Called = supervisor.delivery.routing.ask(session_id, RecordCall(work.kind, data), wait)
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
        supervisor = self._runtime._supervisor
        caller = CURRENT.get()
        try:  # not by `with`: see `changed`
            CURRENT.set(changed(caller, made.acts))
            returned: dict[str, Any] = {"name": work.name, "call": called.sequence, **work.about}
            returned["duration"] = made.seconds
            outcome = made.outcome
            if error is None and (outcome is None or reply is not outcome.reply):
                try:
                    outcome = _usable(work, reply)
                except CallFailed as unusable:  # what hooks have made of it
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
            # Tokens and cost are those that the callable has told, whatever hooks make of its reply.
            facts = work.facts(made.outcome.reply) if made.outcome is not None else {}
            packed = self._shown(outcome.packed)
            returned |= {"success": True, "result": packed, **facts}
            if made.failure is not None:  # a hook has answered in its place
                returned["recovered_from"] = self._described(made.failure)
            value = outcome.value if packed is outcome.packed else unpack_value(packed)
            whole = self._collect(work, called, session_id, value, None, returned) if called.collect else False
            if len(packed) > (_INLINE_BYTES if whole else _MAX_INLINE_BYTES):
                # The artifact has it; without one, that much is no event.
                returned |= {"result": None, "bytes": len(packed)}
            self._record(work, session_id, returned)
            tokens, _ = returned_use(returned)
            if tokens:
                excess = over_operation(session_id, supervisor.table.actor(session_id).limits, tokens)
                if excess is not None:
                    raise excess
        finally:
            CURRENT.set(caller)
        return outcome.reply

    def _shown(self, packed: bytes) -> bytes:
        """An encoded value as it may be written down."""
        redaction = self._runtime._redaction
        return packed if redaction is None else redaction.packed(packed)

    def _described(self, error: BaseException) -> dict[str, str]:
        described, redaction = _described(error), self._runtime._redaction
        if redaction is not None:
            described["message"] = redaction.text(described["message"])
        return described

    def _context(
        self, work: Work, session_id: str | None, call_id: str | None, correlation_id: str | None
    ) -> CallContext:
        from greenroom.runtime.handles.session import Session

        session = Session(self._runtime, session_id) if session_id is not None else None
        deadline = time.monotonic() + work.timeout
        return CallContext(self._runtime, work.name, session, call_id, correlation_id, deadline)

    def _run(self, work: Work, context: CallContext) -> _Outcome:
        """Run the callable on an elastic thread and wait for it."""
        if _NESTING.get() >= MAX_NESTING:
            raise ResourceLimitExceeded(
                f"{work.kind} {work.name!r}: calls are nested deeper than {MAX_NESTING}:"
                " they call each other without end",
                resource="call_depth",
                limit=MAX_NESTING,
                value=MAX_NESTING,
            )
        promise: Promise[_Outcome | GreenroomError] = Promise()
        try:
            with self._lock:
                if self._closed:
                    raise runtime_closed("closed or closing")
                self._running[promise] = context
            self._elastic.submit(
                _attempt, work, context, spare=self._elastic.spare, share=self._share(context), promise=promise
            )
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
            self._running.pop(promise, None)
            self._bell.ring()
        if isinstance(outcome, _Outcome):
            return outcome
        raise outcome

    def _share(self, context: CallContext) -> Share | None:
        """The threads that the callables of a session may have."""
        session_id, most = context.session_id, self._runtime.config.max_session_calls
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
    ) -> bool:
        """Store the output as an artifact, if the collector wants it; whether it is there, whole. Never fails the
        call."""
        if work.collector is None:
            return False
        output = Output(
            kind=work.kind,
            name=work.name,
            sequence=called.sequence,
            call_id=called.event_id,
            value=value,
            error=returned.get("error") if error is not None else None,
            input=unpack_value(self._shown(work.packed)),
            facts={key: returned[key] for key in ("model", "provider", "usage", "cost_microusd") if key in returned},
        )
        try:
            collected = work.collector.artifact(output)
            if collected is None:
                return False
            info = self._runtime._supervisor.delivery.hooks.ask(
                session_id, collected.message, self._runtime.config.ask_timeout
            )
        except Exception as failure:
            code = failure.code if isinstance(failure, GreenroomError) else type(failure).__name__
            returned["not_collected"] = code
            logger.warning(
                "session %s: the output of %s %r is not collected: %s", session_id, work.kind, work.name, code
            )
            return False
        returned["artifact"] = info.id.sequence
        return collected.whole

    def _record(self, work: Work, session_id: str, returned: dict[str, Any]) -> None:
        try:
            self._runtime._supervisor.delivery.routing.ask(
                session_id, RecordReturn(work.kind, returned, work.durability), self._runtime.config.ask_timeout
            )
        except SessionNotFound:
            raise SessionNotFound(
                f"session {session_id} was deleted while {work.kind} {work.name!r} was at work", session_id=session_id
            ) from None

    def _record_failure(self, work: Work, session_id: str, returned: dict[str, Any]) -> None:
        """The caller learns why the call has failed, not why that could not be written down."""
        try:
            self._record(work, session_id, returned)
        except (SessionNotFound, InvalidSessionState, RuntimeClosed):
            pass  # whoever ended it knows
        except GreenroomError as error:
            logger.warning(
                "session %s: the failure of %s %r is not journaled: %s", session_id, work.kind, work.name, error
            )

    def close(self, timeout: float) -> None:
        """Take no more calls, cancel those that run, wait for them for at most `timeout` seconds, then free who waits
        for the rest. Those end with RuntimeClosed."""
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
    """A call in a session that has been made, or is about to be."""

    work: Work
    session_id: str
    called: Called
    acts: dict[str, Any]
    """As what its end is journaled."""
    outcome: _Outcome | None = None
    failure: Exception | None = None
    began: float = field(default_factory=time.perf_counter)
    seconds: float = 0.0

    def stop(self) -> None:
        self.seconds = time.perf_counter() - self.began


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What a call has come to: the reply, its value, and that encoded."""

    reply: Any
    value: Value
    packed: bytes


_NESTING: Final[contextvars.ContextVar[int]] = contextvars.ContextVar("greenroom_call_nesting", default=0)
"""The calls that the running code is in. Each has a thread: one that calls itself for ever would take those of all."""


def _attempt(work: Work, context: CallContext) -> _Outcome | GreenroomError:
    """Make a call, and of what it returns, or raises, something usable: that can take as long as the call itself. An
    exit out of a callable is a failure like any other."""
    _NESTING.set(_NESTING.get() + 1)  # of this thread's own copy of the context
    try:
        returned = work.run(context)
        if inspect.isawaitable(returned):
            returned = context.complete(returned)
        return _usable(work, returned)
    except GreenroomError as error:
        return error
    except BaseException as error:
        name, text = type(error).__name__, _text_of(error)
        failed = CallFailed(
            f"{work.kind} {work.name!r} failed: {name}{': ' + text if text else ''}",
            kind=work.kind,
            name=work.name,
            error=name,
        )
        failed.__cause__ = error
        return failed
    finally:
        context._lease.over = True


def _usable(work: Work, returned: Any) -> _Outcome:
    try:
        reply = work.reply(returned)
        value = work.value(reply)
        packed = pack_value(value, "result")
        if len(packed) > MAX_RESULT_BYTES:
            raise ValidationError(
                f"result: {len(packed)} bytes; at most {MAX_RESULT_BYTES} may be: store an artifact and return its id",
                field="result",
            )
    except ValidationError as error:
        raise CallFailed(
            f"{work.kind} {work.name!r} returned what cannot be used: {error}",
            kind=work.kind,
            name=work.name,
            error=error.code,
        ) from error
    return _Outcome(reply, value, packed)


def _text_of(error: BaseException) -> str:
    try:
        return str(error)[:_MAX_ERROR_TEXT]
    except BaseException:  # an error that fails to say what is wrong
        return ""


def _described(error: BaseException) -> dict[str, str]:
    if isinstance(error, GreenroomError):
        return {"code": error.code, "message": str(error)[:_MAX_ERROR_TEXT]}
    return {"code": type(error).__name__, "message": "the call was interrupted"}
