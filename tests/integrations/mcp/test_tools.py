"""The tools and resources, as a client of the SDK calls them."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from mcp import Client

from greenroom.runtime import AsyncRuntime, Runtime, Session, SessionNotFound, ValidationError
from greenroom.runtime.integrations.mcp import server


@pytest.fixture
def s(rt: Runtime) -> Session:
    s = rt.get_or_create("chat/1", name="Analysis", tags=["x"])
    s.set("k", {"raw": b"\x00", "n": 2**62})
    s.add_message("user", "What is in the report?")
    s.add_message("assistant", [{"type": "text", "text": "Numbers"}])
    s.store_artifact("report", "a/../b c.txt", "näh\n", description="quarter")
    s.store_artifact("report", "a/../b c.txt", "näh\nmore\n")
    s.store_artifact("image", "raw.bin", b"\x00\xff" * 10)
    return s


def tools(served: Any) -> dict[str, Any]:
    async def main() -> Any:
        async with Client(served) as client:
            return {tool.name: tool for tool in (await client.list_tools()).tools}

    found: dict[str, Any] = asyncio.run(main())
    return found


def test_sessions(rt: Runtime, s: Session, call: Any) -> None:
    done = rt.create_session(name="done", parent=s)
    done.complete()
    served = server(rt)
    assert [row["name"] for row in call(served, "list_sessions")["sessions"]] == ["done", "Analysis"]
    assert [row["name"] for row in call(served, "list_sessions", status="active", tags=["x"])["sessions"]] == [
        "Analysis"
    ]
    page = call(served, "list_sessions", limit=1)
    assert [row["id"] for row in call(served, "list_sessions", cursor=page["next_cursor"])["sessions"]] == [s.id]
    shown = call(served, "show_session", session_id="key:chat/1")
    assert (shown["id"], shown["children"]) == (s.id, [{"id": done.id, "name": "done", "status": "completed"}])


def test_conversations(rt: Runtime, s: Session, call: Any) -> None:
    served = server(rt)
    newest = call(served, "read_conversation", session_id=s.id, limit=1)
    assert newest["messages"][0]["content"] == [{"type": "text", "text": "Numbers"}]
    older = call(served, "read_conversation", session_id=s.id, before=newest["next_before"])
    assert [row["content"] for row in older["messages"]] == ["What is in the report?"]
    assert older["next_before"] is None
    assert call(served, "read_message", session_id=s.id, sequence=3)["text"] == "What is in the report?"
    assert call(served, "read_message", session_id=s.id, sequence=2) == {"exists": False}


def test_variables_now_and_then(rt: Runtime, s: Session, call: Any) -> None:
    served = server(rt)
    then = s.info().sequence
    s.set("k", 2)
    s.set("later", None)
    assert call(served, "read_variables", session_id=s.id)["variables"] == [
        {"name": "k", "value": 2},
        {"name": "later", "value": None},
    ]
    past = call(served, "read_variables", session_id=s.id, at=then)["variables"]
    assert past == [{"name": "k", "value": {"raw": {"base64": "AA=="}, "n": 2**62}}]
    assert call(served, "read_variable", session_id=s.id, name="none") == {"exists": False}


def test_artifacts(rt: Runtime, s: Session, call: Any) -> None:
    served = server(rt)
    assert [row["name"] for row in call(served, "list_artifacts", session_id=s.id, text="quarter")["artifacts"]] == [
        "a/../b c.txt"
    ]
    of = {"session_id": s.id, "artifact": "a/../b c.txt"}
    assert call(served, "read_artifact", **of)["text"] == "näh\nmore\n"
    assert call(served, "read_artifact", **of, version=1)["text"] == "näh\n"
    pieces, offset = "", 0
    while offset is not None:
        piece = call(served, "read_artifact", **of, offset=offset, length=2)
        pieces, offset = pieces + piece["text"], piece["next_offset"]
    assert pieces == "näh\nmore\n"
    raw = call(served, "read_artifact", session_id=s.id, artifact="raw.bin")
    assert base64.b64decode(raw["base64"]) == b"\x00\xff" * 10
    assert "+more" in call(served, "diff_artifact", **of, old=1)["text"]
    assert call(served, "read_artifact", **of, offset=10**12)["text"] == ""


def test_search(rt: Runtime, s: Session, call: Any) -> None:
    served = server(rt)
    kinds = {
        text: [hit["kind"] for hit in call(served, "search", text=text)["hits"]]
        for text in ("ANALYSIS", "quarter", "the report", "numbers", "absent", "?")
    }
    assert kinds == {
        "ANALYSIS": ["session"],
        "quarter": ["artifact"],
        "the report": ["message"],
        "numbers": ["message"],
        "absent": [],
        "?": ["message"],
    }
    assert call(served, "search", text="numbers", session_id=s.id)["messages_complete"] is True


def test_the_past(rt: Runtime, s: Session, call: Any) -> None:
    served = server(rt)
    timeline = call(served, "read_timeline", session_id=s.id, limit=2)
    assert [row["type"] for row in timeline["events"]] == ["session.created", "variable.set"]
    assert timeline["events"][0]["depth"] == 0
    assert timeline["next_offset"] == 2
    events = call(served, "read_events", session_id=s.id, after=2, limit=1)
    assert [row["sequence"] for row in events["events"]] == [3]
    assert events["next_after"] == 3
    diff = call(served, "diff_session", session_id=s.id, before=1, after=3)
    assert [change["path"] for change in diff["changes"]] == [["messages", 3], ["variables", "k"]]


def test_resources(rt: Runtime, s: Session, read: Any) -> None:
    served = server(rt)
    assert json.loads(read(served, "greenroom://sessions").text)["sessions"][0]["id"] == s.id
    kinds = {"conversation": "messages", "timeline": "events", "variables": "variables", "artifacts": "artifacts"}
    for path, kind in {"": "children", **{f"/{each}": kind for each, kind in kinds.items()}}.items():
        content = read(served, f"greenroom://sessions/{s.id}{path}")
        assert content.mime_type == "application/json"
        assert kind in json.loads(content.text)
    assert read(served, f"greenroom://sessions/{s.id}/artifacts/a%2F..%2Fb%20c.txt").text == "näh\nmore\n"
    assert base64.b64decode(read(served, f"greenroom://sessions/{s.id}/artifacts/raw.bin").blob) == b"\x00\xff" * 10
    assert read(served, "greenroom://sessions/key%3Achat%2F1").text


def test_a_server_reads_only_unless_told_otherwise(rt: Runtime, s: Session, call: Any, error: Any) -> None:
    reading, writing = tools(server(rt)), tools(server(rt, write=True))
    assert set(writing) - set(reading) == {"create_session", "add_message", "set_variable", "store_artifact"}
    assert all(tool.annotations.read_only_hint for tool in reading.values())
    assert all(tool.description and tool.output_schema is not None for tool in writing.values())
    before = s.info().sequence
    assert "Unknown tool" in error(server(rt), "set_variable", session_id=s.id, name="k", value=1)
    assert s.info().sequence == before


def test_writing(rt: Runtime, call: Any, error: Any) -> None:
    served = server(rt, write=True)
    made = rt.session(call(served, "create_session", name="new", tags=["t"])["id"])
    call(served, "add_message", session_id=made.id, role="user", content="hi")
    call(served, "set_variable", session_id=made.id, name="k", value={"a": [1, None]})
    call(served, "store_artifact", session_id=made.id, name="t.txt", text="tëxt")
    call(served, "store_artifact", session_id=made.id, name="b.bin", content="AP8=")
    assert made.messages()[0].content == "hi"
    assert made.get("k") == {"a": [1, None]}
    assert made.get_artifact("t.txt").content == "tëxt".encode()
    assert made.get_artifact("b.bin").content == b"\x00\xff"
    before = made.info().sequence
    assert "base64" in error(served, "store_artifact", session_id=made.id, name="x", content="é")
    assert "one of the two" in error(served, "store_artifact", session_id=made.id, name="x")
    made.complete()
    assert "completed" in error(served, "set_variable", session_id=made.id, name="k", value=1)
    assert made.info().sequence == before + 1


GARBAGE: list[tuple[str, dict[str, Any]]] = [
    ("show_session", {"session_id": "../../etc"}),
    ("show_session", {"session_id": ""}),
    ("show_session", {"session_id": "key:"}),
    ("show_session", {"session_id": "x" * 100_000}),
    ("show_session", {"session_id": 7}),
    ("show_session", {}),
    ("list_sessions", {"cursor": "garbage"}),
    ("list_sessions", {"status": "odd"}),
    ("list_sessions", {"limit": 10**9}),
    ("list_sessions", {"tags": "x"}),
    ("read_artifact", {"session_id": "ID", "artifact": "none"}),
    ("read_artifact", {"session_id": "ID", "artifact": "raw.bin", "version": 99}),
    ("read_artifact", {"session_id": "ID", "artifact": "raw.bin", "version": "\x00"}),
    ("read_artifact", {"session_id": "ID", "artifact": "raw.bin", "offset": -1}),
    ("read_artifact", {"session_id": "ID", "artifact": ""}),
    ("diff_artifact", {"session_id": "ID", "artifact": "raw.bin", "old": 9}),
    ("diff_session", {"session_id": "ID", "before": 10**30}),
    ("diff_session", {"session_id": "ID", "before": "soon"}),
    ("read_variables", {"session_id": "ID", "at": "2026-01-01"}),
    ("read_variables", {"session_id": "ID", "at": 10**9}),
    ("search", {"text": ""}),
    ("search", {"text": "x" * 2000}),
    ("read_events", {"session_id": "ID", "after": "many"}),
    ("read_message", {"session_id": "ID", "sequence": 2**80}),
    ("show_session", {"session_id": "ID", "sesion": 1}),
    ("list_sessions", {"x" * 5000: 1}),
    ("nothing", {}),
]


@pytest.mark.parametrize(("tool", "arguments"), GARBAGE, ids=lambda value: str(value)[:40])
def test_garbage_gives_a_clear_error(rt: Runtime, s: Session, error: Any, tool: str, arguments: dict[str, Any]) -> None:
    given = {name: s.id if value == "ID" else value for name, value in arguments.items()}
    told = error(server(rt), tool, **given)
    assert told != f"Error executing tool {tool}"  # what a client is told of a crash
    assert len(told) < 2000


def test_an_async_runtime_is_served_as_well(call: Any) -> None:
    async def main() -> None:
        async with await AsyncRuntime.open() as rt:
            s = await rt.create_session(name="async")
            async with Client(server(rt, session=s, write=True)) as client:
                assert not (await client.call_tool("set_variable", {"name": "k", "value": 1})).is_error
            assert await s.get("k") == 1

    asyncio.run(main())


def test_an_argument_that_a_tool_does_not_have_is_named(rt: Runtime, s: Session, error: Any) -> None:
    told = error(server(rt), "read_message", session_id=s.id, sequenc=3)
    assert "has no argument 'sequenc'; it takes sequence, session_id, offset" in told


def test_a_path_is_opened_and_closed(store_path: Any, call: Any) -> None:
    with server(store_path, write=True) as served:
        made = call(served, "create_session", name="kept")["id"]
    with Runtime.open(store_path) as again:
        assert again.session(made).info().name == "kept"
    with pytest.raises(SessionNotFound):
        server(store_path, session="none")
    with pytest.raises(ValidationError):
        server(7)  # type: ignore[arg-type]
    Runtime.open(store_path).close()
