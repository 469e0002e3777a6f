"""Bedrock's invoke-model: the body is that of each vendor's own API."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import replace
from typing import Any, Final

from greenroom.runtime.ingest.records import Turn
from greenroom.runtime.recording.understanding.bodies import as_object, as_rows, json_of, text_or_none, whole_or_none
from greenroom.runtime.recording.understanding.model import Answered, Asked, Usage

from .anthropic import MESSAGES
from .chat import CHAT
from .common import Events, Format, error_in, rest_of, summed, turns_of
from .converse import CONVERSE

__all__ = ["INVOKE", "chunks_of", "invoke_like", "metrics_in"]

_METRICS: Final = "amazon-bedrock-invocationMetrics"
_PROMPTS: Final = ("prompt", "inputText", "message", "input")
"""Where a request has its prompt: Llama, Mistral and DeepSeek; Titan; Cohere."""
_TEXTS: Final = ("generation", "outputText", "completion", "text", "output_text")
"""Where an answer has its text: Llama, Titan, Claude's old form, Cohere."""
_LISTS: Final = ("results", "outputs", "generations", "completions", "choices")
_STOPS: Final = ("stop_reason", "completionReason", "finish_reason", "finishReason")
_GIVEN: Final = ("prompt_token_count", "inputTextTokenCount", "inputTokenCount", "prompt_tokens")
_MADE: Final = ("generation_token_count", "tokenCount", "totalOutputTextTokenCount", "outputTokenCount")


def invoke_like(request: Any) -> Format:
    """Return the format of the vendor's API that a request speaks."""
    body = as_object(request)
    if "anthropic_version" in body:
        return replace(MESSAGES, api="invoke")
    if isinstance(body.get("messages"), list):
        contents = [each.get("content") for each in as_rows(body["messages"])]
        untyped = any(isinstance(part, dict) and "type" not in part for each in contents for part in _list(each))
        nova = "schemaVersion" in body or "inferenceConfig" in body or untyped
        return replace(CONVERSE if nova else CHAT, api="invoke")
    return INVOKE


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _asked(body: dict[str, Any]) -> Asked:
    prompt = next((body[name] for name in _PROMPTS if isinstance(body.get(name), str)), None)
    turns = turns_of(body.get("chat_history"))
    if prompt is not None:
        turns = [*turns, Turn("user", prompt)]
    inner = as_object(body.get("textGenerationConfig"))
    tools = body.get("tools")
    parameters = {**inner, **rest_of(body, *_PROMPTS, "chat_history", "textGenerationConfig", "tools", "preamble")}
    system = text_or_none(body.get("preamble"))
    return Asked(None, system, tuple(turns), tuple(tools) if isinstance(tools, list) else (), parameters)


def _answered(body: dict[str, Any]) -> Answered:
    inner = next((rows[0] for name in _LISTS if (rows := as_rows(body.get(name)))), {})
    data = as_object(inner.get("data"))
    places = (body, inner, data)
    text = next((each[name] for each in places for name in _TEXTS if isinstance(each.get(name), str)), None)
    stop = next((each[name] for each in places for name in _STOPS if isinstance(each.get(name), str)), None)
    counts = [
        next((count for each in places for name in names if (count := whole_or_none(each.get(name))) is not None), None)
        for names in (_GIVEN, _MADE)
    ]
    known = any(count is not None for count in counts)
    return Answered(
        None,
        text_or_none(body.get("id")) or text_or_none(body.get("generation_id")),
        (Turn("assistant", text),) if text is not None else (),
        stop,
        Usage(counts[0], counts[1], summed(counts)) if known else None,
        error_in(body) if body.get("error") else None,
    )


def _assembled(events: Events, problems: list[str]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    texts: list[str] = []
    for _, value in events:
        chunk = as_object(value)
        answer = _answered(chunk)
        texts += [turn.content for turn in answer.reply if isinstance(turn.content, str)]
        body.update({name: each for name, each in chunk.items() if each is not None and name not in _TEXTS})
        if answer.finish_reason is not None:
            body["stop_reason"] = answer.finish_reason
    for name in _LISTS:
        body.pop(name, None)
    if "stop_reason" not in body and not body.get("error"):
        problems.append("the stream ends before the answer does")
    return {**body, "text": "".join(texts)} if texts else body


INVOKE: Final = Format("invoke", _asked, _answered, _assembled)


def chunks_of(payloads: list[Any]) -> Events:
    """Return the vendor's events in the chunks of invoke-with-response-stream."""
    events: Events = []
    for payload in payloads:
        encoded = as_object(payload).get("bytes")
        try:
            value = json_of(b64decode(encoded)) if isinstance(encoded, str) else None
        except ValueError:
            value = None
        if isinstance(value, dict):
            events += _named(value)
    return events


def _named(value: dict[str, Any]) -> Events:
    """Return a chunk as events: those of Nova are named by their only key."""
    events: Events = []
    names = ("messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata")
    for name in names:
        if isinstance(value.get(name), dict):
            events.append((name, value[name]))
    return events or [("", value)]


def metrics_in(events: Events) -> Usage | None:
    """Return the usage that Bedrock adds to the last chunk of any vendor."""
    for _, value in reversed(events):
        metrics = as_object(value).get(_METRICS)
        if isinstance(metrics, dict):
            given, made = whole_or_none(metrics.get("inputTokenCount")), whole_or_none(metrics.get("outputTokenCount"))
            cached = whole_or_none(metrics.get("cacheReadInputTokenCount"))
            written = whole_or_none(metrics.get("cacheWriteInputTokenCount"))
            whole = summed((given, cached, written))
            return Usage(whole, made, summed((whole, made)), cached, written)
    return None
