"""OpenAI responses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from greenroom.runtime.recording.patches.grammar import Operator

from .base import Body, Call, Format, Result, arguments_of, joined, plain_text
from .framing import Event

__all__ = ["Responses"]

_SYSTEM: Final = ("system", "developer")
_ENDS: Final = ("response.completed", "response.incomplete", "response.failed")


class Responses(Format):
    """`POST …/responses`."""

    name = "OpenAI responses"
    conversation = "input"
    parameters = {name: (name,) for name in ("temperature", "top_p", "tools", "tool_choice")} | {
        "max_tokens": ("max_output_tokens",)
    }

    def with_system(self, body: Body, operator: Operator, value: Any) -> Body:
        messages = self.messages(body)
        at = next((place for place, each in enumerate(messages) if each.get("role") in _SYSTEM), None)
        if "instructions" in body or at is None:
            text = joined(body.get("instructions"), operator, value, "llm.system")
            return {**body, "instructions": text}
        text = joined(plain_text(messages[at].get("content")), operator, value, "llm.system")
        changed = [] if text is None else [{**messages[at], "content": text}]
        return self.with_messages(body, [*messages[:at], *changed, *messages[at + 1 :]])

    def messages(self, body: Body) -> list[Any]:
        found = body.get("input")
        return [{"role": "user", "content": found}] if isinstance(found, str) else super().messages(body)

    def part(self, text: str) -> Any:
        return {"type": "input_text", "text": text}

    def results(self, messages: list[Any]) -> Iterator[Result]:
        names: dict[Any, str] = {}
        for place, each in enumerate(messages):
            if each.get("type") == "function_call":
                names[each.get("call_id")] = str(each.get("name"))
            if each.get("type") == "function_call_output":
                yield Result(names.get(each.get("call_id"), ""), (place, "output"))

    def with_text(self, answer: Body, operator: Operator, value: Any) -> Body:
        output = list(answer.get("output") or ())
        old = "".join(plain_text(each.get("content")) for each in output if each.get("type") == "message")
        text = joined(old, operator, value, "response.text")
        at = next((place for place, each in enumerate(output) if each.get("type") == "message"), len(output))
        kept = [each for each in output if each.get("type") != "message"]
        if text is not None:
            blank = {"type": "message", "id": "msg_patched", "role": "assistant", "status": "completed"}
            message = output[at] if at < len(output) else blank
            part = {"type": "output_text", "text": text, "annotations": []}
            kept.insert(at, {**message, "content": [part]})
        return {**answer, "output": kept}

    def calls(self, answer: Body) -> list[Call]:
        return [
            Call(each.get("call_id"), str(each.get("name")), arguments_of(each.get("arguments")))
            for each in answer.get("output") or ()
            if each.get("type") == "function_call"
        ]

    def with_calls(self, answer: Body, calls: list[Call]) -> Body:
        output = answer.get("output") or ()
        ids = {each.get("call_id"): each.get("id") for each in output if each.get("type") == "function_call"}
        made = [
            {
                "type": "function_call",
                "id": ids.get(each.id) or f"fc_patched_{number}",
                "call_id": each.id or f"call_patched_{number}",
                "name": each.name,
                "arguments": json.dumps(each.arguments, ensure_ascii=False),
                "status": "completed",
            }
            for number, each in enumerate(calls, 1)
        ]
        return {**answer, "output": [each for each in output if each.get("type") != "function_call"] + made}

    def whole(self, events: list[Event]) -> Body:
        answer: Body = {}
        items: dict[int, Any] = {}
        for event in events:
            data = event.data if isinstance(event.data, dict) else {}
            if isinstance(data.get("response"), dict):
                answer = data["response"]
            if data.get("type") == "response.output_item.done":
                items[data.get("output_index", len(items))] = data.get("item")
            if data.get("type") in _ENDS and answer.get("output"):
                return answer
        return {**answer, "output": [items[place] for place in sorted(items)]}

    def streamed(self, answer: Body) -> list[Event]:
        events: list[Event] = []

        def add(type: str, **fields: Any) -> None:
            events.append(Event(type, {"type": type, "sequence_number": len(events), **fields}))

        begun = {**answer, "status": "in_progress", "output": [], "usage": None}
        add("response.created", response=begun)
        add("response.in_progress", response=begun)
        for place, item in enumerate(answer.get("output") or ()):
            _add_item(add, place, item)
        status = answer.get("status")
        end = f"response.{status}" if status in ("incomplete", "failed") else "response.completed"
        add(end, response=answer)
        return events


def _add_item(add: Any, place: int, item: Body) -> None:
    where = {"item_id": item.get("id"), "output_index": place}
    blank: dict[str, Body] = {"message": {"content": []}, "function_call": {"arguments": ""}}
    begun = blank.get(str(item.get("type")), {})
    if begun:
        begun = {**begun, "status": "in_progress"}
    add("response.output_item.added", output_index=place, item={**item, **begun})
    if item.get("type") == "function_call":
        arguments = item.get("arguments") or ""
        add("response.function_call_arguments.delta", **where, delta=arguments)
        add("response.function_call_arguments.done", **where, name=item.get("name"), arguments=arguments)
    for number, part in enumerate(item.get("content") or () if item.get("type") == "message" else ()):
        at = {**where, "content_index": number}
        kind, field = ("refusal", "refusal") if part.get("type") == "refusal" else ("output_text", "text")
        add("response.content_part.added", **at, part={**part, field: ""})
        more: dict[str, Any] = {"logprobs": []} if field == "text" else {}
        add(f"response.{kind}.delta", **at, delta=part.get(field) or "", **more)
        add(f"response.{kind}.done", **at, **{field: part.get(field) or ""}, **more)
        add("response.content_part.done", **at, part=part)
    add("response.output_item.done", output_index=place, item=item)
