"""Which sessions a server reaches: all of a store, or one with its descendants and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from greenroom.runtime import (
    AccessDenied,
    ArtifactInfo,
    ArtifactNotFound,
    Runtime,
    Session,
    SessionInfo,
    SessionNotFound,
    SessionTree,
    ValidationError,
)

__all__ = ["KEY", "Reach"]

KEY = "key:"
"""Marks the key of a session where an id is expected."""


class Reach:
    """Finds sessions and artifacts by what clients call them. What is out of reach is answered like what does not
    exist."""

    def __init__(self, runtime: Runtime, root: str | None = None) -> None:
        self.runtime = runtime
        self.root = root

    def __repr__(self) -> str:
        return f"<Reach of {self.root or 'all sessions'} in {self.runtime!r}>"

    def catch_up(self) -> None:
        """Let a runtime that only reads see what was written meanwhile."""
        if self.runtime.read_only:
            self.runtime.refresh()

    def session(self, name: str | None) -> Session:
        """Return the session with an id, or with `key:` and its key; of a bound server, by default the one that it is
        bound to. Raises SessionNotFound, also for one that is out of reach, and ValidationError without a name."""
        if name is None:
            if self.root is None:
                raise ValidationError("session_id: say which session; list_sessions names them", field="session_id")
            name = self.root
        session = self._found(name)
        if session is None or not self._reaches(session):
            raise SessionNotFound(f"there is no session {name[:100]!r}; list_sessions names those there are")
        return session

    def _found(self, name: str) -> Session | None:
        try:
            if name.startswith(KEY):
                return self.runtime.session(key=name.removeprefix(KEY))
            return self.runtime.session(name)
        except (SessionNotFound, ValidationError):
            return None

    def _reaches(self, session: Session) -> bool:
        above: Session | None = session
        while self.root is not None and above is not None and above.id != self.root:
            above = above.parent()
        return above is not None

    def artifact(self, session: Session, name: str, version: int | str | None) -> ArtifactInfo:
        """Return the description of an artifact of a session, by its name or id. Raises ArtifactNotFound, also for one
        that belongs to a session out of reach."""
        with contextlib.suppress(ArtifactNotFound, SessionNotFound, AccessDenied):
            info = session.get_artifact_info(name, version)
            if info.id.session_id != session.id:
                self.session(info.id.session_id)
            return info
        raise ArtifactNotFound(f"session {session.id} has no artifact {name[:100]!r}; list_artifacts names what it has")

    def infos(self) -> Iterator[SessionInfo]:
        """Yield the sessions that a bound server reaches, in any order."""
        trees = [self.session(None).tree()]
        while trees:
            tree: SessionTree = trees.pop()
            yield tree.info
            trees.extend(tree.children)

    def described(self, info: SessionInfo) -> dict[str, Any]:
        """Return a session as a row; a bound server does not say what is above it."""
        row: dict[str, Any] = info.to_dict()
        if info.id == self.root:
            row["parent_session_id"] = None
        return row
