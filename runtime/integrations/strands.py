"""Sessions of Strands Agents in a greenroom store: agents, their messages, and the state of graphs and swarms.

A Strands session is a greenroom session, and each of its agents a child of that, whose turns are the agent's messages.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from dataclasses import fields as fields_of
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeVar

from greenroom.runtime import Conflict, Message, Runtime, SessionAlreadyExists, SessionNotFound, ValidationError
from greenroom.runtime import Session as Stored
from greenroom.runtime.messages import AddMessage, EditMessage

from .json_forms import to_json, written
from .keys import key_of
from .opening import Adapter, Opened

try:
    from strands.session.repository_session_manager import RepositorySessionManager
    from strands.session.session_repository import SessionRepository
    from strands.types.exceptions import SessionException
    from strands.types.session import Session, SessionAgent, SessionMessage, decode_bytes_values, encode_bytes_values
except ImportError as error:
    raise ImportError("Strands Agents is needed: pip install 'greenroom[strands]'") from error

if TYPE_CHECKING:
    from strands.multiagent import MultiAgentBase

    from greenroom.runtime import AsyncRuntime

__all__ = ["GreenroomSessionManager", "GreenroomSessionRepository"]

Made = TypeVar("Made", AddMessage, EditMessage)

_FRAMEWORK: Final = "strands"
_AGENT: Final = "agent"
"""The record of an agent's session that has all but its messages."""
_MULTI_AGENT: Final = b"multi_agent/"
"""The beginning of the records of a session that have the state of its graphs and swarms."""
_HASHED: Final = b"sha256:"
_MOST_BYTES: Final = 512
_MOST_ROLE: Final = 64
_MORE: Final = 16
"""How many times more turns are read when those read before have not the message."""
_KNOWN_OF_AGENTS: Final = tuple(each.name for each in fields_of(SessionAgent))
_KNOWN: Final = tuple(each.name for each in fields_of(SessionMessage))
_PLACE: Final = "place"
"""Has, in the metadata of a turn, the number of the messages before it, if their ids are in the order of the turns."""
_MOST_TRIES: Final = 8
_JSON: Final = "json"
"""Has, in the metadata of a turn, the JSON of a message that no value can hold."""


