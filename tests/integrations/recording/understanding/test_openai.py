"""OpenAI: what the client parses is what is understood of the same bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from greenroom.runtime.recording.understanding import ModelCall, model_call

from .answers import CHAT, MESSAGES, RESPONSE, USAGE
from .servers import Server, plain, sse

openai = pytest.importorskip("openai")

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


@pytest.mark.parametrize("gzip", [False, True])
def test_a_chat_is_what_openai_parses(server: Server, gzip: bool) -> None:
    server.answer, server.gzip = (200, "application/json", plain(CHAT)), gzip
    client = openai.OpenAI(api_key="k", base_url=server.url + "/v1")
    parsed = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, tools=[TOOL], temperature=0.5)
    call = server.understood()
    message = parsed.choices[0].message
    assert (call.provider, call.api, call.model, call.model_answered) == ("openai", "chat", "gpt-4o", parsed.model)
    assert (call.text, call.finish_reason) == (message.content, parsed.choices[0].finish_reason)
    assert [(each.id, each.name, json.dumps(each.arguments)) for each in call.tool_calls] == [
        (each.id, each.function.name, each.function.arguments) for each in message.tool_calls
    ]
    assert (call.system, call.tool_names, call.parameters) == ("Be brief.", ["weather"], {"temperature": 0.5})
    assert [(turn.role, turn.text, turn.tool_call_id) for turn in call.messages] == [
        ("user", "Rome?", None),
        ("assistant", "", None),
        ("tool", "Italy", "c0"),
    ]
    assert call.usage is not None
    assert call.usage.to_dict() == {
        "input_tokens": parsed.usage.prompt_tokens,
        "output_tokens": parsed.usage.completion_tokens,
        "total_tokens": parsed.usage.total_tokens,
        "cached_tokens": parsed.usage.prompt_tokens_details.cached_tokens,
        "reasoning_tokens": parsed.usage.completion_tokens_details.reasoning_tokens,
    }
    assert call.cost_microusd == 60 * 2.5 + 40 * 1.25 + 20 * 10
    assert (call.response_id, call.streamed, call.complete, call.first_chunk) == (parsed.id, False, True, 5_000_000)


def test_a_streamed_chat_is_what_openai_accumulates(server: Server) -> None:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-2024-08-06"}

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    def call_piece(index: int, **rest: Any) -> dict[str, Any]:
        return chunk({"tool_calls": [{"index": index, **rest}]})

    server.answer = (
        200,
        "text/event-stream",
        sse(
            chunk({"role": "assistant", "content": ""}),
            chunk({"content": "Let me "}),
            chunk({"content": "look – ü."}),
            call_piece(0, id="c1", type="function", function={"name": "weather", "arguments": ""}),
            call_piece(0, function={"arguments": '{"city":'}),
            call_piece(1, id="c2", type="function", function={"name": "weather", "arguments": '{"city": "Oslo"}'}),
            call_piece(0, function={"arguments": ' "Rome"}'}),
            chunk({}, "tool_calls"),
            {**head, "choices": [], "usage": USAGE},
            "[DONE]",
        ),
    )
    client = openai.OpenAI(api_key="k", base_url=server.url + "/v1")
    with client.chat.completions.stream(
        model="gpt-4o", messages=MESSAGES, stream_options={"include_usage": True}
    ) as stream:
        stream.until_done()
        parsed = stream.get_final_completion()
    call = server.understood()
    message = parsed.choices[0].message
    assert (call.text, call.streamed, call.finish_reason) == (message.content, True, "tool_calls")
    assert [(each.id, each.name, json.dumps(each.arguments)) for each in call.tool_calls] == [
        (each.id, each.function.name, each.function.arguments) for each in message.tool_calls
    ]
    assert call.usage is not None
    assert call.usage.total == parsed.usage.total_tokens


def check_response(call: ModelCall, parsed: Any) -> None:
    assert (call.api, call.text, call.response_id) == ("responses", parsed.output_text, parsed.id)
    assert (call.finish_reason, call.model_answered) == (parsed.status, parsed.model)
    assert call.reasoning == "".join(
        part.text for item in parsed.output if item.type == "reasoning" for part in item.summary
    )
    assert [(each.id, each.name, json.dumps(each.arguments)) for each in call.tool_calls] == [
        (item.call_id, item.name, item.arguments) for item in parsed.output if item.type == "function_call"
    ]
    assert call.usage is not None
    assert (call.usage.input, call.usage.cached) == (
        parsed.usage.input_tokens,
        parsed.usage.input_tokens_details.cached_tokens,
    )
    assert call.usage.reasoning == parsed.usage.output_tokens_details.reasoning_tokens
    assert call.cost_microusd == 60 * 2.5 + 40 * 1.25 + 20 * 10


def test_a_response_is_what_openai_parses(server: Server) -> None:
    server.answer = (200, "application/json", plain(RESPONSE))
    client = openai.OpenAI(api_key="k", base_url=server.url + "/v1")
    parsed = client.responses.create(
        model="gpt-4o",
        instructions="Be brief.",
        previous_response_id="resp_0",
        input=[
            {"role": "user", "content": "Rome?"},
            {"type": "function_call", "call_id": "c0", "name": "where", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c0", "output": "Italy"},
        ],
    )
    call = server.understood()
    check_response(call, parsed)
    assert (call.system, call.previous) == ("Be brief.", "resp_0")
    assert [(turn.role, turn.text) for turn in call.messages] == [
        ("user", "Rome?"),
        ("assistant", ""),
        ("tool", "Italy"),
    ]


def test_a_streamed_response_is_what_openai_accumulates(server: Server) -> None:
    before = {**RESPONSE, "status": "in_progress", "output": [], "usage": None}
    reasoning, message, function = RESPONSE["output"]
    events: list[dict[str, Any]] = [{"type": "response.created", "response": before}]
    events += [{"type": "response.output_item.added", "output_index": 0, "item": {**reasoning, "summary": []}}]
    events += [{"type": "response.output_item.done", "output_index": 0, "item": reasoning}]
    events += [{"type": "response.output_item.added", "output_index": 1, "item": {**message, "content": []}}]
    part = {"output_index": 1, "content_index": 0, "item_id": "msg_1"}
    empty = {"type": "output_text", "text": "", "annotations": []}
    events += [{"type": "response.content_part.added", **part, "part": empty}]
    for piece in ("Let me ", "look."):
        events += [{"type": "response.output_text.delta", **part, "delta": piece, "logprobs": []}]
    cut = len(events)
    events += [{"type": "response.output_item.done", "output_index": 1, "item": message}]
    events += [{"type": "response.output_item.added", "output_index": 2, "item": {**function, "arguments": ""}}]
    events += [{"type": "response.output_item.done", "output_index": 2, "item": function}]
    events += [{"type": "response.completed", "response": RESPONSE}]
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
    server.answer = (200, "text/event-stream", sse(*numbered, named=True))
    client = openai.OpenAI(api_key="k", base_url=server.url + "/v1")
    with client.responses.stream(model="gpt-4o", input="Rome?") as stream:
        stream.until_done()
        parsed = stream.get_final_response()
    check_response(server.understood(), parsed)
    given, outcome = server.exchanges[-1]
    part_of = model_call(given, {**outcome, "chunks": sse(*numbered[:cut], named=True)})
    assert part_of is not None
    assert (part_of.text, part_of.complete) == ("Let me look.", False)
    assert "the stream ends before the answer does" in part_of.problems


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_an_error_is_what_openai_raises(server: Server, status: int) -> None:
    error = {"message": "no such model", "type": "invalid_request_error", "param": None, "code": "model_not_found"}
    server.answer = (status, "application/json", plain({"error": error}))
    client = openai.OpenAI(api_key="k", base_url=server.url + "/v1", max_retries=0)
    with pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(model="gpt-9", messages=MESSAGES)
    call = server.understood()
    assert call.error is not None
    assert (call.error.status, call.error.message) == (raised.value.status_code, raised.value.body["message"])
    assert (call.error.type, call.error.code) == (raised.value.type, raised.value.code)
    assert (call.reply, call.usage, call.cost_microusd) == ((), None, None)


def test_azure_names_the_model_in_the_path(server: Server) -> None:
    server.answer = (200, "application/json", plain(CHAT))
    client = openai.AzureOpenAI(api_key="k", azure_endpoint=server.url, api_version="2024-10-21")
    client.chat.completions.create(model="my-deployment", messages=MESSAGES)
    call = server.understood()
    assert (call.provider, call.model, call.model_answered) == ("azure", "my-deployment", "gpt-4o-2024-08-06")
    assert call.cost_microusd == 60 * 2.5 + 40 * 1.25 + 20 * 10


def test_another_server_that_speaks_chat_is_understood(server: Server) -> None:
    answer = {**CHAT, "model": "llama3.2"}
    answer["choices"] = [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi", "reasoning": "Hm."}}
    ]
    server.answer = (200, "application/json", plain(answer))
    client = openai.OpenAI(api_key="ollama", base_url=server.url + "/proxy/v1")
    client.chat.completions.create(model="llama3.2", messages=MESSAGES)
    call = server.understood()
    assert (call.text, call.reasoning, call.cost_microusd) == ("Hi", "Hm.", None)
