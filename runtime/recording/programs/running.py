"""The three ways to run a program: recorded, replayed, and as a fork."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from greenroom.runtime.recording.patches.grammar import Patch
from greenroom.runtime.recording.tape.model import Tape
from greenroom.runtime.recording.tape.secrets.urls import REDACTED
from greenroom.runtime.recording.tape.spool import write_tape
from greenroom.storage.errors import InvalidOperation

from .credentials import stand_ins
from .launch import read_report, run
from .replay import ProgramReplay, digest_of

__all__ = ["check_rules", "command_of", "run_fork", "run_live", "run_replay"]

_CHANGES = "greenroom.runtime.recording.patches.requests:changes_of"


def command_of(tape: Tape, given: Sequence[str] | None = None, *, is_live: bool = False) -> list[str]:
    """Return the command to run again: the one that is given, else the recorded one. Raises InvalidOperation if there
    is none; if it `is_live`, also if it had secrets that were not kept."""
    command = list(given or tape.about.get("command") or ())
    if not command:
        raise InvalidOperation("this recording is of a part of a program: say which to run, with -- CMD")
    if is_live and not given and any(REDACTED in word for word in command):
        raise InvalidOperation(
            "the recorded command had a secret in its arguments, which was not kept: give the command, with -- CMD"
        )
    return command


def check_rules(tape: Tape, given: Sequence[str]) -> None:
    """Raise InvalidOperation if a recording was made with rules that are not kept, and no others are given in their
    place: what goes on live would put on the disk what they have removed."""
    kept = tape.about.get("redact")
    withheld = kept.get("withheld", 0) if isinstance(kept, Mapping) else 0
    if len(given) < withheld:
        raise InvalidOperation(
            f"{withheld} of the rules by which this recording was redacted are kept nowhere, since they may be secret: "
            "give them again, with --redact"
        )


def run_live(
    command: Sequence[str],
    folder: Path,
    *,
    processes: bool = False,
    redact: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    hash_seed: str | None = None,
    output: int | None = None,
) -> int:
    """Run a program that puts spools into a folder, and return its exit code. `environment` is added to this process's
    own; `output` is a file descriptor to print to."""
    return run(
        command,
        "record",
        folder,
        env={**os.environ, **(environment or {})},
        hash_seed=hash_seed,
        processes=processes,
        redact=redact,
        stdout=output,
    )


def run_fork(
    command: Sequence[str],
    tape: Tape,
    folder: Path,
    patches: Sequence[Patch],
    *,
    redact: Sequence[str] = (),
    output: int | None = None,
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
        redact=redact,
        changes=(_CHANGES, [each.text for each in patches]) if patches else None,
        stdout=output,
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
