"""The pieces of a script that runs beside its reader."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from typing import Any, Self

from greenroom.actors.scheduling.threads import Elastic
from greenroom.runtime.model.pieces import Pieces
from greenroom.runtime.model.script import ScriptResult
from greenroom.storage.codec.records import Json
from greenroom.storage.concurrency.waiting import Bell, Promise
from greenroom.storage.errors import InvalidOperation

__all__ = ["ScriptStream", "in_this_context"]


def in_this_context(call: Callable[[Any], object]) -> Callable[[Any], object]:
    """Return a function that makes the call in the context of this moment: what a script gives is taken by its caller,
    not by the session for which the script acts."""
    context = contextvars.copy_context()
    return lambda piece: context.run(call, piece)


class ScriptStream(Iterator[Json]):
    """Iterates over the pieces of a script as they come. Made by `Runtime.stream_script`."""

    def __init__(self, elastic: Elastic, run: Callable[[Callable[[Any], object]], ScriptResult]) -> None:
        """Begin to run a script: `run` gets what takes its pieces."""
        self._bell = Bell()
        self._pieces: Pieces[Any] = Pieces(self._bell)
        self._closed = False
        self._outcome: Promise[ScriptResult] = Promise(self._bell)
        elastic.submit(run, self._pieces.put, promise=self._outcome)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "ended" if self._outcome.settled() else "running"
        return f"<ScriptStream {state}>"

    def __next__(self) -> Json:
        """Return the next piece. Raises what the script raises, and StopIteration after its end."""
        if not self._closed:
            self._bell.wait_for(lambda: self._pieces.there or self._outcome.settled(), None)
            if self._pieces.there:
                piece: Json = self._pieces.take()
                return piece
            self._outcome.result(0)
        raise StopIteration

    @property
    def result(self) -> ScriptResult:
        """The result of the script, once it has ended. Raises what the script raises, and InvalidOperation while it
        runs."""
        if not self._outcome.settled():
            raise InvalidOperation("the script has not ended: read its pieces to the end, or close the stream")
        return self._outcome.result(0)

    def close(self) -> None:
        """End the script when it gives its next piece. Pieces that wait are dropped."""
        self._closed = True
        self._pieces.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        self._pieces.end()
