"""Every command that shows a session shows a recorded one, from what was understood."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime
from greenroom.runtime.cli.debug.recording import Recording
from greenroom.runtime.recording.understanding.derived import understand

from ...recording.understanding.runs import Run, result, says, user
from ..debug.driving import Person, watch

SESSIONS = "sunny", "cloudy"


@pytest.fixture
def recorded(tmp_path: Path) -> list[str]:
    """Two recordings of an agent, which got different weather."""
    ids = []
    with Runtime.open(tmp_path / "greenroom-data") as rt:
        for sky in SESSIONS:
            session = rt.create_session(name=f"agent {sky}")
            run = Run(session)
            messages = run.chat([user("The weather in Rome?")], says(None, ("c1", "weather", {"city": "Rome"})))
            messages = run.chat([*messages, result("c1", sky)], says(f"It is {sky}."))
            run.chat([user("Something aside")], says("Yes."))
            run.chat([*messages, user("Thanks!")], None)
            run.chat([*messages, user("Thanks!")], says("You are welcome."))
            run.sink.end({"exit_code": 0})
            understand(session)
            ids.append(session.id)
    return ids


def test_sessions_and_their_conversation(greenroom: Any, recorded: list[str]) -> None:
    rows = json.loads(greenroom("sessions", "list", "--json", "--tag", "recording").stdout)
    assert {row["id"] for row in rows} == set(recorded)
    said = greenroom("events", recorded[0], "--type", "message.*").stdout
    assert "It is sunny." in said


def test_context_shows_what_a_call_was_given_and_what_is_new_since_its_conversation_went_on(
    greenroom: Any, recorded: list[str]
) -> None:
    shown = json.loads(greenroom("context", recorded[0], "--call", 4, "--json").stdout)
    assert (shown["model"], shown["system_prompt"]) == ("gpt-4o", "Be brief.")
    assert [each["content"] for each in shown["messages"]] == [
        "The weather in Rome?", None, "sunny", "It is sunny.", "Thanks!",
    ]  # fmt: skip
    assert [each["kind"] for each in shown["changes"]] == ["injected", "injected"]
    aside = greenroom("context", recorded[0], "--call", 3).stdout
    assert "Something aside" in aside
    assert "sunny" not in aside
    assert "null" not in aside


def test_diff_says_where_two_recordings_part(greenroom: Any, recorded: list[str]) -> None:
    told = greenroom("diff", *recorded, code=None).stdout
    assert "tool: sunny" in told
    assert "assistant: It is cloudy." in told


def test_timeline_tells_calls_tools_and_failures(greenroom: Any, recorded: list[str]) -> None:
    told = greenroom("timeline", recorded[0]).stdout
    assert "tool weather" in told
    assert "250 ms" in told
    assert "agent gpt-4o: rate_limit: slow down" in told


def test_stats_count_tokens_and_cost(greenroom: Any, recorded: list[str]) -> None:
    told = json.loads(greenroom("stats", "--session", recorded[0], "--json").stdout)
    assert told["agents"]["total"]["tokens"] == 440
    assert told["agents"]["total"]["cost_usd"] == pytest.approx(4 * 0.00035)
    tools = greenroom("stats", "--tools").stdout
    assert "weather" in tools
    assert "gpt-4o" in tools


def test_a_recorded_session_is_decided_again_and_sound(greenroom: Any, recorded: list[str], tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "greenroom-data", read_only=True) as rt:
        assert rt.replay(recorded[0]).identical
    assert "everything is as it was written" in greenroom("verify").stdout


def test_the_debugger_shows_a_recording(recorded: list[str], tmp_path: Path) -> None:
    async def look(person: Person) -> None:
        await person.press("home", "e")
        assert "rate_limit" in person.screen
        await person.press("u")
        assert "agent.called" in person.screen
        await person.press("3")
        assert "It is sunny." in person.screen

    store = tmp_path / "greenroom-data"
    with Runtime.open(store, read_only=True) as rt:
        debugger = rt.session(recorded[0]).debugger()
        watch(Recording(debugger, "agent sunny", lambda: Runtime.open(store)), look, (120, 40))
