"""Where variables stand: in a session or in a scope, given by one name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.sharing import is_own_scope
from greenroom.runtime.handles.host import Host
from greenroom.runtime.handles.scope import Scope
from greenroom.runtime.handles.session import Session, find_session
from greenroom.storage.codec.records import Value
from greenroom.storage.common.arguments import as_text
from greenroom.storage.common.session_ids import SessionHandle, is_session_id, session_id_of

__all__ = ["SESSION", "Place", "PlaceFailure", "every_place", "place_of"]

SESSION: Final = "session:"
"""Begins the name of a session's scope."""


@dataclass(frozen=True, slots=True)
class Place:
    """The variables of a session or of a scope, and its name: "session:<id>", "global", "user:7"."""

    name: str
    handle: Session | Scope

    def ask(self, message: m.Message[Any], missing: Any = None) -> Any:
        """Send a message and return the reply; `missing` if nothing has ever been there to ask."""
        return self.handle._send(message, missing)

    @property
    def actor_id(self) -> str:
        """The id under which its state is stored."""
        return self.handle.id if isinstance(self.handle, Session) else self.handle._id

    @property
    def session_id(self) -> str | None:
        """The id of the session; None for a scope."""
        return self.handle.id if isinstance(self.handle, Session) else None


@dataclass(frozen=True, slots=True)
class PlaceFailure:
    """A scope or session that could not be restored or migrated, and why."""

    scope: str
    code: str
    message: str

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


def place_of(runtime: Host, scope: object) -> Place:
    """Return the place with this name: a Session or its id, "session:<id>", or the name of a scope. Raises
    ValidationError, SessionNotFound, AccessDenied."""
    if issubclass(type(scope), SessionHandle):
        name = object.__getattribute__(scope, "id")
    else:
        name = as_text("scope", scope, m.MAX_KEY)
        if not is_session_id(name) and not name.startswith(SESSION):
            return Place(name, runtime.state_scope(name))
    session = find_session(runtime, name.removeprefix(SESSION))
    return Place(SESSION + session.id, session)


def every_place(runtime: Host) -> Any:
    """Yield all sessions and all scopes of the host, with one seek each. Skip what the runtime keeps for itself."""
    core = runtime.core
    for raw in core.store.journal.sessions():
        actor_id = session_id_of(raw)
        if is_session_id(actor_id):
            yield Place(SESSION + actor_id, Session(runtime, actor_id))
            continue
        name = core.hooks.services.scope_name(actor_id)
        if name is not None and not is_own_scope(name):
            yield Place(name, runtime.state_scope(name))
