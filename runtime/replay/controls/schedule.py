"""Replays at set times: once, at intervals, or by a cron expression."""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from greenroom.actors.clock import Clock
from greenroom.actors.scheduling.timers import Timers
from greenroom.runtime.replay.captures import Captures
from greenroom.storage.common.times import SECOND, utc_time
from greenroom.storage.errors import GreenroomError, ResourceLimitExceeded, SessionNotFound

from .replay import Replay
from .rules import Rule
from .runner import Runner

if TYPE_CHECKING:
    from greenroom.runtime.replay.result import ReplayResult

__all__ = ["ReplaySchedule", "ScheduledReplay", "Schedules"]

Starter = Callable[[Callable[[Runner], object]], Replay]
"""Starts a run, and calls what it is given at its end."""
MAX_SCHEDULES: Final = 1000
"""Limit of the host's own schedules, and of those of all sessions together."""
MAX_OWN: Final = 10
"""Limit of the schedules that code acting for one session has made."""
SPACING: Final = 60 * SECOND
"""The least time between two runs of a schedule that code acting for a session has made."""
KEPT: Final = 20
"""The number of runs that a schedule keeps."""
LOOK: Final = 60.0
"""The most seconds between two looks at the clock: its time may be set."""


@dataclass(frozen=True, slots=True)
class ScheduledReplay:
    """A run of a schedule that has ended. Times are aware UTC."""

    due: datetime
    started_at: datetime
    finished_at: datetime
    result: ReplayResult | None = None
    """Without the comparisons of what was equal, and without captured states."""
    error: Exception | None = None
    """Why there is no result: what made it fail or kept it from starting, or that it was stopped."""


class ReplaySchedule:
    """A schedule that `Runtime.replays.schedule` has made. It ends with the runtime, unless it ended before."""

    def __init__(
        self,
        id: str,
        session_id: str,
        rule: Rule,
        start: Starter,
        clock: Clock,
        *,
        until: int | None,
        limit: int | None,
        owner: str | None = None,
    ) -> None:
        """Use `Runtime.replays.schedule` instead. `start` starts a run, and calls what it is given at its end. `owner`
        is the session whose code has made the schedule; None: the host has."""
        self.id = id
        self.session_id = session_id
        self.owner = owner
        self._rule = rule
        self._start = start
        self._clock = clock
        self._until = until
        self._left = limit
        self._lock = threading.Lock()
        self._context = contextvars.copy_context()
        self._runs: deque[ScheduledReplay] = deque(maxlen=KEPT)
        self._current: Replay | None = None
        self._busy = False
        """Whether a run is under way, or about to start."""
        self._skipped = 0
        self._due = self._within(rule.first(clock.time_ns()))

    def __repr__(self) -> str:
        following = self.next_run
        return f"<ReplaySchedule {self.id} {self.rule}, {f'next {following:%F %T} UTC' if following else 'ended'}>"

    @property
    def rule(self) -> str:
        """When it runs: "once at 2026-01-31T12:00:00Z", "every 60 s" or "cron 0 3 * * * (UTC)"."""
        return str(self._rule)

    @property
    def next_run(self) -> datetime | None:
        """When it runs next, aware UTC; None if it has ended."""
        return utc_time(self._due) if self._due is not None else None

    @property
    def active(self) -> bool:
        """Whether there are runs ahead."""
        return self._due is not None

    @property
    def current(self) -> Replay | None:
        """The run that is under way."""
        return self._current

    @property
    def runs(self) -> tuple[ScheduledReplay, ...]:
        """The newest 20 runs that have ended, oldest first."""
        return tuple(self._runs)

    @property
    def skipped(self) -> int:
        """How many runs were skipped, because the one before was still under way."""
        return self._skipped

    def cancel(self) -> None:
        """Run no more. A run that is under way goes on. Idempotent."""
        with self._lock:
            self._due = None

    # -- for `Schedules`

    @property
    def due(self) -> int | None:
        """The time of the next run in ns."""
        return self._due

    def run_if_due(self) -> None:
        """Start the run that is due, if one is. Times that have passed unseen are left out."""
        now = self._clock.time_ns()
        with self._lock:
            due = self._due
            if due is None or due > now:
                return
            skip = self._busy
            self._busy = True
            self._skipped += skip
            if self._left is not None and not skip:
                self._left -= 1
            self._due = self._within(self._rule.after(now + (SPACING if self.owner is not None else 0)))
        if not skip:
            self._run((utc_time(due), utc_time(now)))

    def _within(self, time: int | None) -> int | None:
        """Return a time if the schedule lasts until then."""
        over = self._left == 0 or (self._until is not None and time is not None and time > self._until)
        return None if over else time

    def _run(self, begun: tuple[datetime, datetime]) -> None:
        try:
            replay = self._context.copy().run(self._start, partial(self._ended, begun))
        except GreenroomError as error:
            self._runs.append(ScheduledReplay(*begun, self._now(), error=error))
            self._busy = False
            if isinstance(error, SessionNotFound):
                self.cancel()
            return
        with self._lock:
            if self._busy:
                self._current = replay

    def _ended(self, begun: tuple[datetime, datetime], runner: Runner) -> None:
        self._runs.append(ScheduledReplay(*begun, self._now(), result=_small(runner.result), error=runner.error))
        with self._lock:
            self._current, self._busy = None, False

    def _now(self) -> datetime:
        return utc_time(self._clock.time_ns())


