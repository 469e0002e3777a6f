"""Hooks that answer with a value of a foreign type, at every point: who asks gets that value or a documented error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import GreenroomError, HookResult, Runtime, Session, messages
from greenroom.runtime.hooks import POINTS

REPLIES: dict[str, Any] = {"nil": None, "number": 7, "text": "text", "table": {"a": 1}, "list": [1], "function": print}

CALLS: dict[str, Callable[[Runtime, Session, Path], object]] = {
    "set": lambda rt, s, p: s.set("k", 2),
    "get": lambda rt, s, p: s.get("k"),
    "delete_variable": lambda rt, s, p: s.delete_variable("k2"),
    "variables": lambda rt, s, p: s.variables(),
    "variable_keys": lambda rt, s, p: s.variable_keys(),
    "add_message": lambda rt, s, p: s.add_message("user", "x"),
    "messages": lambda rt, s, p: s.messages(),
    "store_artifact": lambda rt, s, p: s.store_artifact("t", "a", b"x"),
    "store_version": lambda rt, s, p: s.store_version("a", b"y"),
    "store_many": lambda rt, s, p: s.store_many([messages.StoreArtifact("t", "b", b"x")]),
    "get_artifact": lambda rt, s, p: s.get_artifact("a"),
    "get_many": lambda rt, s, p: s.get_many(["a"]),
    "get_artifact_info": lambda rt, s, p: s.get_artifact_info("a"),
    "open_artifact": lambda rt, s, p: s.open_artifact("a"),
    "save_artifact": lambda rt, s, p: s.save_artifact("a", p / "saved"),
    "diff_artifact": lambda rt, s, p: s.diff_artifact("a", 1, 1),
    "delete_artifact": lambda rt, s, p: s.delete_artifact("gone"),
    "publish": lambda rt, s, p: rt.events.publish("custom.x", {}, s),
    "create": lambda rt, s, p: rt.create_session(),
    "fork": lambda rt, s, p: s.fork(),
    "load": lambda rt, s, p: s.load(),
    "save": lambda rt, s, p: s.save(),
    "update_config": lambda rt, s, p: s.update_config(max_artifacts=1000),
    "suspend": lambda rt, s, p: s.suspend(),
    "resume": lambda rt, s, p: s.resume(),
    "tool": lambda rt, s, p: s.call_tool("calculator", {"expression": "1 + 1"}),
    "tool that fails": lambda rt, s, p: s.call_tool("calculator", {"expression": "1 / 0"}),
    "agent": lambda rt, s, p: s.call_agent("writer", "x"),
    "export": lambda rt, s, p: s.export(p / "bundle"),
    "import": lambda rt, s, p: rt.import_session(p / "given", keep_ids=False),
    "restore_recent": lambda rt, s, p: rt.restore_recent(3),
    "complete": lambda rt, s, p: rt.create_session().complete(),
    "fail": lambda rt, s, p: rt.create_session().fail("x"),
    "delete": lambda rt, s, p: rt.create_session().delete(),
    "tree": lambda rt, s, p: s.tree(),
    "replay": lambda rt, s, p: s.timeline(),
}


@pytest.fixture
def session(rt: Runtime, tmp_path: Path) -> Session:
    rt.agents.register("echo", lambda input: "hi", replace=True)
    if rt.agents.get("writer") is None:
        rt.agents.create("writer", "echo")
    session = rt.create_session()
    session.set("k", 1)
    session.store_artifact("t", "a", b"x")
    session.export(tmp_path / "given")
    return session


BEFORE = sorted(point for point in POINTS if point.startswith("Before"))
AFTER = sorted(POINTS - {*BEFORE, "SystemStartup", "SystemShutdown"})
"""All points of a group have the hook at once: an operation meets one of each group."""


@pytest.mark.parametrize("points", [BEFORE, AFTER], ids=["before", "after"])
@pytest.mark.parametrize("reply", REPLIES)
def test_from_python(rt: Runtime, session: Session, tmp_path: Path, reply: str, points: list[str]) -> None:
    for point in points:
        rt.hooks.register(point, lambda context: HookResult.replace(REPLIES[reply]))
    untyped: list[str] = []
    for name, call in CALLS.items():
        try:
            call(rt, session, tmp_path)
        except GreenroomError:
            pass
        except Exception as error:
            untyped.append(f"{name}: {error!r}")
    assert untyped == []


LUA_REPLIES = {
    "nil": "nil",
    "number": "7",
    "text": "'text'",
    "table": "{ a = 1 }",
    "list": "{ 1 }",
    "function": "print",
    "null": "JSON.null",
    "a row that is none": "{ id = 7, content = 7, metadata = 7 }",
}

LUA_CALLS = """
    State.set("k", 2)                     Session.setVariable(s, "k", 2)         s:setVariable("gone")
    State.get("k")                        s:getVariable("k")                     State.delete("gone")
    State.list()                          s:listVariables()                      State.clear("custom:none")
    s:addMessage("user", "x")             s:messages()                           s:addTag("t")
    Artifact.store(s, "t", "a", "x")      s:saveArtifact("a", "x")               Artifact.storeVersion(s, "a", "y")
    Artifact.get(s, "a")                  Artifact.getContent(s, "a")            s:loadArtifact("a")
    Artifact.getInfo(s, "a")              Artifact.list(s)                       Artifact.versions(s, "a")
    Artifact.query(s, { text = "a" })     Artifact.verify(s, "a")                Artifact.delete(s, "gone")
    Artifact.storeFile(s, path .. "/given")   Artifact.saveToFile(s, "a", path .. "/out")
    Artifact.share(s, "a", other)         Artifact.getPermissions(s, "a")        Artifact.sharedWithMe(other)
    Event.publish("custom.x", {})         Event.query { session_id = s }         Event.timeline()
    Session.create {}                     s:fork()                               s:load()
    s:save()                              s:suspend()                            s:resume()
    Session.get(s)                        s:children()                           Session.list {}
    Session.create({}):complete()         Session.create({}):fail()              Session.create({}):delete()
    s:export(path .. "/bundle")           Session.import(path .. "/given")       s:timeline()
    Tool.list()                           Tool.get("calculator")                 Tool.discover("x")
    Tool.invoke("calculator", { expression = "1 + 1" })                          Tool.invoke("gone", {})
    Agent.create { model = "echo", name = "mine" }                               Agent.get("writer"):invoke("x")
    Agent.list()                          Session.restoreRecent(2)               Session.saveAll()
    Workflow.sequential { { name = "a", tool = "uuid_generator", input = {} } }:execute()
