"""Run a program twice, live, and replay it twice, to find out what makes it run differently."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from greenroom.runtime.recording.boundaries.watch import read_watched
from greenroom.runtime.recording.programs.options import WATCH
from greenroom.runtime.recording.programs.running import run_live, run_replay
from greenroom.runtime.recording.tape.spool import read_spools
from greenroom.storage.errors import InvalidOperation

from .doctor import Examined, Finding, findings

__all__ = ["examine"]

_SEEDS: Final = ("1", "2")
"""The hash seed of the live runs, so that sets do not differ by that alone; and another one."""


def examine(command: Sequence[str], *, tell: Callable[[str], None] = lambda _: None) -> list[Finding]:
    """Return what makes a program run differently, what a recording does not cover first. Replays go on where nothing
    that was recorded fits, so that what lies behind it is found too. Raises InvalidOperation if
    the program does not end well, because then its runs say little."""
    with tempfile.TemporaryDirectory(prefix="greenroom-doctor-") as folder:
        root = Path(folder)
        tell("run 1 of 2, live")
        one = _live(command, root / "one")
        tell("run 2 of 2, live")
        other = _live(command, root / "other")
        tell("replay 1, offline")
        replayed = _replay(command, one, _SEEDS[0], root / "replayed")
        tell("replay 2, offline, with another hash seed")
        reseeded = _replay(command, one, _SEEDS[1], root / "reseeded")
        stirred = None
        if one.has_threads:
            tell("replay 3, offline, with its threads delayed")
            stirred = _replay(command, one, _SEEDS[0], root / "stirred", stirred=True)
        return findings(one, other, replayed, reseeded, stirred)


def _live(command: Sequence[str], folder: Path) -> Examined:
    folder.mkdir()
    watched = str(folder / "watched")
    with open(folder / "output", "w+b") as output:
        code = run_live(command, folder, environment={WATCH: watched}, hash_seed=_SEEDS[0], output=output.fileno())
        output.seek(0)
        printed = output.read()
    if code:
        raise InvalidOperation(f"the program ended with exit code {code}: it has to run well to be examined")
    tape = read_spools(folder)
    if not tape.about:
        raise InvalidOperation("the program was not recorded: is it a Python program that finds greenroom's packages?")
    return Examined(tape, printed, code, read_watched(watched))


def _replay(command: Sequence[str], recorded: Examined, seed: str, folder: Path, *, stirred: bool = False) -> Examined:
    folder.mkdir()
    watched = str(folder / "watched")
    with open(folder / "output", "w+b") as output:
        found = run_replay(
            recorded.tape,
            command,
            hash_seed=seed,
            output=output.fileno(),
            errors=subprocess.DEVNULL,
            environment={WATCH: watched},
            lenient=True,
            stirred=stirred,
        )
        output.seek(0)
        printed = output.read()
    drifts = [
        (each.place, f"{each.name}: {each.difference or each.what}")
        for each in found.report.drifts
        if each.what not in ("moved", "output")
    ]
    return Examined(recorded.tape, printed, found.code, read_watched(watched), drifts, found.report.refused)
