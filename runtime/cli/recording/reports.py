"""Tell what a replay of a program has proven."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from greenroom.runtime.cli.output import counted, one_line

if TYPE_CHECKING:
    from greenroom.runtime.recording.tape.report import Drift, ReplayReport

__all__ = ["told_departures", "told_output", "told_report"]

_MOST: Final = 10
"""Departures of a kind that are told; --json has all."""
_WORDS: Final = {
    "drifted": "answered, though the call is not the recorded one",
    "missing": "not recorded",
    "order": "made or answered in another order",
    "unused": "recorded, but not asked for",
    "output": "printed, and not what was printed when it was recorded",
    "moved": "made from another place of the program",
}
_STREAMS: Final = {
    "same": "is the same, byte for byte",
    "differs": "is not the same",
    "redacted": "is the same but for what was redacted",
    "begins": "is the same as far as the recording has it",
    "terminal": "is not the same, nor are the terminals: not compared",
    "unknown": "was not compared",
}


def told_report(report: ReplayReport) -> str:
    """Return the counts of a report in one line."""
    parts = [f"{counted(report.exact, 'call')} exact"]
    parts += [f"{count:,} {what}" for what in _WORDS if (count := getattr(report, what))]
    parts.append(f"{counted(report.reads, 'read')} of clock, randomness and environment answered")
    return ", ".join(parts)


def told_output(streams: Mapping[str, str]) -> str:
    """Return how far what the program printed was compared, in one line."""
    told = [f"{name} {_STREAMS.get(how, how)}" for name, how in streams.items()]
    return ", ".join(told) or "what the program printed was not compared: the recording does not have it"


def told_departures(drifts: Sequence[Drift]) -> list[str]:
    """Return the departures, a line each, those that matter most first."""
    lines: list[str] = []
    for what, words in _WORDS.items():
        found = [each for each in drifts if each.what == what]
        if not found:
            continue
        lines.append(f"{what} ({words}):")
        lines += [one_line(f"  {_one(each)}") for each in found[:_MOST]]
        if len(found) > _MOST:
            lines.append(f"  and {len(found) - _MOST:,} more: --json has them")
    return lines


def _one(drift: Drift) -> str:
    number = f"{drift.number}  " if drift.number else ""
    difference = f": {drift.difference}" if drift.difference else ""
    place = f"  {drift.place}" if drift.place else ""
    return f"{number}{drift.kind} {drift.name}{place}{difference}"
