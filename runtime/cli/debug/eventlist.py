"""The list of events: it draws what is in the window, and reads no more than that."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from greenroom.runtime.cli.past.words import style_of

from .shades import CHOSEN, CHOSEN_ELSEWHERE, shade

if TYPE_CHECKING:
    from textual.events import Click

    from .recorded import Pages, Recorded

__all__ = ["EventList"]

_STOP: Final = "●"


class EventList(ScrollView, can_focus=True):
    """Events by sequence, one a line. `at` is the selected sequence."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Previous", show=False),
        Binding("down,j", "move(1)", "Next", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown,space", "page(1)", "Page down", show=False),
        Binding("home", "end(False)", "First", show=False),
        Binding("end", "end(True)", "Last", show=False),
    ]
    at: reactive[int] = reactive(0)

    class Selected(Message):
        """Tells that another event is selected."""

        def __init__(self, sequence: int) -> None:
            super().__init__()
            self.sequence = sequence

    def __init__(self, recorded: Recorded, pages: Pages, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._recorded = recorded
        self._pages = pages
        self.marked: frozenset[int] = frozenset()
        """The sequences at which breakpoints stand."""

    def on_mount(self) -> None:
        self.measure()

    def measure(self) -> None:
        """Take in how many events there are now."""
        self.virtual_size = Size(0, max(0, self._recorded.last - self._recorded.first + 1))
        self.refresh()

    def select(self, sequence: int) -> None:
        """Select the event with a sequence, or the nearest, and bring it into the window."""
        self.at = max(self._recorded.first, min(sequence, self._recorded.last))

    def watch_at(self, sequence: int) -> None:
        """Show the selected event."""
        if not sequence:
            return
        line = sequence - self._recorded.first
        self.scroll_to_region(Region(0, line, 1, 1), animate=False, force=True)
        self.refresh()
        self.post_message(self.Selected(sequence))

    def action_move(self, by: int) -> None:
        """Select the event so many lines further."""
        self.select(self.at + by)

    def action_page(self, by: int) -> None:
        """Select the event a page further."""
        self.select(self.at + by * max(1, self.size.height - 1))

    def action_end(self, last: bool) -> None:
        """Select the first or the last event."""
        self.select(self._recorded.last if last else self._recorded.first)

    def on_click(self, event: Click) -> None:
        """Select the event that was clicked."""
        self.select(self._recorded.first + self.scroll_offset.y + event.y)

    def render_line(self, y: int) -> Strip:
        """Draw the line `y` of the window."""
        sequence = self._recorded.first + self.scroll_offset.y + y
        width = self.size.width
        if sequence > self._recorded.last:
            return Strip.blank(width)
        row = self._pages.row(sequence)
        mark = _STOP if sequence in self.marked else " "
        number = f"{mark}{sequence:>{len(str(self._recorded.last))}} "
        if row.time is None:
            parts = [Segment(number, Style(dim=True)), Segment(row.told, Style(dim=True, italic=True))]
        else:
            colour = Style.parse(shade("bold red" if row.failed else style_of(row.type)) or "none")
            parts = [
                Segment(mark, Style.parse(shade("bold red"))),
                Segment(number[1:], Style(dim=True)),
                Segment(row.type, colour),
                Segment(f"  {row.told}" if row.told else "", Style.parse(shade("red" if row.failed else "dim"))),
            ]
        strip = Strip(parts).adjust_cell_length(width)
        if sequence != self.at:
            return strip
        return strip.apply_style(CHOSEN if self.has_focus else CHOSEN_ELSEWHERE)
