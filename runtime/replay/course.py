"""One replay of a session: what it goes through, and what comes of it."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Final

from greenroom.actors.replay.boundary import Boundary
from greenroom.actors.replay.engine import replay
from greenroom.actors.replay.folding import Fold
from greenroom.actors.replay.history import IN_A_MICROSECOND
from greenroom.actors.replay.step import Step
from greenroom.actors.replay.traces import trace
from greenroom.storage.common.times import nanoseconds
from greenroom.storage.common.validation import validated
from greenroom.storage.errors import IntegrityError, ReplayError, SchemaTooNew, SessionNotFound

from .config import ReplayConfig
from .modifications import Modifications
from .queries import past_of, readable_session
from .report import Report
from .result import ReplayResult
from .simulation import SimulatedBoundary

if TYPE_CHECKING:
    from greenroom.actors.replay.history import History
    from greenroom.runtime.handles.host import Host
    from greenroom.storage.common.session_ids import SessionHandle

__all__ = ["Course", "course_of"]

_LOOK: Final = 64
"""After so many steps the time is looked at."""


class Course:
    """Goes through the recorded operations of a session, once."""

    def __init__(self, past: History, config: ReplayConfig, boundary: Boundary | None = None) -> None:
        """Raises ReplayError for a target that is not in the history, IntegrityError."""
        self.session_id = past.id
        self.config = config
        self._past = past
        self._boundary = boundary
        first, last = past.first, past.last
        self.begin = past.begin
        """The sequence before the first step."""
        self.last = last
        """The sequence that the replay ends with."""
        if config.target_sequence is not None:
            self.last = config.target_sequence
        elif config.target_time is not None:
            self.last = past.sequence_at(nanoseconds(config.target_time) + IN_A_MICROSECOND)
        if not max(first, 1) <= self.last <= last:
            raise ReplayError(
                f"event {self.last} is not in the history of session {past.id}, which has the events {first} to {last}",
                session_id=past.id,
                first=first,
                last=last,
            )
        self._edit = Modifications(config.modifications, past.store.contents.readable) if config.modifications else None
        self._report = Report(past.id, config, past.beginning(), past.store.contents.readable)

    def steps(self) -> Generator[Step]:
        """Replay step by step. Ends early at damage, at the first error if the configuration says so, and when the time
        is over: `result` tells."""
        config, report = self.config, self._report
        deadline = time.monotonic() + config.timeout if config.timeout is not None else None
        reached = self.begin
        try:
            for number, step in enumerate(replay(self._past, self._boundary, upto=self.last, edit=self._edit)):
                report.take(step)
                reached = step.last
                if step.check is not None and not step.check.intact:
                    report.found(trace(self._past, step.check.sequence), step.check.sequence)
                yield step
                if config.stop_on_error and step.refusals:
                    report.stop("error", step.last, str(step.refusals[0].error))
                    return
                if deadline is not None and number % _LOOK == 0 and time.monotonic() > deadline:
                    report.stop("timeout", reached, f"the replay has not come to its end within {config.timeout:g} s")
                    return
        except (IntegrityError, SchemaTooNew) as error:
            report.fail(error)
        except GeneratorExit:
            report.stop("stopped", reached)
            raise
        if reached < self.last and report.stopped is None:
            report.fail(self._gone(reached + 1))

    def _gone(self, sequence: int) -> IntegrityError:
        """Return the error for an event that is not there. Raises SessionNotFound if the session has been deleted
        meanwhile."""
        if self._past.store.journal.is_empty(self._past.session):
            raise SessionNotFound(f"session {self.session_id} has been deleted meanwhile", session_id=self.session_id)
        return IntegrityError(
            f"event {sequence} of session {self.session_id} is missing; run verify",
            session_id=self.session_id,
            sequence=sequence,
        )

    def result(self) -> ReplayResult:
        """Return what the replay has found so far, or at its end."""
        return self._report.result(self._edit.unused if self._edit is not None else ())

    def run(self) -> ReplayResult:
        """Replay to the end and return the result."""
        if self.config.mode == "exact" and not self.config.compare_results:
            return self._folded()
        for _ in self.steps():
            pass
        return self.result()

    def _folded(self) -> ReplayResult:
        """Fold the journal without deciding, and compare its states with the digests in the snapshots."""
        report = self._report
        fold = Fold(self._past, upto=self.last)
        try:
            for check in fold.checks():
                report.check(check)
                if not check.intact:
                    report.found(trace(self._past, check.sequence), check.sequence)
        except (IntegrityError, SchemaTooNew) as error:
            report.fail(error)
        report.take_fold(fold)
        return self.result()


def course_of(host: Host, session: SessionHandle | str, config: ReplayConfig | Mapping[str, object] | None) -> Course:
    """Return the course of a replay of a session, with a checked configuration.

    Raises ValidationError, SessionNotFound, AccessDenied, IntegrityError, and ReplayError for a session that is not
    replayed and for a target that is not in its history.
    """
    core = host.core
    core.check_open()
    settings = validated(ReplayConfig, {} if config is None else config)
    session_id = readable_session(core, session, "replay")
    boundary = None
    if settings.mode == "simulate":
        boundary = SimulatedBoundary(host.tools, core.redaction, core.store.contents.readable)
    return Course(past_of(core, session_id), settings, boundary)
