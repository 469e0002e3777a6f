from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime, ScriptError, ScriptTimeout, Session

from .conftest import events_of


def lua(rt: Runtime, source: str, **options: Any) -> Any:
    return rt.run_script(source, language="lua", **options).value


def test_tools_are_listed_found_and_told_apart(rt: Runtime) -> None:
    assert lua(rt, "return #Tool.list() >= 8 and #Tool.discover{category = 'encoding'}") == 2
    assert lua(rt, "return Tool.discover('arithmetic')[1].name") == "calculator"
    assert lua(rt, "return Tool.exists('calculator'), Tool.exists('nothing')") == [True, False]
    assert lua(rt, "return Tool.get('nothing') == nil")
    assert "math" in lua(rt, "return Tool.categories()")


def test_a_tool_object_has_name_description_schema_and_execute(rt: Runtime) -> None:
    source = """
        local tool = Tool.get("calculator")
        local by_colon, by_dot = tool:execute{expression = "6 * 7"}, tool.execute({expression = "6 * 7"})
        return {tool.name, #tool.description > 10, tool.schema.properties.expression.type, tostring(tool),
                by_colon.success, by_colon.result, by_dot.result, Tool.list()[2]:execute{expression = "1 + 1"}.result}
    """
    assert lua(rt, source) == ["calculator", True, "string", "calculator", True, 42, 42, 2]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("Tool.invoke('nothing', {})", "there is no tool 'nothing'"),
        ("Tool.invoke('calculator', {expression = '1 / 0'})", "division by zero"),
        ("Tool.invoke('calculator', {})", "expression"),
        ("Tool.invoke('calculator', 'text')", "object"),
        ("Tool.invoke('calculator')", "expression"),
        ("Tool.invoke(nil, {})", "name"),
        ("Tool.get('calculator'):execute{expression = true}", "expression"),
        ("Tool.invoke('broken', {})", "ValueError: out of order"),
    ],
)
def test_invoke_never_raises(rt: Runtime, call: str, error: str) -> None:
    def broken() -> None:
        raise ValueError("out of order")

    rt.tools.register("broken", broken, replace=True)
    result = lua(rt, f"return {call}")
    assert result["success"] is False
    assert error in result["error"]


def test_all_standard_tools_take_what_the_scripts_give(rt: Runtime) -> None:
    source = """
        local function run(name, input)
            local r = Tool.invoke(name, input)
            assert(r.success, r.error)
            return r.result
        end
        return {
            run("calculator", {operation = "evaluate", expression = "2 ^ 3"}),
            run("template_engine", {template = "{{who}}", variables = {who = "you"}}),
            run("template_engine", {template = "plain", variables = {}}),
            run("hash_calculator", {input = "abc", algorithm = "sha256"}):sub(1, 8),
            run("json_processor", {operation = "query", input = '{"a": {"b": 7}}', query = "a.b"}),
            run("base64", {operation = "encode", input = "hi"}),
            #run("uuid_generator", {}),
            #run("uuid_generator"),
            run("text_stats", {input = "a b"}).words,
            #run("datetime", {}) > 10,
        }
    """
    assert lua(rt, source) == [8, "you", "plain", "ba7816bf", 7, "aGk=", 36, 36, 2, True]


def test_calls_are_journaled_in_the_current_session_and_nowhere_without_one(rt: Runtime, session: Session) -> None:
    source = "return Tool.invoke('calculator', {expression = '1'}).success"
    assert lua(rt, source)
    assert not events_of(session, "tool.called")
    assert lua(rt, source, session=session)
    assert lua(rt, f"Session.setCurrent('{session.id}'); {source}")
    bound, unbound = events_of(session, "tool.called")
    assert bound.source == unbound.source == "script:script"


def test_a_result_of_bytes_and_a_null_arrive(rt: Runtime) -> None:
    rt.tools.register("bytes", lambda: b"\x00\xff", replace=True)
    rt.tools.register("nothing.much", lambda: {"a": None}, replace=True)
    assert lua(rt, "return #Tool.invoke('bytes').result") == 2
    assert lua(rt, "return Tool.invoke('nothing.much').result.a == JSON.null")


def test_the_time_of_a_tool_counts_against_the_script(rt: Runtime, session: Session, release: threading.Event) -> None:
    rt.tools.register("hang", lambda: release.wait(30), replace=True)
    for _ in range(30):  # without a core for it, the script ends before it has called
        with pytest.raises(ScriptTimeout):
            lua(rt, "pcall(Tool.invoke, 'hang', {}) return 1", session=session, timeout=0.1)
        if events_of(session, "tool.returned"):
            break
    assert events_of(session, "tool.returned")[0].data["error"]["code"] == "OperationTimeout"


