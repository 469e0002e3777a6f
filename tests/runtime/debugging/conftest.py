from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from greenroom.runtime import AgentContext, AgentReply, Runtime, Session, TokenUsage


@pytest.fixture(scope="module")
def shared() -> Iterator[Runtime]:
    """A runtime with tools and agents for runs."""
    with Runtime.open() as rt:
        rt.tools.register("weather", lambda city: {"temp": 20})
        rt.tools.register("broken", _broken)
        rt.agents.register("model", _model)
        rt.agents.create("writer", "model", "Be brief.", ["weather"], temperature=0.1)
        yield rt


def _broken(**given: Any) -> None:
    raise ValueError("it is broken")


def _model(input: Any, context: AgentContext) -> AgentReply:
    return AgentReply(f"{context.system_prompt} {str(input)[:20]}", usage=TokenUsage(5, 6), cost_usd=None)


@pytest.fixture
def run(shared: Runtime) -> Session:
    return record(shared)


def record(rt: Runtime) -> Session:
    """A recorded run with a bit of everything."""
    s = rt.create_session(name="run", metadata={"team": "x"})
    s.set("model", "small")
    s.add_message("system", "Be brief.")
    user = s.add_message("user", "How warm is it?")
    s.call_agent("writer", "first")
    s.call_tool("weather", {"city": "Bern"})
    s.add_message("tool", '{"temp": 20}', tool_call_id="call-1")
    try:
        s.call_tool("broken", {"n": 1})
    except Exception:
        s.set("failed", True)
    s.edit_message(user.sequence, content="How")
    s.store_artifact("note", "a.txt", b"content", metadata={"q": [1, b"\x00"]})
    s.records.put(b"key", b"\xff" * 9000)
    s.call_agent("writer", "second")
    s.add_message("assistant", "long answer \ud800 " * 900)
    s.ask_human("May I?")
    s.set("binary", {"b": b"\x00\xff", "big": 1 << 80})
    rt.events.publish("custom.step", {"n": 1.5, "b": b"x"}, s)
    rt.events.publish("custom.large", {"text": "large " * 20_000}, s)
    with s.stream_message("assistant") as stream:
        stream.write("he")
        stream.write("llo")
    s.add_tag("done")
    return s
