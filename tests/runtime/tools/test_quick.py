"""Quick tools run on their caller's thread, and are journaled like others."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

from greenroom.runtime import (
    AccessDenied,
    CallContext,
    CallFailed,
    ResourceLimitExceeded,
    Runtime,
    Session,
    ToolResult,
    ValidationError,
)


def test_a_quick_tool_runs_on_its_callers_thread(rt: Runtime, session: Session) -> None:
    def thread() -> int:
        return threading.get_ident()

    rt.tools.register("where", thread, quick=True)
    rt.tools.register("elsewhere", thread)
    assert session.call_tool("where") == rt.tools.call("where") == threading.get_ident()
    assert session.call_tool("elsewhere") != threading.get_ident()
    assert [each.name for each in rt.tools.list() if each.quick and each.name.endswith("where")] == ["where"]


def test_its_calls_are_journaled_like_others(rt: Runtime, session: Session) -> None:
    def add(a: int, b: int) -> int:
        return a + b

    rt.tools.register("slow", add)
    rt.tools.register("quick", add, quick=True)
    journaled: list[Any] = []
    for name in ("slow", "quick"):
        before = session.info().sequence
        assert session.call_tool(name, {"a": 1, "b": 2}) == 3
        with pytest.raises(ValidationError):
            session.call_tool(name, {"a": "x"})
        rows = [each for each in session.events() if each.sequence > before]
        journaled.append(
            [
                (each.type, {k: v for k, v in each.data.items() if k not in ("name", "call", "duration")}, each.source)
                for each in rows
            ]
        )
        assert rows[1].data["call"] == rows[0].sequence
    assert journaled[0] == [
        (kind, data, (source or "").replace("quick", "slow") or None) for kind, data, source in journaled[1]
    ]
    assert [kind for kind, _, _ in journaled[1]] == ["tool.called", "tool.returned"]


def test_what_it_does_is_its_own(rt: Runtime, session: Session) -> None:
    other = rt.create_session()

    def act(context: CallContext) -> str | None:
        assert context.session is not None
        context.session.set("mine", 1)
        with pytest.raises(AccessDenied):
            other.set("not mine", 1)
        return context.call_id

    rt.tools.register("act", act, quick=True)
    call_id = session.call_tool("act")
    event = next(each for each in session.events() if each.type == "variable.set")
    assert (event.source, event.causation_id) == ("tool:act", call_id)
    other.set("mine", 1)  # and the caller is the host again


def test_a_failure_is_that_of_any_tool(rt: Runtime, session: Session) -> None:
    def fail() -> None:
        raise KeyError("x")

    rt.tools.register("fail", fail, quick=True)
    with pytest.raises(CallFailed, match="KeyError") as caught:
        session.call_tool("fail")
    assert isinstance(caught.value.__cause__, KeyError)
    assert rt.tools.invoke("fail", session=session).error_code == "CallFailed"
    assert [each.data["success"] for each in session.events() if each.type == "tool.returned"] == [False, False]
    rt.tools.register("exit", lambda: sys.exit(3), quick=True)
    assert rt.tools.invoke("exit", session=session).error_code == "CallFailed"


def test_an_interrupt_reaches_the_caller(rt: Runtime, session: Session) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    rt.tools.register("interrupted", interrupted, quick=True)
    with pytest.raises(KeyboardInterrupt):
        session.call_tool("interrupted")
    assert session.call_tool("calculator", {"expression": "1 + 1"}) == 2
    assert [each.data["success"] for each in session.events() if each.type == "tool.returned"] == [False, True]


def test_quick_tools_that_call_themselves_end(rt: Runtime, session: Session) -> None:
    rt.tools.register("again", lambda context: context.call_tool("again"), quick=True)
    assert rt.tools.invoke("again", session=session).error_code == ResourceLimitExceeded.__name__
    rt.tools.register("deep", lambda n, context: context.call_tool("deep", {"n": n - 1}) if n else 0, quick=True)
    for _ in range(3):  # the depth is forgotten with each call
        assert session.call_tool("deep", {"n": 20}) == 0


def test_what_cannot_be_quick_is_refused(rt: Runtime) -> None:
    async def later() -> int:
        return 1

    with pytest.raises(ValidationError, match="async"):
        rt.tools.register("later", later, quick=True)
    with pytest.raises(ValidationError, match="timeout"):
        rt.tools.register("timed", lambda: 1, quick=True, timeout=1)


def test_a_result_has_a_text() -> None:
    assert ToolResult(True, "abc").text == "abc"
    assert ToolResult(True, {"a": [1, None, b"x"]}).text == '{"a": [1, null, "x"]}'
    assert ToolResult(True, 42).text == "42"
    assert ToolResult(False, error="no").text is None
