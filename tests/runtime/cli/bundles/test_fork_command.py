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


def test_sessions_are_shared_limited_and_erased(greenroom: Any, tmp_path: Path) -> None:
    data = ("--data", tmp_path / "store")
    with Runtime.open(tmp_path / "store") as rt:
        hers, his = rt.create_session("hers", created_by="ada"), rt.create_session("his", created_by="bob")
        hers.store_artifact("t", "a", "0123456789")
        hers.set("k", "Rosebud")
        idle = rt.create_session(config={"delete_after_idle_days": 1e-9}).id
    share = greenroom.json(*data, "sessions", "share", hers.id, "--with", his.id, "--permission", "write")
    assert (share["session_id"], share["with_session"], share["permission"]) == (hers.id, his.id, "write")
    assert his.id in greenroom(*data, "sessions", "shares", hers.id).stdout
    assert hers.id in greenroom(*data, "sessions", "shares", his.id).stdout
    assert "revoked" in greenroom(*data, "sessions", "unshare", hers.id, "--with", his.id).stdout
    assert greenroom.json(*data, "sessions", "shares", hers.id) == []

    assert greenroom.json(*data, "quotas", "set", "ada", "--max-sessions", 1)[0]["sessions"] == 1
    assert greenroom.json(*data, "quotas", "list")[0]["storage_bytes"] == 10
    assert "ada" in greenroom(*data, "sessions", "fork", hers.id, code=1).stderr
    assert "deleted" in greenroom(*data, "quotas", "delete", "ada").stdout
    assert "any" in greenroom(*data, "quotas", "show", "ada").stdout

    assert "no limits" in greenroom(*data, "retention", "run", "--ended-days", 1, code=2).stderr
    run = greenroom.json(*data, "retention", "run")[0]
    assert (run["sessions"], run["error"]) == (1, None)
    assert idle not in greenroom(*data, "sessions", "list").stdout
    assert "done" in greenroom(*data, "retention", "show").stdout

    assert "would go" in greenroom(*data, "erase", "--created-by", "ada").stdout
    assert "would go" in greenroom(*data, "erase", "--created-by", "ada", "--yes", "--dry-run").stdout
    report = greenroom.json(*data, "erase", "--created-by", "ada", "--yes", "--needle", "Rosebud")
    assert (report["sessions"], report["clean"], report["left"]) == ([hers.id], True, [])
    greenroom(*data, "erase", "--created-by", "ada", "--yes", "--needle", "bob", code=1)


def test_a_fork_begins_with_the_changes_of_the_command_line(greenroom: Any, tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "store") as rt:
        session = rt.create_session()
        asked = session.add_message("user", "hi").sequence
        dropped = session.add_message("assistant", "hello").sequence
        rt.tools.register("weather", lambda: 20)
        session.call_tool("weather")
        called = next(each.sequence for each in session.events() if each.type == "tool.called")
    data = ("--data", tmp_path / "store")
    forked = greenroom.json(
        *data, "sessions", "fork", session.id, "--set", "k=[1]", "--set", "t=text", "--system-prompt", "Be brief.",
        "--edit-message", f"{asked}=5", "--drop-message", dropped, "--add-message", "user=more = less",
        "--tool-result", f"{called}=-5", "--tag", "tried",
    )  # fmt: skip
    assert forked["tags"] == ["tried"]
    with Runtime.open(tmp_path / "store") as rt:
        fork = rt.session(forked["id"])
        assert [turn.content for turn in fork.messages()] == ["5", "Be brief.", "more = less"]
        assert fork.variables() == {"k": [1], "t": "text"}
        assert [each.data["result"] for each in fork.events() if each.type == "tool.result_changed"] == [-5]
    for wrong in ("text", "first=text", "=text"):
        refused = greenroom(*data, "sessions", "fork", session.id, "--edit-message", wrong, code=2).stderr
        assert f"'{wrong}' is not of the form SEQUENCE=TEXT" in refused
    assert "no message 77" in greenroom(*data, "sessions", "fork", session.id, "--drop-message", 77, code=1).stderr


def test_a_fork_is_made_at_a_time(greenroom: Any, tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "store") as rt:
        session = rt.create_session()
        session.set("k", 1)
        when = list(session.events())[-1].timestamp
        session.set("k", 2)
    data = ("--data", tmp_path / "store")
    forked = greenroom.json(*data, "sessions", "fork", session.id, "--at", when.isoformat())
    assert greenroom.json(*data, "sessions", "show", forked["id"])["variables"] == {"k": 1}
    assert "history" in greenroom(*data, "sessions", "fork", session.id, "--at", "2001-01-01", code=1).stderr
    assert "no time" in greenroom(*data, "sessions", "fork", session.id, "--at", "soon", code=2).stderr
