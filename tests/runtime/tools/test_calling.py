from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from greenroom.runtime import (
    CallContext,
    CallFailed,
    InvalidOperation,
    InvalidSessionState,
    OperationTimeout,
    ResourceLimitExceeded,
    Runtime,
    RuntimeClosed,
    Session,
    SessionNotFound,
    ValidationError,
    messages,
)

from .conftest import events_of

CALLS = ("tool.called", "tool.returned")


def test_a_call_is_journaled_with_its_input_and_its_result(rt: Runtime, session: Session) -> None:
    rt.tools.register("weather", lambda city: {"city": city, "sunny": True}, replace=True)
    assert session.call_tool("weather", {"city": "Berlin"}) == {"city": "Berlin", "sunny": True}
    called, returned = events_of(session, *CALLS)
    assert (called.type, called.data["name"], called.data["input"]) == ("tool.called", "weather", {"city": "Berlin"})
    assert returned.type == "tool.returned"
    assert returned.data["success"] is True
    assert returned.data["result"] == {"city": "Berlin", "sunny": True}
    assert returned.data["call"] == called.sequence
    assert returned.data["duration"] >= 0


def test_the_message_api_and_the_session_go_the_same_way(rt: Runtime, session: Session) -> None:
    rt.tools.register("double", lambda input: input["n"] * 2, replace=True)
    assert rt.ask(session.id, messages.CallTool("double", {"n": 4})) == 8
    assert rt.tools.call("double", {"n": 5}, session=session) == 10
    assert [each.type for each in events_of(session, *CALLS)] == [*CALLS, *CALLS]


def test_outside_of_a_session_nothing_is_journaled(rt: Runtime, session: Session) -> None:
    before = session.info().sequence
    assert rt.tools.call("calculator", {"expression": "1 + 1"}) == 2
    outcome = rt.tools.invoke("calculator", {"expression": "1 +"})
    assert (outcome.success, outcome.error_code) == (False, "ValidationError")
    assert session.info().sequence == before


def test_a_told_call_is_made_and_journaled_though_nobody_waits(rt: Runtime, session: Session) -> None:
    done = threading.Event()
    rt.tools.register("note", done.set, replace=True)
    with rt.events.subscribe("tool.returned") as returns:
        rt.tell(session.id, messages.CallTool("note"))
        assert done.wait(10)
        told = returns.receive(timeout=10)
    assert told is not None
    assert told.session_id == session.id


def test_a_tool_that_raises_fails_the_call_with_its_error_as_the_cause(rt: Runtime, session: Session) -> None:
    def broken() -> None:
        raise KeyError("nothing here")

    rt.tools.register("broken", broken, replace=True)
    with pytest.raises(CallFailed) as failed:
        session.call_tool("broken")
    assert isinstance(failed.value.__cause__, KeyError)
    assert (failed.value.kind, failed.value.name, failed.value.error) == ("tool", "broken", "KeyError")
    returned = events_of(session, "tool.returned")[0]
    assert returned.data["success"] is False
    assert returned.data["error"]["code"] == "CallFailed"
    session.set("k", 1)


