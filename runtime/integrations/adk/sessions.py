"""ADK's session service on greenroom sessions.

An ADK session is a greenroom session with the key `adk:["app","user","id"]`. Its events are turns of the conversation,
its own state are variables, and the state that an app or a user shares is a scope. An event, the state that it changes
and the scopes are one write.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from hashlib import sha256
from time import time
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import uuid4

from google.adk.errors._stale_session_error import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.events.event import Event
from google.adk.sessions.base_session_service import BaseSessionService, GetSessionConfig, ListSessionsResponse
from google.adk.sessions.session import Session as AdkSession
from google.adk.sessions.state import State
from pydantic_core import to_jsonable_python

from greenroom.runtime import Conflict, Message, Runtime, Session, SessionNotFound, SessionStatus, ValidationError
from greenroom.runtime.messages import ABSENT

from ..json_forms import require_form, written
from ..opening import Adapter, Opened
from ..turns import as_turn, drained, kept, whole
from .names import OWN, scope_name, session_key, tag

if TYPE_CHECKING:
    from greenroom.runtime import AsyncRuntime

__all__ = ["GreenroomSessionService"]

_MARK: Final = OWN + "adk"
"""The variable that says when the session was last written by ADK, and by which event."""
_PAGE: Final = 200


class GreenroomSessionService(Adapter, BaseSessionService):
    """Keeps the sessions of ADK. `runtime` is an open runtime or the path of a store; what was opened from a path,
    `close` closes.

    A session that somebody else has written to since it was read is refused with StaleSessionError, a ValueError;
    nothing is stored then. An event that is delivered again is stored once.
    """

    def __init__(self, runtime: Runtime | AsyncRuntime | str | os.PathLike[str]) -> None:
        self._opened = Opened(runtime)

    def __repr__(self) -> str:
        return f"<GreenroomSessionService on {self._opened.runtime!r}>"

    # -- the interface

    async def create_session(
        self,
        *,
        app_name: str,
        user_id: str,
        state: dict[str, Any] | None = None,
        session_id: str | None = None,
    ) -> AdkSession:
        """Create a session. Raises AlreadyExistsError. Spaces around an id do not count; without one, it is random."""
        return await self._opened.run(self._create, app_name, user_id, state or {}, _stripped(session_id))

    async def get_session(
        self, *, app_name: str, user_id: str, session_id: str, config: GetSessionConfig | None = None
    ) -> AdkSession | None:
        """Return a session with its events, or the newest of them as `config` says; None if there is none."""
        return await self._opened.run(self._get, app_name, user_id, _stripped(session_id), config)

    async def list_sessions(self, *, app_name: str, user_id: str | None = None) -> ListSessionsResponse:
        """Return the sessions of an app, or of one user, without their events, the last written last."""
        return await self._opened.run(self._list, app_name, user_id)

    async def delete_session(self, *, app_name: str, user_id: str, session_id: str) -> None:
        """Delete a session with its events, its own state and its artifacts. One that is not there is no error."""
        await self._opened.run(self._delete, app_name, user_id, _stripped(session_id))

    async def get_user_state(self, *, app_name: str, user_id: str) -> dict[str, Any]:
        """Return the state that all sessions of a user share, without the prefix of its keys."""
        return await self._opened.run(self._shared, "user", app_name, user_id)

    async def append_event(self, session: AdkSession, event: Event) -> Event:
        """Store an event with the state that it changes. A partial event is not stored, state under `temp:` neither.

        Raises SessionNotFoundError for a session that was deleted, StaleSessionError if it was written to since the
        caller has read it, ValidationError for what has no form in JSON, NaN for one. Then `session` is unchanged too.
        """
        if event.partial or any(each is event or each == event for each in session.events if each.id == event.id):
            return event
        mark = await self._opened.run(self._append, session, event)
        event = await super().append_event(session, event)
        session._storage_update_marker = _text(mark)
        session.last_update_time = mark["time"]
        return event

    # -- on the runtime

    def _create(self, app_name: str, user_id: str, state: dict[str, Any], session_id: str | None) -> AdkSession:
        session_id = session_id or str(uuid4())
        now = time()
        mark = {"time": now, "last": None}
        session = self._opened.runtime.get_or_create(
            session_key(app_name, user_id, session_id),
            name=f"{app_name}: {session_id}".encode("utf-8", "replace").decode()[:255],
            tags=[tag(app_name), tag(app_name, user_id)],
            metadata={"adk": {"app_name": app_name, "user_id": user_id, "session_id": session_id}},
        )
        try:
            with session.batch() as batch:
                batch.set(_MARK, mark, expected=ABSENT)
                for place, key, value in _changes(state):
                    self._target(batch, place, app_name, user_id).set(key, value)
        except Conflict:
            raise AlreadyExistsError(f"Session with id {session_id} already exists.") from None
        return self._made(session, app_name, user_id, session_id, mark, [])

    def _find(self, app_name: str, user_id: str, session_id: str | None) -> Session | None:
        if not session_id:
            return None
        try:
            return self._opened.runtime.session(key=session_key(app_name, user_id, session_id))
        except SessionNotFound:
            return None

    def _get(
        self, app_name: str, user_id: str, session_id: str | None, config: GetSessionConfig | None
    ) -> AdkSession | None:
        session = self._find(app_name, user_id, session_id)
        if session is None:
            return None
        assert session_id is not None
        try:
            # The mark is read first: what is written between the two reads makes the reader stale, and never unaware.
            mark = _mark(session)
            if mark is None:
                return None
            return self._made(session, app_name, user_id, session_id, mark, _read(session, config))
        except SessionNotFound:  # deleted meanwhile
            return None

    def _list(self, app_name: str, user_id: str | None) -> ListSessionsResponse:
        wanted = tag(app_name) if user_id is None else tag(app_name, user_id)
        found = []
        for info in self._opened.runtime.iterate_sessions(tags=[wanted], status=list(SessionStatus)):
            own = cast("Mapping[str, str]", info.custom_metadata.get("adk", {}))
            session = self._opened.runtime.session(info.id)
            try:
                mark = _mark(session)
                if mark is not None and own:
                    found.append(self._made(session, app_name, own["user_id"], own["session_id"], mark, []))
            except SessionNotFound:
                continue
        found.sort(key=lambda each: (each.last_update_time, each.user_id, each.id))
        return ListSessionsResponse(sessions=found)

    def _delete(self, app_name: str, user_id: str, session_id: str | None) -> None:
        session = self._find(app_name, user_id, session_id)
        if session is not None:
            with contextlib.suppress(SessionNotFound):
                session.delete()

    def _append(self, given: AdkSession, event: Event) -> dict[str, Any]:
        """Store an event and what it changes in one write, and return the new mark."""
        session = self._find(given.app_name, given.user_id, _stripped(given.id))
        stored, digest = written(lambda: _stored(event), "event")
        changed = stored["actions"]["state_delta"] if event.actions and event.actions.state_delta else {}
        try:
            before = _mark(session) if session is not None else None
            if session is None or before is None:
                raise SessionNotFound("gone")
            if given._storage_update_marker is None:
                if before["time"] > given.last_update_time:
                    raise _stale(given)
                expected: object = before
            else:
                expected = _mark_of(given._storage_update_marker)
            mark = {"time": max(event.timestamp, before["time"]), "last": digest}
            with session.batch(idempotency_key=f"adk:{digest}") as batch:
                batch.set(_MARK, mark, expected=expected)
                for place, key, value in _changes(changed):
                    self._target(batch, place, given.app_name, given.user_id).set(key, value)
                batch.add_messages([_turn_of(stored)])
        except SessionNotFound:
            raise SessionNotFoundError(f"Session {given.id} not found.") from None
        except Conflict:
            raise _stale(given) from None
        return mark

    def _target(self, batch: Any, place: str, app_name: str, user_id: str) -> Any:
        if place == "session":
            return batch
        return batch.scope(scope_name(place, app_name) if place == "app" else scope_name(place, app_name, user_id))

    def _shared(self, place: str, *names: str) -> dict[str, Any]:
        return dict(self._opened.runtime.state_scope(scope_name(place, *names)).list())

    def _made(
        self,
        session: Session,
        app_name: str,
        user_id: str,
        session_id: str,
        mark: dict[str, Any],
        events: list[Event],
    ) -> AdkSession:
        """Return a session as ADK knows it, with all state that it sees."""
        state: dict[str, Any] = {key: value for key, value in session.variables().items() if not key.startswith(OWN)}
        state |= {State.APP_PREFIX + key: value for key, value in self._shared("app", app_name).items()}
        state |= {State.USER_PREFIX + key: value for key, value in self._shared("user", app_name, user_id).items()}
        made = AdkSession(
            id=session_id, app_name=app_name, user_id=user_id, state=state, events=events, last_update_time=mark["time"]
        )
        made._storage_update_marker = _text(mark)
        return made


def _stripped(session_id: str | None) -> str | None:
    return session_id.strip() if session_id else None


def _mark(session: Session) -> dict[str, Any] | None:
    mark = session.get(_MARK)
    return mark if isinstance(mark, dict) else None


def _text(mark: Mapping[str, Any]) -> str:
    return f"{mark['time']!r} {mark['last'] or ''}"


def _mark_of(text: str) -> dict[str, Any]:
    when, _, last = text.partition(" ")
    try:
        return {"time": float(when), "last": last or None}
    except ValueError:
        return {"time": 0.0, "last": text}  # of another service: it fits nothing here


def _stale(session: AdkSession) -> StaleSessionError:
    return StaleSessionError(
        f"Session {session.id} was written to since it was read: get it again, and append the event to that one."
    )


def _stored(event: Event) -> tuple[dict[str, Any], str]:
    """Return an event as it is stored, in ADK's own JSON form and without temporary state, and the hash of that."""
    require_form(event.model_dump(exclude_none=True), "event")
    stored = event.model_dump(mode="json", exclude_none=True)
    if event.actions and event.actions.state_delta:  # None is a value of state, so it must not be left out
        delta = event.actions.model_dump(mode="json", include={"state_delta"})["state_delta"]
        lasting = {key: value for key, value in delta.items() if not key.startswith(State.TEMP_PREFIX)}
        stored["actions"]["state_delta"] = lasting
    return stored, sha256(json.dumps(stored).encode()).hexdigest()


