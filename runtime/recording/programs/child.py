"""The side of a recorded or replayed program: makes its reel when Python starts, and ends it when Python ends."""

from __future__ import annotations

import atexit
import itertools
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from greenroom.runtime.recording.boundaries import install
from greenroom.runtime.recording.boundaries.standard import process as processes
from greenroom.runtime.recording.boundaries.standard.environment import credentials_read
from greenroom.runtime.recording.tape.model import Tape
from greenroom.runtime.recording.tape.recorder import Recorder, cut_watched
from greenroom.runtime.recording.tape.reels import Reel, set_process_reel
from greenroom.runtime.recording.tape.report import ReportFile
from greenroom.runtime.recording.tape.spool import read_spool

from .claims import Claims
from .options import LINEAGE, NOT_BEGUN, OPTIONS, WATCH, Options
from .printed import Printed
from .process_sink import FIRST, LINEAGE_READ, ProcessSink, mark_lost

if TYPE_CHECKING:  # a program that is recorded pays for no player
    from greenroom.runtime.recording.tape.fork import ForkReel
    from greenroom.runtime.recording.tape.player import Player
    from greenroom.runtime.recording.tape.report import Tally
    from greenroom.runtime.recording.tape.secrets.redacting import Redactor

__all__ = ["start"]


def start(told: str) -> None:
    """Begin to record or to replay this process. `told` are the options, as JSON."""
    options = Options(**json.loads(told))
    with suppress(OSError):
        os.unlink(os.path.join(options.folder, NOT_BEGUN))
    processes.record_results(options.processes)
    tape = read_spool(options.tape_file) if options.tape_file is not None else None
    child = _Child(options, os.environ.get(LINEAGE) or FIRST, tape)
    child.begin()
    install.install()
    _end_with(child)
    if options.mode == "replay":
        from greenroom.runtime.recording.boundaries.offline import refuse_connections

        refuse_connections(_report)
    if (watched := os.environ.get(WATCH)) is not None:
        from greenroom.runtime.recording.boundaries.watch import watch

        watch(watched, is_first=child.lineage == FIRST)


class _Child:
    """One process of the run."""

    def __init__(self, options: Options, lineage: str, tape: Tape | None) -> None:
        self.options = options
        self.tape = tape
        self.lineage = lineage
        self._children = itertools.count(1)
        self.is_over = False
        """Whether the process is about to end."""
        self._recorder: Recorder | None = None
        self._replay: Player | ForkReel | None = None
        self._sink: ProcessSink | None = None
        self._file: ReportFile | None = None
        self._printed = Printed()

    def begin(self) -> None:
        """Make the reel of this process."""
        options = self.options
        try:
            self.lineage = _claimed(options.folder, self.lineage)
        except OSError as error:  # the disk is full, or can only be read: a program that is recorded goes on
            if options.mode == "replay":
                raise
            mark_lost(options.folder, error)
        reel: Reel
        if options.mode == "replay":
            reel = self._replay = self._player()
        else:
            known = self._number() if options.mode == "fork" else -1
            after = _last_number(self._tape()) if options.mode == "fork" else 0
            self._sink = ProcessSink(
                options.folder, self.lineage, options.hash_seed, self._redactor(), number=known, after=after
            )
            if options.mode == "fork":
                reel = self._replay = self._fork(self._sink)
                self._recorder = self._replay.recorder
            else:
                # a pool ends its processes whenever it likes
                told = {"most_reads": 1} if self._is_further else {}
                reel = self._recorder = Recorder(self._sink, **told)
            if self.lineage == FIRST:
                self._sink.open()
        if not self._is_further:
            self._printed.begin()
        self.write_report()
        set_process_reel(reel)
        processes.set_environment(self.environment)
        _answers_for(self)

    def _player(self) -> Player:
        from greenroom.runtime.recording.tape.player import Player

        options, number = self.options, self._number()
        claim = None if number == 0 else Claims(options.folder).take
        return Player(
            self._tape(),
            strict=options.strict,
            process=number,
            claim=claim,
            sleep=options.sleep,
            answered=self.write_report,
            lenient=options.lenient,
            stirred=options.stirred,
        )

    def _fork(self, sink: ProcessSink) -> ForkReel:
        from greenroom.runtime.recording.tape.fork import ForkReel

        options, number = self.options, self._number()
        claims = Claims(options.folder)
        return ForkReel(
            self._tape(),
            sink,
            changes=_changes(options),
            strict=options.strict,
            process=number,
            claim=claims.take if number else None,
            is_claimed=claims.has,
        )

    def _tape(self) -> Tape:
        assert self.tape is not None, "the launcher gives one"
        return self.tape

    def _number(self) -> int:
        return _number_of(self._tape(), self.lineage)

    def _redactor(self) -> Redactor | None:
        """Return what removes secrets: by the rules of this run, or, in a fork, by those of the recording."""
        if not self.options.redact and self.tape is None:
            return None
        from greenroom.runtime.recording.tape.secrets.redacting import Redactor, redactor_of

        if self.options.redact:
            return Redactor(self.options.redact)
        return redactor_of(self._tape().about)

    def environment(self) -> dict[str, str]:
        """Return the variables of a process that this one is about to start."""
        return {
            OPTIONS: os.environ.get(OPTIONS, ""),
            LINEAGE: self.next_lineage(),
            "PYTHONPATH": self.options.bootstrap,
            "PYTHONHASHSEED": self.options.hash_seed,
        }

    def next_lineage(self) -> str:
        """Return the lineage of the next process that this one starts."""
        return f"{self.lineage}.{next(self._children)}"

    def forked(self, lineage: str) -> _Child:
        """Return what answers for a process that was forked off this one, and leave the parent what is the parent's."""
        if self._recorder is not None:
            self._recorder.abandon()
        if self._sink is not None:
            self._sink.abandon()
        return _Child(self.options, lineage, self.tape)

    def report(self) -> Tally:
        """Return the report of the replay."""
        assert self._replay is not None
        return self._replay.report

    def flush(self) -> None:
        """Keep all that is on its way: the process may be about to end."""
        cut_watched()
        if self._recorder is not None:
            self._recorder.flush()
        if self._sink is not None:
            self._sink.sync()
        self.write_report()

    def end(self, *, in_peace: bool = False) -> None:
        """End the reel. Only the first call counts. `in_peace` says that Python ends by itself, and so prints what is
        still in buffers."""
        if self.is_over:
            return
        if in_peace:
            self._printed.flush()
        self.is_over = True
        self.flush()
        if self._sink is not None:
            last: dict[str, Any] = {"process": self._sink.number, "credentials": credentials_read()}
            if not self._is_further:
                last["output"] = self._printed.to_dict(self._redactor())
            error = getattr(sys, "last_value", None)
            if isinstance(error, BaseException):
                last["exception"] = type(error).__qualname__
            self._sink.about(last)
        set_process_reel(None)
        if self._replay is not None:
            self._replay.end()
            if self._sink is None and not self._is_further:
                self._printed.compare(self._tape().about.get("output"), self._replay.report, self._redactor())
            self.write_report(is_last=True)
        elif self._recorder is not None:
            self._recorder.close()

    def write_report(self, *, is_last: bool = False) -> None:
        """Write the report of a replay as it stands."""
        if self._replay is None:
            return
        if self._file is None:
            self._file = ReportFile(os.path.join(self.options.folder, f"{self.lineage}.report"))
        waiting = 0 if self._is_further or is_last else self._replay.waiting
        self._file.write(self._replay.report, waiting=waiting, is_last=is_last)

    @property
    def _is_further(self) -> bool:
        """Whether another process of the run has started this one, and may end it at any time."""
        return self.lineage != FIRST


