"""Pydantic AI on greenroom: histories of messages are kept as turns, and come back exactly.

Example:
    ```py
    history = GreenroomMessageHistory("user-7", rt)
    result = agent.run_sync("Hello", message_history=history.load())
    history.save(result.all_messages())
    ```
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, cast

try:
    from pydantic_ai.messages import (
        ModelMessage,
        ModelMessagesTypeAdapter,
        ModelRequest,
        ModelResponse,
        SystemPromptPart,
        TextPart,
        ThinkingPart,
        ToolCallPart,
        ToolReturnPart,
        UserPromptPart,
    )
except ImportError as error:
    raise ImportError("Pydantic AI is needed: pip install 'greenroom[pydantic-ai]'") from error

from greenroom.runtime import AsyncRuntime, Message, Runtime, ValidationError
from greenroom.runtime.messages import AddMessage

from .json_forms import require_form, to_json, written
from .keys import key_of
from .opening import Adapter, Opened
from .turns import KEPT, WHOLE, Conversation, as_turn, called, drained, in_parts, openai_call, whole

__all__ = ["GreenroomMessageHistory"]

Payload: TypeAlias = dict[str, Any]
_CALL, _RETURN = "tool-call", "tool-return"
_ROLES: Final = {"system-prompt": "system", "user-prompt": "user", _RETURN: "tool", "builtin-tool-return": "tool"}
"""The roles of the parts of a request."""
_OPTIONAL: Final = frozenset(
    each.name for kind in (ModelRequest, ModelResponse) for each in dataclasses.fields(kind) if each.default is None
)
"""The fields of messages that are None by default: then they are not stored."""
_NO_USAGE: Final = ModelMessagesTypeAdapter.dump_python([ModelResponse([])], mode="json")[0]["usage"]
"""The usage of a message that says nothing of it: it is not stored."""
_OPTIONAL_OF_PARTS: Final[dict[str, frozenset[str]]] = {
    kind.part_kind: frozenset(each.name for each in dataclasses.fields(kind) if each.default is None) - {"args"}
    for kind in (UserPromptPart, SystemPromptPart, TextPart, ThinkingPart, ToolCallPart, ToolReturnPart)
}
"""The same for parts by their kinds."""
_CONTINUES: Final = "continues"
"""The field of a turn's metadata by which it is a further part of the message before it: one request of Pydantic AI can
have a system prompt, results of tools and words of the user."""


class GreenroomMessageHistory(Adapter):
    """Keeps the messages of one conversation as turns of the session with the key `pydantic_ai:NAME`.

    What Pydantic AI's `ModelMessagesTypeAdapter` writes of the messages comes back exactly. One request is as many
    turns as it has roles in a row.
    """

    def __init__(self, name: str, runtime: Runtime | AsyncRuntime | str | os.PathLike[str]) -> None:
        """Work on a runtime, or open the store at a path. `name` may be any text."""
        self.key: Final = key_of("pydantic_ai", name, "name")
        self._opened = Opened(runtime)
        self._conversation = Conversation(self._opened.runtime, self.key)

    def __repr__(self) -> str:
        return f"<GreenroomMessageHistory {self.key!r}>"

    def load(self) -> list[ModelMessage]:
        """Return all messages, oldest first: what `agent.run(…, message_history=…)` takes."""
        messages: list[ModelMessage] = []
        for part in in_parts(_messages(drained(self._conversation.turns()))):
            messages += ModelMessagesTypeAdapter.validate_python(part)
        return messages

    def save(self, messages: Sequence[ModelMessage]) -> None:
        """Put these messages, such as `result.all_messages()`, in place of all that are there, in one write. Those that
        are at the beginning already are not written again. Raises ValidationError for what has no form in JSON."""
        self._conversation.replace(_pieces(messages), _turn, _piece)

    def add(self, messages: Sequence[ModelMessage]) -> None:
        """Add messages, such as `result.new_messages()`, in one write: all of them or none. Raises ValidationError for
        what has no form in JSON."""
        pieces = _pieces(messages)
        if pieces:
            self._conversation.add([_turn(each) for each in pieces])

    def clear(self) -> None:
        """Take all messages out of the history. The journal of the session still has them."""
        self._conversation.clear()

    async def aload(self) -> list[ModelMessage]:
        """Return all messages, oldest first."""
        return await self._opened.run(self.load)

    async def asave(self, messages: Sequence[ModelMessage]) -> None:
        """Put these messages in place of all that are there, in one write."""
        await self._opened.run(self.save, messages)

    async def aadd(self, messages: Sequence[ModelMessage]) -> None:
        """Add messages in one write: all of them or none."""
        await self._opened.run(self.add, messages)

    async def aclear(self) -> None:
        """Take all messages out of the history."""
        await self._opened.run(self.clear)


def _pieces(messages: Sequence[ModelMessage]) -> list[Payload]:
    """Return messages as Pydantic AI writes them, in pieces of one role each. The first piece of a message has the
    other fields, further ones say that they continue it."""
    given: Sequence[object] = messages
    for each in given:
        if not isinstance(each, ModelRequest | ModelResponse):
            kind = type(each).__name__
            raise ValidationError(f"messages: messages of Pydantic AI are needed, not {kind}", field="messages")
    dump = partial(ModelMessagesTypeAdapter.dump_python, list(messages))
    require_form(written(dump, "messages"), "messages")
    payloads: list[Payload] = written(partial(dump, mode="json"), "messages")
    pieces: list[Payload] = []
    for full in payloads:
        payload = {key: full[key] for key in full if full[key] is not None or key not in _OPTIONAL}
        if payload.get("usage") == _NO_USAGE:
            del payload["usage"]
        parts = [_told(part) for part in payload["parts"]]
        role = "assistant" if payload["kind"] == "response" else None
        begin = 0
        for place in range(1, len(parts) + 1):
            if place == len(parts) or (role is None and _role(parts[place]) != _role(parts[begin])):
                piece = {_CONTINUES: True} if begin else {**payload}
                pieces.append({**piece, "parts": parts[begin:place], "role": role or _role(parts[begin])})
                begin = place
        if not parts:
            pieces.append({**payload, "role": role or "user"})
    return pieces


def _told(part: Payload) -> Payload:
    """Return a part without the fields that are None by default."""
    optional = _OPTIONAL_OF_PARTS.get(part["part_kind"], ())
    return {key: value for key, value in part.items() if value is not None or key not in optional}


def _role(part: Payload) -> str:
    return _ROLES.get(part["part_kind"], "user")


def _turn(piece: Payload) -> AddMessage:
    """Return a piece of a message as a turn: calls of tools are the turn's, results have their text where greenroom
    looks for it."""
    rest = dict(piece)
    role, parts = rest.pop("role"), rest.pop("parts")
    content: list[Any] = []
    calls: list[Any] = []
    details: list[Any] = []
    results: list[Any] = []
    for place, part in enumerate(parts):
        if part["part_kind"] == _CALL:
            more = {key: part[key] for key in part if key not in ("part_kind", "tool_name", "args", "tool_call_id")}
            is_text = isinstance(part["args"], str)
            calls.append(openai_call(part["tool_call_id"], part["tool_name"], part["args"]))
            details.append({"at": place, "is_text": is_text, "more": more})
        elif part["part_kind"] == _RETURN:
            more = {key: part[key] for key in part if key not in ("part_kind", "content", "tool_call_id")}
            answer, is_text = part["content"], isinstance(part["content"], str)
            text = answer if is_text else to_json(answer, "content")
            content.append({"type": "tool_result", "tool_use_id": part["tool_call_id"], "content": text})
            results.append({"is_text": is_text, "more": more})
        else:
            content.append(part)
    if calls:
        rest["calls"] = details
    if results:
        rest["results"] = results
    said: Any = content or None
    if len(content) == 1 and "part_kind" in content[0] and isinstance(content[0].get("content"), str):
        rest["part"] = {key: value for key, value in content[0].items() if key != "content"}
        said = content[0]["content"]
    return as_turn(role, said, rest, piece, tool_calls=calls or None)


def _piece(turn: Message) -> Payload:
    """Return the piece of a message that a turn was made of; of a turn by another hand, one that says the same."""
    metadata = turn.metadata
    if WHOLE in metadata:
        return dict(whole(turn))
    rest = metadata.get(KEPT)
    if not isinstance(rest, dict):
        return _foreign(turn)
    piece: Payload = dict(rest)
    part, details, results = piece.pop("part", None), piece.pop("calls", ()), piece.pop("results", ())
    content = turn.content
    if isinstance(content, str):
        parts: list[Any] = [{**(part or _default_part(turn)), "content": content}]
    else:
        answers = iter(cast("Sequence[Payload]", results))
        parts = [_part(each, answers) for each in content or ()]
    for call, detail in zip(turn.tool_calls or (), cast("Sequence[Payload]", details), strict=False):
        parts.insert(detail["at"], _call(call, detail))
    piece["parts"], piece["role"] = parts, turn.role
    return piece


def _part(part: Any, answers: Iterator[Payload]) -> Payload:
    if not isinstance(part, dict) or part.get("type") != "tool_result":
        return dict(part)
    unknown: Payload = {"is_text": True, "more": {"tool_name": ""}}
    answer, text = next(answers, unknown), part["content"]
    content = text if answer["is_text"] else json.loads(text)
    return {"part_kind": _RETURN, "tool_call_id": part["tool_use_id"], "content": content, **answer["more"]}


def _call(call: Any, detail: Payload) -> Payload:
    id, name, text = called(call)
    arguments = text if detail["is_text"] else json.loads(text)
    return {"part_kind": _CALL, "tool_name": name, "args": arguments, "tool_call_id": id, **detail["more"]}


def _default_part(turn: Message) -> Payload:
    if turn.role == "assistant":
        return {"part_kind": "text"}
    return {"part_kind": "system-prompt" if turn.role == "system" else "user-prompt"}


def _foreign(turn: Message) -> Payload:
    parts: list[Payload] = []
    if turn.role == "tool":
        name, id = turn.name or "", turn.tool_call_id or ""
        parts.append({"part_kind": _RETURN, "tool_name": name, "tool_call_id": id, "content": turn.text})
    elif turn.text or not turn.tool_calls:
        parts.append({**_default_part(turn), "content": turn.text})
    if turn.role != "assistant":
        return {"kind": "request", "parts": parts, "role": turn.role}
    for call in turn.tool_calls or ():
        id, name, text = called(call)
        parts.append({"part_kind": _CALL, "tool_name": name, "args": text, "tool_call_id": id})
    return {"kind": "response", "parts": parts, "role": turn.role}


def _messages(turns: Iterable[Message]) -> Iterator[Payload]:
    """Yield the messages that turns were made of. A turn that continues a message that is no more stands alone."""
    message: Payload | None = None
    for turn in turns:
        piece = _piece(turn)
        del piece["role"]
        if not piece.pop(_CONTINUES, False):
            if message is not None:
                yield message
            message = piece
        elif message is not None and message["kind"] == "request":
            message["parts"] = [*message["parts"], *piece["parts"]]
        else:
            if message is not None:
                yield message
            message = {"kind": "request", **piece}
    if message is not None:
        yield message