"""


def lua_calls() -> list[str]:
    return [call.strip() for line in LUA_CALLS.splitlines() for call in line.split("   ") if call.strip()]


@pytest.mark.parametrize("points", [BEFORE, AFTER], ids=["before", "after"])
@pytest.mark.parametrize("hooked", ["Python", "Lua"])
@pytest.mark.parametrize("reply", LUA_REPLIES)
def test_from_lua(rt: Runtime, session: Session, tmp_path: Path, reply: str, hooked: str, points: list[str]) -> None:
    """Each call comes to an end that its script can catch, and every error has a documented code."""
    calls = "\n".join(f"try({call!r}, function() return {call} end)" for call in lua_calls())
    script = f"""
        local id, path, points, other = ...
        local found = {{}}
        local s = Session.get(id).id
        Session.setCurrent(s)
        for _, point in ipairs(points) do
          Hook.register(point, function() return {{ type = "replace", value = {LUA_REPLIES[reply]} }} end)
        end
        local function try(name, call)
          local ok, problem = pcall(call)
          local code = type(problem) == "table" and problem.code or tostring(problem)
          if not ok then found[#found + 1] = {{ name, code }} end
        end
        {calls}
        return JSON.array(found)"""
    other = rt.create_session().id
    if hooked == "Python":
        for point in points:
            rt.hooks.register(point, lambda context: HookResult.replace(REPLIES.get(reply, print)))
    args = [session.id, str(tmp_path), points if hooked == "Lua" else [], other]
    found = rt.run_script(script, args=args, profile="trusted").value
    codes = {each.__name__ for each in kinds(GreenroomError)}
    assert [each for each in found if each[1] not in codes] == []


def kinds(kind: type[GreenroomError]) -> set[type[GreenroomError]]:
    return {kind, *(each for below in kind.__subclasses__() for each in kinds(below))}
