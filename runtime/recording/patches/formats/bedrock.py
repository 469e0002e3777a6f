"""Bedrock's converse."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from greenroom.runtime.recording.patches.grammar import Operator

from .base import Body, Call, Format, Result, arguments_of, joined, plain_text
from .framing import Event

__all__ = ["Bedrock"]

_PLACES = {"temperature": "temperature", "top_p": "topP", "max_tokens": "maxTokens", "stop": "stopSequences"}


class Bedrock(Format):
    """`POST /model/NAME/converse` and `/converse-stream`."""

    name = "Bedrock"
    conversation = "messages"
    parameters = {name: ("inferenceConfig", place) for name, place in _PLACES.items()} | {
        "top_k": ("additionalModelRequestFields", "top_k"),
        "tools": ("toolConfig", "tools"),
        "tool_choice": ("toolConfig", "toolChoice"),
    }
    model_in_url = re.compile(r"(?P<before>/model/)[^/?]+(?P<after>/converse)")

    def with_system(self, body: Body, operator: Operator, value: Any) -> Body:
        old = body.get("system")
        text = joined(plain_text(old) if old else None, operator, value, "llm.system")
        kept = {name: each for name, each in body.items() if name != "system"}
        return kept if text is None else {**kept, "system": [{"text": text}]}

    def message(self, role: str, text: str) -> Body:
        return {"role": role, "content": [{"text": text}]}

    def content(self, text: str) -> tuple[str, Any]:
        return "content", [{"text": text}]

    def part(self, text: str) -> Any:
        return {"text": text}

    def results(self, messages: list[Any]) -> Iterator[Result]:
        names: dict[Any, str] = {}
        for place, message in enumerate(messages):
            for number, block in enumerate(message.get("content") or ()):
                if "toolUse" in block:
                    names[block["toolUse"].get("toolUseId")] = str(block["toolUse"].get("name"))
                if "toolResult" in block:
                    name = names.get(block["toolResult"].get("toolUseId"), "")
                    yield Result(name, (place, "content", number, "toolResult", "content"))

    def result_of(self, content: Any) -> Any:
        first = content[0] if content else {}
        return first["json"] if "json" in first else super().result_of(content)

    def as_result(self, value: Any, old: Any) -> Any:
        if old and "json" in old[0] and isinstance(value, dict):
            return [{"json": value}]
        return [{"text": super().as_result(value, old)}]

    def with_text(self, answer: Body, operator: Operator, value: Any) -> Body:
        content = _content(answer)
        texts = [place for place, each in enumerate(content) if "text" in each]
        text = joined("".join(content[place]["text"] for place in texts), operator, value, "response.text")
        kept = [each for each in content if "text" not in each]
        if text is not None:
            kept.insert(texts[0] if texts else 0, {"text": text})
        return _with_content(answer, kept)

    def calls(self, answer: Body) -> list[Call]:
        found = [each["toolUse"] for each in _content(answer) if "toolUse" in each]
        return [Call(each.get("toolUseId"), str(each.get("name")), each.get("input")) for each in found]

    def with_calls(self, answer: Body, calls: list[Call]) -> Body:
        content = [each for each in _content(answer) if "toolUse" not in each]
        for number, each in enumerate(calls, 1):
            id = each.id or f"tooluse_patched_{number}"
            content.append({"toolUse": {"toolUseId": id, "name": each.name, "input": each.arguments}})
        reason = answer.get("stopReason")
        reason = "tool_use" if calls else "end_turn" if reason == "tool_use" else reason
        return {**_with_content(answer, content), "stopReason": reason}

    def whole(self, events: list[Event]) -> Body:
        answer: Body = {}
        role = "assistant"
        blocks: dict[int, Body] = {}
        for event in events:
            data = event.data if isinstance(event.data, dict) else {}
            place = data.get("contentBlockIndex", 0)
            match event.name:
                case "messageStart":
                    role = data.get("role", role)
                case "contentBlockStart":
                    blocks[place] = {name: {**each, "input": ""} for name, each in (data.get("start") or {}).items()}
                case "contentBlockDelta":
                    _add_delta(blocks.setdefault(place, {}), data.get("delta") or {})
                case "messageStop" | "metadata":
                    answer |= {name: value for name, value in data.items() if name != "p"}
        for block in blocks.values():
            if "toolUse" in block:
                block["toolUse"]["input"] = arguments_of(block["toolUse"]["input"])
        content = [blocks[place] for place in sorted(blocks)]
        return {**answer, "output": {"message": {"role": role, "content": content}}}

    def streamed(self, answer: Body) -> list[Event]:
        message = (answer.get("output") or {}).get("message") or {}
        events = [Event("messageStart", {"role": message.get("role", "assistant")})]
        for place, block in enumerate(message.get("content") or ()):
            at = {"contentBlockIndex": place}
            if "toolUse" in block:
                call = dict(block["toolUse"])
                text = json.dumps(call.pop("input", {}), ensure_ascii=False)
                events.append(Event("contentBlockStart", {"start": {"toolUse": call}, **at}))
                events.append(Event("contentBlockDelta", {"delta": {"toolUse": {"input": text}}, **at}))
            else:
                events += [Event("contentBlockDelta", {"delta": each, **at}) for each in _deltas(block)]
            events.append(Event("contentBlockStop", at))
        ends = {name: answer[name] for name in ("stopReason", "additionalModelResponseFields") if name in answer}
        events.append(Event("messageStop", ends))
        told = {name: answer[name] for name in ("usage", "metrics", "trace") if name in answer}
        return [*events, Event("metadata", told)] if told else events


def _deltas(block: Body) -> list[Body]:
    """Return a block as what is added to it in a stream."""
    reasoning = block.get("reasoningContent")
    if not isinstance(reasoning, dict):
        return [block]
    text = reasoning.get("reasoningText")
    parts = text if isinstance(text, dict) else reasoning
    return [{"reasoningContent": {name: value}} for name, value in parts.items()]


def _add_delta(block: Body, delta: Body) -> None:
    for name, value in delta.items():
        if name == "text":
            block["text"] = block.get("text", "") + value
        elif name == "toolUse":
            block.setdefault("toolUse", {"input": ""})["input"] += value.get("input", "")
        elif name == "reasoningContent" and not value.keys() <= {"text", "signature"}:
            block["reasoningContent"] = value
        elif name == "reasoningContent":
            text = block.setdefault("reasoningContent", {}).setdefault("reasoningText", {})
            for key, each in value.items():
                text[key] = text.get(key, "") + each
        else:
            block[name] = value


def _content(answer: Body) -> list[Body]:
    return list(((answer.get("output") or {}).get("message") or {}).get("content") or ())


def _with_content(answer: Body, content: list[Body]) -> Body:
    output = answer.get("output") or {}
    message = {"role": "assistant", **(output.get("message") or {}), "content": content}
    return {**answer, "output": {**output, "message": message}}
