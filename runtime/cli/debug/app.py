"""The screen of the debugger, and what its keys do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Footer, Input, Static, TabbedContent, TabPane
from textual.worker import get_current_worker

from greenroom.runtime.cli.output import one_line
from greenroom.runtime.cli.past.words import failure

from .eventlist import EventList
from .panes import ChangesPane, ConversationPane, EventPane, StatePane
from .recorded import Pages, Recorded, matcher_of
from .shades import shade
from .stops import Stops, StopsPane

if TYPE_CHECKING:
    from greenroom.runtime import Event

__all__ = ["DebuggerApp"]

_LOOK_AGAIN_SECONDS: Final = 1.0
_PANES: Final = ("event", "state", "chat", "diff", "stops")
_HELP: Final = """\
[b]Move[/b]
  up down, j k    one event             page up, down  one page
  home end        the first, the last   g              12 or a time
  e E             next, last failure    u              its cause
[b]Look[/b]
  1 2 3 4 5       event, state, chat, diff, breakpoints
  tab             the next part of the screen: enter opens a node of
                  the state; d deletes a breakpoint, space: on, off
[b]Find[/b]
  /               words in type and data, type:PATTERN, or both
  n N             the next, the last find
[b]Run[/b]
  b B             a breakpoint at this event; on a condition
  c C             run on, or back, to a breakpoint
  f               fork the session after this event
