"""What a peer has to offer: how it does each kind of work, at a level of durability."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from measure import Many, size_of

__all__ = ["READS", "TURNS", "WORK", "Level", "Side", "Work", "artifact", "awaited", "grown", "turn"]

Level = Literal["process", "machine"]
"""What an acknowledged write survives: a crash of the process (a log without fsync, as `wal` and SQLite's NORMAL), or
one of the machine (fsync, as `fsync` and SQLite's FULL)."""

Work = Callable[[], object] | Many

CREATE: Final = "create a session"
APPEND: Final = "append a turn of two messages"
READ_20: Final = "read the newest 20 of 1000 messages"
READ_1000: Final = "read 1000 messages"
SET: Final = "set a value"
GET: Final = "get a value"
STORE: Final = "store a text of 10 KiB"
STEP: Final = "a durable step"
WORK: Final = (CREATE, APPEND, READ_20, READ_1000, SET, GET, STORE, STEP)
READS: Final = frozenset({READ_20, READ_1000, GET})
"""What does not write costs the same at each level, and is measured at one."""

TURNS: Final = 1000
VALUE: Final = {"step": 1, "note": "as it was", "open": ["a", "b"]}
_SENTENCE: Final = "the quick brown fox jumps over the lazy dog. "
_TEXT: Final = _SENTENCE.encode() * (10240 // len(_SENTENCE))
_numbers = itertools.count()


@dataclass(frozen=True)
class Side:
    """A peer at a level. `work` has what it can do, `growth` writes TURNS turns and returns the bytes on disk."""

    name: str
    work: Mapping[str, Work]
    growth: Callable[[], int] | None = None
    close: Callable[[], object] = field(default=lambda: None)


def turn(number: int) -> tuple[str, str]:
    """Return a question and its answer, of 190 characters each."""
    return f"question {number}: {_SENTENCE * 4}", f"answer {number}: {_SENTENCE * 4}"


def artifact() -> tuple[str, bytes]:
    """Return a name and a text of 10 KiB that nobody has stored before."""
    number = next(_numbers)
    return f"text-{number}.txt", b"%d\n%s" % (number, _TEXT)


def awaited(loop: asyncio.AbstractEventLoop, call: Callable[[], Coroutine[Any, Any, object]]) -> Many:
    """Return work whose calls are awaited one after the other, within one run of the loop."""

    async def all_of(times: int) -> None:
        for _ in range(times):
            await call()

    return Many(lambda times: loop.run_until_complete(all_of(times)))


def grown(folder: Path, write: Callable[[Path], object]) -> int:
    """Have a store written in a new folder, and return its bytes."""
    folder.mkdir(parents=True)
    write(folder)
    return size_of(folder)
