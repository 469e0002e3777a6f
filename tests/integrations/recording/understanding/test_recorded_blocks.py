"""A block in which a real client calls a model has, when it ends, the conversation and the calls of its session."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from greenroom.runtime import AsyncRuntime, Runtime

from .answers import CHAT, MESSAGE, RESPONSE
from .servers import Server, plain

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")


def answer(text: str) -> list[bytes]:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return plain({**CHAT, "choices": [choice]})


def test_an_agent_of_openai(rt: Runtime, server: Server) -> None:
    client = openai.OpenAI(api_key="k", base_url=server.url + "/v1")
    messages: list[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Rome?"}]
    with rt.recording("agent") as session:
        server.answer = (200, "application/json", plain(CHAT))
        message = client.chat.completions.create(model="gpt-4o", messages=messages).choices[0].message
        messages += [message, {"role": "tool", "tool_call_id": "c1", "content": "sunny"}]
        server.answer = (200, "application/json", answer("It is sunny."))
        client.chat.completions.create(model="gpt-4o", messages=messages)
    assert [(turn.role, turn.text) for turn in session.messages()] == [
        ("user", "Rome?"),
        ("assistant", "Let me look."),
        ("tool", "sunny"),
        ("assistant", "It is sunny."),
    ]
    view = session.context()
    assert (view.model, view.system_prompt) == ("gpt-4o", "Be brief.")
    assert [each["content"] for each in view.messages] == ["Rome?", "Let me look.", "sunny"]
    counted = rt.analytics.session(session.id)
    assert counted.agents.total.tokens == 240
    assert counted.tools.total.calls == 1


def test_blocks_of_one_session_are_one_conversation(rt: Runtime, server: Server) -> None:
    client = anthropic.Anthropic(api_key="k", base_url=server.url)
    server.answer = (200, "application/json", plain({**MESSAGE, "content": [{"type": "text", "text": "Hi"}]}))
    messages: list[Any] = []
    for question in ("Hello", "And now?"):
        messages.append({"role": "user", "content": question})
        with rt.recording(key="chat") as session:
            reply = client.messages.create(model="claude-opus-5", max_tokens=9, messages=messages)
        messages.append({"role": "assistant", "content": reply.content})
    assert [turn.text for turn in session.messages()] == ["Hello", "Hi", "And now?", "Hi"]


def test_blocks_of_an_event_loop(server: Server) -> None:
    server.answer = (200, "application/json", plain(RESPONSE))

    async def run() -> None:
        async with await AsyncRuntime.open() as rt:
            client = openai.AsyncOpenAI(api_key="k", base_url=server.url + "/v1")
            async with rt.recording("agent") as session:
                await client.responses.create(model="gpt-4o", input="Rome?")
            turns = await session.messages()
            assert [turn.role for turn in turns] == ["user", "assistant", "assistant", "assistant"]
            assert turns[2].text == "Let me look."

    asyncio.run(run())
