"""What a launched program is told: in one environment variable, which its children inherit."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

__all__ = ["LINEAGE", "LOST", "NOT_BEGUN", "OPTIONS", "WATCH", "WHOLE", "Mode", "Options"]

Mode = Literal["record", "replay", "fork"]

OPTIONS: Final = "GREENROOM_RECORDING"
"""The variable that holds the options."""
LINEAGE: Final = "GREENROOM_RECORDING_LINEAGE"
"""The variable that says which process of the run one is: "0.2" is the second that the first one has started."""
WATCH: Final = "GREENROOM_RECORDING_WATCH"
"""The variable that names the file in which processes say what they touched outside of every boundary."""
NOT_BEGUN: Final = "not-begun"
"""The file in the folder of a run that its first process removes once it has reached its recorder or player."""
WHOLE: Final = "whole"
"""The file there that says that all is kept. A process that could not keep something gives it another name: `LOST` and
the number of the error. Files are made before the program starts, because a full disk takes no new ones."""
LOST: Final = "lost-"


@dataclass(frozen=True, slots=True)
class Options:
    """How a program is recorded, replayed or forked."""

    mode: Mode
    folder: str
    """Where spools and reports go."""
    bootstrap: str
    """The folder that stands on PYTHONPATH."""
    hash_seed: str
    tape_file: str | None = None
    """What is replayed; of a fork, the part before it goes live."""
    strict: bool = False
    processes: bool = False
    """Whether results of `subprocess.run` are recorded, in place of the processes."""
    redact: list[str] = field(default_factory=list)
    """The rules by which secrets are removed before anything is put into a spool."""
    lenient: bool = False
    """Whether a replay answers what nothing recorded fits with what comes nearest, and goes on."""
    stirred: bool = False
    """Whether a replay delays threads, so that others come first."""
    sleep: float = 0.001
    """The part of its sleeps that a replayed program sleeps."""
    changes: list[Any] | None = None
    """What changes the live calls of a fork: "module:function", and the JSON value that the function is given. It
    returns the `Changes`."""

    def to_json(self) -> str:
        """Return the options as the text of the variable."""
        return json.dumps(asdict(self))