def _plain(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return state as JSON values; what has no form in JSON is refused."""
    require_form(state, "state")
    return cast("dict[str, Any]", written(lambda: to_jsonable_python(dict(state)), "state"))


def _changes(state: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yield where each value of state belongs, under which key, and the value. Temporary state belongs nowhere."""
    for key, value in _plain(state).items():
        if key.startswith(State.APP_PREFIX):
            yield "app", key.removeprefix(State.APP_PREFIX), value
        elif key.startswith(State.USER_PREFIX):
            yield "user", key.removeprefix(State.USER_PREFIX), value
        elif key.startswith(OWN):
            raise ValidationError(f"state: keys that begin with {OWN!r} are the service's own", field="state")
        elif not key.startswith(State.TEMP_PREFIX):
            yield "session", key, value


def _turn_of(stored: dict[str, Any]) -> Any:
    """Return the command that adds an event as a turn: the parts of its content are the turn's, the rest metadata."""
    rest = dict(stored)
    given = rest.pop("content", None)
    content: Any = None
    if isinstance(given, dict) and given.get("parts"):
        around = {key: value for key, value in given.items() if key != "parts"}
        parts = given["parts"]
        alone = parts[0] if len(parts) == 1 and list(parts[0]) == ["text"] else None
        content = alone["text"] if alone is not None else parts
        rest["content"] = around
    elif given is not None:
        rest["content"] = given
    role = "user" if rest.get("author") == "user" else "assistant"
    return as_turn(role, content, rest, stored)


def _event_of(turn: Message) -> Event | None:
    """Return the event that a turn keeps; None for a turn that was not added by this service."""
    stored = whole(turn)
    if stored is None:
        rest = kept(turn)
        if not isinstance(rest, dict) or ("invocation_id" not in rest and "author" not in rest):
            return None
        stored = dict(rest)
        if turn.content is not None:
            parts = [{"text": turn.content}] if isinstance(turn.content, str) else turn.content
            stored["content"] = {**stored.get("content", {}), "parts": parts}
    return Event.model_validate(stored)


def _read(session: Session, config: GetSessionConfig | None) -> list[Event]:
    """Return the events of a session, oldest first: as many of the newest as `config` says."""
    most = config.num_recent_events if config is not None else None
    since = config.after_timestamp if config is not None else None
    if most == 0:
        return []
    if since is None and most is None:
        return [event for turn in drained(session.messages()) if (event := _event_of(turn)) is not None]
    found: list[Event] = []
    before: int | None = None
    while True:
        page = session.messages(_PAGE if most is None else min(_PAGE, most - len(found)), before)
        for turn in reversed(page):
            event = _event_of(turn)
            if event is None:
                continue
            if since is not None and event.timestamp < since:
                return found[::-1]
            found.append(event)
        if not page or (most is not None and len(found) >= most):
            return found[::-1]
        before = page[0].sequence
