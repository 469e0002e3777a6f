"""Gemini, of Google's API and of Vertex."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from greenroom.runtime.recording.patches.grammar import Operator

from .base import Body, Call, Format, Result, joined
from .framing import Event

__all__ = ["Gemini"]

_PLACES = {"temperature": "temperature", "top_p": "topP", "top_k": "topK", "max_tokens": "maxOutputTokens"}


class Gemini(Format):
    """`POST …/models/NAME:generateContent`."""

    name = "Gemini"
    conversation = "contents"
    parameters = {name: ("generationConfig", place) for name, place in _PLACES.items()} | {
        "stop": ("generationConfig", "stopSequences"),
        "seed": ("generationConfig", "seed"),
        "tools": ("tools",),
        "tool_choice": ("toolConfig",),
    }
    model_in_url = re.compile(r"(?P<before>/models/)[^/:?]+(?P<after>:)")

    def with_system(self, body: Body, operator: Operator, value: Any) -> Body:
        name = "system_instruction" if "system_instruction" in body else "systemInstruction"
        old = body.get(name)
        text = joined(_said(old) if old else None, operator, value, "llm.system")
        kept = {key: each for key, each in body.items() if key != name}
        return kept if text is None else {**kept, name: {**(old or {}), "parts": [{"text": text}]}}

    def message(self, role: str, text: str) -> Body:
        return {"role": "model" if role == "assistant" else role, "parts": [{"text": text}]}

    def content(self, text: str) -> tuple[str, Any]:
        return "parts", [{"text": text}]

    def part(self, text: str) -> Any:
        return {"text": text}

    def results(self, messages: list[Any]) -> Iterator[Result]:
        for place, message in enumerate(messages):
            for number, part in enumerate(message.get("parts") or ()):
                found = part.get("functionResponse")
                if isinstance(found, dict):
                    yield Result(str(found.get("name")), (place, "parts", number, "functionResponse", "response"))

    def result_of(self, content: Any) -> Any:
        return content["result"] if isinstance(content, dict) and content.keys() == {"result"} else content

    def as_result(self, value: Any, old: Any) -> Any:
        wraps = not isinstance(value, dict) or (isinstance(old, dict) and old.keys() == {"result"})
        return {"result": value} if wraps else value  # as the SDK wraps what is no object

    def with_text(self, answer: Body, operator: Operator, value: Any) -> Body:
        parts = _parts(answer)
        spoken = [place for place, each in enumerate(parts) if _is_spoken(each)]
        text = joined("".join(parts[place]["text"] for place in spoken), operator, value, "response.text")
        kept = [each for each in parts if not _is_spoken(each)]
        if text is not None:
            kept.insert(spoken[0] if spoken else 0, {"text": text})
        return _with_parts(answer, kept)

    def calls(self, answer: Body) -> list[Call]:
        found = [each["functionCall"] for each in _parts(answer) if "functionCall" in each]
        return [Call(each.get("id"), str(each.get("name")), each.get("args")) for each in found]

    def with_calls(self, answer: Body, calls: list[Call]) -> Body:
        parts = [each for each in _parts(answer) if "functionCall" not in each]
        for each in calls:
            named = {"id": each.id} if each.id else {}
            parts.append({"functionCall": {**named, "name": each.name, "args": each.arguments}})
        return _with_parts(answer, parts)

    def whole(self, events: list[Event]) -> Body:
        answer: Body = {}
        parts: list[Body] = []
        candidate: Body = {}
        for event in events:
            data = event.data if isinstance(event.data, dict) else {}
            answer |= {name: value for name, value in data.items() if name != "candidates"}
            for each in (data.get("candidates") or ())[:1]:
                candidate |= each
                for part in (each.get("content") or {}).get("parts") or ():
                    _add_part(parts, part)
        content = {"role": "model", **(candidate.get("content") or {}), "parts": parts}
        return {**answer, "candidates": [{**candidate, "content": content}]}

    def streamed(self, answer: Body) -> list[Event]:
        return [Event(None, json.loads(json.dumps(answer)))]


def _add_part(parts: list[Body], part: Body) -> None:
    last = parts[-1] if parts else {}
    if set(part) == {"text"} == set(last) or (part.get("thought") and last.get("thought") and set(part) == set(last)):
        parts[-1] = {**last, "text": last.get("text", "") + part.get("text", "")}
    else:
        parts.append(part)


def _is_spoken(part: Body) -> bool:
    return "text" in part and not part.get("thought")


def _said(content: Any) -> str:
    parts = content.get("parts") if isinstance(content, dict) else None
    found = [parts] if isinstance(parts, dict) else parts or ()
    return "".join(str(each.get("text") or "") for each in found)


def _parts(answer: Body) -> list[Body]:
    first = (answer.get("candidates") or [{}])[0]
    return list((first.get("content") or {}).get("parts") or ())


def _with_parts(answer: Body, parts: list[Body]) -> Body:
    first, *others = answer.get("candidates") or [{"finishReason": "STOP", "index": 0}]
    content = {"role": "model", **(first.get("content") or {}), "parts": parts}
    return {**answer, "candidates": [{**first, "content": content}, *others]}
