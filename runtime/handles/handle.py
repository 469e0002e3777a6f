"""What a handle on a session is: its id, and the way to its actor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from greenroom.storage.errors import ValidationError

if TYPE_CHECKING:
    from greenroom.runtime.runtime import Runtime

__all__ = ["Handle", "required_session_id", "session_id_of"]


class Handle:
    """Names a session of a runtime. Equal to every other handle on it; only ever made as a `Session`."""

    __slots__ = ("_ask", "_runtime", "_timeout", "id")

    def __init__(self, runtime: Runtime, session_id: str) -> None:
        self.id = session_id
        self._runtime = runtime
        self._ask = runtime._supervisor.ask
        self._timeout = runtime.config.ask_timeout

    def __repr__(self) -> str:
        return f"<Session {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Handle) and other.id == self.id and other._runtime is self._runtime

    def __hash__(self) -> int:
        return hash(self.id)


def session_id_of(session: Handle | str | None, field: str) -> str | None:
    """The id that a handle or a text names. Raises ValidationError."""
    if session is None or type(session) is str:
        return session
    kind, given = type(session), cast(Any, session)
    if issubclass(kind, Handle):
        return cast(str, object.__getattribute__(given, "id"))
    if issubclass(kind, str):
        return str.__str__(given)
    raise ValidationError(f"{field}: a Session or a session id is needed", field=field)


def required_session_id(session: Handle | str, field: str = "session_id") -> str:
    """`session_id_of`, where there must be one."""
    found = session_id_of(session, field)
    if found is None:
        raise ValidationError(f"{field}: a Session or a session id is needed", field=field)
    return found
