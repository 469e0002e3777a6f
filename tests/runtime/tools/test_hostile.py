"""What tries to hold up, to use up, or to get round the calls of tools."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import (
    CallContext,
    CallFailed,
    HookCancelled,
    InvalidOperation,
    OperationTimeout,
    ResourceLimitExceeded,
    Runtime,
    Session,
    ValidationError,
)

from .conftest import events_of


def test_a_tool_that_calls_itself_for_ever_leaves_threads_for_others(rt: Runtime, session: Session) -> None:
    deepest: list[int] = []

    def again(depth: int, context: CallContext) -> Any:
        deepest[:] = [depth]
        if depth == 10:
            assert session.call_tool("calculator", {"expression": "6 * 7"}) == 42
        return context.call_tool("again", {"depth": depth + 1})

    rt.tools.register("again", again, replace=True)
    with pytest.raises(ResourceLimitExceeded) as refused:
        session.call_tool("again", {"depth": 1})
    assert refused.value.resource == "call_depth"
    assert deepest == [32]
    assert len(events_of(session, "tool.called")) == len(events_of(session, "tool.returned"))


def test_a_small_result_that_holds_itself_many_times_is_too_large(rt: Runtime, session: Session) -> None:
    def laughs() -> Any:
        value: list[Any] = ["ha"]
        for _ in range(60):
            value = [value, value]
        return value

    rt.tools.register("laughs", laughs, replace=True)
    with pytest.raises(CallFailed, match="store an artifact"):
        session.call_tool("laughs")
    rt.tools.register("texts", lambda: ["x" * (1 << 20)] * 100_000, replace=True)
    with pytest.raises(CallFailed, match="store an artifact"):
        session.call_tool("texts")


class _Exit(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


def test_an_error_whose_text_leaves_the_process_leaves_only_its_call(rt: Runtime, session: Session) -> None:
    def leave() -> None:
        raise _Exit

    rt.tools.register("leave", leave, replace=True)
    with pytest.raises(CallFailed, match="_Exit"):
        session.call_tool("leave")


# -- schemas


def checked(rt: Runtime, schema: dict[str, Any], value: Any) -> bool:
    rt.tools.register("checked", lambda **_: True, schema=schema, replace=True)
    return bool(rt.tools.call("checked", {"value": value}))


def test_a_pattern_takes_no_longer_for_texts_that_are_made_for_it(rt: Runtime) -> None:
    schema: dict[str, Any] = {"properties": {"value": {"pattern": "^(a+)+$"}}}
    assert checked(rt, schema, "a" * 100_000)
    with pytest.raises(ValidationError, match="pattern"):
        checked(rt, schema, "a" * 100_000 + "b")
    names: dict[str, Any] = {
        "properties": {"value": {"patternProperties": {"^(a+)+$": {"type": "string"}}, "additionalProperties": False}}
    }
    assert checked(rt, names, {"a" * 1000: "x"})
    with pytest.raises(ValidationError):
        checked(rt, names, {"a" * 1000: 5})
    with pytest.raises(ValidationError, match="not expected"):
        checked(rt, names, {"a" * 1000 + "b": "x"})
    assert checked(rt, {"properties": {"value": {"pattern": r"^(?=.*\d).+$"}}}, "abc1"), "patterns may look around"


def test_items_are_compared_in_time_that_grows_with_their_number(rt: Runtime) -> None:
    schema = {"properties": {"value": {"uniqueItems": True}}}
    many: list[Any] = [{"k": each} for each in range(20_000)]
    assert checked(rt, schema, many)
    assert checked(rt, schema, [1, True, "1", [1], {"a": 1}, None, 0, False])
    for twice in ([*many, {"k": 7}], [1, 1.0], [{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}]):
        with pytest.raises(ValidationError, match="uniqueItems"):
            checked(rt, schema, twice)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)}, "$ref": "#/$defs/d0"},
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "properties": {"value": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}},
            "allOf": [{"$ref": "#"}],
        },
    ],
    ids=["itself", "laughs", "draft 7"],
)
def test_references_without_end_are_an_error_of_the_schema(rt: Runtime, schema: dict[str, Any]) -> None:
    schema = {**schema, "$defs": {**schema.get("$defs", {}), "d60": {"type": "object"}}}
    with pytest.raises(ValidationError, match="round and round"):
        checked(rt, schema, 1)


def test_a_schema_that_cannot_be_shown_is_refused_when_it_is_given(rt: Runtime) -> None:
    itself: dict[str, Any] = {}
    itself["properties"] = {"a": itself}
    for schema in (itself, {"enum": [object()]}, {"const": float("nan")}):
        with pytest.raises(ValidationError, match="schema"):
            rt.tools.register("unseen", lambda: None, schema=schema)
    assert not rt.tools.exists("unseen")


def test_a_text_of_marks_is_counted_in_one_pass(rt: Runtime) -> None:
    assert rt.tools.call("text_stats", {"input": "." * 500_000 + "a"}, timeout=20)["sentences"] == 1
    assert rt.tools.call("text_stats", {"input": "One. Two?! Three... "})["sentences"] == 3


# -- scripts


REACHING: dict[str, str] = {
    "redirect": """
        Hook.register("BeforeToolExecution", function() return { type = "redirect", target = "file_operations" } end)
        return Tool.invoke("calculator", { operation = "write", path = "seen", input = "x" })
    """,
    "renamed": """
        Hook.register("BeforeToolExecution", function()
          return { type = "modified", data = { name = "file_operations" } }
        end)
        return Tool.invoke("calculator", { operation = "write", path = "seen", input = "x" })
    """,
    "workflow": """
        local input = { operation = "write", path = "seen", input = "x" }
        return Workflow.sequential { { name = "a", tool = "file_operations", input = input } }:execute()
    """,
    "fork": """
        Hook.register("BeforeStateWrite", function()
          local input = { operation = "write", path = "seen", input = "x" }
          return { type = "fork", operations = { { message = "CallTool", name = "file_operations", input = input } } }
        end)
        local ok = pcall(State.set, "k", 1)
        return { success = ok }
    """,
    "agent": """
        local ok = pcall(Agent.create, { name = "a", model = "echo", tools = { "file_operations" } })
        return { success = ok }
    """,
}


@pytest.mark.parametrize("way", REACHING)
def test_no_script_gets_at_the_files_of_the_host(rt: Runtime, session: Session, tmp_path: Path, way: str) -> None:
    rt.tools.register_file_operations([tmp_path], replace=True)
    outcome = rt.run_script(REACHING[way], session=session).value
    assert outcome["success"] is False
    assert not (tmp_path / "seen").exists()


def test_a_tool_of_the_host_may_use_its_files_for_a_script(rt: Runtime, session: Session, tmp_path: Path) -> None:
    rt.tools.register_file_operations([tmp_path], replace=True)

    def note(context: CallContext) -> Any:
        return context.call_tool("file_operations", {"operation": "write", "path": "note", "input": "x"})

    rt.tools.register("note", note, replace=True)
    assert rt.run_script("return Tool.invoke('note').result", session=session).value == 1


@pytest.mark.parametrize(
    "options",
    ["self = 1", "tools = 5", "tools = true", "name = {a = 1}, model = JSON.null", "name = {a = 1}", "model = {a = 1}"],
)
def test_odd_options_of_an_agent_are_errors_that_a_script_can_catch(rt: Runtime, options: str) -> None:
    source = "local given = { name = 'a', model = 'echo' } for k, v in pairs { %s } do given[k] = v end "
    if "JSON.null" in options:
        source += "given.model = nil "
    ok = rt.run_script(source % options + "return (pcall(Agent.create, given))").value
    assert ok is (options == "self = 1"), "any other name is that of a parameter"


@pytest.mark.parametrize("field", ["text", "name_pattern"])
def test_a_filter_of_tools_is_short(rt: Runtime, field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        rt.tools.discover(**{field: "[a]" * 1000})  # type: ignore[arg-type]


def test_a_hook_that_asks_for_odd_tools_gets_an_error(rt: Runtime) -> None:
    def odd(filter: Any) -> Callable[[Any], Any]:
        return lambda context: {"type": "modified", "data": {"filter": filter}}

    for tags in (5, [{}]):
        with rt.hooks.register("BeforeToolDiscovery", odd({"tags": tags})), pytest.raises(ValidationError):
            rt.tools.list()
    with rt.hooks.register("AfterToolDiscovery", lambda context: {"type": "replace", "value": [{}, 5, "base64"]}):
        assert [each.name for each in rt.tools.list()] == ["base64"]


def test_threads_that_hang_do_not_keep_the_runtime_open() -> None:
    stop = threading.Event()
    with Runtime.open() as rt:
        session, other = rt.create_session(), rt.create_session()
        rt.tools.register("hang", lambda: stop.wait(60))
        for _ in range(20):
            with pytest.raises(OperationTimeout):
                session.call_tool("hang", timeout=0.001)
        assert other.call_tool("calculator", {"expression": "1 + 1"}) == 2
        with pytest.raises(InvalidOperation):
            other.call_tool("nothing")
        rt.close(timeout=0.2)
        assert rt.core.elastic.busy == 20
    stop.set()


def test_tools_that_hang_leave_threads_for_hooks(release: threading.Event) -> None:
    with Runtime.open(config={"max_elastic_threads": 4, "close_timeout": 0.1}) as rt:
        session, other = rt.create_session(), rt.create_session()
        rt.tools.register("hang", lambda: release.wait(60))
        for _ in range(3):
            with pytest.raises(OperationTimeout):
                session.call_tool("hang", timeout=0.001)
        with pytest.raises(ResourceLimitExceeded):
            session.call_tool("hang", timeout=0.001)
        with (
            rt.hooks.register("BeforeStateWrite", lambda context: "cancel", inline=False),
            pytest.raises(HookCancelled),
        ):
            other.set("k", 1)


def test_failures_of_the_file_system_are_errors_that_a_script_can_catch(rt: Runtime, tmp_path: Path) -> None:
    source = """
        local path = ... .. "/f"
        local out, codes = io.open(path, "w"), {}
        out:write("hello")
        local function try(f, ...) codes[#codes + 1] = select(2, pcall(f, ...)).code end
        try(out.read, out, "a")
        try(out.seek, out, "set", -5)
        out:close()
        local into = io.open(path, "r")
        try(into.write, into, "x")
        try(into.flush, setmetatable({ number = {} }, { __index = into }))
        try(function() local f, e = io.open(path, {}) error({ code = e:match("^%a+"), message = "" }) end)
        return codes
    """
    codes = rt.run_script(source, profile="files", directories=[tmp_path], args=[str(tmp_path)]).value
    assert codes == ["StorageError", "StorageError", "StorageError", "ValidationError", "ValidationError"]
    assert (tmp_path / "f").read_text() == "hello"


def test_an_input_that_cannot_leave_the_script_fails_the_call_without_raising(rt: Runtime) -> None:
    source = """
        local itself = {}
        itself.itself = itself
        local function tried(outcome) return outcome.success == false and outcome.error_code == "ValidationError" end
        local calculator = Tool.get("calculator")
        return tried(Tool.invoke("calculator", { expression = print })), tried(Tool.invoke("calculator", itself)),
               tried(calculator:execute(itself)), tried(Tool.invoke()), tried(Tool.invoke({}, 1))
    """
    assert rt.run_script(source).value == [True] * 5