class GreenroomSessionRepository(Adapter, SessionRepository):
    """Keeps Strands sessions in greenroom: `RepositorySessionManager(session_id, GreenroomSessionRepository(rt))`.

    The greenroom session has the key `strands:<session_id>`, an agent's `strands:<session_id>/<agent_id>`, with "/" and
    "%" in ids written as in URLs. `runtime` is an open runtime or the path of a store; what was opened here from a
    path, `close` closes. Errors of the contract are Strands' SessionException.
    """

    def __init__(self, runtime: Runtime | AsyncRuntime | str | os.PathLike[str]) -> None:
        self._opened = Opened(runtime)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} in {self._opened.runtime!r}>"

    # -- sessions

    def create_session(self, session: Session, **kwargs: Any) -> Session:
        """Create a session. Raises SessionException if there is one with its id."""
        key = _key(session.session_id)
        try:
            self._opened.runtime.create_session(
                key=key, created_by=_FRAMEWORK, metadata={_FRAMEWORK: session.to_dict()}
            )
        except SessionAlreadyExists as error:
            raise SessionException(f"Session {session.session_id} already exists") from error
        return session

    def read_session(self, session_id: str, **kwargs: Any) -> Session | None:
        """Return a session, or None if there is none."""
        stored = self._session(session_id)
        data: Any = stored.info().custom_metadata.get(_FRAMEWORK) if stored is not None else None
        return Session.from_dict(data) if data is not None else None

    def delete_session(self, session_id: str, **kwargs: Any) -> None:
        """Delete a session with all its agents and their messages. Raises SessionException if there is none."""
        stored = self._required(session_id)
        for child in stored.children():
            if (child.key or "").startswith(f"{_FRAMEWORK}:"):  # it is an agent, and no fork or child of somebody else
                self._opened.runtime.delete_session(child.id)
        stored.delete()

    # -- agents

    def create_agent(self, session_id: str, session_agent: SessionAgent, **kwargs: Any) -> None:
        """Create an agent, or replace all but its messages. Raises SessionException if there is no such session."""
        session = self._required(session_id)
        agent = self._opened.runtime.get_or_create(
            _key(session_id, session_agent.agent_id), parent=session, created_by=_FRAMEWORK
        )
        _put(agent, _AGENT, written(session_agent.to_dict, "state"))

    def read_agent(self, session_id: str, agent_id: str, **kwargs: Any) -> SessionAgent | None:
        """Return an agent, or None if there is none."""
        agent = self._agent(session_id, agent_id)
        data = _got(agent, _AGENT) if agent is not None else None
        if data is None:
            return None
        return SessionAgent(**decode_bytes_values({name: data[name] for name in _KNOWN_OF_AGENTS if name in data}))

    def update_agent(self, session_id: str, session_agent: SessionAgent, **kwargs: Any) -> None:
        """Replace all of an agent but its messages and the time of its creation. Raises SessionException if there is
        none."""
        previous = self.read_agent(session_id, session_agent.agent_id)
        agent = self._agent(session_id, session_agent.agent_id)
        if previous is None or agent is None:
            raise SessionException(f"Agent {session_agent.agent_id} in session {session_id} does not exist")
        session_agent.created_at = previous.created_at
        _put(agent, _AGENT, written(session_agent.to_dict, "state"))

    # -- messages

    def create_message(self, session_id: str, agent_id: str, session_message: SessionMessage, **kwargs: Any) -> None:
        """Add a message to an agent's. One with the same id is no longer read, but stays a turn of the conversation.
        Raises SessionException if there is no such agent."""
        agent = self._required(session_id, agent_id)
        for tries in range(_MOST_TRIES):
            sequence: int | None = agent.info().sequence
            place = _next_place(agent.messages(1), session_message.message_id)
            if place is None or tries == _MOST_TRIES - 1:
                place = sequence = None
            try:
                self._opened.runtime.ask(agent.id, _turn(session_message, partial(_added, place, sequence)))
                return
            except Conflict:  # something came between
                if sequence is None:
                    raise

    def read_message(self, session_id: str, agent_id: str, message_id: int, **kwargs: Any) -> SessionMessage | None:
        """Return a message, or None if there is none."""
        agent = self._agent(session_id, agent_id)
        found = _newest_with(agent, message_id) if agent is not None else None
        return found[1] if found is not None else None

    def update_message(self, session_id: str, agent_id: str, session_message: SessionMessage, **kwargs: Any) -> None:
        """Replace all of a message but the time of its creation. A message that was redacted shows in the conversation
        as what it was redacted to. Raises SessionException if there is no such message."""
        agent = self._agent(session_id, agent_id)
        found = _newest_with(agent, session_message.message_id) if agent is not None else None
        if agent is None or found is None:
            raise SessionException(f"Message {session_message.message_id} does not exist")
        turn, previous = found
        session_message.created_at = previous.created_at
        self._opened.runtime.ask(agent.id, _turn(session_message, partial(_edited, turn)))

    def list_messages(
        self, session_id: str, agent_id: str, limit: int | None = None, offset: int = 0, **kwargs: Any
    ) -> list[SessionMessage]:
        """Return an agent's messages in the order of their ids, `limit` of them after the first `offset`. Raises
        SessionException if there is no such agent."""
        agent = self._required(session_id, agent_id)
        end = None if limit is None else offset + limit
        if offset > 0 and (end is None or end >= offset) and (tail := _from_place(agent, offset)) is not None:
            return [_message(*each) for each in tail[:limit]]
        newest: dict[int, tuple[Message, dict[str, Any]]] = {}
        for turn in agent.messages():
            if (fields := _fields(turn)) is not None:
                newest[fields["message_id"]] = turn, fields
        return [_message(*newest[each]) for each in sorted(newest)[offset:end]]

    # -- graphs and swarms

    def create_multi_agent(self, session_id: str, multi_agent: MultiAgentBase, **kwargs: Any) -> None:
        """Keep the state of a graph or a swarm. Raises SessionException if there is no such session."""
        session = self._required(session_id)
        _put(session, _multi_agent_key(multi_agent.id), multi_agent.serialize_state())

    def read_multi_agent(self, session_id: str, multi_agent_id: str, **kwargs: Any) -> dict[str, Any] | None:
        """Return the state of a graph or a swarm, or None if there is none."""
        session = self._session(session_id)
        return _got(session, _multi_agent_key(multi_agent_id)) if session is not None else None

    def update_multi_agent(self, session_id: str, multi_agent: MultiAgentBase, **kwargs: Any) -> None:
        """Replace the state of a graph or a swarm. Raises SessionException if there is none."""
        session, key = self._session(session_id), _multi_agent_key(multi_agent.id)
        if session is None or session.records.get(key) is None:
            raise SessionException(f"MultiAgent state {multi_agent.id} in session {session_id} does not exist")
        _put(session, key, multi_agent.serialize_state())

    # -- where things are

    def _session(self, session_id: str) -> Stored | None:
        return self._with_key(_key(session_id))

    def _agent(self, session_id: str, agent_id: str) -> Stored | None:
        return self._with_key(_key(session_id, agent_id))

    def _with_key(self, key: str) -> Stored | None:
        try:
            return self._opened.runtime.session(key=key)
        except SessionNotFound:
            return None

    def _required(self, session_id: str, agent_id: str | None = None) -> Stored:
        """Return the session of a Strands session, or of an agent. Raises SessionException if there is none."""
        found = self._session(session_id) if agent_id is None else self._agent(session_id, agent_id)
        if found is None:
            missing = f"Agent {agent_id} in session" if agent_id is not None else "Session"
            raise SessionException(f"{missing} {session_id} does not exist")
        return found


