"""Gemini: what the client parses is what is understood of the same bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from greenroom.runtime.recording.understanding import ModelCall, model_call

from .servers import Server, plain, sse

genai = pytest.importorskip("google.genai")

GENERATED = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"text": "It is a city.", "thought": True},
                    {"text": "Let me look."},
                    {"functionCall": {"name": "weather", "args": {"city": "Rome"}}},
                ],
            },
            "finishReason": "STOP",
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 100,
        "candidatesTokenCount": 13,
        "thoughtsTokenCount": 7,
        "totalTokenCount": 120,
        "cachedContentTokenCount": 40,
    },
    "modelVersion": "gemini-2.5-flash",
    "responseId": "g1",
}


def gemini(server: Server) -> Any:
    return genai.Client(api_key="k", http_options={"base_url": server.url})


def check_generated(call: ModelCall, text: str, calls: Any, usage: Any, version: str) -> None:
    assert (call.provider, call.api, call.model) == ("gemini", "generate", "gemini-2.5-flash")
    assert (call.text, call.reasoning, call.model_answered) == (text, "It is a city.", version)
    assert [(each.name, each.arguments) for each in call.tool_calls] == [(each.name, each.args) for each in calls]
    assert call.usage is not None
    assert call.usage.input == usage.prompt_token_count
    assert call.usage.output == usage.candidates_token_count + usage.thoughts_token_count
    assert (call.usage.total, call.usage.cached) == (usage.total_token_count, usage.cached_content_token_count)
    assert call.finish_reason == "STOP"


def test_generated_content_is_what_google_parses(server: Server) -> None:
    server.answer = (200, "application/json", plain(GENERATED))
    types = genai.types
    client = gemini(server)
    parsed = client.models.generate_content(
        model="gemini-2.5-flash",
        contents=[
            types.Content(role="user", parts=[types.Part(text="Rome?")]),
            types.Content(role="model", parts=[types.Part.from_function_call(name="where", args={})]),
            types.Content(
                role="user", parts=[types.Part.from_function_response(name="where", response={"r": "Italy"})]
            ),
        ],
        config=types.GenerateContentConfig(
            system_instruction="Be brief.",
            temperature=0.5,
            tools=[types.Tool(function_declarations=[types.FunctionDeclaration(name="weather")])],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        ),
    )
    call = server.understood()
    check_generated(call, "Let me look.", parsed.function_calls, parsed.usage_metadata, parsed.model_version)
    assert call.text == "".join(part.text or "" for part in parsed.candidates[0].content.parts if not part.thought)
    assert (call.system, call.tool_names, call.parameters) == ("Be brief.", ["weather"], {"temperature": 0.5})
    assert [turn.role for turn in call.messages] == ["user", "assistant", "tool"]


@pytest.mark.parametrize("as_array", [False, True])
def test_a_stream_is_what_google_yields(server: Server, as_array: bool) -> None:
    parts = GENERATED["candidates"][0]["content"]["parts"]
    pieces = [parts[0], {"text": "Let me "}, {"text": "look."}, parts[2]]
    chunks: list[dict[str, Any]] = [
        {
            **GENERATED,
            "candidates": [
                {"content": {"role": "model", "parts": [piece]}, **({"finishReason": "STOP"} if last else {})}
            ],
        }
        for piece in pieces
        for last in [piece is pieces[-1]]
    ]
    server.answer = (200, "text/event-stream", sse(*chunks))
    client = gemini(server)
    found = list(client.models.generate_content_stream(model="gemini-2.5-flash", contents="Rome?"))
    call = server.understood()
    if as_array:  # the form without alt=sse, which curl gets
        given, outcome = server.exchanges[-1]
        body = json.dumps(chunks).encode()
        headers = [["content-type", "application/json"]]
        whole = model_call(given, {**outcome, "headers": headers, "chunks": [body]})
        cut = model_call(given, {**outcome, "headers": headers, "chunks": [body[:-20]]})
        assert whole is not None
        assert cut is not None
        assert (cut.text, cut.complete) == ("Let me look.", False)
        call = whole
    calls = [each for chunk in found for each in chunk.function_calls or ()]
    check_generated(call, "Let me look.", calls, found[-1].usage_metadata, found[-1].model_version)
    assert call.streamed


def test_an_error_is_what_google_raises(server: Server) -> None:
    error = {"error": {"code": 404, "message": "no such model", "status": "NOT_FOUND"}}
    server.answer = (404, "application/json", plain(error))
    client = gemini(server)
    with pytest.raises(genai.errors.ClientError) as raised:
        client.models.generate_content(model="gemini-9", contents="Rome?")
    call = server.understood()
    assert call.error is not None
    assert (call.error.status, call.error.type, call.error.message) == (
        raised.value.code,
        raised.value.status,
        raised.value.message,
    )
