from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from greenroom.runtime import (
    AccessDenied,
    AgentContext,
    AgentReply,
    CallFailed,
    InvalidOperation,
    OperationTimeout,
    Runtime,
    Session,
    TokenUsage,
    ValidationError,
    messages,
)

from .conftest import events_of


def test_the_echo_agent_answers_with_its_input(session: Session) -> None:
    reply = session.call_agent("echo", "two words")
    assert (reply.text, str(reply)) == ("two words", "two words")
    assert reply.usage == TokenUsage(2, 2, 4)
    assert session.call_agent("echo", {"prompt": "hi"}).text == "hi"
    assert session.call_agent("echo", {"a": 1}).text == '{"a": 1}'


def test_calls_are_journaled_with_tokens_and_cost(rt: Runtime, session: Session) -> None:
    answer = {
        "text": "fine",
        "usage": {"prompt_tokens": 10, "completion_tokens": 5},
        "cost_usd": 0.0000125,
        "finish": "stop",
    }
    rt.agents.register("acme/", lambda input, context: answer, replace=True)
    reply = rt.ask(session.id, messages.CallAgent("acme/small", "how are you?"))
    assert reply == AgentReply(
        "fine", TokenUsage(10, 5, 15), Decimal("0.0000125"), "acme/small", "acme", {"finish": "stop"}
    )
    called, returned = events_of(session, "agent.called", "agent.returned")
    assert called.data == {"name": "acme/small", "model": "acme/small", "provider": "acme", "input": "how are you?"}
    assert returned.data["usage"] == {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    assert returned.data["cost_microusd"] == 12
    assert returned.data["result"]["text"] == "fine"
    assert returned.data["call"] == called.sequence


def test_the_longest_prefix_answers_and_an_exact_name_before_it(rt: Runtime) -> None:
    for name in ("big/", "big/fast/", "big/fast/one"):
        rt.agents.register(name, lambda input, name=name: name, replace=True)
    assert rt.agents.call("big/x", "").text == "big/"
    assert rt.agents.call("big/fast/x", "").text == "big/fast/"
    assert rt.agents.call("big/fast/one", "").text == "big/fast/one"
    rt.agents.register("plain", lambda input: "plain", replace=True)
    assert rt.agents.call("plain/model", "").text == "plain"
    for model in ("small/x", "plainer/model"):
        with pytest.raises(InvalidOperation, match="no agent is registered"):
            rt.agents.call(model, "")


def test_an_agent_has_its_prompt_its_parameters_and_its_tools(rt: Runtime, session: Session) -> None:
    def think(input: Any, context: AgentContext) -> str:
        assert context.session is not None
        value = context.call_tool("calculator", {"expression": input})
        names = [each.name for each in context.tools]
        return f"{context.system_prompt} {context.model} {context.parameters['temperature']} {names} {value}"

    rt.agents.register("thinker", think, replace=True)
    rt.agents.create("accountant", "thinker", "Be exact.", ["calculator"], temperature=0.5, replace=True)
    reply = session.call_agent("accountant", "6 * 7")
    assert reply.text == "Be exact. thinker 0.5 ['calculator'] 42"
    types = [each.type for each in events_of(session, "agent.called", "agent.returned", "tool.called", "tool.returned")]
    assert types == ["agent.called", "tool.called", "tool.returned", "agent.returned"]
    called = events_of(session, "agent.called")[0].data
    assert (called["system_prompt"], called["tools"]) == ("Be exact.", ["calculator"])
    assert called["parameters"] == {"temperature": 0.5}


def test_an_agent_calls_no_tool_that_is_not_its_own(rt: Runtime, session: Session) -> None:
    rt.agents.register("greedy", lambda input, context: context.call_tool("uuid_generator"), replace=True)
    with pytest.raises(AccessDenied, match="not among its tools"):
        session.call_agent("greedy", "x")


@pytest.mark.parametrize(
    "fn",
    [
        lambda input: input,
        lambda input, ctx: ctx.session_id and input,
        lambda input, *, context: context.session_id and input,
        lambda text, context: context.session_id and text,
    ],
)
def test_callables_of_all_shapes(rt: Runtime, session: Session, fn: Any) -> None:
    rt.agents.register("shape", fn, replace=True)
    assert session.call_agent("shape", "x").text == "x"


def test_an_agent_may_be_a_coroutine(rt: Runtime, session: Session) -> None:
    async def slow(input: str) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"content": input.upper()}

    rt.agents.register("slow", slow, replace=True)
    assert session.call_agent("slow", "x").text == "X"


