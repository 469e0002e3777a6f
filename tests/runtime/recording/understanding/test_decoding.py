"""Calls of models are understood from bytes: whatever the server, and however broken."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any
from zlib import compress, compressobj

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.runtime.recording.understanding import ModelCall, model_call
from greenroom.storage.codec.records import pack_value

CHAT = {
    "id": "c1",
    "model": "gpt-4o",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi, ü."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 8, "completion_tokens": 2, "total_tokens": 10},
}
ASKED = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]}


def understood(
    url: str, asked: Any, answer: Any, *, kind: str = "application/json", status: int = 200, **headers: str
) -> ModelCall | None:
    body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    chunks = [answer] if isinstance(answer, bytes) else [json.dumps(answer).encode()]
    rows = [["Content-Type", kind], *([name.replace("_", "-"), value] for name, value in headers.items())]
    outcome = {"status": status, "headers": rows, "chunks": chunks, "complete": True}
    return model_call({"method": "POST", "url": url, "headers": [], "body": body}, outcome)


def sse(*events: Any) -> bytes:
    return b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events)


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("https://api.openai.com/v1/chat/completions", "openai"),
        ("http://localhost:8000/v1/chat/completions", "openai"),
        ("https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version=1", "azure"),
        ("https://openrouter.ai/api/v1/chat/completions", "openrouter"),
        ("https://api.groq.com/openai/v1/chat/completions", "groq"),
        ("https://gateway.example/some/proxy", "openai"),
        (
            "https://eu-aiplatform.googleapis.com/v1beta1/projects/p/locations/l/endpoints/openapi/chat/completions",
            "vertex",
        ),
    ],
)
def test_a_chat_is_known_by_path_or_by_body_at_any_host(url: str, provider: str) -> None:
    call = understood(url, ASKED, CHAT)
    assert call is not None
    assert (call.provider, call.api, call.text, call.problems) == (provider, "chat", "Hi, ü.", ())


@pytest.mark.parametrize(
    ("url", "asked", "answer"),
    [
        ("https://example.com/v1/items", {"name": "x"}, {"id": 1}),
        ("https://example.com/v1/messages", {"text": "to a chat room"}, {"ok": True}),
        ("https://api.openai.com/v1/embeddings", {"model": "m", "input": "x"}, {"object": "list", "data": []}),
        ("https://api.anthropic.com/v1/messages/count_tokens", {"model": "m", "messages": []}, {"input_tokens": 3}),
        ("https://example.com/completions", {"query": "x"}, ["a"]),
        ("http://[broken", b"\xff\x00", b"\x80"),
    ],
)
def test_what_is_no_call_of_a_model_is_none(url: str, asked: Any, answer: Any) -> None:
    assert understood(url, asked, answer) is None


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "raw deflate", "gzip twice", "handed over unpacked"])
def test_content_encodings_are_undone(encoding: str) -> None:
    body = json.dumps(CHAT).encode()

    def gzip(data: bytes) -> bytes:
        pack = compressobj(wbits=31)
        return pack.compress(data) + pack.flush()

    raw = compressobj(wbits=-15)
    packed, name = {
        "gzip": (gzip(body), "gzip"),
        "deflate": (compress(body), "deflate"),
        "raw deflate": (raw.compress(body) + raw.flush(), "deflate"),
        "gzip twice": (gzip(gzip(body)), "gzip, gzip"),
        "handed over unpacked": (body, "gzip"),
    }[encoding]
    call = understood("http://localhost/v1/chat/completions", ASKED, packed, content_encoding=name)
    assert call is not None
    assert (call.text, call.problems) == ("Hi, ü.", ())


def test_an_encoding_that_is_not_known_is_told() -> None:
    call = understood("http://localhost/v1/chat/completions", ASKED, CHAT, content_encoding="pack200")
    assert call is not None
    assert call.problems == ("the response's content encoding 'pack200' is not known",)


def test_a_body_that_unpacks_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greenroom.runtime.recording.understanding.bodies.MAX_BYTES", 1 << 20)
    pack = compressobj(wbits=31)
    bomb = pack.compress(b" " * (8 << 20)) + pack.flush()
    call = understood("http://localhost/v1/chat/completions", ASKED, bomb, content_encoding="gzip")
    assert call is not None
    assert "the response's content ends before its encoding does" in call.problems


def test_a_failure_of_the_connection_is_an_error() -> None:
    outcome = {"error": {"module": "httpx", "name": "ConnectError", "args": [], "text": "connection refused"}}
    call = model_call(
        {"method": "POST", "url": "http://h/v1/chat/completions", "headers": [], "body": json.dumps(ASKED).encode()},
        outcome,
    )
    assert call is not None
    assert call.error is not None
    assert (call.error.status, call.error.type, call.error.message) == (None, "ConnectError", "connection refused")
    assert not call.complete


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"object": "error", "message": "no", "type": "BadRequestError", "code": 400}', "no"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b'{"detail": [{"loc": ["body"], "msg": "field required"}]}', "field required"),
        (b'{"error": "model not found"}', "model not found"),
        (b'[{"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}]', "slow down"),
        (b"<html>Bad gateway</html>", "<html>Bad gateway</html>"),
        (b"", "status 502"),
    ],
)
def test_errors_are_read_in_any_form(body: bytes, message: str) -> None:
    call = understood("http://localhost/v1/chat/completions", ASKED, body, status=502)
    assert call is not None
    assert call.error is not None
    assert (call.error.message, call.error.status) == (message, 502)


def test_calls_of_tools_without_a_number_are_told_apart_by_their_ids() -> None:
    def piece(**call: Any) -> dict[str, Any]:
        return {"choices": [{"delta": {"tool_calls": [call]}}]}

    body = sse(
        piece(id="a", type="function", function={"name": "one", "arguments": '{"x"'}),
        piece(function={"arguments": ": 1}"}),
        piece(id="b", type="function", function={"name": "two", "arguments": "{}"}),
        {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]},
    )
    call = understood("http://localhost/v1/chat/completions", ASKED, body, kind="text/event-stream")
    assert call is not None
    assert [(each.id, each.name, each.arguments) for each in call.tool_calls] == [
        ("a", "one", {"x": 1}),
        ("b", "two", {}),
    ]


def test_openrouter_tells_the_cost_itself() -> None:
    answer = {**CHAT, "usage": {**CHAT["usage"], "cost": 0.00123}}  # type: ignore[dict-item]
    there = understood("https://openrouter.ai/api/v1/chat/completions", ASKED, answer)
    elsewhere = understood("https://example.com/v1/chat/completions", ASKED, answer)
    assert there is not None
    assert elsewhere is not None
    assert (there.cost_microusd, elsewhere.cost_microusd) == (1230, 8 * 2.5 + 2 * 10)


@pytest.mark.parametrize(
    ("asked", "answer", "given_", "said", "tokens"),
    [
        (
            {"prompt": "Hello", "max_gen_len": 5},
            {"generation": "Hi", "prompt_token_count": 8, "generation_token_count": 2, "stop_reason": "stop"},
            "Hello", "Hi", 10,
        ),
        (
            {"inputText": "Hello", "textGenerationConfig": {"temperature": 0}},
            {"inputTextTokenCount": 8, "results": [{"tokenCount": 2, "outputText": "Hi", "completionReason": "END"}]},
            "Hello", "Hi", 10,
        ),
        ({"prompt": "<s>Hello"}, {"outputs": [{"text": "Hi", "stop_reason": "stop"}]}, "<s>Hello", "Hi", None),
        ({"message": "Hello", "chat_history": []}, {"text": "Hi", "finish_reason": "COMPLETE"}, "Hello", "Hi", None),
        (
            {"messages": [{"role": "user", "content": [{"text": "Hello"}]}], "inferenceConfig": {"maxTokens": 5}},
            {
                "output": {"message": {"role": "assistant", "content": [{"text": "Hi"}]}},
                "stopReason": "end_turn",
                "usage": {"inputTokens": 8, "outputTokens": 2, "totalTokens": 10},
            },
            "Hello", "Hi", 10,
        ),
        ({"messages": [{"role": "user", "content": "Hello"}]}, CHAT, "Hello", "Hi, ü.", 10),
    ],
    ids=["llama", "titan", "mistral", "cohere", "nova", "openai"],
)  # fmt: skip
def test_invoke_model_has_the_body_of_each_vendor(
    asked: Any, answer: Any, given_: str, said: str, tokens: int | None
) -> None:
    url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/vendor.model-v1%3A0/invoke"
    call = understood(url, asked, answer)
    assert call is not None
    assert (call.provider, call.api, call.model) == ("bedrock", "invoke", "vendor.model-v1:0")
    assert ([turn.text for turn in call.messages], call.text) == ([given_], said)
    assert (call.usage.total if call.usage is not None else None) == tokens


def test_tokens_of_invoke_model_may_stand_in_headers() -> None:
    url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/mistral.x/invoke"
    counts = {"x_amzn_bedrock_input_token_count": "8", "x_amzn_bedrock_output_token_count": "2"}
    call = understood(url, {"prompt": "Hello"}, {"outputs": [{"text": "Hi"}]}, **counts)
    assert call is not None
    assert call.usage is not None
    assert call.usage.to_dict() == {"input_tokens": 8, "output_tokens": 2, "total_tokens": 10}


# -- garbage

URLS = [
    "http://h/v1/chat/completions",
    "http://h/v1/completions",
    "http://h/v1/responses",
    "http://h/v1/messages",
    "http://h/v1beta/models/m:streamGenerateContent",
    "http://h/model/m/converse-stream",
    "http://h/model/m/invoke-with-response-stream",
    "http://h/model/m/invoke",
    "http://h/anything",
]
KINDS = ["application/json", "text/event-stream", "application/vnd.amazon.eventstream", "application/x-ndjson", ""]
KEYS = [
    "model", "messages", "role", "content", "type", "text", "parts", "contents", "input", "output", "choices", "delta",
    "message", "tool_calls", "function", "name", "arguments", "id", "index", "usage", "prompt_tokens", "error", "item",
    "output_index", "content_index", "response", "content_block", "system", "tools", "candidates", "functionCall",
    "usageMetadata", "toolUse", "contentBlockIndex", "prompt", "bytes", "finish_reason", "instructions", "code",
    "prompt_tokens_details", "input_tokens", "cached_tokens", "timestamp", "thinking", "tool_use_id", "cost",
    "anthropic_version", "promptTokenCount", "inputTokens", "reasoningContent", "results", "data", "partial_json",
    "refusal", "summary", "call_id", "stop_reason", "invocationMetrics", "conversation", "generationConfig",
]  # fmt: skip
WORDS = [
    "message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop", "text_delta",
    "input_json_delta", "thinking_delta", "response.created", "response.output_item.added", "tool_use", "tool_result",
    "response.output_item.done", "response.output_text.delta", "response.completed", "function_call", "user", "tool",
    "function_call_output", "assistant", "system", "reasoning", "error", "{", "\ud800", "[DONE]", "chat.completion",
    "computer_call", "computer_call_output",
]  # fmt: skip
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.integers(0, 3)
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=25,
)
OBJECTS = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8)


def frames(events: list[Any]) -> bytes:
    out = b""
    for name, payload in events:
        head = b"\x0b:event-type\x07" + struct.pack(">H", len(name)) + name.encode()
        body = json.dumps(payload).encode()
        prelude = struct.pack(">II", len(head) + len(body) + 16, len(head))
        whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + body
        out += whole + struct.pack(">I", zlib.crc32(whole))
    return out


EVENTS = st.sampled_from(["messageStart", "contentBlockStart", "contentBlockDelta", "messageStop", "metadata", "chunk"])
BODIES = st.one_of(
    st.binary(max_size=200),
    VALUES.map(lambda value: json.dumps(value).encode()),
    st.lists(OBJECTS, max_size=8).map(lambda rows: sse(*rows)),
    st.lists(st.tuples(EVENTS, OBJECTS), max_size=8).map(frames),
    st.integers(1, 5000).map(lambda depth: b"[" * depth),
    st.integers(1, 5000).map(lambda digits: b'{"usage": {"prompt_tokens": ' + b"9" * digits + b"}}"),
)


@settings(max_examples=200)
@given(
    st.sampled_from(URLS),
    BODIES,
    BODIES,
    st.sampled_from(KINDS),
    st.sampled_from(["", "gzip", "deflate", "br", "zstd"]),
    st.integers(0, 2000),
    st.sampled_from([200, 200, 400, None]),
)
def test_garbage_is_none_or_understood_as_far_as_it_goes(
    url: str, asked: bytes, answer: bytes, kind: str, encoding: str, cut: int, status: int | None
) -> None:
    outcome = {
        "status": status,
        "headers": [["content-type", kind], ["content-encoding", encoding]],
        "chunks": [answer[:cut]],
        "gaps": [0],
        "complete": False,
    }
    call = model_call({"method": "POST", "url": url, "headers": [], "body": asked}, outcome)
    if call is not None:
        assert not call.complete
        _ = (call.text, call.reasoning, call.tool_calls, call.tool_names)
        assert call.usage is None or all(0 <= count < 1 << 62 for count in call.usage.to_dict().values())
        assert call.cost_microusd is None or call.cost_microusd >= 0
        for turn in (*call.messages, *call.reply):
            pack_value([turn.content, turn.tool_calls, turn.metadata], "turn")


@settings(max_examples=200)
@given(
    st.dictionaries(st.sampled_from(["method", "url", "headers", "body"]), VALUES),
    OBJECTS | VALUES.map(lambda v: {"status": v, "headers": v, "chunks": v, "error": v, "gaps": v}),
)
def test_a_crossing_that_holds_anything_raises_nothing(given_: dict[str, Any], outcome: dict[str, Any]) -> None:
    model_call(given_, outcome)


@settings(max_examples=200)
@given(st.data())
def test_a_stream_that_is_cut_off_tells_what_came(data: st.DataObject) -> None:
    pieces = ["Hel", "lo – ", "ü", "!"]
    body = sse(
        *({"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces),
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    )
    cut = data.draw(st.integers(0, len(body)))
    call = understood("http://h/v1/chat/completions", ASKED, body[:cut], kind="text/event-stream")
    assert call is not None
    assert "".join(pieces).startswith(call.text)
    assert call.complete == (call.finish_reason == "stop")
