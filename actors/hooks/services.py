"""The services that all hooks of a runtime share while they run, and their interfaces to other rooms."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Hashable, Mapping
from sys import getsizeof
from typing import TYPE_CHECKING, Any, Final, Protocol

from greenroom.actors import messages as m
from greenroom.actors.access.security import Security
from greenroom.actors.messages.lifecycle import GetConfig
from greenroom.actors.scheduling.threads import Elastic
from greenroom.actors.session.directory import Way
from greenroom.storage.codec.keys import is_session_id, session_bytes
from greenroom.storage.common.logs import logger_of
from greenroom.storage.concurrency.waiting import Flag
from greenroom.storage.errors import GreenroomError

from .guard import Guard
from .subject import fresh

if TYPE_CHECKING:
    from greenroom.actors.session.services import SessionServices
    from greenroom.storage.catalog.model import SessionInfo

__all__ = ["HookServices", "HookedDelivery", "ReplyCache"]

logger = logger_of("hooks")

_SCOPES_REMEMBERED: Final = 1000


class AdmissionStage(Protocol):
    """Decides whether a message may go on."""

    def admit(self, session_id: str, message: Any) -> str:
        """Return the id of the session to ask. Raises AccessDenied, RateLimited."""


class HookedDelivery(Way, Protocol):
    """The delivery of messages, with a stage of hooks that this room fills."""

    security: Security

    @property
    def admission(self) -> AdmissionStage:
        """The stage before hooks."""

    @property
    def routing(self) -> Way:
        """The stage after hooks."""

    hooked: Mapping[type[Any], Any]
    """Classes of messages with a hook at one of their points."""

    def is_restoring(self, session_id: str) -> bool:
        """Return whether loading this session brings it back into memory."""

    def discard(self, message: Any) -> None:
        """Drop what was prepared for a message that has failed."""


class HookServices:
    """The services of the runtime that an operation uses on its way past the hooks."""

    def __init__(
        self, delivery: HookedDelivery, services: SessionServices, elastic: Elastic, wait_limit: float
    ) -> None:
        self.delivery = delivery
        self.clock = services.clock
        self.wait_limit = wait_limit
        """The most seconds for an operation that nobody waits for."""
        self.guard = Guard(elastic)
        self.cache = ReplyCache(self.clock.monotonic)
        self.closing = Flag()
        """Set when the runtime closes, to end the waits for another try."""
        self.store = services.store
        self._elastic = elastic
        self._scopes: dict[str, str] = {}

    def can_access(self, principal: str, session_id: str) -> bool:
        """Return whether code that acts for a session can access another one."""
        return self.delivery.security.can_access(principal, session_id)

    def correlation_of(self, session_id: str) -> str | None:
        """Return the correlation id that a session's creator has given it."""
        if not is_session_id(session_id):
            return None
        row = self.store.catalog.row(session_bytes(session_id))
        return row.correlation_id if row is not None else None

    def info_of(self, session_id: str) -> SessionInfo | None:
        """Return the info of a session; None if it does not exist or cannot be read."""
        info: SessionInfo | None = self._asked(session_id, m.GetInfo())
        return info

    def config_of(self, session_id: str) -> dict[str, Any]:
        """Return the settings of a session's own configuration."""
        return self._asked(session_id, GetConfig()) or {}

    def scope_name(self, scope_id: str) -> str | None:
        """Return the name of the scope that keeps its state under this id; None if it is no scope's id."""
        name = self._scopes.get(scope_id)
        if name is None:
            info = self.info_of(scope_id)
            if info is None or info.name is None:
                return None
            name = info.name
            if len(self._scopes) >= _SCOPES_REMEMBERED:
                self._scopes.clear()
            self._scopes[scope_id] = name
        return name

    def _asked(self, session_id: str, message: m.Message[Any]) -> Any:
        """Return the reply of a session; None if it gives none."""
        try:
            return self.delivery.routing.ask(session_id, message, self.wait_limit)
        except GreenroomError:
            return None

    def besides(self, job: Callable[[], Any], what: str) -> None:
        """Run a job that nobody waits for on a thread of its own. A failure is logged."""

        def run() -> None:
            try:
                job()
            except Exception as error:
                logger.error(
                    "%s failed: %s", what, error, exc_info=None if isinstance(error, GreenroomError) else error
                )

        try:
            self._elastic.submit(run)
        except GreenroomError as error:
            logger.error("%s was not run: %s", what, error)


class ReplyCache:
    """Keeps replies for a time, and drops the least recently used ones first. A reply above `max_bytes` / 16 is not
    kept. Times are the clock's seconds."""

    def __init__(self, clock: Callable[[], float], *, max_entries: int = 4096, max_bytes: int = 16 << 20) -> None:
        self._clock = clock
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._entries: collections.OrderedDict[Hashable, tuple[float, int, Any]] = collections.OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable) -> tuple[bool, Any]:
        """Return whether there is a reply that has not expired, and a copy of it."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return False, None
            if entry[0] <= self._clock():
                self._drop(key)
                return False, None
            self._entries.move_to_end(key)
        return True, fresh(entry[2])

    def keep(self, key: Hashable, ttl: float, reply: Any) -> None:
        """Keep a reply for `ttl` seconds."""
        most = self._max_bytes >> 4
        size = _weight(reply, most)
        if size > most:
            return
        with self._lock:
            if key in self._entries:
                self._drop(key)
            self._entries[key] = (self._clock() + ttl, size, fresh(reply))
            self._bytes += size
            while self._bytes > self._max_bytes or len(self._entries) > self._max_entries:
                self._drop(next(iter(self._entries)))

    def forget(self, belongs: Callable[[Any], bool]) -> None:
        """Drop the replies with keys that belong to something that is gone."""
        with self._lock:
            for key in [each for each in self._entries if belongs(each)]:
                self._drop(key)

    def _drop(self, key: Hashable) -> None:
        self._bytes -= self._entries.pop(key)[1]


def _weight(value: Any, most: int) -> int:
    """Return the approximate bytes of memory that a value takes. Counting ends above `most`."""
    total = 0
    left = [value]
    while left and total <= most:
        each = left.pop()
        total += getsizeof(each)
        if isinstance(each, dict):
            left += each
            left += each.values()
        elif isinstance(each, (list, tuple, set, frozenset)):
            left += each
        elif not isinstance(each, type):
            left += (getattr(each, name, None) for name in getattr(type(each), "__slots__", ()))
            left += getattr(each, "__dict__", {}).values()
    return total
