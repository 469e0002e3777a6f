"""What a run of a script leaves to its caller."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from greenroom.storage.artifacts.model import ArtifactId
from greenroom.storage.codec.records import Json
from greenroom.storage.errors import GreenroomError

__all__ = ["ScriptDifference", "ScriptOptions", "ScriptReplay", "ScriptResult", "StreamOptions"]


class StreamOptions(TypedDict, total=False):
    """How a script is run whose pieces are read, besides its source; see `Runtime.stream_script`."""

    artifact: ArtifactId | str | None
    version: int | str | None
    name: str | None
    directories: Sequence[str | os.PathLike[str]]
    echo: Callable[[str], None] | None
    isolation: str | None
    trust: str
    record: bool | None


class ScriptOptions(StreamOptions, total=False):
    """How a script is run, besides its source; see `Runtime.run_script`."""

    on_piece: Callable[[Json], object] | None


@dataclass(frozen=True, slots=True)
class ScriptResult:
    """The values that a script returned, its output, and the seconds, instructions, bytes and calls into the host that
    it used. `exit_code` is what it gave to `os.exit`, else 0. `run_id` is the id of the journaled `script.started`;
    None for a run that was not journaled."""

    value: Json
    output: str
    duration: float
    instructions: int
    memory_peak: int
    error: GreenroomError | None = None
    exit_code: int = 0
    calls: int = 0
    run_id: str | None = None

    def __repr__(self) -> str:
        return f"<ScriptResult {self.error.code if self.error is not None else 'success'}>"


@dataclass(frozen=True, slots=True)
class ScriptDifference:
    """Where a replay of a script first did something else. `kind` is "function" (another one was called), "arguments",
    "callback" (a function of the script returned something else), "calls" (too few or too many), "source", "output",
    "value" or "error". `call` is the number of the call, from 1; `recorded` and `replayed` are what differs."""

    kind: str
    call: int | None = None
    function: str | None = None
    line: int | None = None
    recorded: Json = None
    replayed: Json = None

    def __repr__(self) -> str:
        return f"<ScriptDifference {self.kind}{f' at call {self.call}' if self.call is not None else ''}>"


@dataclass(frozen=True, slots=True)
class ScriptReplay:
    """What a replay of a script has shown. `calls` is how many calls were answered from the journal. If `redacted`,
    secrets were removed from what the journal has, and a difference may come from that."""

    run_id: str
    identical: bool
    difference: ScriptDifference | None
    value: Json
    output: str
    error: GreenroomError | None
    calls: int
    redacted: bool

    def __repr__(self) -> str:
        return f"<ScriptReplay {'identical' if self.identical else 'different'}>"
