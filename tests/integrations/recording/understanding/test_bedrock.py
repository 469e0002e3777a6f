"""Bedrock: what boto3 parses is what is understood of the same bytes."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from greenroom.runtime.recording.understanding import ModelCall, ToolCall

from .answers import GIVEN, MESSAGE
from .servers import Server, event_stream, plain

anthropic = pytest.importorskip("anthropic")
boto3 = pytest.importorskip("boto3")


def bedrock(server: Server) -> Any:
    return boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=server.url,
        aws_access_key_id="k",
        aws_secret_access_key="s",
        config=boto3.session.Config(retries={"max_attempts": 0}),
    )


ASKED: dict[str, Any] = {
    "modelId": "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "system": [{"text": "Be brief."}],
    "messages": [{"role": "user", "content": [{"text": "Rome?"}]}],
    "inferenceConfig": {"maxTokens": 100},
    "toolConfig": {"tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": {"type": "object"}}}}]},
}
SAID = [
    {"reasoningContent": {"reasoningText": {"text": "It is a city.", "signature": "s"}}},
    {"text": "Let me look."},
    {"toolUse": {"toolUseId": "t1", "name": "weather", "input": {"city": "Rome"}}},
]
TOKENS = {"inputTokens": 40, "outputTokens": 20, "totalTokens": 120, "cacheReadInputTokens": 60}


def check_converse(call: ModelCall) -> None:
    assert (call.provider, call.api, call.model) == ("bedrock", "converse", ASKED["modelId"])
    assert (call.system, call.tool_names, call.parameters) == ("Be brief.", ["weather"], {"maxTokens": 100})
    assert (call.text, call.reasoning, call.finish_reason) == ("Let me look.", "It is a city.", "tool_use")
    assert call.tool_calls == [ToolCall("weather", {"city": "Rome"}, "t1")]
    assert call.usage is not None
    assert (call.usage.input, call.usage.output, call.usage.total, call.usage.cached) == (100, 20, 120, 60)
    assert call.cost_microusd == 100 * 3 + 20 * 15


def test_converse_is_what_boto_parses(server: Server) -> None:
    answer = {"output": {"message": {"role": "assistant", "content": SAID}}, "stopReason": "tool_use", "usage": TOKENS}
    server.answer = (200, "application/json", plain({**answer, "metrics": {"latencyMs": 1}}))
    parsed = bedrock(server).converse(**ASKED)
    call = server.understood()
    check_converse(call)
    assert list(call.reply[0].content or ()) == parsed["output"]["message"]["content"]


def test_a_converse_stream_is_what_boto_yields(server: Server) -> None:
    block = {"contentBlockIndex": 0}
    events: list[tuple[str, dict[str, Any]]] = [("messageStart", {"role": "assistant"})]
    thoughts = ({"text": "It is "}, {"text": "a city."}, {"signature": "s"})
    events += [("contentBlockDelta", {**block, "delta": {"reasoningContent": piece}}) for piece in thoughts]
    events.append(("contentBlockStop", block))
    block = {"contentBlockIndex": 1}
    events += [("contentBlockDelta", {**block, "delta": {"text": piece}}) for piece in ("Let me ", "look.")]
    block = {"contentBlockIndex": 2}
    events.append(("contentBlockStart", {**block, "start": {"toolUse": {"toolUseId": "t1", "name": "weather"}}}))
    for piece_ in ('{"city":', ' "Rome"}'):
        events.append(("contentBlockDelta", {**block, "delta": {"toolUse": {"input": piece_}}}))
    events.append(("messageStop", {"stopReason": "tool_use"}))
    events.append(("metadata", {"usage": TOKENS, "metrics": {"latencyMs": 1}}))
    server.answer = (200, "application/vnd.amazon.eventstream", event_stream(*events))
    found = list(bedrock(server).converse_stream(**ASKED)["stream"])
    call = server.understood()
    check_converse(call)
    texts = [each["contentBlockDelta"]["delta"].get("text", "") for each in found if "contentBlockDelta" in each]
    assert call.text == "".join(texts)
    assert call.streamed


def test_an_exception_within_a_stream_is_what_boto_raises(server: Server) -> None:
    chunks = event_stream(("messageStart", {"role": "assistant"}))
    chunks += event_stream(("throttlingException", {"message": "too fast"}), exception=True)
    server.answer = (200, "application/vnd.amazon.eventstream", chunks)
    with pytest.raises(Exception, match="too fast"):
        list(bedrock(server).converse_stream(**ASKED)["stream"])
    call = server.understood()
    assert call.error is not None
    assert (call.error.message, call.error.type) == ("too fast", "throttlingException")


def test_the_body_of_invoke_model_is_the_vendors(server: Server) -> None:
    server.answer = (200, "application/json", plain(MESSAGE))
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 100, "messages": GIVEN, "system": "Be brief."}
    reply = bedrock(server).invoke_model(modelId=ASKED["modelId"], body=json.dumps(body))
    parsed = anthropic.types.Message.model_validate(json.loads(reply["body"].read()))
    call = server.understood()
    assert (call.provider, call.api, call.text) == ("bedrock", "invoke", parsed.content[1].text)
    assert call.tool_calls == [ToolCall("weather", {"city": "Rome"}, "t1")]
    assert call.cost_microusd == 100 * 3 + 20 * 15


def test_a_streamed_body_of_invoke_model_is_the_vendors(server: Server) -> None:
    events = [
        {"type": "message_start", "message": {**MESSAGE, "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Let me look."}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 20}},
        {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 10, "outputTokenCount": 20}},
    ]
    packed = [("chunk", {"bytes": base64.b64encode(json.dumps(each).encode()).decode()}) for each in events]
    server.answer = (200, "application/vnd.amazon.eventstream", event_stream(*packed))
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 100, "messages": GIVEN}
    stream = bedrock(server).invoke_model_with_response_stream(modelId=ASKED["modelId"], body=json.dumps(body))["body"]
    pieces = [json.loads(each["chunk"]["bytes"]) for each in stream]
    call = server.understood()
    assert call.text == "".join(each.get("delta", {}).get("text", "") for each in pieces)
    assert (call.finish_reason, call.streamed) == ("end_turn", True)


def test_an_error_is_what_boto_raises(server: Server) -> None:
    server.answer = (403, "application/json", plain({"message": "no access", "__type": "AccessDeniedException"}))
    with pytest.raises(Exception, match="no access"):
        bedrock(server).converse(**ASKED)
    call = server.understood()
    assert call.error is not None
    assert (call.error.status, call.error.message, call.error.type) == (403, "no access", "AccessDeniedException")
