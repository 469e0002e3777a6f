"""Start a program so that it is recorded, replayed or forked."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import time_ns
from typing import Any, Final

from greenroom.runtime.recording.tape.model import Tape
from greenroom.runtime.recording.tape.report import Drift, ReplayReport, Tally, read_report_file
from greenroom.runtime.recording.tape.spool import END, SpoolSink, SpoolWriter, read_spool
from greenroom.storage.errors import ConfigurationError, ValidationError

from .claims import Claims
from .options import LINEAGE, LOST, NOT_BEGUN, OPTIONS, WHOLE, Mode, Options
from .process_sink import mark_lost

__all__ = ["lost_in", "read_report", "run", "run_unrecorded"]

_BOOTSTRAP: Final = str(Path(__file__).parent / "bootstrap")
_PASSED_ON: Final = ("SIGTERM", "SIGUSR1", "SIGUSR2", "SIGINT", "SIGHUP", "SIGQUIT")
_OF_TERMINAL: Final = ("SIGINT", "SIGHUP", "SIGQUIT")
"""Those that a terminal gives to all processes in its foreground."""
_NO_GREENROOM: Final = 78
"""The exit code of a Python that cannot import greenroom."""
_NOT_STARTED: Final = 70
"""The exit code of one that cannot make a recorder or a player."""


def run(
    command: Sequence[str],
    mode: Mode,
    spool_dir: str | os.PathLike[str],
    *,
    tape_file: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
    hash_seed: str | None = None,
    strict: bool = False,
    processes: bool = False,
    redact: Sequence[str] = (),
    sleep: float = 0.001,
    lenient: bool = False,
    stirred: bool = False,
    changes: tuple[str, Any] | None = None,
    stdout: Any = None,
    stderr: Any = None,
) -> int:
    """Run a command and return its exit code; 128 and the number of the signal if it died of one, as shells say it.

    Its input and output are the caller's. The processes put their spools, and the reports of a replay, into
    `spool_dir`, which must be there and empty. `tape_file` holds the tape that is replayed (see `write_tape`).
    `hash_seed` is what the hashes of texts are seeded with (the default: as on the tape, else PYTHONHASHSEED, else
    any). `sleep` is the part of its sleeps that a replayed program sleeps. `lenient` has a replay go on where nothing
    that was recorded fits; `stirred` has it delay threads, so that others come first. `changes` says what live calls of
    a fork are made with: "module:function", and a JSON value that the function is given.

    Raises ConfigurationError if the command cannot be started, if its Python has no greenroom, or if it was no Python
    that reads PYTHONPATH; ValidationError if it replays without a tape.
    """
    if mode != "record" and tape_file is None:
        raise ValidationError(f"tape_file: to {mode} a program takes a tape", field="tape_file")
    if not command:
        raise ValidationError("command: there is none", field="command")
    environment = dict(os.environ if env is None else env)
    tape = read_spool(tape_file) if mode != "record" and tape_file is not None else Tape()
    seed = str(hash_seed or tape.about.get("hash_seed") or environment.get("PYTHONHASHSEED", ""))
    options = Options(
        mode=mode,
        folder=os.path.abspath(spool_dir),
        bootstrap=_BOOTSTRAP,
        hash_seed=seed if seed.isdigit() else str(random.SystemRandom().randrange(1, 1 << 32)),
        tape_file=os.path.abspath(tape_file) if tape_file is not None else None,
        strict=strict,
        processes=processes,
        redact=list(redact),
        sleep=sleep,
        lenient=lenient,
        stirred=stirred,
        changes=list(changes) if changes is not None else None,
    )
    environment[OPTIONS] = options.to_json()
    environment.pop(LINEAGE, None)
    environment["PYTHONHASHSEED"] = options.hash_seed
    before = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = f"{_BOOTSTRAP}{os.pathsep}{before}" if before else _BOOTSTRAP
    for name in (NOT_BEGUN, WHOLE):
        Path(spool_dir, name).touch()
    ended = _run(command, environment, cwd, stdout, stderr)
    code = 128 - ended if ended < 0 else ended
    if Path(spool_dir, NOT_BEGUN).exists() or (code == _NOT_STARTED and Path(spool_dir, "not-started").exists()):
        raise _not_begun(command, code, environment)
    told = {"exit_code": code, "ended_at": time_ns()} | ({"signal": -ended} if ended < 0 else {})
    try:
        if mode == "replay":
            _report_unused(options.folder, tape)
        end = SpoolSink(SpoolWriter(Path(spool_dir, END)))
        end.about({**told, **_unrecorded(options.folder), **_lost(options.folder)})
        end.close()
    except OSError as error:
        mark_lost(options.folder, error)
    return code


def run_unrecorded(command: Sequence[str], *, stdout: Any = None) -> int:
    """Run a command as it is, and return its exit code, as `run` does. Raises ConfigurationError if it cannot be
    started."""
    ended = _run(command, dict(os.environ), None, stdout, None)
    return 128 - ended if ended < 0 else ended


def lost_in(spool_dir: str | os.PathLike[str]) -> str | None:
    """Return why something of a run is not kept, as the operating system says it; None if all is."""
    found = next(Path(spool_dir).glob(f"{LOST}*"), None)
    if found is None:
        return None
    number = found.name.removeprefix(LOST)
    return os.strerror(int(number)) if number.isdecimal() and int(number) else "the disk takes nothing more"


def _lost(folder: str) -> dict[str, str]:
    reason = lost_in(folder)
    return {"failure": reason} if reason is not None else {}


def read_report(spool_dir: str | os.PathLike[str]) -> ReplayReport:
    """Return the report of a replay, of all processes together."""
    report = Tally()
    is_whole = Path(spool_dir, "0.report").exists()
    for path in sorted(Path(spool_dir).glob("*.report")):
        try:
            report.add(read_report_file(path))
        except ValueError:
            is_whole = False
    if not is_whole:
        report.refused = report.refused or "the program left no whole report of its replay: is the disk of TMPDIR full?"
    return report


def _unrecorded(folder: str) -> dict[str, list[str]]:
    """Return the Pythons of processes that could not be recorded, since they have no greenroom."""
    found = {line for path in Path(folder).glob("*.unrecorded") for line in path.read_text("utf-8").splitlines()}
    return {"unrecorded": sorted(found)} if found else {}


def _report_unused(folder: str, tape: Tape) -> None:
    """Report what was recorded of further processes and answered none of them. The first reports its own."""
    report, claims = Tally(), Claims(folder)
    for each in tape.crossings:
        if each.process and not claims.has(each):
            report.tell(Drift(each.kind, each.name, each.place, each.number, "unused"))
    Path(folder, "unused.report").write_text(json.dumps(report.to_dict()), "utf-8")


def _run(
    command: Sequence[str],
    environment: dict[str, str],
    cwd: str | os.PathLike[str] | None,
    stdout: Any,
    stderr: Any,
) -> int:
    """Run a command, and return how it ended: below 0, the number of the signal that killed it."""
    try:
        process = subprocess.Popen(list(command), env=environment, cwd=cwd, stdout=stdout, stderr=stderr)
    except OSError as error:
        raise ConfigurationError(
            f"{command[0]} cannot be started: {error.strerror or error}. Give the whole command, such as: python"
            " agent.py",
            command=command[0],
        ) from error
    with _passing_on(process):
        return process.wait()


@contextmanager
def _passing_on(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Pass signals on to the program. A terminal gives an interrupt to both: then it is the program's."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def pass_on(number: int, frame: object) -> None:
        if signal.Signals(number).name not in _OF_TERMINAL or not _is_from_terminal():
            process.send_signal(number)

    numbers = [getattr(signal, name) for name in _PASSED_ON if hasattr(signal, name)]
    before = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_from_terminal() -> bool:
    """Return whether this process stands in the foreground of a terminal."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _not_begun(command: Sequence[str], code: int, environment: Mapping[str, str]) -> ConfigurationError:
    if code == _NO_GREENROOM:
        return ConfigurationError(
            f"the Python of {command[0]} has no greenroom, so the program was not run: install greenroom[record] where"
            " its packages are",
            command=command[0],
        )
    if code == _NOT_STARTED:
        return ConfigurationError(
            f"{command[0]} was not run, since its recorder or player could not be started: what it printed says why",
            command=command[0],
        )
    found = shutil.which(command[0], path=environment.get("PATH"))
    return ConfigurationError(
        f"{found or command[0]} ended (with exit code {code}) without a recorder: nothing of it was recorded or"
        " replayed. A command must start a Python that reads PYTHONPATH, so without -I, -E and -S",
        command=command[0],
    )
