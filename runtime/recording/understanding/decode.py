"""Reads a crossing of the kind http as a call of a model, if it is one. A pure function of the recorded bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from .bodies import Exchange, as_object, as_rows, exchange_of, json_of, sse_of, text_or_none, whole_or_none
from .eventstream import messages_of
from .formats.anthropic import MESSAGES
from .formats.chat import CHAT, COMPLETIONS
from .formats.common import Events, Format, error_in
from .formats.converse import CONVERSE
from .formats.gemini import GENERATE
from .formats.invoke import chunks_of, invoke_like, metrics_in
from .formats.responses import RESPONSES
from .model import Answered, ModelCall, ModelError, Usage
from .prices import Prices

__all__ = ["model_call"]

_HOSTS: Final = (
    (".openai.azure.com", "azure"),
    (".cognitiveservices.azure.com", "azure"),
    (".services.ai.azure.com", "azure"),
    (".inference.ai.azure.com", "azure"),
    ("api.openai.com", "openai"),
    ("api.anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "gemini"),
    ("aiplatform.googleapis.com", "vertex"),
    ("openrouter.ai", "openrouter"),
    ("api.groq.com", "groq"),
    ("api.mistral.ai", "mistral"),
    ("api.deepseek.com", "deepseek"),
    ("api.x.ai", "xai"),
    ("api.together.xyz", "together"),
    ("api.fireworks.ai", "fireworks"),
    ("api.perplexity.ai", "perplexity"),
    ("api.cerebras.ai", "cerebras"),
    ("router.huggingface.co", "huggingface"),
)
"""The ends of the names of hosts, and who stands behind them."""
_BEDROCK: Final = re.compile(r"/model/([^/]+)/(converse-stream|converse|invoke-with-response-stream|invoke)/?$")
_GOOGLE: Final = re.compile(
    r"/(?:publishers/([^/]+)/)?(?:models|tunedModels|endpoints)/([^/:]+):"
    r"(generateContent|streamGenerateContent|rawPredict|streamRawPredict)$"
)
_DEPLOYMENT: Final = re.compile(r"/openai/deployments/([^/]+)/")
_JSON_LINES: Final = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines")


class _Found(NamedTuple):
    format: Format
    speaks: str
    """Who has made the API."""
    model: str | None = None
    """The model that the path names."""


def model_call(given: Mapping[str, Any], outcome: Mapping[str, Any], prices: Prices | None = None) -> ModelCall | None:
    """Return the call of a model in the input and the outcome of a crossing of the kind http; None if it is none.

    Never raises for what was recorded: what cannot be read is told in `problems`. `prices`: a table of one's own.
    """
    exchange = exchange_of(given, outcome)
    found = _recognized(exchange)
    if found is None:
        return None
    asked = found.format.asked(as_object(exchange.request))
    answered, streamed = _answer(exchange, found.format)
    provider = _provider(exchange, found)
    model = found.model or asked.model
    usage = answered.usage
    cost = usage.cost_microusd if usage is not None and provider == "openrouter" else None
    if cost is None and usage is not None:
        cost = (prices or Prices.default()).cost(usage, answered.model, model)
    return ModelCall(
        provider,
        found.format.api,
        model,
        answered.model,
        asked.system,
        asked.messages,
        asked.tools,
        asked.parameters,
        asked.previous,
        answered.reply,
        answered.finish_reason,
        usage,
        cost,
        answered.error,
        answered.id,
        streamed or asked.streams,
        exchange.complete and not any("ends before" in each or "ends within" in each for each in exchange.problems),
        exchange.first_chunk,
        tuple(exchange.problems),
    )


def _recognized(exchange: Exchange) -> _Found | None:
    """Return the format of a request: by its path, or else by its body and the one of the response."""
    if exchange.method not in ("POST", ""):
        return None
    path, body = exchange.path.rstrip("/"), as_object(exchange.request)
    if match := _BEDROCK.search(path):
        way = match[2]
        return _Found(CONVERSE if way.startswith("converse") else invoke_like(body), "bedrock", unquote(match[1]))
    if match := _GOOGLE.search(path):
        model = unquote(match[2])
        if match[3].lower().endswith("generatecontent"):
            return _Found(GENERATE, "gemini", model)
        return _Found(MESSAGES if "anthropic_version" in body else CHAT, "vertex", model)
    if path.endswith("/chat/completions"):
        deployment = _DEPLOYMENT.search(path)
        named = unquote(deployment[1]) if deployment and not text_or_none(body.get("model")) else None
        return _Found(CHAT, "openai", named)
    if path.endswith("/messages") and (isinstance(body.get("messages"), list) or exchange.request is None):
        return _Found(MESSAGES, "anthropic")
    if path.endswith("/responses") and ("input" in body or "prompt" in body or exchange.request is None):
        return _Found(RESPONSES, "openai")
    if path.endswith("/completions") and "prompt" in body:
        return _Found(COMPLETIONS, "openai")
    return _by_body(exchange, body)


def _by_body(exchange: Exchange, body: dict[str, Any]) -> _Found | None:
    if "model" not in body:
        return None
    if exchange.kind == "text/event-stream":
        events = sse_of(exchange.body[:_LOOK], [])
        answer = as_object(events[0][1]) if events else {}
    else:
        answer = as_object(json_of(exchange.body))
    if isinstance(body.get("messages"), list):
        if as_rows(answer.get("choices")) or str(answer.get("object")).startswith("chat.completion"):
            return _Found(CHAT, "openai")
        if answer.get("type") in ("message", "message_start"):
            return _Found(MESSAGES, "anthropic")
    if "input" in body and (answer.get("object") == "response" or answer.get("type") == "response.created"):
        return _Found(RESPONSES, "openai")
    return None


_LOOK: Final = 65_536


def _answer(exchange: Exchange, format: Format) -> tuple[Answered, bool]:
    """Return what the response says, and whether it was streamed."""
    status, kind, problems = exchange.status, exchange.kind, exchange.problems
    if exchange.failure is not None and status is None:
        return Answered(error=_failure(exchange.failure)), False
    if status is not None and status >= 400:
        return Answered(error=_refusal(exchange, status)), False
    events: Events | None = None
    metrics: Usage | None = None
    if kind == "application/vnd.amazon.eventstream":
        events = _of_aws(exchange.body, problems)
        if format is not CONVERSE:
            metrics = metrics_in(events)
    elif kind == "text/event-stream" or exchange.body[:6] in (b"data: ", b"event:") or exchange.body[:5] == b"data:":
        events = sse_of(exchange.body, problems)
    elif kind in _JSON_LINES:
        events = [("", value) for line in exchange.body.splitlines() if (value := json_of(line)) is not None]
    value = json_of(exchange.body) if events is None else None
    if isinstance(value, list) or (value is None and events is None and exchange.body.lstrip()[:1] == b"["):
        events = [("", each) for each in (value if isinstance(value, list) else _rows_of_part(exchange.body, problems))]
    if events is not None:
        answered = format.answered(format.assembled(events, problems))
    else:
        if value is None and (exchange.body or exchange.complete):
            problems.append("the response's body is no JSON")
        answered = format.answered(as_object(value))
    if answered.usage is None:
        answered = replace(answered, usage=metrics or _counted(exchange.headers))
    if answered.error is None and exchange.failure is not None:
        answered = replace(answered, error=_failure(exchange.failure))
    return answered, events is not None


def _of_aws(body: bytes, problems: list[str]) -> Events:
    """Return the events of an AWS event stream. Chunks of invoke-with-response-stream hold the vendor's events."""
    events: Events = []
    for message in messages_of(body, problems):
        value = json_of(message.payload)
        if message.is_error:
            known = as_object(value)
            text = known.get("message") or known.get("Message") or message.headers.get(":error-message")
            events.append(("error", {"error": {"message": text or message.type, "type": message.type}}))
        elif message.type == "chunk":
            events += chunks_of([value])
        else:
            events.append((message.type, value))
    return events


