"""ChatGPT's export, `conversations.json`: a list of conversations, each a tree of nodes under `mapping`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from greenroom.runtime.ingest.records import Conversation, Note, UnknownRecord

from .common import call, text_or_none, whole, without
from .message import time_of
from .tree import Tree, turns_of_paths

__all__ = ["chatgpt", "is_chatgpt"]

_TEXTS: Final = ("text", "result", "output_str", "content")
"""The keys under which a content has its text, if it has no parts."""
_EVERYBODY: Final = ("all", "assistant", "user")


def is_chatgpt(value: dict[str, Any]) -> bool:
    """Return whether a value is a conversation of ChatGPT's export."""
    nodes = value.get("mapping")
    if not isinstance(nodes, dict):
        return False
    node = next((each for each in nodes.values() if isinstance(each, dict)), None)
    return node is not None and any(key in node for key in ("message", "children", "parent"))


def chatgpt(value: dict[str, Any]) -> Conversation:
    """Return a conversation of ChatGPT's export. The path to `current_node` is the conversation."""
    tree = Tree()
    _add_nodes(tree, value["mapping"])
    shown = value.get("current_node")
    if not isinstance(shown, str) or shown not in tree.items:
        what = "it names no node of the tree" if shown else "it is missing"
        shown = tree.newest_leaf(_time)
        tree.notes.append(Note("current_node", f"{what}: the conversation ends with the newest message, {shown[:64]}"))
    paths = tree.paths(shown)
    hidden: dict[str, Any] = {}
    turns, branches, notes = turns_of_paths(tree, paths, lambda nodes: _messages(nodes, hidden))
    if not turns:
        raise UnknownRecord("the conversation has no messages")
    extra = without(value, "mapping")
    left = hidden | {node: item for node in tree.unplaced if _says(item := tree.items[node])}
    if left:
        extra["nodes"] = left
    return whole(
        "chatgpt",
        value,
        turns,
        extra,
        notes,
        branches=branches,
        source_id=value.get("conversation_id") or value.get("id"),
    )


def _add_nodes(tree: Tree, mapping: dict[str, Any]) -> None:
    """Add the nodes. The parent of one that does not name any follows from its parent's list of children."""
    parents: dict[str, str] = {}
    for name, node in mapping.items():
        children = node.get("children") if isinstance(node, dict) else None
        for child in children if isinstance(children, list) else ():
            if isinstance(child, str):
                parents.setdefault(child, name)
    for name, node in mapping.items():
        fields = node if isinstance(node, dict) else {"message": node}
        tree.add(name, fields.get("parent") or parents.get(name), fields)


def _says(node: dict[str, Any]) -> bool:
    return node.get("message") is not None


def _time(node: dict[str, Any]) -> int | None:
    message = node.get("message")
    return time_of(message.get("create_time")) if isinstance(message, dict) else None


def _messages(nodes: list[dict[str, Any]], hidden: dict[str, Any]) -> Iterable[tuple[int, Any]]:
    """Yield the messages of nodes. System messages without any text go to `hidden`: nobody has said them."""
    called: str | None = None
    for number, node in enumerate(nodes):
        message = node.get("message")
        if message is None:
            continue
        if not isinstance(message, dict):
            yield number, message
            continue
        made, says = _message(message)
        if not says and made.get("role") == "system":
            hidden[str(node.get("id") or message.get("id") or len(hidden))] = node
            continue
        if made.get("role") == "tool" and called is not None:
            made["tool_call_id"] = called
        elif made.get("tool_calls"):
            called = made["tool_calls"][0].get("id")
        elif made.get("role") != "tool":
            called = None
        yield number, made


def _message(message: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return a message in the usual shape, and whether it says anything."""
    made = without(message, "author", "content")
    author = message.get("author")
    if isinstance(author, dict):
        made["role"] = author.get("role")
        made["name"] = author.get("name")
        beside = {key: item for key, item in author.items() if key not in ("role", "name") and item}
        if beside:
            made["author"] = beside
    elif author is not None:
        made["role"] = author
    content, rest = _content(message.get("content"))
    made["content"] = content
    if rest:
        made["content_of"] = rest
    recipient = message.get("recipient")
    if isinstance(recipient, str) and recipient not in _EVERYBODY and made.get("role") == "assistant":
        made["tool_calls"] = [call(text_or_none(message.get("id")), recipient, content or "")]
    return made, bool(content)


def _content(content: Any) -> tuple[Any, dict[str, Any]]:
    """Return the content of a message, as text or parts, and what else its object has."""
    if not isinstance(content, dict):
        return content, {}
    rest = without(content, "content_type") if content.get("content_type") in ("text", "multimodal_text") else content
    parts = content.get("parts")
    if isinstance(parts, list):
        rest = without(rest, "parts")
        if all(isinstance(part, str) for part in parts):
            return (parts[0] if len(parts) == 1 else [part for part in parts if part] or ""), rest
        return [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts if part != ""], rest
    thoughts = content.get("thoughts")
    if isinstance(thoughts, list) and thoughts:
        return [_thought(each) for each in thoughts], without(rest, "thoughts")
    for key in _TEXTS:
        if isinstance(content.get(key), str) and content[key]:
            return content[key], without(rest, key)
    instructions = [content[key] for key in ("user_profile", "user_instructions") if text_or_none(content.get(key))]
    if instructions:
        return "\n\n".join(instructions), rest
    beside = {key: item for key, item in content.items() if key != "content_type" and item not in (None, "", [], {})}
    return ([content] if beside else ""), {} if beside else rest


def _thought(thought: Any) -> Any:
    if not isinstance(thought, dict) or not isinstance(thought.get("content"), str):
        return thought
    return {"type": "thinking", "thinking": thought["content"], **without(thought, "content")}
