"""Histories of agents: every session of the framework is a session of greenroom, its messages are turns."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Final

from agent_framework import HistoryProvider
from agent_framework import Message as AgentMessage

from greenroom.runtime import AsyncRuntime, Message, Runtime
from greenroom.runtime.integrations.json_forms import to_json, written
from greenroom.runtime.integrations.keys import key_of
from greenroom.runtime.integrations.opening import Adapter, Opened
from greenroom.runtime.integrations.turns import (
    Conversation,
    as_turn,
    called,
    drained,
    kept,
    openai_call,
    whole,
)
from greenroom.runtime.messages import AddMessage

__all__ = ["GreenroomHistoryProvider"]

FRAMEWORK: Final = "agent_framework"
DEFAULT_SESSION: Final = "default"
"""The name of the session that is meant without an id, as in the framework's own provider."""
_CALL, _RESULT = "function_call", "function_result"
_LOCKS: Final = tuple(threading.Lock() for _ in range(64))
"""Each session has one of them: what is stored already is compared and the rest written without a gap."""


class GreenroomHistoryProvider(Adapter, HistoryProvider):
    """Keeps the messages of every session under the key `agent_framework:SOURCE:SESSION`.

    It stores and skips exactly what the framework's own providers do: a transcript that is given again, whole or with
    new messages at its end, adds only what is new.
    """

    DEFAULT_SOURCE_ID: Final = "greenroom"

    def __init__(
        self,
        runtime: Runtime | AsyncRuntime | str | os.PathLike[str],
        *,
        source_id: str = DEFAULT_SOURCE_ID,
        load_messages: bool = True,
        store_inputs: bool = True,
        store_context_messages: bool = False,
        store_context_from: set[str] | None = None,
        store_outputs: bool = True,
        skip_excluded: bool = False,
    ) -> None:
        """Work on a runtime, or open the store at a path. The other arguments are the framework's own."""
        super().__init__(
            source_id,
            load_messages=load_messages,
            store_inputs=store_inputs,
            store_context_messages=store_context_messages,
            store_context_from=store_context_from,
            store_outputs=store_outputs,
        )
        self.skip_excluded = skip_excluded
        self._opened = Opened(runtime)

    def key(self, session_id: str | None) -> str:
        """Return the key of the session of greenroom that has this history."""
        source = self.source_id.replace("%", "%25").replace(":", "%3A")
        return key_of(FRAMEWORK, f"{source}:{session_id or DEFAULT_SESSION}")

    async def get_messages(
        self, session_id: str | None, *, state: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[AgentMessage]:
        """Return the messages of a session, oldest first; none for a session that nobody has written to."""
        messages = await self._opened.run(self._read, session_id)
        if self.skip_excluded:
            messages = [each for each in messages if not each.additional_properties.get("_excluded", False)]
        return messages

    async def save_messages(
        self,
        session_id: str | None,
        messages: Sequence[AgentMessage],
        *,
        state: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Add messages to a session in one write, without those that repeat the end of what it has."""
        if messages:
            await self._opened.run(self._save, session_id, [written(each.to_dict, "messages") for each in messages])

    def _conversation(self, session_id: str | None) -> Conversation:
        return Conversation(self._opened.runtime, self.key(session_id))

    def _read(self, session_id: str | None) -> list[AgentMessage]:
        return [AgentMessage.from_dict(_payload(turn)) for turn in drained(self._conversation(session_id).turns())]

    def _save(self, session_id: str | None, payloads: list[dict[str, Any]]) -> None:
        conversation = self._conversation(session_id)
        with _LOCKS[hash(self.key(session_id)) % len(_LOCKS)]:
            # More than this many of the stored messages are never compared.
            stored = [_payload(turn) for turn in conversation.turns(len(payloads) + 1)]
            new = _new_ones(stored, payloads)
            if new:
                conversation.add([_turn(each) for each in new])


def _identity(payload: dict[str, Any]) -> tuple[str, ...]:
    """Return what two messages have in common that are the same one: the id, or role and contents."""
    if payload.get("message_id") is not None:
        return "id", str(payload["message_id"])
    contents = json.loads(to_json(payload.get("contents") or [], "messages"))
    return "content", str(payload.get("role")), json.dumps(contents, sort_keys=True)


def _new_ones(stored: list[dict[str, Any]], given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the given messages that come after those that are stored already.

    The stored ones may stand anywhere in those that are given, or end with their beginning. A single message of a user,
    without an id, is more likely said twice than given twice.
    """
    had, got = [_identity(each) for each in stored], [_identity(each) for each in given]
    is_said_again = bool(stored) and stored[-1].get("role") == "user" and had[-1][0] != "id"
    for begin in range(len(got) - len(had) + 1 if had else 0):
        if got[begin : begin + len(had)] == had:
            if begin == 0 and len(had) == 1 and is_said_again:
                break
            return given[begin + len(had) :]
    for common in range(min(len(had), len(got)), 0, -1):
        if had[-common:] == got[:common] and not (common == 1 and is_said_again):
            return given[common:]
    return given


# -- messages and turns


def _turn(message: dict[str, Any]) -> AddMessage:
    """Return a message, as the framework writes it, as a turn: its calls of tools are the turn's."""
    rest = dict(message)
    role, contents = rest.pop("role"), rest.pop("contents", [])
    name = rest.pop("author_name", None)
    if rest.get("type") == "message":
        del rest["type"]
    if rest.get("additional_properties") == {}:
        del rest["additional_properties"]
    if not _is_name(name):
        rest["author_name"], name = name, None
    if name is None and rest.get("author_name", "") is None:
        del rest["author_name"]
    parts: list[Any] = []
    calls: list[Any] = []
    details: list[Any] = []
    results: list[Any] = []
    for place, part in enumerate(contents):
        if part.get("type") == _CALL and _is_plain_call(part):
            more = {key: part[key] for key in part if key not in ("type", "call_id", "name", "arguments")}
            calls.append(openai_call(part["call_id"], part["name"], part["arguments"]))
            details.append({"at": place, "more": more, "is_text": isinstance(part["arguments"], str)})
        elif part.get("type") == _RESULT:
            result, more = _result(part)
            parts.append(result)
            results.append(more)
        else:
            parts.append(part)
    content = parts[0]["text"] if len(parts) == 1 and _is_only_text(parts[0]) else parts or None
    more_of_it = {"message": rest, "calls": details, "results": results}
    all_of_it = {key: value for key, value in more_of_it.items() if value}
    return as_turn(role, content, all_of_it, message, name=name, tool_calls=calls or None)


def _is_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= 255


def _is_only_text(part: dict[str, Any]) -> bool:
    return part.keys() == {"type", "text", "additional_properties"} and (
        part["type"] == "text" and part["additional_properties"] == {} and isinstance(part["text"], str)
    )


def _is_plain_call(part: dict[str, Any]) -> bool:
    return all(isinstance(part.get(key), str) for key in ("call_id", "name")) and isinstance(
        part.get("arguments"), str | dict
    )


def _result(part: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the result of a tool under the names by which greenroom finds its text, and what else it has. The
    framework writes a text twice: it is kept once."""
    more = {key: value for key, value in part.items() if key not in ("type", "call_id", "result")}
    if more.get("items") == _items_of(part.get("result")):
        more["items"] = "content"
    return {"type": "tool_result", "tool_use_id": part.get("call_id"), "content": part.get("result")}, more


def _items_of(result: object) -> list[Any]:
    return [{"type": "text", "text": result, "additional_properties": {}}]


def _payload(turn: Message) -> dict[str, Any]:
    """Return the message that a turn was made of; of a turn by another hand, a message that says the same."""
    if (message := whole(turn)) is not None:
        return dict(message)
    rest: Any = kept(turn)
    contents: list[Any] = []
    if isinstance(turn.content, str):
        contents = _items_of(turn.content)
    else:
        results = iter((rest or {}).get("results", ()))
        contents = [_part(part, results) for part in turn.content or ()]
    details = (rest or {}).get("calls", [])
    for number, call in enumerate(turn.tool_calls or ()):
        detail = details[number] if number < len(details) else {}
        contents.insert(detail.get("at", len(contents)), _call(call, detail))
    payload: dict[str, Any] = {"type": "message", "role": turn.role, "contents": contents}
    if turn.name is not None:
        payload["author_name"] = turn.name
    payload["additional_properties"] = {}
    if rest is not None:
        payload.update(rest.get("message", {}))
    elif turn.tool_call_id is not None:
        text = turn.text
        payload["contents"] = [
            {"type": _RESULT, "call_id": turn.tool_call_id, "result": text, "items": _items_of(text)}
        ]
    return payload


def _part(part: Any, results: Iterator[dict[str, Any]]) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if part.get("type") != "tool_result" or "tool_use_id" not in part:
        return dict(part)
    more = dict(next(results, {"items": "content"}))
    content = part.get("content")
    if more.get("items") == "content":
        more["items"] = _items_of(content)
    result = {"type": _RESULT, "call_id": part["tool_use_id"], **more}
    if content is not None:
        result["result"] = content
    return result


def _call(call: Any, detail: dict[str, Any]) -> dict[str, Any]:
    id, name, text = called(call)
    arguments = text if detail.get("is_text", True) else json.loads(text)
    return {"type": _CALL, "call_id": id, "name": name, "arguments": arguments, **detail.get("more", {})}
