"""Turns as the messages of Anthropic's API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from greenroom.actors.messages.conversation import Turn
from greenroom.storage.codec.records import Json, Value
from greenroom.storage.common.message_text import role_of

__all__ = ["AnthropicMessages", "anthropic_messages"]

_DATA_URL: Final = re.compile(r"data:([^;,]*);base64,(.*)", re.DOTALL)


class AnthropicMessages(list[dict[str, Json]]):
    """The messages of a conversation. `system` is what the API takes apart from them: text, a list of parts, or None
    if there is none."""

    system: str | list[Json] | None = None


def anthropic_messages(turns: Iterable[Turn]) -> AnthropicMessages:
    """Return turns as Anthropic's API takes them: roles in turn, calls of tools and their results as parts.

    Turns of one side that follow each other are one message. System messages, wherever they stand, are in `system`.
    Empty texts are left out, because the API refuses them.
    """
    messages = AnthropicMessages()
    system: list[str | list[Value]] = []
    for turn in turns:
        role = role_of(turn.role) or "user"
        if role == "system":
            system += [content] if (content := _content(turn)) else []
            continue
        side = "assistant" if role == "assistant" else "user"
        content = _result(turn) if role == "tool" and not _has_result(turn) else _said(turn)
        if not content:
            continue
        if messages and messages[-1]["role"] == side:
            messages[-1]["content"] = [*_parts(messages[-1]["content"]), *_parts(content)]
        else:
            messages.append({"role": side, "content": content})
    if len(system) == 1:
        messages.system = system[0]
    elif system:
        messages.system = [part for content in system for part in _parts(content)]
    return messages


def _content(turn: Turn) -> str | list[Value]:
    if isinstance(turn.content, list):
        return [each for part in turn.content if (each := _part(part)) is not None]
    return turn.content or ""


def _said(turn: Turn) -> str | list[Value]:
    content = _content(turn) or turn.text  # such as a refusal
    calls = [*(turn.tool_calls or []), *_function_call(turn)]
    return [*_parts(content), *map(_use, calls)] if calls else content


def _function_call(turn: Turn) -> list[Value]:
    """Return the call of OpenAI's older form, which has no id: its result has the function's name."""
    call: Value = turn.metadata.get("function_call")
    return [{"id": f"call_{call.get('name', '')}", "function": call}] if isinstance(call, dict) else []


def _result(turn: Turn) -> list[Value]:
    result: dict[str, Value] = {
        "type": "tool_result",
        "tool_use_id": turn.tool_call_id or f"call_{turn.name or ''}",
        "content": _content(turn),
    }
    if turn.metadata.get("is_error") is True:
        result["is_error"] = True
    return [result]


def _has_result(turn: Turn) -> bool:
    return isinstance(turn.content, list) and any(
        isinstance(part, dict) and part.get("type") == "tool_result" for part in turn.content
    )


def _parts(content: Any) -> list[Value]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return list(content)


def _use(call: Value) -> Value:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict):
        return call
    return {
        "type": "tool_use",
        "id": call.get("id") or "",
        "name": function.get("name") or "",
        "input": _input(function.get("arguments")),
    }


def _input(arguments: Any) -> dict[str, Value]:
    """Return the arguments of a call as an object, which the API needs; what is none is its one entry."""
    value = arguments
    if isinstance(arguments, str):
        try:
            value = json.loads(arguments) if arguments else {}
        except (ValueError, RecursionError):
            value = arguments
    return value if isinstance(value, dict) else {"arguments": value}


def _part(part: Value) -> Value | None:
    """Return a part of OpenAI's as one of Anthropic's; None for an empty text."""
    if isinstance(part, str):
        return {"type": "text", "text": part} if part else None
    if not isinstance(part, dict):
        return part
    kind = part.get("type")
    if kind in ("text", "input_text", "output_text"):
        if not part.get("text"):
            return None
        return part if kind == "text" else {"type": "text", "text": part["text"]}
    if kind == "refusal":
        return {"type": "text", "text": part["refusal"]} if part.get("refusal") else None
    if kind == "image_url":
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, dict) else image
        return {"type": "image", "source": _source(str(url))}
    if kind == "file" and isinstance(part.get("file"), dict) and part["file"].get("file_data"):
        return {"type": "document", "source": _source(str(part["file"]["file_data"]))}
    return part


def _source(url: str) -> dict[str, Value]:
    found = _DATA_URL.fullmatch(url)
    if found is None:
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": found[1], "data": found[2]}
