"""The table of sessions in memory: id → actor. Loads sessions on their first message, and passivates the least used."""

from __future__ import annotations

import collections
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from greenroom.actors import messages as m
from greenroom.actors.messages.core import PendingEvent
from greenroom.actors.session.actor import SessionActor
from greenroom.actors.session.decisions.decide import creation
from greenroom.actors.session.deletion import delete_damaged
from greenroom.actors.session.loading import load_state
from greenroom.actors.session.services import Resident, SessionServices
from greenroom.actors.session.state.limits import limits_of, rate_overrides
from greenroom.actors.session.state.model import SessionState
from greenroom.storage.codec.keys import is_session_id, new_session, session_bytes, session_id_of
from greenroom.storage.common.logs import logger_of
from greenroom.storage.common.session_ids import scope_bytes
from greenroom.storage.concurrency.forking import runtime_closed
from greenroom.storage.errors import (
    GreenroomError,
    OperationTimeout,
    SessionAlreadyExists,
    SessionNotFound,
    ValidationError,
    shown,
)
from greenroom.storage.events.snapshots import SnapshotTrail

if TYPE_CHECKING:
    from greenroom.actors.scheduling.dispatcher import Envelope

__all__ = ["SessionTable"]

logger = logger_of("supervisor")


class Notices(Protocol):
    """Is notified of changes to sessions that nobody has asked for."""

    def happened(self, session_id: str, message: Any) -> None:
        """Take note that the change which this message asks for has happened."""


