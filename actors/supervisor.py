"""The supervisor: owns the table id → actor, activates on the first message, passivates what is not used."""

from __future__ import annotations

import collections
import logging
import threading
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from blake3 import blake3

from greenroom.storage.artifacts import guess_mime_type
from greenroom.storage.errors import (
    GreenroomError,
    IntegrityError,
    OperationTimeout,
    RuntimeClosed,
    SchemaTooNew,
    SessionNotFound,
    ValidationError,
)
from greenroom.storage.keys import is_session_id, new_session, session_bytes, session_id_of

from . import messages as m
from .conversation import INLINE_BYTES
from .decide import Draft, Limits, creation, limits_of
from .deletion import delete_damaged
from .session import SessionActor, SessionServices, load_state
from .state import SessionState
from .store import ContentGone

if TYPE_CHECKING:
    from pykka._envelope import Envelope

__all__ = ["Supervisor"]

logger = logging.getLogger("greenroom.supervisor")

_SCOPE_LIMITS: Final = Limits(max_operations=1 << 62)


class Supervisor:
    """Keeps at most `max_resident` sessions, or `max_resident_bytes` of their states, in memory."""

    def __init__(self, max_resident: int, max_resident_bytes: int) -> None:
        self._max_resident = max_resident
        self._max_resident_bytes = max_resident_bytes
        self._actors: collections.OrderedDict[str, SessionActor] = collections.OrderedDict()
        self._lock = threading.RLock()
        self._bytes = 0
        self._closing = False
        self.activations = 0
        self.services: SessionServices

    @property
    def resident(self) -> int:
        """Sessions in memory."""
        return len(self._actors)

    @property
    def resident_bytes(self) -> int:
        """Bytes their states take, roughly."""
        return self._bytes

    # -- messages

    def ask(self, session_id: str, message: Any, timeout: float) -> Any:
        """Deliver a message and return the reply or raise its error. Raises SessionNotFound, OperationTimeout,
        RuntimeClosed."""
        actor = self._actors.get(session_id)
        if actor is None or self._closing:
            try:
                actor = self._activate(session_id)
            except (IntegrityError, SchemaTooNew):
                if not isinstance(message, m.DeleteSession):
                    raise
                with self._lock:
                    return delete_damaged(self.services.store, session_id, timeout)
        if message.__class__ in _PREPARED:
            return self._ask_prepared(actor, message, timeout)
        return actor.ask(message, timeout)

    def tell(self, session_id: str, message: Any) -> None:
        """Deliver a message without waiting; if it fails, that is logged."""
        actor = self._actors.get(session_id)
        if actor is None or self._closing:
            actor = self._activate(session_id)
        if message.__class__ in _PREPARED:
            # Nobody waits who could prepare it again: bring the content along even if it is known.
            message = self._prepare(actor, message, known=False)
        actor.tell(message)

    def _ask_prepared(self, actor: SessionActor, message: Any, timeout: float) -> Any:
        prepared = self._prepare(actor, message, known=True)
        try:
            return actor.ask(prepared, timeout)
        except ContentGone:
            prepared = self._prepare(actor, prepared, known=False)
        except OperationTimeout as error:
            if not error.fields["started"]:
                self.discard(prepared)
            raise
        except GreenroomError:
            self.discard(prepared)
            raise
        try:
            return actor.ask(prepared, timeout)
        except GreenroomError:
            self.discard(prepared)
            raise

    def _prepare(self, actor: SessionActor, message: Any, *, known: bool) -> Any:
        """A copy of the message with its content hashed and encoded. Runs on the sender's thread.

        With `known`, content that the store has already is not encoded.
        """
        if not isinstance(message, m.StoreArtifact) and len(message.content) <= INLINE_BYTES:
            return message
        store = self.services.store
        message = message.copy()
        if isinstance(message, m.StoreArtifact):
            if len(message.name) > actor.name_limit:
                raise ValidationError(
                    f"name: 1 to {actor.name_limit} characters, this has {len(message.name)}", field="name"
                )
            limit = actor.limits.max_storage_bytes
            message.encoded, head, message.content = store.prepare(message.content, limit, known=known)
            if message.mime_type is None:
                message.mime_type = guess_mime_type(message.name, head)
        else:
            # Long text is stored as the bytes that an artifact of the same text would have: both share one content.
            text = message.text
            content = text.encode("utf-8", "surrogatepass") if text is not None else message.content
            message.encoded = store.prepare(content, len(content), known=known)[0]
        return message

    def discard(self, message: Any) -> None:
        if isinstance(message, (m.StoreArtifact, m.AddMessage)) and message.encoded is not None:
            try:
                self.services.store.discard(message.encoded)
            except GreenroomError as error:
                logger.warning("what was written ahead stays until the next opening: %s", error)

    # -- making and finding actors

    def create(self, draft: Draft) -> str:
        """Make a session: its first event and its actor; its id."""
        self._check_open()
        data = draft[1]
        session = new_session()
        session_id = session_id_of(session)
        actor = SessionActor(
            self.services,
            SessionState(session_id, session),
            [],
            0,
            limits=self.services.limits if data["config"] is None else limits_of(data["config"], self.services.limits),
        )
        # Whoever finds the id as soon as it is in the store must find this actor, busy, in the table.
        actor.take_turn()
        try:
            with self._lock:
                self._admit(session_id, actor)
            actor.begin(draft)
        finally:
            actor.give_turn()
        return session_id

    def _activate(self, session_id: str) -> SessionActor:
        self._check_open()
        self.services.store.settle()
        if not is_session_id(session_id) and not _is_scope_id(session_id):
            raise SessionNotFound(
                "there is no such session: an id is a lower-case UUID with hyphens",
                session_id=str(session_id)[:64],
            )
        with self._lock:
            actor = self._actors.get(session_id)
            if actor is None or actor.actor_stopped.is_set():
                state, snapshots, tail = load_state(self.services.store, session_id)
                scope = _is_scope_id(session_id)
                actor = SessionActor(
                    self.services,
                    state,
                    snapshots,
                    tail,
                    cataloged=not scope,
                    limits=_SCOPE_LIMITS if scope else None,
                )
                self.activations += 1
                self._admit(session_id, actor)
            return actor

    def scope(self, name: str) -> str:
        """The id of the actor that holds the state of a scope which is no session ("global", "user:…").

        A scope is a journal like a session's, under an id that no session can have and without a catalog row.
        """
        if not name or len(name) > m.MAX_KEY:
            raise ValidationError(f"scope: 1 to {m.MAX_KEY} characters", field="scope")
        raw = bytearray(blake3(b"greenroom.scope\x00" + name.encode("utf-8", "surrogatepass")).digest(16))
        raw[6] = raw[6] & 0x0F | 0x80  # UUID version 8, "custom"
        raw[8] = raw[8] & 0x3F | 0x80
        scope_id = str(UUID(bytes=bytes(raw)))
        if scope_id in self._actors:
            return scope_id
        with self._lock:
            if scope_id not in self._actors and self.services.store.journal.last(session_bytes(scope_id)) is None:
                if self.services.store.engine.read_only:
                    return scope_id
                actor = SessionActor(
                    self.services, SessionState(scope_id), [], 0, cataloged=False, limits=_SCOPE_LIMITS
                )
                actor.begin(creation(name, None, None, [], m.EMPTY_METADATA, None, None, None))
                self._admit(scope_id, actor)
        return scope_id

    def _admit(self, session_id: str, actor: SessionActor) -> None:
        """Put an actor into the table and make room for it. The caller holds the lock."""
        present = self._actors.get(session_id)
        assert present is None or present.actor_stopped.is_set(), "a session has one actor"
        self._actors[session_id] = actor
        self._bytes += actor.weight
        self._make_room(actor)

    def _make_room(self, but: SessionActor | None) -> None:
        """Passivate until the limits hold, or all who are left are at work. The caller holds the lock.

        Second chance: who was used since the last look goes to the end of the line.
        """
        actors = self._actors
        for _ in range(2 * len(actors)):
            if len(actors) <= self._max_resident and self._bytes <= self._max_resident_bytes:
                return
            candidate_id, candidate = next(iter(actors.items()))
            if candidate is but or candidate.used or not self._passivate(candidate):
                candidate.used = False
                actors.move_to_end(candidate_id)

    def _passivate(self, actor: SessionActor, *, save: bool = False) -> bool:
        """Write an idle actor down and drop it; False if it is at work."""
        if not actor.take_turn():
            return False
        try:
            if actor.waiting or actor.actor_stopped.is_set():
                return False
            try:
                return actor.passivate(save=save)
            except GreenroomError as error:
                logger.warning("session %s stays in memory: %s", actor.actor_urn, error)
                return False
        finally:
            actor.give_turn()

    # -- what actors ask of their owner

    def forward(self, session_id: str, envelope: Envelope[Any]) -> None:
        try:
            self._activate(session_id).put(envelope)
        except GreenroomError as error:
            if envelope.reply_to is not None:
                envelope.reply_to.set_exception((type(error), error, error.__traceback__))

    def retire(self, actor: SessionActor) -> None:
        with self._lock:
            if self._actors.get(actor.actor_urn) is actor:
                del self._actors[actor.actor_urn]
                self._bytes -= actor.weight

    def weigh(self, change: int) -> None:
        with self._lock:
            self._bytes += change
            if change > 0 and self._bytes > self._max_resident_bytes:
                self._make_room(None)

    # -- time and the end

    def sweep(self, passivate_after: float) -> None:
        """Passivate what was not used for `passivate_after` seconds; snapshot what has gone unsaved for long.

        Called every `passivate_after / 2` seconds by the timer; uses are known to that precision.
        """
        now = self.services.clock.monotonic()
        for actor in list(self._actors.values()):
            if actor.used:
                actor.used = False
                actor.swept = now
            elif now - actor.swept >= passivate_after:
                self._passivate(actor)
                continue
            if actor.unsaved and now - actor.saved_at >= actor.limits.auto_save_interval:
                try:
                    actor.tell(m.SaveSession(sync=False))
                except GreenroomError as error:
                    logger.warning("session %s was not saved: %s", actor.actor_urn, error)

    def residents(self) -> list[SessionActor]:
        return list(self._actors.values())

    def forget(self) -> None:
        """Drop all sessions from memory, for a follower that must see what the writer has done."""
        for actor in self.residents():
            self._passivate(actor)

    def abandon(self) -> None:
        """Refuse everything from now on, and touch nothing: this is the copy of a runtime that a fork has made."""
        self._closing = True

    def close(self, deadline: float, *, save: bool) -> None:
        """Refuse new messages, let the waiting ones be handled, save what is in memory. Ends by `deadline`
        (the clock's monotonic seconds); what is left then is in the journal all the same."""
        self._closing = True
        clock = self.services.clock
        for actor in self.residents():
            remaining = deadline - clock.monotonic()
            if remaining <= 0:
                logger.warning("closing: the deadline has passed; some snapshots were not written")
                return
            try:
                actor.ask(m.Finish(), remaining)
            except GreenroomError as error:
                logger.warning("closing: session %s: %s", actor.actor_urn, error)
            self._passivate(actor, save=save)

    def _check_open(self) -> None:
        if self._closing:
            raise RuntimeClosed("the runtime is closed or closing: open it again to go on")


_PREPARED: Final = frozenset({m.StoreArtifact, m.AddMessage})


def _is_scope_id(text: str) -> bool:
    return isinstance(text, str) and len(text) == 36 and text[14] == "8" and is_session_id(f"{text[:14]}4{text[15:]}")
