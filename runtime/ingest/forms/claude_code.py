"""Sessions of Claude Code: a file of JSON lines, each with the id of the line before it in the conversation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from greenroom.runtime.ingest.records import Conversation, Note, UnknownRecord

from .common import text_or_none, whole
from .tree import Tree, turns_of_paths

__all__ = ["claude_code", "is_claude_code_line", "is_of_session"]

_SAID: Final = ("user", "assistant", "system")
_ALONE: Final = ("file-history-snapshot", "queue-operation", "custom-title", "ai-title")
_TITLES: Final = (("custom-title", "customTitle"), ("ai-title", "aiTitle"), ("summary", "summary"))
"""The records that name a session, and their field, the best first."""
_OF_SESSION: Final = ("sessionId", "session_id", "cwd", "version", "gitBranch", "userType")
"""Fields that most lines repeat: the session has them once."""


def is_claude_code_line(value: Any) -> bool:
    """Return whether a value is a line of a session of Claude Code."""
    if not isinstance(value, dict):
        return False
    kind = value.get("type")
    if kind in _SAID:
        return any(key in value for key in ("uuid", "parentUuid", "sessionId", "session_id", "isSidechain"))
    if kind == "summary":
        return "leafUuid" in value
    return kind in _ALONE


def is_of_session(lines: list[Any], value: Any) -> bool:
    """Return whether a line belongs to the session of the lines before it: another one begins without a parent and has
    another id. Lines of unknown types belong to it."""
    if not isinstance(value, dict):
        return False
    id_ = value.get("sessionId")
    if id_ is None or value.get("parentUuid", "") is not None or value.get("isSidechain"):
        return True
    before = next(
        (line["sessionId"] for line in reversed(lines) if isinstance(line, dict) and "sessionId" in line), id_
    )
    return bool(before == id_)


def claude_code(lines: list[Any]) -> Conversation:
    """Return a session of Claude Code. The path to its last message is the conversation; rewound paths and the
    conversations of sub-agents within the file are branches."""
    tree = Tree()
    records: list[Any] = []
    _add_lines(tree, lines, records)
    shown = _last_message(tree)
    on_path = _message_ids(tree, shown)

    def joins(nodes: list[str]) -> bool:
        """Return whether a path belongs to the shown one: results of tools that were called at the same time, further
        parts of a message, and what nobody has said, hang at the side of it."""
        return not any(_is_said_elsewhere(tree.items[node], on_path) for node in nodes)

    session: dict[str, Any] = {}
    for line in lines:
        for key in _OF_SESSION:
            if isinstance(line, dict) and key in line and key not in session:
                session[key] = line[key]
    main_is_aside = bool(tree.items[shown].get("isSidechain"))
    paths = tree.paths(shown, None if main_is_aside else joins)
    turns, branches, notes = turns_of_paths(tree, paths, lambda nodes: _messages(nodes, session, records))
    if not turns:
        raise UnknownRecord("the conversation has no messages")
    records += [tree.items[node] for node in tree.unplaced if tree.items[node].get("type") in _SAID]
    extra = dict(session)
    if records:
        extra["records"] = records
    source_id = session.get("sessionId") or session.get("session_id")
    if main_is_aside:
        source_id = f"{source_id} {tree.items[shown].get('agentId', '')}"
    return whole("claude-code", lines, turns, extra, notes, branches=branches, source_id=source_id, title=_title(lines))


def _add_lines(tree: Tree, lines: list[Any], records: list[Any]) -> None:
    """Add the lines that have ids to the tree, and the others to `records`."""
    before: str | None = None
    for number, line in enumerate(lines):
        if not isinstance(line, dict):
            records.append(line)
            continue
        kind, id_ = line.get("type"), text_or_none(line.get("uuid"))
        if id_ is None and kind not in _SAID:
            records.append(line)
            continue
        id_ = id_ or f"line {number}"
        parent = line.get("parentUuid") or line.get("logicalParentUuid")
        if "parentUuid" not in line and parent is None:
            parent = before
        elif parent is not None and (not isinstance(parent, str) or parent not in tree.items):
            where = "the session begins" if before is None else "it follows the line before it"
            tree.notes.append(Note(f"line {number + 1}", f"its parent is not in the file: {where}"))
            parent = before
        tree.add(id_, parent, line)
        if not line.get("isSidechain"):
            before = id_


def _last_message(tree: Tree) -> str:
    """Return the last message that is not a sub-agent's; of a sub-agent's file, its last."""
    said = [node for node, line in tree.items.items() if line.get("type") in ("user", "assistant")]
    said = said or [node for node, line in tree.items.items() if line.get("type") in _SAID]
    if not said:
        raise UnknownRecord("the conversation has no messages")
    return next((node for node in reversed(said) if not tree.items[node].get("isSidechain")), said[-1])


def _message_ids(tree: Tree, shown: str) -> set[Any]:
    """Return the ids that the model gave the messages on the way to a node."""
    ids: set[Any] = set()
    seen: set[str] = set()
    node: str | None = shown
    while node is not None and node not in seen:
        seen.add(node)
        ids.add(_message_id(tree.items[node]))
        node = tree.parents[node]
    return ids - {None}


def _message_id(line: dict[str, Any]) -> str | None:
    message = line.get("message")
    return text_or_none(message.get("id")) if isinstance(message, dict) and line.get("type") == "assistant" else None


def _is_said_elsewhere(line: dict[str, Any], on_path: set[Any]) -> bool:
    """Return whether a line is a question, or an answer, of another path."""
    if line.get("isSidechain"):
        return True
    message = line.get("message")
    if line.get("type") == "assistant":
        return _message_id(line) not in on_path
    if line.get("type") != "user" or line.get("isMeta"):
        return False
    content = message.get("content") if isinstance(message, dict) else message
    return not (
        isinstance(content, list)
        and content
        and all(isinstance(part, dict) and part.get("type") == "tool_result" for part in content)
    )


def _messages(lines: list[Any], session: dict[str, Any], records: list[Any]) -> Iterable[tuple[int, Any]]:
    """Yield the messages of lines. The lines of one message of the model become one; lines that say nothing go to
    `records`."""
    held: dict[str, Any] | None = None
    held_at, held_id = 0, None
    for number, line in enumerate(lines):
        if line.get("type") not in _SAID:
            records.append(line)
            continue
        made, id_ = _message(line, session), _message_id(line)
        if held is not None and id_ is not None and id_ == held_id and _can_join(held, made):
            held["content"] = [*held["content"], *made["content"]]
            beside = {key: item for key, item in made.items() if key != "content" and held.get(key) != item}
            held.setdefault("lines", []).append(beside)
            continue
        if held is not None:
            yield held_at, held
        held, held_at, held_id = made, number, id_
    if held is not None:
        yield held_at, held


def _can_join(held: dict[str, Any], made: dict[str, Any]) -> bool:
    return isinstance(held.get("content"), list) and isinstance(made.get("content"), list)


def _message(line: dict[str, Any], session: dict[str, Any]) -> dict[str, Any]:
    """Return a line as a message. Its fields, and those of the message within it, stand side by side."""
    kind, message = line["type"], line.get("message")
    made = {
        key: item
        for key, item in line.items()
        if key not in ("message", "parentUuid", "type") and (key not in session or session[key] != item)
    }
    if isinstance(message, dict):
        for key, item in message.items():
            if key != "type" or item != "message":
                made[key if key not in made else f"message.{key}"] = item
    elif message is not None:
        made["content"] = message
    made.setdefault("role", kind)
    return made


def _title(lines: list[Any]) -> str | None:
    """Return the last title that the session was given."""
    for kind, key in _TITLES:
        for line in reversed(lines):
            if isinstance(line, dict) and line.get("type") == kind and text_or_none(line.get(key)):
                title: str = line[key]
                return title
    return None
