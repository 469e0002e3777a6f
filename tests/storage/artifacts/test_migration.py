"""A store of an older format opens under the newest one, and everything in it is there."""

from __future__ import annotations

import os
import signal
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime, Session, SessionNotFound, StorageError
from greenroom.storage.codec.records import unseal
from greenroom.storage.engine.engine import CF, FORMAT_VERSION, Durability, Engine, EngineOptions
from tests.golden.make import plain

from ...warm import run_warm
from .conftest import golden

Golden = tuple[Path, dict[str, Any]]


def rooted(event: dict[str, Any]) -> dict[str, Any]:
    """The event with what it does not name: it is the root of what it causes, belongs to its session, and has an
    origin."""
    named = event["correlation_id"]
    return event | {
        "correlation_id": event["session_id"] if named in (None, event["id"]) else named,
        "root_id": event["root_id"] or event["id"],
        "origin": "published" if event["type"].startswith("custom.") else "runtime",
    }


def check_session(session: Session, expected: dict[str, Any]) -> None:
    assert session.info().to_dict() == {"key": None, **expected["info"]}
    assert plain(session.variables()) == expected["variables"]
    assert [plain(each.to_dict()) for each in session.messages()] == [
        {"edited_at": None, "partial": False, **each} for each in expected["messages"]
    ]
    assert [plain(each.to_dict()) for each in session.events()] == [rooted(each) for each in expected["events"]]
    artifacts = list(session.list_artifacts())
    assert [info.to_dict() for info in artifacts] == [{"label": None, **each["info"]} for each in expected["artifacts"]]
    for info, each in zip(artifacts, expected["artifacts"], strict=True):
        content = session.get_artifact(info.id).content  # which verifies the hash
        assert len(content) == info.size
        if "content" in each:
            assert b64encode(content).decode() == each["content"]


def format_of(path: Path) -> int:
    engine = Engine(path, Durability.WAL, EngineOptions())
    try:
        record = engine.get(CF.META, b"format")
        assert record is not None
        return int(unseal(b"format", record)[0])
    finally:
        engine.close()


def test_all_that_was_in_it_is_there(golden_1: Golden) -> None:
    path, expected = golden_1
    assert format_of(path) == 1
    for _ in range(2):
        with Runtime.open(path) as rt:
            assert rt.verify().problems == []
            for each in expected["sessions"]:
                check_session(rt.session(each["info"]["id"]), each)
            for name, values in expected["scopes"].items():
                assert rt.state_scope(name).list() == values
            with pytest.raises(SessionNotFound):
                rt.session(expected["removed"])
            assert rt.list_sessions(status=tuple(rt.stats()["sessions"])).total == len(expected["sessions"])
        assert format_of(path) == FORMAT_VERSION


def test_sessions_of_before_are_found_by_every_query(golden_1: Golden) -> None:
    path, expected = golden_1
    with Runtime.open(path) as rt:
        infos = [each["info"] for each in expected["sessions"]]
        for info in infos:
            queries: list[dict[str, Any]] = [{"tags": [tag]} for tag in info["tags"]]
            queries += [{"metadata": {key: value}} for key, value in info["custom_metadata"].items()]
            queries += [{"created_by": info["created_by"]}] if info["created_by"] is not None else []
            queries += [{"parent": info["parent_session_id"]}] if info["parent_session_id"] is not None else []
            for query in queries:
                assert info["id"] in [each.id for each in rt.list_sessions(status=info["status"], **query)]
                assert rt.count_sessions(status="all", **query) == len(rt.list_sessions(status="all", **query))
        assert all(rt.session(each["id"]).children() for each in infos if each["name"] == "Analysis")


def test_what_was_stored_before_is_found_by_every_query(golden_1: Golden) -> None:
    path, expected = golden_1
    with Runtime.open(path) as rt:
        everything = [each["info"] for session in expected["sessions"] for each in session["artifacts"]]
        for kind in {info["artifact_type"] for info in everything}:
            page = rt.query_artifacts(artifact_type=kind, limit=100)
            wanted = {info["id"] for info in everything if info["artifact_type"] == kind}
            assert {str(info.id) for info in page} == wanted
            assert page.total == len(wanted)
        assert {info.name for info in rt.query_artifacts(text="quart")} == {"report.md"}
        assert {info.name for info in rt.query_artifacts(tags=["keep"])} == {"note.txt", "report.md", "same.csv"}
        assert [info.name for info in rt.query_artifacts(custom={"unit": "kg"})] == ["table.csv"]
        assert [info.name for info in rt.query_artifacts(created_by="ada")] == ["note.txt"]
        assert rt.query_artifacts(tags=["scrap"]).total == 0
        parents = {info["parent_artifact"] for info in everything} - {None}
        assert parents
        for parent in parents:
            children = {info["id"] for info in everything if info["parent_artifact"] == parent}
            assert {str(info.id) for info in rt.query_artifacts(parent_artifact=parent)} == children


