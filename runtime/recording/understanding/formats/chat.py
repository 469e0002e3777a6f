"""OpenAI's chat completions, and the completions before them, as many servers speak them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from greenroom.runtime.ingest.records import Turn
from greenroom.runtime.recording.understanding.bodies import as_object, as_rows, text_or_none, whole_or_none
from greenroom.runtime.recording.understanding.model import Answered, Asked, Usage

from .common import Events, Format, error_in, rest_of, turns_of, with_system

__all__ = ["CHAT", "COMPLETIONS", "usage_of"]

_JOINED: Final = ("content", "refusal", "reasoning_content", "reasoning", "thinking")
"""The texts of a message, which come in pieces."""


def _asked(body: dict[str, Any]) -> Asked:
    system, messages = with_system(turns_of(body.get("messages")))
    tools = body.get("tools", body.get("functions"))
    return Asked(
        text_or_none(body.get("model")),
        system,
        messages,
        tuple(tools) if isinstance(tools, list) else (),
        rest_of(body, "model", "messages", "tools", "functions", "stream", "stream_options"),
        streams=body.get("stream") is True,
    )


def _answered(body: dict[str, Any]) -> Answered:
    choice = next(iter(as_rows(body.get("choices"))), {})
    message = choice.get("message")
    reply = turns_of([{"role": "assistant", **_without_nulls(message)}]) if isinstance(message, dict) else []
    return Answered(
        text_or_none(body.get("model")),
        text_or_none(body.get("id")),
        tuple(reply),
        text_or_none(choice.get("finish_reason")),
        usage_of(body.get("usage") or as_object(body.get("x_groq")).get("usage")),
        error_in(body) if body.get("error") else None,
    )


def _without_nulls(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if value is not None}


def usage_of(value: Any) -> Usage | None:
    """Return the usage that chat completions tell."""
    if not isinstance(value, dict):
        return None
    given, made = whole_or_none(value.get("prompt_tokens")), whole_or_none(value.get("completion_tokens"))
    inside, out = as_object(value.get("prompt_tokens_details")), as_object(value.get("completion_tokens_details"))
    total = whole_or_none(value.get("total_tokens"))
    if total is None and given is not None:
        total = given + (made or 0)
    cached = whole_or_none(inside.get("cached_tokens"))
    if cached is None:
        cached = whole_or_none(value.get("prompt_cache_hit_tokens"))  # DeepSeek
    return Usage(
        given,
        made,
        total,
        cached,
        whole_or_none(inside.get("cache_write_tokens")),
        reasoning=whole_or_none(out.get("reasoning_tokens")),
        cost_microusd=_microusd(value.get("cost")),
    )


def _microusd(cost: Any) -> int | None:
    """Return the dollars that OpenRouter tells, in millionths."""
    if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 <= cost < 1_000_000_000:
        return None
    return int((Decimal(str(cost)) * 1_000_000).to_integral_value())


def _assembled(events: Events, problems: list[str]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    message: dict[str, Any] = {}
    calls: list[dict[str, Any]] = []
    finish = None
    began = False
    for _, value in events:
        chunk = as_object(value)
        body.update({name: chunk[name] for name in ("id", "model", "usage", "x_groq", "error") if chunk.get(name)})
        for choice in as_rows(chunk.get("choices")):
            if choice.get("index") not in (0, None):
                continue
            began = True
            finish = choice.get("finish_reason") or finish
            if isinstance(choice.get("text"), str):  # the completions before chats
                message["text"] = message.get("text", "") + choice["text"]
            _add(message, calls, as_object(choice.get("delta")))
    if calls:
        message["tool_calls"] = [{name: each for name, each in call.items() if name != "index"} for call in calls]
    if began:
        text = message.pop("text", None)
        choice = {"message": message, "finish_reason": finish}
        body["choices"] = [choice if text is None else {"text": text, "finish_reason": finish}]
    if not finish and "error" not in body:
        problems.append("the stream ends before the answer does")
    return body


def _add(message: dict[str, Any], calls: list[dict[str, Any]], delta: dict[str, Any]) -> None:
    """Add what one chunk tells to a message and its calls of tools."""
    for name, value in delta.items():
        if value is None:
            continue
        if name == "tool_calls":
            for piece in as_rows(value):
                _add_call(calls, piece)
        elif name == "function_call":
            _add_texts(message.setdefault("function_call", {}), as_object(value))
        elif name in _JOINED and isinstance(value, str):
            before = message.get(name)
            message[name] = (before if isinstance(before, str) else "") + value
        elif isinstance(value, list) and isinstance(message.get(name), list):
            message[name] = message[name] + value
        else:
            message[name] = value


def _add_call(calls: list[dict[str, Any]], piece: dict[str, Any]) -> None:
    index, id_ = piece.get("index"), piece.get("id")
    if index is not None:
        call = next((each for each in calls if each.get("index") == index), None)
    else:  # some servers do not count: a call with another id is another one
        call = calls[-1] if calls and (not id_ or calls[-1].get("id") == id_) else None
    if call is None:
        call = {"index": index}
        calls.append(call)
    for name, value in piece.items():
        if isinstance(value, dict):
            inner = call.setdefault(name, {})
            if isinstance(inner, dict):
                _add_texts(inner, value)
        elif value is not None:
            call[name] = value


def _add_texts(into: dict[str, Any], pieces: dict[str, Any]) -> None:
    """Add pieces of a function's call. Its name comes whole, and some servers send it with every piece."""
    for name, value in pieces.items():
        if name in ("arguments", "input") and isinstance(value, str) and isinstance(into.get(name), str):
            into[name] += value
        elif value is not None:
            into[name] = value


CHAT: Final = Format("chat", _asked, _answered, _assembled)


def _prompted(body: dict[str, Any]) -> Asked:
    prompt = body.get("prompt")
    texts = [prompt] if isinstance(prompt, str) else prompt if isinstance(prompt, list) else []
    turns = tuple(Turn("user", each) for each in texts if isinstance(each, str))
    parameters = rest_of(body, "model", "prompt", "stream", "stream_options")
    return Asked(text_or_none(body.get("model")), None, turns, (), parameters, streams=body.get("stream") is True)


def _completed(body: dict[str, Any]) -> Answered:
    choice = next(iter(as_rows(body.get("choices"))), {})
    text = choice.get("text")
    return Answered(
        text_or_none(body.get("model")),
        text_or_none(body.get("id")),
        (Turn("assistant", text),) if isinstance(text, str) else (),
        text_or_none(choice.get("finish_reason")),
        usage_of(body.get("usage")),
        error_in(body) if body.get("error") else None,
    )


COMPLETIONS: Final = Format("completions", _prompted, _completed, _assembled)
