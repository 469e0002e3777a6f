"""The global `Event`: publishes, receives and finds events."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any, Final

from greenroom.runtime import Event, ResourceLimitExceeded, ScriptError, Subscription, ValidationError
from greenroom.runtime.scripts import EventQuery, Flag
from greenroom.scripting.conversions import Text
from greenroom.scripting.export import export
from greenroom.scripting.script_context import ScriptContext
from greenroom.scripting.values import HOW, UNDEFINED, defined, event_row, options, timeline_row

__all__ = ["EventGlobal"]

MAX_SUBSCRIPTIONS: Final = 64
QUEUE_BYTES: Final = 4 << 20
"""Limit of bytes in the queue of one subscription, so that queues cannot bypass the limit on a script's memory."""
_PUBLISH: Final = HOW | {"session_id", "correlation_id", "source", "target", "tags"}
_SUBSCRIBE: Final = frozenset(("session_id", "capacity", "overflow", "origin"))
_QUERY: Final = EventQuery.model_fields


class EventGlobal:
    """Publishes, receives and finds events. Subscriptions are tables with an `id`, and end with the script. Functions
    given to `Event.on` stay in the script: the language's binding calls them with the results of `take`."""

    def __init__(self, principal: ScriptContext) -> None:
        self._principal = principal
        self._subscriptions: dict[int, Subscription] = {}
        self._made = 0
        self._arrived = Flag()
        principal.at_end(self._close)

    def _close(self) -> None:
        with contextlib.suppress(KeyError):
            while True:
                self._subscriptions.popitem()[1].close()

    # -- publishing

    @export("publish", "emit")
    def publish(self, type: Text, data: Any = UNDEFINED, given: Any = UNDEFINED) -> dict[str, Any]:
        """Publish an event in the current session, or the one in the options. Without a session, only notify
        listeners."""
        wanted = options(given, "Event.publish", _PUBLISH)
        session_id = wanted.pop("session_id", None)
        if session_id is None and self._principal.current_id is None:
            session = None
        else:
            session = self._principal.session(UNDEFINED if session_id is None else session_id)
        if data is UNDEFINED or data is None:
            data = {}
        return event_row(self._principal.runtime.events.publish(type, data, session, **wanted))

    # -- listening

    @export("subscribe")
    def subscribe(self, pattern: Text = "**", given: Any = UNDEFINED) -> dict[str, Any]:
        wanted = options(given, "Event.subscribe", _SUBSCRIBE)
        if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise ResourceLimitExceeded(
                f"a script may have {MAX_SUBSCRIPTIONS} subscriptions: unsubscribe from those that it does not need",
                resource="subscriptions",
                limit=MAX_SUBSCRIPTIONS,
                value=len(self._subscriptions),
            )
        if "session_id" in wanted:
            wanted["session"] = self._principal.session(wanted.pop("session_id"))
        subscription = self._principal.runtime.events.subscribe(defined(pattern, "**"), **wanted)
        subscription.on_arrival = self._arrived.set
        subscription.queue_bytes = QUEUE_BYTES
        self._made += 1
        self._subscriptions[self._made] = subscription
        if self._principal.ended:  # the script was abandoned meanwhile
            self._close()
        return {"id": self._made, "pattern": subscription.pattern}

    @export("receive")
    def receive(self, subscription: Any, timeout_ms: Any = UNDEFINED) -> Any:
        """Return the oldest event of a subscription, waiting for one if necessary; nil if none comes in time."""
        taken = self._take([self._number(subscription)], _seconds(timeout_ms))
        return event_row(taken[1]) if taken is not None else UNDEFINED

    @export("take")
    def take(self, subscriptions: Any, timeout_ms: Any) -> Any:
        """Return the oldest event of several subscriptions, with the number of its subscription and the milliseconds
        left."""
        wait = _seconds(timeout_ms)
        began = time.monotonic()
        taken = self._take([self._number(each) for each in subscriptions], wait)
        if taken is None:
            return UNDEFINED
        left = max(0.0, wait - (time.monotonic() - began))
        return {"subscription": taken[0], "event": event_row(taken[1]), "left": left * 1000}

    @export("unsubscribe")
    def unsubscribe(self, subscription: Any) -> bool:
        """Close a subscription and return whether it was open."""
        found = self._subscriptions.pop(self._number(subscription), None)
        if found is not None:
            found.close()
        return found is not None

    @export("failed")
    def failed(self, subscription: Any, event_id: str, code: str, message: str) -> None:
        """Notify hooks that a function given to `Event.on` has failed at an event."""
        found = self._subscriptions.get(self._number(subscription))
        if found is not None:
            self._principal.runtime.events.handler_failed(found.pattern, event_id, ScriptError(f"{code}: {message}"))

    def _take(self, numbers: list[int], timeout: float) -> tuple[int, Event] | None:
        found = [(number, self._subscriptions[number]) for number in numbers if number in self._subscriptions]
        deadline = time.monotonic() + max(0.0, min(timeout, self._principal.remaining()))
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

    @export("query", counted=True)
    def query(self, criteria: Any = UNDEFINED) -> Any:
        wanted = options(criteria, "Event.query", _QUERY)
        return [event_row(each) for each in self._principal.runtime.events.query(**wanted)]

    @export("timeline", counted=True)
    def timeline(self, correlation: Text = UNDEFINED) -> Any:
        """Return the events with a correlation id, or those of the current session, in causal order."""
        if correlation is UNDEFINED or correlation is None:
            rows = self._principal.session().timeline()
        else:
            rows = self._principal.runtime.events.timeline(correlation)
        return [timeline_row(row) for row in rows]


def _seconds(milliseconds: Any) -> float:
    if milliseconds is UNDEFINED or milliseconds is None:
        return 0.0
    if type(milliseconds) not in (int, float) or not milliseconds >= 0:
        raise ValidationError("timeout_ms: a number of milliseconds is needed", field="timeout_ms")
    return float(milliseconds) / 1000
