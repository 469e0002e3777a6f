"""Retention on a schedule: one run after the other, each recorded in the store."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from greenroom.runtime.handles.scope import own_scope
from greenroom.storage.codec.records import Value
from greenroom.storage.common.logs import logger_of
from greenroom.storage.common.session_ids import scope_bytes
from greenroom.storage.common.times import iso_time, utc_time
from greenroom.storage.errors import GreenroomError, InvalidOperation, RuntimeClosed

if TYPE_CHECKING:
    from greenroom.runtime.config.retention import RetentionPolicy
    from greenroom.runtime.core import RuntimeCore

__all__ = ["RetentionRun", "RetentionRuns"]

logger = logger_of("retention")

SCOPE: Final = "greenroom:retention"
"""The scope that holds the newest runs as variables, so that they are durable and journaled like everything else."""
KEPT: Final = 100
"""The number of runs that are kept."""
TICK: Final = 60.0
"""The most seconds between two looks at whether a run is due."""


@dataclass(frozen=True, slots=True)
class RetentionRun:
    """What one run of retention has done. Times are aware UTC."""

    started_at: datetime
    finished_at: datetime
    sessions: int
    """Sessions deleted."""
    artifacts: int
    """Artifact versions deleted."""
    bytes: int
    """Their logical bytes. Content that others also use stays on disk."""
    skipped: int
    """Deletions not made, because the session takes no writes or a hook refused."""
    journals: int
    """Journals truncated."""
    events: int
    """Events removed from them."""
    error: str | None = None
    """The code of the error that ended the run early, or None."""

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name as JSON values."""
        row: dict[str, Value] = {each.name: getattr(self, each.name) for each in fields(self)}
        return row | {"started_at": iso_time(self.started_at), "finished_at": iso_time(self.finished_at)}


class RetentionRuns:
    """Runs retention, never twice at once, and keeps a record of each run.

    A run works on an elastic thread, one session after the other, each by a message like any other deletion, so it
    holds no session and ends soon after the runtime begins to close.
    """

    def __init__(self, core: RuntimeCore) -> None:
        self._core = core
        self._running = threading.Lock()
        self._ending = False
        self._due: float | None = None

    def begin(self) -> None:
        """Start the schedule, if the configuration has one."""
        schedule = self._core.config.retention
        if schedule is not None and not self._core.read_only:
            self._core.timers.every(min(TICK, schedule.every), self._tick)

    def end(self) -> None:
        """Stop a run soon. Called when the runtime begins to close."""
        self._ending = True

    def _tick(self) -> None:
        schedule = self._core.config.retention
        assert schedule is not None, "without a schedule nobody calls"
        now = self._core.clock.time_ns()
        if self._due is None:  # after opening: the last run may have been made by another process
            last = self.runs(1)
            self._due = last[0].finished_at.timestamp() + schedule.every if last else 0.0
        if now / 1e9 < self._due or self._running.locked():
            return
        self._due = now / 1e9 + schedule.every
        self._core.elastic.submit(self._scheduled)

    def _scheduled(self) -> None:
        with contextlib.suppress(InvalidOperation):  # somebody runs it just now
            run = self.run()
            if run.error is not None:
                logger.warning("retention ended with %s; it goes on with its next run", run.error)

    def run(self) -> RetentionRun:
        """Run retention by the schedule's limits now; without a schedule, by the sessions' own. Record the run.

        Raises InvalidOperation while another run is going on. Errors within it are in the result.
        """
        from greenroom.runtime.config.retention import RetentionPolicy

        if not self._running.acquire(blocking=False):
            raise InvalidOperation("a run of retention is going on: wait for its end")
        try:
            return self._run(self._core.config.retention or RetentionPolicy(lifetimes=True))
        finally:
            self._running.release()

    def _run(self, policy: RetentionPolicy) -> RetentionRun:
        from .policy import add_figures, retained

        core = self._core
        started = core.clock.time_ns()
        figures = dict.fromkeys(("sessions", "artifacts", "bytes", "skipped", "journals", "events"), 0)
        error: str | None = None
        try:
            for each in retained(core, policy, started, dry_run=False):
                add_figures(each, figures)
                if self._ending:
                    raise RuntimeClosed("the runtime is closing")
        except GreenroomError as failure:
            error = failure.code
        except Exception as failure:
            logger.exception("retention has failed")
            error = type(failure).__name__
        run = RetentionRun(utc_time(started), utc_time(core.clock.time_ns()), **figures, error=error)
        with contextlib.suppress(GreenroomError):  # the runtime may be closed by now, or the disk full
            self._record(run, started)
        if core.supervisor.services.tell is not None:
            core.supervisor.services.tell("", "retention.finished", run.to_dict())
        return run

    def _record(self, run: RetentionRun, started: int) -> None:
        scope = own_scope(self._core, SCOPE)
        keys = scope.keys()
        if keys:
            started = max(started, int(keys[-1]) + 1)  # a clock set back does not change their order
        scope.set(f"{started:020}", run.to_dict())
        for key in keys[: -KEPT + 1]:
            scope.delete(key)

    def runs(self, limit: int) -> list[RetentionRun]:
        """Return the newest runs, newest first."""
        if self._core.store.journal.last(scope_bytes(SCOPE)) is None:
            return []
        scope = own_scope(self._core, SCOPE)
        rows: list[Any] = [scope.get(key) for key in reversed(scope.keys()[-limit:] if limit else [])]
        return [_unpacked(row) for row in rows]


def _unpacked(stored: dict[str, Any]) -> RetentionRun:
    times = {name: datetime.fromisoformat(stored[name]) for name in ("started_at", "finished_at")}
    return RetentionRun(**{**stored, **times})
