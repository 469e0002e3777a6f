"""One call of a tool or an agent: its work, its context and its outcome."""

from __future__ import annotations

import contextlib
import contextvars
import inspect
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from greenroom.actors.messages.calls import CallAgent, CallTool
from greenroom.actors.messages.core import Condition
from greenroom.actors.scheduling.operation import Lease
from greenroom.storage.codec.plain import plain_result
from greenroom.storage.codec.records import Value, pack_value
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.durability import Durability
from greenroom.storage.common.times import utc_time
from greenroom.storage.concurrency.waiting import Flag, Promise
from greenroom.storage.errors import CallFailed, GreenroomError, ValidationError

from .collectors import Collector
from .pieces import whole

if TYPE_CHECKING:
    from greenroom.runtime.core import RuntimeCore
    from greenroom.runtime.handles.session import Session
    from greenroom.runtime.model.agent import Agent
    from greenroom.runtime.model.pieces import Pieces
    from greenroom.runtime.model.reply import AgentReply

__all__ = ["MAX_ERROR_TEXT", "NESTING", "CallContext", "Outcome", "Work", "attempt", "usable"]

_LATE: Final = {"Agent": "greenroom.runtime.model.agent"}
MAX_RESULT_BYTES: Final = 16 << 20
MAX_ERROR_TEXT: Final = 1000
_GRACE: Final = 5.0

NESTING: Final[contextvars.ContextVar[int]] = contextvars.ContextVar("greenroom_call_nesting", default=0)
"""How many calls the running code is nested in. Each holds a thread, so endless recursion would use up all threads."""


class ToolSource(Protocol):
    """Calls tools."""

    def get(self, name: str) -> Any:
        """Return the tool with this name, or None."""

    def send(self, message: CallTool, session: Session | None, timeout: float | None = None) -> Any:
        """Call a tool, in a session or outside of any."""

    def perform(self, session_id: str | None, message: CallTool, timeout: float) -> Any:
        """Make a call that a session was asked for."""


class AgentSource(Protocol):
    """Calls agents."""

    def message(self, agent: Agent | str, input: object, timeout: float | None) -> CallAgent:
        """Return the message that calls an agent."""

    def send(self, message: CallAgent, session: Session | None, timeout: float | None = None) -> Any:
        """Call an agent, in a session or outside of any."""

    def perform(self, session_id: str | None, message: CallAgent, timeout: float) -> Any:
        """Make a call that a session was asked for."""


class CallHost(Protocol):
    """What callables need of the object that makes calls."""

    core: RuntimeCore
    tools: ToolSource
    agents: AgentSource


