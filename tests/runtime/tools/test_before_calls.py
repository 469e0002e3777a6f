"""What is called before each tool and agent shares their context."""

from __future__ import annotations

import contextvars

import pytest

from greenroom.runtime import Runtime

_seen: contextvars.ContextVar[str | None] = contextvars.ContextVar("seen", default=None)


@pytest.mark.parametrize("quick", [False, True])
def test_it_gets_the_event_of_the_call_and_shares_the_context_with_it_alone(rt: Runtime, quick: bool) -> None:
    def look() -> str | None:
        return _seen.get()

    rt.tools.register("seen", look, quick=quick, replace=True)
    session = rt.create_session()
    end = rt.before_calls(_seen.set)
    seen = session.call_tool("seen", {})
    (called,) = [event for event in session.events() if event.type == "tool.called"]
    assert seen == called.id
    assert _seen.get() is None
    end()
    assert session.call_tool("seen", {}) is None


def test_one_that_fails_does_not_fail_the_call_nor_keep_others_from_being_called(rt: Runtime) -> None:
    def fails(call: str) -> None:
        raise ValueError("not now")

    calls: list[str] = []
    rt.tools.register("one", lambda: 1)
    session = rt.create_session()
    ends = [rt.before_calls(fails)]
    end, again = rt.before_calls(calls.append), rt.before_calls(calls.append)
    assert session.call_tool("one", {}) == 1
    assert len(calls) == 2
    end()
    assert session.call_tool("one", {}) == 1
    assert len(calls) == 3
    for each in (again, *ends):
        each()
