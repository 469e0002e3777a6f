"""Anthropic messages, also where a cloud wraps them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from greenroom.runtime.recording.patches.grammar import Operator

from .base import Body, Call, Format, Result, arguments_of, joined, plain_text
from .framing import Event

__all__ = ["Anthropic"]

_CALLS: Final = ("tool_use", "server_tool_use", "mcp_tool_use")
_IN_DELTAS: Final = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}


class Anthropic(Format):
    """`POST …/messages`, Bedrock's `/invoke`, Vertex's `:rawPredict`."""

    name = "Anthropic"
    conversation = "messages"
    parameters = {name: (name,) for name in ("temperature", "top_p", "top_k", "max_tokens", "tools", "tool_choice")} | {
        "stop": ("stop_sequences",)
    }
    model_in_url = re.compile(r"(?P<before>/models?/)[^/?]+?(?P<after>/invoke|:\w+Predict|:streamRawPredict)")

    def with_system(self, body: Body, operator: Operator, value: Any) -> Body:
        old = body.get("system")
        if operator == "+=" and isinstance(old, list) and isinstance(value, str):
            return {**body, "system": [*old, self.part(value)]}
        text = joined(plain_text(old) if old is not None else None, operator, value, "llm.system")
        kept = {name: each for name, each in body.items() if name != "system"}
        return kept if text is None else {**kept, "system": text}

    def results(self, messages: list[Any]) -> Iterator[Result]:
        names: dict[Any, str] = {}
        for place, message in enumerate(messages):
            content = message.get("content")
            for number, block in enumerate(content if isinstance(content, list) else ()):
                if block.get("type") in _CALLS:
                    names[block.get("id")] = str(block.get("name"))
                if block.get("type") == "tool_result":
                    yield Result(names.get(block.get("tool_use_id"), ""), (place, "content", number, "content"))

    def with_text(self, answer: Body, operator: Operator, value: Any) -> Body:
        content = list(answer.get("content") or ())
        texts = [place for place, each in enumerate(content) if each.get("type") == "text"]
        text = joined("".join(content[place]["text"] for place in texts), operator, value, "response.text")
        at = (
            texts[0]
            if texts
            else next((place for place, each in enumerate(content) if each.get("type") in _CALLS), len(content))
        )
        kept = [each for each in content if each.get("type") != "text"]
        if text is not None:
            kept.insert(at, {"type": "text", "text": text})
        return {**answer, "content": kept}

    def calls(self, answer: Body) -> list[Call]:
        return [
            Call(each.get("id"), str(each.get("name")), each.get("input"))
            for each in answer.get("content") or ()
            if each.get("type") == "tool_use"
        ]

    def with_calls(self, answer: Body, calls: list[Call]) -> Body:
        content = [each for each in answer.get("content") or () if each.get("type") != "tool_use"]
        content += [
            {"type": "tool_use", "id": each.id or f"toolu_patched_{number}", "name": each.name, "input": each.arguments}
            for number, each in enumerate(calls, 1)
        ]
        reason = "tool_use" if calls else answer.get("stop_reason")
        return {
            **answer,
            "content": content,
            "stop_reason": "end_turn" if not calls and reason == "tool_use" else reason,
        }

    def whole(self, events: list[Event]) -> Body:
        answer: Body = {}
        blocks: dict[int, Body] = {}
        inputs: dict[int, str] = {}
        for event in events:
            data = event.data if isinstance(event.data, dict) else {}
            place = data.get("index", 0)
            match data.get("type"):
                case "message_start":
                    answer = dict(data["message"])
                case "content_block_start":
                    blocks[place] = dict(data["content_block"])
                case "content_block_delta":
                    delta = data["delta"]
                    field = _IN_DELTAS.get(delta.get("type"))
                    if field is not None:
                        blocks[place][field] = (blocks[place].get(field) or "") + delta[field]
                    elif delta.get("type") == "input_json_delta":
                        inputs[place] = inputs.get(place, "") + delta["partial_json"]
                    elif delta.get("type") == "citations_delta":
                        blocks[place]["citations"] = [*(blocks[place].get("citations") or ()), delta["citation"]]
                case "message_delta":
                    answer |= data.get("delta") or {}
                    answer["usage"] = (answer.get("usage") or {}) | (data.get("usage") or {})
        for place, text in inputs.items():
            blocks[place]["input"] = arguments_of(text)
        return {**answer, "content": [blocks[place] for place in sorted(blocks)]}

    def streamed(self, answer: Body) -> list[Event]:
        events: list[Event] = []

        def add(type: str, **fields: Any) -> None:
            events.append(Event(type, {"type": type, **fields}))

        usage = answer.get("usage") or {}
        add(
            "message_start",
            message={**answer, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage},
        )
        for place, block in enumerate(answer.get("content") or ()):
            start, deltas = _taken_apart(block)
            add("content_block_start", index=place, content_block=start)
            for delta in deltas:
                add("content_block_delta", index=place, delta=delta)
            add("content_block_stop", index=place)
        end = {"stop_reason": answer.get("stop_reason"), "stop_sequence": answer.get("stop_sequence")}
        add("message_delta", delta=end, usage={"output_tokens": 0, **usage})
        add("message_stop")
        return events


def _taken_apart(block: Body) -> tuple[Body, list[Body]]:
    """Return how a block begins in a stream, and what is then added to it."""
    kind = block.get("type")
    if kind == "text":
        cited = [{"type": "citations_delta", "citation": each} for each in block.get("citations") or ()]
        return {**block, "text": ""}, [*cited, {"type": "text_delta", "text": block.get("text") or ""}]
    if kind == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": block.get("thinking") or ""}]
        if block.get("signature"):
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        return {**block, "thinking": "", "signature": ""}, deltas
    if kind in _CALLS:
        text = json.dumps(block.get("input"), ensure_ascii=False)
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": text}]
    return block, []
