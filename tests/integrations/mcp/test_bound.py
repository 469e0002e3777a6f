"""A server of one session reaches that session and its descendants, and nothing else, however it is asked."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from mcp import Client, MCPError

from greenroom.runtime import Runtime, Session
from greenroom.runtime.integrations.mcp import server

SECRET = "zanzibar"


class Store:
    """A session with a child, and others around it that hold a secret."""

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt
        self.above = self.with_secret(rt.get_or_create("above", name=f"above {SECRET}"))
        self.bound = rt.get_or_create("bound", name="bound", parent=self.above)
        self.child = rt.create_session(name="child", parent=self.bound)
        self.sibling = self.with_secret(rt.get_or_create("sibling", name=f"sibling {SECRET}", parent=self.above))
        self.other = self.with_secret(rt.get_or_create("other", name=f"other {SECRET}"))
        self.outside = [self.above, self.sibling, self.other]
        self.child.store_artifact("t", "own.txt", "own")
        self.child.add_message("user", "own words")

    @staticmethod
    def with_secret(s: Session) -> Session:
        s.set("k", SECRET)
        s.add_message("user", SECRET)
        s.store_artifact("t", f"{SECRET}.txt", SECRET)
        s.store_artifact("t", f"{SECRET}.txt", f"{SECRET} again")
        return s

    def names(self) -> list[str]:
        """Everything by which a session outside could be named."""
        return [
            name for s in self.outside for name in (s.id, f"key:{s.info().key}", s.id.upper(), f" {s.id}", s.id[:8])
        ]


@pytest.fixture
def store(rt: Runtime) -> Store:
    return Store(rt)


ARGUMENTS: dict[str, dict[str, Any]] = {
    "show_session": {},
    "read_variables": {},
    "read_variable": {"name": "k"},
    "read_conversation": {},
    "read_message": {"sequence": 3},
    "list_artifacts": {},
    "read_artifact": {"artifact": f"{SECRET}.txt"},
    "diff_artifact": {"artifact": f"{SECRET}.txt", "old": 1},
    "search": {"text": SECRET},
    "read_timeline": {},
    "read_events": {},
    "diff_session": {"before": 1},
    "add_message": {"role": "user", "content": "x"},
    "set_variable": {"name": "k", "value": 1},
    "store_artifact": {"name": "x", "text": "x"},
}
"""What each tool that takes a session needs besides it."""


def test_no_tool_reaches_a_session_outside(store: Store) -> None:
    served = server(store.rt, session=store.bound, write=True)
    before = [s.info().sequence for s in store.outside]

    async def main() -> None:
        async with Client(served) as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
            assert tools == {*ARGUMENTS, "list_sessions", "create_session"}  # a new tool is tried here too
            unknown = {}
            for tool, needed in ARGUMENTS.items():
                said = await client.call_tool(tool, {**needed, "session_id": "none"})
                unknown[tool] = said.content[0].text
                for name in store.names():
                    result = await client.call_tool(tool, {**needed, "session_id": name})
                    assert result.is_error, (tool, name)
                    assert result.content[0].text == unknown[tool].replace("'none'", repr(name)), (
                        tool
                    )  # as unknown ones
            result = await client.call_tool("create_session", {"name": "x", "parent_id": store.other.id})
            assert result.is_error

    asyncio.run(main())
    assert [s.info().sequence for s in store.outside] == before
    assert [len(s.children()) for s in store.outside] == [2, 0, 0]


def test_no_resource_reaches_a_session_outside(store: Store) -> None:
    served = server(store.rt, session=store.bound)

    async def main() -> None:
        async with Client(served) as client:
            assert SECRET not in str(await client.list_resources())
            assert SECRET not in str(await client.read_resource("greenroom://sessions"))
            for template in (await client.list_resource_templates()).resource_templates:
                for s in store.outside:
                    for name in (s.id, f"key%3A{s.info().key}"):
                        uri = template.uri_template.replace("{session_id}", name).replace("{artifact}", f"{SECRET}.txt")
                        with pytest.raises(MCPError, match="there is no session"):
                            await client.read_resource(uri)

    asyncio.run(main())


def test_artifacts_of_others_are_not_there_even_if_they_are_shared(
    store: Store, call: Any, error: Any, read: Any
) -> None:
    served = server(store.rt, session=store.bound)
    foreign = store.other.get_artifact(f"{SECRET}.txt").info.id
    own = store.child.get_artifact("own.txt").info.id
    for shared in (False, True):
        if shared:
            store.other.share_artifact(foreign, store.bound)
            assert store.bound.get_artifact(foreign).content
        for name in (str(foreign), f"{SECRET}.txt"):
            assert "has no artifact" in error(served, "read_artifact", artifact=name)
            assert "has no artifact" in error(served, "diff_artifact", artifact=name, old=1)
            with pytest.raises(MCPError, match="has no artifact"):
                read(served, f"greenroom://sessions/{store.bound.id}/artifacts/{name}")
        assert SECRET not in json.dumps(call(served, "list_artifacts"))
    assert call(served, "read_artifact", session_id=store.child.id, artifact=str(own))["text"] == "own"


def test_a_session_that_was_shared_is_not_reached(store: Store, error: Any) -> None:
    store.other.share(store.bound)
    assert "there is no session" in error(
        server(store.rt, session=store.bound), "show_session", session_id=store.other.id
    )


def test_lists_and_searches_are_of_the_own_ones(store: Store, call: Any) -> None:
    served = server(store.rt, session=store.bound.id)
    listed = call(served, "list_sessions")
    assert {row["name"] for row in listed["sessions"]} == {"bound", "child"}
    first = call(served, "list_sessions", limit=1)
    second = call(served, "list_sessions", limit=1, cursor=first["next_cursor"])
    assert {row["name"] for page in (first, second) for row in page["sessions"]} == {"bound", "child"}
    assert second["next_cursor"] is None
    assert call(served, "search", text=SECRET) == {"hits": [], "messages_complete": True}
    assert [hit["kind"] for hit in call(served, "search", text="own")["hits"]] == ["artifact", "message"]
    assert [row["name"] for row in call(served, "list_sessions", search="CHI")["sessions"]] == ["child"]
    everything = json.dumps([listed, call(served, "show_session"), call(served, "read_variables")])
    assert SECRET not in everything
    assert store.above.id not in json.dumps([listed, call(served, "show_session")])


def test_what_is_named_by_nobody_is_the_session_itself(store: Store, call: Any) -> None:
    served = server(store.rt, session=store.bound, write=True)
    call(served, "set_variable", name="k", value=1)
    assert store.bound.get("k") == 1
    made = call(served, "create_session", name="made")
    assert made["parent_session_id"] == store.bound.id
    grandchild = call(served, "create_session", name="deeper", parent_id=store.child.id)["id"]
    assert call(served, "show_session", session_id=grandchild)["name"] == "deeper"
    assert call(served, "show_session", session_id="key:bound")["id"] == store.bound.id


def test_a_session_that_is_deleted_takes_its_server_with_it(store: Store, error: Any) -> None:
    served = server(store.rt, session=store.child)
    store.rt.delete_session(store.child.id)
    for tool in ("list_sessions", "show_session", "search"):
        assert "there is no session" in error(served, tool, **({"text": "x"} if tool == "search" else {}))
