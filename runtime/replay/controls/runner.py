"""`Runner`: takes the steps of a replay on a thread, as far as its controls let it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from greenroom.actors.clock import Clock
from greenroom.storage.common.checked_call import checked
from greenroom.storage.concurrency.waiting import Bell
from greenroom.storage.errors import IntegrityError, InvalidOperation, ReplayError, ValidationError

from .breakpoints import Breakpoints, Hit, Passed, PlacedBreakpoint
from .progress import ReplayProgress, Reporter
from .track import Route, Track

if TYPE_CHECKING:
    from greenroom.runtime.replay.result import ReplayResult

__all__ = ["Goal", "ReplayPause", "ReplayStatus", "Runner"]

SLOWEST: Final = 0.1
FASTEST: Final = 10.0
_SLICE: Final = 0.002
"""Seconds that a replay computes before it makes way for others. Python runs one thread at a time, and a thread that
computes without end would make each of the others wait for many times this."""
_WAY: Final = 0.00005
"""Seconds for which it makes way, beside a slice for each other replay that runs."""


class ReplayStatus(StrEnum):
    """What a replay does."""

    SCHEDULED = "scheduled"
    """It waits until others have ended."""
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether nothing more will be replayed."""
        return self in (ReplayStatus.FINISHED, ReplayStatus.STOPPED, ReplayStatus.FAILED)


@dataclass(frozen=True, slots=True)
class ReplayPause:
    """Why and where a replay is paused."""

    reason: str
    """"start", "asked" (by `pause`), "step", "position" (by `run_to`), "breakpoint", or "error": the condition of a
    breakpoint raised."""
    sequence: int
    breakpoint: PlacedBreakpoint | None = None
    error: Exception | None = None

    def __str__(self) -> str:
        why = f"{self.reason} {self.breakpoint.breakpoint}" if self.breakpoint is not None else self.reason
        return f"{self.sequence} ({why})"


@dataclass(slots=True)
class Goal:
    """How far a replay runs before it pauses."""

    steps: int | None = None
    sequence: int | None = None
    in_time: bool = False
    """Whether recorded pauses between events are waited for."""


@checked
def as_speed(speed: float | None) -> float | None:
    """Return a speed: from 0.1 to 10, or None. Raises ValidationError."""
    if speed is not None and not SLOWEST <= speed <= FASTEST:
        raise ValidationError(
            f"speed: a number from {SLOWEST:g} to {FASTEST:g} is needed, or None for virtual time", field="speed"
        )
    return speed


