"""Bedrock's converse and converse-stream."""

from __future__ import annotations

from typing import Any, Final

from greenroom.runtime.recording.understanding.bodies import as_object, json_of, text_or_none, whole_or_none
from greenroom.runtime.recording.understanding.model import Answered, Asked, Usage

from .common import Events, Format, error_in, joined, rest_of, summed, turns_of, with_system

__all__ = ["CONVERSE", "usage_of"]

_TAKEN: Final = ("modelId", "messages", "system", "toolConfig", "inferenceConfig", "schemaVersion")


def _asked(body: dict[str, Any]) -> Asked:
    system, messages = with_system(turns_of(body.get("messages")), joined(body.get("system")))
    config = as_object(body.get("toolConfig"))
    tools = config.get("tools")
    choice = {"toolChoice": config["toolChoice"]} if config.get("toolChoice") else {}
    return Asked(
        text_or_none(body.get("modelId")),
        system,
        messages,
        tuple(tools) if isinstance(tools, list) else (),
        {**as_object(body.get("inferenceConfig")), **choice, **rest_of(body, *_TAKEN)},
    )


def _answered(body: dict[str, Any]) -> Answered:
    message = as_object(body.get("output")).get("message")
    reply = turns_of([{"role": "assistant", **message}]) if isinstance(message, dict) else []
    return Answered(
        text_or_none(as_object(as_object(body.get("trace")).get("promptRouter")).get("invokedModelId")),
        None,
        tuple(reply),
        text_or_none(body.get("stopReason")),
        usage_of(body.get("usage")),
        error_in(body) if body.get("error") else None,
    )


def usage_of(value: Any) -> Usage | None:
    """Return the usage. Bedrock counts what comes from the cache, and what is written to it, apart from the rest."""
    if not isinstance(value, dict):
        return None
    cached, written = (
        whole_or_none(value.get(f"{name}s", value.get(f"{name}Count")))
        for name in ("cacheReadInputToken", "cacheWriteInputToken")
    )
    given = summed((whole_or_none(value.get("inputTokens")), cached, written))
    made = whole_or_none(value.get("outputTokens"))
    total = whole_or_none(value.get("totalTokens"))
    return Usage(given, made, total if total is not None else summed((given, made)), cached, written)


def _assembled(events: Events, problems: list[str]) -> dict[str, Any]:
    message: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    body: dict[str, Any] = {}
    ended = False
    for name, value in events:
        event = as_object(value)
        place = whole_or_none(event.get("contentBlockIndex")) or 0
        if name == "messageStart":
            message["role"] = event.get("role", "assistant")
        elif name == "contentBlockStart":
            start = as_object(event.get("start"))
            if isinstance(use := start.get("toolUse"), dict):
                blocks[place] = {"toolUse": {**use, "input": ""}}
        elif name == "contentBlockDelta":
            _add(blocks.setdefault(place, {}), as_object(event.get("delta")))
        elif name == "messageStop":
            ended = True
            body["stopReason"] = event.get("stopReason")
        elif name == "metadata":
            body.update({key: event[key] for key in ("usage", "metrics", "trace") if event.get(key)})
        elif name == "error":
            body["error"] = event.get("error") or event
            ended = True
    for block in blocks.values():
        use = block.get("toolUse")
        if isinstance(use, dict) and isinstance(use.get("input"), str):
            given = json_of(use["input"]) if use["input"] else {}
            if given is None:
                problems.append("the arguments of a tool's call are no JSON")
            use["input"] = given if given is not None else use["input"]
    if message or blocks:
        content = [blocks[place] for place in sorted(blocks) if blocks[place]]
        body["output"] = {"message": {"role": "assistant", **message, "content": content}}
    if not ended:
        problems.append("the stream ends before the answer does")
    return body


def _add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    for name, value in delta.items():
        if isinstance(value, str):
            before = block.get(name)
            block[name] = (before if isinstance(before, str) else "") + value
        elif isinstance(value, dict) and name == "reasoningContent":
            inner = block.setdefault(name, {})
            into = inner.setdefault("reasoningText", {}) if isinstance(inner, dict) else {}
            if isinstance(into, dict):
                _add(into, {key: each for key, each in value.items() if isinstance(each, str)})
        elif isinstance(value, dict):
            inner = block.setdefault(name, {})
            if isinstance(inner, dict):
                _add(inner, value)


CONVERSE: Final = Format("converse", _asked, _answered, _assembled)