def _rows_of_part(body: bytes, problems: list[str]) -> list[Any]:
    """Return the values of a JSON array that is cut off."""
    text = body.decode("utf-8-sig", "replace")
    decoder, at, rows = json.JSONDecoder(), text.find("[") + 1, []
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            break
        rows.append(value)
    problems.append("the response's body is cut off")
    return rows


def _counted(headers: Mapping[str, str]) -> Usage | None:
    """Return the tokens that Bedrock tells in the headers of invoke-model."""
    names = ("x-amzn-bedrock-input-token-count", "x-amzn-bedrock-output-token-count")
    texts = [headers.get(name, "") for name in names]
    given, made = (whole_or_none(int(text)) if text.isdecimal() and len(text) < 19 else None for text in texts)
    if given is None or made is None:
        return None
    return Usage(given, made, given + made)


def _failure(failure: Mapping[str, Any]) -> ModelError:
    text, name = failure.get("text"), failure.get("name")
    kind = text_or_none(name)
    return ModelError(text_or_none(text) or kind or "there was no response", kind)


def _refusal(exchange: Exchange, status: int) -> ModelError:
    """Return the error of a response whose status tells one."""
    value = json_of(exchange.body)
    if value is None and exchange.kind == "text/event-stream":
        value = next((each for _, each in sse_of(exchange.body, []) if isinstance(each, dict)), None)
    error = error_in(value, status)
    if error is None:
        text = exchange.body[:1000].decode("utf-8", "replace").strip()
        error = ModelError(text or f"status {status}", None, None, status)
    kind = exchange.headers.get("x-amzn-errortype", "").partition(":")[0]
    return replace(error, type=error.type or kind or None)


def _provider(exchange: Exchange, found: _Found) -> str:
    host = exchange.host
    for end, name in _HOSTS:
        if host == end or host.endswith(end if end[0] in ".-" else f".{end}"):
            return name
    if host.endswith("-aiplatform.googleapis.com"):
        return "vertex"
    if _DEPLOYMENT.search(exchange.path):
        return "azure"
    if "bedrock" in host and host.endswith(".amazonaws.com"):
        return "bedrock"
    return found.speaks
