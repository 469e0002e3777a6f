"""Recorded calls of models, in the format of each provider: two turns, with a tool in between."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from greenroom.runtime.recording.patches.formats.framing import Framing, packed
from greenroom.runtime.recording.patches.formats.known import format_of
from greenroom.runtime.recording.tape.model import Crossing

JSON = [["Content-Type", "application/json"]]


@dataclass(frozen=True)
class Provider:
    """A provider: where it is called, what is asked in two turns, and what it answers."""

    name: str
    url: str
    asked: dict[str, Any]
    asks_tool: dict[str, Any]
    asked_again: dict[str, Any]
    says: dict[str, Any]
    stream_url: str
    content_type: str
    framing: Framing

    def steps(self, streamed: bool = False) -> list[Crossing]:
        """Return a run: the model calls weather, and is then told what it is like."""
        return [
            self.crossing(1, self.asked, self.asks_tool, streamed),
            Crossing(
                number=2,
                kind="tool",
                name="weather",
                place="agent.py:9 in step",
                lane="main",
                input={"arguments": {"city": "Rome"}},
                outcome={"value": {"temp": 21}},
                began=3,
                ticks=[4],
            ),
            self.crossing(3, self.asked_again, self.says, streamed),
        ]

    def crossing(self, number: int, asked: dict[str, Any], answer: dict[str, Any], streamed: bool = False) -> Crossing:
        url = self.stream_url if streamed else self.url
        headers, chunks = JSON, [json.dumps(answer).encode()]
        if streamed:
            format = format_of(url, asked)
            assert format is not None
            headers, chunks = [["Content-Type", self.content_type]], packed(self.framing, format.streamed(answer))
        return Crossing(
            number,
            "http",
            f"POST {url}",
            "agent.py:5 in step",
            "main",
            {"method": "POST", "url": url, "headers": JSON, "body": json.dumps(asked).encode()},
            {"status": 200, "headers": headers, "chunks": chunks, "gaps": [0] * len(chunks), "complete": True},
            number * 2 - 1,
            [number * 2],
        )

    def but(self, **changes: Any) -> Provider:
        return replace(self, **changes)


_CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
_CHAT_ASKED = {
    "model": "m1",
    "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Weather in Rome?"}],
    "tools": [{"type": "function", "function": {"name": "weather"}}],
    "tool_choice": "auto",
}


def _chat(message: dict[str, Any], reason: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": "m1", "choices": [choice], "usage": usage}


CHAT = Provider(
    "chat",
    "https://api.example/v1/chat/completions",
    _CHAT_ASKED,
    _chat({"content": None, "tool_calls": [_CALL]}, "tool_calls"),
    {
        **_CHAT_ASKED,
        "messages": [
            *_CHAT_ASKED["messages"],  # type: ignore[misc]
            {"role": "assistant", "content": None, "tool_calls": [_CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": '{"temp": 21}'},
        ],
    },
    _chat({"content": "It is warm."}, "stop"),
    "https://api.example/v1/chat/completions",
    "text/event-stream; charset=utf-8",
    "sse",
)

_ITEM = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "weather",
    "arguments": '{"city": "Rome"}',
    "status": "completed",
}
_RESPONSES_ASKED = {
    "model": "m1",
    "instructions": "Be kind.",
    "input": [{"role": "user", "content": "Weather in Rome?"}],
    "tools": [{"type": "function", "name": "weather"}],
    "tool_choice": "auto",
}


def _responses(item: dict[str, Any]) -> dict[str, Any]:
    usage = {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}
    return {"id": "r1", "object": "response", "status": "completed", "model": "m1", "output": [item], "usage": usage}


RESPONSES = Provider(
    "responses",
    "https://api.example/v1/responses",
    _RESPONSES_ASKED,
    _responses(_ITEM),
    {
        **_RESPONSES_ASKED,
        "input": [
            {"role": "user", "content": "Weather in Rome?"},
            _ITEM,
            {"type": "function_call_output", "call_id": "call_1", "output": '{"temp": 21}'},
        ],
    },
    _responses(
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "It is warm.", "annotations": []}],
        }
    ),
    "https://api.example/v1/responses",
    "text/event-stream",
    "sse",
)

_USE = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}}
_ANTHROPIC_ASKED = {
    "model": "m1",
    "max_tokens": 100,
    "system": "Be kind.",
    "messages": [{"role": "user", "content": "Weather in Rome?"}],
    "tools": [{"name": "weather"}],
    "tool_choice": {"type": "auto"},
}


def _anthropic(block: dict[str, Any], reason: str) -> dict[str, Any]:
    return {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": "m1",
        "content": [block],
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 3},
    }


ANTHROPIC = Provider(
    "anthropic",
    "https://api.example/v1/messages",
    _ANTHROPIC_ASKED,
    _anthropic(_USE, "tool_use"),
    {
        **_ANTHROPIC_ASKED,
        "messages": [
            {"role": "user", "content": "Weather in Rome?"},
            {"role": "assistant", "content": [_USE]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": '{"temp": 21}'}],
            },
        ],
    },
    _anthropic({"type": "text", "text": "It is warm."}, "end_turn"),
    "https://api.example/v1/messages",
    "text/event-stream",
    "sse",
)

INVOKED = ANTHROPIC.but(
    name="bedrock invoke",
    url="https://bedrock.example/model/m1/invoke",
    stream_url="https://bedrock.example/model/m1/invoke-with-response-stream",
    content_type="application/vnd.amazon.eventstream",
    framing="aws-chunks",
)

_FUNCTION = {"functionCall": {"name": "weather", "args": {"city": "Rome"}}}
_GEMINI_ASKED = {
    "systemInstruction": {"parts": [{"text": "Be kind."}]},
    "contents": [{"role": "user", "parts": [{"text": "Weather in Rome?"}]}],
    "tools": [{"functionDeclarations": [{"name": "weather"}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
    "generationConfig": {},
}


def _gemini(part: dict[str, Any]) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    return {"candidates": [candidate], "usageMetadata": {"totalTokenCount": 12}, "modelVersion": "m1"}


GEMINI = Provider(
    "gemini",
    "https://g.example/v1beta/models/m1:generateContent",
    _GEMINI_ASKED,
    _gemini(_FUNCTION),
    {
        **_GEMINI_ASKED,
        "contents": [
            {"role": "user", "parts": [{"text": "Weather in Rome?"}]},
            {"role": "model", "parts": [_FUNCTION]},
            {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"temp": 21}}}]},
        ],
    },
    _gemini({"text": "It is warm."}),
    "https://g.example/v1beta/models/m1:streamGenerateContent?alt=sse",
    "text/event-stream",
    "sse",
)

_TOOL_USE = {"toolUse": {"toolUseId": "t1", "name": "weather", "input": {"city": "Rome"}}}
_BEDROCK_ASKED = {
    "system": [{"text": "Be kind."}],
    "messages": [{"role": "user", "content": [{"text": "Weather in Rome?"}]}],
    "toolConfig": {"tools": [{"toolSpec": {"name": "weather"}}], "toolChoice": {"auto": {}}},
}


def _bedrock(block: dict[str, Any], reason: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": [block]}
    return {"output": {"message": message}, "stopReason": reason, "usage": {"totalTokens": 12}}


BEDROCK = Provider(
    "bedrock",
    "https://bedrock.example/model/m1/converse",
    _BEDROCK_ASKED,
    _bedrock(_TOOL_USE, "tool_use"),
    {
        **_BEDROCK_ASKED,
        "messages": [
            {"role": "user", "content": [{"text": "Weather in Rome?"}]},
            {"role": "assistant", "content": [_TOOL_USE]},
            {"role": "user", "content": [{"toolResult": {"toolUseId": "t1", "content": [{"json": {"temp": 21}}]}}]},
        ],
    },
    _bedrock({"text": "It is warm."}, "end_turn"),
    "https://bedrock.example/model/m1/converse-stream",
    "application/vnd.amazon.eventstream",
    "aws",
)

PROVIDERS = (CHAT, RESPONSES, ANTHROPIC, INVOKED, GEMINI, BEDROCK)
