"""Timeouts: what the passing of time means for one session. Deciding reads no clock: the message carries the time.

`max_duration` counts from the session's creation, its import or its last resumption. When it is over, the session has
the grace period to end by itself, and is failed after that. A session without an event for `idle_timeout` is suspended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from greenroom.actors.messages.core import PendingEvent
from greenroom.actors.messages.internal import KeepTime
from greenroom.storage.common.times import iso_time, utc_time

from .approvals import cancellations

if TYPE_CHECKING:
    from .limits import Limits
    from .model import SessionState

__all__ = ["CARE", "REASON", "due_next", "is_warning", "keep_time", "restarted", "warned"]

REASON: Final = "timeout"
CARE: Final = frozenset({"policy.warning", "policy.violated", "session.saved"})
"""Events that the runtime makes by itself: they are no activity."""
_SECOND: Final = 1_000_000_000
_ACTIVE: Final = 0
_NEVER: Final = (1 << 64) - 1
_MAX_GIVEN: Final = 1000


class Activity(Protocol):
    """The part of a session's journal that deciding a timeout uses."""

    def last_activity(self) -> int:
        """Return the time of the newest event that is not the runtime's own care of the session."""


def keep_time(state: SessionState, command: KeepTime, limits: Limits, lookup: Any) -> list[PendingEvent]:
    """Return the events that are due."""
    if state.status != _ACTIVE:
        return []
    now = command.now
    deadline, given, over = _standing(state, limits)
    if deadline is not None:
        warning = {"policy": REASON, "limit": "max_duration", "seconds": limits.max_duration}
        grace = round(limits.grace_period * _SECOND)
        if now >= deadline and (not grace or (over is not None and now >= over + grace)):
            command.outcome = "session.failed"
            return [
                *cancellations(state),
                PendingEvent("session.failed", {"reason": REASON}),
                PendingEvent("policy.violated", {**warning, "lasted": (now - _since(state)) / _SECOND}),
            ]
    if limits.idle_timeout is not None and not command.busy:
        quiet = now - lookup.last_activity()
        if quiet >= limits.idle_timeout * _SECOND:
            idle = {"policy": REASON, "limit": "idle_timeout", "seconds": limits.idle_timeout}
            command.outcome = "session.suspended"
            return [
                PendingEvent("session.suspended", {"reason": "idle"}),
                PendingEvent("policy.violated", {**idle, "lasted": quiet / _SECOND}),
            ]
    if deadline is not None and now >= deadline and over is None:
        data = {**warning, "left": 0.0, "ends_at": _shown(now + grace), "warned": [deadline, given, now]}
        return [PendingEvent("policy.warning", data)]
    if deadline is not None and now < deadline:
        left = (deadline - now) / _SECOND
        passed = [lead for lead in _leads(limits) if left <= lead and lead not in given]
        if passed:
            data = {
                **warning,
                "left": left,
                "ends_at": _shown(deadline + grace),
                "warned": [deadline, sorted([*given, *passed]), None],
            }
            return [PendingEvent("policy.warning", data)]
    return []


def due_next(state: SessionState, limits: Limits, last_activity: Callable[[], int]) -> int | None:
    """Return when to look at the session again, in ns since the epoch; None while it is not active."""
    if state.status != _ACTIVE:
        return None
    due = [_NEVER]
    deadline, given, over = _standing(state, limits)
    if deadline is not None:
        if over is None:
            due += [deadline - round(lead * _SECOND) for lead in _leads(limits) if lead not in given]
            due.append(deadline)
        else:
            due.append(over + round(limits.grace_period * _SECOND))
    if limits.idle_timeout is not None:
        due.append(last_activity() + round(limits.idle_timeout * _SECOND))
    return min(due)


def _leads(limits: Limits) -> list[float]:
    """Return how long before the end to warn. Warnings that would be due at the beginning are left out."""
    return [lead for lead in limits.warnings if limits.max_duration is not None and lead < limits.max_duration]


def _since(state: SessionState) -> int:
    since: int = state.more.get("timeouts", {}).get("since", 0)
    return max(state.created_at, since)


def _standing(state: SessionState, limits: Limits) -> tuple[int | None, list[float], int | None]:
    """Return the deadline, the warnings given for this deadline, and when the session was found to be over it."""
    if limits.max_duration is None:
        return None, [], None
    deadline = min(_since(state) + round(limits.max_duration * _SECOND), _NEVER)
    warned = state.more.get("timeouts", {}).get("warned")
    if warned is None or warned[0] != deadline:
        return deadline, [], None
    return deadline, warned[1], warned[2]


def _shown(time: int) -> str | None:
    return iso_time(utc_time(min(time, 253_402_300_799 * _SECOND)))  # no datetime is later than the year 9999


# -- folds


def restarted(state: SessionState, data: dict[str, Any], time: int) -> None:
    """Fold an event that starts a session's time anew."""
    state.more["timeouts"] = {"since": time}


def is_warning(data: dict[str, Any]) -> bool:
    """Return whether the data of a `policy.warning` from outside have the form of a warning about time."""
    warned = data.get("warned")
    if type(warned) is not list or len(warned) != 3:
        return False
    deadline, given, over = warned
    return (
        _is_time(deadline)
        and type(given) is list
        and len(given) <= _MAX_GIVEN
        and all(type(each) in (int, float) for each in given)
        and (over is None or _is_time(over))
    )


def _is_time(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _NEVER


def warned(state: SessionState, data: dict[str, Any], time: int) -> None:
    """Fold a `policy.warning` about time."""
    state.more["timeouts"] = {**state.more.get("timeouts", {}), "warned": data["warned"]}
