"""Recognizes a conversation in a JSON record and brings its turns into one shape.

OpenAI chat (``{"messages": [...]}`` or a bare list of messages), ShareGPT (``{"conversations": [{"from",
"value"}]}``) and SWE-agent trajectories (``{"history": [...]}``).
"""

from __future__ import annotations

from typing import Any

from greenroom.runtime.ingest.records import Conversation, Turn, UnknownRecord

_SHAREGPT_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "model": "assistant",
    "function_call": "assistant",
    "system": "system",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
}
_LAYOUTS = (
    ("messages", "openai-chat"),
    ("history", "swe-agent"),
    ("conversations", "sharegpt"),
    ("conversation", "sharegpt"),
)
_COPIES_OF_HISTORY = frozenset({"trajectory"})  # the same texts step by step: not kept a second time


def conversation_of(value: Any) -> Conversation:
    """The conversation in a parsed JSON record.

    Raises UnknownRecord, with what is missing and at which message, when there is none. Message numbers
    count from 0.
    """
    if isinstance(value, list):
        return Conversation("openai-chat", _turns(value), {})
    if not isinstance(value, dict):
        raise UnknownRecord("it is no conversation: neither an object nor a list")
    for key, layout in _LAYOUTS:
        if isinstance(value.get(key), list):
            dropped = _COPIES_OF_HISTORY if layout == "swe-agent" else frozenset()
            extra = {name: item for name, item in value.items() if name != key and name not in dropped}
            return Conversation(layout, _turns(value[key]), extra)
    if "role" in value or "from" in value:
        raise UnknownRecord("it is a single message, not a conversation")
    raise UnknownRecord('it is no conversation: it has no list under "messages", "history" or "conversations"')


def _turns(items: list[Any]) -> list[Turn]:
    if not items:
        raise UnknownRecord("the conversation has no messages")
    return [_turn(number, item) for number, item in enumerate(items)]


def _turn(number: int, item: Any) -> Turn:
    if not isinstance(item, dict):
        raise UnknownRecord(f"message {number} is not an object")
    if "role" not in item and "from" in item:
        return _sharegpt_turn(number, item)
    rest = dict(item)
    role = rest.pop("role", None)
    if not isinstance(role, str) or not role.strip():
        raise UnknownRecord(f"message {number} has no role")
    tool_calls = rest.pop("tool_calls", None)
    if tool_calls is not None and not isinstance(tool_calls, list):
        raise UnknownRecord(f"message {number}: tool_calls is not a list")
    if "content" not in rest and tool_calls is None and not {"function_call", "refusal", "audio"} & rest.keys():
        raise UnknownRecord(f"message {number} has no content")
    content = rest.pop("content", None)
    if content is not None and not isinstance(content, (str, list)):
        raise UnknownRecord(f"message {number}: content is neither text nor a list of parts")
    name = _text_or_keep(rest, "name")
    tool_call_id = _text_or_keep(rest, "tool_call_id")
    ids = rest.get("tool_call_ids")
    if tool_call_id is None and isinstance(ids, list) and ids and isinstance(ids[0], str):
        tool_call_id = ids[0]
        if len(ids) == 1:
            del rest["tool_call_ids"]
    return Turn(role, content, name, tool_calls, tool_call_id, rest)


def _sharegpt_turn(number: int, item: dict[str, Any]) -> Turn:
    rest = dict(item)
    speaker, text = rest.get("from"), rest.pop("value", None)
    if not isinstance(speaker, str) or not speaker.strip():
        raise UnknownRecord(f"message {number} does not say who it is from")
    if not isinstance(text, str):
        raise UnknownRecord(f'message {number} has no text under "value"')
    role = _SHAREGPT_ROLES.get(speaker.strip().lower().replace("-", "_"), speaker)
    if role == speaker:
        del rest["from"]
    return Turn(role, text, metadata=rest)


def _text_or_keep(rest: dict[str, Any], key: str) -> str | None:
    """Take a text field out of `rest`; anything else stays there, to be kept as metadata. Null is nothing."""
    value = rest.get(key)
    if value is None or isinstance(value, str):
        rest.pop(key, None)
        return value
    return None
