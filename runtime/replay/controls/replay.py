"""`Replay`: what a host controls a running replay with."""

from __future__ import annotations

from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from greenroom.storage.common.arguments import as_number, as_seconds
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.times import utc_time
from greenroom.storage.errors import InvalidOperation, OperationTimeout, ReplayError

from .breakpoints import Breakpoints
from .progress import ReplayProgress
from .runner import Goal, ReplayPause, ReplayStatus, Runner

if TYPE_CHECKING:
    from greenroom.runtime.handles.reading.past import PastState
    from greenroom.runtime.replay.result import ReplayResult

__all__ = ["Replay"]


class Replay:
    """A replay that `Runtime.replays.start` has begun. Any thread may control it.

    It works on a thread of its own and only reads: the session can be used, written and deleted meanwhile. As a context
    manager, it is stopped at the end.

    Example:
        ```py
        with rt.replays.start(session, breakpoints=[{"event": "tool.*"}]) as replay:
            replay.wait_paused(timeout=10)
            print(replay.position, replay.state.variables)
            replay.step_back()
            replay.resume()
            replay.wait(timeout=60).identical
        ```
    """

    breakpoints: Breakpoints
    """Where the replay pauses by itself: `add`, `remove`, or iterate."""

    def __init__(self, id: str, runner: Runner, breakpoints: Breakpoints, patience: float) -> None:
        """Use `Runtime.replays.start` instead. `patience` is how long calls wait for a step."""
        self.id = id
        self.session_id = runner.route.session_id
        self.breakpoints = breakpoints
        self._runner = runner
        self._patience = patience

    def __repr__(self) -> str:
        pause = self.pause_reason
        where = str(pause) if pause is not None else str(self.position)
        return f"<Replay {self.id} of {self.session_id} {self.status} at {where} of {self.last}>"

    # -- what it does

    @property
    def status(self) -> ReplayStatus:
        """scheduled, running, paused, finished, stopped or failed."""
        return self._runner.status

    @property
    def pause_reason(self) -> ReplayPause | None:
        """Why and where it is paused; None if it is not."""
        return self._runner.pause

    @property
    def position(self) -> int:
        """The sequence of the last event that was replayed, or that was moved back to."""
        return self._runner.track.position

    @property
    def last(self) -> int:
        """The sequence that the replay ends with."""
        return self._runner.route.last

    @property
    def time(self) -> datetime | None:
        """The recorded time of the event at the position, aware UTC; None before the first."""
        time = self._runner.track.time
        return utc_time(time) if time is not None else None

    @property
    def state(self) -> PastState:
        """The state at the position.

        Raises ReplayError before the first event, and for a moment of a changed replay that is not kept; IntegrityError
        at damage; AccessDenied.
        """
        return self._runner.route.state(self.position)

    @property
    def progress(self) -> ReplayProgress:
        """How far it is."""
        return self._runner.progress

    @property
    def speed(self) -> float | None:
        """0.1 to 10: recorded pauses between events are waited for, divided by this. None: virtual time, nothing is
        waited for. Can be set at any time."""
        return self._runner.speed

    @speed.setter
    def speed(self, speed: float | None) -> None:
        self._runner.speed = speed

    # -- controls

    @checked
    def pause(self, timeout: float | None = None) -> int:
        """Pause after the step that is being replayed, and return the position. Does nothing if it is paused.

        A replay that is still scheduled will begin paused. Raises OperationTimeout if a step takes longer than
        `timeout` seconds (default: `ask_timeout`), and InvalidOperation if the replay has ended.
        """
        limit = self._limit(timeout)
        self._runner.ask_to_pause()
        if not self._runner.wait_for_pause(limit):
            raise self._late("has had no time to pause", limit)
        return self.position

    def resume(self) -> None:
        """Run on until a breakpoint or the end. Does nothing if it runs. Raises InvalidOperation if it has ended."""
        self._runner.resume()

    @checked
    def step(self, n: int = 1, *, timeout: float | None = None) -> int:
        """Replay the next `n` steps without waiting for recorded pauses, and return the position. A breakpoint pauses
        earlier. A step is what one operation has journaled, often one event.

        Raises InvalidOperation if the replay runs or is at its end, OperationTimeout, and what made the replay fail.
        """
        n, limit = as_number("n", n, 1), self._limit(timeout)
        self._wait_for_turn(limit)
        if self.status.ended:
            before = self.position
            self._runner.move(lambda track: track.move(n), "step", "to step")
            if self.position == before:
                self._runner.check_open()
                raise InvalidOperation(f"the replay is at its end ({before}): step back, or start it again")
            return self.position
        return self._go(Goal(steps=n), "to step", limit)

    @checked
    def step_back(self, n: int = 1) -> int:
        """Go back `n` steps, at most to the beginning, and return the position. Possible after the end too.

        Nothing is replayed: `state` is read from the nearest snapshot. Raises InvalidOperation if the replay runs.
        """
        n = as_number("n", n, 1)
        self._runner.move(lambda track: track.move(-n), "step", "to step back")
        return self.position

    @checked
    def run_to(self, sequence: int, *, timeout: float | None = None) -> int:
        """Go to the step with this sequence, forward or back, without waiting for recorded pauses. Return the position.
        A breakpoint pauses earlier.

        Raises ReplayError for a sequence that the replay does not come to, and what `step` raises.
        """
        route, limit = self._runner.route, self._limit(timeout)
        sequence = as_number("sequence", sequence)
        if not route.begin <= sequence <= route.last:
            raise ReplayError(
                f"event {sequence} is not on the way of this replay: it goes from {route.begin} to {route.last}",
                first=route.begin,
                last=route.last,
            )
        self._wait_for_turn(limit)
        if self.status.ended or sequence <= self.position:
            self._runner.move(lambda track: track.move_to(sequence), "position", "to go elsewhere")
            return self.position
        return self._go(Goal(sequence=sequence), "to go elsewhere", limit)

    @checked
    def stop(self, timeout: float | None = None) -> None:
        """End the replay after the step that is being replayed. Does nothing if it has ended.

        Raises OperationTimeout if the step takes longer than `timeout` seconds (default: `ask_timeout`).
        """
        limit = self._limit(timeout)
        self._runner.end(ReplayError("the replay was stopped"))
        if not self._runner.wait_for(lambda: self.status.ended, limit):
            raise self._late("has had no time to stop", limit)

    @checked
    def wait(self, timeout: float | None = None) -> ReplayResult:
        """Wait until the replay has ended, and return its result. Where it has ended early (it was stopped, its time
        was over, the journal is damaged), the result says so, and where.

        Raises ReplayError if it was stopped before it began, RuntimeClosed, what else made it fail, and
        OperationTimeout after `timeout` seconds (default: none).
        """
        runner = self._runner
        limit = self._limit(timeout) if timeout is not None else None
        if not runner.wait_for(lambda: self.status.ended, limit):
            raise self._late("has not ended", limit)
        if runner.result is not None:
            return runner.result
        raise runner.error or InvalidOperation("the replay cannot wait for itself")

    @checked
    def wait_paused(self, timeout: float | None = None) -> ReplayPause | None:
        """Wait until the replay is paused, and return why and where; None if it has ended.

        Raises OperationTimeout after `timeout` seconds (default: `ask_timeout`).
        """
        limit = self._limit(timeout)
        if not self._runner.wait_for_rest(limit):
            raise self._late("has not paused", limit)
        return self.pause_reason

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- inside

    def _limit(self, timeout: float | None) -> float:
        return self._patience if timeout is None else as_seconds("timeout", timeout, zero=True, endless=True)

    def _wait_for_turn(self, limit: float) -> None:
        if not self._runner.wait_for(lambda: self.status is not ReplayStatus.SCHEDULED, limit):
            raise self._late("waits for its turn", limit)

    def _go(self, goal: Goal, purpose: str, limit: float) -> int:
        self._runner.go(goal, purpose)
        if not self._runner.wait_for_rest(limit):
            raise self._late("is still on its way", limit)
        if self.status is not ReplayStatus.FINISHED and self._runner.error is not None:
            raise self._runner.error
        return self.position

    def _late(self, what: str, limit: float | None) -> OperationTimeout:
        return OperationTimeout(
            f"after {limit:g} s the replay, {self.status} at {self.position}, {what}: wait longer, or stop it",
            timeout=limit,
            started=True,
        )
