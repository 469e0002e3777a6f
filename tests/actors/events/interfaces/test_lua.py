"""The global `Event` of Lua scripts."""

from __future__ import annotations

from typing import Any

import pytest

from greenroom.runtime import Runtime, ScriptError, ScriptTimeout, Session


@pytest.fixture
def session(shared_runtime: Runtime) -> Session:
    return shared_runtime.create_session()


def lua(runtime: Runtime, source: str, **options: Any) -> Any:
    return runtime.run_script(source, **options).value


def test_what_is_published_is_received_with_every_field(shared_runtime: Runtime, session: Session) -> None:
    received = lua(
        shared_runtime,
        """
        local sub = Event.subscribe("custom.*")
        local made = Event.publish("custom.step", { n = 1, list = { 1, 2 } }, { tags = { "t" }, target = "you" })
        local event = Event.receive(sub, 1000)
        assert(event.id == made.id and event.type == "custom.step" and event.event_type == "custom.step")
        assert(event.data.n == 1 and event.data.list[2] == 2 and event.tags[1] == "t" and event.target == "you")
        assert(event.source == "script:script" and event.language == "lua" and event.schema_version == 1)
        assert(Event.receive(sub, 0) == nil and Event.receive(sub, 1) == nil)
        assert(Event.unsubscribe(sub) == true and Event.unsubscribe(sub) == false)
        return event
        """,
        session=session,
    )
    event = next(each for each in session.events() if each.type == "custom.step")
    assert received["timestamp"] == event.to_dict()["timestamp"]
    assert (received["session_id"], received["sequence"]) == (session.id, event.sequence)
    assert received["correlation_id"] == event.correlation_id


def test_emit_is_another_name_and_without_a_session_it_is_told_only(shared_runtime: Runtime) -> None:
    with shared_runtime.events.subscribe("my.event") as told:
        assert lua(shared_runtime, 'return Event.emit("my.event", { a = 1 }).sequence') == 0
        event = told.receive(0)
    assert event is not None
    assert event.data == {"a": 1}


def test_options_name_another_session(shared_runtime: Runtime, session: Session) -> None:
    lua(shared_runtime, 'Event.publish("custom.x", nil, { session_id = ... })', args=[session.id])
    assert list(session.events())[-1].type == "custom.x"


def test_functions_are_called_for_what_fits_in_order(shared_runtime: Runtime, session: Session) -> None:
    seen, at_once = lua(
        shared_runtime,
        """
        local seen = {}
        Event.on("custom.*", function(event) seen[#seen + 1] = event.type end)
        Event.on("custom.b", function(event) seen[#seen + 1] = "again " .. event.type end)
        Event.publish("custom.a", {})
        local at_once = #seen
        Event.publish("other.x", {})
        Event.publish("custom.b", {})
        return seen, at_once
        """,
        session=session,
    )
    assert seen == ["custom.a", "custom.b", "again custom.b"]
    assert at_once == 1


def test_functions_are_called_at_the_end_for_what_is_left(shared_runtime: Runtime, session: Session) -> None:
    lua(
        shared_runtime,
        """
        Event.on("variable.set", function(event)
          if event.data.key ~= "heard" then Session.current():setVariable("heard", event.data.key) end
        end)
        State.set("k", 1)
        """,
        session=session,
    )
    assert session.get("heard") == "k"


def test_functions_are_called_while_the_script_waits_for_something_else(
    shared_runtime: Runtime, session: Session
) -> None:
    assert lua(
        shared_runtime,
        """
        local count = 0
        local sub = Event.subscribe("custom.answer")
        Event.on("custom.question", function() Event.publish("custom.answer", { n = count }) end)
        Event.on("variable.set", function() count = count + 1 end)
        State.set("a", 1)
        Event.publish("custom.question", {})
        assert(count == 1)
        State.set("b", 1)
        local answer = Event.receive(sub, 5000)
        assert(Event.dispatch() == 1 and Event.dispatch(1) == 0)
        return { answer.data.n, count }
        """,
        session=session,
    ) == [1, 2]


def test_a_function_that_fails_is_reported_and_the_script_goes_on(shared_runtime: Runtime, session: Session) -> None:
    failures: list[Any] = []
    handle = shared_runtime.hooks.register("EventHandlerError", lambda context: failures.append(dict(context.data)))
    result = shared_runtime.run_script(
        """
        Event.on("custom.*", function(event) error("cannot " .. event.type) end)
        Event.on("custom.*", function(event) Session.get("nonsense") end)
        Event.publish("custom.a", {})
        return "done"
        """,
        session=session,
    )
    handle.unregister()
    assert result.value == "done"
    assert "the function for events custom.* failed: script:2: cannot custom.a" in result.output
    assert len(failures) == 2
    assert {each["pattern"] for each in failures} == {"custom.*"}


def test_limits_hold_in_functions(shared_runtime: Runtime, session: Session) -> None:
    with pytest.raises(ScriptTimeout):
        lua(
            shared_runtime,
            'Event.on("custom.*", function() while true do end end) pcall(Event.publish, "custom.a", {})',
            session=session,
            timeout=0.2,
        )
    with pytest.raises(ScriptTimeout):  # one that causes itself for ever
        lua(
            shared_runtime,
            'Event.on("custom.*", function() Event.publish("custom.a", {}) end) Event.publish("custom.a", {})',
            session=session,
            timeout=0.2,
        )
    assert session.info().status == "active"
    assert shared_runtime.events.subscriptions == ()


