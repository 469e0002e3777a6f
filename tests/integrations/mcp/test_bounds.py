"""Answers are of a size that a client can take, whatever is stored, and lead to the rest."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client, MCPError

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.mcp import server
from greenroom.runtime.integrations.mcp.bounds import MAX_ANSWER, bounded_rows, text_piece

MOST = MAX_ANSWER + 20_000


def test_long_conversations_come_in_pages_without_a_gap(rt: Runtime, call: Any) -> None:
    s = rt.create_session()
    s.add_messages([{"role": "user", "content": f"{n} " + "long " * 1000} for n in range(40)])
    seen: list[str] = []
    before = None
    while True:
        page = call(server(rt), "read_conversation", session_id=s.id, limit=200, before=before)
        assert len(json.dumps(page)) < MOST
        seen = [row["content"].split()[0] for row in page["messages"]] + seen
        before = page["next_before"]
        if before is None:
            break
    assert seen == [str(n) for n in range(40)]


def test_long_values_are_cut_and_read_piece_by_piece(rt: Runtime, call: Any) -> None:
    s = rt.create_session()
    long = "é" * 200_000
    turn = s.add_message("user", long)
    s.set("list", list(range(100_000)))
    served = server(rt)
    cut = call(served, "read_conversation", session_id=s.id)["messages"][0]["content"]
    assert (cut["cut"], cut["characters"]) == (True, 200_000)
    assert call(served, "read_variables", session_id=s.id)["variables"][0]["value"]["cut"] is True
    for tool, arguments, whole in (
        ("read_message", {"sequence": turn.sequence}, long),
        ("read_variable", {"name": "list"}, json.dumps(list(range(100_000)))),
    ):
        text, offset = "", 0
        while offset is not None:
            piece = call(served, tool, session_id=s.id, offset=offset, **arguments)
            text, offset = text + piece["text"], piece["next_offset"]
        assert text == whole


def test_many_rows_of_everything_are_bounded(rt: Runtime, call: Any) -> None:
    s = rt.create_session(description="d" * 4000)
    for n in range(60):
        rt.create_session(name=f"session {n}", description="word " * 800, parent=s)
    s.update({f"v{n:03}": "x" * 7000 for n in range(100)})
    s.store_many([{"type": "t", "name": f"a{n}", "content": b"x", "description": "word " * 400} for n in range(100)])
    served, of = server(rt), {"session_id": s.id}
    for tool, arguments in (
        ("list_sessions", {"limit": 200}),
        ("show_session", of),
        ("read_variables", {**of, "limit": 200}),
        ("list_artifacts", {**of, "limit": 200}),
        ("read_timeline", {**of, "limit": 200}),
        ("read_events", {**of, "limit": 200}),
        ("diff_session", {**of, "before": 1}),
        ("search", {"text": "word", "limit": 50}),
    ):
        assert len(json.dumps(call(served, tool, **arguments))) < MOST, tool
    names, offset = [], 0
    while offset is not None:
        page = call(served, "read_variables", **of, limit=200, offset=offset)
        names, offset = names + [row["name"] for row in page["variables"]], page["next_offset"]
    assert names == [f"v{n:03}" for n in range(100)]
    listed, cursor = 0, None
    while listed == 0 or cursor is not None:
        page = call(served, "list_sessions", limit=200, cursor=cursor)
        listed, cursor = listed + len(page["sessions"]), page["next_cursor"]
    assert listed == 61


def test_the_text_of_an_answer_is_as_short_as_its_values(rt: Runtime) -> None:
    s = rt.create_session()
    deep: list[Any] = list(range(1000))
    for _ in range(50):
        deep = [deep]
    s.set("deep", deep)

    async def main() -> int:
        async with Client(server(rt)) as client:
            result = await client.call_tool("read_variables", {"session_id": s.id})
            return len(result.content[0].text)  # type: ignore[union-attr]

    assert asyncio.run(main()) < 6000


def test_a_large_artifact_is_no_resource_but_can_be_read(rt: Runtime, call: Any, read: Any) -> None:
    s = rt.create_session()
    s.store_artifact("t", "large.bin", b"\x01" * (2 << 20))
    with pytest.raises(MCPError, match="read_artifact"):
        read(server(rt), f"greenroom://sessions/{s.id}/artifacts/large.bin")
    piece = call(server(rt), "read_artifact", session_id=s.id, artifact="large.bin", offset=1 << 20)
    assert piece["next_offset"] == (1 << 20) + 64 * 1024


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda each: st.lists(each, max_size=4) | st.dictionaries(st.text(), each, max_size=4),
    max_leaves=20,
)


@given(st.lists(st.dictionaries(st.sampled_from("abc"), JSON), max_size=5))
def test_rows_are_what_json_has(rows: list[dict[str, Any]]) -> None:
    kept, complete = bounded_rows(rows)
    assert complete
    assert len(kept) == len(rows)
    json.dumps(kept, allow_nan=False)


@given(st.text(alphabet=st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), st.integers(4, 9))
def test_pieces_of_a_text_are_the_text(text: str, length: int) -> None:
    data, read, at = text.encode(), "", 0
    while at < len(data):
        piece = text_piece(data[at : at + length], last=at + length >= len(data))
        assert piece is not None
        read, at = read + piece[0], at + piece[1]
    assert read == text