@pytest.mark.parametrize("exit", [SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_a_tool_cannot_end_its_caller(rt: Runtime, session: Session, exit: type[BaseException]) -> None:
    def leave() -> None:
        raise exit

    rt.tools.register("leave", leave, replace=True)
    with pytest.raises(CallFailed):
        session.call_tool("leave")


def test_our_own_errors_come_through_a_tool_as_they_are(rt: Runtime, session: Session) -> None:
    rt.tools.register("lookup", lambda: rt.session("0" * 36), replace=True)
    with pytest.raises(SessionNotFound):
        rt.tools.call("lookup")


@pytest.mark.parametrize(
    "garbage",
    [object(), float("nan"), {1.5: "x"}, lambda: None, type, [[object()]], {"deep": {object()}}],
    ids=["object", "nan", "key", "function", "class", "nested", "set"],
)
def test_garbage_is_no_result(rt: Runtime, session: Session, garbage: Any) -> None:
    rt.tools.register("garbage", lambda: garbage, replace=True)
    with pytest.raises(CallFailed, match="result"):
        session.call_tool("garbage")
    assert events_of(session, "tool.returned")[0].data["success"] is False


class _Endless(Mapping[str, int]):
    """A mapping whose keys have no end."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def __iter__(self) -> Iterator[str]:
        for number in itertools.count():
            if self._stop.wait(0.001):
                return
            yield f"again {number}"

    def __getitem__(self, key: str) -> int:
        return 1

    def __len__(self) -> int:
        return 1


def test_a_result_without_an_end_is_a_timeout(rt: Runtime, session: Session, release: threading.Event) -> None:
    rt.tools.register("endless", lambda: _Endless(release), replace=True)
    with pytest.raises(OperationTimeout):
        session.call_tool("endless", timeout=0.05)


class _Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not telling")


def test_an_error_that_cannot_say_what_is_wrong_is_still_one(rt: Runtime, session: Session) -> None:
    def mute() -> None:
        raise _Mute

    rt.tools.register("mute", mute, replace=True)
    with pytest.raises(CallFailed, match="_Mute"):
        session.call_tool("mute")


def test_a_result_that_contains_itself_is_no_result(rt: Runtime, session: Session) -> None:
    loop: list[Any] = []
    loop.append(loop)
    rt.tools.register("loop", lambda: loop, replace=True)
    with pytest.raises(CallFailed, match="deep"):
        session.call_tool("loop")


def test_a_result_beyond_all_bounds_fails_the_call_and_is_not_journaled(rt: Runtime, session: Session) -> None:
    rt.tools.register("huge", lambda: b"x" * (17 << 20), replace=True)
    with pytest.raises(CallFailed, match="store an artifact"):
        session.call_tool("huge")
    assert events_of(session, "tool.returned")[0].data["result"] is None


def test_a_long_result_is_in_the_event_and_in_the_artifact(rt: Runtime, session: Session) -> None:
    text = "line of a long text\n" * 20_000
    rt.tools.register("long", lambda: text, replace=True)
    assert session.call_tool("long") == text
    returned = events_of(session, "tool.returned")[0]
    assert returned.data["result"] == text
    (info,) = session.list_artifacts()
    assert info.id.sequence == returned.data["artifact"]
    assert session.get_artifact(info.id).content.decode() == text


def test_results_arrive_as_plain_values(rt: Runtime, session: Session) -> None:
    rt.tools.register("mixed", lambda: {"t": (1, 2), "b": b"\x00\xff", 3: None}, replace=True)
    assert session.call_tool("mixed") == {"t": [1, 2], "b": b"\x00\xff", "3": None}


def test_an_unknown_tool_is_refused_before_anything_is_journaled(rt: Runtime, session: Session) -> None:
    with pytest.raises(InvalidOperation, match="did you mean 'calculator'"):
        session.call_tool("calculater", {"expression": "1"})
    assert not events_of(session, *CALLS)


def test_only_an_active_session_calls(rt: Runtime, session: Session) -> None:
    session.suspend()
    with pytest.raises(InvalidSessionState):
        session.call_tool("uuid_generator")
    with pytest.raises(SessionNotFound):
        rt.ask("0" * 36, messages.CallTool("uuid_generator"))


def test_the_session_answers_everybody_else_while_a_tool_is_at_work(
    rt: Runtime, session: Session, release: threading.Event
) -> None:
    started = threading.Event()

    def slow() -> str:
        started.set()
        release.wait(30)
        return "done"

    rt.tools.register("slow", slow, replace=True)
    results: list[str] = []
    caller = threading.Thread(target=lambda: results.append(session.call_tool("slow")))
    caller.start()
    assert started.wait(10)
    session.set("k", 1)
    assert session.get("k") == 1
    assert session.call_tool("calculator", {"expression": "2 * 3"}) == 6
    release.set()
    caller.join(10)
    assert results == ["done"]


def test_a_tool_may_use_the_session_that_it_is_called_in(rt: Runtime, session: Session) -> None:
    def remember(value: int, context: CallContext) -> int:
        assert context.session is not None
        context.session.set("value", value)
        return context.session.call_tool("calculator", {"expression": f"{value} + 1"})

    rt.tools.register("remember", remember, replace=True)
    assert session.call_tool("remember", {"value": 7}) == 8
    assert session.get("value") == 7


def test_a_coroutine_is_a_tool_like_any_other(rt: Runtime, session: Session) -> None:
    async def greet(name: str) -> str:
        await asyncio.sleep(0)
        return f"hello {name}"

    rt.tools.register("greet", greet, replace=True)
    assert session.call_tool("greet", {"name": "you"}) == "hello you"


def test_a_hanging_tool_frees_its_caller_and_its_late_result_is_dropped(
    rt: Runtime, session: Session, release: threading.Event
) -> None:
    ended = threading.Event()

    def hang(context: CallContext) -> str:
        release.wait(30)
        assert context.cancelled.is_set()
        ended.set()
        return "too late"

    rt.tools.register("hang", hang, replace=True)
    with pytest.raises(OperationTimeout) as late:
        session.call_tool("hang", timeout=0.02)
    assert late.value.timeout == pytest.approx(0.02, abs=0.01)
    session.set("k", 1)
    release.set()
    assert ended.wait(10)
    (returned,) = events_of(session, "tool.returned")
    assert returned.data["success"] is False
    assert returned.data["error"]["code"] == "OperationTimeout"


def test_a_coroutine_is_cancelled_at_its_timeout(rt: Runtime, session: Session) -> None:
    cancelled = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    rt.tools.register("forever", forever, timeout=0.02, replace=True)
    with pytest.raises(OperationTimeout):
        session.call_tool("forever")
    assert cancelled.wait(10)


def test_whoever_asks_with_a_shorter_timeout_waits_no_longer(
    rt: Runtime, session: Session, release: threading.Event
) -> None:
    rt.tools.register("wait", lambda: release.wait(30), replace=True)
    with pytest.raises(OperationTimeout):
        rt.ask(session.id, messages.CallTool("wait"), timeout=0.02)
    with pytest.raises(OperationTimeout):
        session.with_timeout(0.02).call_tool("wait")
    assert len(events_of(session, "tool.returned")) == 2


@pytest.mark.parametrize("end", ["delete", "complete"])
def test_a_session_that_ends_while_a_tool_is_at_work_gives_a_clear_error(rt: Runtime, end: str) -> None:
    session = rt.create_session()
    rt.tools.register("end", lambda: getattr(session, end)() and None, replace=True)
    with pytest.raises((SessionNotFound, InvalidSessionState), match="while tool 'end' was at work"):
        session.call_tool("end")
    if end == "complete":
        assert not events_of(session, "tool.returned")


def test_a_suspended_session_still_learns_what_its_tool_returned(rt: Runtime, session: Session) -> None:
    rt.tools.register("pause", lambda: session.suspend() and "paused", replace=True)
    assert session.call_tool("pause") == "paused"
    assert events_of(session, "tool.returned")[0].data["result"] == "paused"


def test_tools_that_call_themselves_for_ever_end_with_the_threads() -> None:
    with Runtime.open(config={"max_elastic_threads": 6}) as rt:
        session = rt.create_session()
        rt.tools.register("again", lambda context: context.call_tool("again"))
        with pytest.raises(ResourceLimitExceeded) as full:
            session.call_tool("again")
        assert (full.value.resource, full.value.limit) == ("elastic_threads", 5)
        returned = events_of(session, "tool.returned")
        assert [each.data["error"]["code"] for each in returned] == ["ResourceLimitExceeded"] * 6
        assert session.call_tool("calculator", {"expression": "1"}) == 1, "all of them have come back"


def test_hanging_tools_take_no_threads_from_sessions(release: threading.Event) -> None:
    with Runtime.open(config={"max_elastic_threads": 2}) as rt:
        session = rt.create_session()
        rt.tools.register("hang", lambda: release.wait(30), timeout=0.01)
        for _ in range(2):
            with pytest.raises(OperationTimeout):
                session.call_tool("hang")
        with pytest.raises(ResourceLimitExceeded):
            session.call_tool("hang")
        session.set("k", 1)
        assert session.get("k") == 1
        release.set()


def test_one_session_cannot_take_the_threads_of_all(release: threading.Event) -> None:
    with Runtime.open(config={"max_session_calls": 2}) as rt:
        rt.tools.register("hang", lambda: release.wait(30))
        rt.tools.register("answer", lambda: 42)
        greedy, modest = rt.create_session(), rt.create_session()
        for _ in range(2):
            with pytest.raises(OperationTimeout):
                greedy.call_tool("hang", timeout=0.05)
        with pytest.raises(ResourceLimitExceeded) as caught:
            greedy.call_tool("answer")
        assert (caught.value.fields["resource"], caught.value.fields["limit"]) == ("calls", 2)
        assert modest.call_tool("answer") == 42
        release.set()
        rt.core.elastic.close(30)  # which waits until the threads are back
        assert not rt._parts.callers.calls.at_work(greedy.id)


def test_a_read_only_runtime_calls_nothing_in_a_session(rt: Runtime, session: Session) -> None:
    with Runtime.open(rt.path, read_only=True) as reader:
        with pytest.raises(InvalidOperation):
            reader.session(session.id).call_tool("uuid_generator")
        assert reader.tools.call("calculator", {"expression": "2"}) == 2


def test_a_call_without_a_timeout_has_the_time_of_its_tool(release: threading.Event) -> None:
    with Runtime.open(config={"ask_timeout": 0.05, "tool_timeout": 20}) as rt:
        session = rt.create_session()
        started = threading.Event()

        def slow() -> str:
            started.set()
            release.wait(10)
            return "in time"

        rt.tools.register("slow", slow)
        results: list[Any] = []
        caller = threading.Thread(target=lambda: results.append(rt.ask(session.id, messages.CallTool("slow"))))
        caller.start()
        assert started.wait(10)
        caller.join(0.1)
        release.set()
        caller.join(10)
        assert results == ["in time"]


def test_closing_frees_who_waits_for_a_hanging_tool() -> None:
    release, started = threading.Event(), threading.Event()

    def hang() -> None:
        started.set()
        release.wait(30)

    try:
        rt = Runtime.open()
        session = rt.create_session()
        rt.tools.register("hang", hang)
        failures: list[BaseException] = []

        def call() -> None:
            try:
                session.call_tool("hang")
            except BaseException as error:
                failures.append(error)

        caller = threading.Thread(target=call)
        caller.start()
        assert started.wait(10)
        rt.close(timeout=0.2)
        caller.join(10)
        assert [type(each) for each in failures] == [RuntimeClosed]
        with pytest.raises(RuntimeClosed):
            rt.tools.call("uuid_generator")
    finally:
        release.set()


def test_bad_messages_are_never_sent() -> None:
    with pytest.raises(ValidationError):
        messages.CallTool("", {})
    with pytest.raises(ValidationError):
        messages.CallTool("x", {"n": object()})
    with pytest.raises(ValidationError):
        messages.CallTool("x", {}, timeout=0)
