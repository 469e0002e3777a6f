"""Installed scripts: hooks and event handlers that outlive the run, their limits, and their end."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import (
    AccessDenied,
    GreenroomError,
    HookCancelled,
    InvalidOperation,
    InvalidSessionState,
    ResourceLimitExceeded,
    Runtime,
    ScriptError,
    SessionNotFound,
    ValidationError,
)
from greenroom.storage.concurrency.waiting import Bell

from ...warm import WarmPopen

GUARD = """
Hook.register("BeforeStateWrite", function(context)
  if context.data.key == "locked" then return "not this one" end
end)
"""


@pytest.fixture
def rt() -> Iterator[Runtime]:
    with Runtime.open(config={"handle_signals": False}) as runtime:
        yield runtime


def until(there: Any) -> None:
    """Wait for something that another thread does."""
    assert Bell().wait_for(there, 20)


def refused(session: Any, key: str) -> str | None:
    try:
        session.set(key, 1)
    except HookCancelled as error:
        return str(error)
    return None


def test_hooks_and_handlers_work_on_after_the_run(rt: Runtime) -> None:
    status = rt.scripts.install("guard", GUARD + "Event.on('custom.*', function(e) print(e.type, e.data.n) end)")
    assert (status.name, status.state, status.hooks) == ("guard", "running", ("BeforeStateWrite",))
    session = rt.create_session()
    assert refused(session, "free") is None
    assert "not this one" in (refused(session, "locked") or "")
    for n in (1, 2):
        rt.events.publish("custom.step", {"n": n}, session)
    until(lambda: rt.scripts.status("guard").output == "custom.step\t1\ncustom.step\t2\n")
    assert rt.scripts.get("guard").source.startswith(GUARD)
    assert [each.name for each in rt.scripts.list()] == ["guard"]
    assert rt.scripts.uninstall("guard")
    assert not rt.scripts.uninstall("guard")
    assert refused(session, "locked") is None
    assert (rt.scripts.list(), rt.hooks.list()) == ([], [])
    with pytest.raises(InvalidOperation, match="no script 'guard' is installed"):
        rt.scripts.status("guard")


def test_a_script_keeps_its_variables_between_calls(rt: Runtime) -> None:
    rt.scripts.install(
        "count",
        """
      local n = 0
      Hook.register("custom:count", function() n = n + 1 return { type = "replace", value = n } end)""",
    )
    assert [rt.hooks.fire("custom:count", {}).value for _ in range(3)] == [1, 2, 3]


def test_installing_again_replaces_without_a_gap(rt: Runtime) -> None:
    session = rt.create_session()
    rt.scripts.install("guard", GUARD)
    rt.scripts.install("guard", GUARD.replace("locked", "other"))
    assert refused(session, "other") is not None
    assert refused(session, "locked") is None
    with pytest.raises(ScriptError):
        rt.scripts.install("guard", "error('no')")
    assert refused(session, "other") is not None  # what was there works on
    assert len(rt.hooks.list()) == 1


def test_what_fails_is_not_installed(rt: Runtime) -> None:
    with pytest.raises(ScriptError):
        rt.scripts.install("bad", GUARD + "error('no')")
    with pytest.raises(ScriptError):
        rt.scripts.install("bad", "this is no Lua")
    assert (rt.scripts.list(), rt.hooks.list()) == ([], [])
    for name in ("", "a b", "x" * 129):
        with pytest.raises(ValidationError, match="name"):
            rt.scripts.install(name, "return 1")


@pytest.mark.parametrize(
    ("body", "limit", "code"),
    [
        ("while true do end", 0.3, "ScriptTimeout"),
        ("local t = {} while true do t[#t + 1] = ('x'):rep(1000) end", 30, "ScriptMemoryExceeded"),
    ],
)
def test_a_call_over_its_limit_ends_the_sandbox_which_is_made_anew(
    rt: Runtime, body: str, limit: float, code: str
) -> None:
    session = rt.create_session()
    rt.scripts.install(
        "guard",
        GUARD.replace("if context", f"if context.data.key == 'bomb' then {body} end if context"),
        call_timeout=limit,
    )
    session.set("bomb", 1)  # a hook that fails does not fail the operation, unless it is required
    until(lambda: rt.scripts.status("guard").restarts and rt.scripts.status("guard").state == "running")
    status = rt.scripts.status("guard")
    assert (status.error, status.restarts) == (code, 1)
    assert refused(session, "locked") is not None
    assert len(rt.hooks.list()) == 1


def test_too_many_restarts_end_a_script_and_what_it_guards_stays_closed() -> None:
    with Runtime.open(config={"handle_signals": False, "max_restarts": 1}) as rt:
        session = rt.create_session()
        rt.scripts.install(
            "guard",
            "Hook.register('BeforeStateWrite', function() while true do end end, { required = true })",
            call_timeout=0.1,
        )

        def ended() -> bool:  # a call between its end and its next start ends nothing
            assert refused(session, "k") is not None
            return rt.scripts.status("guard").state == "failed"

        until(ended)
        status = rt.scripts.status("guard")
        assert (status.state, status.error, status.restarts) == ("failed", "ScriptTimeout", 1)
        assert refused(session, "k") is not None
        assert rt.scripts.uninstall("guard")
        assert refused(session, "k") is None


def test_instructions_are_limited_for_each_call() -> None:
    with Runtime.open(config={"handle_signals": False, "script_instructions": 3_000_000}) as rt:
        rt.scripts.install(
            "sum",
            """
          Hook.register("custom:sum", function(context)
            local n = 0
            for i = 1, context.data.n do n = n + i end
            return { type = "replace", value = n }
          end)""",
        )
        for _ in range(6):  # together more than one run may execute
            assert rt.hooks.fire("custom:sum", {"n": 200_000}).value == 20_000_100_000
        assert rt.hooks.fire("custom:sum", {"n": 10_000_000}).value is None
        until(lambda: rt.scripts.status("sum").restarts and rt.scripts.status("sum").state == "running")
        assert rt.scripts.status("sum").error == "ScriptTimeout"


def test_what_a_hook_does_itself_does_not_call_it_again(rt: Runtime) -> None:
    session = rt.create_session()
    rt.scripts.install(
        "copy",
        """
      Hook.register("BeforeStateWrite", function(context)
        State.set("global", "copy", context.data.value)
      end)""",
    )
    session.set("k", 7)
    assert rt.state_scope("global").get("copy") == 7
    assert rt.scripts.status("copy").restarts == 0


def test_scripts_that_wait_for_each_other_are_told_so(rt: Runtime) -> None:
    session = rt.create_session()
    source = """
      Hook.register("BeforeStateWrite", function(context)
        if context.data.key ~= "%s" then pcall(State.set, "global", "%s", 1) end
      end)
      Hook.register("AfterStateWrite", function(context) State.get("global", "k") end)"""
    rt.scripts.install("one", source % ("one", "one"), call_timeout=5)
    rt.scripts.install("two", source % ("two", "two"), call_timeout=5)
    session.set("k", 1)
    assert [each.restarts for each in rt.scripts.list()] == [0, 0]


def test_a_tool_that_a_script_calls_does_not_wait_for_the_script(rt: Runtime) -> None:
    rt.tools.register("write", lambda: rt.state_scope("global").set("k", 1))
    rt.scripts.install(
        "caller",
        """
      Hook.register("BeforeStateWrite", function(context) print("asked for " .. context.data.key) end)
      Hook.register("custom:go", function() Tool.invoke("write", {}) end)""",
        call_timeout=10,
    )
    rt.hooks.fire("custom:go", {})
    assert rt.state_scope("global").get("k") == 1
    assert rt.scripts.status("caller").restarts == 0


def test_calls_from_many_threads_come_one_after_the_other(rt: Runtime) -> None:
    rt.scripts.install(
        "count",
        """
      local n, inside = 0, false
      Hook.register("custom:count", function()
        assert(not inside)
        inside = true
        n = n + 1
        State.get("global", "k")
        inside = false
        return { type = "replace", value = n }
      end)""",
    )
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.extend(rt.hooks.fire("custom:count", {}).value for _ in range(20)))
        for _ in range(8)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(found) == list(range(1, 161))


def test_a_handler_that_fails_again_and_again_is_left_alone_for_a_while(rt: Runtime) -> None:
    rt.scripts.install("bad", "Event.on('custom.bad', function() error('no') end)")
    for _ in range(20):
        rt.events.publish("custom.bad", {})
    rt.scripts.install("after", "Event.on('custom.last', function() print('done') end)")
    rt.events.publish("custom.last", {})
    until(lambda: rt.scripts.status("after").output == "done\n")
    until(lambda: rt.scripts.status("bad").output.count("failed") == 5)
    assert rt.scripts.status("bad").state == "running"


# -- sessions


def test_a_bound_script_acts_for_its_session_and_ends_with_it(rt: Runtime) -> None:
    mine, other = rt.create_session("mine"), rt.create_session("other")
    rt.scripts.install(
        "own",
        GUARD
        + f"""
      local ok, e = pcall(Session.get, "{other.id}")
      print(Session.current() == "{mine.id}", ok, e.code)""",
        session=mine,
    )
    assert rt.scripts.status("own").output == "true\tfalse\tAccessDenied\n"
    assert refused(mine, "locked") is not None
    assert refused(other, "locked") is None
    started = [each.data for each in mine.events() if each.type == "script.started"]
    assert [each["installed"] for each in started] == ["own"]
    mine.suspend()
    mine.resume()
    assert rt.scripts.status("own").state == "running"
    mine.complete()
    until(lambda: rt.scripts.list() == [])
    assert rt.hooks.list() == []
    until(lambda: [*mine.events()][-1].type == "script.finished")
    with pytest.raises(InvalidSessionState):
        rt.scripts.install("own", GUARD, session=mine)
    other.delete()
    with pytest.raises(SessionNotFound):
        rt.scripts.install("own", GUARD, session=other)


def test_installing_is_for_the_host(rt: Runtime) -> None:
    session = rt.create_session()

    def attempt(call: Any) -> str:
        try:
            call()
        except AccessDenied:
            return "denied"
        return "done"

    rt.scripts.install("guard", GUARD)
    scripts = rt.scripts
    calls = [
        lambda: scripts.install("mine", "return 1", session=session),
        lambda: scripts.uninstall("guard"),
        lambda: scripts.get("guard"),
        lambda: scripts.status("guard"),
        scripts.list,
    ]
    rt.tools.register("attempt", lambda: [attempt(each) for each in calls])
    assert session.call_tool("attempt") == ["denied"] * len(calls)


def test_an_artifact_is_installed_and_needed_no_more(rt: Runtime) -> None:
    session = rt.create_session()
    info = session.store_artifact("script", "guard.lua", GUARD)
    rt.scripts.install("guard", info.id)
    rt.scripts.install("named", artifact="guard.lua", version=1, session=session)
    session.delete_artifact(info.id)
    kept = rt.scripts.get("guard")
    assert (kept.artifact, kept.version, kept.source) == (str(info.id), 1, GUARD)
    assert refused(session, "locked") is not None


def test_there_is_a_most_of_installed_scripts(rt: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenroom.runtime.installed.installed.MAX_INSTALLED", 2)
    for name in ("a", "b", "a"):
        rt.scripts.install(name, "return 1")
    with pytest.raises(ResourceLimitExceeded, match="2 scripts are installed already"):
        rt.scripts.install("c", "return 1")


# -- stores


def test_they_are_started_again_when_the_store_opens(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "store") as rt:
        session, ended = rt.create_session(), rt.create_session()
        rt.scripts.install("guard", GUARD + "print(...)", args=["a"], call_timeout=2)
        rt.scripts.install("bound", "return 1", session=session)
        rt.scripts.install("ended", "return 1", session=ended)
        rt.scripts.install("fails", "if State.get('global', 'broken') then error('no') end")
        rt.state_scope("global").set("broken", True)
        definition = rt.scripts.get("guard")
        scripts, rt.scripts._closing = rt.scripts, True  # as if the process ended with the session
        ended.complete()
        scripts._closing = False
    with Runtime.open(tmp_path / "store", read_only=True) as rt:
        assert [each.state for each in rt.scripts.list()] == ["stopped"] * 4
        assert rt.scripts.get("guard") == definition
        with pytest.raises(InvalidOperation):
            rt.scripts.install("more", "return 1")
    with Runtime.open(tmp_path / "store") as rt:
        found = {each.name: (each.state, each.error) for each in rt.scripts.list()}
        assert found == {
            "bound": ("running", None),
            "fails": ("failed", "ScriptError"),
            "guard": ("running", None),
        }
        assert rt.scripts.status("guard").output == "a\n"
        assert refused(rt.session(session.id), "locked") is not None


def test_they_are_there_after_the_process_was_killed(tmp_path: Path) -> None:
    program = f"""
