"""The three ways to run a program: recorded, replayed, and as a fork."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from greenroom.runtime.recording.patches.grammar import Patch
from greenroom.runtime.recording.tape.model import Tape
from greenroom.runtime.recording.tape.spool import write_tape
from greenroom.storage.errors import InvalidOperation

from .credentials import stand_ins
from .launch import read_report, run
from .replay import ProgramReplay, digest_of

__all__ = ["command_of", "run_fork", "run_live", "run_replay"]

_CHANGES = "greenroom.runtime.recording.patches.requests:changes_of"


def command_of(tape: Tape, given: Sequence[str] | None = None) -> list[str]:
    """Return the command to run again: the one that is given, else the recorded one. Raises InvalidOperation if there
    is none."""
    command = list(given or tape.about.get("command") or ())
    if not command:
        raise InvalidOperation("this recording is of a part of a program: say which to run, with -- CMD")
    return command


def run_live(
    command: Sequence[str],
    folder: Path,
    *,
    processes: bool = False,
    redact: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    hash_seed: str | None = None,
    output: int | None = None,
    poll: Callable[[], None] | None = None,
) -> int:
    """Run a program that puts spools into a folder, and return its exit code. `environment` is added to this process's
    own; `output` is a file descriptor to print to, `poll` is called while the program runs."""
    return run(
        command,
        "record",
        folder,
        env={**os.environ, **(environment or {})},
        hash_seed=hash_seed,
        processes=processes,
        redact=redact,
        stdout=output,
        poll=poll,
    )


def run_fork(
    command: Sequence[str],
    tape: Tape,
    folder: Path,
    patches: Sequence[Patch],
    *,
    output: int | None = None,
    poll: Callable[[], None] | None = None,
) -> int:
    """Run a program that is answered from a tape, and goes on live behind its end, with patches. Its spools go into a
    folder, with what was answered. Return its exit code."""
    tape_file = folder / "fork.tape"
    write_tape(tape_file, tape)
    return run(
        command,
        "fork",
        folder,
        tape_file=tape_file,
        cwd=_directory(tape),
        hash_seed=_seed(tape),
        processes=bool(tape.about.get("processes")),
        changes=(_CHANGES, [each.text for each in patches]) if patches else None,
        stdout=output,
        poll=poll,
    )


def run_replay(
    tape: Tape,
    command: Sequence[str],
    *,
    strict: bool = False,
    hash_seed: str | None = None,
    output: Any = None,
    errors: Any = None,
    environment: Mapping[str, str] | None = None,
    lenient: bool = False,
    stirred: bool = False,
) -> ProgramReplay:
    """Run a program offline, answered from a tape. It needs no keys: what its clients ask for is stood in for.
    `lenient` and `stirred` are as `launch.run` takes them."""
    with tempfile.TemporaryDirectory(prefix="greenroom-replay-") as folder:
        tape_file = Path(folder) / "replay.tape"
        write_tape(tape_file, tape)
        code = run(
            command,
            "replay",
            folder,
            tape_file=tape_file,
            env={**os.environ, **stand_ins(os.environ, tape.crossings), **(environment or {})},
            cwd=_directory(tape),
            hash_seed=hash_seed or _seed(tape),
            strict=strict,
            processes=bool(tape.about.get("processes")),
            stdout=output,
            stderr=errors,
            lenient=lenient,
            stirred=stirred,
        )
        report = read_report(folder)
    return ProgramReplay([*command], code, tape.about.get("exit_code"), report, digest_of(tape))


def _seed(tape: Tape) -> str | None:
    seed = tape.about.get("hash_seed")
    return str(seed) if seed is not None else None


def _directory(tape: Tape) -> str | None:
    """Return where the program ran, if that is still there: it may read files, or be named, relative to it."""
    directory = tape.about.get("directory")
    return directory if isinstance(directory, str) and os.path.isdir(directory) else None