class SessionTable:
    """Keeps at most `max_resident` sessions, or `max_resident_bytes` of their states, in memory."""

    def __init__(
        self, max_resident: int, max_resident_bytes: int, clean: Callable[[PendingEvent], PendingEvent] | None = None
    ) -> None:
        """`clean` removes secrets from the first event of a session; None if there are none to remove."""
        self._max_resident = max_resident
        self._max_resident_bytes = max_resident_bytes
        self._clean = clean
        self.actors: collections.OrderedDict[str, SessionActor] = collections.OrderedDict()
        self._lock = threading.RLock()
        self.bytes = 0
        """The approximate bytes that the states of all sessions in memory take."""
        self.closing = False
        """Set when no more messages are accepted."""
        self._importing: weakref.WeakValueDictionary[str, Callable[[], None]] = weakref.WeakValueDictionary()
        """Sessions that are still being imported, each with the function that releases its id. An import that was given
        up drops the function, and its entries with it."""
        self.activations = 0
        self.services: SessionServices
        self.notices: Notices
        self.own_rates: Callable[[], None] | None = None
        """Called when a session that sets rates of its own comes into memory."""
        self.reconfigured: Callable[[bytes], None] | None = None
        """Called with each session whose configuration has changed, in its turn."""

    def actor(self, session_id: str) -> SessionActor:
        """Return the session's actor, loaded if it is not in memory. Raises SessionNotFound, IntegrityError."""
        actor = self.actors.get(session_id)
        return self.activate(session_id) if actor is None or self.closing else actor

    def create(self, draft: PendingEvent) -> str:
        """Create a session from its first event, and return its id."""
        self.check_open()
        if self._clean is not None:
            draft = self._clean(draft)
        config, limits = draft.data["config"], self.services.limits
        session = new_session()
        session_id = session_id_of(session)
        actor = SessionActor(
            self.services,
            SessionState(session_id, session),
            SnapshotTrail(),
            limits=limits if config is None else limits_of(config, limits),
        )
        if config is not None:
            self._watch_rates(config)

        def begin() -> None:
            with self._lock:
                self._admit(session_id, actor)
            actor.begin(draft)
            if self.services.tell is not None:
                self.services.tell(session_id, "session.started", {})

        # A caller that finds the id as soon as it is in the store must find this actor, busy, in the table.
        actor.do_in_turn(begin)
        self.services.store.await_synced(self.services.store_timeout)
        return session_id

    def hold(self, actor: SessionActor, draft: PendingEvent | None) -> None:
        """Put the actor of a session that is not in the store yet into the table, and give it its first event, unless
        its journal has begun already."""
        self.check_open()
        if self._clean is not None and draft is not None:
            draft = self._clean(draft)
        with self._lock:
            self._admit(actor.actor_urn, actor)
        if draft is not None:
            actor.begin(draft)

    def resident_actor(self, session_id: str) -> SessionActor | None:
        """Return the session's actor if it is in memory, else None."""
        return self.actors.get(session_id)

    def _watch_rates(self, config: bytes) -> None:
        """Have rates checked from now on if this configuration sets rates of its own."""
        if self.own_rates is not None and b"rate" in config and rate_overrides(config):
            self.own_rates()

    def activate(self, session_id: str) -> SessionActor:
        self.check_open()
        self.services.store.wait_for_inflight()
        if not is_session_id(session_id) and not _is_scope_id(session_id):
            raise SessionNotFound(
                f"there is no session {shown(session_id)}: an id is a lower-case UUID with hyphens",
                session_id=str(session_id)[:64],
            )
        with self._lock:
            if session_id in self._importing:
                raise SessionNotFound(f"there is no session {session_id} yet: it is still being written")
            actor = self.actors.get(session_id)
            if actor is None or actor.stopped:
                state, trail = load_state(self.services.store, session_id)
                if state.config is not None:
                    self._watch_rates(state.config)
                scope = _is_scope_id(session_id)
                actor = SessionActor(
                    self.services,
                    state,
                    trail,
                    cataloged=not scope,
                )
                self.activations += 1
                self._admit(session_id, actor)
            return actor

    def reserve(self, session_ids: list[str]) -> Callable[[], None]:
        """Reserve the ids of sessions that are being imported, until the returned function is called.

        Raises SessionAlreadyExists.
        """
        self.check_open()

        def release() -> None:
            with self._lock:
                for session_id in session_ids:
                    self._importing.pop(session_id, None)

        with self._lock:
            for session_id in session_ids:
                taken = session_id in self._importing or session_id in self.actors
                if taken or not self.services.store.journal.is_empty(session_bytes(session_id)):
                    raise SessionAlreadyExists(
                        f"there is a session {session_id} already: import the bundle with new ids, or delete it first",
                        session_id=session_id,
                    )
            for session_id in session_ids:
                self._importing[session_id] = release
        return release

    def scope(self, name: str) -> str:
        """Return the id of the actor that holds the state of a scope which is no session ("global", "user:…").

        A scope is a journal like a session's, under an id that no session can have and without a catalog row.
        """
        if not name or len(name) > m.MAX_KEY:
            raise ValidationError(f"scope: 1 to {m.MAX_KEY} characters", field="scope")
        scope_id = session_id_of(scope_bytes(name))
        if scope_id in self.actors:
            return scope_id
        with self._lock:
            if scope_id not in self.actors and self.services.store.journal.last(session_bytes(scope_id)) is None:
                if self.services.store.engine.read_only:
                    return scope_id
                actor = SessionActor(self.services, SessionState(scope_id), SnapshotTrail(), cataloged=False)
                actor.begin(creation(name, None, None, [], m.EMPTY_METADATA, None, None, None))
                self._admit(scope_id, actor)
        return scope_id

    def _admit(self, session_id: str, actor: SessionActor) -> None:
        """Put an actor into the table and make room for it. The caller holds the lock."""
        present = self.actors.get(session_id)
        assert present is None or present.stopped, "a session has one actor"
        # No call stands between the two statements: an interrupt finds both done, or neither.
        self.actors[session_id] = actor
        self.bytes += actor.weight - (present.weight if present is not None else 0)
        if len(self.actors) > self._max_resident or self.bytes > self._max_resident_bytes:
            self._make_room(actor)

    def _make_room(self, but: SessionActor | None) -> None:
        """Passivate until the limits hold, or all remaining actors are at work. The caller holds the lock.

        Second chance: an actor that was used since the last look goes to the end of the line.
        """
        actors = self.actors
        for _ in range(2 * len(actors)):
            if len(actors) <= self._max_resident and self.bytes <= self._max_resident_bytes:
                return
            candidate_id, candidate = next(iter(actors.items()))
            if candidate is but or candidate.used or not self.passivate(candidate):
                candidate.used = False
                actors.move_to_end(candidate_id)

    def passivate(self, actor: SessionActor, *, save: bool = False, wait: float = 0.0) -> bool:
        """Save an actor's session and drop it from memory. Return False if it is at work, and still is after `wait`
        seconds."""
        done = False

        def write_down() -> None:
            nonlocal done
            if actor.waiting or actor.stopped:
                return
            try:
                done = actor.passivate(save=save)
            except GreenroomError as error:
                logger.warning("session %s stays in memory: %s", actor.actor_urn, error)

        return actor.do_in_turn(write_down, wait) and done

    def while_absent(self, session_id: str, work: Callable[[], None]) -> None:
        """Run `work` while the session is not in memory and cannot be loaded. Its state is saved first.

        Raises OperationTimeout if the session stays busy.
        """
        for _ in range(_WAIT_LIMIT):
            with self._lock:
                actor = self.actors.get(session_id)
                if actor is None or actor.stopped or self.passivate(actor, save=True):
                    work()
                    return
            # The actor releases its turn when it has handled the waiting messages.
            actor.ask(m.Finish(), self.services.store_timeout)
        raise OperationTimeout(f"session {session_id} is busy", timeout=self.services.store_timeout, started=False)

    # -- what actors ask of their owner

    def ask(self, session_id: str, message: Any, timeout: float) -> Any:
        actor = self.actor(session_id)
        return actor.handle(message) if actor.in_hand else actor.ask(message, timeout)

    def forward(self, session_id: str, envelope: Envelope[Any]) -> None:
        try:
            self.activate(session_id).put(envelope)
        except GreenroomError as error:
            if envelope.reply_to is not None:
                envelope.reply_to.set_exception((type(error), error, error.__traceback__))

    def retire(self, actor: Resident) -> None:
        with self._lock:
            if self.actors.get(actor.actor_urn) is actor:
                del self.actors[actor.actor_urn]
                self.bytes -= actor.weight

    def configured(self, session: bytes, config: bytes | None) -> None:
        if config is not None:
            self._watch_rates(config)
        if self.reconfigured is not None:
            self.reconfigured(session)

    def failed(self, session_id: str, reason: str) -> None:
        self.notices.happened(session_id, m.FailSession(reason))

    def weigh(self, actor: Resident, weight: int) -> None:
        with self._lock:
            change = weight - actor.weight
            actor.weight = weight
            if self.actors.get(actor.actor_urn) is not actor:
                return
            self.bytes += change
            if change > 0 and self.bytes > self._max_resident_bytes:
                self._make_room(None)

    def delete_damaged(self, session_id: str, timeout: float) -> None:
        """Delete a session whose journal cannot be read."""
        with self._lock:
            delete_damaged(self.services.store, session_id, timeout)
        self.services.store.await_synced(timeout)
        if self.services.tell is not None:
            self.services.tell(session_id, "session.deleted", {"name": None, "parent": None})

    def check_open(self) -> None:
        """Raise RuntimeClosed if no more messages are accepted."""
        if self.closing:
            raise runtime_closed("closed or closing")


_WAIT_LIMIT: Final = 1000


def _is_scope_id(text: str) -> bool:
    return isinstance(text, str) and len(text) == 36 and text[14] == "8" and is_session_id(f"{text[:14]}4{text[15:]}")