import sys
from greenroom.runtime import Runtime

rt = Runtime.open({str(tmp_path / "store")!r})
for number in range(1000):
    rt.scripts.install(f"guard{{number % 3}}", {GUARD!r} + f"-- {{number}}")
    print(number, flush=True)
"""
    process = WarmPopen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) == 7:
            process.kill()
            break
    process.wait()
    process.stdout.close()
    with Runtime.open(tmp_path / "store") as rt:
        assert [(each.name, each.state) for each in rt.scripts.list()] == [(f"guard{n}", "running") for n in range(3)]
        numbers = [int(rt.scripts.get(f"guard{n}").source.rpartition(" ")[2]) for n in range(3)]
        assert max(numbers) >= 7
        assert [n % 3 for n in numbers] == [0, 1, 2]
        assert refused(rt.create_session(), "locked") is not None
        assert rt.verify().ok


def test_a_source_that_redaction_would_change_is_refused() -> None:
    with Runtime.open(config={"redact": [r"sk-\d+"]}) as rt:
        with pytest.raises(ValidationError, match="redact"):
            rt.scripts.install("secret", "local key = 'sk-123'")
        rt.scripts.install("guard", GUARD)


def test_closing_ends_what_hangs() -> None:
    entered, release = threading.Event(), threading.Event()
    rt = Runtime.open(config={"handle_signals": False})

    def hang() -> None:
        entered.set()
        release.wait(30)

    rt.tools.register("hang", hang)
    rt.scripts.install("hangs", "Event.on('custom.go', function() Tool.invoke('hang', {}) end)", call_timeout=60)
    rt.events.publish("custom.go", {})
    assert entered.wait(20)
    try:
        rt.close(timeout=1)
    finally:
        release.set()
    assert rt.closed
    with pytest.raises(GreenroomError):
        rt.scripts.list()
