"""Calls of tools and agents with an idempotency key are made once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import (
    AgentReply,
    CallContext,
    CallFailed,
    Conflict,
    HookResult,
    InvalidOperation,
    OperationTimeout,
    Runtime,
    Session,
    ValidationError,
)
from greenroom.runtime import messages as m


class Counter:
    """A tool that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, text: str = "") -> dict[str, Any]:
        self.calls += 1
        return {"call": self.calls, "text": text, "bytes": b"x"}


@pytest.fixture
def counter(runtime: Runtime) -> Counter:
    counter = Counter()
    runtime.tools.register("count", counter)
    return counter


def test_a_tool_is_called_once(tmp_path: Path) -> None:
    counter = Counter()
    with Runtime.open(tmp_path) as rt:
        rt.tools.register("count", counter)
        s = rt.create_session()
        first = s.call_tool("count", {"text": "a"}, idempotency_key="i")
        events = s.info().sequence
        assert s.call_tool("count", {"text": "other"}, idempotency_key="i") == first
        assert s.call_tool("count", {"text": "a"}, expected_sequence=1, idempotency_key="i") == first
        assert s.info().sequence == events
        assert s.call_tool("count", idempotency_key="j")["call"] == 2
        with pytest.raises(Conflict):
            s.call_tool("count", expected_sequence=1, idempotency_key="k")
        assert [each.type for each in s.events()].count("command.answered") == 2
        assert s.info().operation_count == 5
        assert rt.verify().problems == []
    with Runtime.open(tmp_path) as rt:  # where no such tool is registered
        assert rt.session(s.id).call_tool("count", idempotency_key="i") == first
    assert counter.calls == 2


def test_an_agent_is_called_once(runtime: Runtime, session: Session) -> None:
    replies = iter([{"text": "one", "usage": {"input_tokens": 3}, "cost_usd": 0.25, "data": {"x": [1]}}, "two"])
    runtime.agents.register("model", lambda input: next(replies))
    first = session.call_agent("model", "hi", idempotency_key="i")
    again = session.call_agent("model", "hi", idempotency_key="i")
    assert isinstance(again, AgentReply)
    assert again == first
    assert session.call_agent("model", "hi").text == "two"
    with pytest.raises(ValidationError, match="CallAgent before and comes with CallTool"):
        session.call_tool("calculator", {"expression": "1"}, idempotency_key="i")


def test_a_call_that_is_at_work_is_waited_for(runtime: Runtime, session: Session) -> None:
    begun, go_on, calls = threading.Event(), threading.Event(), []

    def work() -> int:
        calls.append(1)
        begun.set()
        go_on.wait(60)
        return len(calls)

    runtime.tools.register("work", work)
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(session.call_tool("work", idempotency_key="i"))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    assert begun.wait(60)
    with pytest.raises(OperationTimeout, match="still at work"):
        session.call_tool("work", timeout=0.01, idempotency_key="i")
    assert runtime.session(session.id).call_tool("calculator", {"expression": "1"}, idempotency_key="other") == 1
    go_on.set()
    for thread in threads:
        thread.join()
    assert found == [1] * 6
    assert calls == [1]


def test_a_call_that_failed_is_made_again(runtime: Runtime, session: Session) -> None:
    calls: list[int] = []

    def work() -> int:
        calls.append(1)
        if len(calls) < 3:
            raise RuntimeError("no")
        return len(calls)

    runtime.tools.register("work", work)
    for _ in range(2):
        with pytest.raises(CallFailed):
            session.call_tool("work", idempotency_key="i")
    assert [session.call_tool("work", idempotency_key="i") for _ in range(2)] == [3, 3]


def test_what_hooks_made_of_a_result_is_answered(runtime: Runtime, session: Session, counter: Counter) -> None:
    seen: list[int] = []

    def after(context: Any) -> Any:
        seen.append(1)
        return HookResult.modified({**context.data, "result": f"{context.data['result']['call']}!"})

    runtime.hooks.register("AfterToolExecution", after)
    assert [session.call_tool("count", idempotency_key="i") for _ in range(2)] == ["1!", "1!"]
    assert len(seen) == 1


def test_a_callable_sees_the_key(runtime: Runtime, session: Session) -> None:
    def work(context: CallContext) -> Any:
        return context.idempotency_key

    runtime.tools.register("work", work)
    assert session.call_tool("work", idempotency_key="i") == "i"
    assert session.call_tool("work") is None


def test_a_call_cannot_wait_for_itself(runtime: Runtime, session: Session) -> None:
    def work(context: CallContext) -> Any:
        assert context.session is not None
        return context.session.call_tool("work", idempotency_key="i")

    runtime.tools.register("work", work)
    with pytest.raises(InvalidOperation, match="within the call"):
        session.call_tool("work", idempotency_key="i")


def test_a_call_outside_of_a_session_takes_no_key(runtime: Runtime, counter: Counter) -> None:
    with pytest.raises(ValidationError, match="outside of a session"):
        runtime.tools.send(m.CallTool("count", idempotency_key="i"), None)
    assert counter.calls == 0


def test_a_call_that_was_told_is_made_once(runtime: Runtime, session: Session, counter: Counter) -> None:
    for _ in range(5):
        runtime.tell(session.id, m.CallTool("count", idempotency_key="i"))
    assert session.call_tool("count", idempotency_key="i")["call"] == 1
    assert counter.calls == 1


def killed(path: str, session_id: str, marks: str) -> None:
    """The process that is killed while its tool is at work, or right after the call has returned."""
    with Runtime.open(path) as rt:

        def work() -> str:
            with open(marks, "a") as file:
                file.write("called\n")
            if os.path.getsize(marks) == len("called\n"):
                os.kill(os.getpid(), 9)
            return "done"

        rt.tools.register("work", work)
        assert rt.session(session_id).call_tool("work", idempotency_key="i") == "done"
        os.kill(os.getpid(), 9)


def test_a_call_that_a_crash_cut_off_is_made_again_and_one_that_returned_is_not(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    with Runtime.open(tmp_path / "store") as rt:
        session_id = rt.create_session().id
    for number in range(3):
        done = subprocess.run(
            [sys.executable, __file__, str(tmp_path / "store"), session_id, str(marks)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == -9, done.stderr
        assert marks.read_text().count("called") == min(number + 1, 2)
    with Runtime.open(tmp_path / "store") as rt:
        s = rt.session(session_id)
        assert s.call_tool("work", idempotency_key="i") == "done"
        assert [each.type for each in s.events() if each.type.startswith(("tool", "command"))] == [
            "tool.called",
            "tool.called",
            "tool.returned",
            "command.answered",
        ]
        assert rt.verify().problems == []


if __name__ == "__main__":
    killed(*sys.argv[1:])