# -- files


def test_files_are_for_profiles_with_files_and_within_their_directories(rt: Runtime, tmp_path: Path) -> None:
    rt.tools.register_file_operations([tmp_path], replace=True)
    assert lua(rt, "return Tool.exists('file_operations')") is False, "what the host has is not the script's"
    refused = lua(rt, "return Tool.invoke('file_operations', {operation = 'list', path = '.'})")
    assert refused["success"] is False
    granted = tmp_path / "granted"
    granted.mkdir()
    (tmp_path / "secret").write_text("secret")
    source = """
        local directory, tool = ..., Tool.get("file_operations")
        local function run(operation, path, input)
            local r = tool:execute{operation = operation, path = directory .. "/" .. path, input = input}
            if r.success then return r.result end
            return "refused"
        end
        return {run("write", "a", "one"), run("append", "a", "\\0two"), run("read", "a"), run("exists", "a"),
                run("list", "")[1].name, run("read", "../secret"), run("delete", "a"), run("exists", "a")}
    """
    result = lua(rt, source, profile="files", directories=[granted], args=[str(granted)])
    assert result == [3, 4, "one\0two", True, "a", "refused", True, False]


# -- agents


def test_without_agents_of_the_host_there_is_no_agent() -> None:
    with Runtime.open() as rt:
        assert lua(rt, "return Agent == nil")


def test_agents_are_created_called_and_found(rt: Runtime, session: Session) -> None:
    source = """
        local agent = Agent.create{name = "writer", model = "echo", system_prompt = "Be brief.",
                                   tools = {"calculator", Tool.get("base64")}, temperature = 0.5}
        local reply = agent:invoke("hello you")
        local names = {}
        for i, each in ipairs(Agent.list()) do names[i] = each.name end
        return {agent.name, tostring(agent), agent.tools[2], agent.parameters.temperature, reply.text,
                reply.usage.total_tokens, agent.invoke("dot").text, Agent.get("writer"):invoke("again").text,
                Agent.get("nobody") == nil, Agent.get("echo"):invoke{prompt = "p"}.text, table.concat(names, " ")}
    """
    found = lua(rt, source, session=session)
    assert found[:10] == ["writer", "writer", "base64", 0.5, "hello you", 4, "dot", "again", True, "p"]
    assert "echo" in found[10]
    assert "writer" in found[10]
    assert len(events_of(session, "agent.called", "agent.returned")) == 8
    assert lua(rt, "return Agent.get('writer') == nil"), "what a script creates ends with it"


def test_a_builder_makes_an_agent(rt: Runtime) -> None:
    source = """
        local builder = Agent.builder():name("b"):model("echo"):system_prompt("p")
        local agent = builder:tool("calculator"):temperature(1):build()
        return {agent.name, agent.system_prompt, agent.tools[1], agent.parameters.temperature, agent:invoke("x").text}
    """
    assert lua(rt, source) == ["b", "p", "calculator", 1, "x"]


def test_a_failing_agent_raises_what_pcall_catches(rt: Runtime) -> None:
    def broken(input: Any) -> str:
        raise ValueError("no credit left")

    rt.agents.register("broken", broken, replace=True)
    source = """
        local ok, e = pcall(function() return Agent.get("broken"):invoke("x") end)
        return {ok, e.code, tostring(e):find("no credit left") ~= nil}
    """
    assert lua(rt, source) == [False, "CallFailed", True]
    with pytest.raises(ScriptError, match="no agent is registered"):
        lua(rt, "return Agent.create{model = 'unknown'}")
    with pytest.raises(ScriptError, match="colon"):
        lua(rt, "Agent.builder().name('x')")


def test_hooks_of_the_script_are_called_for_the_tools_and_agents_that_it_calls(rt: Runtime, session: Session) -> None:
    source = """
        local hook = Hook.register("BeforeToolExecution", function(context)
          return { type = "modified", data = { input = { expression = "9" } } }
        end)
        local changed = Tool.invoke("calculator", { expression = "1" }).result
        hook:unregister()
        Hook.register("AfterAgentExecution", function(context)
          return { type = "modified", data = { result = { text = context.data.result.text .. "!" } } }
        end)
        return { changed, Tool.invoke("calculator", { expression = "1" }).result, Agent.get("echo"):invoke("x").text }
    """
    assert lua(rt, source, session=session) == [9, 1, "x!"]
    assert session.call_agent("echo", "x").text == "x", "they end with the script"
