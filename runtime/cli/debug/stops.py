"""The breakpoints of the debugger, and the pane that lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from greenroom.storage.common.times import nanoseconds
from greenroom.storage.events.model import StoredEvent, published_type

if TYPE_CHECKING:
    from greenroom.runtime import Breakpoint, Event, PlacedBreakpoint
    from greenroom.runtime.replay.controls.breakpoints import Hit

    from .recorded import Recorded

__all__ = ["Stops", "StopsPane"]


class Stops:
    """The breakpoints that are set."""

    def __init__(self, recorded: Recorded) -> None:
        from greenroom.runtime import Breakpoints

        self._recorded = recorded
        self.placed = Breakpoints()
        self._hit: Hit | None = None

    @property
    def marked(self) -> frozenset[int]:
        """The sequences at which breakpoints stand."""
        return frozenset(each.breakpoint.sequence for each in self.placed if each.breakpoint.sequence is not None)

    def toggle(self, sequence: int) -> None:
        """Set a breakpoint at an event, or remove it."""
        there = [each for each in self.placed if each.breakpoint.sequence == sequence]
        for each in there:
            each.remove()
        if not there:
            self.placed.add({"sequence": sequence})

    def add(self, breakpoint: Breakpoint | Mapping[str, Any]) -> None:
        """Set a breakpoint. Raises ValidationError, ResourceLimitExceeded."""
        self.placed.add(breakpoint)

    def load(self, given: Iterable[Mapping[str, Any]]) -> None:
        """Set the breakpoints that an exported file has, if they are ours."""
        from greenroom.runtime import GreenroomError

        for each in given:
            try:
                self.placed.add(each)
            except GreenroomError:
                continue

    def matcher(self) -> Callable[[Event], bool]:
        """Return what says whether a run pauses at an event. Ask for one event after the other."""
        self.placed.forget()
        self._hit = None
        before: list[int | None] = [None]

        def pauses(event: Event) -> bool:
            passed = _Passed(event, self._recorded)
            hit = self.placed.hit(passed, before[0])
            before[0] = passed.events[0][1].time
            self._hit = hit or self._hit  # a run back looks at what comes after the event it pauses at, too
            return hit is not None

        return pauses

    def why(self) -> str:
        """Return what the last run has paused at."""
        hit = self._hit
        if hit is None:
            return "breakpoint"
        if hit.error is not None:
            return f"the condition of {hit.breakpoint.breakpoint} failed ({type(hit.error).__name__}: {hit.error})"
        return f"breakpoint on {hit.breakpoint.breakpoint}"


class _Passed:
    """One event as breakpoints look at it."""

    error = None

    def __init__(self, event: Event, recorded: Recorded) -> None:
        type_ = published_type(event.type) if event.origin == "published" else event.type
        self.sequence = event.sequence
        self.events = [(event.sequence, StoredEvent(type_, nanoseconds(event.timestamp), event.data, 0, 0, 0))]
        self.state = partial(recorded.moment, event.sequence)


class StopsPane(OptionList):
    """The breakpoints, one a line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d,delete", "drop", "Delete", show=False),
        Binding("space", "switch", "On, off", show=False),
    ]

    class Changed(Message):
        """Tells that breakpoints have changed."""

    def __init__(self, stops: Stops, *, id: str) -> None:
        super().__init__(id=id)
        self._stops = stops

    def list(self) -> None:
        """List the breakpoints as they are now."""
        line = self.highlighted
        self.clear_options()
        for each in self._stops.placed:
            hits = f"  hit {each.hits} times" if each.hits else ""
            once = "  once" if each.breakpoint.once else ""
            mark = "●" if each.enabled else "○"
            self.add_option(Option(Text(f"{mark} {each.breakpoint}{once}{hits}", "" if each.enabled else "dim")))
        if not self.option_count:
            self.add_option(
                Option(Text("none: b sets one at an event, B one on a condition", "italic dim"), disabled=True)
            )
        elif line is not None:
            self.highlighted = min(line, self.option_count - 1)

    def _chosen(self) -> PlacedBreakpoint | None:
        placed = [*self._stops.placed]
        return placed[self.highlighted] if self.highlighted is not None and self.highlighted < len(placed) else None

    def action_drop(self) -> None:
        """Remove the chosen breakpoint."""
        chosen = self._chosen()
        if chosen is not None:
            chosen.remove()
            self.post_message(self.Changed())

    def action_switch(self) -> None:
        """Enable or disable the chosen breakpoint."""
        chosen = self._chosen()
        if chosen is not None:
            chosen.enabled = not chosen.enabled
            self.post_message(self.Changed())
