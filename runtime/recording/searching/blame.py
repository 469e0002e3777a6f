"""Search the step that decides how a run ends: replay it, fork before each step, and check what comes of it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from greenroom.runtime.recording.journal.reading import tape_of
from greenroom.runtime.recording.patches.plan import Plan
from greenroom.runtime.recording.programs.described import Described, described
from greenroom.runtime.recording.programs.live import fork_program
from greenroom.runtime.recording.programs.running import command_of, run_replay
from greenroom.runtime.recording.tape.model import in_order
from greenroom.storage.errors import ReplayError, ValidationError

from .ranking import StepScore, Trial, planned, ranked

if TYPE_CHECKING:
    from greenroom.runtime.handles.session import Session
    from greenroom.storage.catalog.model import SessionInfo

__all__ = ["Blame", "Blaming"]

_METADATA: Final = "blame"
_TAG: Final = "blame"


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


@dataclass(slots=True)
class Blaming:
    """A search in one recording.

    found = Blaming(data, session, 'grep -q 42', children).search(tries=5)
    """

    data: Path
    session: Session
    check: str
    children: Callable[[], Iterable[SessionInfo]]
    """Returns the sessions below the recording: forks of earlier searches are among them."""
    command: Sequence[str] | None = None
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
        tape = tape_of(self.session)
        crossings = in_order(tape.crossings)
        self.steps = {number: described(number, each) for number, each in enumerate(crossings, 1)}
        command = command_of(tape, self.command)
        looked_at = self._looked_at(only)
        passed = self._baseline(command)
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
            trial = self._try(step, number, command)
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

    def _baseline(self, command: list[str]) -> bool:
        """Return what the check says of the recorded run, which is replayed for that."""
        with tempfile.TemporaryFile() as output:
            replayed = run_replay(tape_of(self.session), command, output=output.fileno())
            if replayed.verdict in ("refused", "failed"):
                raise ReplayError(
                    f"the recording cannot be replayed as it was ({replayed.verdict}), so nothing can be said of its "
                    f"steps: see greenroom replay {self.session.id[:8]}"
                )
            return self._passes(output.fileno(), replayed.code, self.session.id)

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
        for info in self.children():
            told: Any = info.custom_metadata.get(_METADATA)
            if isinstance(told, dict) and told.get("check") == self._name():
                found.append(Trial(told["step"], told["number"], info.id, told["passed"], told["cost_microusd"]))
        return found

    def _name(self) -> str:
        """Return what is the same in all searches whose trials can be counted together."""
        whole = "\0".join([self.check, *(self.command or ())])
        return blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()

    def _try(self, step: int, number: int, command: list[str]) -> Trial:
        before = sum(each.cost_microusd or 0 for at, each in self.steps.items() if at < step)
        with tempfile.TemporaryFile() as output:
            made, code, totals = fork_program(
                self.data,
                self.session,
                step - 1,
                Plan(),
                command,
                name=f"blame: step {step}, try {number}",
                tags=[_TAG],
                output=output.fileno(),
            )
            passed = None if code in (126, 127) else self._passes(output.fileno(), code, made.id)
        trial = Trial(step, number, made.id, passed, max(0, totals.cost_microusd - before))
        made.update_metadata({_METADATA: {"check": self._name(), **trial.to_dict()}})
        return trial
