"""Exports of chat applications: Claude (claude.ai), LibreChat and Open WebUI."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from greenroom.runtime.ingest.records import Conversation, Note, Turn, UnknownRecord
from greenroom.storage.common.message_text import role_of, text_of

from .common import call, turns_under, whole, without
from .message import time_of, with_free_key
from .tree import Tree, turns_of_paths

__all__ = ["claude", "is_claude", "is_librechat", "is_open_webui", "librechat", "open_webui"]

_NO_PARENT: Final = ("00000000-0000-4000-8000-000000000000", "00000000-0000-0000-0000-000000000000")


# --- Claude ---------------------------------------------------------------------------------------


def is_claude(value: dict[str, Any]) -> bool:
    """Return whether a value is a conversation of claude.ai's export."""
    return isinstance(value.get("chat_messages"), list)


def claude(value: dict[str, Any]) -> Conversation:
    """Return a conversation of claude.ai's export. Content blocks stay as they are; what was extracted from
    attachments becomes artifacts."""
    return _tree_of_list(
        "claude",
        value,
        value["chat_messages"],
        keys=("uuid", "parent_message_uuid"),
        shown=value.get("current_leaf_message_uuid"),
        message_of=lambda message: [_claude_message(message)],
        extra=without(value, "chat_messages"),
        source_id=value.get("uuid"),
    )


def _claude_message(message: dict[str, Any]) -> dict[str, Any]:
    made = dict(message)
    blocks, text = message.get("content"), message.get("text")
    if isinstance(blocks, list) and blocks:
        only = blocks[0] if len(blocks) == 1 and isinstance(blocks[0], dict) else {}
        if only.get("type") == "text" and isinstance(only.get("text"), str):
            made["content"] = only["text"]
            beside = {key: item for key, item in only.items() if key not in ("type", "text") and item}
            if beside:
                made["content_of"] = beside
        if isinstance(text, str) and text == text_of(blocks):
            del made["text"]
    elif isinstance(text, str):
        made["content"] = made.pop("text")
    for key in ("attachments", "files"):
        if made.get(key) == []:
            del made[key]
    return made


# --- LibreChat ------------------------------------------------------------------------------------


def is_librechat(value: dict[str, Any]) -> bool:
    """Return whether a value is a conversation that LibreChat has exported."""
    messages = value.get("messagesTree", value.get("messages"))
    if not isinstance(messages, list):
        return False
    first = next((each for each in messages if isinstance(each, dict)), {})
    return "messageId" in first or "isCreatedByUser" in first or ("conversationId" in value and "messagesTree" in value)


def librechat(value: dict[str, Any]) -> Conversation:
    """Return a conversation that LibreChat has exported: a flat list of messages, or messages within `children`."""
    key = "messagesTree" if isinstance(value.get("messagesTree"), list) else "messages"
    return _tree_of_list(
        "librechat",
        value,
        list(_flat(value[key])),
        keys=("messageId", "parentMessageId"),
        shown=None,
        message_of=_librechat_messages,
        extra=without(value, key),
        source_id=value.get("conversationId"),
    )


def _flat(messages: list[Any]) -> Iterator[Any]:
    """Yield messages and the ones within them, parents first. Those within others name their parents."""
    stack: list[tuple[Any, Any]] = [(each, None) for each in reversed(messages)]
    while stack:
        message, parent = stack.pop()
        if not isinstance(message, dict):
            yield message
            continue
        children = message.get("children")
        if isinstance(children, list):
            stack += [(each, message.get("messageId")) for each in reversed(children)]
            message = without(message, "children")
        if parent is not None:
            message = {**message, "parentMessageId": parent}
        yield message


def _librechat_messages(message: dict[str, Any]) -> list[dict[str, Any]]:
    made = dict(message)
    by_user = message.get("isCreatedByUser")
    sender = message.get("sender")
    role = role_of(sender) if isinstance(sender, str) else None
    made["role"] = "user" if by_user is True else (role if role in ("system", "tool") else "assistant")
    parts, text = message.get("content"), message.get("text")
    results: list[dict[str, Any]] = []
    if isinstance(parts, list) and parts:
        calls, kept = [], []
        for part in parts:
            called = part.get("tool_call") if isinstance(part, dict) and part.get("type") == "tool_call" else None
            if not isinstance(called, dict):
                kept.append(part)
                continue
            rest = without(called, "id", "name", "args", "output", "type")
            calls.append(call(called.get("id"), called.get("name"), called.get("args", ""), **rest))
            if called.get("output") not in (None, ""):
                result = {"role": "tool", "content": called["output"], "tool_call_id": called.get("id")}
                results.append({**result, "name": called.get("name"), "createdAt": message.get("createdAt")})
        made["content"] = kept or None
        if calls:
            made["tool_calls"] = calls
        if text in ("", text_of(kept)):
            made.pop("text", None)
    elif isinstance(text, str):
        made["content"] = made.pop("text")
    return [made, *results]


# --- Open WebUI -----------------------------------------------------------------------------------


