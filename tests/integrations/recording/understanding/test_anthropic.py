"""Anthropic: what the client parses is what is understood of the same bytes."""

from __future__ import annotations

from typing import Any

import pytest

from greenroom.runtime.recording.understanding import ModelCall, ToolCall

from .answers import BLOCKS, GIVEN, MESSAGE
from .servers import Server, plain, sse

anthropic = pytest.importorskip("anthropic")


def check_message(call: ModelCall, parsed: Any) -> None:
    kinds = {block.type: block for block in parsed.content}
    assert (call.provider, call.api, call.response_id) == ("anthropic", "messages", parsed.id)
    assert (call.text, call.reasoning) == (kinds["text"].text, kinds["thinking"].thinking)
    assert call.tool_calls == [ToolCall(kinds["tool_use"].name, kinds["tool_use"].input, kinds["tool_use"].id)]
    assert (call.finish_reason, call.model_answered) == (parsed.stop_reason, parsed.model)
    usage = parsed.usage
    assert call.usage is not None
    assert call.usage.input == (usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens)
    assert (call.usage.cached, call.usage.output) == (usage.cache_read_input_tokens, usage.output_tokens)
    assert call.cost_microusd == 100 * 3 + 20 * 15


def test_a_message_is_what_anthropic_parses(server: Server) -> None:
    server.answer = (200, "application/json", plain(MESSAGE))
    client = anthropic.Anthropic(api_key="k", base_url=server.url)
    parsed = client.messages.create(
        model="claude-sonnet-4-5",
        max_tokens=100,
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        messages=GIVEN,
        tools=[{"name": "weather", "input_schema": {"type": "object"}}],
    )
    call = server.understood()
    check_message(call, parsed)
    assert (call.system, call.tool_names, call.parameters) == ("Be brief.", ["weather"], {"max_tokens": 100})
    assert [turn.role for turn in call.messages] == ["user", "assistant", "user"]


def test_a_streamed_message_is_what_anthropic_accumulates(server: Server) -> None:
    start = {**MESSAGE, "content": [], "stop_reason": None, "usage": {**MESSAGE["usage"], "output_tokens": 1}}
    deltas: list[list[dict[str, Any]]] = [
        [{"type": "thinking_delta", "thinking": "It is "}, {"type": "thinking_delta", "thinking": "a city."}],
        [{"type": "text_delta", "text": "Let me "}, {"type": "text_delta", "text": "look."}],
        [{"type": "input_json_delta", "partial_json": each} for each in ("", '{"city":', ' "Rome"}')],
    ]
    deltas[0].append({"type": "signature_delta", "signature": "s"})
    empty = [{"thinking": "", "signature": ""}, {"text": ""}, {"input": {}}]
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(BLOCKS):
        events.append({"type": "content_block_start", "index": index, "content_block": {**block, **empty[index]}})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas[index]]
        events.append({"type": "content_block_stop", "index": index})
    events.append(
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {"output_tokens": 20},
        }
    )
    events.append({"type": "message_stop"})
    server.answer = (200, "text/event-stream", sse(*events, named=True))
    client = anthropic.Anthropic(api_key="k", base_url=server.url)
    with client.messages.stream(model="claude-sonnet-4-5", max_tokens=100, messages=GIVEN) as stream:
        parsed = stream.get_final_message()
    check_message(server.understood(), parsed)


def test_an_error_is_what_anthropic_raises(server: Server) -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "r"}
    server.answer = (529, "application/json", plain(error))
    client = anthropic.Anthropic(api_key="k", base_url=server.url, max_retries=0)
    with pytest.raises(anthropic.APIStatusError) as raised:
        client.messages.create(model="claude-sonnet-4-5", max_tokens=100, messages=GIVEN)
    call = server.understood()
    assert call.error is not None
    assert (call.error.status, call.error.type) == (raised.value.status_code, "overloaded_error")
    assert call.error.message == raised.value.body["error"]["message"]
