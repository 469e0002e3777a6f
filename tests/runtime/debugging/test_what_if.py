"""What would have happened: a fork with changes runs on, and the two timelines are compared."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from greenroom.runtime import (
    AccessDenied,
    OperationTimeout,
    ReplayError,
    Runtime,
    Session,
    ValidationError,
    messages,
)


def test_a_fork_with_changes_runs_on_and_is_compared(run: Session) -> None:
    at = next(event.sequence for event in run.events() if event.type == "tool.called") - 1
    before = run.info().sequence

    def go_on(fork: Session) -> str:
        assert fork.messages()[0].content == "Be exact."
        fork.call_tool("weather", {"city": "Rome"})
        return "done"

    found = run.what_if(at, {"system_prompt": "Be exact."}, run=go_on)
    assert (found.ok, found.value, found.at, found.error) == (True, "done", at, None)
    assert found.fork.info().tags == ("what-if",)
    assert found.fork.info().parent_session_id == run.id
    assert found.comparison is not None
    assert (found.comparison.common, found.comparison.b.types["tool.called"]) == (at, 1)
    assert run.info().sequence == before
    assert found.to_dict()["fork"] == found.fork.id
    assert "the same up to" in str(found)
    assert f" from event {at}, {found.seconds:.3f} s\n" in str(found)  # 0.000 s, not 6.5e-05 s
    assert run._runtime.list_sessions(tags=["what-if"], parent=run.id)[0].id == found.fork.id  # type: ignore[attr-defined]
    found.fork.delete()


def test_what_the_function_raises_is_in_the_result(run: Session) -> None:
    def go_on(fork: Session) -> None:
        fork.set("so", "far")
        raise SystemExit(3)

    found = run.what_if(5, run=go_on)
    assert isinstance(found.error, SystemExit)
    assert not found.ok
    assert found.to_dict()["error"] == "SystemExit"
    assert found.comparison is not None
    assert "variables.so" in {each.place for each in found.comparison.state}


def test_a_function_that_hangs_frees_its_caller(run: Session) -> None:
    release = threading.Event()
    found = run.what_if(5, run=lambda fork: release.wait(60), timeout=0.05)
    release.set()
    assert isinstance(found.error, OperationTimeout)
    assert found.comparison is not None


def test_coroutines_run_too_and_nothing_runs_without_a_function(run: Session) -> None:
    async def go_on(fork: Session) -> int:
        return len(fork.messages())

    assert run.what_if(4, run=go_on).value == 2
    plain = run.what_if(changes=[messages.SetVariable("k", 1)])
    assert (plain.ok, plain.value, plain.at) == (True, None, run.info().sequence)
    assert plain.fork.get("k") == 1


def test_a_fork_that_the_function_deletes_has_no_comparison(run: Session) -> None:
    assert run.what_if(4, run=lambda fork: fork.delete()).comparison is None


def test_what_cannot_be_tried_leaves_no_fork(run: Session) -> None:
    rt: Any = run._runtime
    sessions = rt.count_sessions()
    for wrong in (
        lambda: run.what_if(0),
        lambda: run.what_if(10_000),
        lambda: run.what_if(3, {"nothing": 1}),
        lambda: run.what_if(3, [messages.RetractMessage(999)]),
        lambda: run.what_if(3, run=5),  # type: ignore[arg-type]
        lambda: run.what_if(3, run=lambda fork: None, timeout=-1),
        lambda: run.what_if("1999-01-01T00:00:00Z"),
    ):
        with pytest.raises((ReplayError, ValidationError)):
            wrong()
    assert rt.count_sessions() == sessions


def test_the_function_acts_for_whoever_asked(rt: Runtime) -> None:
    mine, other = rt.create_session(), rt.create_session()

    def go_on(fork: Session) -> None:
        fork.set("k", 1)
        rt.session(other.id)

    def tool(context: Any) -> None:
        found = context.session.what_if(1, run=go_on)
        assert isinstance(found.error, AccessDenied)
        assert found.fork.get("k") == 1
        with pytest.raises(AccessDenied):
            other.what_if(1)

    rt.tools.register("try", tool)
    mine.call_tool("try")