class Runner:
    """Takes the steps of one replay. One thread is in `run` until the end, paused or not; all others only ask."""

    def __init__(
        self,
        route: Route,
        breakpoints: Breakpoints,
        clock: Clock,
        *,
        check_open: Callable[[], object],
        others: Callable[[], int] = lambda: 0,
        ended: Callable[[], object],
        reporter: Reporter | None,
        speed: float | None,
        paused: bool,
    ) -> None:
        """`check_open` raises RuntimeClosed, and `others` returns how many other replays run. `ended` is called at the
        end, before anybody who waits is told."""
        self.check_open = check_open
        self.route = route
        self.track = Track(route)
        self.status = ReplayStatus.SCHEDULED
        self.pause: ReplayPause | None = None
        self.result: ReplayResult | None = None
        self.error: Exception | None = None
        self._breakpoints = breakpoints
        self._clock = clock
        self._ended = ended
        self._others = others
        self._reporter = reporter
        self._speed = as_speed(speed)
        self._begins_paused = paused
        self._lock = threading.Lock()
        self._bell = Bell()
        self._goal = Goal(in_time=True)
        self._wanted = False
        """Whether the thread must look before its next step: somebody wants it to pause or to end."""
        self._end_with: Exception | None = None
        self._settled = False
        self._went = 0.0
        """Seconds that it ran, up to its last pause."""
        self._since: float | None = None
        self._present = 0.0
        """When the event at the position was due, by the clock: the next one is due after it."""
        self._told = -1
        self._thread: int | None = None

    @property
    def moving(self) -> bool:
        """Whether it runs, or will by itself."""
        return self.status in (ReplayStatus.SCHEDULED, ReplayStatus.RUNNING)

    @property
    def speed(self) -> float | None:
        return self._speed

    @speed.setter
    def speed(self, speed: float | None) -> None:
        speed = as_speed(speed)
        if self._speed is None:
            self._present = self._clock.monotonic()
        self._speed = speed
        self._bell.ring()

    @property
    def progress(self) -> ReplayProgress:
        route, position = self.route, self.track.position
        length = route.last - route.begin
        done = position - route.begin
        left: float | None = None
        if done == length:
            return ReplayProgress(100.0, position, route.last, 0.0)
        if self._speed is not None and self._goal.in_time:
            now, end = self.track.time, route.time(route.last)
            left = max(0, end - now) / 1e9 / self._speed if now is not None and end is not None else None
        elif done > 0:
            left = self._running_time() / done * (length - done)
        return ReplayProgress(100.0 * done / length, position, route.last, left)

    def _running_time(self) -> float:
        since = self._since
        return self._went + (self._clock.monotonic() - since if since is not None else 0.0)

    # -- for the controls

    def ask_to_pause(self) -> None:
        """Have it pause after its present step, or begin paused. Raises InvalidOperation if it has ended."""
        with self._lock:
            self._require_more("to pause")
            self._begins_paused = True
            self._wanted = self.status is ReplayStatus.RUNNING
        self._bell.ring()

    def resume(self) -> None:
        """Let it run on. Raises InvalidOperation if it has ended."""
        with self._lock:
            self._require_more("to resume")
            if self.status is ReplayStatus.PAUSED:
                self._go(Goal(in_time=True))
            self._begins_paused = self._wanted = False
        self._bell.ring()

    def go(self, goal: Goal, purpose: str) -> None:
        """Let it run up to a goal. Raises InvalidOperation unless it is paused."""
        with self._lock:
            self._require_paused(purpose)
            self._require_more(purpose)
            self._go(goal)
        self._bell.ring()

    def move(self, change: Callable[[Track], object], reason: str, purpose: str) -> None:
        """Move the position within what was replayed. Raises InvalidOperation while it runs."""
        with self._lock:
            self._require_paused(purpose)
            change(self.track)
            self._breakpoints.forget()
            if self.status is ReplayStatus.PAUSED:
                self.pause = ReplayPause(reason, self.track.position)

    def _require_more(self, purpose: str) -> None:
        self.check_open()
        if self.status.ended:
            raise InvalidOperation(f"the replay has {_HAS[self.status]}: start another one {purpose}")

    def _require_paused(self, purpose: str) -> None:
        if self.moving:
            raise InvalidOperation(f"the replay is {self.status}: pause it {purpose}")

    def _go(self, goal: Goal) -> None:
        self._goal, self.pause = goal, None
        self._since = self._present = self._clock.monotonic()
        self.status = ReplayStatus.RUNNING

    def wait_for(self, there: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until something is so; return whether it is. A condition of a breakpoint, which the replay itself waits
        for, does not wait."""
        return threading.get_ident() == self._thread or self._bell.wait_for(there, timeout)

    def wait_for_rest(self, timeout: float) -> bool:
        """Wait until it neither runs nor is about to pause; return whether it is so."""
        return self.wait_for(lambda: not self.moving, timeout)

    def wait_for_pause(self, timeout: float) -> bool:
        """Wait until it is paused as it was asked to, or told otherwise; return whether it is so."""
        return self.wait_for(lambda: self.status is not ReplayStatus.RUNNING or not self._wanted, timeout)

    # -- for those that start and end it

    def begin(self) -> None:
        """Let it run, or pause at the start: its turn has come."""
        with self._lock:
            if self.status is not ReplayStatus.SCHEDULED:
                return
            if self._begins_paused:
                self.status, self.pause = ReplayStatus.PAUSED, ReplayPause("start", self.track.position)
            else:
                self._go(self._goal)
        self._bell.ring()

    def end(self, reason: Exception) -> None:
        """Have it end soon, for this reason. Ends at once if it has not begun."""
        with self._lock:
            if self.status.ended:
                return
            self._end_with = reason
            self._wanted = True
            waiting = self.status is ReplayStatus.SCHEDULED
        if waiting:
            self._settle(ReplayStatus.STOPPED, error=reason)
        self._bell.ring()

    def abandon(self, reason: Exception) -> None:
        """Tell all who wait that it has ended, whatever its thread does."""
        self._end_with = reason
        self._settle(ReplayStatus.STOPPED, error=reason)

    # -- on its thread

    def run(self) -> None:
        """Replay until the end. The thread waits here while it is paused."""
        self._thread = threading.get_ident()
        self.begin()
        begun = time.perf_counter()
        try:
            while self._may_go():
                if self._speed is not None and self._goal.in_time and not self._waited():
                    continue
                before = self.track.time
                passed = self.track.forward()
                if passed is None:
                    self._end()
                    return
                self._arrive(passed, before)
                if time.perf_counter() - begun > _SLICE:
                    time.sleep(_WAY + _SLICE * self._others())
                    begun = time.perf_counter()
            self.track.close()
            # What has been found so far is told to those who stopped it, if there is anything.
            begun = isinstance(self._end_with, ReplayError) and self.track.begun
            result = self.route.result() if begun else None
            self._settle(ReplayStatus.STOPPED, result=result, error=self._end_with)
        except BaseException as error:
            self._settle(ReplayStatus.FAILED, error=error)
            if not isinstance(error, Exception):
                raise
        finally:
            self._thread = None
            self.track.close()

    def _end(self) -> None:
        """End where the engine has ended: at the end, or before, for a reason that its result tells."""
        result = self.route.result()
        error: Exception | None = None
        if result.stopped is not None:
            kind = IntegrityError if result.stopped == "damage" else ReplayError
            error = kind(f"the replay ended at event {result.stopped_at}: {result.reason}", sequence=result.stopped_at)
        self._settle(_AT_THE_END[result.stopped], result=result, error=error)

    def _may_go(self) -> bool:
        """Return whether to take the next step; False if the replay is to end. Waits while it is paused."""
        while self._wanted or self.status is not ReplayStatus.RUNNING:
            with self._lock:
                if self._end_with is not None:
                    return False
                if self.status is ReplayStatus.RUNNING:
                    self._rest(ReplayPause("asked", self.track.position))
            self._bell.wait_for(lambda: self.status is not ReplayStatus.PAUSED or self._end_with is not None, None)
        return True

    def _waited(self) -> bool:
        """Wait for the recorded pause before the next event; return False if somebody wants something before."""
        now, then = self.track.time, self.track.next_time
        if now is None or then is None:
            return True
        while (speed := self._speed) is not None:
            due = self._present + (then - now) / 1e9 / speed
            left = due - self._clock.monotonic()
            if left <= 0:
                self._present = due
                break
            self._bell.wait_for(lambda due=due, speed=speed: self._is_over(due, speed), left)  # type: ignore[misc]
            if self._wanted:
                return False
        return True

    def _is_over(self, due: float, speed: float) -> bool:
        return self._wanted or self._speed != speed or self._clock.monotonic() >= due

    def _arrive(self, passed: Passed, before: int | None) -> None:
        hit = self._breakpoints.hit(passed, before)
        goal = self._goal
        if goal.steps is not None:
            goal.steps -= 1
        pause: ReplayPause | None = None
        if hit is not None:
            pause = _pause_at(hit, passed.sequence)
        elif goal.steps == 0:
            pause = ReplayPause("step", passed.sequence)
        elif goal.sequence is not None and passed.sequence >= goal.sequence:
            pause = ReplayPause("position", passed.sequence)
        if pause is not None:
            with self._lock:
                self._rest(pause)
        elif self._reporter is not None:
            self._tell_sometimes(self._reporter)

    def _rest(self, pause: ReplayPause) -> None:
        """Pause. The lock is held."""
        if self._settled:
            return
        self._went, self._since = self._running_time(), None
        self._wanted = self._end_with is not None
        self.pause, self.status = pause, ReplayStatus.PAUSED
        self._bell.ring()
        if self._reporter is not None:
            self._reporter.tell(self.progress)

    def _tell_sometimes(self, reporter: Reporter) -> None:
        """Tell the progress once for each percent."""
        route = self.route
        percent = 100 * (self.track.position - route.begin) // max(1, route.last - route.begin)
        if percent != self._told:
            self._told = percent
            reporter.tell(self.progress)

    def _settle(
        self, status: ReplayStatus, result: ReplayResult | None = None, error: BaseException | None = None
    ) -> None:
        """End, unless it has ended."""
        with self._lock:
            if self._settled:
                return
            self._settled = True
        if error is None or isinstance(error, Exception):
            self.error = error
        else:
            self.error = ReplayError(f"the replay was interrupted by {type(error).__name__}: start it again")
        self.result = result
        self._went, self._since = self._running_time(), None
        try:
            if self._reporter is not None:
                self._reporter.tell(replace(self.progress, time_left=0.0))
                self._reporter.finish()
        finally:
            self._ended()
            self.pause, self.status = None, status
            self._bell.ring()


def _pause_at(hit: Hit, sequence: int) -> ReplayPause:
    return ReplayPause("breakpoint" if hit.error is None else "error", sequence, hit.breakpoint, hit.error)


_AT_THE_END: Final = {
    None: ReplayStatus.FINISHED,
    "timeout": ReplayStatus.STOPPED,
    "stopped": ReplayStatus.STOPPED,
    "error": ReplayStatus.FAILED,
    "damage": ReplayStatus.FAILED,
}
_HAS: Final = {
    ReplayStatus.FINISHED: "finished",
    ReplayStatus.STOPPED: "been stopped",
    ReplayStatus.FAILED: "failed",
}
