"""Scripts that are replayed exactly: answered from the journal, and compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import (
    AccessDenied,
    InvalidOperation,
    ReplayError,
    Runtime,
    ScriptError,
    ScriptTimeout,
    Session,
    ValidationError,
)

LUA = """
print(os.time(), os.clock(), os.date("%H:%M:%S"), math.random(), math.random(100))
math.randomseed()
print(math.random())
State.set("k", { a = 1, b = { 2, 3 } })
local result = Tool.invoke("count", {}).result
local ok, problem = pcall(Session.get, "nobody")
Hook.register("BeforeStateWrite", function(context)
  print("hook", context.data.key)
  return "continue"
end)
Event.on("custom.*", function(event) print("event", event.data.n) State.set("n", event.data.n) end)
State.set("x", 1)
for i = 1, 3 do Event.publish("custom.step", { n = i }) end
local child = Session.create { name = "child" }
return { result, State.get("k"), problem.code, child, child.name, ... }
"""
JAVASCRIPT = """
print(Date.now(), Math.random(), new Date().toISOString())
State.set('k', [1, { b: 2 }])
Event.on('custom.*', event => print(event.type, event.data.n))
Event.publish('custom.step', { n: 5 })
let code
try { Session.get('nobody') } catch (error) { code = error.code }
;[State.get('k'), Tool.invoke('count', {}).result, code, Session.create({ name: 'child' })]
"""


class Counted:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        return self.calls


@pytest.fixture
def count() -> Counted:
    return Counted()


@pytest.fixture
def rt(count: Counted) -> Iterator[Runtime]:
    with Runtime.open(config={"handle_signals": False}) as runtime:
        runtime.tools.register("count", count)
        yield runtime


@pytest.fixture
def session(rt: Runtime) -> Session:
    return rt.create_session()


@pytest.mark.parametrize("isolation", ["thread", "process"])
@pytest.mark.parametrize(("language", "source"), [("lua", LUA), ("javascript", JAVASCRIPT)])
def test_a_run_is_replayed_exactly_and_nothing_reaches_the_session(
    rt: Runtime, session: Session, count: Counted, language: str, source: str, isolation: str
) -> None:
    result = session.run_script(source, language, args=["a", {"z": 1, "y": 2}], isolation=isolation, timeout=20)
    before, sessions = session.info(), rt.count_sessions(status="all")
    assert result.run_id is not None
    for replay in (
        session.replay_script(result.run_id),
        session.replay_script(int(result.run_id.partition("/")[2])),
        rt.replay_script(result.run_id),
    ):
        assert (replay.identical, replay.difference) == (True, None)
        assert (replay.value, replay.output, replay.error) == (result.value, result.output, None)
        assert replay.calls > 5
    assert (session.info(), rt.count_sessions(status="all"), count.calls) == (before, sessions, 1)
    assert rt.replay(session.id).identical


def test_a_run_that_failed_is_replayed(rt: Runtime, session: Session) -> None:
    with pytest.raises(ScriptError):
        session.run_script("print('before') State.set('k', 1)\nerror({ message = 'at ' .. os.time() })")
    run = next(each for each in session.events() if each.type == "script.started")
    replay = session.replay_script(run.sequence)
    assert replay.identical, replay.difference
    assert isinstance(replay.error, ScriptError)


@pytest.mark.parametrize(
    ("old", "new", "kind", "function"),
    [
        ('State.set("k", {', 'State.set("other", {', "arguments", "State.set"),
        ('"nobody"', '"somebody"', "arguments", "Session.get"),
        ('Tool.invoke("count", {})', "({ result = 1 })", "function", "Tool.invoke"),
        ('return "continue"', 'return "skip"', "callback", "State.set"),
        ("for i = 1, 3", "for i = 1, 2", "function", "Event.publish"),
        ("problem.code", "'other'", "value", None),
        ('print("event"', 'print("an event"', "output", None),
        ("return {", "error('no') return {", "error", None),
        ("return {", "State.clear() return {", "arguments", None),
    ],
)
def test_the_first_difference_is_named(
    rt: Runtime, session: Session, old: str, new: str, kind: str, function: str | None
) -> None:
    result = session.run_script(LUA)
    assert old in LUA
    assert result.run_id is not None
    if "State.clear" in new:
        kind = "function"
    replay = session.replay_script(result.run_id, source=LUA.replace(old, new))
    difference = replay.difference
    assert not replay.identical
    assert difference is not None
    assert difference.kind == kind
    if function is not None:
        assert difference.function == function
        assert difference.call is not None
    assert (difference.recorded, difference.replayed) != (None, None)


def test_calls_that_are_too_few_or_too_many_are_named(rt: Runtime, session: Session) -> None:
    result = session.run_script("State.set('a', 1) State.set('b', 2)")
    assert result.run_id is not None
    fewer = session.replay_script(result.run_id, source="State.set('a', 1)").difference
    assert fewer is not None
    assert (fewer.kind, fewer.call, fewer.function, fewer.replayed) == ("calls", 2, "State.set", None)
    more = session.replay_script(result.run_id, source="State.set('a', 1) State.set('b', 2)\nState.get('a')").difference
    assert more is not None
    assert (more.kind, more.call, more.function, more.line) == ("calls", 3, "State.get", 2)


def test_runs_are_replayed_after_reopening_in_forks_and_from_bundles(tmp_path: Path, count: Counted) -> None:
    with Runtime.open(tmp_path / "store") as rt:
        rt.tools.register("count", count)
        session = rt.create_session()
        run = session.run_script(LUA).run_id
        assert run is not None
    with Runtime.open(tmp_path / "store") as rt:
        session = rt.session(session.id)
        assert session.replay_script(run).identical
        sequence = int(run.partition("/")[2])
        assert session.fork().replay_script(sequence).identical
        rt.export_session(session.id, tmp_path / "s.bundle")
        assert rt.import_session(tmp_path / "s.bundle", keep_ids=False).replay_script(sequence).identical
        assert rt.verify().ok
    with Runtime.open(tmp_path / "store", read_only=True) as rt:
        assert rt.replay_script(run).identical


def test_what_cannot_be_replayed_says_why(rt: Runtime, session: Session) -> None:
    def refusal(run: Any) -> str:
        with pytest.raises(ReplayError) as refused:
            session.replay_script(run)
        return str(refused.value)

    assert "not recorded" in refusal(session.run_script("return 1", record=False).run_id)
    assert "no start of a script" in refusal(1)
    assert "no event" in refusal(1000)
    with pytest.raises(ScriptTimeout):
        session.run_script("State.set('k', 1) while true do end", timeout=0.1)
    timed_out = [each for each in session.events() if each.type == "script.started"][-1]
    assert "a limit ended it" in refusal(timed_out.sequence)
    large = session.run_script(
        "for i = 1, 10 do State.set('k', ('x'):rep(900000)) State.get('k') end return 7", timeout=30
    )
    assert large.value == 7
    assert "more than 4194304 bytes" in refusal(large.run_id)
    for wrong in ("nonsense", f"{rt.create_session().id}/1"):
        with pytest.raises(ValidationError, match="run"):
            session.replay_script(wrong)
    with pytest.raises(InvalidOperation, match="session"):
        rt.run_script("return 1", record=True)
    with pytest.raises(InvalidOperation, match="files"):
        session.run_script("return 1", profile="files", record=True)


def test_what_hooks_of_a_script_saw_and_may_be_taken_out_is_not_kept(rt: Runtime, session: Session) -> None:
    sources = {
        "changed": "Hook.register('AfterStateRead', function() return { type = 'replace', value = 1 } end)",
        "other": "Hook.register('AfterStateRead', function() end)",
    }
    for name, source in sources.items():
        handle = rt.hooks.register("AfterStateWrite", lambda context: None) if name == "other" else None
        run = session.run_script(source + " State.get('k')").run_id
        with pytest.raises(ReplayError, match="may not be kept"):
            session.replay_script(str(run))
        if handle is not None:
            handle.unregister()


def test_a_session_replays_only_what_it_can_read(rt: Runtime, session: Session) -> None:
    other = rt.create_session()
    run = other.run_script("return State.set('secret', 1)").run_id
    rt.tools.register("attempt", lambda: rt.replay_script(str(run)).identical)
    with pytest.raises(AccessDenied):
        session.call_tool("attempt")
    assert other.call_tool("attempt") is True


def test_secrets_are_not_in_what_was_recorded(tmp_path: Path) -> None:
    secret = "sk-0123456789"
    with Runtime.open(tmp_path / "store", config={"redact": [r"sk-\d+"]}) as rt:
        rt.tools.register("key", lambda: secret)
        session = rt.create_session()
        run = session.run_script("local key = Tool.invoke('key', {}).result State.set('k', key) return #key").run_id
        replay = session.replay_script(str(run))
        assert replay.redacted
        assert replay.difference is not None  # the key that is left is not as long
        assert replay.difference.kind == "value"
    for each in (tmp_path / "store").rglob("*"):
        assert not each.is_file() or secret.encode() not in each.read_bytes()
