"""The global `Event`: publishes, receives and finds events."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from greenroom.runtime import (
    Event,
    GreenroomError,
    InvalidOperation,
    ResourceLimitExceeded,
    ScriptError,
    Subscription,
    ValidationError,
)
from greenroom.runtime.scripts import CURRENT as OPERATION
from greenroom.runtime.scripts import Breaker, EventQuery, Flag
from greenroom.scripting.definition.callback import Callback
from greenroom.scripting.definition.examples import Function as Fn
from greenroom.scripting.definition.examples import Variable, Word, call, example
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.options import Options
from greenroom.scripting.definition.shapes import COUNT, FLAG, Maybe, Page
from greenroom.scripting.definition.types import (
    ANYTHING,
    NUMBER,
    TEXT,
    TEXTS,
    WHOLE,
    Function,
    Json,
    Number,
    Text,
    as_text,
)
from greenroom.scripting.definition.values import UNDEFINED
from greenroom.scripting.globals.choices import HOW
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.objects import EVENT, SUBSCRIPTION
from greenroom.scripting.globals.rows import event_row, timeline_row
from greenroom.scripting.globals.samples import CURRENT
from greenroom.scripting.globals.samples import SESSION as A_SESSION

__all__ = ["EventGlobal"]

MAX_SUBSCRIPTIONS: Final = 64
QUEUES_BYTES: Final = 16 << 20
"""Limit of bytes in the queues of all subscriptions of a script: each takes a quarter of what is left. So queues cannot
bypass the limit on the script's memory."""
LEAST_QUEUE_BYTES: Final = 64 << 10
RECEIVE_MS: Final = 5000
"""How long `receive` waits unless it is told, in milliseconds."""
MOST_AT_END: Final = 10_000
"""Limit of events for which functions are called at the end of a script."""
_PUBLISH: Final = HOW | Options(
    {"session_id": ANYTHING, "correlation_id": TEXT, "source": TEXT, "target": TEXT, "tags": TEXTS}
    | {"language": TEXT, "ttl_seconds": NUMBER}
)
_SUBSCRIBE: Final = Options({"session_id": ANYTHING, "capacity": WHOLE, "overflow": TEXT, "origin": TEXT})
_QUERY: Final = Options.of(EventQuery, session_id=ANYTHING)
_SUBSCRIPTION: Final = Variable("steps", call("Event.subscribe", "custom.*"))
_PUBLISHED: Final = call("Event.publish", "custom.step", {"n": 1}, {"session_id": A_SESSION})


class _Handler(NamedTuple):
    """A function of the script for the events of a subscription. In a script that stays, the breaker keeps it from
    being called for a while when it fails again and again."""

    function: Callback
    pattern: str
    breaker: Breaker | None


