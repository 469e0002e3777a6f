"""Sessions of Codex: `rollout-*.jsonl`, a line for each item of the conversation and each event."""

from __future__ import annotations

from typing import Any, Final

from greenroom.runtime.ingest.records import Conversation, UnknownRecord

from .apis import item
from .common import call, read_turns, text_or_none, whole, without
from .message import time_of

__all__ = ["codex", "is_codex_line", "is_of_session"]

_LINES: Final = ("session_meta", "response_item", "event_msg", "turn_context", "compacted")
_ITEMS: Final = (
    *("message", "reasoning", "function_call", "function_call_output", "custom_tool_call"),
    *("custom_tool_call_output", "local_shell_call", "web_search_call"),
)
_SPOKEN: Final = {"user_message": "user", "agent_message": "assistant"}


def is_codex_line(value: Any) -> bool:
    """Return whether a value is a line of a session of Codex. Early versions began with a line without a type."""
    if not isinstance(value, dict):
        return False
    if value.get("type") in _LINES:
        return isinstance(value.get("payload"), dict)
    return (
        "type" not in value and "role" not in value and "instructions" in value and {"id", "timestamp"} <= value.keys()
    )


def is_of_session(lines: list[Any], value: dict[str, Any]) -> bool:
    """Return whether a line belongs to the session of the lines before it. A session that was forked begins with the
    beginnings of both; any other line that begins a session begins another one."""
    return value.get("type") != "session_meta" or lines[-1].get("type") == "session_meta"


def codex(lines: list[Any]) -> Conversation:
    """Return a session of Codex. Items of responses are its messages; events, which repeat them, and the settings of
    turns are kept with the other fields. If a file has events alone, what was said in them is the conversation."""
    messages: list[Any] = []
    spoken: list[dict[str, Any]] = []
    records: list[Any] = []
    meta: dict[str, Any] | None = None
    for line in lines:
        kind, payload, at = _parts(line)
        if kind == "session_meta" and meta is None:
            meta = {"timestamp": at, **payload}
        elif kind == "response_item" and (payload.get("type") in _ITEMS or "role" in payload):
            messages.append({"timestamp": at, **_message(payload)} if at is not None else _message(payload))
        else:
            records.append(line)
            if kind == "event_msg" and payload.get("type") in tuple(_SPOKEN):
                said = {"role": _SPOKEN[payload["type"]], "content": payload.get("message"), "timestamp": at}
                spoken.append({**said, **without(payload, "message", "type")})
    if not messages and not spoken:
        raise UnknownRecord("the conversation has no messages")
    turns, notes = read_turns(messages or spoken)
    extra: dict[str, Any] = {"session_meta": meta} if meta else {}
    if records:
        extra["records"] = records
    meta = meta or {}
    started = time_of(meta.get("timestamp"))
    return whole("codex", lines, turns, extra, notes, source_id=meta.get("id"), started=started)


def _parts(line: Any) -> tuple[Any, dict[str, Any], Any]:
    """Return the kind of a line, what it carries and its time. In early versions a line is what it carries."""
    if not isinstance(line, dict):
        return None, {}, None
    payload = line.get("payload")
    if isinstance(payload, dict):
        return line.get("type"), payload, line.get("timestamp")
    if "type" in line or "role" in line:
        return "response_item", line, line.get("timestamp")
    return ("session_meta" if "instructions" in line else None), line, line.get("timestamp")


def _message(payload: dict[str, Any]) -> dict[str, Any]:
    """Return an item as a message. The forms that only Codex has are calls of tools and their results."""
    kind = payload.get("type")
    if kind == "custom_tool_call":
        made = call(payload.get("call_id"), payload.get("name"), payload.get("input", ""))
        rest = without(payload, "call_id", "name", "input")
        return {"role": "assistant", "content": None, "tool_calls": [made], **rest}
    if kind == "local_shell_call":
        made = call(payload.get("call_id"), "local_shell", payload.get("action"))
        return {"role": "assistant", "content": None, "tool_calls": [made], **without(payload, "call_id", "action")}
    if kind == "custom_tool_call_output":
        found: dict[str, Any] = {**item({**payload, "type": "function_call_output"}), "type": kind}
    else:
        found = item(payload)
    output = found.get("content")
    if found.get("role") == "tool" and isinstance(output, dict) and text_or_none(output.get("content")):
        found = {**found, "content": output["content"], "output": without(output, "content")}
    return found
