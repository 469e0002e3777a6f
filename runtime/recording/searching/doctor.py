"""Find out what makes a program run differently each time, and whether a recording covers it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from greenroom.runtime.recording.boundaries.standard.environment import HELD_BACK
from greenroom.runtime.recording.boundaries.watch import Watched
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
    "threads": "have what threads do put in order, such as by sorting it: no recording holds which of them is first",
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
    differed: bool = True
    """Whether the runs differed by it. Otherwise it is what the program depends on: other values give another run."""


@dataclass(slots=True)
class Examined:
    """One run of a program: its tape, what it printed, its exit code, what else it touched and where it printed what,
    and, for a replay, where it left the recording (place and difference)."""

    tape: Tape
    output: bytes
    code: int
    watched: Watched = field(default_factory=Watched)
    drifts: list[tuple[str, str]] = field(default_factory=list)
    refused: str | None = None

    @property
    def has_threads(self) -> bool:
        """Whether the program started threads."""
        return any(kind == "thread" for kind, *_ in self.watched.touched)


def findings(
    one: Examined, other: Examined, replayed: Examined, reseeded: Examined, stirred: Examined | None = None
) -> list[Finding]:
    """Return what makes a program run differently: what is not covered comes first, and what did not differ, but might,
    last.

    `one` and `other` are two live runs, `replayed` is a replay of the first, `reseeded` a replay of it with another
    hash seed, and `stirred` one with other threads first. A source is where the two live runs got different things.
    What the replay could not give the same way is not covered, whatever it is; of the other replays, only that counts
    in which they differ from the first, at places where that was as recorded.
    """
    found = [_finding(each) for each in sources_between(one.tape, other.tape)]
    found += _touched(one.watched, other.watched)
    lost = list(_departures(one, replayed, "unknown"))
    places = {each.place for each in lost}
    for run, kind in ((stirred, "threads"), (reseeded, "hash seed")):
        more = (
            [each for each in _departures(replayed, run, kind) if each.place not in places] if run is not None else []
        )
        places |= {each.place for each in more}
        found += more
    found += lost
    known = {(each.kind, each.name, each.place) for each in found}
    found += [each for each in _depends_on(one) if (each.kind, each.name, each.place) not in known]
    return sorted(found, key=lambda each: (not each.differed, each.covered, _place(each.place)))


def _depends_on(run: Examined) -> Iterator[Finding]:
    """Return what a program takes from its surroundings that was the same in all runs."""
    for reads in run.tape.reads:
        for kind, name, place, _lane, value in reads.reads:
            if kind == "environment":
                held_back = value == HELD_BACK
                what = f"{name}: a secret, of which a replay gives the value of now" if held_back else name
                yield replace(_made(kind, name, place, 1, what), differed=False, covered=not held_back)
    for kind, name, place, times in run.watched.touched:
        plain = name.partition("\0")[0]
        if kind in ("file", "listing"):
            what = f"{plain} was the same in both runs, and is not recorded"
            yield replace(_made(kind, plain, place, times, what), differed=False)
        elif kind == "environment":
            what = "all of the environment is gone through: a replay gives that of now"
            advice = "ask for the variables by name: a replay hands out the recorded values"
            yield replace(_made(kind, plain, place, times, what), differed=False, covered=False, advice=advice)


def _finding(source: Source) -> Finding:
    what = f"{source.name}: {source.example}"
    return _made(source.kind, source.name, source.place, source.times, what)


def _made(kind: str, name: str, place: str, times: int, what: str) -> Finding:
    return Finding(kind, name, place, times, kind in _COVERED, what, _ADVICE.get(kind, _ADVICE["unknown"]))


def _touched(one: Watched, other: Watched) -> Iterator[Finding]:
    """Return what was touched outside of every boundary: connections, databases and processes always, files and
    directories that were not the same in both runs, or were there in one only."""
    before, after = ({_Touched.of(each): each for each in run.touched} for run in (one, other))
    for key in dict.fromkeys([*before, *after]):
        kind, plain, place = key
        old, new = before.get(key), after.get(key)
        if kind in ("thread", "environment"):
            continue
        if kind in ("file", "listing"):
            if old is not None and new is not None and old[1] == new[1]:
                continue
            how = "was not the same in both runs" if old is not None and new is not None else "was read in one run only"
            what = f"{plain} {how}"
        else:
            what = plain
        yield _made(_WATCHED.get(kind, kind), plain, place, (new or old or ("", "", "", 1))[3], what)


class _Touched(NamedTuple):
    """What was touched, whatever its state."""

    kind: str
    name: str
    place: str

    @classmethod
    def of(cls, touched: tuple[str, str, str, int]) -> _Touched:
        """Return what was touched."""
        return cls(touched[0], touched[1].partition("\0")[0], touched[2])


def _departures(before: Examined, run: Examined, kind: str) -> Iterator[Finding]:
    """Return where a replay went another way than the run before it, once for each place."""
    known = set(before.drifts)
    told: set[str] = set()
    for place, difference in run.drifts:
        if (place, difference) not in known and place not in told:
            told.add(place)
            yield _departure(kind, "", place, difference)
    for place, difference, of_threads in _prints_between(before.watched.printed, run.watched.printed):
        if place not in told:
            told.add(place)
            yield _departure("threads" if of_threads else kind, "output", place, difference)
    if run.refused is not None and run.refused != before.refused:
        yield _made(kind, "", "", 1, run.refused)
    elif not told and run.output != before.output:
        place = next((place for place, _, of_thread in before.watched.printed if of_thread), "")
        yield _departure("threads" if place else kind, "output", place, _output_difference(before.output, run.output))
    elif run.code != before.code:
        yield _made(kind, "exit code", "", 1, f"the exit code was {before.code}, and {run.code} in the replay")


def _departure(kind: str, name: str, place: str, difference: str) -> Finding:
    is_address = kind == "unknown" and _ADDRESS.search(difference) is not None
    return _made("address" if is_address else kind, name, place, 1, difference)


_Prints = Sequence[tuple[str, str, bool]]


def _prints_between(one: _Prints, other: _Prints) -> Iterator[tuple[str, str, bool]]:
    """Return the places at which something else was printed in another run, what, and whether it was only put in
    another order by threads."""
    a, b = _by_place(one), _by_place(other)
    threads = {place for place, _, of_thread in one if of_thread}
    same = True
    for place in dict.fromkeys([*a, *b]):
        x, y = a.get(place, []), b.get(place, [])
        if x != y:
            same = False
            at = next((at for at, (p, q) in enumerate(zip(x, y, strict=False)) if p != q), min(len(x), len(y)))
            told = f"what was printed was {_line(x, at)}, and {_line(y, at)} in the replay"
            yield place, told, place in threads and sorted(x) == sorted(y)
    if same:
        for (place, text, _), (_, instead, _) in zip(one, other, strict=True):
            if text != instead:
                told = f"what is printed comes in another order: {_line([text], 0)}, and {_line([instead], 0)}"
                yield place, told, bool(threads)
                return


def _by_place(printed: _Prints) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for place, text, _ in printed:
        found.setdefault(place, []).append(text)
    return found


def _output_difference(one: bytes, other: bytes) -> str:
    a, b = (each.decode("utf-8", "replace").splitlines() for each in (one, other))
    at = next((place for place, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    told = [_line(lines, at) for lines in (a, b)]
    return f"line {at + 1} of the output was {told[0]}, and {told[1]} in the replay"


def _line(lines: Sequence[str], at: int) -> str:
    return repr(lines[at][:80].rstrip("\n")) if at < len(lines) else "missing"


def _place(place: str) -> tuple[str, int]:
    """Return a key that sorts places by file and line."""
    file, _, rest = place.partition(":")
    line = rest.partition(" ")[0]
    return file, int(line) if line.isdigit() else 0
