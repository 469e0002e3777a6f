"""Who may reach what. The host reaches every session; code that acts for a session reaches that one and those below it,
which were created as its children."""

from __future__ import annotations

from typing import Final

from greenroom.storage.catalog import Catalog
from greenroom.storage.errors import AccessDenied
from greenroom.storage.keys import is_session_id, session_bytes

__all__ = ["Security"]

_MAX_DEPTH: Final = 256
_REMEMBERED: Final = 10_000


class Security:
    """The one check that every path asks."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._below: dict[tuple[str, str], None] = {}
        """Pairs of a session and one below it. A parent never changes, so what was found stays true."""

    def reaches(self, principal: str, session_id: str) -> bool:
        """Whether a session is the principal's own or below it."""
        if session_id == principal or (principal, session_id) in self._below:
            return True
        above: str | None = session_id
        for _ in range(_MAX_DEPTH):
            if above is None or not is_session_id(above):
                return False
            row = self._catalog.row(session_bytes(above))
            above = row.parent if row is not None else None
            if above == principal:
                if len(self._below) >= _REMEMBERED:
                    self._below.clear()
                self._below[principal, session_id] = None
                return True
        return False

    def require(self, principal: str, session_id: str) -> None:
        """Raises AccessDenied, in the same words whether the session exists: nobody learns which sessions there are."""
        if not self.reaches(principal, session_id):
            raise AccessDenied(
                f"session {principal} may not reach session {str(session_id)[:64]!r}:"
                " it is neither that session nor one of its children",
                session_id=str(session_id)[:64],
            )
