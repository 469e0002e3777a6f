"""``greenroom events`` and ``greenroom timeline``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from greenroom.runtime import Runtime, Session
from greenroom.runtime.cli.app import app

from ....warm import WarmPopen


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("events") / "store"


@pytest.fixture(scope="module")
def session(store: Path) -> Session:
    with Runtime.open(store) as runtime:
        session = runtime.create_session(name="a", correlation_id="order 7")
        other = runtime.create_session(name="b")
        with runtime.operation("order 7"):
            session.set("k", "v\x1b[31m")
            other.add_tag("t")
        runtime.run_script('State.set("x", 1)', session=session)
        return session


def run(store: Path, *arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["--data", str(store), *arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.output


def test_events_of_one_session_by_type(store: Path, session: Session) -> None:
    rows = json.loads(run(store, "events", session.id, "--type", "script.*", "--json"))
    assert [row["type"] for row in rows] == ["script.started", "script.finished"]
    lines = run(store, "events", session.id[:8], "--type", "variable.set", "--limit", "1").splitlines()
    assert len(lines) == 1
    assert "variable.set" in lines[0]
    assert "\x1b" not in lines[0]


def test_events_of_one_operation_in_all_sessions(store: Path, session: Session) -> None:
    rows = json.loads(run(store, "events", "--correlation", "order 7", "--json"))
    assert len({row["session_id"] for row in rows}) == 2
    assert {row["correlation_id"] for row in rows} == {"order 7"}
    within = json.loads(run(store, "events", session.id, "--correlation", "order 7", "--json"))
    assert [row for row in rows if row["session_id"] == session.id] == within
    assert run(store, "events", "--correlation", "order 7", "--type", "tags.*").count("\n") == 1
    assert run(store, "events", "--correlation", "nobody") == ""


def test_a_timeline_shows_what_was_caused_below_its_cause(store: Path, session: Session) -> None:
    lines = run(store, "timeline", session.id).splitlines()
    assert len(lines) == 6  # a title, the axis, and the script as one
    (caused,) = [line for line in lines if "x = 1" in line]
    assert "    variable.set" in caused
    rows = json.loads(run(store, "timeline", "--correlation", "order 7", "--json"))
    started = next(row for row in rows if row["type"] == "script.started")
    assert [row["depth"] for row in rows if row["cause"] == started["id"]] == [1, 1]
    few = CliRunner().invoke(app, ["--data", str(store), "timeline", session.id, "--limit", "2"])
    assert len(few.stdout.splitlines()) == 4
    assert "3 more" in few.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["events"],
        ["events", "--correlation", "c", "--follow"],
        ["timeline"],
        ["timeline", "abcdef", "--correlation", "c"],
    ],
)
def test_what_makes_no_sense_is_a_usage_error(store: Path, session: Session, arguments: list[str]) -> None:
    assert "Error" in run(store, *arguments, code=2)


def test_a_bad_pattern_is_the_users_mistake(store: Path, session: Session) -> None:
    assert "segments" in run(store, "events", session.id, "--type", "a..b", code=1)


def test_follow_shows_what_another_process_writes(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "store") as runtime:
        session = runtime.create_session()
        command = [sys.executable, "-m", "greenroom.runtime.cli", "--data", str(tmp_path / "store")]
        command += ["events", session.id, "--follow", "--json", "--type", "custom.*", "--limit", "2"]
        with WarmPopen(command, stdout=subprocess.PIPE, text=True) as following:
            assert following.stdout is not None
            runtime.events.publish("custom.one", {}, session)
            session.set("k", 1)
            first = following.stdout.readline()
            runtime.events.publish("custom.two", {}, session)
            second = following.stdout.readline()
            assert following.wait(60) == 0
    assert [json.loads(line)["type"] for line in (first, second)] == ["custom.one", "custom.two"]
