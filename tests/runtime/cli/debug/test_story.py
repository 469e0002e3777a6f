"""The debugger, driven through what one does with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Debugger, Runtime, Session
from greenroom.runtime.cli.debug.app import _HELP
from greenroom.runtime.cli.debug.recording import Recording
from greenroom.storage.codec.keys import sequence_key, session_bytes
from greenroom.storage.engine.engine import CF

from .driving import SIZES, Person, watch


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def session_id(store: Path) -> str:
    """A session in which an agent asks for the weather of two cities, and gets one."""
    with Runtime.open(store) as rt:

        def weather(city: str) -> dict[str, Any]:
            if city == "Atlantis":
                raise LookupError("no such city")
            return {"city": city, "degrees": 21}

        def planner(input: dict[str, Any], context: Any) -> dict[str, Any]:
            session: Session = context.session
            session.set("plan", {"city": "Rome", "days": 3})
            session.call_tool("weather", {"city": "Rome"})
            with pytest.raises(Exception, match="no such city"):
                session.call_tool("weather", {"city": "Atlantis"})
            session.set("plan", {"city": "Rome", "days": 4})
            return {"text": "Rome for four days"}

        rt.tools.register("weather", weather)
        rt.agents.register("planner", planner)
        session = rt.create_session(name="Trip")
        session.add_message("user", "Where is it \x1b[31mwarm?")
        session.call_agent("planner", {"wish": "sun"})
        session.add_message("assistant", "Rome for four days")
        return session.id


@pytest.fixture
def recorded(store: Path, session_id: str) -> Iterator[Recording]:
    with Runtime.open(store, read_only=True) as rt:
        yield Recording(rt.session(session_id).debugger(), "Trip  active", lambda: Runtime.open(store))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_debugging_story(recorded: Recording, store: Path, session_id: str, size: tuple[int, int]) -> None:
    async def look(person: Person) -> None:
        app = person.app
        assert app.at == recorded.last
        assert [len(line) for line in person.lines] == [size[0]] * size[1]
        assert person.lines[0].startswith(" Trip  active")
        for key in ("Quit", "Search", "Go", "Break", "Run", "Error", "Fork", "Keys"):
            assert key in person.lines[-1]
        assert "Rome for four days" in person.screen
        # to the beginning, and to what failed
        await person.press("home")
        assert app.at == 1
        await person.press("e")
        failed = app.at
        assert "no such city" in person.screen
        assert "tool.returned" in person.screen
        # why was it called?
        await person.press("u")
        assert app.at == failed - 1
        assert "Atlantis" in person.screen
        # search by type and text
        await person.press("end", "slash")
        await person.type("type:variable.* plan")
        assert "no 'type:variable.* plan' after this event" in person.screen
        await person.press("N")
        changed = app.at
        await person.press("2")
        assert "days  4" in person.screen or "plan  2" in person.screen
        await person.press("4")
        assert "~ variables.plan.days" in person.screen
        # a breakpoint here, and back to it from elsewhere
        await person.press("b", "home", "c")
        assert app.at == changed
        assert f"●{changed:>2}" in person.screen
        await person.press("c")
        assert "no breakpoint after this event" in person.screen
        # the conversation at that moment
        await person.press("3")
        assert "Where is it" in person.screen
        assert "Rome for four days" not in person.lines[5]
        # fork here
        await person.press("f")
        assert f"Fork after event {changed}?" in person.screen
        await person.press("enter")
        assert "forked as" in person.screen
        await person.press("q")

    watch(recorded, look, size)
    with Runtime.open(store, read_only=True) as rt:
        (made,) = rt.list_sessions(parent=session_id)
        assert rt.session(made.id).variables() == {"plan": {"city": "Rome", "days": 4}}


def test_beside_a_writer_new_events_appear_and_a_fork_says_why_not(store: Path, session_id: str) -> None:
    with Runtime.open(store) as writer, Runtime.open(store, read_only=True) as rt:
        recorded = Recording(rt.session(session_id).debugger(), "Trip  active", lambda: Runtime.open(store))

        async def look(person: Person) -> None:
            before = recorded.last
            writer.session(session_id).set("late", True)
            rt.refresh()
            person.app._look_again()
            await person.settle()
            assert person.app.at == recorded.last == before + 1
            assert "late" in person.screen
            await person.press("f", "enter")
            assert "not forked" in person.screen
            assert "another process has it open" in person.words
            assert "read_only" not in person.screen

        watch(recorded, look)
        assert rt.list_sessions(parent=session_id).total == 0


def test_places_that_are_asked_for(recorded: Recording) -> None:
    async def look(person: Person) -> None:
        app = person.app
        await person.press("g")
        await person.type("3")
        assert app.at == 3
        await person.press("g")
        await person.type("99999")
        assert app.at == recorded.last
        assert f"the events are 1 to {recorded.last}" in person.screen
        await person.press("up")
        assert "the events are" not in person.screen  # that concerned the event before
        await person.press("g")
        await person.type("2020-01-01")
        assert app.at == 1
        await person.press("g")
        await person.type("now")
        assert app.at == recorded.last
        await person.press("g")
        await person.type("soonish")
        assert "no time" in person.screen
        await person.press("slash")
        await person.type("type:a..b")
        assert "segments" in person.screen
        await person.press("u")
        await person.press("question_mark")
        assert "its cause" in person.screen
        for each in _HELP.splitlines():  # whole, and every line in one piece
            assert re.sub(r"\[/?b\]", "", each) in person.screen
        await person.press("escape")
        assert "its cause" not in person.screen
        await person.press("pageup", "k", "j", "pagedown", "up", "down")
        assert app.at == recorded.last

    watch(recorded, look)


def test_a_place_to_begin_that_is_not_there_is_said(recorded: Recording) -> None:
    async def look(person: Person) -> None:
        assert person.app.at == recorded.last
        assert f"the events are 1 to {recorded.last}" in person.screen

    watch(recorded, look, at=99)


def test_parts_of_the_state_open_and_stay_open(recorded: Recording) -> None:
    async def look(person: Person) -> None:
        await person.press("2", "tab", "tab")
        tree = person.app.query_one("#state-pane")
        tree.focus()
        await person.settle()
        await person.press("down", "enter")
        assert "days  4" in person.screen
        found = next(node for node in tree.root.children if str(node.label) == "artifacts")  # type: ignore[attr-defined]
        found.expand()
        await person.settle()
        assert "none" in person.screen
        person.app.action_move(-1)
        await person.settle()
        assert "days  4" in person.screen

    watch(recorded, look)


def test_breakpoints_on_types_errors_and_conditions(recorded: Recording) -> None:
    async def look(person: Person) -> None:
        app = person.app
        await person.press("c")
        assert "no breakpoint is set" in person.screen
        await person.press("home", "B")
        await person.type("tool.returned")
        await person.press("c")
        assert app.at == 6
        await person.press("c")
        assert app.at == 8
        await person.press("c")
        assert app.at == 8
        assert "no breakpoint after this event: C looks before it" in person.screen
        await person.press("C")
        assert app.at == 6
        assert "paused at 6: breakpoint on event tool.returned" in person.screen
        # on a condition of the state, once
        await person.press("home", "5")
        app.query_one("#stops-pane").focus()
        await person.press("down", "space")
        assert "○ event tool.returned" in person.screen
        await person.press("B")
        await person.type("once when=variables.plan.days == 4")
        app.events.focus()
        await person.press("c")
        assert app.at == 9
        assert "when variables.plan.days == 4" in person.words
        await person.press("home", "c")
        assert "no breakpoint after this event" in person.screen
        app.query_one("#stops-pane").focus()
        await person.press("d", "d")
        assert "none: b sets one" in person.screen
        for wrong in ("when=", "days=4", "3 4", "error error", "skip=many"):
            await person.press("B")
            await person.type(wrong)
            assert "none: b sets one" in person.screen
            assert "no breakpoint" not in person.screen

    watch(recorded, look)


def test_what_the_model_was_given(recorded: Recording) -> None:
    async def look(person: Person) -> None:
        await person.press("3")
        assert "input" in person.screen
        assert '{"wish": "sun"}' in person.screen
        assert "planner answered" in person.screen

    watch(recorded, look, at=3)


def test_an_exported_file_is_looked_at_without_its_store(recorded: Recording, tmp_path: Path) -> None:
    recorded.debugger.breakpoints = [{"sequence": 4}, {"from": "elsewhere"}]
    recorded.debugger.export(tmp_path / "trip.json")
    debugger = Debugger.load(tmp_path / "trip.json")

    async def look(person: Person) -> None:
        await person.press("home", "c", "2")
        assert person.app.at == 4
        assert "plan  2" in person.screen
        await person.press("f", "enter")
        assert "not forked: this is a file" in person.words
        await person.press("end", "3")
        assert "Where is it" in person.screen

    watch(Recording(debugger, "trip.json"), look, stops=debugger.breakpoints)


def test_a_damaged_journal_is_shown_as_far_as_it_goes(store: Path, session_id: str) -> None:
    with Runtime.open(store) as rt:
        key = sequence_key(session_bytes(session_id), 5)
        record = rt._store.engine.get(CF.JOURNAL, key)
        assert record is not None
        rt._store.engine.write([(CF.JOURNAL, key, record[:-1] + bytes([record[-1] ^ 1]))])

    async def look(person: Person) -> None:
        assert "Rome for four days" in person.screen
        await person.press("home", "2", "down", "down", "down")
        assert "plan" in person.screen
        await person.press("1", "down")
        assert "damaged" in person.screen
        for pane in ("2", "3", "4"):
            await person.press(pane)
            assert "event 5" in person.words
        await person.press("down", "1")
        assert "tool.returned" in person.screen

    with Runtime.open(store, read_only=True) as rt:
        watch(Recording(rt.session(session_id).debugger(), "Trip"), look)


def test_a_session_that_is_deleted_meanwhile_is_told(store: Path, session_id: str) -> None:
    with Runtime.open(store) as rt:

        async def look(person: Person) -> None:
            rt.delete_session(session_id)
            person.app._look_again()
            await person.press("home", "2", "3", "4")
            assert "no session" in person.words

        watch(Recording(rt.session(session_id).debugger(), "Trip"), look)


def test_what_stands_in_a_session_cannot_steer_the_screen(store: Path) -> None:
    evil = "[red]\x1b[31m[/nonsense] \u202e東京 \x00"
    with Runtime.open(store) as rt:
        session = rt.create_session(name=evil)
        session.set(evil[:5] + "k", {evil: [evil, b"\xff", None]})
        session.add_message("user", evil * 5000)
        rt.events.publish("custom.evil", {"text": evil, "many": ["x" * 50] * 20_000}, session)
        rt.events.publish("tool.returned", {"success": False, "error": evil}, session)

        async def look(person: Person) -> None:
            for _ in range(6):
                for pane in "12345":
                    await person.press(pane)
                    assert "\x1b" not in person.screen
                    assert "\u202e" not in person.screen
                    assert "\x00" not in person.screen
                await person.press("up")
            assert "[red]" in person.screen

        watch(Recording(session.debugger(), evil), look)
