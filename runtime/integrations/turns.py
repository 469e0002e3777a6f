"""Keep the messages of other frameworks as turns: exactly, and readable by all of greenroom's own means.

An adapter splits a message, in its framework's own JSON form, into what a turn has a field for (role, content, name,
calls of tools) and the rest, which is kept in the turn's metadata. Nothing is stored twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from greenroom.runtime import Message, Runtime, Session, SessionNotFound, ValidationError
from greenroom.runtime.messages import AddMessage

__all__ = ["Conversation", "as_turn", "called", "kept", "openai_call", "whole"]

KEPT: Final = "kept"
"""The field of a turn's metadata that has the rest of a message."""
WHOLE: Final = "message_json"
"""The field of a turn's metadata that has the whole message as a text of JSON, where a turn cannot hold it."""
MAX_ROLE: Final = 64
MAX_WRITE: Final = 10_000


def as_turn(
    role: str,
    content: str | Sequence[object] | None,
    rest: Mapping[str, object],
    message: object,
    *,
    name: str | None = None,
    tool_calls: Sequence[object] | None = None,
    tool_call_id: str | None = None,
) -> AddMessage:
    """Return the command that adds a message as a turn. `rest` is what the other arguments do not have of it.

    A message that no turn can hold (it has a NaN, a role of a thousand letters) is kept whole, as the JSON of
    `message`. Raises ValidationError for one that has no form in JSON either, ResourceLimitExceeded for one that is too
    large.
    """
    metadata = {KEPT: rest}
    try:
        return AddMessage(role, content, name=name, tool_calls=tool_calls, tool_call_id=tool_call_id, metadata=metadata)
    except ValidationError as refused:
        try:
            text = json.dumps(message, ensure_ascii=False)
        except (TypeError, ValueError, RecursionError):
            raise refused from None
    return AddMessage(role[:MAX_ROLE] or "unknown", None, metadata={WHOLE: text})


def kept(turn: Message) -> Any:
    """Return the rest of the message that a turn was made of; None for a turn that was not made by an adapter."""
    return turn.metadata.get(KEPT)


def whole(turn: Message) -> Any:
    """Return the message of a turn that keeps it whole; None for other turns."""
    text = turn.metadata.get(WHOLE)
    return json.loads(text) if isinstance(text, str) else None


def openai_call(id: object, name: object, arguments: object) -> dict[str, object]:
    """Return a call of a tool in the form that turns have it in, with its arguments as a text of JSON."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {"id": id, "type": "function", "function": {"name": name, "arguments": text}}


def called(call: Any) -> tuple[Any, Any, str]:
    """Return id, name and arguments of a call, in whichever of the forms of OpenAI and Anthropic it is."""
    call = call if isinstance(call, dict) else {}
    function = call["function"] if isinstance(call.get("function"), dict) else call
    arguments = function.get("arguments", function.get("input", {}))
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return call.get("id", ""), function.get("name", ""), text


class Conversation:
    """The turns of one session, which begins to exist with the first turn."""

    __slots__ = ("_key", "_runtime")

    def __init__(self, runtime: Runtime, key: str) -> None:
        self._runtime = runtime
        self._key = key

    def __repr__(self) -> str:
        return f"<Conversation {self._key!r}>"

    def session(self) -> Session | None:
        """Return the session, or None if there is none yet."""
        try:
            return self._runtime.session(key=self._key)
        except SessionNotFound:
            return None

    def created(self) -> Session:
        """Return the session, and create it if there is none yet."""
        return self._runtime.get_or_create(self._key)

    def turns(self, limit: int | None = None) -> list[Message]:
        """Return the newest `limit` turns, oldest first."""
        session = self.session()
        if session is None:
            return []
        try:
            return session.messages(limit)
        except SessionNotFound:  # it was deleted meanwhile
            return []

    def add(self, turns: Sequence[AddMessage]) -> None:
        """Add turns in one write: all of them or none. More than 10 000 are several writes."""
        session = self.created()
        for some in _parts(turns):
            session.add_messages(some)

    def clear(self) -> None:
        """Take all turns out of the conversation."""
        session = self.session()
        if session is not None:
            session.clear_messages()

    def replace(self, turns: Sequence[AddMessage]) -> None:
        """Put these turns in place of all that are there, in one write."""
        with self.created().batch() as batch:
            batch.clear_messages()
            for some in _parts(turns):
                batch.add_messages(some)


def _parts(turns: Sequence[AddMessage]) -> Iterator[list[Any]]:
    for begin in range(0, len(turns), MAX_WRITE):
        yield list(turns[begin : begin + MAX_WRITE])
