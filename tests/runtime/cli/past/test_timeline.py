"""``greenroom timeline``: a picture of causes and durations."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from greenroom.runtime import Event, Runtime, Session, Step, TimelineRow, Workflow
from greenroom.runtime.cli.past.picture import Axis, Marks, draw
from greenroom.runtime.cli.past.spans import spans_of
from greenroom.runtime.cli.times import lasted

BEGIN = datetime(2026, 1, 31, 10, tzinfo=UTC)


def row(sequence: int, type: str, seconds: float, cause: int | None = None, **data: Any) -> TimelineRow:
    event = Event(f"s/{sequence}", type, "s", sequence, BEGIN + timedelta(seconds=seconds), data)
    return TimelineRow(event, 0, f"s/{cause}" if cause is not None else None)


def drawn(rows: list[TimelineRow], width: int = 80) -> list[str]:
    return [line.plain for line in draw(spans_of(rows), width, Marks())]


@pytest.fixture
def session(tmp_path: Path) -> str:
    """The id of a session in which an agent calls tools."""
    with Runtime.open(tmp_path / "greenroom-data") as rt:

        def weather(city: str) -> str:
            if city == "Atlantis":
                raise LookupError("no such city")
            return "sunny " * 100

        def planner(input: dict[str, Any], context: Any) -> dict[str, Any]:
            context.session.call_tool("weather", {"city": "Rome"})
            with pytest.raises(Exception, match="no such city"):
                context.session.call_tool("weather", {"city": "Atlantis"})
            return {"text": "Rome"}

        rt.tools.register("weather", weather)
        rt.agents.register("planner", planner)
        session = rt.create_session(name="Trip")
        with rt.operation("order 7"):
            session.call_agent("planner", {"wish": "sun"})
        for number in range(10):
            session.set(f"n{number}", number)
        session.add_message("user", "\x1b[31mThanks, 東京! " * 20)
        other = rt.create_session(name="Other")
        with rt.operation("order 7"):
            other.set("k", 1)
        return session.id


def test_calls_are_bars_below_their_causes(greenroom: Any, session: str) -> None:
    said = greenroom("timeline", session).stdout
    assert "\x1b" not in said
    lines = said.splitlines()
    assert all(cell_len(line) <= 80 for line in lines[1:-1])
    assert "1 failed" in lines[0]
    agent, rome, _, atlantis = lines[3:7]
    assert re.search(r"agent planner  {.*█", agent)
    assert re.search(r"  tool weather  {.*[█▏]", rome)
    assert "✗ tool weather  CallFailed" in atlantis
    assert "returned" not in said
    assert re.fullmatch(r"✗ \d+ tool weather: CallFailed: .*no such city.*", lines[-1])
    assert re.search(r" *\d+-\d+ .* variable.set ×10  n0 = 0 … n9 = 9", said)


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_picture_fits_the_window(greenroom: Any, session: str, width: int) -> None:
    lines = greenroom("timeline", session, COLUMNS=str(width)).stdout.splitlines()
    assert max(map(cell_len, lines[1:-1])) <= width


def test_an_operation_names_the_sessions_of_its_events(greenroom: Any, session: str) -> None:
    lines = greenroom("timeline", "--correlation", "order 7").stdout.splitlines()
    assert lines[0].startswith("operation order 7")
    assert {line[:8] for line in lines[2:-1]} > {session[:8]}
    rows = json.loads(greenroom("timeline", "--correlation", "order 7", "--json").stdout)
    assert {"depth", "cause", "type", "sequence"} <= rows[0].keys()
    none = greenroom("timeline", "--correlation", "order 8")
    assert (none.stdout, none.stderr) == ("", "no event to be seen belongs to operation order 8\n")
    assert greenroom.json("timeline", "--correlation", "order 8") == []


def test_a_terminal_without_unicode_gets_plain_characters(
    greenroom: Any, session: str, environment: dict[str, str]
) -> None:
    command = [sys.executable, "-m", "greenroom.runtime.cli", "timeline", session, "--limit", "5"]
    plain = environment | {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    said = subprocess.run(command, env=plain, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "#" in said
    assert "\\u" not in said


def test_a_call_that_has_not_returned_is_open(greenroom: Any, tmp_path: Path) -> None:
    said: list[str] = []
    with Runtime.open(tmp_path / "greenroom-data") as rt:
        session = rt.create_session()

        def look() -> None:
            said.append(greenroom.process("timeline", session.id).stdout)

        rt.tools.register("look", look)
        session.call_tool("look", {})
    assert re.search(r"tool look .* open +░", said[0])


def test_a_workflow_is_a_span_with_its_stages_below(greenroom: Any, tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "greenroom-data") as rt:
        rt.tools.register("double", lambda n: {"n": n * 2})
        flow = Workflow("sequential", [Step("one", tool="double", input={"n": 2})], name="flow")
        session: Session = rt.create_session()
        session.run_workflow(flow, {})
        session_id = session.id
    said = greenroom("timeline", session_id).stdout
    assert re.search(r"ms  workflow flow .*[█▏]", said)
    assert re.search(r"    tool double .*[█▏]", said)
    assert "workflow.finished" not in said


def test_time_without_events_is_shortened() -> None:
    night = 10 * 3600.0
    rows = [
        row(1, "tool.called", 0, name="a"),
        row(2, "tool.returned", 2, 1, name="a", call=1, success=True, duration=2.0),
        row(3, "tool.called", night, name="b"),
        row(4, "tool.returned", night + 2, 3, name="b", call=3, success=True, duration=2.0),
    ]
    axis = Axis(spans_of(rows))
    assert axis.shortened == pytest.approx(night - 2 - 4)
    assert axis.place((BEGIN + timedelta(seconds=2)).timestamp()) == pytest.approx(0.25)
    assert axis.place((BEGIN + timedelta(seconds=night)).timestamp()) == pytest.approx(0.75)
    first, second = drawn(rows)[1:]
    assert first.count("█") == second.count("█") == 5


def test_alike_calls_with_all_they_caused_are_one_line() -> None:
    rows = []
    for number in range(6):
        at = 3 * number + 1
        rows += [
            row(at, "tool.called", at, name="a", input={"n": number}),
            row(at + 1, "artifact.stored", at + 1, at, name=f"a-{at}", version=1, size=3),
            row(at + 2, "tool.returned", at + 2, at, name="a", call=at, success=number != 4, error=None, duration=2.0),
        ]
    lines = drawn(rows)[1:]
    assert [bool(re.search(r"tool a ×4", line)) for line in lines] == [True, False, False, False, False]
    assert "1-12" in lines[0]
    assert "8.0 s" in lines[0]
    assert "✗ tool a" in lines[1]


def test_a_long_chain_of_causes_is_drawn() -> None:
    lines = drawn([row(at, f"custom.{at % 3}", at, at - 1 or None) for at in range(1, 5000)])
    assert len(lines) == 5000
    assert all(cell_len(line) <= 80 for line in lines)


def test_a_conversation_without_times_has_its_order_and_more_room() -> None:
    called = {"id": "1", "type": "function", "function": {"name": "shell", "arguments": '{"command": "ls"}'}}
    lines = drawn(
        [
            row(1, "session.created", 0, name="Talk"),
            row(2, "message.added", 0, role="user", content="x" * 200),
            row(3, "message.added", 0, role="assistant", content="", tool_calls=[called]),
            row(4, "message.added", 0, role="tool", name="shell", content_hash="00", text=True),
        ]
    )
    assert lines[0] == "seq  event"
    assert cell_len(lines[2]) == 80
    assert lines[3:] == [
        '  3  message assistant  calls shell {"command": "ls"}',
        "  4  message tool  shell: a large text",
    ]


def test_events_of_unknown_forms_are_drawn() -> None:
    known = ["tool.called", "tool.returned", "hook.executed", "workflow.stage", "artifact.stored", "message.added"]
    assert len(drawn([row(at, type, at, duration="soon", error=at) for at, type in enumerate(known, 1)])) == 7


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0001, "<1 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.0 s"),
        (59.94, "59.9 s"),
        (60, "1m 00s"),
        (3600, "1h 00m"),
        (90 * 60, "1h 30m"),
        (3 * 86400 + 7200, "3d 02h"),
    ],
)
def test_spans_of_time_are_short(seconds: float, text: str) -> None:
    assert lasted(seconds) == text