def _small(result: ReplayResult | None) -> ReplayResult | None:
    """Return a result without what takes much memory and can be had again: what was equal, and captured states."""
    if result is None:
        return None
    differing = tuple(each for each in result.comparisons if each.kind != "equal")
    left_out = result.comparisons_left_out + len(result.comparisons) - len(differing)
    return replace(
        result,
        comparisons=differing,
        comparisons_left_out=left_out,
        captured=Captures(result.session_id, 0),
    )


def _too_many(which: str, limit: int) -> ResourceLimitExceeded:
    return ResourceLimitExceeded(
        f"{which} schedules of replays already: cancel some", resource="replay_schedules", limit=limit, value=limit
    )


class Schedules:
    """All schedules of a runtime, driven by its clock. One timer waits for the run that is due first."""

    def __init__(self, clock: Clock, timers: Timers) -> None:
        self._clock = clock
        self._timers = timers
        self._lock = threading.Lock()
        self._schedules: dict[str, ReplaySchedule] = {}
        self._armed: float | None = None
        """When the timer rings, by the monotonic clock. Earlier timers that still ring do nothing."""
        self._closed = False

    def add(
        self,
        session_id: str,
        rule: Rule,
        start: Starter,
        *,
        until: int | None,
        limit: int | None,
        owner: str | None = None,
    ) -> ReplaySchedule:
        """Make a schedule, for the host or for the session whose code asks. Raises ResourceLimitExceeded if there are
        too many."""
        schedule = ReplaySchedule(
            str(uuid4()), session_id, rule, start, self._clock, until=until, limit=limit, owner=owner
        )
        with self._lock:
            self._tidy()
            owners = [each.owner for each in self._schedules.values()]
            if owner is not None and owners.count(owner) >= MAX_OWN:
                raise _too_many(f"this session has {MAX_OWN}", MAX_OWN)
            if sum((each is None) == (owner is None) for each in owners) >= MAX_SCHEDULES:
                raise _too_many(f"there are {MAX_SCHEDULES}", MAX_SCHEDULES)
            self._schedules[schedule.id] = schedule
        self._arm()
        return schedule

    def list(self) -> list[ReplaySchedule]:
        """Return the schedules with runs ahead or under way."""
        with self._lock:
            self._tidy()
            return list(self._schedules.values())

    def _tidy(self) -> None:
        self._schedules = {id: each for id, each in self._schedules.items() if each.active or each.current is not None}

    def tick(self) -> None:
        """Start all runs that are due."""
        for each in self.list():
            if not self._closed:
                each.run_if_due()
        self._arm()

    def _arm(self) -> None:
        with self._lock:
            due = [each.due for each in self._schedules.values() if each.due is not None]
            if self._closed or not due:
                self._armed = None
                return
            wait = min(LOOK, max(0.0, (min(due) - self._clock.time_ns()) / SECOND))
            rings = self._clock.monotonic() + wait
            if self._armed is not None and self._armed <= rings:
                return
            self._armed = rings
        self._timers.once(wait, partial(self._ring, rings))

    def _ring(self, rings: float) -> None:
        if self._armed == rings:
            self._armed = None
            self.tick()

    def close(self) -> None:
        """Start no more runs."""
        self._closed = True
