"""Draws a timeline: a line for each span, indented by its cause, with a bar on one axis of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from greenroom.runtime.cli.output import one_line
from greenroom.runtime.cli.times import lasted

from .spans import Span
from .words import style_of

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["Axis", "Marks", "draw", "walk"]


class Marks(NamedTuple):
    """The characters that pictures are made of."""

    bar: str = "█"
    short: str = "▏"
    moment: str = "·"
    run: str = "┄"
    open: str = "░"
    error: str = "✗"
    times: str = "×"
    line: str = "─"
    more: str = "…"

    @classmethod
    def for_encoding(cls, encoding: str | None) -> Marks:
        """Return the marks that an encoding can write."""
        try:
            "".join(cls()).encode(encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            return cls("#", "|", ".", "-", ":", "!", "x", "-", "~")
        return cls()


class Axis:
    """Places times between 0 and 1. Times in which nothing happened take at most half of it together, so that a night
    between two questions does not press all calls into a point."""

    def __init__(self, spans: Sequence[Span]) -> None:
        """Make the axis of some spans, with all that they caused."""
        stretches = sorted((span.start, span.stop) for span, _ in walk(spans))
        self.begin = stretches[0][0] if stretches else 0.0
        self.end = max((stop for _, stop in stretches), default=self.begin)
        busy: list[list[float]] = []
        for start, stop in stretches:
            if busy and start <= busy[-1][1]:
                busy[-1][1] = max(busy[-1][1], stop)
            else:
                busy.append([start, stop])
        working = sum(stop - start for start, stop in busy)
        gaps = [later[0] - earlier[1] for earlier, later in pairwise(busy)]
        # Nothing that lasts: then times of events are all there is to see, and the axis stays true.
        longest = working / len(gaps) if gaps and working else float("inf")
        self.shortened = sum(max(0.0, gap - longest) for gap in gaps)
        self._times: list[float] = [self.begin]
        self._places: list[float] = [0.0]
        for number, (start, stop) in enumerate(busy):
            if number:
                self._add(start, self._places[-1] + min(gaps[number - 1], longest))
            self._add(stop, self._places[-1] + stop - start)
        self._whole = self._places[-1] or 1.0

    def _add(self, time: float, place: float) -> None:
        self._times.append(time)
        self._places.append(place)

    def place(self, time: float) -> float:
        """Return where a time is, from 0 to 1."""
        from bisect import bisect_right

        at = bisect_right(self._times, time)
        if at == 0:
            return 0.0
        if at == len(self._times):
            return self._places[-1] / self._whole
        before, after = self._times[at - 1], self._times[at]
        share = (time - before) / (after - before)
        return (self._places[at - 1] + share * (self._places[at] - self._places[at - 1])) / self._whole


def walk(spans: Sequence[Span]) -> Iterator[tuple[Span, int]]:
    """Yield spans and all that they caused, each before what it caused, with their depth."""
    waiting = [(span, 0) for span in reversed(spans)]
    while waiting:
        span, depth = waiting.pop()
        yield span, depth
        waiting += [(each, depth + 1) for each in reversed(span.children)]


_STEP: Final = 2
_AT, _TOOK = 8, 8


def draw(
    spans: Sequence[Span], width: int, marks: Marks, *, whole: bool = True, sessions: bool = False
) -> Iterator[Text]:
    """Yield the lines of the picture: the axis, and a line for each span.

    If they are not the `whole` story, nobody knows which calls are still open. With `sessions`, each line names its
    session.
    """
    from rich.text import Text

    axis = Axis(spans)
    rows = list(walk(spans))
    numbers = {id(span): _number(span) for span, _ in rows}
    first = max([3, *map(len, numbers.values())])
    session = 10 if sessions else 0
    timed = axis.end > axis.begin  # a conversation that came in without times has only an order
    bars = max(18, (width - 60) // 2 + 10) if timed else 0
    room = max(20, width - session - first - (_AT + _TOOK + bars + 6 if timed else 2))

    begin, end = "0", lasted(axis.end - axis.begin)
    scale = begin + " " + marks.line * max(1, bars - len(begin) - len(end) - 2) + " " + end
    head = f"{'':{session}}{'seq':>{first}}  {'at':>{_AT}}  {_cut('event', room, marks)}{'took':>{_TOOK}}  {scale}"
    yield Text(head if timed else f"{'':{session}}{'seq':>{first}}  event", "bold")
    for span, depth in rows:
        style = "bold red" if span.error is not None else style_of(span.event.type)
        line = Text()
        if sessions:
            line.append(f"{span.event.session_id[:8]:<{session}}", "cyan")
        line.append(f"{numbers[id(span)]:>{first}}  ", "dim")
        if timed:
            line.append(f"{'+' + lasted(span.start - axis.begin):>{_AT}}  ", "dim")
        indent = " " * min(depth * _STEP, room // 3)
        label = indent + (f"{marks.error} " if span.error is not None else "") + one_line(span.label)
        label += f" {marks.times}{span.count}" if span.count > 1 else ""
        told = span.error if span.error is not None else span.detail
        text = Text(_cut(f"{label}  {told}" if told else label, room, marks))
        text.stylize(style, 0, len(label))
        text.stylize("red" if span.error is not None else "dim", len(label))
        line.append_text(text)
        if not timed:
            line.rstrip()
            yield line
            continue
        took = (
            ("open" if whole else marks.more) if span.open else lasted(span.seconds) if span.seconds is not None else ""
        )
        line.append(f"{took:>{_TOOK}}  ")
        line.append(_bar(span, axis, bars, marks), style if style not in ("dim", "bold") else "")
        line.rstrip()
        yield line


def _number(span: Span) -> str:
    return str(span.event.sequence) if span.count == 1 else f"{span.event.sequence}-{span.last}"


def _cut(text: str, room: int, marks: Marks) -> str:
    """Return a text in exactly so many columns."""
    from rich.cells import cell_len, set_cell_size

    return set_cell_size(text, room - 1) + marks.more if cell_len(text) > room else set_cell_size(text, room)


def _bar(span: Span, axis: Axis, width: int, marks: Marks) -> str:
    start = min(width - 1, int(axis.place(span.start) * width))
    length = (axis.place(span.stop) - axis.place(span.start)) * width
    if span.open:
        return " " * start + marks.open * (width - start)
    if span.seconds is None:
        return " " * start + (marks.run * max(1, round(length)) if span.count > 1 else marks.moment)
    return " " * start + (marks.short if length < 0.5 else marks.bar * max(1, min(width - start, round(length))))
