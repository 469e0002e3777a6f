"""Requests and responses of APIs, and the lists of messages that many tools write: OpenAI, Anthropic, ShareGPT."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from greenroom.runtime.ingest.records import Conversation, Turn, UnknownRecord

from .common import conversation, read_turns, turns_under, without
from .message import with_free_key
from .swe_agent import steps_into_turns, turns_of_steps

__all__ = ["ITEMS", "chat", "completion", "has", "has_choices", "is_responses", "item", "responses", "sharegpt"]
__all__ += ["anthropic_message", "is_anthropic_message", "swe_agent"]

ITEMS: Final = ("message", "function_call", "function_call_output", "reasoning")
"""The types of items of OpenAI's responses that tell a list of items."""


def has(*keys: str) -> Callable[[dict[str, Any]], bool]:
    """Return a test for a list under one of these keys."""
    return lambda value: any(isinstance(value.get(key), list) for key in keys)


def chat(value: dict[str, Any]) -> Conversation:
    """Return a chat of OpenAI or Anthropic: ``{"messages": [{"role", "content"}]}``."""
    turns, extra, notes = turns_under(value, "messages")
    anthropic = "system" in value or any(map(_has_blocks, turns))
    return conversation("anthropic" if anthropic else "openai-chat", value, "messages", turns, extra, notes)


def sharegpt(value: dict[str, Any]) -> Conversation:
    """Return a ShareGPT conversation, ``{"conversations": [{"from", "value"}]}``, with the usual names of roles."""
    key = "conversations" if isinstance(value.get("conversations"), list) else "conversation"
    turns, extra, notes = turns_under(value, key)
    return conversation("sharegpt", value, key, turns, extra, notes)


def swe_agent(value: dict[str, Any]) -> Conversation:
    """Return a SWE-agent trajectory: its history, and further facts of its steps."""
    steps = value.get("trajectory")
    if not isinstance(value.get("history"), list) or not value["history"]:
        turns = turns_of_steps(steps or [])
        if not turns:
            raise UnknownRecord("the trajectory has no steps")
        return conversation("swe-agent", value, "trajectory", turns, without(value, "trajectory"), [])
    turns, extra, notes = turns_under(value, "history")
    if isinstance(steps, list):
        turns, left = steps_into_turns(turns, value["history"], steps)
        del extra["trajectory"]
        if left:
            extra["trajectory"] = left
    return conversation("swe-agent", value, "history", turns, extra, notes)


def has_choices(value: dict[str, Any]) -> bool:
    """Return whether a value is a response of OpenAI's chat completions."""
    choices = value.get("choices")
    return isinstance(choices, list) and any(
        isinstance(each, dict) and isinstance(each.get("message"), dict) for each in choices
    )


def completion(value: dict[str, Any]) -> Conversation:
    """Return a response of OpenAI's chat completions: ``{"choices": [{"message": …}]}``."""
    choices = [each if isinstance(each, dict) else {"message": each} for each in value["choices"]]
    messages = [each.get("message") for each in choices]
    turns, notes = read_turns(messages)
    for number, (turn, choice) in enumerate(zip(turns, choices, strict=True)):
        beside = without(choice, "message")
        if beside:
            turns[number] = replace(turn, metadata=with_free_key(turn.metadata, "choice", beside))
    return conversation("openai-chat", value, "choices", turns, without(value, "choices"), notes)


def is_anthropic_message(value: dict[str, Any]) -> bool:
    """Return whether a value is a response of Anthropic's messages: one message, with the model and the usage."""
    return (
        value.get("type") == "message"
        and value.get("role") == "assistant"
        and isinstance(value.get("content"), list)
        and "model" in value
        and ("usage" in value or "stop_reason" in value)
    )


def anthropic_message(value: dict[str, Any]) -> Conversation:
    """Return a response of Anthropic's messages."""
    message = {key: value[key] for key in ("role", "content")}
    turns, notes = read_turns([message])
    return conversation("anthropic", value, "content", turns, without(value, "role", "content"), notes)


def is_responses(value: dict[str, Any]) -> bool:
    """Return whether a value is a request or a response of OpenAI's responses."""
    items = value.get("output") if isinstance(value.get("output"), list) else value.get("input")
    return (
        isinstance(items, list)
        and bool(items)
        and all(isinstance(each, dict) for each in items)
        and any("role" in each or each.get("type") in ITEMS for each in items)
    ) or (value.get("object") == "response" and isinstance(value.get("output"), list))


def responses(value: dict[str, Any]) -> Conversation:
    """Return a request or a response of OpenAI's responses: items of `input` and `output`, and `instructions`."""
    items: list[Any] = []
    extra = dict(value)
    if isinstance(value.get("instructions"), str) and value["instructions"]:
        items.append({"role": "system", "content": extra.pop("instructions")})
    for key in ("input", "output"):
        if isinstance(value.get(key), str) and value[key]:
            items.append({"role": "user" if key == "input" else "assistant", "content": extra.pop(key)})
        elif isinstance(value.get(key), list):
            items += [item(each) for each in extra.pop(key)]
    turns, notes = read_turns(items)
    return conversation("openai-responses", value, "output", turns, extra, notes)


def item(value: Any) -> Any:
    """Return an item of a response as a message."""
    if not isinstance(value, dict) or "role" in value:
        return value
    kind = value.get("type")
    if kind == "function_call":
        function = {key: value[key] for key in ("name", "arguments") if key in value}
        made = {"type": "function", "function": function}
        if "call_id" in value:
            made["id"] = value["call_id"]
        return {
            "role": "assistant",
            "content": None,
            "tool_calls": [made],
            **without(value, "name", "arguments", "call_id"),
        }
    if kind == "function_call_output":
        rest = without(value, "output", "call_id")
        return {"role": "tool", "content": value.get("output"), "tool_call_id": value.get("call_id"), **rest}
    return {"role": "assistant", "content": [value]}


def _has_blocks(turn: Turn) -> bool:
    return isinstance(turn.content, list) and any(
        isinstance(part, dict) and (part.get("type") in ("tool_use", "tool_result", "thinking"))
        for part in turn.content
    )
