"""What a timeline draws: events as a tree of causes, calls as one span from their beginning to their end, and long runs
of alike ones folded into one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from .words import detail, failure

if TYPE_CHECKING:
    from greenroom.runtime import Event, TimelineRow

__all__ = ["Span", "spans_of"]

_LEAST_FOLDED: Final = 4
"""So many alike in a row become one."""

# What ends a span, and the field of it that names the sequence of what began it.
_ENDS: Final = {
    "tool.returned": "call",
    "agent.returned": "call",
    "approval.answered": "approval",
    "approval.expired": "approval",
    "approval.cancelled": "approval",
    "message.finished": "sequence",
}
_BEGINS: Final = frozenset(
    {"tool.called", "agent.called", "approval.requested", "message.started", "script.started", "workflow.started"}
)
# Events whose line begins with the name of what acted, and the field that has it.
_NAMES: Final = {
    "tool.called": "name",
    "agent.called": "name",
    "hook.executed": "hook",
    "script.started": "script",
    "workflow.started": "workflow",
    "message.added": "role",
    "message.started": "role",
}
# Events that tell of something that has taken time, and how many of its units are a second.
_UNITS: Final = {"hook.executed": 1e6, "workflow.stage": 1}


@dataclass(slots=True)
class Span:
    """An event, a call from its beginning to its end, or a run of alike ones. Times are seconds since the epoch."""

    event: Event
    start: float
    stop: float
    label: str
    detail: str
    seconds: float | None = None
    """How long the calls took; None for what has no duration, or has not ended."""
    error: str | None = None
    open: bool = False
    """Whether it has begun and not ended."""
    count: int = 1
    last: int = 0
    """The last sequence of a run."""
    children: list[Span] = field(default_factory=list)
    alike: int = 0
    """The same number for spans that look the same, with all that they caused."""


def spans_of(rows: Iterable[TimelineRow]) -> list[Span]:
    """Return the spans of a timeline that no other has caused, with what they caused as their children."""
    found: list[Span] = []
    of: dict[str, Span] = {}
    runs: dict[str, Span] = {}
    roots: list[Span] = []
    for row in rows:
        event = row.event
        begun = _begun_by(event, of, runs)
        if begun is not None:
            _end(begun, event)
            of[event.id] = begun
            continue
        span = of[event.id] = _span(event)
        if event.type == "workflow.started":
            runs[str(event.data.get("run_id"))] = span
        found.append(span)
        above = of.get(row.cause or "") or _message_of(event, of)
        (above.children if above is not None else roots).append(span)
    numbers: dict[Any, int] = {}
    for span in reversed(found):  # what was caused stands behind its cause
        span.children = _folded(span.children)
        looks = (span.event.session_id, span.label, span.error, span.open, *(each.alike for each in span.children))
        span.alike = numbers.setdefault(looks, len(numbers))
    return _folded(roots)


def _begun_by(event: Event, of: Mapping[str, Span], runs: Mapping[str, Span]) -> Span | None:
    """Return the span that an event ends."""
    if event.origin == "published":
        return None
    if event.type in _ENDS:
        return of.get(_id_in(event, _ENDS[event.type]))
    if event.type == "script.finished":
        begun = of.get(event.causation_id or "")
        return begun if begun is not None and begun.event.type == "script.started" else None
    return runs.get(str(event.data.get("run_id"))) if event.type == "workflow.finished" else None


def _message_of(event: Event, of: Mapping[str, Span]) -> Span | None:
    """Return the span of the message that grows by an event."""
    return of.get(_id_in(event, "sequence")) if event.type == "message.delta" else None


def _id_in(event: Event, field: str) -> str:
    """Return the id of the event whose sequence stands in a field of another."""
    return f"{event.session_id}/{event.data.get(field)!s}"


def _span(event: Event) -> Span:
    at = event.timestamp.timestamp()
    told = detail(event)
    label, seconds = event.type, None
    if event.origin == "published":
        label = event.type if event.type.startswith("custom.") else f"{event.type} (published)"
    elif event.type in _NAMES:
        name = str(event.data.get(_NAMES[event.type], ""))
        label = f"{event.type.partition('.')[0]} {name}"
        told = told.removeprefix(name).lstrip(" :")
    if event.origin == "runtime" and event.type in _UNITS:
        seconds = _number(event.data.get("duration"), _UNITS[event.type])
    begun = event.type in _BEGINS and event.origin == "runtime"
    return Span(event, at - (seconds or 0.0), at, label, told, seconds, failure(event), begun, last=event.sequence)


def _end(span: Span, event: Event) -> None:
    span.stop = max(span.stop, event.timestamp.timestamp())
    duration = _number(event.data.get("duration"), 1)
    span.seconds = duration if duration is not None else span.stop - span.start
    span.error = failure(event)
    span.open = False
    span.last = max(span.last, event.sequence)
    if event.type == "message.finished":
        span.detail = detail(event)


def _number(value: Any, unit: float) -> float | None:
    return value / unit if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _folded(spans: list[Span]) -> list[Span]:
    """Return the spans, long runs of alike ones as one each."""
    shown: list[Span] = []
    for _, group in groupby(spans, lambda span: span.alike):
        run = list(group)
        if len(run) < _LEAST_FOLDED or run[0].error is not None:
            shown += run
            continue
        first, last = run[0], run[-1]
        durations = [each.seconds for each in run if each.seconds is not None]
        shown.append(
            Span(
                first.event,
                first.start,
                max(each.stop for each in run),
                first.label,
                f"{first.detail} … {last.detail}" if first.detail != last.detail else first.detail,
                sum(durations) if durations else None,
                open=first.open,
                count=len(run),
                last=max(each.last for each in run),
                alike=first.alike,
            )
        )
    return shown
