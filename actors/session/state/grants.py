"""Grants: the permissions that a session gives other sessions on its artifacts, as its journal says.

They are in `state.more["grants"]`: number of the artifact → id of the grantee → [level, expires_at, inherit, time, by],
with times in nanoseconds since the epoch. Only events change them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from greenroom.actors.messages.permissions import NAMES, PERMISSIONS, Grant
from greenroom.storage.artifacts.model import ArtifactId
from greenroom.storage.codec.keys import INDEX_SHARED, session_bytes
from greenroom.storage.common.times import utc_time

from .model import GRANTS

if TYPE_CHECKING:
    from .model import SessionState

__all__ = ["MAX_GRANTS", "Held", "held"]

MAX_GRANTS: Final = 1000
"""The most grants that one session may have given at a time."""


class Held(NamedTuple):
    """The best permission that a session has on an artifact: its level, and until when (ns; None: for good)."""

    level: int
    expires_at: int | None


def grants_of(state: SessionState, number: int) -> dict[str, list[Any]]:
    """Return the grants on an artifact by grantee."""
    found: dict[str, list[Any]] = state.more.get(GRANTS, {}).get(number, {})
    return found


def held(state: SessionState, number: int, session_id: str, above: Iterable[str], now: int) -> Held | None:
    """Return the permission of a session with these ancestors on an artifact; None if no grant holds now."""
    given = grants_of(state, number)
    best: Held | None = None
    for each, direct in ((session_id, True), *((ancestor, False) for ancestor in above)):
        grant = given.get(each)
        if grant is None or not (direct or grant[2]):
            continue
        level, expires = grant[0], grant[1]
        if expires is not None and expires <= now:
            continue
        if best is None or (level, expires is None, expires) > (best.level, best.expires_at is None, best.expires_at):
            best = Held(level, expires)
    return best


def grant_of(state: SessionState, artifact: ArtifactId, grantee: str, now: int) -> Grant:
    """Return the grant of a grantee that has one."""
    level, expires, inherit, time, by = grants_of(state, artifact.sequence)[grantee]
    return Grant(
        artifact,
        grantee,
        NAMES[level],
        utc_time(expires) if expires is not None else None,
        inherit,
        utc_time(time),
        by,
        expires is not None and expires <= now,
    )


def listed(state: SessionState, artifact: ArtifactId, now: int) -> list[Grant]:
    """Return all grants on an artifact, by grantee."""
    return [grant_of(state, artifact, each, now) for each in sorted(grants_of(state, artifact.sequence))]


# -- folds


def shared(state: SessionState, data: dict[str, Any], time: int) -> None:
    given = state.more.setdefault(GRANTS, {}).setdefault(data["sequence"], {})
    level = PERMISSIONS[data["permission"]]
    given[data["session"]] = [level, data["expires_at"], data["inherit"], time, data["by"]]


def revoked(state: SessionState, data: dict[str, Any], time: int) -> None:
    given = grants_of(state, data["sequence"])
    if given.pop(data["session"], None) is not None and not given:
        artifact_gone(state, data["sequence"])


def artifact_gone(state: SessionState, number: int) -> None:
    """Remove the grants on an artifact that is gone."""
    given = state.more.get(GRANTS)
    if given is not None:
        given.pop(number, None)
        if not given:
            del state.more[GRANTS]


def forget(state: SessionState) -> None:
    """Drop all grants: a copy does not inherit them, and after a lost event they must not be guessed."""
    state.more.pop(GRANTS, None)


# -- the index from grantees to what was shared with them


def shared_key(grantee: str, owner: bytes, number: int) -> bytes:
    return INDEX_SHARED + session_bytes(grantee) + owner + number.to_bytes(8, "big")


def shared_keys(state: SessionState) -> Iterator[bytes]:
    """Yield the index entries of all grants of a session."""
    for number, given in state.more.get(GRANTS, {}).items():
        for grantee in given:
            yield shared_key(grantee, state.session, number)