def test_waiting_is_bounded_by_the_time_of_the_script(shared_runtime: Runtime) -> None:
    with pytest.raises(ScriptTimeout):
        lua(shared_runtime, 'Event.receive(Event.subscribe("custom.never"), 1e9)', timeout=0.1)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("Event.publish('session created', {})", "ValidationError"),
        ("Event.subscribe('**', { origin = 'somewhere' })", "ValidationError"),
        ("Event.publish('custom.x', {}, { colour = 1 })", "ValidationError"),
        ("Event.publish('custom.x', {}, { source = 'somebody' })", "ValidationError"),
        ("Event.subscribe('a..b')", "ValidationError"),
        ("Event.receive('nonsense')", "ValidationError"),
        ("Event.receive(Event.subscribe('x'), -1)", "ValidationError"),
        ("Event.on('custom.*', 7)", "ValidationError"),
        ("Event.receive(Event.on('x', print))", "InvalidOperation"),
        ("Event.query { colour = 1 }", "ValidationError"),
        ("for i = 1, 65 do Event.subscribe('x') end", "ResourceLimitExceeded"),
        ("Event.publish('custom.x', { x = ('x'):rep(17000000) })", "ResourceLimitExceeded"),
        ("Event.subscribe('**', { session_id = other })", "AccessDenied"),
        ("Event.publish('custom.x', {}, { session_id = other })", "AccessDenied"),
        ("Event.query { session_id = other }", "AccessDenied"),
        ("Session.timeline(other)", "AccessDenied"),
    ],
)
def test_what_cannot_be_is_refused(shared_runtime: Runtime, session: Session, source: str, code: str) -> None:
    other = shared_runtime.create_session()
    found = lua(
        shared_runtime,
        "local other = ... local ok, e = pcall(function() " + source + " end) return not ok and e.code",
        session=session,
        args=[other.id],
    )
    assert found == code
    assert other.info().sequence == 1


def test_the_inner_functions_are_not_for_scripts(shared_runtime: Runtime) -> None:
    assert lua(shared_runtime, "return Event.take == nil and Event.failed == nil") is True


def test_queries_and_timelines_show_a_bound_script_its_own(shared_runtime: Runtime, session: Session) -> None:
    other = shared_runtime.create_session()
    with shared_runtime.operation("shared"):
        other.set("k", 1)
        session.set("k", 1)
    mine, line, own, ids = lua(
        shared_runtime,
        """
        local ids = {}
        for i, event in ipairs(Event.query { type = "variable.*" }) do ids[i] = event.session_id end
        return Event.query { correlation_id = "shared" }, Event.timeline("shared"), Event.timeline(), ids
        """,
        session=session,
    )
    assert [each["session_id"] for each in mine] == [session.id]
    assert [each["session_id"] for each in line] == [session.id]
    assert set(ids) == {session.id}
    assert [each["type"] for each in own] == ["session.created", "variable.set", "script.started"]
    assert own[0]["depth"] == 0
    assert lua(shared_runtime, 'return #Event.query { correlation_id = "shared" }') == 2


def test_a_bound_script_hears_only_its_own(shared_runtime: Runtime, session: Session) -> None:
    heard = lua(
        shared_runtime,
        """
        local sub = Event.subscribe("**")
        State.set("k", 1)
        local child = Session.create { name = "child" }
        child:addTag("t")
        local heard = {}
        while true do
          local event = Event.receive(sub, 0)
          if not event then return heard end
          heard[#heard + 1] = event.type
        end
        """,
        session=session,
    )
    assert heard == ["variable.set", "session.created", "session.started", "tags.changed"]


def test_timelines_of_sessions_have_depth_and_cause(shared_runtime: Runtime, session: Session) -> None:
    rows = lua(
        shared_runtime,
        'local s = Session.current() s:setVariable("k", 1) assert(#s:getTimeline() == 3) return s:timeline()',
        session=session,
    )
    assert [row["depth"] for row in rows] == [0, 0, 1]
    assert rows[2]["cause"] == rows[1]["id"]


def test_what_waits_for_a_script_is_bounded_in_bytes(shared_runtime: Runtime, session: Session) -> None:
    received = lua(
        shared_runtime,
        """
        local sub = Event.subscribe("custom.*")
        local large = string.rep("x", 60000)
        for i = 1, 100 do Event.publish("custom.step", { n = i, large = large }) end
        local count, last = 0, nil
        while true do
          local event = Event.receive(sub, 0)
          if not event then break end
          count, last = count + 1, event.data.n
        end
        return { count, last }
        """,
        session=session,
    )
    assert received[0] < 100
    assert received[1] == 100


def test_a_bound_script_cannot_have_the_host_gather_everything_at_once(
    shared_runtime: Runtime, session: Session
) -> None:
    for _ in range(35):
        session.set("k", b"x" * 1_000_000)
    with pytest.raises(ScriptError, match="limit and after"):
        lua(shared_runtime, "return #Event.query{}", session=session)
    assert lua(shared_runtime, "return #Event.query{ limit = 2 }", session=session) == 2
    assert shared_runtime.events.query(session_id=session.id, type="variable.*").total == 35


@pytest.mark.parametrize(
    "error",
    [
        "{ code = 5, message = setmetatable({}, { __tostring = function() error('in') end }) }",
        "setmetatable({}, { __tostring = function() error('in') end })",
        "setmetatable({}, { __tostring = function() return 5 end })",
        "nil",
    ],
)
def test_an_error_that_cannot_be_told_is_one_of_its_function_alone(
    shared_runtime: Runtime, session: Session, error: str
) -> None:
    source = f"""
        Event.on("custom.step", function() error({error}) end)
        Event.publish("custom.step")
        return "went on"
    """
    result = shared_runtime.run_script(source, session=session)
    assert result.value == "went on"
    assert "custom.step failed" in result.output
