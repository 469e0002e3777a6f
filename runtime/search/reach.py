"""Where a search looks: the sessions that are meant, as far as whoever searches may read them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from greenroom.runtime.core import RuntimeCore
from greenroom.storage.common.session_ids import session_bytes
from greenroom.storage.search.index import MAX_SCOPES, IndexFile, artifact_scope, kind_scope, session_scope
from greenroom.storage.search.model import KINDS, Found

from .request import SearchRequest

__all__ = ["Reach", "reach_of"]

_NARROW: Final = ("created_by", "tags", "parent", "key_prefix", "metadata")


@dataclass(slots=True)
class Reach:
    """Where to search: in these sessions (None: in all), in these artifacts, or where `accept` says so."""

    sessions: set[bytes] | None = None
    artifacts: dict[bytes, set[int]] = field(default_factory=dict)
    accept: Callable[[bytes], bool] | None = None

    def find(self, file: IndexFile, request: SearchRequest, upto: int) -> list[Found]:
        """Return the texts within reach that have all the words, the best first; `upto` is the newest place to look
        at. Raises StorageError."""
        scopes: list[list[str]] = []
        if len(request.kinds) < len(KINDS):
            scopes.append([kind_scope(KINDS.index(kind)) for kind in request.kinds])
        if self.sessions is None:
            return file.find(request.terms, scopes, upto, self.accept)
        sessions, artifacts = self.sessions, self.artifacts
        ids = file.scopes([*sessions, *artifacts])
        within = [session_scope(ids[session]) for session in sessions if session in ids]
        within += [
            artifact_scope(ids[owner], number)
            for owner, numbers in artifacts.items()
            if owner in ids
            for number in numbers
        ]
        if not within:
            return []
        if len(within) <= MAX_SCOPES:
            return file.find(request.terms, [*scopes, within], upto, None)
        found = file.find(request.terms, scopes, upto, lambda session: session in sessions or session in artifacts)
        return [each for each in found if each.session in sessions or self._has_artifact(each)]

    def _has_artifact(self, found: Found) -> bool:
        return KINDS[found.kind] == "artifact" and found.number in self.artifacts.get(found.session, ())


def reach_of(core: RuntimeCore, principal: str | None, request: SearchRequest) -> Reach:
    """Return the sessions to search, and the single artifacts beside them."""
    reach, query = Reach(), request.query
    if request.session_id is not None:
        reach.sessions = {session_bytes(request.session_id)}
    elif principal is not None:
        crossing = core.supervisor.delivery.crossing
        reach.sessions = set(core.family(principal))
        reach.sessions |= {session_bytes(each.session_id) for each in crossing.sessions_shared_with(principal)}
        for info in crossing.shared_with(principal, core.config.ask_timeout):
            owner = session_bytes(info.id.session_id)
            if owner not in reach.sessions:
                reach.artifacts.setdefault(owner, set()).add(info.id.sequence)
    if query is None:
        return reach
    catalog = core.store.catalog
    if reach.sessions is not None:
        fitting = {session for session, _ in catalog.matching(query, [*reach.sessions, *reach.artifacts])}
        reach.sessions &= fitting
        reach.artifacts = {owner: numbers for owner, numbers in reach.artifacts.items() if owner in fitting}
        return reach
    if any(getattr(query, name) for name in _NARROW):
        page = catalog.query(query.model_copy(update={"limit": MAX_SCOPES}))
        if not page.has_more:
            reach.sessions = {session_bytes(info.id) for info in page}
            return reach
    reach.accept = lambda session: any(catalog.matching(query, [session]))
    return reach
