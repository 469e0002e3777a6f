"""Find out what makes a program run differently each time, and whether a recording covers it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from greenroom.runtime.recording.tape.model import Tape

from .compare import Source, sources_between

__all__ = ["Examined", "Finding", "findings"]

_ADVICE: Final = {
    "clock": "nothing to do: a replay hands out the recorded times",
    "randomness": "nothing to do: a replay hands out the recorded numbers. A seed would make live runs alike too",
    "environment": "nothing to do: a replay hands out the recorded values",
    "http": "nothing to do: a replay answers with what was recorded",
    "mcp": "nothing to do: a replay answers with what was recorded",
    "tool": "nothing to do: a replay answers with what was recorded",
    "process": "nothing to do: a replay answers with what was recorded",
    "order": "nothing to do: a replay hands over answers in the recorded order",
    "hash seed": "a replay starts Python with the recorded seed. For live runs: sort sets whose order matters",
    "file": "read it in a function marked with @tool, or keep the file as it was beside the program",
    "listing": "list it in a function marked with @tool, or sort what is listed",
    "network": "connect in a function marked with @tool: no recording holds plain connections",
    "database": "query it in a function marked with @tool",
    "subprocess": "record with --processes, or start it in a function marked with @tool",
    "address": "an address in memory is shown, as repr() does: print something else",
    "unknown": "look at what this line depends on: mark the function that gets it with @tool",
}
_COVERED: Final = frozenset(
    {"clock", "randomness", "environment", "http", "mcp", "tool", "process", "order", "hash seed"}
)
_WATCHED: Final = {"process": "subprocess"}
_ADDRESS: Final = re.compile(r"\b0x[0-9a-f]{6,16}\b")


@dataclass(frozen=True, slots=True)
class Finding:
    """A source of nondeterminism: its kind, what it is, its place in the program ("agent.py:14 in step"; empty if that
    is not known), how often it was met in one run, and whether a recording covers it."""

    kind: str
    name: str
    place: str
    times: int
    covered: bool
    what: str
    advice: str


@dataclass(slots=True)
class Examined:
    """One run of a program: its tape, what it printed, its exit code, what else it touched, and, for a replay, where it
    left the recording (place and difference)."""

    tape: Tape
    output: bytes
    code: int
    watched: list[tuple[str, str, str, int]] = field(default_factory=list)
    drifts: list[tuple[str, str]] = field(default_factory=list)
    refused: str | None = None


def findings(one: Examined, other: Examined, replayed: Examined, reseeded: Examined) -> list[Finding]:
    """Return what makes a program run differently: what is not covered comes first.

    `one` and `other` are two live runs, `replayed` is a replay of the first, and `reseeded` a replay of it with another
    hash seed. A source is where the two runs got different things. What the replay could not give the same way is not
    covered, whatever it is.
    """
    found = [_finding(each) for each in sources_between(one.tape, other.tape)]
    found += _touched(one.watched, other.watched)
    lost = list(_departures(one, replayed, "unknown"))
    if not lost:
        found += _departures(one, reseeded, "hash seed")
    found += lost
    return sorted(found, key=lambda each: (each.covered, _place(each.place)))


def _finding(source: Source) -> Finding:
    what = f"{source.name}: {source.example}"
    return _made(source.kind, source.name, source.place, source.times, what)


def _made(kind: str, name: str, place: str, times: int, what: str) -> Finding:
    return Finding(kind, name, place, times, kind in _COVERED, what, _ADVICE.get(kind, _ADVICE["unknown"]))


def _touched(one: Iterable[tuple[str, str, str, int]], other: Iterable[tuple[str, str, str, int]]) -> Iterator[Finding]:
    """Return what was touched outside of every boundary: connections, databases and processes always, files and
    directories that were not the same in both runs."""
    before = {(kind, name.partition("\0")[0], place): name for kind, name, place, _ in one}
    for kind, name, place, times in other:
        plain, _, state = name.partition("\0")
        old = before.get((kind, plain, place))
        if kind in ("file", "listing") and (old is None or old.partition("\0")[2] == state):
            continue
        kind = _WATCHED.get(kind, kind)
        what = f"{plain} was not the same in both runs" if state else plain
        yield _made(kind, plain, place, times, what)


def _departures(recorded: Examined, replayed: Examined, kind: str) -> Iterator[Finding]:
    """Return where a replay went another way than the run it replays."""
    for place, difference in replayed.drifts:
        shown = "address" if kind == "unknown" and _ADDRESS.search(difference) else kind
        yield _made(shown, "", place, 1, difference)
    if replayed.drifts:
        return
    if replayed.refused is not None:
        yield _made(kind, "", "", 1, replayed.refused)
    elif replayed.output != recorded.output:
        yield _made(kind, "output", "", 1, _output_difference(recorded.output, replayed.output))
    elif replayed.code != recorded.code:
        yield _made(kind, "exit code", "", 1, f"the exit code was {recorded.code}, and {replayed.code} in the replay")


def _output_difference(one: bytes, other: bytes) -> str:
    a, b = (each.decode("utf-8", "replace").splitlines() for each in (one, other))
    at = next((place for place, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    told = [_line(lines, at) for lines in (a, b)]
    return f"line {at + 1} of the output was {told[0]}, and {told[1]} in the replay"


def _line(lines: Sequence[str], at: int) -> str:
    return repr(lines[at][:80]) if at < len(lines) else "missing"


def _place(place: str) -> tuple[str, int]:
    """Return a key that sorts places by file and line."""
    file, _, rest = place.partition(":")
    line = rest.partition(" ")[0]
    return file, int(line) if line.isdigit() else 0
