"""The run of one test with a cassette: recorded, or answered from what was recorded."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from greenroom.runtime.recording.boundaries.install import install
from greenroom.runtime.recording.programs.credentials import stand_ins
from greenroom.runtime.recording.tape import lanes
from greenroom.runtime.recording.tape.model import Asked, Crossing, Reads, Tape
from greenroom.runtime.recording.tape.player import Played, Player
from greenroom.runtime.recording.tape.recorder import Recorder
from greenroom.runtime.recording.tape.reels import set_process_reel

from .changes import changes_between

__all__ = ["CassetteRun"]

_MOST_TOLD: Final = 10


class CassetteRun:
    """What `greenroom_recording` gives to a test. While it runs, all code of the process is recorded or answered."""

    def __init__(self, name: str, path: Path | None, tape: Tape | None) -> None:
        """Begin a replay of a tape, or without one a recording."""
        self.name = name
        self.path = path
        """The bundle; None for a session of a store."""
        self.tape = tape if tape is not None else Tape({"command": ["pytest", name], "started_at": time.time_ns()})
        self.is_recording = tape is None
        self.player: _Watched | None = None
        self._keys: dict[str, str] = {}
        """What stands for keys of providers in a replay: their clients want one, though nobody is called."""
        self._recorder: Recorder | None = None

    def begin(self) -> None:
        """Let all that crosses a boundary from now on be recorded or answered."""
        install()
        lanes.begin_anew()
        if self.is_recording:
            self._recorder = Recorder(_InMemory(self.tape))
            set_process_reel(self._recorder)
        else:
            self._keys = stand_ins(os.environ)
            os.environ.update(self._keys)
            self.player = _Watched(self.tape)
            set_process_reel(self.player)

    def end(self) -> None:
        """End the recording or the replay."""
        set_process_reel(None)
        for name, value in self._keys.items():
            if os.environ.get(name) == value:
                del os.environ[name]
        if self._recorder is not None:
            self._recorder.close()

    def problems(self) -> list[str]:
        """Return what the test does otherwise than when it was recorded, as paragraphs. Ends the replay."""
        if self.player is None:
            return []
        self.player.end()
        return list(self.player.told())


class _InMemory:
    """A sink that appends to a tape."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    def crossing(self, crossing: Crossing) -> None:
        self._tape.crossings.append(crossing)

    def reads(self, reads: Reads) -> None:
        self._tape.reads.append(reads)

    def close(self) -> None:
        """Nothing is on the way."""


class _Watched(Player):
    """A player that keeps what it was asked in place of what was recorded."""

    def __init__(self, tape: Tape) -> None:
        super().__init__(tape)
        self._recorded = {each.number: each for each in tape.crossings}
        self._asking = threading.Lock()
        self._given: dict[int, Mapping[str, Any]] = {}
        """The inputs of now, by the number of the crossing that has answered."""

    def begin(self, asked: Asked) -> Played:
        """Answer a crossing: see `Player`."""
        with self._asking:
            known = len(self.report.drifts)
            pending = super().begin(asked)
            for each in self.report.drifts[known:]:
                if each.what == "drifted":
                    self._given[each.number] = self.call_of(asked).input
        return pending

    def told(self) -> Iterator[str]:
        """Yield what was other than recorded, each in a paragraph."""
        report = self.report
        if report.refused is not None:
            yield report.refused
        changed = self._changed()
        for (name, place, what), numbers in list(changed.items())[:_MOST_TOLD]:
            calls = f"call{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}, {name}"
            yield "\n".join([f"{calls}: not what was recorded at {place}", *what])
        if len(changed) > _MOST_TOLD:
            yield f"… and {len(changed) - _MOST_TOLD} other changes"
        unused = [each for each in report.drifts if each.what == "unused"]
        if unused:
            listed = [f"call {each.number}, {each.name}, at {each.place}" for each in unused[:_MOST_TOLD]]
            more = [f"… and {report.unused - _MOST_TOLD} more"] if report.unused > _MOST_TOLD else []
            yield "\n".join(["recorded, and not made now:", *listed, *more])

    def _changed(self) -> dict[tuple[str, str, tuple[str, ...]], list[int]]:
        """Return the numbers of the calls that have changed, by name, place and what is different: a prompt that is
        sent with each call is told once. A call of a fork that a patch has changed differs in nothing from that of a
        program with the same change."""
        found: dict[tuple[str, str, tuple[str, ...]], list[int]] = {}
        for each in self.report.drifts:
            if each.what != "drifted":
                continue
            recorded, given = self._recorded.get(each.number), self._given.get(each.number)
            lines = [each.difference]
            if recorded is not None and given is not None:
                lines = changes_between(each.kind, recorded.input, given)
            if lines:
                found.setdefault((each.name, each.place, tuple(lines)), []).append(each.number)
        return found
