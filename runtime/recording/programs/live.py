"""Run a program live, and put into the store what it did: from its beginning, or as a fork of a recording.

The store is open only before and after the program runs. Meanwhile, what its processes put into their spools is taken
into the store by whoever opens it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

from greenroom.runtime.handles.session import Session
from greenroom.runtime.recording.journal.forms import TAG
from greenroom.runtime.recording.journal.reading import Item, items_of, runs_of, source_of, tape_of
from greenroom.runtime.recording.journal.taking import Taker
from greenroom.runtime.recording.patches.plan import Plan
from greenroom.runtime.recording.tape.fork import LATER
from greenroom.runtime.recording.tape.model import Crossing, Tape, in_order
from greenroom.runtime.recording.tape.secrets.redacting import Redactor, kept_rules
from greenroom.runtime.recording.tape.secrets.urls import clean_command
from greenroom.runtime.recording.understanding.derived import Understanding
from greenroom.storage.common.logs import logger_of
from greenroom.storage.errors import GreenroomError, SessionAlreadyExists, SessionNotFound, StoreLocked

from .described import Totals, described, totals_of
from .folder import Run, RunFolder, folders_in
from .launch import lost_in
from .running import run_fork, run_live

__all__ = [
    "Fork",
    "Journaled",
    "Opening",
    "Recorded",
    "Sessions",
    "journal",
    "plan_fork",
    "record",
    "run_planned",
    "take_up",
]

_PATIENCE: Final = 10.0
"""Seconds that a run which has ended waits for a store that another process has open."""
_PAUSE: Final = 0.05

logger: Final = logger_of("recording")


class Sessions(Protocol):
    """What is needed of a store that is open: a `Runtime` has it."""

    @property
    def path(self) -> Path:
        """The directory of the store."""

    def session(self, session_id: str) -> Session:
        """Return a session."""

    def create_session(self, *, name: str | None, tags: Iterable[str], key: str | None) -> Session:
        """Create one."""


Opening = Callable[[], AbstractContextManager[Sessions]]
"""Opens the store for writing."""


@dataclass(frozen=True, slots=True)
class Journaled:
    """A run in the store: its session, what it comes to, and whether the run has ended."""

    session_id: str
    totals: Totals
    has_ended: bool
    crossings: int
    """How many were put there now."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run that has ended: the exit code of the program, why something of it is not kept (None: all is), and the
    folder of its spools, which go into the store with `journal`."""

    code: int
    lost: str | None
    folder: RunFolder


def record(
    data: Path,
    command: Sequence[str],
    run: Run,
    *,
    redact: Sequence[str] = (),
    processes: bool = False,
) -> Recorded:
    """Run a program whose processes put what they do into spools beside the store in `data`.

    Raises OSError if no spools can be written there, and ConfigurationError if the program cannot be run: then nothing
    has run.
    """
    about: dict[str, Any] = {"command": clean_command(command)} | ({"processes": True} if processes else {})
    about = Redactor(redact).about(about) if redact else about
    folder = RunFolder.make(data, replace(run, about=about))
    return _run(folder, lambda: run_live(command, folder.path, processes=processes, redact=redact))


@dataclass(frozen=True, slots=True)
class Fork:
    """A fork that is about to run."""

    session_id: str
    folder: RunFolder
    tape: Tape
    """What answers its first steps."""
    command: list[str]
    planned: Plan
    redact: list[str]


def plan_fork(
    store: Sessions,
    source: Session,
    at: int,
    planned: Plan,
    command: Sequence[str],
    *,
    name: str | None = None,
    tags: Iterable[str] = (),
    redact: Sequence[str] = (),
) -> Fork:
    """Make the session of a fork, below the recorded one: the first `at` steps are answered from the recording, the
    rest will be live. `planned` says what is changed, `redact` is added to the rules of the recording.

    Raises IntegrityError if the recording is damaged, OSError if no spools can be written beside the store.
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
    rules = [*kept_rules(whole.about), *redact]
    ended: dict[str, Any] = {
        "command": clean_command(command),
        "forked_at": at,
        "patches": [each.kept for each in planned.requests],
    }
    ended = Redactor(rules).about(ended) if rules else ended
    folder = RunFolder.make(store.path, Run(session=session.id, number=run, ended=ended))
    later = [each.key for each in whole.crossings if (each.process, each.number) not in kept]
    tape = Tape({**whole.about, LATER: later}, list(kept.values()), reads)
    return Fork(session.id, folder, tape, [*command], planned, rules)


