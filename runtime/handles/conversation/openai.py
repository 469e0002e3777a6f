"""Turns as the messages of OpenAI's chat API."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from greenroom.actors.messages.conversation import Turn
from greenroom.storage.codec.records import Value
from greenroom.storage.common.message_text import role_of, text_of

__all__ = ["FIELDS", "openai_messages"]

_ROLES: Final = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
FIELDS: Final = ("refusal", "audio", "annotations", "function_call", "reasoning_content", "reasoning_details")
"""Further fields of a message, which turns have in their metadata."""
_BLOCKS: Final = frozenset({"tool_use", "tool_result", "thinking", "redacted_thinking", "image", "document"})
"""Types of the parts that Anthropic's messages have, and OpenAI's have not."""


def openai_messages(turns: Iterable[Turn]) -> list[dict[str, Value]]:
    """Return turns as OpenAI's chat API takes them.

    Parts of Anthropic's are converted: uses of tools become `tool_calls`, each result a message of the role "tool".
    What OpenAI has no place for is left out: thinking, and whether a result is an error.
    """
    return [message for turn in turns for message in _messages(turn)]


def _messages(turn: Turn) -> list[dict[str, Value]]:
    role = turn.role if turn.role in _ROLES else role_of(turn.role) or turn.role
    content: Any = turn.content
    calls: list[Value] = [*(turn.tool_calls or ())]
    results: list[dict[str, Value]] = []
    if isinstance(content, list) and any(_type(part) in _BLOCKS for part in content):
        results = [_result(part) for part in content if _type(part) == "tool_result"]
        calls += [_call(part) for part in content if _type(part) == "tool_use"]
        content = [_part(part) for part in content if _type(part) not in _BLOCKS - {"image", "document"}]
        if not content and results and not calls:
            return results
        content = content or None
    message: dict[str, Value] = {"role": role, "content": content if content is not None or calls else _empty(turn)}
    if turn.name is not None:
        message["name"] = turn.name
    if calls:
        message["tool_calls"] = calls
    if turn.tool_call_id is not None:
        message["tool_call_id"] = turn.tool_call_id
    message.update((name, turn.metadata[name]) for name in FIELDS if name in turn.metadata)
    return [*results, message]


def _empty(turn: Turn) -> str | None:
    """Return the content of a turn that has none: only an assistant's message may be without."""
    return None if turn.role == "assistant" else ""


def _type(part: Value) -> Any:
    return part.get("type") if isinstance(part, dict) else None


def _call(part: dict[str, Any]) -> dict[str, Value]:
    arguments = json.dumps(part.get("input", {}), ensure_ascii=False)
    return {
        "id": part.get("id", ""),
        "type": "function",
        "function": {"name": part.get("name", ""), "arguments": arguments},
    }


def _result(part: dict[str, Any]) -> dict[str, Value]:
    content = part.get("content", "")
    return {
        "role": "tool",
        "content": content if isinstance(content, str) else text_of(content),
        "tool_call_id": part.get("tool_use_id", ""),
    }


def _part(part: Value) -> Value:
    source = part.get("source") if isinstance(part, dict) else None
    if not isinstance(source, dict) or _type(part) not in ("image", "document"):
        return part
    if source.get("type") == "base64":
        url = f"data:{source.get('media_type', '')};base64,{source.get('data', '')}"
    elif source.get("type") == "url":
        url = str(source.get("url", ""))
    else:
        return {"type": "text", "text": text_of(part)}
    if _type(part) == "image":
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file", "file": {"filename": str(part.get("title") or "document"), "file_data": url}}