def is_open_webui(value: dict[str, Any]) -> bool:
    """Return whether a value is a chat that Open WebUI has exported, alone or in its envelope."""
    chat = value.get("chat", value)
    if not isinstance(chat, dict):
        return False
    history = chat.get("history")
    return (isinstance(history, dict) and isinstance(history.get("messages"), dict)) or (
        chat is not value and isinstance(chat.get("messages"), list)
    )


def open_webui(value: dict[str, Any]) -> Conversation:
    """Return a chat that Open WebUI has exported. The path to `currentId` is the conversation."""
    chat = value.get("chat", value)
    history = chat.get("history")
    nodes = history.get("messages") if isinstance(history, dict) else None
    if not isinstance(nodes, dict) or not nodes:
        if not isinstance(chat.get("messages"), list):
            raise UnknownRecord("the conversation has no messages")
        turns, rest, notes = turns_under(chat, "messages")
        extra = without(value, "chat") | {"chat": rest}
        said = _with_prompt(turns, rest)
        return whole("open-webui", value, said, extra, notes, source_id=value.get("id"), title=_title(value, chat))
    rest = without(chat, "history") | {"history": without(history, "messages")}
    listed = chat.get("messages")
    if isinstance(listed, list) and all(_is_there(nodes, each) for each in listed):
        del rest["messages"]
    made = _tree_of_list(
        "open-webui",
        value,
        [{"id": name, **(node if isinstance(node, dict) else {"content": node})} for name, node in nodes.items()],
        keys=("id", "parentId"),
        shown=history.get("currentId"),
        message_of=lambda message: [without(message, "childrenIds")],
        extra=without(value, "chat") | {"chat": rest} if chat is not value else rest,
        source_id=value.get("id"),
        title=_title(value, chat),
    )
    turns = _with_prompt(made.turns, rest)
    if len(turns) == len(made.turns):
        return made
    return replace(made, turns=turns, branches=[replace(each, shared=each.shared + 1) for each in made.branches])


def _is_there(nodes: dict[str, Any], message: Any) -> bool:
    """Return whether a message of the list is one of the tree too."""
    node = nodes.get(str(message.get("id"))) if isinstance(message, dict) else None
    return isinstance(node, dict) and node.get("content") == message.get("content")


def _title(value: dict[str, Any], chat: dict[str, Any]) -> str | None:
    return (
        next((each.strip() for each in (value.get("title"), chat.get("title")) if isinstance(each, str)), None) or None
    )


def _with_prompt(turns: list[Turn], chat: dict[str, Any]) -> list[Turn]:
    """Return the turns, beginning with the system text of the chat's settings."""
    params = chat.get("params")
    said = (params.get("system") if isinstance(params, dict) else None) or chat.get("system")
    if not isinstance(said, str) or not said or (turns and turns[0].role == "system"):
        return turns
    return [Turn("system", said, metadata={"field": "system"}), *turns]


# --- what they share ------------------------------------------------------------------------------


def _tree_of_list(
    form: str,
    value: dict[str, Any],
    messages: list[Any],
    *,
    keys: tuple[str, str],
    shown: Any,
    message_of: Callable[[dict[str, Any]], list[dict[str, Any]]],
    extra: dict[str, Any],
    source_id: Any,
    title: str | None = None,
) -> Conversation:
    """Return the conversation of messages that name their parents. `keys` are those of a message's id and parent.

    A message that names no parent follows the one before it. The shown path ends at the message with the id `shown`; at
    the newest if there is none.
    """
    own, above = keys
    tree = Tree()
    before: str | None = None
    for number, message in enumerate(messages):
        if not isinstance(message, dict):
            raise UnknownRecord(f"message {number} is not an object")
        id_ = message.get(own)
        id_ = id_ if isinstance(id_, str) and id_ else f"message {number}"
        parent = message.get(above) if above in message else before
        tree.add(id_, None if parent in _NO_PARENT else parent, message)
        before = id_
    if not tree.items:
        raise UnknownRecord("the conversation has no messages")
    if not isinstance(shown, str) or shown not in tree.items:
        if shown is not None:
            tree.notes.append(Note("the last message", "it is not there: the conversation ends with the newest"))
        shown = tree.newest_leaf(_time)

    def messages_of(nodes: list[Any]) -> Iterable[tuple[int, Any]]:
        return [(number, each) for number, node in enumerate(nodes) for each in message_of(node)]

    turns, branches, notes = turns_of_paths(tree, tree.paths(shown), messages_of)
    if not turns:
        raise UnknownRecord("the conversation has no messages")
    if tree.unplaced:
        extra = with_free_key(extra, "messages not placed", [tree.items[node] for node in tree.unplaced])
    return whole(form, value, turns, extra, notes, branches=branches, source_id=source_id, title=title)


def _time(message: dict[str, Any]) -> int | None:
    return next((time for key in _TIMES if (time := time_of(message.get(key))) is not None), None)


_TIMES: Final = ("created_at", "createdAt", "timestamp")