def test_a_hanging_agent_frees_its_caller(rt: Runtime, session: Session, release: Any) -> None:
    rt.agents.register("hang", lambda input: release.wait(30), timeout=0.02, replace=True)
    with pytest.raises(OperationTimeout):
        session.call_agent("hang", "x")
    assert events_of(session, "agent.returned")[0].data["error"]["code"] == "OperationTimeout"


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        7,
        {"usage": {}},
        {"text": 7},
        {"text": "x", "usage": {"input_tokens": -1}},
        {"text": "x", "usage": {"input_tokens": "many"}},
        {"text": "x", "cost_usd": "free"},
        {"text": "x", "cost_usd": float("nan")},
        {"text": "x", "cost_usd": -1},
        {"text": "x", "more": object()},
        AgentReply(None),  # type: ignore[arg-type]
        AgentReply("x", cost_usd=True),  # type: ignore[arg-type]
    ],
)
def test_garbage_is_no_reply(rt: Runtime, session: Session, garbage: Any) -> None:
    rt.agents.register("garbage", lambda input: garbage, replace=True)
    with pytest.raises(CallFailed):
        session.call_agent("garbage", "x")
    returned = events_of(session, "agent.returned")[0]
    assert returned.data["success"] is False
    assert "usage" not in returned.data


def test_agents_are_made_found_and_let_go(rt: Runtime) -> None:
    agent = rt.agents.create("writer", "echo", tools=["calculator"])
    assert rt.agents.get("writer") == agent
    assert agent in rt.agents.list()
    assert rt.agents.call("writer", "x").text == rt.agents.call(agent, "x").text == "x"
    with pytest.raises(ValidationError, match="already"):
        rt.agents.create("writer", "echo")
    assert rt.agents.remove("writer")
    assert not rt.agents.remove("writer")
    assert rt.agents.get("writer") is None
    assert rt.agents.get("echo") is not None, "a registered model is an agent of its own"


@pytest.mark.parametrize(
    "wanted",
    [
        {"name": "x", "model": "unknown-model"},
        {"name": "x", "model": "echo", "tools": ["no such tool"]},
        {"name": "x", "model": "echo", "system_prompt": 7},
        {"name": "a b", "model": "echo"},
        {"name": "x", "model": ""},
        {"name": "x", "model": "echo", "temperature": object()},
    ],
)
def test_agents_that_cannot_be_are_refused(rt: Runtime, wanted: dict[str, Any]) -> None:
    with pytest.raises((ValidationError, InvalidOperation)):
        rt.agents.create(**wanted)
    assert rt.agents.get("x") is None


def test_an_unregistered_callable_answers_no_more(rt: Runtime) -> None:
    rt.agents.register("gone", lambda input: input)
    rt.agents.create("of-gone", "gone")
    assert rt.agents.unregister("gone")
    with pytest.raises(InvalidOperation):
        rt.agents.call("of-gone", "x")
    rt.agents.remove("of-gone")


def test_a_tool_that_an_agent_calls_keeps_its_own_timeout(rt: Runtime, session: Session, release: Any) -> None:
    rt.tools.register("hang", lambda: release.wait(30), timeout=0.02, replace=True)
    rt.agents.register("caller", lambda input, context: context.call_tool("hang"), replace=True)
    rt.agents.create("impatient", "caller", tools=["hang"], replace=True)
    with pytest.raises(OperationTimeout, match="tool 'hang'"):
        session.call_agent("impatient", "x", timeout=20)


def test_a_reply_whose_data_is_no_object_is_none(rt: Runtime, session: Session) -> None:
    rt.agents.register("listing", lambda input: AgentReply("x", data=[1]), replace=True)  # type: ignore[arg-type]
    with pytest.raises(CallFailed, match="data"):
        session.call_agent("listing", "x")
    rt.agents.register("numbered", lambda input: AgentReply("x", model=5), replace=True)  # type: ignore[arg-type]
    assert session.call_agent("numbered", "x").model == "numbered"


def _annotated(call: AgentContext, prompt: str) -> str:
    return f"{call.model} {prompt}"


def _by_position(prompt: str, call: AgentContext, /) -> str:
    return f"{call.model} {prompt}"


def _by_keyword(prompt: str, *, call: AgentContext) -> str:
    return f"{call.model} {prompt}"


class _Method:
    def __call__(self, *inputs: str, context: AgentContext) -> str:
        return f"{context.model} {inputs[0]}"


@pytest.mark.parametrize(
    "fn", [_annotated, _by_position, _by_keyword, _Method(), lambda context, prompt: f"{context.model} {prompt}"]
)
def test_the_context_is_found_by_its_annotation_its_name_or_its_place(rt: Runtime, fn: Any) -> None:
    rt.agents.register("shape", fn, replace=True)
    assert rt.agents.call("shape", "hi").text == "shape hi"


@pytest.mark.parametrize("fn", [lambda: "", lambda a, b, c: "", lambda *, a: "", lambda context, *, a: "", 7])
def test_a_callable_that_cannot_be_an_agent_is_refused_when_it_is_registered(rt: Runtime, fn: Any) -> None:
    with pytest.raises(ValidationError, match="fn"):
        rt.agents.register("never", fn)
