"""The global Hook of scripts."""

from __future__ import annotations

import threading

import pytest

from greenroom.runtime import HookCancelled, Runtime, ScriptError, ScriptMemoryExceeded, ScriptTimeout, Session


def test_a_function_of_a_script_sees_what_the_script_does(rt: Runtime, session: Session) -> None:
    found = rt.run_script(
        """
        local seen
        local hook = Hook.register("BeforeStateWrite", function(context) seen = context end, "high")
        State.set("k", { a = 1 })
        return { point = seen.point, key = seen.data.key, a = seen.data.value.a, session = seen.session_id,
                 component = seen.component_id, operation = seen.metadata.operation, id = hook:id(),
                 hook_point = hook:hook_point() }
        """,
        session=session,
    ).value
    assert found.pop("id").startswith("hook-")
    assert found == {
        "point": "BeforeStateWrite",
        "hook_point": "BeforeStateWrite",
        "key": "k",
        "a": 1,
        "session": session.id,
        "component": f"session:{session.id}",
        "operation": "SetVariable",
    }


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("nil", 1),
        ('"continue"', 1),
        ('"cancel"', "HookCancelled"),
        ('{ type = "cancel", reason = "no" }', "HookCancelled"),
        ('{ type = "modified", data = { value = 2 } }', 2),
        ('{ type = "replace", value = 5 }', None),
        ('{ type = "skipped" }', 1),
        ('{ type = "retry", delay = 0, max_attempts = 2 }', "HookCancelled"),
        ('{ type = "cache", key = "k", ttl = 60 }', 1),
        ('{ type = "fork", operations = { { message = "AddTag", tag = "forked" } } }', 1),
        ("5", "HookCancelled"),
        ("true", "HookCancelled"),
        ('"not on Sundays"', "HookCancelled"),
        ('"skip"', 1),
        ('{ type = "replace", data = 5 }', None),
        ('{ type = "retry", delay_ms = 1, max_attempts = 1 }', "HookCancelled"),
        ('{ type = "fork", operations = { { message = "Nothing" } } }', "HookCancelled"),
        ('{ type = "fork", operations = 5 }', "HookCancelled"),
        ('{ type = "modified", data = { key = "" } }', "HookCancelled"),
        ('{ type = "explode" }', "HookCancelled"),
        ('error("boom")', 1),
        ('error({ code = "Mine" })', 1),
        ("nil + 1", 1),
        ("setmetatable({}, { __index = error })", "HookCancelled"),
        ("print", 1),
    ],
)
def test_what_a_function_may_answer(rt: Runtime, session: Session, answer: str, outcome: object) -> None:
    script = f"""
        Hook.register("BeforeStateWrite", function(context) return {answer} end)
        local ok, e = pcall(State.set, "k", 1)
        if ok then return State.get("k") else return e.code end
    """
    assert rt.run_script(script, session=session).value == outcome


def test_redirect_from_a_script_reaches_only_what_its_session_reaches(rt: Runtime, session: Session) -> None:
    child, stranger = rt.create_session(parent=session), rt.create_session()
    script = """
        local target = ...
        Hook.register("BeforeStateWrite", function(context) return { type = "redirect", target = target } end)
        local ok, e = pcall(State.set, "k", 1)
        return ok or e.code
    """
    assert rt.run_script(script, session=session, args=[child.id]).value is True
    assert rt.run_script(script, session=session, args=[stranger.id]).value == "AccessDenied"
    assert (child.variables(), stranger.variables()) == ({"k": 1}, {})


def test_a_forked_operation_of_a_script_is_performed(rt: Runtime, session: Session) -> None:
    tagged = threading.Event()
    rt.middleware.use(
        "update", lambda context: tagged.set(), when="after", filter=lambda context: context.operation == "AddTag"
    )
    rt.run_script(
        """
        Hook.register("BeforeStateWrite", function(context)
          return { type = "fork", operations = { { message = "AddTag", tag = "forked" } } }
        end)
        State.set("k", 1)
        """,
        session=session,
    )
    assert tagged.wait(10)
    assert list(session.info().tags) == ["forked"]


def test_the_hooks_of_a_script_are_its_own_and_end_with_it(rt: Runtime, session: Session) -> None:
    other = rt.create_session()
    hosts = rt.hooks.register("SessionSaved", lambda context: None, name="host's")
    entered, leave = threading.Event(), threading.Event()

    def wait() -> None:
        entered.set()
        assert leave.wait(10)

    rt.hooks.register("custom:never", lambda context: None)
    rt.tools.register("wait", wait)
    script = """
        Hook.register("BeforeStateWrite", function(context) return "cancel" end)
        local mine = #Hook.list("BeforeStateWrite")
        Tool.invoke("wait", {})
        return mine
    """
    values: list[object] = []
    running = threading.Thread(target=lambda: values.append(rt.run_script(script, session=session, timeout=10).value))
    running.start()
    try:
        assert entered.wait(10)
        session.set("k", 1)
        other.set("k", 1)
        assert len(rt.hooks.list("BeforeStateWrite")) == 1
    finally:
        leave.set()
        running.join(10)
        rt.tools.unregister("wait")
    assert values == [1]
    assert rt.hooks.list("BeforeStateWrite") == []
    assert hosts.info().enabled


def test_a_bound_script_sees_no_hooks_but_its_own(rt: Runtime, session: Session) -> None:
    host = rt.hooks.register("SessionSaved", lambda context: None, name="host's")
    listing = "return { #Hook.list(), #Hook.list('SessionSaved'), Hook.unregister(...) }"
    assert rt.run_script(listing, session=session, args=[host.id]).value == [0, 0, False]
    rows = rt.run_script("return Hook.list{ point = 'SessionSaved' }").value
    assert [(row["name"], row["hook_point"]) for row in rows] == [("host's", "SessionSaved")]
    assert host.info().enabled