class GreenroomSessionManager(RepositorySessionManager):
    """A session manager for agents, graphs and swarms: `Agent(session_manager=GreenroomSessionManager("7", rt))`."""

    def __init__(
        self, session_id: str, runtime: Runtime | AsyncRuntime | str | os.PathLike[str], **kwargs: Any
    ) -> None:
        repository = GreenroomSessionRepository(runtime)
        try:
            super().__init__(session_id=session_id, session_repository=repository, **kwargs)
        except BaseException:
            repository.close()
            raise

    def __repr__(self) -> str:
        return f"<GreenroomSessionManager of {self.session_id!r} in {self.session_repository!r}>"

    def close(self) -> None:
        """Close the runtime if it was opened here, from a path."""
        repository = self.session_repository
        if isinstance(repository, GreenroomSessionRepository):
            repository.close()


def _key(session_id: object, agent_id: object = None) -> str:
    """Return the key of a session, or of an agent's. Raises ValidationError for ids that are no text."""
    key = _quoted(session_id, "session_id")
    return key_of(_FRAMEWORK, key if agent_id is None else f"{key}/{_quoted(agent_id, 'agent_id')}")


def _quoted(text: object, field: str) -> str:
    return _text(text, field).replace("%", "%25").replace("/", "%2F")


def _text(text: object, field: str) -> str:
    if not isinstance(text, str):
        raise ValidationError(f"{field}: a text is needed, not {type(text).__name__}", field=field)
    return str.__str__(text)


def _multi_agent_key(multi_agent_id: object) -> bytes:
    raw = _text(multi_agent_id, "multi_agent_id").encode("utf-8", "surrogatepass")
    if len(raw) > _MOST_BYTES or raw.startswith(_HASHED):
        raw = _HASHED + sha256(raw).hexdigest().encode()
    return _MULTI_AGENT + raw


def _put(session: Stored, key: bytes | str, data: dict[str, Any]) -> None:
    """Keep data as a JSON value, or as the bytes of its JSON if no value can hold it: it has NaN, or is nested too
    deep. Raises ValidationError for what is no JSON."""
    encoded = to_json(data, "state", default=_of_bytes)
    try:
        session.records.put(key, json.loads(encoded))
    except ValidationError:
        session.records.put(key, encoded.encode("utf-8", "surrogatepass"))


def _got(session: Stored, key: bytes | str) -> dict[str, Any] | None:
    value: Any = session.records.get(key)
    data: dict[str, Any] | None = (
        json.loads(value.decode("utf-8", "surrogatepass")) if isinstance(value, bytes) else value
    )
    return data


