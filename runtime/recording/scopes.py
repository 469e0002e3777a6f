"""Record the code in a `with` block into a session, and answer it from there."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from greenroom.runtime.handles.session import Session, core_of
from greenroom.storage.common.logs import logger_of
from greenroom.storage.errors import InvalidOperation

from .boundaries.install import install
from .journal.reading import tape_of
from .journal.writing import redactor_for
from .spooled import BlockSink
from .tape.held.errors import held_error
from .tape.nested import NestedReel
from .tape.player import Player
from .tape.recorder import Recorder
from .tape.reels import active, playing
from .tape.secrets.redacting import redactor_of

if TYPE_CHECKING:
    from greenroom.runtime.core import RuntimeCore

    from .tape.report import ReplayReport

__all__ = ["RecordedBlock", "ReplayedBlock", "Replaying"]

logger = logger_of("recording")


class RecordedBlock(AbstractContextManager["Session"]):
    """A block whose code is recorded: threads that it starts and tasks that it creates belong to it, and other code of
    the process does not. `begin` and `finish` may take place on other threads than the block itself."""

    def __init__(
        self, core: RuntimeCore, session: Callable[[], Session], redact: str | Iterable[str] | None = None
    ) -> None:
        """`session` returns the session to record into. Raises ValidationError for rules that are none."""
        redactor_for(core, redact)
        self._session = session
        self._redact = redact
        self._recorder: Recorder | None = None
        self._sink: BlockSink | None = None
        self._playing: AbstractContextManager[None] | None = None

    def begin(self) -> Session:
        """Begin the recording, and return its session."""
        if self._recorder is not None:
            raise InvalidOperation("this block is being recorded already: call rt.recording() for each block")
        install()
        session = self._session()
        self._sink = BlockSink(session, _about(), redact=self._redact)
        self._recorder = Recorder(self._sink)
        return session

    def enter(self) -> None:
        """Record what the running code does from now on."""
        assert self._recorder is not None
        outer = active()
        self._playing = playing(self._recorder if outer is None else NestedReel(outer, self._recorder))
        self._playing.__enter__()

    def leave(self) -> None:
        """Record no more of what the running code does."""
        playing, self._playing = self._playing, None
        if playing is not None:
            playing.__exit__(None, None, None)

    def finish(self, error: BaseException | None) -> None:
        """Note that the block has ended, and what it raised. What was recorded is journaled and understood behind the
        caller's back, or when somebody reads the session. Raises nothing about a recording that has ended early: it is
        logged, and `failure` in its tape says why."""
        recorder, sink = self._recorder, self._sink
        self._recorder = self._sink = None
        if recorder is None or sink is None:
            return
        recorder.close()
        told: dict[str, Any] = {"ended_at": time.time_ns()}
        if recorder.under_way:
            told["under_way"] = recorder.under_way
            logger.warning("%d calls were under way when a recording ended: they are not in it", recorder.under_way)
        if error is not None:
            told["error"] = held_error(error)
        if recorder.failure is not None:
            told["failure"] = f"{type(recorder.failure).__name__}: {recorder.failure}"
        sink.finish(told)

    def __enter__(self) -> Session:
        session = self.begin()
        self.enter()
        return session

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.leave()
        finally:
            self.finish(error)


def _about() -> dict[str, Any]:
    return {
        "command": [],
        "directory": os.getcwd(),
        "python": sys.version.split()[0],
        "started_at": time.time_ns(),
    }


class Replaying:
    """A block that is answered from a recording."""

    __slots__ = ("_player",)

    def __init__(self, player: Player) -> None:
        self._player = player

    @property
    def report(self) -> ReplayReport:
        """What was answered exactly, what had moved or drifted, and, once the block has ended, what was left over."""
        return self._player.report

    def __repr__(self) -> str:
        return f"<Replaying {self._player.report!r}>"


class ReplayedBlock(AbstractContextManager[Replaying]):
    """A block whose code is answered from a recording. `begin` may take place on another thread."""

    def __init__(self, session: Session, *, run: int | None = None, strict: bool = False) -> None:
        self._session = session
        self._run = run
        self._strict = strict
        self._player: Player | None = None
        self._playing: AbstractContextManager[None] | None = None

    def begin(self) -> Replaying:
        """Read the recording. Raises what `tape_of` raises."""
        if self._playing is not None:
            raise InvalidOperation("this block is being replayed already: call rt.replaying() for each block")
        install()
        tape = tape_of(self._session, run=self._run)
        core = core_of(self._session)
        also = core.redaction.text if core.redaction is not None and callable(core.config.redact) else None
        self._player = Player(tape, strict=self._strict, redactor=redactor_of(tape.about, also))
        return Replaying(self._player)

    def enter(self) -> None:
        """Answer what the running code asks from now on."""
        assert self._player is not None
        self._playing = playing(self._player)
        self._playing.__enter__()

    def leave(self, error: BaseException | None) -> None:
        """Answer no more. Raises ReplayError if the replay has stopped and the block ends without an error: clients of
        HTTP and programs may have caught it."""
        playing, self._playing = self._playing, None
        if playing is not None:
            playing.__exit__(None, None, None)
        if self._player is not None:
            self._player.end()
            if error is None and self._player.stopped is not None:
                raise self._player.stopped

    def __enter__(self) -> Replaying:
        replaying = self.begin()
        self.enter()
        return replaying

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave(error)