def test_totals_by_type_are_right_after_deletions_that_did_not_tell_the_type(golden_1: Golden) -> None:
    path, expected = golden_1
    first = expected["sessions"][0]
    with Runtime.open(path) as rt:
        session = rt.session(first["info"]["id"])
        of_type = [each for each in first["artifacts"] if each["info"]["artifact_type"] == "tool_result"]
        assert session.query_artifacts(artifact_type="tool_result", limit=1).total == len(of_type)
        session.store_artifact("tool_result", "one more", b"x")
        session.delete_artifact("table.csv")
        session.delete_artifact("table.csv")
        assert session.query_artifacts(artifact_type="tool_result", limit=1).total == len(of_type) - 1
        session.save()
    with Runtime.open(path) as rt:
        session = rt.session(first["info"]["id"])
        assert session.query_artifacts(artifact_type="tool_result", limit=1).total == len(of_type) - 1
        assert rt.verify().problems == []


def test_reading_beside_nobody_asks_for_the_migration(golden_1: Golden) -> None:
    path, _ = golden_1
    with pytest.raises(StorageError, match="open it once for writing"):
        Runtime.open(path, read_only=True)
    with Runtime.open(path):
        pass
    with Runtime.open(path, read_only=True) as rt:
        assert rt.query_artifacts(tags=["keep"]).total == 3


KILLED = """
import os, signal, sys
from greenroom.storage import migration
from greenroom.storage.engine.engine import Durability, Engine, EngineOptions
from pathlib import Path
migration._BATCH = 8
engine = Engine(Path(sys.argv[1]), Durability.WAL, EngineOptions())
write, left = engine.write, int(sys.argv[2])
def counted(ops, *rest):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return write(ops, *rest)
engine.write = counted
migration.migrate(engine)
engine.close()
"""


@pytest.mark.parametrize("writes", [0, 1, 3])
def test_a_migration_that_is_killed_is_done_by_the_next_opening(golden_1: Golden, writes: int) -> None:
    path, expected = golden_1
    command = [sys.executable, "-c", KILLED, str(path), str(writes)]
    done = run_warm(command, env=dict(os.environ), timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert format_of(path) == 1
    with Runtime.open(path) as rt:
        assert rt.verify().problems == []
        assert rt.query_artifacts(tags=["keep"]).total == 3
        for each in expected["sessions"]:
            check_session(rt.session(each["info"]["id"]), each)


def test_a_store_of_format_2_is_what_it_was(golden_2: Golden) -> None:
    path, expected = golden_2
    with pytest.raises(StorageError, match="open it once for writing"):
        Runtime.open(path, read_only=True)
    with Runtime.open(path) as rt:
        assert rt.gc().repaired == ()
        assert rt.verify().problems == []
    assert format_of(path) == FORMAT_VERSION
    with Runtime.open(path, read_only=True) as rt:
        for each in expected["sessions"]:
            check_session(rt.session(each["info"]["id"]), each)
        for name, variables in expected["scopes"].items():
            assert plain(rt.state_scope(name).list()) == variables
        assert rt.verify().problems == []


@pytest.mark.parametrize("reading", [True, False])
def test_a_store_of_format_3_opens_verifies_and_answers(tmp_path: Path, reading: bool) -> None:
    path, expected = golden(tmp_path, "format-3")
    with Runtime.open(path, read_only=reading) as rt:
        for each in expected["sessions"]:
            session = rt.session(each["info"]["id"])
            check_session(session, each)
            records = [[b64encode(key).decode(), plain(value)] for key, value in session.records.iterate()]
            assert records == each["records"]
        for name, variables in expected["scopes"].items():
            assert rt.state_scope(name).list() == variables
        chat = rt.session(key="user-7/chat")
        assert [each.text[:9] for each in chat.messages()][-2:] == ["And both ", "Once only"]
        assert [each.permission for each in (*chat.shares(), *chat.scopes())] == ["read", "write"]
        assert [each.question for each in rt.approvals.list()] == ["Who will read it?"]
        assert rt.quotas.get("bob").max_sessions == 5
        assert rt.templates.get("brief").to_dict() == expected["own_scopes"]["templates"]["brief"]
        assert rt.verify().problems == []
        if not reading:
            assert chat.edit_message(chat.messages()[-1].sequence, content="new").text == "new"
            assert rt.gc().repaired == ()
            assert rt.verify().problems == []
