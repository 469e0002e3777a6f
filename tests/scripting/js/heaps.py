"""A heap of JavaScript without the library: it evaluates texts, and `h` calls the host."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

SOURCE = "(h => { globalThis.h = h; return text => String((0, eval)(text)) })"
MEMORY = 32 << 20


@functools.cache
def prepared() -> tuple[Any, int]:
    from greenroom.scripting.js.quickjs import machine

    context = machine().context(MEMORY)
    with context.script(time.monotonic() + 30):
        run = context.invoke(context.evaluate(SOURCE), handle=context.function("h"))
    image = context.image()
    context.close()
    return image, run


def new_heap(memory: int = MEMORY) -> Any:
    from greenroom.scripting.js.quickjs import machine

    return machine().context(memory, prepared()[0])


def run(
    source: str, limit: float = 20.0, host: Callable[[str], str] = str.upper, context: Any = None
) -> tuple[str, str]:
    """Run a source on a heap. Return how it ended ("value", "error", "interrupted", or the reason of the trap), and
    the value or the error."""
    from greenroom.scripting.js.guest import Refused, Trapped

    heap = context if context is not None else new_heap()
    heap.host = lambda text: host(text).encode()
    try:
        with heap.script(time.monotonic() + limit):
            try:
                value = heap.text(heap.invoke(prepared()[1], source.encode()))
                while heap.run_jobs() and not heap.over():
                    pass
                return ("interrupted", value) if heap.over() else ("value", value)
            except Refused as refused:
                return ("interrupted" if heap.over() else "error"), refused.thrown
            except Trapped as trapped:
                assert heap.dead
                return trapped.reason, str(trapped)
    finally:
        if context is None:
            heap.close()
