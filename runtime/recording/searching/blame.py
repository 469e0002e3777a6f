"""Search the step that decides how a run ends: replay it, fork before each step, and check what comes of it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from greenroom.runtime.recording.patches.plan import Plan
from greenroom.runtime.recording.programs.described import Described, described
from greenroom.runtime.recording.programs.live import Sessions, journal, plan_fork, run_planned
from greenroom.runtime.recording.programs.running import run_replay
from greenroom.runtime.recording.tape.model import Tape, in_order
from greenroom.storage.errors import ReplayError, ValidationError

from .ranking import StepScore, Trial, planned, ranked

if TYPE_CHECKING:
    from greenroom.storage.catalog.model import SessionInfo

__all__ = ["Blame", "Blaming"]

_METADATA: Final = "blame"
_TAG: Final = "blame"
MOST_TRIALS: Final = 1000
"""Forks of earlier searches that are looked at."""


@dataclass(frozen=True, slots=True)
class Blame:
    """What a search has found. `passed` is what the check says of the recorded run; `stopped` is why the search ended
    early, None if it did not."""

    passed: bool
    scores: list[StepScore]
    steps: dict[int, Described]
    runs: int
    """Live runs that were made now; those of earlier searches count in the scores."""
    failed: int
    """Runs whose program could not be started."""
    cost_microusd: int
    stopped: Literal["budget", "max_cost"] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything by name as JSON values."""
        return {
            "passed": self.passed,
            "steps": [{**each.to_dict(), **_told(self.steps[each.step])} for each in self.scores],
            "runs": self.runs,
            "failed": self.failed,
            "cost_microusd": self.cost_microusd,
            "stopped": self.stopped,
        }


def _told(step: Described) -> dict[str, Any]:
    return {"called": step.called, "answer": step.answer, "place": step.place, "model": step.model}


class Store(Sessions, Protocol):
    """What is needed of a store that is open: a `Runtime` has it."""

    def list_sessions(self, query: dict[str, Any], /) -> Iterable[SessionInfo]:
        """Return the sessions that match."""


@dataclass(slots=True)
class Blaming:
    """A search in one recording: the session with this id, and its tape.

    found = Blaming(opening, session_id, tape, 'grep -q 42', command).search(tries=5)
    """

    opening: Callable[[], AbstractContextManager[Store]]
    """Opens the store, which is closed while programs run."""
    session_id: str
    tape: Tape
    check: str
    command: list[str]
    redact: Sequence[str] = ()
    """Rules beside those that are kept with the recording."""
    tell: Callable[[str], None] = lambda _: None
    steps: dict[int, Described] = field(default_factory=dict)

    def search(
        self,
        *,
        tries: int,
        only: tuple[int, int] | None = None,
        budget: int | None = None,
        max_cost: int | None = None,
    ) -> Blame:
        """Replay the recording, then fork before each step `tries` times, and rank the steps.

        `only` is the first and the last step to look at, otherwise every model call; `budget` is the most live runs,
        and `max_cost` what they may cost, in micro-dollars. Raises ReplayError if the recording cannot be replayed.
        """
        crossings = in_order(self.tape.crossings)
        self.steps = {number: described(number, each) for number, each in enumerate(crossings, 1)}
        looked_at = self._looked_at(only)
        passed = self._baseline()
        trials = self._known()
        runs = cost = failed = 0
        stopped: Literal["budget", "max_cost"] | None = None
        for step, number in planned(looked_at, tries, {(each.step, each.number) for each in trials}):
            if budget is not None and runs >= budget:
                stopped = "budget"
                break
            if max_cost is not None and cost >= max_cost:
                stopped = "max_cost"
                break
            trial = self._try(step, number)
            trials.append(trial)
            runs, cost, failed = runs + 1, cost + trial.cost, failed + (trial.passed is None)
            told = (
                "could not run" if trial.passed is None else "the same" if trial.passed == passed else "another outcome"
            )
            self.tell(f"step {step}, try {number} of {tries}: {told}  ({trial.session_id[:8]})")
        scores = ranked([each for each in trials if each.step in looked_at], passed)
        return Blame(passed, scores, self.steps, runs, failed, cost, stopped)

    def _looked_at(self, only: tuple[int, int] | None) -> list[int]:
        if only is None:
            found = [number for number, each in self.steps.items() if each.model is not None]
            if not found:
                raise ValidationError("the recording has no model call: name --steps to try others", field="steps")
            return found
        first, last = only
        if not 1 <= first <= last <= len(self.steps):
            raise ValidationError(f"steps: the recording has the steps 1 to {len(self.steps)}", field="steps")
        return list(range(first, last + 1))

    def _baseline(self) -> bool:
        """Return what the check says of the recorded run, which is replayed for that."""
        with tempfile.TemporaryFile() as output:
            replayed = run_replay(self.tape, self.command, output=output.fileno())
            if replayed.verdict in ("refused", "failed"):
                raise ReplayError(
                    f"the recording cannot be replayed as it was ({replayed.verdict}), so nothing can be said of its "
                    f"steps: see greenroom replay {self.session_id[:8]}"
                )
            return self._passes(output.fileno(), replayed.code, self.session_id)

    def _passes(self, output: int, code: int, session_id: str) -> bool:
        os.lseek(output, 0, os.SEEK_SET)
        environment = {**os.environ, "GREENROOM_EXIT_CODE": str(code), "GREENROOM_SESSION": session_id}
        done = subprocess.run(
            self.check, shell=True, stdin=output, stdout=subprocess.DEVNULL, env=environment, check=False
        )
        if done.returncode in (126, 127):
            raise ValidationError(
                f"the check cannot be run: the shell says {done.returncode} to {self.check!r}", field="check"
            )
        return done.returncode == 0

    def _known(self) -> list[Trial]:
        """Return the trials of earlier searches with the same check and command."""
        found: list[Trial] = []
        with self.opening() as store:
            for info in store.list_sessions(
                {"parent": self.session_id, "tags": [_TAG], "status": "all", "limit": MOST_TRIALS}
            ):
                told: Any = info.custom_metadata.get(_METADATA)
                if isinstance(told, dict) and told.get("check") == self._name():
                    found.append(Trial(told["step"], told["number"], info.id, told["passed"], told["cost_microusd"]))
        return found

    def _name(self) -> str:
        """Return what is the same in all searches whose trials can be counted together."""
        whole = "\0".join([self.check, *(self.command or ())])
        return blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()

    def _try(self, step: int, number: int) -> Trial:
        before = sum(each.cost_microusd or 0 for at, each in self.steps.items() if at < step)
        name = f"blame: step {step}, try {number}"
        with self.opening() as store:
            source = store.session(self.session_id)
            fork = plan_fork(store, source, step - 1, Plan(), self.command, name=name, tags=[_TAG], redact=self.redact)
        with tempfile.TemporaryFile() as output:
            recorded = run_planned(fork, output=output.fileno())
            totals = journal(self.opening, recorded).totals
            passed = (
                None if recorded.code in (126, 127) else self._passes(output.fileno(), recorded.code, fork.session_id)
            )
        trial = Trial(step, number, fork.session_id, passed, max(0, totals.cost_microusd - before))
        with self.opening() as store:
            told = {"check": self._name(), **trial.to_dict()}
            store.session(fork.session_id).update_metadata({_METADATA: told})
        return trial
