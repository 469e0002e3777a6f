"""What stands on a tape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

import msgpack
from blake3 import blake3

__all__ = ["Asked", "Crossing", "Reads", "Sink", "Tape", "in_order", "key_of", "type_name"]

_KEY_LENGTH: Final = 16


class Asked(NamedTuple):
    """What a program asks at a boundary, as the boundary puts it to a reel: `kind`, `name` and `input` are those of the
    `Crossing` that it becomes."""

    kind: str
    name: str
    input: Mapping[str, Any]
    key: bytes | None = None
    """What identifies the input in a replay, if that is less than all of it: headers that change from run to run do
    not count."""


@dataclass(slots=True)
class Crossing:
    """One call that has crossed a boundary, and ended.

    `input` and `outcome` hold only what MessagePack can: None, booleans, numbers, texts, bytes, lists and maps.

    =========  ==========================================================  =============================================
    kind       input                                                       outcome
    =========  ==========================================================  =============================================
    http       method, url, headers ([[name, value]]), body (bytes)         status, headers, version, chunks (list of
                                                                            bytes), gaps (ns before each chunk),
                                                                            complete; or error
    mcp        server, arguments …                                          value; or error
    tool       arguments                                                    value; or error
    process    arguments, input …                                           code, output, errors; or error
    =========  ==========================================================  =============================================

    An `error` is a map of module, name, args, text, and what else is needed to raise it again.
    """

    number: int
    """From 1, in the order in which the crossings of one process began."""
    kind: str
    name: str
    """What was called, without what changes from run to run: "POST https://host/path", the name of a tool."""
    place: str
    """Where in the program: "agent.py:14 in step"."""
    lane: str
    """The thread and task: the same when the program runs again."""
    input: Mapping[str, Any]
    outcome: Mapping[str, Any]
    began: int
    """The tick at which it began. Ticks count, in one process, what begins and what is handed to the program."""
    ticks: list[int] = field(default_factory=list)
    """The ticks at which its outcome was handed to the program: the head of a response, each of its chunks and, of some
    clients, its end; or the outcome of a call. So a replay can hand everything over in the same order."""
    time: int = 0
    """When it began, in nanoseconds since the epoch."""
    duration: int = 0
    """Nanoseconds."""
    process: int = 0
    """0 is the program; the processes that it has started count from 1, in the order of their start."""
    key: bytes = b""
    """A digest of what identifies the input in a replay (see `Asked.key`); empty: all of the input does."""


@dataclass(slots=True)
class Reads:
    """Quick reads of one process (clock, randomness, environment), in their order.

    Each is (kind, name, place, lane, value): ("clock", "time.time", "agent.py:14 in step", "main", 1.5)."""

    reads: list[tuple[str, str, str, str, Any]]
    process: int = 0


@dataclass(slots=True)
class Tape:
    """All of one run. `about` says how the program was started: command (list), directory, python, hash_seed,
    started_at (ns since the epoch), and, once it has ended, exit_code."""

    about: dict[str, Any] = field(default_factory=dict)
    crossings: list[Crossing] = field(default_factory=list)
    reads: list[Reads] = field(default_factory=list)


PATCHED: Final = "patched"
"""The entry, True, in the input of a crossing that was made with other fields than the program gave. Its key is that of
what the program gave."""


MARK: Final = "redacted"
"""The entry, True, in the input or outcome of a crossing from which something was removed."""


class Sink(Protocol):
    """Where a recorder puts what it has."""

    def crossing(self, crossing: Crossing) -> None:
        """Keep a crossing. When this returns, a crash of the process loses it no more."""

    def reads(self, reads: Reads) -> None:
        """Keep reads. They may be lost with the process until the next crossing is kept."""

    def close(self) -> None:
        """Keep all that is still on the way."""


def in_order(crossings: Iterable[Crossing]) -> list[Crossing]:
    """Return crossings in the order in which they began: they are the steps of a recording, and step 1 comes first.
    Those of several processes are ordered by time."""
    found = list(crossings)
    if all(each.process == 0 for each in found):
        return sorted(found, key=lambda each: each.number)
    return sorted(found, key=lambda each: (each.time, each.process, each.number))


def key_of(kind: str, name: str, input: Mapping[str, Any], key: bytes | None = None) -> bytes:
    """Return the digest that identifies an input: of `key` if a boundary gives one, else of all of the input, whatever
    the order of its fields."""
    if key is None:
        key = _pack(_ordered(input))
    return blake3(f"{kind}\0{name}\0".encode("utf-8", "surrogatepass") + key).digest(_KEY_LENGTH)


def _ordered(value: Any) -> Any:
    if isinstance(value, Mapping):
        return [[str(name), _ordered(each)] for name, each in sorted(value.items(), key=lambda item: str(item[0]))]
    if isinstance(value, list | tuple):
        return [_ordered(each) for each in value]
    return value


def _pack(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value, default=type_name, unicode_errors="surrogatepass")
    return packed


def type_name(value: object) -> str:
    """Return what stands for a value that no tape can hold: its own text may hold an address, which changes from run to
    run."""
    return f"<{type(value).__module__}.{type(value).__qualname__}>"
