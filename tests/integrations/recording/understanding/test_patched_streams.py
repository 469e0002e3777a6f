"""A patched answer that is streamed again is what the providers' own clients accumulate."""

from __future__ import annotations

import json
from typing import Any

import pytest

from greenroom.runtime.recording.patches.answers import answer_of, patched_answer
from greenroom.runtime.recording.patches.formats.framing import packed
from greenroom.runtime.recording.patches.formats.known import format_of
from greenroom.runtime.recording.patches.grammar import parse
from greenroom.runtime.recording.tape.model import Crossing

from .servers import Server

TEXT = "No: 7° and dry."
ARGUMENTS = {"city": "Oslo"}
TWICE = (
    f"response.text={json.dumps(TEXT)}",
    'response.tool_calls=[{"name": "weather", "arguments": {"city": "Oslo"}}]',
)


def stream(server: Server, url: str, asked: dict[str, Any], answer: dict[str, Any], kind: str, framing: Any) -> Any:
    """Have the server stream a recorded answer with two patches; return what it adds up to."""
    format = format_of(url, asked)
    assert format is not None
    chunks = packed(framing, format.streamed(answer))
    crossing = Crossing(
        number=1,
        kind="http",
        name=url,
        place="a.py:1 in f",
        lane="main",
        input={"method": "POST", "url": url, "headers": [], "body": json.dumps(asked).encode()},
        outcome={"status": 200, "headers": [["content-type", kind]], "chunks": chunks, "gaps": [0] * len(chunks)},
        began=1,
    )
    for text in TWICE:
        crossing = patched_answer(crossing, parse(text))
    server.answer = (200, kind, crossing.outcome["chunks"])
    return answer_of(crossing)


def test_openai_chat(server: Server) -> None:
    openai = pytest.importorskip("openai")
    choice = {"index": 0, "message": {"role": "assistant", "content": "It is warm."}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    url = f"{server.url}/v1/chat/completions"
    stream(server, url, {"messages": []}, answer, "text/event-stream", "sse")
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=0)
    with client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "?"}]) as found:
        found.until_done()
        parsed = found.get_final_completion()
    message = parsed.choices[0].message
    assert message.content == TEXT
    assert message.tool_calls is not None
    assert json.loads(message.tool_calls[0].function.arguments) == ARGUMENTS
    assert parsed.choices[0].finish_reason == "tool_calls"
    assert parsed.usage is not None
    assert parsed.usage.total_tokens == 2


def test_openai_responses(server: Server) -> None:
    openai = pytest.importorskip("openai")
    part = {"type": "output_text", "text": "It is warm.", "annotations": []}
    item = {"type": "message", "id": "i", "status": "completed", "role": "assistant", "content": [part]}
    answer = {
        "id": "r",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "m",
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    stream(server, f"{server.url}/v1/responses", {"input": "?"}, answer, "text/event-stream", "sse")
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=0)
    with client.responses.stream(model="m", input="?") as found:
        deltas = [each.delta for each in found if each.type == "response.output_text.delta"]
        parsed = found.get_final_response()
    assert "".join(deltas) == parsed.output_text == TEXT
    assert json.loads(parsed.output[1].arguments) == ARGUMENTS


MESSAGE = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}, {"type": "text", "text": "It is warm."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}


def test_anthropic(server: Server) -> None:
    anthropic = pytest.importorskip("anthropic")
    stream(server, f"{server.url}/v1/messages", {"messages": []}, MESSAGE, "text/event-stream", "sse")
    client = anthropic.Anthropic(base_url=server.url, api_key="k", max_retries=0)
    with client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "?"}]) as found:
        parsed = found.get_final_message()
    thought, said, call = parsed.content
    assert (thought.thinking, thought.signature, said.text, call.input) == ("Hm.", "s", TEXT, ARGUMENTS)
    assert parsed.stop_reason == "tool_use"


@pytest.mark.parametrize("framing", ["sse", "array"])
def test_gemini(server: Server, framing: str) -> None:
    genai = pytest.importorskip("google.genai")
    candidate = {"content": {"role": "model", "parts": [{"text": "It is warm."}]}, "finishReason": "STOP", "index": 0}
    answer = {"candidates": [candidate], "usageMetadata": {"totalTokenCount": 2}}
    url = f"{server.url}/v1beta/models/m:streamGenerateContent"
    kind = "text/event-stream" if framing == "sse" else "application/json"
    whole = stream(server, url, {"contents": []}, answer, kind, framing)
    assert [each.get("text") for each in whole["candidates"][0]["content"]["parts"]] == [TEXT, None]
    if framing == "sse":
        client = genai.Client(api_key="k", http_options={"base_url": server.url})
        found = list(client.models.generate_content_stream(model="m", contents="?"))
        parts = [part for each in found for part in each.candidates[0].content.parts]
        assert (parts[0].text, parts[1].function_call.args) == (TEXT, ARGUMENTS)


def bedrock(server: Server) -> Any:
    boto3 = pytest.importorskip("boto3")
    return boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=server.url,
        aws_access_key_id="k",
        aws_secret_access_key="s",
    )


def test_bedrock_converse(server: Server) -> None:
    content = [{"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "s"}}}, {"text": "It is warm."}]
    answer = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "end_turn"}
    kind = "application/vnd.amazon.eventstream"
    stream(server, f"{server.url}/model/m/converse-stream", {"messages": []}, answer, kind, "aws")
    asked = [{"role": "user", "content": [{"text": "?"}]}]
    found = list(bedrock(server).converse_stream(modelId="m", messages=asked)["stream"])
    deltas = [each["contentBlockDelta"]["delta"] for each in found if "contentBlockDelta" in each]
    assert "".join(each.get("text", "") for each in deltas) == TEXT
    assert json.loads("".join(each["toolUse"]["input"] for each in deltas if "toolUse" in each)) == ARGUMENTS
    assert {"messageStop": {"stopReason": "tool_use"}} in found


def test_bedrock_invoke(server: Server) -> None:
    kind = "application/vnd.amazon.eventstream"
    url = f"{server.url}/model/m/invoke-with-response-stream"
    stream(server, url, {"messages": []}, MESSAGE, kind, "aws-chunks")
    found = bedrock(server).invoke_model_with_response_stream(modelId="m", body="{}")["body"]
    events = [json.loads(each["chunk"]["bytes"]) for each in found]
    deltas = [each["delta"] for each in events if each["type"] == "content_block_delta"]
    assert "".join(each.get("text", "") for each in deltas) == TEXT