def _turn(session_message: SessionMessage, make: Callable[[str, Any, dict[str, Any]], Made]) -> Made:
    """Return what `make` makes of the role, the content and the metadata of the turn that a message is."""
    if not isinstance(session_message.message_id, int):
        raise ValidationError(
            f"message_id: a whole number is needed, not {type(session_message.message_id).__name__}",
            field="message_id",
        )
    fields = written(lambda: asdict(session_message), "message")
    encoded = to_json(fields, "message", default=_of_bytes)
    try:
        return make(*_placed(fields))
    except ValidationError:
        return make("assistant", None, {_FRAMEWORK: {"message_id": fields["message_id"], _JSON: encoded}})


def _added(place: int | None, sequence: int | None, role: str, content: Any, metadata: dict[str, Any]) -> AddMessage:
    if place is not None:
        metadata[_FRAMEWORK][_PLACE] = place
    return AddMessage(role, content, metadata=metadata, expected_sequence=sequence)


def _edited(turn: Message, role: str, content: Any, metadata: dict[str, Any]) -> EditMessage:
    if (place := (_fields(turn) or {}).get(_PLACE)) is not None:
        metadata[_FRAMEWORK][_PLACE] = place
    return EditMessage(turn.sequence, content=content, metadata=metadata)


def _next_place(last: list[Message], message_id: int) -> int | None:
    """Return the place of a message behind the newest turn, if the places and the ids of all are in one order."""
    if not last:
        return 0
    fields = _fields(last[0]) or {}
    place: int | None = fields.get(_PLACE)
    return (
        place + 1 if place is not None and isinstance(message_id, int) and fields["message_id"] < message_id else None
    )


def _from_place(agent: Stored, place: int) -> list[tuple[Message, dict[str, Any]]] | None:
    """Return all messages from a place on, without reading those before. None where turns do not know their place."""
    last = agent.messages(1)
    newest = (_fields(last[0]) or {}).get(_PLACE) if last else None
    if newest is None:
        return None
    wanted = [(turn, _fields(turn) or {}) for turn in agent.messages(max(0, newest - place + 1))]
    if any(fields.get(_PLACE) != place + number for number, (_, fields) in enumerate(wanted)):
        return None
    return wanted


def _of_bytes(value: object) -> Any:
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} cannot be stored")
    return encode_bytes_values(value)


def _placed(fields: dict[str, Any]) -> tuple[str, Any, dict[str, Any]]:
    """Return a turn which has the content that the agent sees. What was redacted is in the metadata alone."""
    shown = _shown(fields)
    message = fields[shown]
    if not isinstance(message, dict):
        return "assistant", None, {_FRAMEWORK: fields}
    role, content = message.get("role"), message.get("content")
    fields[shown] = {**message, "content": None} if isinstance(content, str | list) else message
    return (
        role if isinstance(role, str) and 0 < len(role) <= _MOST_ROLE else "assistant",
        content if isinstance(content, str | list) else None,
        {_FRAMEWORK: fields},
    )


def _shown(fields: dict[str, Any]) -> str:
    return "message" if fields.get("redact_message") is None else "redact_message"


def _fields(turn: Message) -> dict[str, Any] | None:
    """Return the fields of the message that a turn is, without its content; None if Strands has not written it."""
    fields: Any = turn.metadata.get(_FRAMEWORK)
    return fields if isinstance(fields, dict) else None


def _message(turn: Message, fields: dict[str, Any]) -> SessionMessage:
    if _JSON in fields:
        return SessionMessage.from_dict(json.loads(fields[_JSON]))
    found = {name: fields[name] for name in _KNOWN if name in fields}
    if turn.content is not None:
        shown = _shown(found)
        found[shown] = {**found[shown], "content": turn.content}
    return SessionMessage(**found)


def _newest_with(agent: Stored, message_id: object) -> tuple[Message, SessionMessage] | None:
    """Return the newest turn that is a certain message, and the message. It is mostly the last."""
    before, page = None, 1
    while turns := agent.messages(page, before):
        for turn in reversed(turns):
            if (fields := _fields(turn)) is not None and fields["message_id"] == message_id:
                return turn, _message(turn, fields)
        before, page = turns[0].sequence, page * _MORE
    return None
