"""Whole sessions that are shared with others, and scopes that the host lets a session use, as the journal says.

Shares are in `state.more["shares"]`: id of the grantee → [level, expires_at, time]. Scopes are in
`state.more["scopes"]`: name → [level, time]. Times are in nanoseconds since the epoch. Only events change them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from greenroom.actors.messages.permissions import NAMES, PERMISSIONS, ScopeGrant, SessionShare
from greenroom.storage.codec.keys import INDEX_SCOPE, INDEX_SHARED, session_bytes
from greenroom.storage.codec.records import seal, unseal
from greenroom.storage.common.session_ids import scope_bytes
from greenroom.storage.common.times import utc_time

from .model import SCOPES, SHARES

if TYPE_CHECKING:
    from .model import SessionState

__all__ = [
    "Reach",
    "forget",
    "reach_key",
    "scope_granted",
    "scope_revoked",
    "scopes_listed",
    "shared",
    "shares_listed",
    "stored_reach",
    "unshared",
    "whole_entries",
    "whole_entry",
]

_WHOLE: Final = bytes(8)
"""Stands in the key of a share where the key of a grant has the number of its artifact."""


class Reach(NamedTuple):
    """How far a session reaches into another session or a scope: the level, and until when (ns; None: for good)."""

    level: int
    expires_at: int | None = None
    scope: str | None = None
    """The name of the scope, if it is one."""


def level_held(state: SessionState, session_id: str, now: int) -> int:
    """Return the level that a share of this session gives another one now; 0 if none does."""
    share = state.more[SHARES].get(session_id) if SHARES in state.more else None
    return share[0] if share is not None and (share[1] is None or share[1] > now) else 0


def share_of(state: SessionState, grantee: str, now: int) -> SessionShare:
    """Return the share of a grantee that has one."""
    level, expires, time = state.more[SHARES][grantee]
    until = utc_time(expires) if expires is not None else None
    return SessionShare(state.id, grantee, NAMES[level], until, utc_time(time), expires is not None and expires <= now)


def shares_listed(state: SessionState, now: int) -> list[SessionShare]:
    """Return all shares of this session, by grantee."""
    return [share_of(state, each, now) for each in sorted(state.more.get(SHARES, {}))]


def scopes_listed(state: SessionState) -> list[ScopeGrant]:
    """Return the scopes that this session may use, by name."""
    return [ScopeGrant(name, NAMES[level], utc_time(time)) for name, (level, time) in sorted(scopes_of(state).items())]


def scopes_of(state: SessionState) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = state.more.get(SCOPES, {})
    return found


# -- folds


def shared(state: SessionState, data: dict[str, Any], time: int) -> None:
    level = PERMISSIONS[data["permission"]]
    state.more.setdefault(SHARES, {})[data["session"]] = [level, data["expires_at"], time]


def unshared(state: SessionState, data: dict[str, Any], time: int) -> None:
    _drop(state, SHARES, data["session"])


def scope_granted(state: SessionState, data: dict[str, Any], time: int) -> None:
    state.more.setdefault(SCOPES, {})[data["scope"]] = [PERMISSIONS[data["permission"]], time]


def scope_revoked(state: SessionState, data: dict[str, Any], time: int) -> None:
    _drop(state, SCOPES, data["scope"])


def _drop(state: SessionState, kind: str, name: str) -> None:
    given = state.more.get(kind, {})
    if given.pop(name, None) is not None and not given:
        del state.more[kind]


def forget(state: SessionState) -> None:
    """Drop all shares and scopes: a copy does not inherit them, and after a lost event they must not be guessed."""
    state.more.pop(SHARES, None)
    state.more.pop(SCOPES, None)


# -- the entries by which a session's reach is looked up: they have the permission as their value


def reach_key(session_id: str, target: bytes, *, scope: bool) -> bytes:
    """Return the key of the entry that says how far a session reaches into another session, or into a scope."""
    begin = session_bytes(session_id) + target
    return INDEX_SCOPE + begin if scope else INDEX_SHARED + begin + _WHOLE


def stored_reach(key: bytes, value: bytes) -> Reach:
    """Return what an entry says. Raises IntegrityError, SchemaTooNew."""
    return Reach._make(unseal(key, value, "a permission"))


def _entry(key: bytes, reach: Reach) -> tuple[bytes, bytes]:
    return key, seal(key, list(reach))


def whole_entry(session: bytes, type_: str, data: dict[str, Any]) -> tuple[bytes, bytes | None]:
    """Return the entry that an event of a share or a scope writes; with the value None, the one that it removes."""
    scope = data.get("scope")
    if scope is not None:
        key = INDEX_SCOPE + session + scope_bytes(scope)
    else:
        key = reach_key(data["session"], session, scope=False)
    if type_ in ("session.unshared", "scope.revoked"):
        return key, None
    return _entry(key, Reach(PERMISSIONS[data["permission"]], data.get("expires_at"), scope))


def whole_entries(state: SessionState) -> Iterator[tuple[bytes, bytes]]:
    """Yield the entries of all shares and scopes of a session."""
    for grantee, (level, expires, _) in state.more.get(SHARES, {}).items():
        yield _entry(reach_key(grantee, state.session, scope=False), Reach(level, expires))
    for name, (level, _) in scopes_of(state).items():
        yield _entry(INDEX_SCOPE + state.session + scope_bytes(name), Reach(level, None, name))
