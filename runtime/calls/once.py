"""Make calls with an idempotency key once: the session remembers the result, and this process what is under way."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.messages.calls import Call, CallAgent, RecallCall
from greenroom.runtime.model.reply import AgentReply
from greenroom.storage.concurrency.waiting import Promise
from greenroom.storage.errors import InvalidOperation, OperationTimeout

if TYPE_CHECKING:
    from greenroom.runtime.core import RuntimeCore

__all__ = ["CallsOnce"]

_UNDER_WAY: Final[contextvars.ContextVar[tuple[tuple[str, str], ...]]] = contextvars.ContextVar(
    "greenroom_calls_once", default=()
)
"""The sessions and keys of the calls that the running code is in. Such a call cannot wait for itself."""


class CallsOnce:
    """Makes calls that have an idempotency key.

    A call that has returned is answered from the session's journal. While it is under way, further ones wait for it.
    One that has failed, timed out or was cut off by a crash is made again when it is sent again.
    """

    def __init__(self, core: RuntimeCore, perform: Callable[[str, Call, float], Any]) -> None:
        """`perform` makes a call in a session within so many seconds."""
        self._core = core
        self._perform = perform
        self._lock = threading.Lock()
        self._calls: dict[tuple[str, str], Promise[None]] = {}

    def ask(self, session_id: str, message: Call, key: str, timeout: float) -> Any:
        """Return what the call returned before, or make it. Raises OperationTimeout if it is still under way after
        `timeout` seconds, ValidationError if the key came with another command before."""
        place = session_id, key
        around = _UNDER_WAY.get()
        if place in around:
            raise InvalidOperation(
                f"{message.name!r} is called within the call that has the same idempotency key: use another key"
            )
        deadline = time.monotonic() + min(timeout, message.timeout or timeout)
        ours: Promise[None] = Promise()
        token = _UNDER_WAY.set((*around, place))
        try:
            while (theirs := self._begun(place, ours)) is not ours:
                try:
                    theirs.result(min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX))
                except TimeoutError:
                    raise OperationTimeout(
                        f"{message.name!r} was called with this idempotency key before and is still at work:"
                        " send it again later for its result",
                        timeout=timeout,
                        started=False,
                    ) from None
            query, wait = RecallCall(message), self._core.config.ask_timeout
            earlier = self._core.supervisor.delivery.home.ask(session_id, query, wait)
            if earlier is not None:
                value = earlier[0]
                return AgentReply.of(value, "", "") if isinstance(message, CallAgent) else value
            return self._perform(session_id, message, max(0.0, deadline - time.monotonic()))
        finally:
            _UNDER_WAY.reset(token)
            with self._lock:
                if self._calls.get(place) is ours:
                    del self._calls[place]
            ours.settle()

    def _begun(self, place: tuple[str, str], ours: Promise[None]) -> Promise[None]:
        """Return the promise of the call that is under way; `ours` if there was none."""
        with self._lock:
            return self._calls.setdefault(place, ours)
