"""Keep the messages of other frameworks as turns: exactly, and readable by all of greenroom's own means.

An adapter splits a message, in its framework's own JSON form, into what a turn has a field for (role, content, name,
calls of tools) and the rest, which is kept in the turn's metadata. Nothing is stored twice.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from greenroom.runtime import Conflict, Message, Runtime, Session, SessionBatch, SessionNotFound, ValidationError
from greenroom.runtime.messages import AddMessage

from .json_forms import to_json

__all__ = ["Conversation", "as_turn", "called", "drained", "in_parts", "kept", "openai_call", "whole"]

T = TypeVar("T")

KEPT: Final = "kept"
"""The field of a turn's metadata that has the rest of a message."""
WHOLE: Final = "message_json"
"""The field of a turn's metadata that has the whole message as a text of JSON, where a turn cannot hold it."""
MAX_ROLE: Final = 64
MAX_WRITE: Final = 10_000
MAX_TRIES: Final = 100
MOST_DELETED: Final = 8
"""So often a session that was deleted is created again for one call."""
_PART: Final = 64
_LOCKS: Final = tuple(threading.Lock() for _ in range(64))
"""Those who replace the turns of one session take turns; what others write meanwhile is noticed by its sequence."""


def as_turn(
    role: str,
    content: str | Sequence[object] | None,
    rest: Mapping[str, object],
    message: object,
    *,
    name: str | None = None,
    tool_calls: Sequence[object] | None = None,
    tool_call_id: str | None = None,
    beside: Mapping[str, object] | None = None,
) -> AddMessage:
    """Return the command that adds a message as a turn. `rest` is what the other arguments do not have of it; `beside`
    are further fields of the turn's metadata.

    A message that no turn can hold (it has a NaN, a role of a thousand letters) is kept whole, as the JSON of
    `message`. Raises ValidationError for one that has no form in JSON either, ResourceLimitExceeded for one that is too
    large.
    """
    metadata = {**({KEPT: rest} if rest else {}), **(beside or {})} or None
    try:
        return AddMessage(role, content, name=name, tool_calls=tool_calls, tool_call_id=tool_call_id, metadata=metadata)
    except ValidationError as refused:
        try:
            text = to_json(message, "message")
        except ValidationError:
            raise refused from None
    return AddMessage(role[:MAX_ROLE] or "unknown", None, metadata={WHOLE: text, **(beside or {})})


def kept(turn: Message) -> Any:
    """Return the rest of the message that a turn was made of; None if there is none, and for a turn that was not
    made by an adapter."""
    return turn.metadata.get(KEPT)


def whole(turn: Message) -> Any:
    """Return the message of a turn that keeps it whole; None for other turns."""
    text = turn.metadata.get(WHOLE)
    return json.loads(text) if isinstance(text, str) else None


def drained(turns: list[Message]) -> Iterator[Message]:
    """Yield turns, and let go of each. What is decoded for one is gone before the next, which spares the garbage
    collector half of its work where turns are many."""
    turns.reverse()
    while turns:
        yield turns.pop()


def in_parts(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield items in short lists."""
    left = iter(items)
    while part := [*islice(left, _PART)]:
        yield part


def openai_call(id: object, name: object, arguments: object) -> dict[str, object]:
    """Return a call of a tool in the form that turns have it in, with its arguments as a text of JSON."""
    text = arguments if isinstance(arguments, str) else to_json(arguments, "arguments")
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

    __slots__ = ("_created_by", "_found", "_key", "_metadata", "_runtime")

    def __init__(
        self,
        runtime: Runtime,
        key: str,
        metadata: Mapping[str, object] | None = None,
        *,
        created_by: str | None = None,
    ) -> None:
        """`metadata` and `created_by` are what the session gets when it is created."""
        self._runtime = runtime
        self._key = key
        self._metadata = metadata
        self._created_by = created_by
        self._found: Session | None = None

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
        return self._runtime.get_or_create(self._key, metadata=self._metadata, created_by=self._created_by)

    @property
    def known(self) -> Session | None:
        """The session that the last call has found. It may have been deleted since."""
        return self._found

    def turns(self, limit: int | None = None) -> list[Message]:
        """Return the newest `limit` turns, oldest first."""
        found: list[Message] = self.read(lambda session: session.messages(limit), [])
        return found

    def read(self, ask: Callable[[Session], T], missing: T) -> T:
        """Return what `ask` returns for the session, or `missing` if there is none."""
        for session in (self._found, None):
            try:
                session = self._found = session or self._runtime.session(key=self._key)
                return ask(session)
            except SessionNotFound:  # it was deleted; there may be a new one with this key
                self._found = None
        return missing

    def write(self, ask: Callable[[Session], T]) -> T:
        """Return what `ask` returns for the session, which is created if there is none. Raises SessionNotFound if it is
        deleted again and again meanwhile."""
        for _ in range(MOST_DELETED):
            session = self._found = self._found or self.created()
            try:
                return ask(session)
            except SessionNotFound:
                self._found = None
        return ask(self.created())

    def add(self, turns: Sequence[AddMessage]) -> None:
        """Add turns in one write: all of them or none. More than 10 000 are several writes."""
        if len(turns) == 1:
            self.write(lambda session: self._runtime.ask(session.id, turns[0]))
            return
        for some in _parts(turns):
            self.write(lambda session, some=some: session.add_messages(some))  # type: ignore[misc]

    def clear(self) -> None:
        """Take all turns out of the conversation."""
        self.read(lambda session: session.clear_messages(), 0)

    def change(self, session: Session, decide: Callable[[list[Message], SessionBatch], T]) -> T:
        """Give all turns, and a batch for what is to change, to `decide`, and return what it returns. It is asked again
        if somebody else has written meanwhile. Raises Conflict if that happens without end."""
        with _LOCKS[hash(self._key) % len(_LOCKS)]:
            for _ in range(MAX_TRIES - 1):
                with contextlib.suppress(Conflict):
                    return _changed(session, decide)
            return _changed(session, decide)

    def replace(
        self, payloads: Sequence[Any], turn: Callable[[Any], AddMessage], payload: Callable[[Message], Any]
    ) -> None:
        """Put messages in place of all that are there, in one write. What they begin with alike stays as it is, so that
        a transcript that is given again with more at its end adds only that."""

        def decide(there: list[Message], batch: SessionBatch) -> None:
            same = _same(there, payloads, payload)
            if same < len(there):
                batch.truncate_messages(there[same - 1].sequence if same else 0)
            for some in _parts([turn(each) for each in payloads[same:]]):
                batch.add_messages(some)

        self.write(lambda session: self.change(session, decide))


def _changed(session: Session, decide: Callable[[list[Message], SessionBatch], T]) -> T:
    sequence = session.info().sequence
    turns = session.messages()
    with session.batch(expected_sequence=sequence) as batch:
        return decide(turns, batch)


def _same(turns: Sequence[Message], payloads: Sequence[Any], payload: Callable[[Message], Any]) -> int:
    """Return how many turns from the beginning on are these messages."""
    for number, (turn, given) in enumerate(zip(turns, payloads, strict=False)):
        if payload(turn) != given:
            return number
    return min(len(turns), len(payloads))


def _parts(turns: Sequence[AddMessage]) -> Iterator[list[Any]]:
    for begin in range(0, len(turns), MAX_WRITE):
        yield list(turns[begin : begin + MAX_WRITE])