class CallContext:
    """Describes a call to the tool or agent, in the parameter `context` if it has one.

    session: the session of the call, None outside of one; session_id: its id. call_id: the id of the event that
    journaled the call. correlation_id: the operation of the call. idempotency_key: the key that the call was sent with,
    or for a workflow's step one that is the same when the run is resumed, to pass on to a service that takes one.
    cancelled: a `threading.Event` that is set when nobody waits for the result any more; long-running
    callables should check it. A coroutine is cancelled instead.
    """

    def __init__(
        self,
        calls: CallHost,
        name: str,
        session: Session | None,
        call_id: str | None,
        correlation_id: str | None,
        deadline: float,
        idempotency_key: str | None = None,
    ) -> None:
        self._calls = calls
        self._deadline = deadline
        self._stop: Callable[[], Any] | None = None
        self._lease = Lease()
        self.name = name
        self.session = session
        self.call_id = call_id
        self.correlation_id = correlation_id
        self.idempotency_key = idempotency_key
        self.cancelled = Flag()
        self._pieces: Pieces[str] | None = None
        """Where the pieces of a reply go, if anybody wants them."""

    @property
    def session_id(self) -> str | None:
        return self.session.id if self.session is not None else None

    def now(self) -> datetime:
        """Return the current time, aware UTC."""
        return utc_time(self._calls.core.clock.time_ns())

    def remaining(self) -> float:
        """Return the seconds until the caller stops waiting; 0 when it has stopped."""
        return max(0.0, self._deadline - time.monotonic())

    def call_tool(self, name: str, input: object = None, timeout: float | None = None) -> Any:
        """Call another tool in the same session, within the time that is left for this call. Raises what that tool
        raises."""
        message = CallTool(name, input, timeout=timeout)
        return self._calls.tools.send(message, self.session, max(0.001, self.remaining()))

    def call_agent(self, agent: Agent | str, input: object, timeout: float | None = None) -> AgentReply:
        """Call an agent in the same session, within the time that is left for this call. Raises what that agent
        raises."""
        message = self._calls.agents.message(agent, input, timeout)
        return self._send(message)

    def _send(self, message: CallAgent) -> AgentReply:
        reply: AgentReply = self._calls.agents.send(message, self.session, max(0.001, self.remaining()))
        return reply

    @checked
    def call_agents(self, agents: Iterable[Agent | str], input: object) -> list[AgentReply]:
        """Call agents at the same time with the same input, as `call_agent` does, and return their replies in order.
        Raises what the first of them raises, once all have ended."""
        elastic = self._calls.core.elastic
        messages = [self._calls.agents.message(each, input, None) for each in agents]
        promises: list[Promise[AgentReply]] = [
            elastic.submit(self._send, message, promise=Promise()) for message in messages
        ]
        replies: list[AgentReply] = []
        failed: Exception | None = None
        for promise in promises:
            try:
                replies.append(promise.result(self.remaining() + _GRACE))
            except Exception as error:
                failed = failed or error
        if failed is not None:
            raise failed
        return replies

    def cancel(self) -> None:
        """Tell the callable that nobody waits any more."""
        self.cancelled.set()
        stop = self._stop
        if stop is not None:
            with contextlib.suppress(RuntimeError):  # its event loop has ended meanwhile
                stop()

    def complete(self, awaitable: Any) -> Any:
        """Run an awaitable to its end, or until this call is cancelled."""
        import asyncio

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


@dataclass(slots=True)
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
    """Further facts of the call to journal."""
    given: dict[str, Any] | None = None
    """Further facts to journal with the beginning of the call only."""
    reply: Callable[[Any], Any] = plain_result
    """Makes the reply from the returned value. Raises ValidationError for unusable values."""
    value: Callable[[Any], Value] = _itself
    """The reply as a JSON value or bytes."""
    facts: Callable[[Any], dict[str, Any]] = _nothing
    """Further facts of the reply to journal."""
    collector: Collector | None = None
    durability: Durability | None = None
    """Durability of the return and of all events before it; None for the runtime's."""
    on_piece: Callable[[str], object] | None = None
    """Gets the text piece by piece, on the caller's thread; False ends the reply with that piece."""
    inline: bool = False
    """Whether it runs on its caller's thread, so that no timeout frees the caller."""
    condition: Condition | None = None
    """What is asked of the session before the call is journaled, and the key under which its result is remembered."""

    @property
    def key(self) -> str | None:
        """The idempotency key of the call."""
        return self.condition.idempotency_key if self.condition is not None else None


class Outcome(NamedTuple):
    """The outcome of a call: the reply, its value and the encoded value."""

    reply: Any
    value: Value
    packed: bytes


def attempt(work: Work, context: CallContext) -> Outcome | GreenroomError:
    """Make a call and return its outcome, or the error to raise. Converting the result can take as long as the call
    itself. A SystemExit of a callable counts as a failure. On its caller's thread, what interrupts the caller is
    raised."""
    depth = NESTING.get()
    NESTING.set(depth + 1)
    try:
        returned = work.run(context)
        if inspect.isawaitable(returned):
            returned = context.complete(returned)
        if work.kind == "agent":
            returned = whole(returned, context._pieces, context.complete)
        return usable(work, returned)
    except GreenroomError as error:
        return error
    except BaseException as error:
        if work.inline and not isinstance(error, Exception | SystemExit):
            raise
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
        NESTING.set(depth)
        context._lease.over = True


def usable(work: Work, returned: Any) -> Outcome:
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
    return Outcome(reply, value, packed)


def _text_of(error: BaseException) -> str:
    try:
        return str(error)[:MAX_ERROR_TEXT]
    except BaseException:  # an error whose text cannot be made
        return ""
