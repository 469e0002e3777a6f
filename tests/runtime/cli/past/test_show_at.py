"""``greenroom sessions show --at``: a session as it was."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime


@pytest.fixture
def session(tmp_path: Path) -> str:
    with Runtime.open(tmp_path / "greenroom-data") as rt:
        s = rt.create_session(name="Past")
        s.set("k", "before")  # event 2
        s.add_message("user", "the first message")
        s.store_artifact("note", "a.txt", b"content")
        s.ask_human("Which one?")  # event 5
        s.records.put("a record", 1)
        s.set("k", "after")
        s.clear_messages()
        s.delete_artifact("a.txt")
        return s.id


def test_a_moment_is_shown_by_its_event(greenroom: Any, session: str) -> None:
    said = greenroom("sessions", "show", session, "--at", "6", "--messages", "5").stdout
    for each in ("variable k", "before", "artifact a.txt 1", "question 5", "pending: Which one?", "record a record"):
        assert each in said
    assert "the first message" in said
    assert "after" not in said
    before = greenroom("sessions", "show", session, "--at", "2").stdout
    assert "artifact a.txt" not in before
    assert "after" in greenroom("sessions", "show", session, "--at", "9").stdout


def test_as_json_it_is_all_of_the_past_state(greenroom: Any, session: str) -> None:
    told = json.loads(greenroom("sessions", "show", session, "--at", "6", "--json").stdout)
    assert (told["sequence"], told["variables"]) == (6, {"k": "before"})
    assert [each["content"] for each in told["messages"]] == ["the first message"]
    assert [each["name"] for each in told["artifacts"]] == ["a.txt"]
    assert list(told["records"]) == ["a record"]
    again = json.loads(greenroom("sessions", "show", session, "--at", told["time"], "--json").stdout)
    assert again["sequence"] == 6
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert json.loads(greenroom("sessions", "show", session, "--at", tomorrow, "--json").stdout)["sequence"] == 9


@pytest.mark.parametrize(
    ("at", "code", "what"),
    [
        ("99", 1, "events 1 to 9"),
        ("0", 1, "events 1 to 9"),
        ("7d", 1, "events 1 to 9"),
        ("soon", 2, "no time"),
        ("2026-01-01T00:00:00", 2, "zone"),
        ("-3", 2, "no time"),
    ],
)
def test_what_is_no_moment_of_the_session_is_said(greenroom: Any, session: str, at: str, code: int, what: str) -> None:
    assert what in greenroom("sessions", "show", session, f"--at={at}", code=code).stderr
