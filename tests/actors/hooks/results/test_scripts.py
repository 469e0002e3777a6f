"""Hooks of scripts: every kind of answer, every spelling of a point, what the context has, and how hooks are listed."""

from __future__ import annotations

from typing import Any

import pytest

from greenroom.runtime import Runtime, ScriptError, Session

SPELLINGS = ("BeforeStateWrite", "before:state:write", "before.state.write", "before_state_write", "beforeStateWrite")


def lua(runtime: Runtime, source: str, session: Session, *args: Any) -> Any:
    return runtime.run_script(source, session=session, args=args).value


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_points_are_accepted_in_every_spelling(rt: Runtime, session: Session, spelling: str) -> None:
    lua(
        rt,
        """
        local point, called = ..., 0
        local hook = Hook.register(point, function(context) called = called + 1 end)
        State.set("k", 1)
        assert(called == 1 and hook:hook_point() == point and #hook:id() > 0 and tostring(hook) == hook:id())
        assert(#Hook.list(point) == 1 and #Hook.list { point = "BeforeStateWrite" } == 1)
        assert(hook:unregister() == true and hook:unregister() == false and Hook.unregister(hook) == false)
        State.set("k", 2)
        assert(called == 1)
        """,
        session,
        spelling,
    )


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("nil", "1"),
        ('"continue"', "1"),
        ('"skip"', "1"),
        ('"skipped"', "1"),
        ('"cancel"', "HookCancelled"),
        ('"not today"', "not today"),
        ('{ type = "continue" }', "1"),
        ('{ type = "skipped", reason = "r" }', "1"),
        ('{ type = "skip" }', "1"),
        ('{ type = "cancel", reason = "because" }', "because"),
        ('{ type = "modified", data = { value = 7 } }', "7"),
        ('{ type = "replace", value = 9 }', "nil"),
        ('{ type = "replace", data = 9 }', "nil"),
        ('{ type = "redirect", target = other }', "nil"),
        ('{ type = "retry", delay_ms = 1, max_attempts = 2 }', "HookCancelled"),
        ('{ type = "retry", delay = 0.001, max_attempts = 2.0 }', "HookCancelled"),
        ('{ type = "fork", operations = { { message = "AddTag", tag = "forked" } } }', "1"),
        ('{ type = "cache", key = "c", ttl = 60 }', "1"),
        ("false", "HookCancelled"),
        ("42", "HookCancelled"),
        ("{}", "HookCancelled"),
        ('{ type = "nonsense" }', "HookCancelled"),
    ],
)
def test_every_answer_has_its_effect(rt: Runtime, session: Session, answer: str, outcome: str) -> None:
    found = lua(
        rt,
        f"""
        local other = Session.create {{ name = "other" }}
        Hook.register("BeforeStateWrite", function(context)
          if context.data.key == "k" then return {answer} end
        end)
        local ok, problem = pcall(State.set, "k", 1)
        if not ok then return problem.code .. ": " .. problem.message end
        return tostring(State.get("k"))
        """,
        session,
    )
    assert outcome in found if outcome != "1" else found == "1"


def test_the_context_has_what_it_is_about(rt: Runtime, session: Session) -> None:
    lua(
        rt,
        """
        local seen = {}
        local function note(context) seen[context.point] = context end
        for _, point in ipairs { "BeforeToolExecution", "AfterToolExecution", "BeforeStateWrite" } do
          Hook.register(point, note)
        end
        assert(Tool.invoke("calculator", { expression = "6 * 7" }).result == 42)
        State.set("k", { a = 1 })
        local before, after = seen.BeforeToolExecution, seen.AfterToolExecution
        assert(before.component_id == "tool:calculator" and type(before.component_id) == "string")
        assert(before.component.type == "tool" and before.component.name == "calculator")
        assert(before.component_id.name == "calculator" and before.component_id.type == "tool")
        assert(before.data.name == "calculator" and before.data.input.expression == "6 * 7")
        assert(after.data.result == 42 and after.data.name == "calculator")
        assert(before.operation == "CallTool" and before.session_id == Session.current() and before.language == "lua")
        assert(#before.correlation_id > 0 and type(before.metadata) == "table")
        local write = seen.BeforeStateWrite
        assert(write.data.key == "k" and write.data.value.a == 1 and write.component_id.name == Session.current())
        assert(("plain text").name == nil and ("http://x").name == nil and ("").type == nil)
        """,
        session,
    )


def test_hooks_are_listed_by_every_criterion(rt: Runtime, session: Session) -> None:
    mine = rt.hooks.register("BeforeStateWrite", lambda context: None, name="python's", priority=250)
    try:
        names = rt.run_script("""
          local function nothing() end
          Hook.register("BeforeStateWrite", nothing, "high")
          Hook.register("BeforeStateRead", nothing, { name = "named", tags = { "t" }, priority = "low" })
          Hook.register("BeforeStateRead", nothing, 250.0)
          assert(#Hook.list { language = "lua" } == 3 and #Hook.list { language = "python" } == 1)
          assert(#Hook.list { priority = "high" } == 1 and #Hook.list { priority = 250.0 } == 2)
          assert(#Hook.list { language = "lua", priority = "low" } == 1 and #Hook.list { tag = "t" } == 1)
          assert(#Hook.list { enabled = true } == 4 and #Hook.list { enabled = false } == 0)
          assert(#Hook.list { name = "named", point = "BeforeStateRead" } == 1)
          local shown = {}
          for _, hook in ipairs(Hook.list()) do
            shown[#shown + 1] = hook.hook_point .. " " .. tostring(hook.priority) .. " " .. hook.language
          end
          return shown""").value
        assert names == [
            "BeforeStateWrite high lua",
            "BeforeStateWrite 250 python",
            "BeforeStateRead 250 lua",
            "BeforeStateRead low lua",
        ]
        assert [each.id for each in rt.hooks.list(language="python", priority=250)] == [mine.id]
        assert (mine.info().level, mine.info().language) == (None, "python")
    finally:
        mine.unregister()


def test_a_misspelt_criterion_names_the_nearest(rt: Runtime, session: Session) -> None:
    for source in ("Hook.list { prioritty = 'high' }", "Hook.register('BeforeStateWrite', print, { requird = true })"):
        with pytest.raises(ScriptError, match="nearest"):
            lua(rt, source, session)
    with pytest.raises(ScriptError, match="highest"):
        lua(rt, "Hook.register('BeforeStateWrite', print, 'urgent')", session)
