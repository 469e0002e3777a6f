"""A day in the life of a runtime, in which every point there is gets fired."""

from __future__ import annotations

import contextlib
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import GreenroomError, HookContext, Runtime, Step, Workflow
from greenroom.runtime.hooks import POINTS, Hooks


def _old_store(where: Path) -> Path:
    with tarfile.open(Path(__file__).parents[2] / "golden" / "format-1.tar.xz") as archive:
        archive.extractall(where, filter="data")
    return next(path for path in [where, *where.rglob("*")] if (path / "CURRENT").exists())


def _broken(*_: object) -> None:
    raise ConnectionError


def _sessions(rt: Runtime) -> None:
    session, other = rt.create_session(name="a"), rt.create_session(name="b", config={"max_artifacts": 1})
    session.suspend()
    session.resume()
    session.save()
    rt._supervisor.forget()
    session.load()
    session.set("k", 1)
    session.get("k")
    session.add_message("user", "hello")
    rt.approvals.answer(session.ask_human("Which?"), 1)
    with contextlib.suppress(GreenroomError):
        session.set("k", 2, expected=3)
    other.store_artifact("x", "one", "1")
    with contextlib.suppress(GreenroomError):
        other.store_artifact("x", "two", "2")
    other.get_artifact("one")
    other.delete_artifact("one")
    with acting(principal=session.id), contextlib.suppress(GreenroomError):
        other.get("k")
    session.complete()
    other.fail("done")
    session.delete()


def _tools_and_agents(rt: Runtime) -> None:
    rt.tools.register("echo", lambda text: text, schema={"type": "object", "required": ["text"]})
    rt.tools.register("broken", _broken)
    rt.tools.discover()
    rt.agents.register("echo", lambda input: "said")
    rt.agents.register("broken", _broken)
    rt.agents.create("one", "echo")
    session = rt.create_session(name="tools")
    attempts: list[Callable[[], object]] = [
        lambda: session.call_tool("echo", {"text": "x"}),
        lambda: session.call_tool("echo", {}),
        lambda: session.call_tool("broken", {}),
        lambda: session.call_agent("echo", "hello"),
        lambda: session.call_agent("broken", "hello"),
    ]
    for attempt in attempts:
        with contextlib.suppress(GreenroomError):
            attempt()
    rt.agents.remove("one")
    good, bad = Step("good", tool="echo", input={"text": "x"}), Step("bad", tool="broken", input={})
    undone = Step("undone", tool="echo", input={"text": "x"}, undo=good)
    for flow in (Workflow.sequential(good), Workflow.sequential(undone, bad)):
        with contextlib.suppress(GreenroomError):
            session.run_workflow(flow)


@pytest.mark.parametrize("failing", [False, True])
def test_every_point_is_fired_also_when_all_hooks_fail(tmp_path: Path, failing: bool) -> None:
    fired: set[str] = set()
    failed = threading.Event()

    def note(context: HookContext) -> None:
        fired.add(context.point)
        if context.point == "EventHandlerError":
            failed.set()
        if failing:
            raise RuntimeError

    def everywhere(hooks: Hooks) -> None:
        for point in POINTS:
            hooks.register(point, note, inline=True, failure_threshold=1000)

    with Runtime.open(_old_store(tmp_path), hooks=everywhere) as rt:
        _sessions(rt)
        _tools_and_agents(rt)
        with rt.events.subscribe("custom.*", callback=_broken):
            rt.events.publish("custom.x", {"n": 1})
            assert failed.wait(10)
        rt.policies.update(rate={"session": 1000})
    assert POINTS - fired == set()
