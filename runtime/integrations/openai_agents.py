"""Sessions of the OpenAI Agents SDK in a greenroom store: `Runner.run(agent, "hi", session=GreenroomSession("7", rt))`.

An item is one turn of the conversation. What a turn has a place for is there: role, content, calls of tools and their
results. The other fields, and the order of all, stand in the turn's metadata, so that nothing is stored twice and every
item comes back exactly as it was.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from greenroom.runtime import Conflict, InvalidOperation, Message, Runtime, Session, SessionNotFound, ValidationError
from greenroom.runtime.messages import AddMessage, AddMessages, Command, GetMessages, PopMessage, Query

from .json_forms import read_again
from .keys import key_of
from .opening import Adapter, Opened
from .turns import Conversation, drained

try:
    from agents.memory import SessionSettings
    from agents.memory.session_settings import coerce_session_settings, resolve_session_limit
except ImportError as error:
    raise ImportError("the OpenAI Agents SDK is needed: pip install 'greenroom[openai-agents]'") from error

if TYPE_CHECKING:
    from agents.items import TResponseInputItem

    from greenroom.runtime import AsyncRuntime

__all__ = ["GreenroomSession"]

T = TypeVar("T")

_FRAMEWORK: Final = "openai_agents"
_WHOLE: Final = "whole"
"""Says in the metadata of a turn that its content is a list of one, the item."""
_JSON: Final = "json"
"""Says that its content is the JSON of the item, which no value can hold: it has NaN, or is nested too deep."""
_MOST_TRIES: Final = 8
_FEW: Final = 64
"""So many items are read, and so many values encoded, on the event loop itself."""
_SMALL: Final = 16 << 10
"""So many characters are encoded there."""
_ROLES: Final = frozenset({"user", "assistant", "system", "developer"})


class GreenroomSession(Adapter):
    """The conversation of one `session_id`, as the Agents SDK keeps it (its `Session` protocol).

    It lives in the greenroom session with the key `openai_agents:<session_id>`, which the first item creates. `runtime`
    is an open runtime or the path of a store; what was opened here from a path, `close` closes.

    Example:
        ```py
        session = GreenroomSession("user-7", rt)
        await Runner.run(agent, "hello", session=session)
        rt.session(key=session.key).messages()  # the same conversation, as greenroom's turns
        ```
    """

    session_id: str
    session_settings: SessionSettings | None = None

    def __init__(
        self,
        session_id: str,
        runtime: Runtime | AsyncRuntime | str | os.PathLike[str],
        *,
        session_settings: SessionSettings | dict[str, Any] | None = None,
    ) -> None:
        self.key = key_of(_FRAMEWORK, session_id)
        """The key of the greenroom session."""
        self.session_id = session_id
        self.session_settings = (
            coerce_session_settings(session_settings) if session_settings is not None else SessionSettings()
        )
        self._opened = Opened(runtime)
        self._conversation = Conversation(self._opened.runtime, self.key, created_by=_FRAMEWORK)

    def __repr__(self) -> str:
        return f"<GreenroomSession {self.key!r} in {self._opened.runtime!r}>"

    # -- the protocol

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """Return the newest `limit` items, oldest first; without one, as many as the session's settings say, or all.

        A negative limit is none, as in the SDK's own sessions. A turn that was added by other means than this class is
        read as a message with its text.
        """
        most = resolve_session_limit(limit, self.session_settings)
        if most is None or not 0 <= most <= _FEW:
            return await self._opened.run(self._read, most if most is None or most >= 0 else None)
        turns: list[Message] | None = await self._at_once(GetMessages(most))
        return await self._opened.run(self._read, most) if turns is None else [_item(turn) for turn in turns]

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Add items in one write: all or none (above 10 000, in several). Raises ValidationError for what is no JSON,
        ResourceLimitExceeded for an item above 16 MiB, InvalidSessionState if the greenroom session is not active."""
        if not items:
            return
        if not _is_small(items):
            await self._opened.run(self._add_items, items)
            return
        turns = _turns(items)
        if await self._at_once(AddMessages(turns)) is None:
            await self._opened.run(self._conversation.add, turns)

    async def pop_item(self) -> TResponseInputItem | None:
        """Take the newest item out of the conversation and return it; None if there is none."""
        turn: Message | None = await self._at_once(PopMessage())
        return _item(turn) if turn is not None else await self._opened.run(self._pop)

    async def clear_session(self) -> None:
        """Take all items out of the conversation. The journal of the greenroom session still has them: delete that
        session if nothing may be left."""
        await self._opened.run(self._conversation.clear)

    # -- what compaction of the SDK asks of stores that can replace the newest items in one write

    async def _get_compaction_snapshot(self, limit: int) -> Any:
        """Return the newest `limit` items, and how to replace the last of them if they are still the last."""
        try:
            from agents.memory.session import _CompactionSnapshot
        except ImportError:  # a version without: it replaces the whole conversation
            return None
        turns = await self._opened.run(self._conversation.turns, limit + 1)
        shown = turns[-limit:] if limit > 0 else []

        async def replace_suffix(start: int, output: list[TResponseInputItem]) -> bool:
            if not shown[start:]:
                return False
            return await self._opened.run(self._replace, shown[start:], _turns(output))

        return _CompactionSnapshot([_item(each) for each in shown], len(turns) <= limit, replace_suffix)

    async def _at_once(self, message: Command[Any] | Query[Any]) -> Any:
        """Return the reply to a message that takes no long way, or None if the longer way is needed: the greenroom
        session is not known yet, or no longer there, or it refuses the message as it is."""
        session = self._conversation.known
        if session is None:
            return None
        try:
            return await self._opened.ask(session.id, message)
        except (SessionNotFound, InvalidOperation):
            return None

    # -- the same, synchronously

    def _read(self, limit: int | None) -> list[Any]:
        return [_item(turn) for turn in drained(self._conversation.turns(limit))]

    def _add_items(self, items: list[TResponseInputItem]) -> None:
        self._conversation.add(_turns(items))

    def _pop(self) -> Any:
        for tries in range(_MOST_TRIES):
            try:
                turn = self._conversation.read(Session.pop_message, None)
            except InvalidOperation:
                if not self._conversation.turns(1):
                    return None
                if tries == _MOST_TRIES - 1:  # it is not that there was none, and something came meanwhile
                    raise
            else:
                return _item(turn) if turn is not None else None
        return None

    def _replace(self, expected: list[Message], turns: list[AddMessage]) -> bool:
        """Put turns in the place of the newest ones, if these are still the same. Returns whether they are."""
        for _ in range(_MOST_TRIES):
            sequence = self._conversation.read(lambda session: session.info().sequence, None)
            if sequence is None or self._conversation.turns(len(expected)) != expected:
                return False
            try:
                self._conversation.read(
                    partial(_replaced, first=expected[0].sequence, turns=turns, sequence=sequence), None
                )
            except Conflict:
                continue
            return True
        return False