def run_planned(fork: Fork, *, output: int | None = None) -> Recorded:
    """Run a fork. `output` is a file descriptor to print to, if not this process's own stdout."""
    path = fork.folder.path
    return _run(
        fork.folder,
        lambda: run_fork(fork.command, fork.tape, path, fork.planned.requests, redact=fork.redact, output=output),
    )


def _run(folder: RunFolder, start: Callable[[], int]) -> Recorded:
    try:
        code = start()
    except GreenroomError:  # nothing has run
        folder.remove()
        raise
    lost = lost_in(folder.path) or (None if folder.has_ended else "the disk takes nothing more")
    return Recorded(code, lost, folder)


def journal(opening: Opening, recorded: Recorded) -> Journaled:
    """Put a run that has ended into the store. One that another process has open is waited for, ten seconds.

    Raises StorageError if the store cannot be written: the spools stay, for `take_up`.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with opening() as store:
                ended = {} if recorded.folder.has_ended else {"exit_code": recorded.code, "failure": recorded.lost}
                done = _taken(store, recorded.folder, ended=ended)
            recorded.folder.remove()
            return done
        except StoreLocked:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE)


def take_up(store: Sessions) -> list[Journaled]:
    """Put into the store what runs have in their spools: of those that go on, what they have so far; of those whose
    recorder was killed, or could not write the store, all. A program that still runs goes on with its spool, which is
    taken up the next time."""
    found = []
    for folder in folders_in(store.path):
        is_left = folder.hold()
        try:
            is_over = is_left and (folder.has_ended or not folder.is_running)
            if folder.read() is None:
                done = None
            else:
                done = _taken(store, folder, ended={} if is_left and folder.has_ended else None, is_over=is_over)
        except SessionNotFound:  # it was deleted
            done, is_over = None, is_left
        except (GreenroomError, OSError) as error:
            logger.warning("what was recorded in %s is not taken up: %s", folder.path, error)
            done, is_over = None, False
        if is_over:
            folder.remove()
        folder.release()
        found += [done] if done is not None and done.crossings else []
    return found


def _taken(store: Sessions, folder: RunFolder, *, ended: dict[str, Any] | None, is_over: bool = True) -> Journaled:
    """Take the spools of a run into its session. `ended` says how the run has ended, beside what its recorder has said
    in the folder; None if that is not known, or it goes on."""
    run = folder.read()
    assert run is not None
    session = _session_of(store, run, folder)
    taker = Taker(session, folder.path, run=run.number, about=run.about, understanding=Understanding(session))
    if ended is not None:
        taker.end({**run.ended, **ended})
    else:
        taker.leave()
    totals = Totals()
    if is_over:
        tape = tape_of(session)
        totals = totals_of(described(number, each) for number, each in enumerate(in_order(tape.crossings), 1))
        told: dict[str, Any] = {name: tape.about[name] for name in ("exit_code", "signal") if name in tape.about}
        session.update_metadata({TAG: {**asdict(totals), **told}})
    return Journaled(session.id, totals, is_over, taker.crossings)


def _session_of(store: Sessions, run: Run, folder: RunFolder) -> Session:
    """Return the session of a run; make it if there is none. If its key was taken meanwhile, it has none."""
    if run.session is not None:
        return store.session(run.session)
    try:
        session = store.create_session(name=run.name, tags=run.tags, key=run.key)
    except SessionAlreadyExists:
        logger.warning("the key %r was taken while a program was recorded: its session has none", run.key)
        session = store.create_session(name=run.name, tags=run.tags, key=None)
    folder.write(replace(run, session=session.id))
    return session


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
