"""The recorder: a reel that puts on the tape what crosses a boundary."""

from __future__ import annotations

import atexit
import itertools
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import perf_counter_ns, time_ns
from types import CodeType
from typing import Any, Final, TypeVar
from weakref import ref

from .lanes import current
from .model import PATCHED, Asked, Crossing, Reads, Sink, key_of
from .reels import Partial, Reel
from .secrets.urls import REDACTED
from .sites import place as place_from
from .sites import place_of

__all__ = ["Recorder", "cut_watched"]

T = TypeVar("T")

MOST_READS: Final = 4096
"""Reads that wait for the next crossing."""


class Recorder(Reel):
    """Puts crossings and reads on a tape. Safe for threads and signal handlers.

    ```python
    recorder = Recorder(sink)
    set_process_reel(recorder)  # or: with playing(recorder)
    ...
    recorder.close()
    ```

    A sink that raises ends the recording, not the program: the error is logged and stands in `failure`.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        process: int = 0,
        after_number: int = 0,
        after_tick: int = 0,
        most_reads: int = MOST_READS,
    ) -> None:
        """Make a recorder for one process. `after_number` and `after_tick` are the last ones that are on the tape
        already, when a fork goes on with it. `most_reads` is how many reads wait for a crossing."""
        self._most_reads = most_reads
        self.failure: Exception | None = None
        """Why the recording ended early, if it did."""
        self._sink = sink
        self._process = process
        self._number = after_number
        self._not_kept = 0
        self._ticks = itertools.count(after_tick + 1)
        self._reads: list[tuple[str, str, str, str, Any]] = []
        self._lock = threading.RLock()
        self._waiting: deque[Crossing] = deque()
        self._keeping = False
        self._open = True

    def begin(self, asked: Asked) -> _Recording:
        """Begin a crossing: see `Reel`."""
        kind, name, input, key = asked
        place, lane, digest = place_from(), current().name, key_of(kind, name, input, key)
        with self._lock:
            self._not_kept += 1
            self._number = number = self._number + 1
            began = next(self._ticks)
        return _Recording(
            self,
            Crossing(number, kind, name, place, lane, input, {}, began, [], time_ns(), 0, self._process, digest),
        )

    def read(self, kind: str, name: str, code: CodeType, line: int, live: Callable[[], T]) -> T:
        """Return the value of a quick read, and put it on the tape."""
        value = live()
        reads = self._reads
        reads.append((kind, name, place_of(code, line), current().name, value))
        if len(reads) >= self._most_reads:
            self.flush()
        return value

    def note(self, kind: str, name: str, place: str, value: object) -> None:
        """Put the value of a read on the tape."""
        reads = self._reads
        reads.append((kind, name, place, current().name, value))
        if len(reads) >= self._most_reads:
            self.flush()

    def next_tick(self) -> int:
        """Return the next tick."""
        return next(self._ticks)

    def keep(self, crossing: Crossing) -> None:
        """Hand a crossing to the sink, after the reads that came before it."""
        with self._lock:
            self._not_kept -= 1
            if self._reads or self._waiting or self._keeping:
                self._waiting.append(crossing)
                self._drain()
                return
            self._keeping = True
            try:
                self._guarded(self._sink.crossing, crossing)
            finally:
                self._keeping = False
            if self._waiting:
                self._drain()

    @property
    def under_way(self) -> int:
        """How many crossings have begun and not ended."""
        return self._not_kept

    def flush(self) -> None:
        """Hand all reads to the sink."""
        with self._lock:
            self._drain()

    def close(self) -> None:
        """End the recording. Of what still crosses a boundary, that is put on the tape which the program has got."""
        with self._lock:
            if not self._open:
                return
            cut_watched(self)
            self._drain()
            self._guarded(self._sink.close)
            self._open = False

    def abandon(self) -> None:
        """Keep nothing more and touch the sink no more: in a forked child, it belongs to the parent."""
        self._open = False
        self._lock = threading.RLock()  # a thread that is not in this process may have held the other

    def _drain(self) -> None:
        """Hand over what waits. A signal handler that comes in between leaves what it has to the code it interrupts."""
        if self._keeping:
            return
        self._keeping = True
        try:
            while True:
                count = len(self._reads)
                if count:
                    reads = self._reads[:count]
                    del self._reads[:count]  # others append meanwhile
                    self._guarded(self._sink.reads, Reads(reads, self._process))
                if not self._waiting:
                    break
                self._guarded(self._sink.crossing, self._waiting.popleft())
        finally:
            self._keeping = False

    def _guarded(self, call: Callable[..., None], *args: object) -> None:
        if self.failure is not None or not self._open:
            return
        try:
            call(*args)
        except Exception as error:
            self.failure = error
            from greenroom.storage.common.logs import logger_of

            logger_of("recording").error("The recording ends here, the program goes on: %s", error)


class _Recording:
    """A crossing that is being recorded."""

    __slots__ = ("_crossing", "_partial", "_recorder", "_since", "changed")

    recorded: Mapping[str, Any] | None = None

    def __init__(self, recorder: Recorder, crossing: Crossing) -> None:
        self._recorder: Recorder | None = recorder
        self._crossing = crossing
        self.changed: Mapping[str, Any] | None = None
        self._partial: ref[Partial] | None = None
        self._since = perf_counter_ns()

    def tick(self) -> None:
        """Count what is handed to the program."""
        if self._recorder is not None:
            self._crossing.ticks.append(next(self._recorder._ticks))

    async def atick(self) -> None:
        """Count what is handed to the program."""
        self.tick()

    def change(self, changed: Mapping[str, Any], key: bytes) -> None:
        """Have the call made with other fields. They are what is recorded, but for the values of headers, which may be
        secret; what identifies the call in a replay is `key`, the digest of what the program gave."""
        self.changed = changed
        given = self._crossing.input
        if "headers" in changed:
            others = [each for each in given.get("headers") or () if each[0] not in changed["headers"]]
            changed = {**changed, "headers": [*others, *([name, REDACTED] for name in dict(changed["headers"]))]}
        self._crossing.input = {**given, **changed, PATCHED: True}
        self._crossing.key = key

    def watch(self, partial: Partial) -> None:
        """Take where the outcome is gathered, in case the recording ends first."""
        if self._recorder is not None:
            self._partial = ref(partial)
            _watched.add(self)

    def cut(self, recorder: Recorder | None) -> None:
        """Put on the tape what the program has got, if it is that of this recorder, or of any."""
        partial = self._partial() if self._partial is not None else None
        if partial is not None and recorder in (None, self._recorder):
            self.finish(partial.so_far())

    def finish(self, outcome: Mapping[str, Any]) -> None:
        """Put the crossing on the tape. Only the first call counts."""
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            if self._partial is not None:
                _watched.discard(self)
            self._crossing.outcome = outcome
            self._crossing.duration = perf_counter_ns() - self._since
            recorder.keep(self._crossing)

    def fail(self, error: BaseException) -> None:
        """Put the crossing on the tape with the exception that the program gets."""
        from .held.errors import held_error

        self.finish({"error": held_error(error)})


_watched: Final[set[_Recording]] = set()
"""Crossings whose outcome comes bit by bit, and has begun to come."""


def cut_watched(recorder: Recorder | None = None) -> None:
    """Put on the tape, of calls that are under way, what the program has got: a recording ends, or the process does,
    and so all of them do."""
    for each in list(_watched):
        each.cut(recorder)


@atexit.register
def _cut_all() -> None:
    with suppress(Exception):  # the interpreter may be on its way out
        cut_watched()