def _replaced(session: Session, first: int, turns: list[AddMessage], sequence: int) -> None:
    with session.batch(expected_sequence=sequence) as batch:
        batch.truncate_messages(first - 1)
        if turns:
            batch.add_messages(turns)  # type: ignore[arg-type]


def _is_small(items: Iterable[object]) -> bool:
    """Return whether items take so little that they may be encoded on the event loop."""
    left, seen, inner = _SMALL, 0, list(items)
    while inner:
        value = inner.pop()
        seen += 1
        if isinstance(value, str):
            left -= len(value)
        elif isinstance(value, dict):
            inner.extend(value.values())
        elif isinstance(value, list):
            inner.extend(value)
        if left < 0 or seen > _FEW:
            return False
    return True


def _turns(items: Iterable[Any]) -> list[AddMessage]:
    """Return items as turns, which are as they were when this was called. Raises ValidationError."""
    turns = []
    for number, item in enumerate(items):
        turns.append(_turn(*read_again(item, f"items[{number}]")))
    return turns


def _turn(item: Any, encoded: str) -> AddMessage:
    """Return an item as a turn. What it is made of is JSON, `encoded`."""
    try:
        return _placed(item) if isinstance(item, dict) else _whole(item)
    except ValidationError:  # a field is too long for its place, or no value
        pass
    try:
        return _whole(item)
    except ValidationError:
        return AddMessage("assistant", encoded, metadata={_FRAMEWORK: _JSON})


def _placed(item: dict[str, Any]) -> AddMessage:
    """Return an item as a turn that has its fields in their places."""
    match item:
        case {"role": str(role), "content": str() | list() as content} if item.get("type", "message") == "message":
            if len(item) == 2 and isinstance(content, str) and role in _ROLES and next(iter(item)) == "role":
                return AddMessage(role, content)
            return AddMessage(role, content, metadata=_rest(item, "role", "content"))
        case {"type": "function_call", "call_id": str(call), "name": str(name), "arguments": str(arguments)}:
            function = {"name": name, "arguments": arguments}
            return AddMessage(
                "assistant",
                None,
                tool_calls=[{"id": call, "type": "function", "function": function}],
                metadata=_rest(item, "call_id", "name", "arguments"),
            )
        case {"type": "function_call_output", "call_id": str(call), "output": str() | list() as output}:
            return AddMessage("tool", output, tool_call_id=call, metadata=_rest(item, "call_id", "output"))
    return _whole(item)


def _rest(item: dict[str, Any], *placed: str) -> dict[str, Any]:
    return {_FRAMEWORK: item | dict.fromkeys(placed)}


def _whole(item: Any) -> AddMessage:
    kind = item.get("type") if isinstance(item, dict) else None
    role = "tool" if isinstance(kind, str) and kind.endswith(("_output", "_response")) else "assistant"
    return AddMessage(role, [item], metadata={_FRAMEWORK: _WHOLE})


def _item(turn: Message) -> Any:
    """Return the item that a turn is."""
    item: Any = turn.metadata.get(_FRAMEWORK)
    content: Any = turn.content
    if item is None:
        if turn.role in _ROLES and isinstance(content, str):
            return {"role": turn.role, "content": content}
        return {"role": turn.role if turn.role in _ROLES else "assistant", "content": turn.text}
    if item == _WHOLE:
        return content[0]
    if item == _JSON:
        return json.loads(content)
    item = dict(item)
    if turn.tool_calls:
        call: Any = turn.tool_calls[0]
        item.update(call_id=call["id"], **call["function"])
    elif turn.tool_call_id is not None:
        item.update(call_id=turn.tool_call_id, output=content)
    else:
        item.update(role=turn.role, content=content)
    return item
