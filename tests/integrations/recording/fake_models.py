"""Servers of models on this machine: what OpenAI, Anthropic, Gemini and Bedrock answer, in their formats.

Each answer has an id that no other has, so that an answer that was replayed cannot be mistaken for a new one.

    ```py
    with FakeModels() as fake:
        client = openai.OpenAI(base_url=f"{fake.url}/v1", api_key="none")
    ```
"""

from __future__ import annotations

import gzip
import json
import struct
import threading
import uuid
import zlib
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

__all__ = ["FakeModels"]


class FakeModels:
    """An HTTP server with models that say what they were asked last, and call a tool if they have one."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, bytes]] = []
        """Method, path and body of what was asked."""
        self.failures: deque[tuple[int, dict[str, str]]] = deque()
        """Status and headers of the next answers, in place of good ones."""
        self.gates: dict[str, threading.Event] = {}
        """An answer to a body in which one of these texts stands waits for the event."""
        fake = self

        class Requests(_Requests):
            models = fake

        self._server = _Server(("127.0.0.1", 0), Requests)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        self.host = "127.0.0.1"
        self.port = int(self._server.server_address[1])
        self.url = f"http://{self.host}:{self.port}"

    def stop(self) -> None:
        """Close the port: whoever calls now gets an error."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> FakeModels:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.is_alive():
            self.stop()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that have gone."""


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    models: FakeModels

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PUT = do_HEAD = do_GET  # noqa: N815  as http.server names them

    def _answer(self) -> None:
        body = self._body()
        self.models.requests.append((self.command, self.path, body))
        for text, gate in self.models.gates.items():
            if text.encode() in body:
                gate.wait(20)
        if self.models.failures:
            status, headers = self.models.failures.popleft()
            self._json({"error": {"message": "not now", "type": "busy", "code": "busy"}}, status, headers)
            return
        path = self.path.partition("?")[0]
        asked = json.loads(body) if body[:1] == b"{" else {}
        match path.split("/")[1:]:
            case ["v1", "chat", "completions"]:
                self._events(_chat_stream(asked)) if asked.get("stream") else self._json(_chat(asked))
            case ["v1", "responses"]:
                self._events(_response_stream(asked)) if asked.get("stream") else self._json(_response(asked))
            case ["v1", "messages"]:
                self._events(_message_stream(asked)) if asked.get("stream") else self._json(_message(asked))
            case ["v1" | "v1beta", "models", model] if model.endswith(":generateContent"):
                self._json(_gemini(asked))
            case ["v1" | "v1beta", "models", model] if model.endswith(":streamGenerateContent"):
                self._events(_gemini_stream(asked))
            case ["model", _, "converse"]:
                self._json(_converse(asked))
            case ["model", _, "invoke"]:
                self._json(_message({**asked, "model": "claude"}))
            case ["model", _, "converse-stream"]:
                self._chunks(_converse_stream(asked), "application/vnd.amazon.eventstream")
            case _:
                self._plain(path, body)

    def _plain(self, path: str, body: bytes) -> None:
        """Answer what is no model: the ways in which an HTTP answer can come."""
        match path.strip("/").split("/"):
            case ["echo"]:
                self._whole(body or self.path.encode(), {"X-Id": _id("echo")})
            case ["fresh"]:
                self._whole(_id("fresh").encode())
            case ["chunks", count]:
                self._chunks((b"%d;" % number for number in range(int(count))), "text/plain")
            case ["gzip"]:
                self._whole(gzip.compress(b"squeezed " * 100, mtime=0), {"Content-Encoding": "gzip"})
            case ["gzip-chunks"]:
                packed = gzip.compress(b"squeezed " * 1000, mtime=0)
                parts = (packed[at : at + 20] for at in range(0, len(packed), 20))
                self._chunks(parts, "text/plain", {"Content-Encoding": "gzip"})
            case ["big"]:
                self._whole(bytes(range(256)) * 8192)
            case ["redirect"]:
                self._whole(b"", {"Location": "/fresh"}, 302)
            case ["cookie"]:
                self._whole(b"", {"Set-Cookie": "sid=very-secret; Path=/", "X-Api-Key": "very-secret"})
            case ["short"]:  # says that it is longer than it is, and closes
                self._whole(b"only this", {"Content-Length": "100", "Connection": "close"})
                self.close_connection = True
            case ["drop"]:
                self.close_connection = True
                self.connection.close()
            case ["until-closed"]:
                self.send_response(200)
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(b"all of it")
                self.close_connection = True
            case ["status", status]:
                self._whole(b"" if status == "204" else _id("status").encode(), status=int(status))
            case _:
                self._whole(b"unknown", status=404)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while (size := int(self.rfile.readline().split(b";")[0], 16)) > 0:
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._whole(json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})}, status)

    def _whole(self, body: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _events(self, events: Iterator[tuple[str, Any]]) -> None:
        lines = (
            ((f"event: {name}\n" if name else "") + f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n")
            for name, data in events
        )
        self._chunks((each.encode() for each in lines), "text/event-stream")

    def _chunks(self, chunks: Iterator[bytes], kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(200)
        for name, value in {"Content-Type": kind, "Transfer-Encoding": "chunked", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for chunk in chunks:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        except OSError:  # the client has read enough
            self.close_connection = True


def _id(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex}"


def _text(content: Any) -> str:
    """Return the text of a message, whatever its form."""
    if isinstance(content, str):
        return content
    return " ".join(_text(each.get("text") or each.get("content") or "") for each in content if isinstance(each, dict))


def _last(messages: list[Any]) -> Any:
    return messages[-1] if messages else {}


# OpenAI: chat completions


def _chat(asked: dict[str, Any]) -> dict[str, Any]:
    last = _last(asked["messages"])
    message: dict[str, Any] = {"role": "assistant", "content": f"You said: {_text(last.get('content') or '')}"}
    if asked.get("tools") and last.get("role") != "tool":
        name = asked["tools"][0]["function"]["name"]
        call = {"id": _id("call"), "type": "function", "function": {"name": name, "arguments": '{"city": "Oslo"}'}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    elif (asked.get("response_format") or {}).get("type") == "json_schema":
        message["content"] = '{"city": "Oslo", "degrees": 7}'
    return {
        "id": _id("chatcmpl"),
        "object": "chat.completion",
        "created": 1764000000,
        "model": asked["model"],
        "choices": [
            {"index": 0, "message": message, "finish_reason": "tool_calls" if "tool_calls" in message else "stop"}
        ],
        "usage": {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17},
    }


def _chat_stream(asked: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    whole = _chat(asked)
    choice = whole["choices"][0]
    head = {"id": whole["id"], "object": "chat.completion.chunk", "created": whole["created"], "model": whole["model"]}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if calls := choice["message"].get("tool_calls"):
        deltas.append({"tool_calls": [{"index": 0, **calls[0]}]})
    else:
        deltas += [{"content": f"{word} "} for word in choice["message"]["content"].split()]
    for delta in deltas:
        yield "", {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield "", {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]}
    yield "", {**head, "choices": [], "usage": whole["usage"]}
    yield "", "[DONE]"


# OpenAI: responses


def _response(asked: dict[str, Any]) -> dict[str, Any]:
    given = asked["input"]
    last = {"content": given} if isinstance(given, str) else _last(given)
    if asked.get("tools") and last.get("type") != "function_call_output":
        item = {
            "type": "function_call",
            "id": _id("fc"),
            "call_id": _id("call"),
            "name": asked["tools"][0]["name"],
            "arguments": '{"city": "Oslo"}',
            "status": "completed",
        }
    else:
        said = _text(last.get("content") or last.get("output") or "")
        text = {"type": "output_text", "text": f"You said: {said}", "annotations": []}
        item = {"type": "message", "id": _id("msg"), "status": "completed", "role": "assistant", "content": [text]}
    return {
        "id": _id("resp"),
        "object": "response",
        "created_at": 1764000000,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": asked.get("instructions"),
        "metadata": {},
        "model": asked["model"],
        "output": [item],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": asked.get("tools") or [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": 12,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 17,
        },
    }


def _response_stream(asked: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    whole = _response(asked)
    item = whole["output"][0]
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**whole, "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "status": "in_progress"}},
    ]
    at = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    if item["type"] == "message":
        text = item["content"][0]["text"]
        part = {"type": "output_text", "text": "", "annotations": []}
        events[1]["item"]["content"] = []
        events.append({"type": "response.content_part.added", **at, "part": part})
        events += [
            {"type": "response.output_text.delta", **at, "delta": f"{word} ", "logprobs": []} for word in text.split()
        ]
        events.append({"type": "response.output_text.done", **at, "text": text, "logprobs": []})
    events += [
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]
    for number, event in enumerate(events):
        yield event["type"], {**event, "sequence_number": number}


# Anthropic: messages


def _message(asked: dict[str, Any]) -> dict[str, Any]:
    last = _last(asked["messages"])
    answered = not isinstance(last["content"], str) and any(each["type"] == "tool_result" for each in last["content"])
    block: dict[str, Any] = {"type": "text", "text": f"You said: {_text(last['content'])}"}
    if asked.get("tools") and not answered:
        block = {"type": "tool_use", "id": _id("toolu"), "name": asked["tools"][0]["name"], "input": {"city": "Oslo"}}
    return {
        "id": _id("msg"),
        "type": "message",
        "role": "assistant",
        "model": asked["model"],
        "content": [block],
        "stop_reason": "tool_use" if block["type"] == "tool_use" else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 5},
    }


def _message_stream(asked: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    whole = _message(asked)
    block = whole["content"][0]
    yield "message_start", {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None}}
    if block["type"] == "text":
        empty: dict[str, Any] = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": f"{word} "} for word in block["text"].split()]
    else:
        empty = {**block, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
    yield "content_block_start", {"type": "content_block_start", "index": 0, "content_block": empty}
    for delta in deltas:
        yield "content_block_delta", {"type": "content_block_delta", "index": 0, "delta": delta}
    yield "content_block_stop", {"type": "content_block_stop", "index": 0}
    end = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    yield "message_delta", {"type": "message_delta", "delta": end, "usage": {"output_tokens": 5}}
    yield "message_stop", {"type": "message_stop"}


# Gemini


def _gemini(asked: dict[str, Any], text: str | None = None) -> dict[str, Any]:
    parts = _last(asked["contents"])["parts"]
    part: dict[str, Any] = {"text": f"You said: {_text(parts)}" if text is None else text}
    if asked.get("tools") and "functionResponse" not in parts[-1]:
        name = asked["tools"][0]["functionDeclarations"][0]["name"]
        part = {"functionCall": {"name": name, "args": {"city": "Oslo"}}}
    return {
        "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 12, "candidatesTokenCount": 5, "totalTokenCount": 17},
        "modelVersion": "gemini-fake",
        "responseId": _id("gemini"),
    }


def _gemini_stream(asked: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for word in f"You said: {_text(_last(asked['contents'])['parts'])}".split():
        yield "", _gemini(asked, f"{word} ")


# Bedrock


def _converse(asked: dict[str, Any]) -> dict[str, Any]:
    content = _last(asked["messages"])["content"]
    block: dict[str, Any] = {"text": f"You said: {_text(content)} ({_id('bedrock')})"}
    if asked.get("toolConfig") and "toolResult" not in content[-1]:
        name = asked["toolConfig"]["tools"][0]["toolSpec"]["name"]
        block = {"toolUse": {"toolUseId": _id("tooluse"), "name": name, "input": {"city": "Oslo"}}}
    return {
        "output": {"message": {"role": "assistant", "content": [block]}},
        "stopReason": "tool_use" if "toolUse" in block else "end_turn",
        "usage": {"inputTokens": 12, "outputTokens": 5, "totalTokens": 17},
        "metrics": {"latencyMs": 1},
    }


def _converse_stream(asked: dict[str, Any]) -> Iterator[bytes]:
    whole = _converse(asked)
    yield _frame("messageStart", {"role": "assistant"})
    for word in whole["output"]["message"]["content"][0]["text"].split():
        yield _frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": f"{word} "}})
    yield _frame("contentBlockStop", {"contentBlockIndex": 0})
    yield _frame("messageStop", {"stopReason": whole["stopReason"]})
    yield _frame("metadata", {"usage": whole["usage"], "metrics": whole["metrics"]})


def _frame(event: str, payload: dict[str, Any]) -> bytes:
    """Return an event as AWS frames it: lengths, headers and payload, each with a checksum."""
    headers = b""
    for name, value in ((":event-type", event), (":content-type", "application/json"), (":message-type", "event")):
        headers += struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
    body = json.dumps(payload).encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(body), len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + body
    return message + struct.pack("!I", zlib.crc32(message))