[b]q[/b] leaves, escape closes what is open.
"""


class DebuggerApp(App[None]):
    """A full-screen view of a recorded session."""

    TITLE = "greenroom debug"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #title { height: 1; background: $primary; color: $text; text-style: bold; padding: 0 1; }
    #events { width: 42%; min-width: 32; border-right: solid $primary-darken-2; scrollbar-size-vertical: 1; }
    #panes { width: 1fr; }
    TabPane { padding: 0 1; }
    VerticalScroll, StatePane { scrollbar-size-vertical: 1; }
    StatePane { background: $background; }
    #prompt { display: none; height: 1; border: none; padding: 0 1; background: $boost; }
    #prompt.open { display: block; }
    #said { height: auto; min-height: 1; max-height: 4; padding: 0 1; color: $text-muted; }
    #help { display: none; layer: above; width: 76; height: auto; max-height: 100%; padding: 0 2; background: $panel;
            border: round $primary; margin: 1 2; }
    #help.open { display: block; }
    Screen { layers: base above; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,ctrl+c", "quit", "Quit", key_display="q"),
        Binding("slash", "search", "Search", key_display="/"),
        Binding("n", "again(1)", "Next"),
        Binding("N", "again(-1)", "Last find", show=False),
        Binding("g", "go", "Go"),
        Binding("b", "break_here", "Break"),
        Binding("B", "break_on", "Break on", show=False),
        Binding("c", "run(1)", "Run"),
        Binding("C", "run(-1)", "Run back", show=False),
        Binding("e", "failure(1)", "Error"),
        Binding("E", "failure(-1)", "Last error", show=False),
        Binding("u", "cause", "Cause", show=False),
        Binding("f", "fork", "Fork"),
        Binding("question_mark", "help", "Keys", key_display="?"),
        *(Binding(str(number), f"pane('{name}')", name, show=False) for number, name in enumerate(_PANES, 1)),
        Binding("j", "move(1)", show=False),
        Binding("k", "move(-1)", show=False),
        Binding("escape", "close", show=False),
    ]

    def __init__(self, recorded: Recorded, at: int | None = None, *, stops: Iterable[Mapping[str, Any]] = ()) -> None:
        """Show a recording with breakpoints (`stops`), beginning at an event; otherwise at the newest one."""
        super().__init__()
        self._recorded = recorded
        self._begin = at if at is not None else recorded.last
        self.pages = Pages(recorded)
        self.stops = Stops(recorded)
        self.stops.load(stops)
        self._answer: Callable[[str], object] | None = None
        self._wanted = ""
        self._said_at: int | None = None
        self._matches: Callable[[Event], bool] | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="title")
        with Horizontal():
            yield EventList(self._recorded, self.pages, id="events")
            with Vertical(id="panes"), TabbedContent(id="tabs"):
                with TabPane("Event", id="event"):
                    yield EventPane(id="event-pane")
                with TabPane("State", id="state"):
                    yield StatePane(self._recorded, id="state-pane")
                with TabPane("Chat", id="chat"):
                    yield ConversationPane(self._recorded, id="chat-pane")
                with TabPane("Diff", id="diff"):
                    yield ChangesPane(self._recorded, id="diff-pane")
                with TabPane("Stops", id="stops"):
                    yield StopsPane(self.stops, id="stops-pane")
        yield Static(id="said")
        yield Input(id="prompt")
        yield Footer(show_command_palette=False)
        yield Static(_HELP, id="help")

    def on_mount(self) -> None:
        self.theme = "textual-dark"
        self.query_one(Footer).compact = True
        self.animation_level = "none"
        self.events.focus()
        self._go_to(self._begin)
        self._mark()
        self.set_interval(_LOOK_AGAIN_SECONDS, self._look_again)

    @property
    def events(self) -> EventList:
        """The list of events."""
        return self.query_one(EventList)

    @property
    def at(self) -> int:
        """The selected sequence."""
        return self.events.at

    # -- showing

    def on_event_list_selected(self, event: EventList.Selected) -> None:
        """Show what was selected."""
        self._show()

    def on_tabbed_content_tab_activated(self, event: TabbedContent.TabActivated) -> None:
        """Show the selected event in the pane that is opened."""
        self._show()

    def _show(self) -> None:
        at = self.at
        if not at:
            return
        if self._said_at not in (None, at):
            self.say("")
        row = self.pages.row(at)
        when = f"  {row.time:%Y-%m-%d %H:%M:%S}" if row.time is not None else ""
        place = f"{at:,} of {self._recorded.last:,}{when}"
        title = one_line(self._recorded.title)
        room = max(8, self.size.width - len(place) - 4)
        title = title if len(title) <= room else title[: room - 1] + "…"
        self.query_one("#title", Static).update(Text(f"{title:<{room}}  {place}"))
        active = self.query_one(TabbedContent).active
        if active == "event":
            before = self.pages.row(at - 1).time if at > self._recorded.first else None
            self.query_one(EventPane).show(self.pages.event(at), before)
        elif active == "state":
            self.query_one(StatePane).show(at)
        elif active == "chat":
            self.query_one(ConversationPane).show(at)
        elif active == "diff":
            self.query_one(ChangesPane).show(at)

    def say(self, text: str, style: str = "", *, at: int | None = None) -> None:
        """Say something on the line above the keys; if it concerns one event (`at`), until another is selected."""
        self._said_at = at
        self.query_one("#said", Static).update(Text(one_line(text), shade(style)))

    def _look_again(self) -> None:
        from greenroom.runtime import GreenroomError

        last = self._recorded.last
        try:
            self._recorded.refresh()
        except GreenroomError as error:
            self.say(str(error), "red")
            return
        if self._recorded.last > last:
            self.events.measure()
            self.events.select(self._recorded.last) if self.at == last else self._show()

    # -- moving

    def action_move(self, by: int) -> None:
        """Select the event so many further."""
        self.events.action_move(by)

    def action_pane(self, name: str) -> None:
        """Open a pane."""
        self.query_one(TabbedContent).active = name

    def action_cause(self) -> None:
        """Select the cause of the selected event."""
        row = self.pages.event(self.at)
        cause = None if isinstance(row, str) else row.causation_id
        session, _, sequence = (cause or "").partition("/")
        if isinstance(row, str) or not sequence.isdecimal():
            self.say("this event has no cause that is an event")
        elif session != row.session_id:
            self.say(f"its cause is event {sequence} of session {session}")
        else:
            self.events.select(int(sequence))

    def action_go(self) -> None:
        """Ask where to go."""
        self._ask("Go to a sequence, or a time such as 2026-01-31T10:00:00Z or 2h", self._go)

    def _go(self, text: str) -> None:
        from greenroom.runtime.cli.times import place_of

        sequence, when = place_of(text, "time")
        if sequence is not None:
            self._go_to(sequence)
            return
        assert when is not None
        low, high = self._recorded.first, self._recorded.last
        while low < high:  # the times of events only grow
            middle = (low + high + 1) // 2
            time = self.pages.row(middle).time
            if time is not None and time > when:
                high = middle - 1
            else:
                low = middle
        self.events.select(low)

    def _go_to(self, sequence: int) -> None:
        """Select an event; if there is none with the sequence, the nearest, and say so."""
        self.events.select(sequence)
        if self.at != sequence:
            self.say(f"the events are {self._recorded.first:,} to {self._recorded.last:,}", at=self.at)

    # -- finding

    def action_search(self) -> None:
        """Ask for what to search."""
        self._ask("Search: words, type:tool.*", self._search, self._wanted)

    def _search(self, text: str) -> None:
        self._wanted, self._matches = text, matcher_of(text)
        self._find(self._matches, 1, f"{text!r}", "nN")

    def action_again(self, step: int) -> None:
        """Go to the next find."""
        if self._matches is None:
            self.action_search()
        else:
            self._find(self._matches, step, f"{self._wanted!r}", "nN")

    def action_failure(self, step: int) -> None:
        """Go to the next event that tells of a failure."""
        self._find(lambda event: failure(event) is not None, step, "failure", "eE")

    def _find(
        self,
        matches: Callable[[Event], bool],
        step: int,
        what: str,
        keys: str,
        why: Callable[[], str] | None = None,
    ) -> None:
        """Look for the next event that matches; say `what` is looked for, and at the end `why` it was found. The two
        `keys` look after the event and before it."""
        self.say(f"searching {what}… (escape stops)")
        search = partial(self._look_for, matches, self.at + step, step, what, keys, why)
        self.run_worker(search, thread=True, exclusive=True, group="search")

    def _look_for(
        self,
        matches: Callable[[Event], bool],
        begin: int,
        step: int,
        what: str,
        keys: str,
        why: Callable[[], str] | None,
    ) -> None:
        worker = get_current_worker()
        for found in self.pages.search(matches, begin, step, lambda: worker.is_cancelled):
            if found is not None:
                self.call_from_thread(
                    self._found,
                    found,
                    f"paused at {found:,}: {why()}" if why is not None else f"found {what} at {found:,}",
                )
                return
        if not worker.is_cancelled:
            here, back = ("after", keys[1]) if step > 0 else ("before", keys[0])
            told = f"no {what} {here} this event: {back} looks {'before' if step > 0 else 'after'} it"
            self.call_from_thread(self.say, told, at=begin - step)

    def _found(self, sequence: int, told: str) -> None:
        self.events.select(sequence)
        self.query_one(StopsPane).list()
        self.say(told, at=sequence)

    # -- running to breakpoints

    def action_break_here(self) -> None:
        """Set a breakpoint at the selected event, or remove it."""
        self.stops.toggle(self.at)
        self._mark()

    def action_break_on(self) -> None:
        """Ask for a breakpoint."""
        from greenroom.runtime.cli.past.stops import STOPS

        self._ask(f"Break on {STOPS}", self._break_on)

    def _break_on(self, text: str) -> None:
        from greenroom.runtime.cli.past.stops import breakpoint_of

        self.stops.add(breakpoint_of(text))
        self._mark()

    def on_stops_pane_changed(self, event: StopsPane.Changed) -> None:
        """Show the breakpoints as they are now."""
        self._mark()

    def _mark(self) -> None:
        self.events.marked = self.stops.marked
        self.events.refresh()
        self.query_one(StopsPane).list()

    def action_run(self, step: int) -> None:
        """Go to the next breakpoint."""
        if not len(self.stops.placed):
            self.say("no breakpoint is set: b sets one at this event, B one on a condition")
            return
        self._find(self.stops.matcher(), step, "breakpoint", "cC", self.stops.why)

    # -- forking

    def action_fork(self) -> None:
        """Ask whether to fork."""
        at = self.at
        self._ask(f"Fork after event {at}? enter forks, escape leaves", lambda _: self._fork(at), empty=True)

    def _fork(self, at: int) -> None:
        self.say("forking…")
        self.run_worker(partial(self._make_fork, at), thread=True, group="fork")

    def _make_fork(self, at: int) -> None:
        from greenroom.runtime import GreenroomError
        from greenroom.runtime.cli.failures import in_our_words

        try:
            made = self._recorded.fork(at)
        except GreenroomError as error:
            self.call_from_thread(self.say, f"not forked: {in_our_words(str(error))}", "red")
        else:
            self.call_from_thread(self.say, f"forked as {made}; look at it: greenroom debug {made[:8]}", "green")

    # -- the prompt

    def _ask(self, question: str, answer: Callable[[str], object], value: str = "", *, empty: bool = False) -> None:
        self._answer = answer
        self._empty = empty
        prompt = self.query_one("#prompt", Input)
        prompt.placeholder, prompt.value = question, value
        prompt.add_class("open")
        prompt.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Do what was asked for."""
        import typer

        from greenroom.runtime import GreenroomError

        answer, text = self._answer, event.value.strip()
        self._leave_prompt()
        if answer is None or not (text or self._empty):
            return
        try:
            answer(text)
        except (GreenroomError, typer.BadParameter) as error:
            self.say(str(error), "red")

    def _leave_prompt(self) -> None:
        self._answer = None
        self.query_one("#prompt", Input).remove_class("open")
        self.events.focus()

    def action_close(self) -> None:
        """Close what is open, and stop a search."""
        self.query_one("#help").remove_class("open")
        self.workers.cancel_group(self, "search")
        self._leave_prompt()
        self.say("")

    def action_help(self) -> None:
        """Show all keys."""
        self.query_one("#help").toggle_class("open")
