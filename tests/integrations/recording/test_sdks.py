"""The SDKs that programs use, recorded against a fake server and replayed when it is gone: the same to the byte."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import anthropic
import boto3
import openai
import pydantic
import pytest
from botocore.config import Config
from google import genai
from google.genai import types

from .fake_models import FakeModels
from .runs import record, replay

Cut = Callable[[], None]
Program = Callable[[str], Any]

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class Weather(pydantic.BaseModel):
    city: str
    degrees: int


def user(text: str) -> Any:
    return {"role": "user", "content": text}


def openai_client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="very-secret-key", max_retries=0)


def openai_chat(url: str) -> Any:
    """A loop with a tool: the answer to it depends on the call that the model made."""
    client = openai_client(url)
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": CITY}}
    messages = [user("weather?")]
    first = client.chat.completions.create(model="gpt-fake", messages=messages, tools=[tool])
    call = first.choices[0].message.tool_calls[0]
    messages += [
        first.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "7 degrees"},
    ]
    second = client.chat.completions.create(model="gpt-fake", messages=messages, tools=[tool])
    return [first.model_dump_json(), second.model_dump_json(), second._request_id]


def openai_chat_stream(url: str) -> Any:
    stream = openai_client(url).chat.completions.create(model="gpt-fake", messages=[user("tell me")], stream=True)
    return [chunk.model_dump_json() for chunk in stream]


def openai_chat_parse(url: str) -> Any:
    parsed = openai_client(url).chat.completions.parse(
        model="gpt-fake", messages=[user("weather?")], response_format=Weather
    )
    return [repr(parsed.choices[0].message.parsed), parsed.id]


def openai_chat_helper(url: str) -> Any:
    """The helper of the SDK that accumulates a stream."""
    with openai_client(url).chat.completions.stream(model="gpt-fake", messages=[user("tell me")]) as stream:
        events = [event.type for event in stream]
        return [events, stream.get_final_completion().model_dump_json()]


def openai_responses(url: str) -> Any:
    client = openai_client(url)
    tool: Any = {"type": "function", "name": "weather", "parameters": CITY, "strict": True}
    first = client.responses.create(model="gpt-fake", input="weather?", tools=[tool])
    [call] = first.output
    output: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "7 degrees"}
    second = client.responses.create(model="gpt-fake", input=[user("weather?"), call.to_dict(), output], tools=[tool])
    return [first.to_json(), second.to_json(), second.output_text]


def openai_responses_stream(url: str) -> Any:
    stream = openai_client(url).responses.create(model="gpt-fake", input="tell me", stream=True)
    return [event.to_json() for event in stream]


def openai_async(url: str) -> Any:
    async def main() -> Any:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client:
            one = await client.chat.completions.create(model="gpt-fake", messages=[user("one")])
            stream = await client.chat.completions.create(model="gpt-fake", messages=[user("two")], stream=True)
            return [one.model_dump_json(), *[chunk.model_dump_json() async for chunk in stream]]

    return asyncio.run(main())


def anthropic_messages(url: str) -> Any:
    client = anthropic.Anthropic(base_url=url, api_key="very-secret-key", max_retries=0)
    tool: Any = {"name": "weather", "input_schema": CITY}
    messages = [user("weather?")]
    first = client.messages.create(model="claude-fake", max_tokens=99, messages=messages, tools=[tool])
    result = {"type": "tool_result", "tool_use_id": first.content[0].id, "content": "7 degrees"}
    messages += [{"role": "assistant", "content": first.to_dict()["content"]}, {"role": "user", "content": [result]}]
    second = client.messages.create(model="claude-fake", max_tokens=99, messages=messages, tools=[tool])
    return [first.to_json(), second.to_json()]


def anthropic_stream(url: str) -> Any:
    client = anthropic.Anthropic(base_url=url, api_key="very-secret-key", max_retries=0)
    with client.messages.stream(model="claude-fake", max_tokens=99, messages=[user("tell me")]) as stream:
        texts = list(stream.text_stream)
        return [texts, stream.get_final_message().to_json()]


def anthropic_async_stream(url: str) -> Any:
    async def main() -> Any:
        async with anthropic.AsyncAnthropic(base_url=url, api_key="k", max_retries=0) as client:
            events = await client.messages.create(
                model="claude-fake", max_tokens=99, messages=[user("tell me")], stream=True
            )
            return [event.to_json() async for event in events]

    return asyncio.run(main())


def gemini(url: str) -> Any:
    client = genai.Client(api_key="very-secret-key", http_options=types.HttpOptions(base_url=url))
    whole = client.models.generate_content(model="gemini-fake", contents="hello")
    parts = list(client.models.generate_content_stream(model="gemini-fake", contents="tell me"))
    return [_plain(each) for each in (whole, *parts)]


def gemini_async(url: str) -> Any:
    async def main() -> Any:
        client = genai.Client(api_key="very-secret-key", http_options=types.HttpOptions(base_url=url))
        whole = await client.aio.models.generate_content(model="gemini-fake", contents="hello")
        stream = await client.aio.models.generate_content_stream(model="gemini-fake", contents="tell me")
        found = [_plain(each) for each in [whole, *[part async for part in stream]]]
        await client.aio.aclose()
        return found

    return asyncio.run(main())


def _plain(answer: Any) -> Any:
    return answer.model_dump_json(exclude={"sdk_http_response"})


def bedrock_client(url: str) -> Any:
    return boto3.client(
        "bedrock-runtime",
        region_name="eu-west-1",
        endpoint_url=url,
        aws_access_key_id="AKIAVERYSECRET",
        aws_secret_access_key="very-secret",
        aws_session_token="very-secret",
        config=Config(retries={"max_attempts": 1}),
    )


def bedrock_converse(url: str) -> Any:
    client = bedrock_client(url)
    tools = {"tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": CITY}}}]}
    messages: list[Any] = [{"role": "user", "content": [{"text": "weather?"}]}]
    first = client.converse(modelId="claude", messages=messages, toolConfig=tools)
    message = first["output"]["message"]
    result = {"toolUseId": message["content"][0]["toolUse"]["toolUseId"], "content": [{"text": "7 degrees"}]}
    messages += [message, {"role": "user", "content": [{"toolResult": result}]}]
    second = client.converse(modelId="claude", messages=messages, toolConfig=tools)
    return json.dumps([first, second], sort_keys=True)


def bedrock_converse_stream(url: str) -> Any:
    answer = bedrock_client(url).converse_stream(
        modelId="claude", messages=[{"role": "user", "content": [{"text": "tell me"}]}]
    )
    return [json.dumps(event) for event in answer["stream"]]


def bedrock_invoke(url: str) -> Any:
    body = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [user("hi")]})
    return bedrock_client(url).invoke_model(modelId="claude", body=body)["body"].read()


PROGRAMS: list[Program] = [
    openai_chat,
    openai_chat_stream,
    openai_chat_parse,
    openai_chat_helper,
    openai_responses,
    openai_responses_stream,
    openai_async,
    anthropic_messages,
    anthropic_stream,
    anthropic_async_stream,
    gemini,
    gemini_async,
    bedrock_converse,
    bedrock_converse_stream,
    bedrock_invoke,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_a_replay_is_the_recorded_run(fake: FakeModels, cut: Cut, program: Program) -> None:
    first, tape = record(program, fake.url)
    asked = len(fake.requests)
    assert len(tape.crossings) == asked
    assert "secret" not in repr([(each.input, each.outcome) for each in tape.crossings]).lower()
    cut()
    again, report = replay(tape, program, fake.url)
    assert again == first
    assert report.is_exact
    assert (report.exact, report.moved) == (asked, 0)
    assert len(fake.requests) == asked


@pytest.mark.parametrize("program", [openai_chat_stream, anthropic_stream, bedrock_converse_stream])
def test_streams_come_in_the_chunks_in_which_they_came(fake: FakeModels, program: Program) -> None:
    _, tape = record(program, fake.url)
    [crossing] = tape.crossings
    assert len(crossing.outcome["chunks"]) > 3
    assert len(crossing.ticks) > len(crossing.outcome["chunks"])
    assert crossing.ticks == sorted(crossing.ticks)
