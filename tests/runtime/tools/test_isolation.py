from __future__ import annotations

import asyncio
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import AccessDenied, CallContext, Runtime, Session, SessionNotFound, messages

from ...warm import run_warm
from .conftest import events_of


@pytest.fixture
def other(rt: Runtime) -> Session:
    """Another session, with something in it."""
    session = rt.create_session(name="other")
    session.set("secret", "hunter2")
    return session


def inside(rt: Runtime, session: Session, work: Any) -> Any:
    """What `work()` gives within a tool that is called in a session."""
    rt.tools.register("inside", work, replace=True)
    return session.call_tool("inside")


@pytest.mark.parametrize(
    "reach",
    [
        lambda rt, other: other.get("secret"),
        lambda rt, other: other.set("secret", "mine"),
        lambda rt, other: rt.ask(other.id, messages.GetInfo()),
        lambda rt, other: rt.tell(other.id, messages.SetVariable("secret", "mine")),
        lambda rt, other: other.call_tool("uuid_generator"),
        lambda rt, other: rt.tools.call("uuid_generator", session=other),
        lambda rt, other: rt.agents.call("echo", "x", session=other.id),
    ],
)
def test_a_tool_does_not_reach_other_sessions(rt: Runtime, session: Session, other: Session, reach: Any) -> None:
    before = other.info().sequence
    with pytest.raises((AccessDenied, SessionNotFound)) as denied:
        inside(rt, session, lambda: reach(rt, other))
    assert "hunter2" not in str(denied.value)
    assert other.info().sequence == before
    assert events_of(session, "tool.returned")[0].data["error"]["code"] == denied.value.code


def test_a_tool_reaches_its_own_session_and_its_children(rt: Runtime, session: Session) -> None:
    child = rt.create_session(parent=session)

    def work() -> None:
        session.set("k", 1)
        child.set("k", 2)

    inside(rt, session, work)
    assert (session.get("k"), child.get("k")) == (1, 2)


def test_a_tool_outside_of_sessions_acts_for_the_host(rt: Runtime, other: Session) -> None:
    rt.tools.register("peek", lambda: other.get("secret"), replace=True)
    assert rt.tools.call("peek") == "hunter2"


def test_an_async_tool_and_what_it_starts_are_confined_too(rt: Runtime, session: Session, other: Session) -> None:
    async def reach() -> Any:
        return await asyncio.to_thread(other.get, "secret")

    rt.tools.register("reach", reach, replace=True)
    with pytest.raises(AccessDenied):
        session.call_tool("reach")


def test_a_tool_that_has_timed_out_is_still_confined(
    rt: Runtime, session: Session, other: Session, release: Any
) -> None:
    outcome: list[str] = []
    done = threading.Event()

    def late() -> None:
        release.wait(30)
        try:
            other.get("secret")
        except AccessDenied as error:
            outcome.append(error.code)
        finally:
            done.set()

    rt.tools.register("late", late, timeout=0.02, replace=True)
    with pytest.raises(Exception, match="did not return"):
        session.call_tool("late")
    release.set()
    assert done.wait(10)
    assert outcome == ["AccessDenied"]


def test_what_a_tool_does_follows_from_its_call(rt: Runtime, session: Session) -> None:
    def work(context: CallContext) -> None:
        assert context.session is not None
        context.session.set("k", 1)
        context.call_tool("uuid_generator")

    rt.tools.register("work", work, replace=True)
    session.call_tool("work")
    called, inner = events_of(session, "tool.called")
    changed = events_of(session, "variable.set")[0]
    returned = {each.data["name"]: each for each in events_of(session, "tool.returned")}
    assert changed.source == inner.source == "tool:work"
    assert changed.causation_id == inner.causation_id == returned["work"].causation_id == called.id
    assert returned["uuid_generator"].causation_id == inner.id
    everything = {each.correlation_id for each in (called, inner, changed, *returned.values())}
    assert everything == {session.id}, "a call that belongs to nothing else belongs to its session"
    assert {each.root_id for each in (inner, changed, *returned.values())} == {called.id}


def test_a_call_belongs_to_what_its_caller_belongs_to(rt: Runtime) -> None:
    session = rt.create_session(correlation_id="order-7")
    session.call_tool("uuid_generator")
    assert {each.correlation_id for each in events_of(session, "tool.called", "tool.returned")} == {"order-7"}
    with rt.operation(correlation_id="order-8"):
        session.call_tool("uuid_generator")
    assert {each.correlation_id for each in events_of(session, "tool.called")[1:]} == {"order-8"}


_WORKER = """
    import os, sys
    from greenroom.runtime import Runtime

    rt = Runtime.open(sys.argv[1])
    session = rt.create_session()
    session.set("k", 1)
    rt.tools.register("die", lambda: os._exit(7))
    print(session.id, flush=True)
    session.call_tool("die")
"""


def test_a_crash_within_a_tool_leaves_a_call_without_return_and_breaks_nothing(store_path: Path) -> None:
    worker = run_warm([sys.executable, "-c", textwrap.dedent(_WORKER), str(store_path)], timeout=60)
    assert worker.returncode == 7, worker.stderr
    with Runtime.open(store_path) as rt:
        session = rt.session(worker.stdout.strip())
        assert session.get("k") == 1
        assert [each.type for each in events_of(session, "tool.called", "tool.returned")] == ["tool.called"]
        assert session.call_tool("calculator", {"expression": "1"}) == 1
        assert rt.verify().ok


def test_calls_survive_bundles_and_forks(rt: Runtime, session: Session, tmp_path: Path) -> None:
    session.call_tool("calculator", {"expression": "6 * 7"})
    session.call_agent("echo", "hello")
    recorded = [(each.type, each.data) for each in events_of(session, "tool.called", "tool.returned", "agent.returned")]
    rt.export_session(session.id, tmp_path / "s.bundle")
    copies = [rt.import_session(tmp_path / "s.bundle", keep_ids=False), session.fork()]
    for copy in copies:
        found = events_of(copy, "tool.called", "tool.returned", "agent.returned")
        assert [(each.type, each.data) for each in found] == recorded
    session.delete()
    assert rt.verify().ok
