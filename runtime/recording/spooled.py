"""What a block of a host records: it is put into a spool, and journaled behind the block.

The spool is a file in the folder of the store, which the lock of the store protects: `recordings/SESSION-RUN.spool`.
What a boundary hands to the program stands in it before, with one write, so a process that is killed loses none of it.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from contextvars import copy_context
from typing import Any, Final

from greenroom.runtime.core import RECORDINGS, RuntimeCore
from greenroom.runtime.handles.session import Session, core_of
from greenroom.storage.common.logs import logger_of
from greenroom.storage.common.session_ids import is_session_id
from greenroom.storage.errors import (
    GreenroomError,
    IntegrityError,
    InvalidSessionState,
    ResourceLimitExceeded,
    SessionNotFound,
    StorageError,
    StorageFull,
    ValidationError,
)

from .journal.taking import Taker
from .journal.writing import JournalSink
from .tape.model import Crossing, Reads
from .tape.spool import SPOOL, SpoolReader, SpoolSink, SpoolWriter
from .understanding.derived import understand_quietly

__all__ = ["BlockSink", "take_up"]

logger = logger_of("recording")

_SLICE: Final = 1 << 20
"""Bytes that wait for the journal before the thread in the background is woken."""
_MOST: Final = 64 << 20
"""Bytes that wait before the program itself journals them."""
_PATIENCE: Final = 10.0
"""Seconds that a reader waits for another thread which journals the same spool, before it reads without."""
_REFUSED: Final = (InvalidSessionState, ResourceLimitExceeded, SessionNotFound, ValidationError, IntegrityError)
"""Errors that come again however often one tries. After any other, the spool is journaled later."""


class _Spooled:
    """A spool on its way into the journal: whoever reads the session first takes it there, or else the thread in the
    background. What is there already, because a process was killed in between, is not taken again. What is in the
    journal does not stay in the spool, so what is deleted from the store stands nowhere else. Safe for threads."""

    def __init__(self, session: Session, run: int, sink: JournalSink | None = None) -> None:
        """`sink` is the one with which the recording has begun here; None if another process has begun it."""
        self.core = core_of(session)
        self.path = self.core.path / RECORDINGS / f"{session.id}-{run}{SPOOL}"
        self.failure: Exception | None = None
        """What refuses the rest."""
        self.writer: SpoolWriter | None = None
        self.appending = threading.Lock()
        self._session = session
        self._run = run
        self._ended: Mapping[str, Any] | None = None
        self._context = copy_context()
        self._taking = threading.RLock()
        self._is_taking = self._is_taken = self._is_late = False
        self._reader = SpoolReader(self.path)
        self._taker = Taker(session, self._reader, sink=sink) if sink is not None else None
        self.core.owed.stand(session.id, self.take)

    @property
    def waiting(self) -> int:
        """How many bytes are not in the journal yet."""
        return self.writer.size - self._reader.at if self.writer is not None else 0

    def end(self, about: Mapping[str, Any]) -> None:
        """Have the rest journaled, and understood: nothing more comes. `about` says how the recording has ended."""
        self._ended = about
        self._understand()

    def take(self) -> None:
        """Journal what has come."""
        if (self._ended is None and not self.waiting) or not self._taking.acquire(timeout=_PATIENCE):
            return
        try:
            if not self._is_taking:
                self._is_taking = True
                try:
                    self._context.run(self._take)
                finally:
                    self._is_taking = False
        finally:
            self._taking.release()

    def _take(self) -> None:
        ended = self._ended
        try:
            taker = self._taker
            if taker is None:
                self._reader = SpoolReader(self.path)
                taker = self._taker = Taker(self._session, self._reader, run=self._run, is_clean=True)
            try:
                taker.take()
                taker.flush()
            except _REFUSED as error:
                self._refused(taker, error)
            self._begin_anew(taker)
            if ended is not None and (ended or taker.has_ended):
                taker.end({**ended})
        except _REFUSED as error:
            self._refused(self._taker, error)
        except (GreenroomError, OSError) as error:
            if not self._is_late:
                logger.warning("what was recorded in session %s is journaled later: %s", self._session.id, error)
            self._is_late = True
            self._look_again()
            return
        except Exception as error:
            logger.exception("what was recorded in session %s cannot be journaled", self._session.id)
            self._refused(self._taker, error)
        except BaseException:
            self._look_again()
            raise
        self._is_late = False
        if ended is not None:
            self._is_taken = True
            self._understand()  # once more, if it was too late for what `end` has asked for
            self.core.owed.fall(self._session.id, self.take)

    def _look_again(self) -> None:
        """Have the next one look what the journal has: not all that was read is there."""
        self._taker = None
        self._reader = SpoolReader(self.path)

    def _understand(self) -> None:
        self.core.owed.add(self._session.id, lambda: understand_quietly(self._session), self._remove)

    def _remove(self) -> None:
        """Remove the spool, which somebody takes up again if it is there, once the recording is understood."""
        if self._is_taken:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)

    def _refused(self, taker: Taker | None, error: Exception) -> None:
        if taker is not None:
            taker.stop(error)
        if self.failure is None:
            self.failure = error
            logger.error("the recording in session %s ends before its block: %s", self._session.id, error)

    def _begin_anew(self, taker: Taker) -> None:
        """Begin the file anew, if all of it is in the journal."""
        with self.appending:
            writer = self.writer
            if writer is not None and writer.is_open and self._reader.at and not self.waiting:
                try:
                    writer.begin_anew({"reads": taker.reads_taken})
                except OSError as error:  # it may be without what tells how many reads came before
                    self._refused(taker, error)
                self._reader.at = writer.size


class BlockSink:
    """A sink for the recorder of a block. When `crossing` returns, a crash of the process loses it no more.

    Every method but `finish` raises what refuses it: InvalidSessionState if the session has ended, StorageFull or
    StorageError if the disk takes nothing more, RuntimeClosed."""

    def __init__(
        self, session: Session, about: Mapping[str, Any], *, redact: str | Iterable[str] | None = None
    ) -> None:
        """Begin a recording in a session. Raises what refuses it, and ValidationError."""
        core_of(session).owed.take(session.id)  # what was recorded there before comes before
        journal = JournalSink(session, about, redact=redact)
        self._redactor, journal.redactor = journal.redactor, None  # what stands in the spool is clean
        self._journal = journal
        self._spooled = _Spooled(session, journal.run, journal)
        self._sink: SpoolSink | None = None

    def crossing(self, crossing: Crossing) -> None:
        """Put a crossing into the spool, after the reads that came before it."""
        if self._redactor is not None:
            crossing = self._redactor.crossing(crossing)
        spooled = self._spooled
        if spooled.failure is not None or spooled.core.lifetime.closed:
            self._check()
        try:
            with spooled.appending:
                (self._sink if self._sink is not None else self._opened()).crossing(crossing)
        except OSError as error:
            self._failed(error)
            self._journal.crossing(crossing)
        if spooled.waiting > _SLICE:
            spooled.core.owed.hurry()
            if spooled.waiting > _MOST:
                spooled.take()

    def reads(self, reads: Reads) -> None:
        """Hold reads for the next crossing, unless they have become many."""
        if self._redactor is not None:
            reads = self._redactor.reads(reads)
        self._check()
        try:
            with self._spooled.appending:
                (self._sink if self._sink is not None else self._opened()).reads(reads)
        except OSError as error:
            self._failed(error)
            self._journal.reads(reads)

    def close(self) -> None:
        """Put what is held into the spool."""
        self._put(lambda sink: sink.sync())

    def finish(self, about: Mapping[str, Any]) -> None:
        """Note that the recording has ended. A failure is logged."""
        told = dict(about) if self._redactor is None else self._redactor.about(about)
        spooled = self._spooled
        if spooled.core.lifetime.closed:  # in a process that was forked off, a thread that it has not may hold the lock
            logger.warning("a recording in a runtime that is closed has no end: %s", spooled.path.name)
            if spooled.writer is not None:
                spooled.writer.close()
            return
        try:
            self._put(lambda sink: sink.about(told))
        except GreenroomError as error:
            logger.error("the end of a recording is not in its spool: %s", error)
        with spooled.appending:
            if spooled.writer is not None:
                spooled.writer.close()
        spooled.end(told)

    def _put(self, put: Callable[[SpoolSink], None]) -> None:
        """Put into the spool what belongs there if there is one."""
        sink = self._sink
        if sink is not None:
            self._check()
            try:
                with self._spooled.appending:
                    put(sink)
            except OSError as error:
                self._failed(error)

    def _check(self) -> None:
        self._spooled.core.check_open()  # it is not, in a process that was forked off: the file is that of its parent
        if self._spooled.failure is not None:
            raise self._spooled.failure

    def _failed(self, error: OSError) -> None:
        """Raise what a spool cannot be written for; but if this process has too many files open for one more, return:
        then it goes without."""
        if self._sink is None and error.errno in (errno.EMFILE, errno.ENFILE):
            return
        kind = StorageFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageError
        raise kind(f"a recording cannot be written: {error.strerror}", path=str(self._spooled.path)) from error

    def _opened(self) -> SpoolSink:
        path = self._spooled.path
        path.parent.mkdir(exist_ok=True)
        self._spooled.writer = SpoolWriter(path)
        self._sink = SpoolSink(self._spooled.writer)
        return self._sink


def take_up(core: RuntimeCore, session: Callable[[str], Session]) -> None:
    """Have what killed processes left in the spools of their blocks journaled before anybody reads their sessions.
    `session` returns a handle on a session."""
    for path in sorted((core.path / RECORDINGS).glob(f"*{SPOOL}")):
        session_id, _, run = path.name.removesuffix(SPOOL).rpartition("-")
        if is_session_id(session_id) and run.isascii() and run.isdigit():
            _Spooled(session(session_id), int(run)).end({})
