"""The global `Streaming`: values that a script gives piece by piece, to itself or to its host."""

from __future__ import annotations

from typing import Any

from greenroom.runtime import InvalidOperation
from greenroom.scripting.definition.callback import Stopped
from greenroom.scripting.definition.examples import Function as Fn
from greenroom.scripting.definition.examples import example
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.shapes import FLAG, VALUE
from greenroom.scripting.definition.types import Function, Json
from greenroom.scripting.globals.context import ScriptContext

__all__ = ["ConsumerFailed", "StreamingGlobal"]


class ConsumerFailed(Exception):
    """What takes the pieces of a script has failed. The cause is its error."""


class StreamingGlobal:
    """Streams: a function gives values by `Streaming.yield`, in JavaScript a generator by `yield`, and whoever reads
    the stream gets them one at a time.

    A stream has next(), collect([most]), forEach(fn), close() and isDone(), and `for` goes through it. The function
    runs only as far as the next piece that is asked for. An error in it is raised where the stream is read. A script
    that returns a stream, or calls `yield` outside of any, gives its pieces to the host (`on_piece`, `stream_script`).
    """

    NAME = "Streaming"

    def __init__(self, context: ScriptContext) -> None:
        self._context = context

    @export("create", returns=VALUE, native=True, example=example(Fn(())))
    def create(self, fn: Function) -> Any:
        """Return a stream of the values that a function yields, or of the elements of a list."""

    @export("yield", returns=FLAG, example=example({"n": 1}))
    def give(self, value: Json) -> bool:
        """Give a value to whoever reads the stream; outside of a stream, to the host, which takes it before the script
        goes on. Raises InvalidOperation if the host takes no pieces."""
        take = self._context.on_piece
        if take is None:
            raise InvalidOperation(
                "Streaming.yield: nobody takes pieces here: call it within a function given to Streaming.create, or run"
                " the script with on_piece"
            )
        try:
            wanted = take(value)
        except Exception as error:
            raise ConsumerFailed from error
        if wanted is False:
            self._context.unwanted = True
            raise Stopped("interrupted")  # nobody reads what else the script would give
        return True

    @export("consumed", returns=FLAG, example=example())
    def consumed(self) -> bool:
        """Return whether the host takes pieces."""
        return self._context.on_piece is not None
