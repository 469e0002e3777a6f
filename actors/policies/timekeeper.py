"""The one timer for the timeouts of all sessions, in memory or not.

Sessions on the runtime's limits are found by their age and their last event, in indexes that exist anyway. Sessions
with limits of their own are in an index by the first moment at which a limit can matter. So a session that has time
left costs nothing. A session that is due is sent a message; its answer is remembered until the session is due again.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from greenroom.actors.messages.internal import KeepTime
from greenroom.actors.scheduling.operation import acting
from greenroom.actors.session.state.timeout import CARE
from greenroom.storage.codec.keys import INDEX_CREATED, INDEX_DEADLINE, INDEX_UPDATED, session_id_of
from greenroom.storage.common.logs import logger_of
from greenroom.storage.engine.engine import CF
from greenroom.storage.errors import GreenroomError, RuntimeClosed, SessionNotFound, StorageError

if TYPE_CHECKING:
    from greenroom.actors.session.directory import Directory
    from greenroom.actors.session.state.limits import Limits

__all__ = ["Timekeeper"]

logger = logger_of("policies")

_SECOND: Final = 1_000_000_000
_ACTIVE: Final = b"\x00"
_ENTRIES: Final = 4096
"""Index entries that one tick reads in each index. The next tick goes on where it ended."""
_SESSIONS: Final = 256
"""Sessions that one tick sends a message to."""
_REMEMBERED: Final = 1 << 16
_LONGEST: Final = 3600 * _SECOND
"""An answer is remembered no longer than this, so that a clock which was wrong for a while does no lasting harm."""
_RETRY: Final = 60 * _SECOND
_QUIET: Final = b"quiet"
_SAVING: Final = 2
"""A session may be saved up to this many saving intervals after its last event."""


class Timekeeper:
    """Has sessions warned, suspended and failed when their time comes."""

    def __init__(self, directory: Directory, acted: Callable[[str, str], None], at_work: Callable[[str], bool]) -> None:
        """`acted` is called with the id of each session that was suspended or failed and the type of the event, on the
        thread that did it. `at_work` returns whether a tool or an agent works for a session, which is then not idle."""
        self._directory = directory
        self._acted = acted
        self._at_work = at_work
        self._engine = directory.services.store.engine
        self._later: collections.OrderedDict[bytes, int] = collections.OrderedDict()
        self._lock = threading.Lock()
        self._positions: dict[bytes, bytes] = {}
        self._last = 0
        self._complaint = ""

    def forget(self, session: bytes | None = None) -> None:
        """Look at every session again, or at this one, because limits have changed."""
        with self._lock:
            if session is None:
                self._later.clear()
            else:
                self._later.pop(session, None)
                self._later.pop(_QUIET + session, None)

    def tick(self) -> int:
        """Do what is due, and return how many sessions were sent a message. Takes a bounded time, whatever the number
        of sessions: the next ticks do the rest."""
        services = self._directory.services
        now = services.clock.time_ns()
        if now < self._last:
            self.forget()
        self._last = now
        try:
            with acting(principal=None, source="policy:timeout"):
                return self._look_everywhere(now, services.limits)
        except StorageError as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                logger.error("timeouts wait: %s", error)
            return 0

    def _look_everywhere(self, now: int, limits: Limits) -> int:
        lead = round(max(limits.warnings, default=0.0) * _SECOND)
        sent = 0
        if limits.max_duration is not None:
            oldest = now + lead - round(limits.max_duration * _SECOND)
            sent += self._look(INDEX_CREATED + _ACTIVE, b"", _time(oldest, 8), now, _SESSIONS)
        if limits.idle_timeout is not None:
            idle = round(limits.idle_timeout * _SECOND)
            quiet, recent = INDEX_UPDATED + _ACTIVE, _time((now - idle) // _SECOND, 4)
            sent += self._look(quiet, b"", recent, now, _SESSIONS - sent)
            # Saving moves these entries, but is no activity.
            saved = now - idle + round(min(idle, _SAVING * limits.auto_save_interval * _SECOND))
            sent += self._look(quiet, recent, _time(saved // _SECOND, 4), now, _SESSIONS - sent, quiet_for=idle)
        return sent + self._look(INDEX_DEADLINE, b"", _time(now + lead, 8), now, _SESSIONS - sent)

    def _look(
        self, prefix: bytes, after: bytes, until: bytes, now: int, most: int, *, quiet_for: int | None = None
    ) -> int:
        """Check the entries with times from `after` to `until`. Keys are prefix, time and session."""
        first, end = prefix + after, prefix + until + b"\xff" * 16
        place = prefix + b"?" if after else prefix
        begin = max(first, self._positions.get(place, first))
        keys = self._engine.keys(CF.INDEX, begin, end, limit=_ENTRIES) if begin < end else []
        following = first if len(keys) < _ENTRIES else keys[-1] + b"\x00"
        sent = 0
        for key in keys:
            session = key[-16:]
            if self._later.get(session, 0) > now or (
                quiet_for is not None and self._not_quiet(session, now, quiet_for)
            ):
                continue
            if sent >= most:
                following = key
                break
            sent += 1
            self._send(session, now)
        self._positions[place] = following
        return sent

    def _not_quiet(self, session: bytes, now: int, quiet_for: int) -> bool:
        """Return whether the session has been active in the last `quiet_for` ns, by its journal, so that it need not be
        loaded to find out."""
        own = _QUIET + session  # kept apart from what is remembered of its other limits
        if self._later.get(own, 0) > now:
            return True
        try:
            active = self._directory.services.store.journal.last_but(session, CARE)
        except StorageError:
            return True  # damaged; verify reports it
        if active is None or active + quiet_for > now:
            self._remember(own, (active or now) + quiet_for)
            return True
        return False

    def _send(self, session: bytes, now: int) -> None:
        self._remember(session, now + _RETRY)  # in case the message gets lost
        session_id = session_id_of(session)
        try:
            self._directory.actor(session_id).tell(KeepTime(now, self._on_done, busy=self._at_work(session_id)))
        except (SessionNotFound, RuntimeClosed):
            pass  # deleted since, or closing
        except GreenroomError as error:
            self._remember(session, now + _LONGEST)
            logger.warning("the timeouts of session %s wait: %s", session_id, error)

    def _on_done(self, session: bytes, due: int | None, outcome: str | None) -> None:
        """Remember when to look at a session again, and report what happened to it. Called in the session's turn."""
        if due is None:
            with self._lock:
                self._later.pop(session, None)
        else:
            self._remember(session, due)
        if outcome is not None:
            self._acted(session_id_of(session), outcome)

    def _remember(self, session: bytes, due: int) -> None:
        with self._lock:
            self._later[session] = min(due, self._last + _LONGEST)
            self._later.move_to_end(session)
            while len(self._later) > _REMEMBERED:
                self._later.popitem(last=False)


def _time(value: int, width: int) -> bytes:
    """Return a time as it stands in a key; the first or last possible one if it does not fit."""
    return min(max(0, value), (1 << 8 * width) - 1).to_bytes(width, "big")
