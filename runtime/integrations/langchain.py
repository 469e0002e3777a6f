"""LangChain on greenroom: `GreenroomChatMessageHistory`, a history of messages whose turns are greenroom's.

Example:
    ```py
    chain = RunnableWithMessageHistory(model, lambda session_id: GreenroomChatMessageHistory(session_id, rt))
    chain.invoke("Hello", {"configurable": {"session_id": "7"}})
    ```
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any, Final

try:
    from langchain_core.chat_history import BaseChatMessageHistory
    from langchain_core.messages import BaseMessage, message_to_dict, messages_from_dict
except ImportError as error:
    raise ImportError("LangChain is needed: pip install 'greenroom[langchain]'") from error

from greenroom.runtime import AsyncRuntime, Message, Runtime, ValidationError
from greenroom.runtime.messages import AddMessage

from .json_forms import to_json
from .keys import key_of
from .opening import Adapter, Opened
from .turns import KEPT, WHOLE, Conversation, as_turn, called, drained, in_parts, openai_call, whole

__all__ = ["GreenroomChatMessageHistory"]

_ROLES: Final = {
    "human": "user",
    "ai": "assistant",
    "system": "system",
    "tool": "tool",
    "function": "function",
    "remove": "remove",
    "HumanMessageChunk": "user",
    "AIMessageChunk": "assistant",
    "SystemMessageChunk": "system",
    "ToolMessageChunk": "tool",
    "FunctionMessageChunk": "function",
    "chat": None,  # it names its role itself
    "ChatMessageChunk": None,
}
"""The roles of the types that LangChain can read back."""
_TYPES: Final = {"user": "human", "assistant": "ai", "system": "system", "tool": "tool", "function": "function"}
_DEFAULTS: Final[dict[str, Any]] = {
    "additional_kwargs": {},
    "response_metadata": {},
    "name": None,
    "id": None,
    "tool_calls": [],
    "invalid_tool_calls": [],
    "usage_metadata": None,
    "artifact": None,
    "status": "success",
}
"""What a message has that says nothing about these: it is not stored."""
_MISSING: Final = object()
_MAX_NAME: Final = 255


class GreenroomChatMessageHistory(Adapter, BaseChatMessageHistory):
    """Keeps the messages of one session as turns of the session with the key `langchain:SESSION_ID`.

    Messages come back equal to those that were added. Raises ValidationError for a message that has no form in JSON, or
    whose type LangChain could not read back.
    """

    def __init__(self, session_id: str, runtime: Runtime | AsyncRuntime | str | os.PathLike[str]) -> None:
        """Work on a runtime, or open the store at a path. `session_id` may be any text."""
        super().__init__()
        self.key: Final = key_of("langchain", session_id)
        self.session_id: Final = session_id
        self._opened = Opened(runtime)
        self._conversation = Conversation(self._opened.runtime, self.key)

    def __repr__(self) -> str:
        return f"<GreenroomChatMessageHistory {self.key!r}>"

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]  # the base has it as an attribute
        """All messages, oldest first. The list is a copy: messages are added by `add_messages`."""
        return self.last()

    def last(self, limit: int | None = None) -> list[BaseMessage]:
        """Return the newest `limit` messages, oldest first, without reading the others."""
        messages: list[BaseMessage] = []
        for part in in_parts(map(_payload, drained(self._conversation.turns(limit)))):
            messages += messages_from_dict(part)
        return messages

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Add messages in one write: all of them or none."""
        if messages:
            self._conversation.add([_turn(each) for each in messages])

    def clear(self) -> None:
        """Take all messages out of the history. The journal of the session still has them."""
        self._conversation.clear()

    async def aget_messages(self) -> list[BaseMessage]:
        """Return all messages, oldest first."""
        return await self._opened.run(self.last)

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Add messages in one write: all of them or none."""
        await self._opened.run(self.add_messages, messages)

    async def aclear(self) -> None:
        """Take all messages out of the history. The journal of the session still has them."""
        await self._opened.run(self.clear)


def _turn(message: BaseMessage) -> AddMessage:
    payload = message_to_dict(message)
    kind, data = payload["type"], payload["data"]
    if kind not in _ROLES:
        raise ValidationError(f"messages: LangChain cannot read back a message of the type {kind!r}", field="messages")
    fields = type(message).model_fields
    rest = {key: data[key] for key in data if key not in fields or data[key] != _DEFAULTS.get(key, _MISSING)}
    if len(rest) > 2 or type(data["content"]) is not str:  # more than type and text
        to_json(payload, "messages")
    role = _ROLES[kind] or rest.pop("role")
    content = rest.pop("content")
    if rest.get("type") == kind:
        del rest["type"]
    calls = None
    if rest.get("tool_calls") and all(_is_plain(call) for call in rest["tool_calls"]) and not _has_uses(content):
        calls = [openai_call(call["id"], call["name"], call["args"]) for call in rest.pop("tool_calls")]
    name, tool_call_id = _taken(rest, "name"), _taken(rest, "tool_call_id")
    split = {"data": rest} if rest else {}
    if _TYPES.get(role) != kind:
        split["type"] = kind
    return as_turn(role, content, split, payload, name=name, tool_calls=calls, tool_call_id=tool_call_id)


def _taken(rest: dict[str, Any], key: str) -> str | None:
    """Take a text out of the rest if a turn can have it as a name."""
    value = rest.get(key)
    return rest.pop(key) if isinstance(value, str) and 0 < len(value) <= _MAX_NAME else None


def _is_plain(call: Any) -> bool:
    return (
        call.keys() == {"name", "args", "id", "type"} and call["type"] == "tool_call" and isinstance(call["args"], dict)
    )


def _has_uses(content: object) -> bool:
    """Return whether the content has the calls of tools already, as Anthropic's has."""
    return isinstance(content, list) and any(
        isinstance(part, dict) and part.get("type") == "tool_use" for part in content
    )


def _payload(turn: Message) -> dict[str, Any]:
    """Return the message that a turn was made of; of a turn by another hand, a message that says the same."""
    metadata = turn.metadata
    if WHOLE in metadata:
        return dict(whole(turn))
    rest: Any = metadata.get(KEPT) or {}
    content = turn.content
    data: dict[str, Any] = {"content": content if content is not None else ""}
    if "data" in rest:
        data.update(rest["data"])
    kind = rest.get("type") or _TYPES.get(turn.role, "chat")
    if _ROLES.get(kind, "") is None:
        data["role"] = turn.role
    if turn.name is not None:
        data["name"] = turn.name
    if turn.tool_call_id is not None:
        data["tool_call_id"] = turn.tool_call_id
    elif kind == "tool":
        data.setdefault("tool_call_id", "")
    elif kind == "function":
        data.setdefault("name", "")
    if turn.tool_calls:
        data["tool_calls"] = [_call(call) for call in turn.tool_calls]
    return {"type": kind, "data": data}


def _call(call: Any) -> dict[str, Any]:
    id, name, text = called(call)
    try:
        arguments = json.loads(text) if text else {}
    except ValueError:
        arguments = text
    return {
        "name": name,
        "args": arguments if isinstance(arguments, dict) else {"arguments": arguments},
        "id": id,
        "type": "tool_call",
    }
