"""Gemini's generateContent and streamGenerateContent."""

from __future__ import annotations

from typing import Any, Final

from greenroom.runtime.ingest.forms.gemini import message_of
from greenroom.runtime.recording.understanding.bodies import as_object, as_rows, text_or_none, whole_or_none
from greenroom.runtime.recording.understanding.model import Answered, Asked, Usage

from .common import Events, Format, error_in, joined, rest_of, summed, turns_of, with_system

__all__ = ["GENERATE"]

_TAKEN: Final = ("model", "contents", "tools", "systemInstruction", "system_instruction", "generationConfig")


def _asked(body: dict[str, Any]) -> Asked:
    contents = body.get("contents")
    turns = turns_of([message_of(each) for each in contents] if isinstance(contents, list) else None)
    instruction = body.get("systemInstruction", body.get("system_instruction"))
    parts = as_object(instruction).get("parts", instruction)
    system, messages = with_system(turns, joined(parts))
    tools = body.get("tools")
    config = as_object(body.get("generationConfig", body.get("generation_config")))
    return Asked(
        text_or_none(body.get("model")),
        system,
        messages,
        tuple(tools) if isinstance(tools, list) else (),
        {**config, **rest_of(body, *_TAKEN, "generation_config")},
    )


def _answered(body: dict[str, Any]) -> Answered:
    candidate = next(iter(as_rows(body.get("candidates"))), {})
    content = candidate.get("content")
    reply = []
    if isinstance(content, dict) and content.get("parts"):
        reply = turns_of([{**content, "role": "model"}])
    blocked = as_object(body.get("promptFeedback")).get("blockReason")
    return Answered(
        text_or_none(body.get("modelVersion")),
        text_or_none(body.get("responseId")),
        tuple(reply),
        text_or_none(candidate.get("finishReason")) or text_or_none(blocked),
        _usage(body.get("usageMetadata")),
        error_in(body) if body.get("error") else None,
    )


def _usage(value: Any) -> Usage | None:
    """Return the usage. Gemini counts thoughts apart from the answer, and results of its own tools apart from the
    prompt."""
    if not isinstance(value, dict):
        return None
    thoughts = whole_or_none(value.get("thoughtsTokenCount"))
    given = summed(whole_or_none(value.get(name)) for name in ("promptTokenCount", "toolUsePromptTokenCount"))
    made = summed((whole_or_none(value.get("candidatesTokenCount")), thoughts))
    total = whole_or_none(value.get("totalTokenCount"))
    return Usage(
        given,
        made,
        total if total is not None else summed((given, made)),
        whole_or_none(value.get("cachedContentTokenCount")),
        reasoning=thoughts,
    )


def _assembled(events: Events, problems: list[str]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    parts: list[dict[str, Any]] = []
    finish = None
    for _, value in events:
        for chunk in as_rows(value) if isinstance(value, list) else [as_object(value)]:
            body.update({name: each for name, each in chunk.items() if name != "candidates" and each is not None})
            candidate = next(iter(as_rows(chunk.get("candidates"))), {})
            finish = candidate.get("finishReason") or finish
            for part in as_rows(as_object(candidate.get("content")).get("parts")):
                _add(parts, part)
    body["candidates"] = [{"content": {"parts": parts, "role": "model"}, "finishReason": finish}]
    if not finish and not body.get("error") and not as_object(body.get("promptFeedback")).get("blockReason"):
        problems.append("the stream ends before the answer does")
    return body


def _add(parts: list[dict[str, Any]], part: dict[str, Any]) -> None:
    """Add a part; a text goes on with the text before it."""
    last = parts[-1] if parts else {}
    both = isinstance(part.get("text"), str) and isinstance(last.get("text"), str)
    if both and part.get("thought") == last.get("thought") and "thoughtSignature" not in last:
        parts[-1] = {**last, **part, "text": last["text"] + part["text"]}
    else:
        parts.append(part)


GENERATE: Final = Format("generate", _asked, _answered, _assembled)