class EventGlobal:
    """Publishes, receives and finds events. Subscriptions end with the script.

    Functions given to `Event.on` run on the script's thread: at the end of `publish`, while the script is in `receive`
    or `dispatch`, and at its end. None runs while another one does.
    """

    NAME = "Event"

    def __init__(self, context: ScriptContext) -> None:
        self._context = context
        self._subscriptions: dict[int, Subscription] = {}
        self._patterns: dict[int, str] = {}
        """The patterns as the script has given them."""
        self._published = self._received = self._handled = self._failed = 0
        self._handlers: dict[int, _Handler] = {}
        self._at_work = False
        self._made = 0
        self._arrived = Flag()
        self._residence = context.residence
        context.handle_event = self._handle_one
        context.at_finish(self._finish)
        context.at_end(self._close)

    def _close(self) -> None:
        with contextlib.suppress(KeyError):
            while True:
                self._subscriptions.popitem()[1].close()

    # -- publishing

    @export(
        "publish",
        "emit",
        returns=EVENT,
        options={"options": _PUBLISH},
        example=example("custom.step", {"n": 1}, {"session_id": A_SESSION, "tags": ["step"]}),
    )
    def publish(self, type: Text, data: Json = UNDEFINED, options: Any = UNDEFINED) -> dict[str, Any]:
        """Publish an event in the current session, or the one in the options. Without a session, only notify
        listeners."""
        session_id = options.pop("session_id", None)
        if session_id is None and self._context.current_id is None:
            session = None
        else:
            session = self._context.session(UNDEFINED if session_id is None else session_id)
        if data is UNDEFINED or data is None:
            data = {}
        row = event_row(self._context.runtime.events.publish(type, data, session, **options))
        self._published += 1
        if self._residence is None:
            self._dispatch(0.0)
        return row

    # -- listening

    @export(
        "subscribe",
        returns=SUBSCRIPTION,
        options={"options": _SUBSCRIBE},
        example=example("custom.*", {"capacity": 100}),
    )
    def subscribe(self, pattern: Text = "**", options: Any = UNDEFINED) -> dict[str, Any]:
        """Subscribe to the events whose type matches a pattern, and return the subscription."""
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise ResourceLimitExceeded(
                f"a script may have {MAX_SUBSCRIPTIONS} subscriptions: unsubscribe from those that it does not need",
                resource="subscriptions",
                limit=MAX_SUBSCRIPTIONS,
                value=len(self._subscriptions),
            )
        if "session_id" in options:
            options["session"] = self._context.session(options.pop("session_id"))
        subscription = self._context.runtime.events.subscribe(_in_full(pattern), **options)
        subscription.on_arrival = self._arrived.set if self._residence is None else self._has_arrived
        taken = sum(each.queue_bytes for each in self._subscriptions.values())
        subscription.queue_bytes = max(LEAST_QUEUE_BYTES, (QUEUES_BYTES - taken) // 4)
        self._made += 1
        self._subscriptions[self._made] = subscription
        self._patterns[self._made] = as_text(pattern)
        if self._context.ended:  # the script was abandoned meanwhile
            self._close()
        return {"id": self._made, "pattern": self._patterns[self._made]}

    @export("list_subscriptions", returns=Page(SUBSCRIPTION), example=example(before=[_SUBSCRIPTION]))
    def list_subscriptions(self) -> Any:
        """Return this script's open subscriptions, oldest first."""
        return [
            {
                "id": number,
                "pattern": self._patterns[number],
                "language": self._language(),
                "pending": each.pending,
                "dropped": each.dropped,
                "expired": each.expired,
                "overflow": each.overflow.value,
                "has_function": number in self._handlers,
            }
            for number, each in sorted(self._subscriptions.items())
        ]

    @export("get_stats", "stats", example=example(before=[_SUBSCRIPTION]))
    def get_stats(self) -> Any:
        """Return figures of this script's events: how many it has published and received, how often its functions were
        called and have failed, and what waits in its subscriptions. A script of the host finds those of all
        subscriptions under `event_bus_stats`."""
        found = [*self._subscriptions.values()]
        own = {
            "subscriptions": len(found),
            "published": self._published,
            "received": self._received,
            "handled": self._handled,
            "failed": self._failed,
            "pending": sum(each.pending for each in found),
            "dropped": sum(each.dropped for each in found),
            "expired": sum(each.expired for each in found),
        }
        operation = OPERATION.get()
        bound = operation is not None and operation.principal is not None
        return {
            **own,
            "event_bus_stats": own if bound else self._context.runtime.events.stats(),
            "bridge_stats": own,
        }

    @staticmethod
    def _language() -> str | None:
        operation = OPERATION.get()
        return operation.language if operation is not None else None

    @export("receive", returns=Maybe(EVENT), example=example(_SUBSCRIPTION, 100, before=[_SUBSCRIPTION, _PUBLISHED]))
    def receive(self, subscription: Json, timeout_ms: Number = RECEIVE_MS) -> Any:
        """Return the oldest event of a subscription, waiting for one if necessary; nil if none comes in time."""
        wanted = self._number(subscription)
        if wanted in self._handlers:
            raise InvalidOperation("the events of this subscription go to its function")
        wait = _seconds(RECEIVE_MS if timeout_ms is None else timeout_ms)
        deadline = time.monotonic() + wait
        others = [] if self._at_work else [*self._handlers]
        taken = self._take([wanted, *others], wait)
        while taken is not None and taken[0] != wanted:
            self._handle(*taken)
            taken = self._take([wanted, *others], max(0.0, deadline - time.monotonic()))
        if taken is None:
            return UNDEFINED
        self._received += 1
        return event_row(taken[1])

    @export(
        "on",
        returns=SUBSCRIPTION,
        callbacks=True,
        example=example("custom.*", Fn(("event",), body=(call("print", Word("event.type")),))),
    )
    def on(self, pattern: Text, fn: Function) -> dict[str, Any]:
        """Call a function for each event whose type matches a pattern, and return the subscription."""
        row = self.subscribe(pattern, {})
        self._handlers[row["id"]] = _Handler(
            fn, row["pattern"], self._residence.breaker() if self._residence is not None else None
        )
        return row

    @export("dispatch", returns=COUNT, example=example(10))
    def dispatch(self, timeout_ms: Number = UNDEFINED) -> int:
        """Call the functions for waiting events, and for those that come within the time; return how often."""
        return self._dispatch(_seconds(timeout_ms))

    @export("unsubscribe", returns=FLAG, example=example(_SUBSCRIPTION))
    def unsubscribe(self, subscription: Json) -> bool:
        """Close a subscription and return whether it was open."""
        number = self._number(subscription)
        self._handlers.pop(number, None)
        self._patterns.pop(number, None)
        found = self._subscriptions.pop(number, None)
        if found is not None:
            found.close()
        return found is not None

    def _has_arrived(self) -> None:
        self._arrived.set()
        if self._residence is not None and self._handlers:
            self._residence.arrived()

    def _handle_one(self) -> bool:
        """Call the function for one waiting event, if there is one, of a script that stays."""
        taken = self._take([*self._handlers], 0.0) if self._handlers else None
        if taken is not None:
            self._handle(*taken)
        return taken is not None

    def _finish(self) -> None:
        if self._residence is not None:
            self._residence.arrived()
            return
        # What the functions themselves cause would never end.
        self._dispatch(0.0, MOST_AT_END)

    def _dispatch(self, timeout: float, most: int | None = None) -> int:
        count = 0
        if self._at_work:
            return count
        deadline = time.monotonic() + timeout
        while self._handlers and (most is None or count < most):
            taken = self._take([*self._handlers], max(0.0, deadline - time.monotonic()))
            if taken is None:
                break
            self._handle(*taken)
            count += 1
        return count

    def _handle(self, number: int, event: Event) -> None:
        handler = self._handlers.get(number)
        if handler is None or (handler.breaker is not None and not handler.breaker.admits()):
            return
        self._at_work = True
        self._handled += 1
        try:
            handler.function(event_row(event))
            if handler.breaker is not None:
                handler.breaker.good()
        except GreenroomError as error:
            self._failed += 1
            if handler.breaker is not None:
                handler.breaker.bad()
            self._context.write(f"the function for events {handler.pattern} failed: {_reason(error)}\n")
            if number in self._subscriptions:
                self._context.runtime.events.handler_failed(handler.pattern, event.id, ScriptError(str(error)))
        finally:
            self._at_work = False

    def _take(self, numbers: list[int], timeout: float) -> tuple[int, Event] | None:
        found = [(number, self._subscriptions[number]) for number in numbers if number in self._subscriptions]
        deadline = time.monotonic() + max(0.0, min(timeout, self._context.remaining()))
        while True:
            self._arrived.clear()
            waiting = [(each.oldest, number, each) for number, each in found if each.pending]
            if waiting:
                _, number, chosen = min(waiting, key=lambda entry: entry[:2])
                event = chosen.receive(0)
                if event is not None:
                    return number, event
                continue
            if not self._arrived.wait(max(0.0, deadline - time.monotonic())):
                return None

    @staticmethod
    def _number(subscription: Any) -> int:
        if isinstance(subscription, Mapping):
            subscription = subscription.get("id")
        if type(subscription) is not int:
            raise ValidationError("subscription: what Event.subscribe has returned is needed", field="subscription")
        return subscription

    # -- finding

    @export(
        "query",
        returns=Page(EVENT),
        counted=True,
        options={"filter": _QUERY},
        example=example({"session_id": A_SESSION, "type": "custom.*"}, before=[_PUBLISHED]),
    )
    def query(self, filter: Any = UNDEFINED) -> Any:
        """Return the events of journals that match."""
        if "type" in filter:
            filter["type"] = _in_full(filter["type"])
        return [event_row(each) for each in self._context.runtime.events.query(**filter)]

    @export("timeline", returns=Page(EVENT), counted=True, example=example(before=[CURRENT]))
    def timeline(self, correlation: Text = UNDEFINED) -> Any:
        """Return the events with a correlation id, or those of the current session, in causal order."""
        if correlation is UNDEFINED or correlation is None:
            rows = self._context.session().timeline()
        else:
            rows = self._context.runtime.events.timeline(correlation)
        return [timeline_row(row) for row in rows]


def _in_full(pattern: Any) -> Any:
    """Return a script's pattern as the runtime knows it: for scripts, a `*` at the end stands for one segment or more,
    so that "*" hears everything and "session.*" hears "session.artifact.stored"."""
    if isinstance(pattern, str) and pattern.endswith("*") and not pattern.endswith("**"):
        return f"{pattern}.**"
    return pattern


def _seconds(milliseconds: Any) -> float:
    if milliseconds is UNDEFINED or milliseconds is None:
        return 0.0
    if type(milliseconds) not in (int, float) or not milliseconds >= 0:
        raise ValidationError("timeout_ms: a number of milliseconds is needed", field="timeout_ms")
    return float(milliseconds) / 1000


def _reason(error: GreenroomError) -> str:
    """Return what a function of the script said when it failed, without its code."""
    text, code = str(error), error.fields.get("cause")
    return text.removeprefix(f"{code}: ") if code else text
