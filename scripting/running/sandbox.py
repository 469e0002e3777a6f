"""What a language implements: a sandbox that runs one script, made ahead, and told all by plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from .host import Host

__all__ = ["ConsoleSandbox", "Ending", "Job", "Outcome", "Sandbox"]

Ending: TypeAlias = Literal["error", "time", "instructions", "memory", "exit", "interrupted"]


@dataclass(frozen=True)
class Job:
    """A script to run. `arguments` is the packed list of its arguments (`definition.packing`); `max_memory` is bytes,
    `timeout` seconds."""

    source: str
    name: str
    arguments: bytes
    profile: str
    max_memory: int
    max_instructions: int
    timeout: float
    seed: int
    """Begins the random numbers of the script."""
    told_time: bool = False
    """Whether the script asks the host for the time (`NOW`), so that it can be recorded."""


@dataclass(frozen=True)
class Outcome:
    """How a script ended, as plain data.

    `ending` is None when it ran to its end, and `value` then what it returned; "error" for an error that it did not
    catch, with its `code` (None without one), `message`, `line` and `traceback` as far as they are known; "exit" when
    it ended itself, and `value` is its exit code; "interrupted" when the host ended it; or the limit that it exceeded.
    """

    value: Any = None
    ending: Ending | None = None
    code: str | None = None
    message: str = ""
    line: int | None = None
    traceback: str | None = None
    instructions: int = 0
    memory_peak: int = 0


class Sandbox(Protocol):
    """A sandbox for one run. It is made for a layout, maybe long before the run and on another thread."""

    def run(self, job: Job, host: Host) -> Outcome:
        """Run a script on the calling thread to its end, or to the first limit that it exceeds.

        Whenever `host.call` raises Stopped, no code of the script runs any more. The sandbox sets `host.room`. It
        raises nothing for what the script does.
        """

    def forked(self) -> None:
        """Start what does not live on in a fork, such as threads. Called in a process that was forked for one script,
        before it may start none any more."""

    def close(self) -> None:
        """Free what the sandbox holds. A sandbox that has run, or never will, is closed once, on any thread."""


class ConsoleSandbox(Protocol):
    """A sandbox that runs one piece of a script after another. What ends a piece does not end the sandbox, unless it is
    `dead` afterwards. All but `close` is called on one thread."""

    @property
    def dead(self) -> bool:
        """Whether it can run no more pieces."""

    def stay(self, job: Job, host: Host) -> None:
        """Get ready for pieces, with the limits of a job, whose source is not run."""

    def enter(self, text: str) -> Outcome:
        """Run a piece. The value of the outcome is the text of the piece's values, "" for none."""

    def unfinished(self, text: str) -> bool:
        """Return whether the text is the beginning of a piece. Runs nothing."""

    def names(self, path: Sequence[str]) -> list[str]:
        """Return the names in the value at a path, or the script's globals. Runs nothing."""

    def close(self) -> None:
        """Free what the sandbox holds."""
