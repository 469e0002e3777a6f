"""Messages of LlamaIndex as turns, and the sessions that have them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from llama_index.core.llms import ChatMessage, MessageRole

from greenroom.runtime import Message, Runtime, Session
from greenroom.runtime.integrations.json_forms import require_form, written
from greenroom.runtime.integrations.keys import key_of
from greenroom.runtime.integrations.turns import Conversation, as_turn, called, kept, openai_call, whole
from greenroom.runtime.messages import AddMessage

__all__ = ["FRAMEWORK", "chat_message", "conversation", "payload_of", "sessions", "stored", "turn_of"]

FRAMEWORK: Final = "llama_index"
KEY: Final = "llama_index_key"
"""The entry of a session's metadata that has the key of the chat store, if the session's own key cannot hold it."""
_ROLES: Final = frozenset(role.value for role in MessageRole)
_IN_CALLS: Final = {"block_type", "tool_call_id", "tool_name", "tool_kwargs"}
_MAX_NAME: Final = 255


def conversation(runtime: Runtime, key: str) -> Conversation:
    """Return the conversation of a key of a chat store."""
    own = key_of(FRAMEWORK, key, "key")
    return Conversation(runtime, own, None if own == f"{FRAMEWORK}:{key}" else {KEY: key})


def sessions(runtime: Runtime) -> Iterator[tuple[str, Session]]:
    """Yield the keys of a chat store and their sessions."""
    for info in runtime.iterate_sessions(key_prefix=f"{FRAMEWORK}:", status="all"):
        key = info.custom_metadata.get(KEY, (info.key or "").removeprefix(f"{FRAMEWORK}:"))
        yield str(key), runtime.session(info.id)


def stored(message: ChatMessage) -> dict[str, Any]:
    """Return a message as LlamaIndex writes it. Raises ValidationError for one that it cannot write.

    Images in `additional_kwargs` are left out: LlamaIndex has made blocks of them, and would do so once more.
    """
    require_form(written(message.model_dump, "message"), "message")
    payload = written(lambda: message.model_dump(mode="json"), "message")
    if message.additional_kwargs.get("images"):
        payload["additional_kwargs"].pop("images", None)
    return payload


def chat_message(payload: dict[str, Any]) -> ChatMessage:
    """Return the message that `stored` has written."""
    return ChatMessage.model_validate(payload)


def turn_of(payload: dict[str, Any], beside: dict[str, Any] | None = None) -> AddMessage:
    """Return a message as a turn. `beside` are further fields of the turn's metadata."""
    rest = dict(payload)
    role, blocks = rest.pop("role"), rest.pop("blocks")
    more = dict(rest.pop("additional_kwargs"))
    parts: list[Any] = []
    calls: list[Any] = []
    details: list[Any] = []
    for place, block in enumerate(blocks):
        if block["block_type"] == "tool_call":
            arguments = block["tool_kwargs"]
            calls.append(openai_call(block["tool_call_id"], block["tool_name"], arguments))
            extra = {key: block[key] for key in block if key not in _IN_CALLS}
            details.append({"at": place, "is_text": isinstance(arguments, str), "more": extra})
        else:
            parts.append(block)
    split: dict[str, Any] = {"rest": rest} if rest else {}
    if calls:
        split["calls"] = details
    elif _are_calls(more.get("tool_calls")):
        calls, split["calls"] = more.pop("tool_calls"), None
    name, tool_call_id = _taken(more, "name"), _taken(more, "tool_call_id")
    if more:
        split["more"] = more
    content = parts[0]["text"] if len(parts) == 1 and parts[0].keys() == {"block_type", "text"} else parts or None
    return as_turn(
        role,
        content,
        split,
        payload,
        name=name,
        tool_calls=calls or None,
        tool_call_id=tool_call_id,
        beside=beside,
    )


def _are_calls(calls: object) -> bool:
    return isinstance(calls, list) and bool(calls) and all(isinstance(call, dict) for call in calls)


def _taken(more: dict[str, Any], key: str) -> str | None:
    value = more.get(key)
    return more.pop(key) if isinstance(value, str) and 0 < len(value) <= _MAX_NAME else None


def payload_of(turn: Message) -> dict[str, Any]:
    """Return the message that a turn was made of; of a turn by another hand, a message that says the same."""
    if (message := whole(turn)) is not None:
        return dict(message)
    split = kept(turn) or {}
    content = turn.content
    if isinstance(content, str):
        blocks: list[Any] = [_text(content)]
    else:
        blocks = [_block(part) for part in content or ()]
    more = dict(split.get("more", {}))
    if turn.name is not None:
        more["name"] = turn.name
    if turn.tool_call_id is not None:
        more["tool_call_id"] = turn.tool_call_id
    if turn.tool_calls:
        details = split.get("calls", [])
        if details is None:
            more["tool_calls"] = turn.tool_calls
        else:
            for number, call in enumerate(turn.tool_calls):
                detail = details[number] if number < len(details) else {}
                blocks.insert(detail.get("at", len(blocks)), _call(call, detail))
    role = turn.role if turn.role in _ROLES else "user"
    return {"role": role, "additional_kwargs": more, "blocks": blocks, **split.get("rest", {})}


def _text(text: str) -> dict[str, Any]:
    return {"block_type": "text", "text": text}


def _block(part: Any) -> dict[str, Any]:
    if isinstance(part, dict):
        if "block_type" in part:
            return part
        text = part.get("text")
        return _text(text if isinstance(text, str) else json.dumps(part, ensure_ascii=False, default=repr))
    return _text(str(part))


def _call(call: Any, detail: dict[str, Any]) -> dict[str, Any]:
    id, name, text = called(call)
    arguments: Any = text
    if not detail.get("is_text", False):
        try:
            arguments = json.loads(text) if text else {}
        except ValueError:
            arguments = text
    return {
        "block_type": "tool_call",
        "tool_call_id": id,
        "tool_name": name,
        "tool_kwargs": arguments if isinstance(arguments, dict | str) else text,
        **detail.get("more", {}),
    }
