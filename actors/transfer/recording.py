"""Record whole sessions: a conversation that is over is written in one batch or not at all.

A `Recording` sends its messages the usual way, so that hooks, redaction, limits and the fold see what they always see.
Only the actor differs: it collects what each commit would write, and `finish` writes all of it at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.core import PendingEvent
from greenroom.actors.session.state.limits import UNLIMITED
from greenroom.actors.session.state.model import SessionState
from greenroom.actors.store import Append, ContentGone
from greenroom.storage.codec.keys import new_session, session_id_of
from greenroom.storage.common.logs import logger_of
from greenroom.storage.content.chunks import Encoded
from greenroom.storage.engine.engine import Durability, Op
from greenroom.storage.errors import GreenroomError, InvalidOperation, OperationTimeout
from greenroom.storage.events.model import StoredEvent
from greenroom.storage.events.snapshots import SnapshotTrail

from .unpublished import UnpublishedSession

if TYPE_CHECKING:
    from greenroom.actors.clock import Clock
    from greenroom.actors.session.directory import Directory, Way
    from greenroom.actors.session.services import SessionServices

__all__ = ["Recording"]

logger = logger_of("recording")

_ATTEMPTS: Final = 3

_one_at_a_time = threading.Lock()
"""Held from the last look into the store to the write, so that two threads cannot both find the session absent."""


class _RecordedTime:
    """Gives the time at which something happened, instead of the time at which it is written."""

    def __init__(self, clock: Clock, at: int) -> None:
        self._clock = clock
        self.at = at

    def time_ns(self) -> int:
        return self.at

    def monotonic(self) -> float:
        return self._clock.monotonic()


class _RecordedSession(UnpublishedSession):
    """The actor of a session that is not in the store yet. It collects what its commits would write."""

    appends: list[Append]
    known: list[bytes | memoryview]
    """Contents that the store had when their commands were prepared."""

    def commit(
        self,
        drafts: list[PendingEvent],
        command: m.Command[Any] | None = None,
        also: Sequence[Op] = (),
        **batch: Any,
    ) -> None:
        if batch:
            raise InvalidOperation("a recording takes one command at a time: it is written as a whole in any case")
        super().commit(drafts, command, also, write=self._collect)
        for encoded, content in command.carried() if command is not None else ():
            if encoded is not None and encoded.payload is None and encoded.blob is None:
                self.known.append(content)

    def _collect(self, append: Append) -> int:
        self.appends.append(append)
        return self._commit_number

    def last_snapshot(self, ops: list[Op]) -> None:
        """Write a snapshot if folding the journal would take long."""
        if self._trail.events > self.services.snapshot_every:
            self._snapshot(ops)

    def _reload(self, *, raising: bool = False) -> None:
        self._retire()  # there is no journal yet to read back, so the recording ends
        if raising:
            raise InvalidOperation("the recording of this session was interrupted: begin it anew")


class Recording:
    """One session on its way into the store. Nothing of it can be seen before `finish`, and all of it after.

    Example:
        ```py
        recording = Recording(directory, way, at=time_of_the_first_turn)
        recording.begin(draft)
        recording.ask(messages.AddMessage("user", "hello"), at=..., timeout=30)
        recording.ask(messages.CompleteSession(), at=..., timeout=30)
        recording.finish()
        ```
    """

    def __init__(self, directory: Directory, way: Way, at: int) -> None:
        """Choose an id. `way` delivers messages past rates; `at` is when the session was created, in ns since the
        epoch."""
        self._directory = directory
        self._way = way
        self._services = directory.services
        session = new_session()
        self.id = session_id_of(session)
        self._time = _RecordedTime(self._services.clock, at)
        self._events: list[StoredEvent] = []
        services = replace(self._services, clock=self._time, publish=self._gather)
        # A finished conversation is not held to limits on how long it may go on; limits on its bytes hold.
        limits = replace(services.limits, max_artifacts=UNLIMITED, max_operations=UNLIMITED)
        self._actor = _RecordedSession(services, SessionState(self.id, session), SnapshotTrail(), limits=limits)
        self._actor.appends = []
        self._actor.known = []

    def _gather(self, session_id: str, first: int, events: list[StoredEvent]) -> None:
        self._events += events

    def begin(self, draft: PendingEvent) -> None:
        """Take the first event. From here on the session answers callers that know its id."""
        self._directory.hold(self._actor, draft)

    def ask(self, message: m.Message[Any], at: int, timeout: float) -> Any:
        """Send a message about something that happened at `at`, past rates: a recording is one operation.

        Returns the reply. Raises what hooks and the session raise.
        """
        self._time.at = at
        return self._way.ask(self.id, message, timeout)

    def become_fork(self, origin: Recording, at: int) -> None:
        """Make this a fork of another recording. Both have had the same messages so far, and this one goes on in
        another way. Its history is that of `Session.fork`, called at this moment."""
        state = self._actor.state
        facts = {"from_session": origin.id, "sequence": state.sequence, "parent": origin.id, "missing": 0}
        self._time.at = at
        drafts = [PendingEvent("session.forked", facts)]
        if not self._actor.do_in_turn(lambda: self._actor.commit(drafts), self._services.store_timeout):
            raise OperationTimeout(
                f"session {self.id}, which is being ingested, has been busy for too long", started=False
            )

    def finish(self, check: Callable[[], object] | None = None, also: Sequence[Recording] = ()) -> None:
        """Write the session in one batch, which makes it visible. `also` are recordings that go with it: they are in
        the same batch.

        `check` is called last, when no other recording of this process can be written; an exception from it ends the
        recording. Raises ResourceLimitExceeded if the store's quota is used up, and StorageError.
        """
        services = self._services
        recordings = (self, *also)
        append = self._whole()
        for other in also:
            append.add(other._whole())
        timeout = services.store_timeout
        with _one_at_a_time:
            if check is not None:
                check()
            for attempt in range(_ATTEMPTS):
                try:
                    commit_number = services.store.commit(append, timeout)
                    break
                except OperationTimeout:
                    services.store.wait_for_inflight()  # it may be written all the same
                    if not services.store.catalog.is_there(self._actor.state.session):
                        raise
                    commit_number = services.store.engine.commit_number
                    break
                except ContentGone:
                    if attempt == _ATTEMPTS - 1:
                        raise
                    append.contents = _prepared_again(services, recordings, append)
        for each in recordings:
            each._actor.appends = []  # the written content must not be discarded
            each._actor.leave()
        if services.durability is Durability.FSYNC:
            services.store.engine.wait_synced(commit_number, timeout)
        for each in recordings:
            if services.tell is not None:
                services.tell(each.id, "session.started", {})
            if services.publish is not None:
                services.publish(each.id, 1, each._events)

    def abandon(self) -> None:
        """Give up: nothing of the session is left. Does nothing after `finish`."""
        self._actor.leave()
        appends, self._actor.appends = self._actor.appends, []
        for append in appends:
            for content, _ in append.contents:
                try:
                    self._services.store.discard(content)
                except GreenroomError as error:
                    logger.warning("content written ahead stays until the next opening: %s", error)

    def _whole(self) -> Append:
        """Return everything that was collected, as one batch. Only the last value of each key counts, and nothing needs
        to be deleted, since nothing was there before."""
        appends = self._actor.appends
        ops: dict[tuple[int, bytes], bytes | None] = {}
        snapshot: list[Op] = []
        self._actor.last_snapshot(snapshot)
        for gathered in [*(append.ops for append in appends), snapshot]:
            for cf, key, value in gathered:
                ops[cf, key] = value
        whole = Append(
            [(cf, key, value) for (cf, key), value in ops.items() if value is not None],
            ((None, self._actor.state.status),),
            tuple(pair for append in appends for pair in append.contents),
        )
        whole.charges = tuple(charge for append in appends for charge in append.charges)
        return whole


def _prepared_again(services: SessionServices, recordings: Sequence[Recording], append: Append) -> tuple[Any, ...]:
    """Return the contents of a batch. Those that the store had when they were prepared, and that are gone since, are
    encoded now."""
    again: dict[bytes, Encoded] = {}
    for content in [content for each in recordings for content in each._actor.known]:
        prepared = services.store.prepare(content, len(content), known=False)[0]
        again[prepared.hash] = prepared
    return tuple((again.get(encoded.hash, encoded), reference) for encoded, reference in append.contents)
