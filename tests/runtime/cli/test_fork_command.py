from __future__ import annotations

from pathlib import Path
from typing import Any

from greenroom.runtime import Runtime


def test_a_session_is_forked_and_old_events_are_cut(greenroom: Any, tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "store") as rt:
        session = rt.create_session(name="Analysis")
        for number in range(20):
            session.set("k", number)
        session.store_artifact("t", "quarterly-report.md", "text")
    data = ("--data", tmp_path / "store")
    forked = greenroom.json(*data, "sessions", "fork", session.id[:8], "--at", 5)
    assert (forked["parent_session_id"], forked["status"], forked["name"]) == (session.id, "active", "Analysis")
    assert greenroom.json(*data, "sessions", "show", forked["id"])["variables"] == {"k": 3}
    assert "forked" in greenroom(*data, "sessions", "fork", session.id).stdout
    assert "at_sequence" in greenroom(*data, "sessions", "fork", session.id, "--at", 500, code=1).stderr
    found = greenroom.json(*data, "artifacts", "list", session.id, "--text", "reprot", "--fuzzy")
    assert [each["name"] for each in found] == ["quarterly-report.md"]
    planned = greenroom.json(*data, "retention", "--max-journal-events", 2)["journals"]
    assert {each["session_id"]: each["base"] for each in planned}[session.id] == 20
    assert "deleted" in greenroom(*data, "retention", "--max-journal-events", 2, "--yes").stdout
    assert len(greenroom.json(*data, "events", session.id)) == 3
    assert greenroom.json(*data, "sessions", "show", session.id)["variables"] == {"k": 19}
