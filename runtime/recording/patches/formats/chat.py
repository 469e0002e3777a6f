"""OpenAI chat completions, and all that speak this format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from greenroom.runtime.recording.patches.grammar import Operator

from .base import Body, Call, Format, Result, arguments_of, joined, plain_text
from .framing import Event

__all__ = ["Chat"]

_SYSTEM: Final = ("system", "developer")


class Chat(Format):
    """`POST …/chat/completions`."""

    name = "OpenAI chat"
    conversation = "messages"
    parameters = {name: (name,) for name in ("temperature", "top_p", "stop", "seed", "tools", "tool_choice")} | {
        "max_tokens": ("max_completion_tokens",)
    }

    def _place(self, body: Body, name: str) -> tuple[str, ...] | None:
        return ("max_tokens",) if name == "max_tokens" and name in body else super()._place(body, name)

    def with_system(self, body: Body, operator: Operator, value: Any) -> Body:
        messages = self.messages(body)
        at = next((place for place, each in enumerate(messages) if each.get("role") in _SYSTEM), None)
        old = plain_text(messages[at].get("content")) if at is not None else None
        text = joined(old, operator, value, "llm.system")
        if text is None:
            return self.with_messages(body, [each for each in messages if each.get("role") not in _SYSTEM])
        if at is None:
            return self.with_messages(body, [{"role": "system", "content": text}, *messages])
        return self.with_messages(body, [*messages[:at], {**messages[at], "content": text}, *messages[at + 1 :]])

    def results(self, messages: list[Any]) -> Iterator[Result]:
        names: dict[Any, str] = {}
        for place, each in enumerate(messages):
            for call in each.get("tool_calls") or ():
                names[call.get("id")] = str((call.get("function") or {}).get("name"))
            if each.get("role") == "tool":
                yield Result(names.get(each.get("tool_call_id")) or str(each.get("name")), (place, "content"))

    def with_text(self, answer: Body, operator: Operator, value: Any) -> Body:
        message = _message(answer)
        return _with_message(
            answer, {**message, "content": joined(message.get("content"), operator, value, "response.text")}
        )

    def calls(self, answer: Body) -> list[Call]:
        functions = [(each.get("id"), each.get("function") or {}) for each in _message(answer).get("tool_calls") or ()]
        return [Call(id, str(each.get("name")), arguments_of(each.get("arguments"))) for id, each in functions]

    def with_calls(self, answer: Body, calls: list[Call]) -> Body:
        message = {name: each for name, each in _message(answer).items() if name != "tool_calls"}
        if calls:
            message["tool_calls"] = [
                {
                    "id": each.id or f"call_patched_{number}",
                    "type": "function",
                    "function": {"name": each.name, "arguments": json.dumps(each.arguments, ensure_ascii=False)},
                }
                for number, each in enumerate(calls, 1)
            ]
        answer = _with_message(answer, message)
        first, *others = answer["choices"]
        reason = (
            "tool_calls"
            if calls
            else "stop"
            if first.get("finish_reason") == "tool_calls"
            else first.get("finish_reason")
        )
        return {**answer, "choices": [{**first, "finish_reason": reason}, *others]}

    def whole(self, events: list[Event]) -> Body:
        answer: Body = {}
        choices: dict[int, Body] = {}
        for event in events:
            if not isinstance(event.data, dict):
                continue  # [DONE]
            for name, value in event.data.items():
                if name != "choices" and (value is not None or name not in answer):
                    answer[name] = value
            for choice in event.data.get("choices") or ():
                place = choice.get("index", 0)
                into = choices.setdefault(place, {"index": place, "message": {}, "finish_reason": None})
                _add_delta(into["message"], choice.get("delta") or {})
                for name, value in choice.items():
                    if name not in ("delta", "index") and value is not None:
                        into[name] = value
        return {**answer, "object": "chat.completion", "choices": [choices[place] for place in sorted(choices)]}

    def streamed(self, answer: Body) -> list[Event]:
        head = {name: value for name, value in answer.items() if name not in ("choices", "usage")}
        head["object"] = "chat.completion.chunk"
        events: list[Event] = []

        def add(place: int, delta: Body, more: Body) -> None:
            choice = {"index": place, "delta": delta, "finish_reason": None} | more
            events.append(Event(None, {**head, "choices": [choice]}))

        for place, choice in enumerate(answer.get("choices") or ()):
            message = dict(choice.get("message") or {})
            calls = message.pop("tool_calls", None) or ()
            content = message.pop("content", None)
            add(place, {"role": "assistant", **message, "content": "" if content else content}, {})
            if content:
                add(place, {"content": content}, {})
            for number, call in enumerate(calls):
                add(place, {"tool_calls": [{"index": number, **call}]}, {})
            more = {name: value for name, value in choice.items() if name not in ("message", "index")}
            add(place, {}, more)
        if answer.get("usage") is not None:
            events.append(Event(None, {**head, "choices": [], "usage": answer["usage"]}))
        return [*events, Event(None, "[DONE]")]


def _message(answer: Body) -> Body:
    choices = answer.get("choices") or [{}]
    return dict(choices[0].get("message") or {"role": "assistant"})


def _with_message(answer: Body, message: Body) -> Body:
    first, *others = answer.get("choices") or [{"index": 0, "finish_reason": "stop"}]
    return {**answer, "choices": [{**first, "message": message}, *others]}


def _add_delta(message: Body, delta: Body) -> None:
    for name, value in delta.items():
        if name == "tool_calls":
            calls = message.setdefault("tool_calls", [])
            for each in value or ():
                place = each.get("index", len(calls))
                while len(calls) <= place:
                    calls.append({"id": None, "type": "function", "function": {"name": "", "arguments": ""}})
                _add_call(calls[place], each)
        elif isinstance(value, str) and isinstance(message.get(name), str) and name != "role":
            message[name] += value
        elif value is not None or name not in message:
            message[name] = value


def _add_call(call: Body, delta: Body) -> None:
    for name, value in delta.items():
        if name == "function":
            for key, text in (value or {}).items():
                call["function"][key] = (call["function"].get(key) or "") + (text or "")
        elif name != "index" and value is not None:
            call[name] = value
