"""Run a program live and journal it: from its beginning, or as a fork of a recording."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from greenroom.runtime.handles.session import Session, core_of
from greenroom.runtime.recording.journal.forms import TAG
from greenroom.runtime.recording.journal.reading import Item, items_of, runs_of, source_of, tape_of
from greenroom.runtime.recording.journal.writing import rules_for
from greenroom.runtime.recording.patches.plan import Plan
from greenroom.runtime.recording.tape.model import Crossing, Tape, in_order
from greenroom.runtime.recording.tape.secrets.urls import clean_command
from greenroom.runtime.recording.tape.spool import SpoolReader
from greenroom.runtime.recording.understanding.derived import Understanding
from greenroom.storage.common.logs import logger_of
from greenroom.storage.errors import ConfigurationError, GreenroomError, SessionNotFound

from .described import Totals, described, totals_of
from .running import run_fork, run_live
from .taking import Taker

__all__ = ["fork_program", "has_leftovers", "record_program", "take_up"]

_FOLDER: Final = "recordings"
"""Within the store's directory: the spools of runs that go on, or whose parent was killed."""

logger: Final = logger_of("recording")


def record_program(
    data: Path,
    session: Session,
    command: Sequence[str],
    *,
    redact: Iterable[str] | None = None,
    processes: bool = False,
    output: int | None = None,
) -> tuple[int, Totals]:
    """Run a program, journal into a session what it does while it runs, and return its exit code and what was
    recorded. `data` is the directory of the store; `output` is a file descriptor to print to, if not this process's own
    stdout."""
    folder = _folder_of(data, session)
    about = {"command": clean_command(command)} | ({"processes": True} if processes else {})
    rules = rules_for(core_of(session), redact)
    taker = Taker(session, folder, redact=rules, about=about, understanding=Understanding(session))
    return _run(
        session,
        taker,
        folder,
        lambda poll: run_live(command, folder, processes=processes, redact=rules, output=output, poll=poll),
    )


def fork_program(
    data: Path,
    source: Session,
    at: int,
    planned: Plan,
    command: Sequence[str],
    *,
    name: str | None = None,
    tags: Iterable[str] = (),
    output: int | None = None,
) -> tuple[Session, int, Totals]:
    """Run a recorded program again: the first `at` steps are answered from the recording, the rest is live and
    journaled as a session below it. Return that session, the exit code of the program, and what the session has then.

    `planned` says what is changed. Raises IntegrityError if the recording is damaged.
    """
    origin = source_of(source)
    run = runs_of(origin)[-1]
    whole = tape_of(source)
    kept = {(each.process, each.number): each for each in in_order(whole.crossings)[:at]}
    if planned.answer is not None:
        kept[planned.answer.process, planned.answer.number] = planned.answer
    items = [each for each in items_of(origin, run - 1) if each.run == run]
    reads = [each.reads for each in items[: _last(items, kept) + 1] if each.reads is not None]
    session = source.fork(_common(items, kept, planned.answer), {"tags": [*tags]} if tags else None)
    if name is not None:
        session.rename(name)
    folder = _folder_of(data, session)
    taker = Taker(session, folder, run=run, understanding=Understanding(session))
    tape = Tape(whole.about, list(kept.values()), reads)
    about = {"command": clean_command(command), "forked_at": at, "patches": [each.kept for each in planned.requests]}
    code, totals = _run(
        session,
        taker,
        folder,
        lambda poll: run_fork(command, tape, folder, planned.requests, output=output, poll=poll),
        about,
    )
    return session, code, totals


def _common(items: Sequence[Item], kept: dict[tuple[int, int], Crossing], changed: Crossing | None) -> int:
    """Return the last event that a fork copies as it is. The rest of its first steps comes from the program again: the
    step whose answer is patched, and those that ended after one that is not among them."""
    common = items[0].sequence
    for item in items[: _last(items, kept) + 1]:
        crossing = item.crossing
        if crossing is not None:
            found = kept.get((crossing.process, crossing.number))
            if found is None or found is changed:
                break
            common = item.sequence
    return common


def _last(items: Sequence[Item], kept: dict[tuple[int, int], Crossing]) -> int:
    """Return the place of the last kept crossing; that of the beginning if none is kept."""
    places = (
        place
        for place, item in enumerate(items)
        if item.crossing is not None and (item.crossing.process, item.crossing.number) in kept
    )
    return max(places, default=0)


def has_leftovers(data: Path) -> bool:
    """Return whether runs may have left something to take up."""
    root = data / _FOLDER
    return root.is_dir() and any(root.iterdir())


def take_up(data: Path, find: Callable[[str], Session]) -> list[Session]:
    """Journal what runs have left whose parent was killed, and return their sessions. `find` returns a session by its
    id. A program that still runs goes on with its spool: the rest is taken up the next time."""
    root = data / _FOLDER
    found: list[Session] = []
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        try:
            session = find(folder.name)
        except SessionNotFound:
            shutil.rmtree(folder, ignore_errors=True)  # it was deleted
            continue
        try:
            taker = Taker(session, folder, understanding=Understanding(session))
            taker.leave()
        except GreenroomError as error:
            logger.warning("the recording of session %s is not taken up: %s", session.id, error)
            continue
        if taker.crossings:
            found.append(session)
        if not _is_running(folder):
            shutil.rmtree(folder, ignore_errors=True)
    return found


def _folder_of(data: Path, session: Session) -> Path:
    folder = data / _FOLDER / session.id
    folder.mkdir(parents=True)
    return folder


def _is_running(folder: Path) -> bool:
    """Return whether a process that has its spool in a folder still runs."""
    for path in folder.glob("*.spool"):
        pid = next((each.get("pid") for each in SpoolReader(path).poll() if isinstance(each, dict)), None)
        if isinstance(pid, int) and _is_alive(pid):
            return True
    return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):  # a number that is somebody else's is that of another process
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state != "Z"


def _run(
    session: Session,
    taker: Taker,
    folder: Path,
    start: Callable[[Callable[[], None]], int],
    about: dict[str, Any] | None = None,
) -> tuple[int, Totals]:
    """Run a program, take in its spools meanwhile, and the rest when it has ended. What the store refuses is told when
    the program has ended: the program does not die of it, and its spools are taken up later."""
    failures: list[GreenroomError] = []

    def poll() -> None:
        if not failures:
            try:
                taker.take()
            except GreenroomError as error:
                failures.append(error)

    try:
        code = start(poll)
    except ConfigurationError:
        taker.end(about or {})
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if failures:
        raise failures[0]
    taker.end({**(about or {}), "exit_code": code})
    shutil.rmtree(folder, ignore_errors=True)
    steps = in_order(tape_of(session).crossings)
    totals = totals_of(described(number, each) for number, each in enumerate(steps, 1))
    session.update_metadata({TAG: {**asdict(totals), "exit_code": code}})
    return code, totals
