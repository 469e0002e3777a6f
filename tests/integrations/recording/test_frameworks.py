"""Frameworks whose calls go through the clients below them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest

from .fake_models import FakeModels
from .runs import record, replay

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would be fetched when the module is imported

Cut = Callable[[], None]


def litellm_completion(url: str) -> Any:
    import litellm

    given: dict[str, Any] = {"model": "openai/gpt-fake", "api_base": f"{url}/v1", "api_key": "k", "num_retries": 0}
    messages = [{"role": "user", "content": "hello"}]
    whole = litellm.completion(messages=messages, **given)
    stream = list(litellm.completion(messages=messages, stream=True, **given))
    return [whole.model_dump_json(), *[chunk.choices[0].delta.content for chunk in stream]]


def litellm_async(url: str) -> Any:
    import litellm

    async def main() -> Any:
        whole = await litellm.acompletion(
            model="anthropic/claude-fake",
            api_base=url,
            api_key="k",
            num_retries=0,
            messages=[{"role": "user", "content": "hello"}],
        )
        return whole.model_dump_json(exclude={"created", "id"})

    return asyncio.run(main())


def langgraph_agent(url: str) -> Any:
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI
    from langgraph.prebuilt import create_react_agent

    @tool
    def weather(city: str) -> str:
        """Say how warm it is."""
        return f"7 degrees in {city}"

    model = ChatOpenAI(model="gpt-fake", base_url=f"{url}/v1", api_key="k", max_retries=0)
    agent = create_react_agent(model, [weather])
    state = agent.invoke({"messages": [("user", "How warm is it?")]})
    return [(type(each).__name__, each.content, getattr(each, "tool_calls", None)) for each in state["messages"]]


def langgraph_stream(url: str) -> Any:
    from langchain_openai import ChatOpenAI

    async def main() -> Any:
        model = ChatOpenAI(model="gpt-fake", base_url=f"{url}/v1", api_key="k", max_retries=0)
        return [(part.content, part.response_metadata) async for part in model.astream("tell me")]

    return asyncio.run(main())


def openai_agents(url: str) -> Any:
    import openai
    from agents import Agent, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled

    set_tracing_disabled(True)

    @function_tool
    def weather(city: str) -> str:
        """Say how warm it is."""
        return f"7 degrees in {city}"

    async def main() -> Any:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client:
            model = OpenAIResponsesModel(model="gpt-fake", openai_client=client)
            agent = Agent(name="guide", instructions="Be brief.", model=model, tools=[weather])
            result = await Runner.run(agent, "How warm is it?")
            streamed = Runner.run_streamed(agent, "And now?")
            events = [event.type async for event in streamed.stream_events()]
            return [result.to_input_list(), result.final_output, events, streamed.final_output]

    return asyncio.run(main())


@pytest.mark.parametrize(
    "program",
    [litellm_completion, litellm_async, langgraph_agent, langgraph_stream, openai_agents],
    ids=lambda program: program.__name__,
)
def test_a_replay_is_the_recorded_run(fake: FakeModels, cut: Cut, program: Callable[[str], Any]) -> None:
    first, tape = record(program, fake.url)
    asked = len(fake.requests)
    assert asked
    assert len(tape.crossings) == asked
    cut()
    again, report = replay(tape, program, fake.url)
    assert again == first
    assert report.is_exact, report.drifts
    assert report.exact == asked
