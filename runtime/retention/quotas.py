"""Quotas: how many sessions, and how many bytes of artifacts, the sessions of one `created_by` may have together."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from greenroom.actors import messages as m
from greenroom.actors.session.loading import load_state
from greenroom.actors.session.state.records import kept
from greenroom.runtime.handles.scope import own_scope
from greenroom.storage.catalog.creators import QUOTAS, Quota, Use
from greenroom.storage.codec.records import Value
from greenroom.storage.common.arguments import as_text
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.session_ids import scope_bytes, session_id_of
from greenroom.storage.errors import RuntimeClosed

if TYPE_CHECKING:
    from greenroom.runtime.core import RuntimeCore

__all__ = ["CreatorQuota", "Quotas"]


@dataclass(frozen=True, slots=True)
class CreatorQuota:
    """What the sessions of a creator may have together, and what they have. None: no limit."""

    created_by: str
    max_sessions: int | None
    max_storage_bytes: int | None
    sessions: int
    """The sessions that there are, in any status."""
    storage_bytes: int
    """The bytes of their artifacts, as `total_artifact_size` counts them, and of their records, keys included."""

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name as JSON values."""
        return {name: getattr(self, name) for name in self.__slots__}


class Quotas:
    """The quotas of creators. For the host only.

    Creating a session, forking and importing count, and so does storing artifacts and records. What is over a limit
    raises ResourceLimitExceeded with `resource` ("creator_sessions", "creator_storage_bytes"), `limit` and `value`.

    Example:
        ```py
        rt.quotas.set("ada", max_sessions=100, max_storage_bytes=1 << 30)
        rt.quotas.get("ada").sessions
        ```
    """

    def __init__(self, core: RuntimeCore) -> None:
        self._core = core
        self._creators = core.store.creators
        self._creators.record_bytes = self._record_bytes
        self._in_turn: Callable[[Callable[[], None]], Any] = core.store.catalog.in_turn
        self._lock = threading.Lock()
        config = core.config
        if config.creator_max_sessions is not None or config.creator_max_storage_bytes is not None:
            self._creators.default = Quota(config.creator_max_sessions, config.creator_max_storage_bytes)
        with contextlib.suppress(RuntimeClosed):  # whoever asks a closed runtime for something is told then
            if core.store.journal.last(scope_bytes(QUOTAS)) is not None:
                kept: dict[str, Any] = {**own_scope(self._core, QUOTAS).list()}
                self._creators.own = {name: Quota(*value) for name, value in kept.items()}

    def __repr__(self) -> str:
        return "<Quotas>"

    def _record_bytes(self, session: bytes) -> int:
        store = self._core.store
        if not store.records.keys(session, b"", after=None, limit=1):
            return 0
        return kept(load_state(store, session_id_of(session))[0]).bytes

    @checked
    def set(
        self, created_by: str, *, max_sessions: int | None = None, max_storage_bytes: int | None = None
    ) -> CreatorQuota:
        """Set the quota of a creator, in place of an earlier one and of the default. None: no limit.

        What a creator has already stays, even if it is more. Raises ValidationError.
        """
        self._core.check_open()
        self._core.require_host("quotas.set", "write")
        name = m.GetVariable(as_text("created_by", created_by, m.MAX_NAME)).key
        quota = Quota(
            m.whole_number("max_sessions", max_sessions), m.whole_number("max_storage_bytes", max_storage_bytes)
        )
        with self._lock:
            own_scope(self._core, QUOTAS).set(name, [quota.max_sessions, quota.max_storage_bytes])
            self._creators.own = {**self._creators.own, name: quota}
            self._in_turn(self._creators.forget)  # what was counted before was not kept up to date
        return self.get(name)

    @checked
    def get(self, created_by: str) -> CreatorQuota:
        """Return the limits that hold for a creator, and what its sessions have. The first time, this reads the last
        event of each of them, and the state of those that have records."""
        self._core.check_open()
        self._core.require_host("quotas.get")
        name = as_text("created_by", created_by, m.MAX_NAME)
        found: list[Use] = []

        def look() -> None:
            found.append(self._creators.used(name))

        if self._core.read_only:
            self._creators.forget()  # the writer may have changed anything
            look()
        else:
            self._in_turn(look)
        quota = self._creators.quota(name) or Quota()
        used = found[0]
        return CreatorQuota(name, quota.max_sessions, quota.max_storage_bytes, used.sessions, used.bytes)

    def list(self) -> list[CreatorQuota]:
        """Return the creators that have a quota of their own, by name."""
        self._core.check_open()
        self._core.require_host("quotas.list", "list")
        return [self.get(name) for name in sorted(self._creators.own)]

    @checked
    def delete(self, created_by: str) -> bool:
        """Delete the quota of a creator; from then on the default holds. Return whether there was one."""
        self._core.check_open()
        self._core.require_host("quotas.delete", "write")
        name = as_text("created_by", created_by, m.MAX_NAME)
        there = name in self._creators.own
        if there:
            with self._lock:
                own_scope(self._core, QUOTAS).delete(name)
                self._creators.own = {each: quota for each, quota in self._creators.own.items() if each != name}
        return there