def _claimed(folder: str, lineage: str) -> str:
    """Return a lineage that no other process has: those that a shell or another program has started in between have the
    same, and count."""
    for number in itertools.count():
        claimed = f"{lineage}~{number}" if number else lineage
        with suppress(FileExistsError):
            os.close(os.open(os.path.join(folder, f"{claimed}.process"), os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            return claimed
    raise AssertionError


def _number_of(tape: Tape, lineage: str) -> int:
    """Return which process of a tape this one is; -1 if none was recorded."""
    if lineage == FIRST:
        return 0
    for reads in tape.reads:
        for *what, told in reads.reads:
            if tuple(what) == LINEAGE_READ and isinstance(told, Mapping) and told.get("lineage") == lineage:
                return reads.process
    return -1


def _last_number(tape: Tape) -> int:
    """Return the highest number of a process on a tape."""
    processes = {each.process for each in tape.crossings} | {each.process for each in tape.reads}
    return max(processes, default=0)


def _changes(options: Options) -> Any:
    """Return what changes the live calls of a fork."""
    if options.changes is None:
        return None
    module, _, function = options.changes[0].partition(":")
    return getattr(import_module(module), function)(options.changes[1])


_child: _Child | None = None
_reserved: Final = threading.local()


def _answers_for(child: _Child) -> None:
    global _child
    _child = child


def _end_with(child: _Child) -> None:
    """Have the reel end with the process, however that ends."""
    atexit.register(_end, in_peace=True)
    os.register_at_fork(before=_before_fork, after_in_child=_in_forked)
    _call_before("_exit", _end)
    _call_before("execv", _flush)  # it may fail, and then the program goes on
    _call_before("execve", _flush)
    # Only in the first process: a handler in Python may come too late for one that waits in C, as workers of pools do.
    if child.lineage == FIRST and _is_main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminated)


def _end(*, in_peace: bool = False) -> None:
    if _child is not None:
        _child.end(in_peace=in_peace)


def _before_fork() -> None:
    _reserved.lineage = _child.next_lineage() if _child is not None else FIRST


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _in_forked() -> None:
    if _is_main_thread() and signal.getsignal(signal.SIGTERM) is _terminated:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if _child is not None:
        lineage = _reserved.lineage
        child = _child.forked(lineage)
        child.begin()
        os.environ[LINEAGE] = lineage


def _flush() -> None:
    if _child is not None:
        _child.flush()


def _report() -> Tally:
    assert _child is not None
    return _child.report()


def _call_before(name: str, first: Callable[[], None]) -> None:
    own: Callable[..., Any] = getattr(os, name)

    def called(*args: Any, **kwargs: Any) -> Any:
        with suppress(Exception):
            first()
        return own(*args, **kwargs)

    called.__name__ = called.__qualname__ = name
    setattr(os, name, called)


def _terminated(number: int, frame: FrameType | None) -> None:
    """Keep what is on its way, and die of the signal as the program would have."""
    if _child is not None and _child.is_over:
        return  # it ends already, and has to put away what it has
    with suppress(Exception):
        _end()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
