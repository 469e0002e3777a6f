"""What a script may reach. Every global asks here, and nowhere else, for the sessions it works on.

A script bound to a session reaches that session and those below it, which were created as its children. A script
that the host runs unbound is the host's own and reaches every session. The current session is a default for
arguments, never an authority.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any, Final

from greenroom.runtime import (
    AccessDenied,
    Runtime,
    Scope,
    Session,
    SessionInfo,
    SessionNotFound,
    ValidationError,
)

from .values import UNDEFINED

__all__ = ["Principal"]

_MAX_DEPTH: Final = 256


class Principal:
    """The authority of one run of a script, with its current session and the time it has left."""

    def __init__(self, runtime: Runtime, bound: Session | None, deadline: float) -> None:
        self.runtime = runtime
        self.bound_id = bound.id if bound is not None else None
        self.deadline = deadline
        current = bound if bound is not None else Session.current()
        self.current_id = current.id if current is not None else None
        self._entered = contextlib.ExitStack()
        self._own: set[str] = {bound.id} if bound is not None else set()
        self._handles: dict[str, Session] = {}

    def close(self) -> None:
        """Give back the current session that the script has set."""
        self._entered.close()

    def remaining(self) -> float:
        """Seconds until the script's time is over; 0 or less when it is."""
        return self.deadline - time.monotonic()

    # -- sessions

    def session(self, reference: Any = UNDEFINED) -> Session:
        """The session that a script names: by id, by a row with an `id`, or the current one if it names none.

        Raises AccessDenied, SessionNotFound, or ValidationError when nothing is named and nothing is current.
        """
        if isinstance(reference, Mapping):
            reference = reference.get("id")
        if reference is UNDEFINED or reference is None or reference == "":
            reference = self.current_id
            if reference is None:
                raise ValidationError("a session id is needed: no session is current", field="session_id")
        if not isinstance(reference, str):
            raise ValidationError("session_id: the id of a session is needed", field="session_id")
        self.require(reference)
        return self._handle(reference)

    def require(self, session_id: str) -> None:
        """Raises AccessDenied unless this script may reach the session."""
        if self.bound_id is None or session_id in self._own:
            return
        path: list[str] = []
        above: str | None = session_id
        while above is not None and above not in self._own and len(path) < _MAX_DEPTH:
            path.append(above)
            try:
                above = self.runtime.session(above).info().parent_session_id
            except SessionNotFound:
                above = None
        if above not in self._own:
            # the same words whether it exists: a script must not learn which sessions there are
            raise AccessDenied(
                f"a script bound to session {self.bound_id} may not reach session {session_id[:64]!r}:"
                " it is neither that session nor one of its children",
                session_id=session_id[:64],
            )
        self._own.update(path)

    def require_host(self, what: str) -> None:
        """Raises AccessDenied if the script is bound: what it asks for concerns every session."""
        if self.bound_id is not None:
            raise AccessDenied(f"{what} is for scripts that the host runs unbound; this one is bound to a session")

    def forget(self, session_id: str) -> None:
        """The session is gone."""
        self._handles.pop(session_id, None)
        if session_id != self.bound_id:
            self._own.discard(session_id)

    def family(self) -> list[SessionInfo]:
        """What a bound script reaches: its own session and all below it."""
        assert self.bound_id is not None
        found = [self._handle(self.bound_id).info()]
        for info in found:
            found.extend(self._handle(info.id).children())
        return found

    def set_current(self, reference: Any) -> None:
        """Make a session current until the script ends; with no reference, none is."""
        if reference is UNDEFINED or reference is None:
            self._entered.close()
            self.current_id = None
            return
        session = self.session(reference)
        self._entered.close()
        self._entered.enter_context(session.as_current())
        self.current_id = session.id

    def _handle(self, session_id: str) -> Session:
        handle = self._handles.get(session_id)
        if handle is None:
            handle = self._handles[session_id] = self.runtime.session(session_id)
        return handle.with_timeout(self._patience())

    def _patience(self) -> float:
        """How long a call may wait: no longer than the script may run."""
        return min(self.runtime.config.ask_timeout, max(0.001, self.remaining()))

    # -- state that is no session's

    def scope(self, name: str) -> Scope:
        """The state of a scope such as "global" or "user:7". Raises AccessDenied for a bound script."""
        if self.bound_id is not None:
            raise AccessDenied(
                f"a script bound to session {self.bound_id} may not reach the scope {name[:64]!r}:"
                " what is there belongs to all sessions"
            )
        return self.runtime.state_scope(name, self._patience())