def test_a_hook_of_a_script_is_taken_away_by_handle_or_by_the_global(rt: Runtime, session: Session) -> None:
    script = """
        local calls = 0
        local function count() calls = calls + 1 end
        local one, other = Hook.register("BeforeStateWrite", count), Hook.register("AfterStateWrite", count)
        State.set("k", 1)
        local gone = { one:unregister(), one:unregister(), Hook.unregister(other), Hook.unregister(other) }
        State.set("k", 2)
        return { calls, gone }
    """
    assert rt.run_script(script, session=session).value == [2, [True, False, True, False]]


def test_a_function_may_do_what_its_script_may(rt: Runtime, session: Session) -> None:
    script = """
        Hook.register("BeforeStateWrite", function(context) State.set("seen", context.data.key) end)
        local co = coroutine.wrap(function()
          State.set("k", 1)
          coroutine.yield(State.get("seen"))
        end)
        return co()
    """
    assert rt.run_script(script, session=session).value == "k"
    assert session.variables() == {"k": 1, "seen": "k"}


def test_hosts_hooks_hold_for_scripts(rt: Runtime, session: Session) -> None:
    rt.hooks.register("BeforeStateWrite", lambda context: "cancel", name="guard")
    script = "local ok, e = pcall(State.set, 'k', 1); return { e.code, e.message }"
    code, message = rt.run_script(script, session=session).value
    assert code == "HookCancelled"
    assert "'guard'" in message
    with pytest.raises(ScriptError) as error:
        rt.run_script("State.set('k', 1)", session=session)
    assert error.value.fields["cause"] == HookCancelled.__name__


HOSTILE = [
    ("while true do end", ScriptTimeout),
    ("pcall(function() while true do end end)", ScriptTimeout),
    ("local co = coroutine.wrap(function() while true do end end) co()", ScriptTimeout),
    ("local t = {} while true do t[#t + 1] = ('x'):rep(1000000) end", ScriptMemoryExceeded),
    ("local function f() return f() + 1 end f()", None),
    ("coroutine.yield(1)", None),
    ("error(setmetatable({}, { __tostring = function() while true do end end }))", ScriptTimeout),
]


@pytest.mark.parametrize(("body", "raised"), HOSTILE)
@pytest.mark.parametrize("around", ["{}", "coroutine.wrap(function() {} end)()", "pcall(function() {} end)"])
def test_the_limits_of_a_script_hold_in_its_hooks(
    rt: Runtime, session: Session, body: str, raised: type[ScriptError] | None, around: str
) -> None:
    call = around.format("State.set('k', 1)")
    script = f"Hook.register('BeforeStateWrite', function(context) {body} end) {call} return 'ok'"
    if raised is None:
        assert rt.run_script(script, session=session, timeout=2).value == "ok"
    else:
        with pytest.raises(raised):
            rt.run_script(script, session=session, timeout=5 if raised is ScriptMemoryExceeded else 0.15)
    assert rt.hooks.list() == []
    session.set("k", 2)
    assert session.get("k") == 2


@pytest.mark.parametrize(
    "script",
    [
        "Hook.register('BeforeStateWrite', 5)",
        "Hook.register('BeforeStateWrite')",
        "Hook.register('NoSuchPoint', print)",
        "Hook.register(5, print)",
        "Hook.register('BeforeStateWrite', print, 'urgent')",
        "Hook.list{ colour = 'red' }",
        "for i = 1, 2000 do Hook.register('BeforeStateWrite', print) end",
        "State.set('k', print)",
    ],
)
def test_misuse_is_an_error_of_the_script(rt: Runtime, session: Session, script: str) -> None:
    with pytest.raises(ScriptError):
        rt.run_script(script, session=session)
    assert rt.hooks.list() == []


def test_a_hook_that_asks_for_retries_waits_no_longer_than_its_script_may_run(rt: Runtime, session: Session) -> None:
    asking = """
        Hook.register("%s", function() return { type = "retry", delay = 60, max_attempts = 100 } end)
        while true do pcall(Tool.list) pcall(Tool.invoke, "uuid_generator") end
    """
    for point in ("BeforeToolDiscovery", "AfterToolExecution"):
        with pytest.raises(ScriptTimeout):
            rt.run_script(asking % point, session=session, timeout=0.2)
        assert not rt.hooks.list(name="script"), "the script has ended, not only its caller"


def test_one_script_does_not_take_all_hooks(rt: Runtime, session: Session) -> None:
    made, code = rt.run_script(
        """
        for made = 0, 2000 do
          local ok, e = pcall(Hook.register, "BeforeStateRead", function() end)
          if not ok then return made, e.code end
        end
        """,
        session=session,
    ).value
    assert (made, code) == (100, "ResourceLimitExceeded")


def test_functions_that_are_refused_are_not_kept(rt: Runtime, session: Session) -> None:
    assert rt.run_script(
        """
        for _ = 1, 1500 do assert(not pcall(Hook.register, "no such point", function() end)) end
        for _ = 1, 1500 do assert(not pcall(Hook.register, nil, function() end)) end
        return Hook.register("BeforeStateRead", function() end):unregister()
        """,
        session=session,
    ).value


def test_data_that_a_script_has_no_room_for_end_it(rt: Runtime, session: Session) -> None:
    source = """
        Hook.register("BeforeArtifactStore", function() end)
        local content = ("x"):rep(30000000)
        return pcall(Artifact.store, nil, "tool_result", "large", content)
    """
    with pytest.raises(ScriptMemoryExceeded):
        rt.run_script(source, session=session)
