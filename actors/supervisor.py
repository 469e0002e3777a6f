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
    InvalidOperation,
    OperationTimeout,
    RuntimeClosed,
    SessionNotFound,
    ValidationError,
)
from greenroom.storage.keys import is_session_id, session_bytes

from . import messages as m
from .conversation import INLINE_BYTES
from .decide import Draft, Limits, creation, limits_of
from .session import SessionActor, SessionServices, load_state
from .state import SessionState
from .store import ArtifactStore, ContentGone

if TYPE_CHECKING:
    from pykka._envelope import Envelope

__all__ = ["Supervisor"]

logger = logging.getLogger("greenroom.supervisor")

_SCOPE_LIMITS: Final = Limits(max_operations=1 << 62)
_PREPARE_TRIES: Final = 3


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
            actor = self._activate(session_id)
        if message.__class__ in _PREPARED:
            return self._ask_prepared(session_id, actor, message, timeout)
        return actor.ask(message, timeout)

    def tell(self, session_id: str, message: Any) -> None:
        """Deliver a message without waiting; if it fails, that is logged."""
        actor = self._actors.get(session_id)
        if actor is None or self._closing:
            actor = self._activate(session_id)
        if message.__class__ in _PREPARED:
            self._prepare(actor, message)
        actor.tell(message)

    def _ask_prepared(self, session_id: str, actor: SessionActor, message: Any, timeout: float) -> Any:
        for attempt in range(_PREPARE_TRIES):
            self._prepare(actor, message)
            try:
                return actor.ask(message, timeout)
            except ContentGone:
                if attempt == _PREPARE_TRIES - 1:
                    raise OperationTimeout(
                        "the content was deleted again and again while it was being stored: try again",
                        timeout=timeout,
                        started=False,
                    ) from None
            except OperationTimeout as error:
                if not error.fields.get("started"):
                    self.discard(message)
                raise
            except GreenroomError:
                self.discard(message)
                raise
        raise AssertionError("unreachable")

    def _prepare(self, actor: SessionActor, message: Any) -> None:
        store = self.services.store
        if isinstance(message, m.StoreArtifact):
            prepare_artifact(store, message, actor.limits, actor.name_limit)
        elif len(message.content) > INLINE_BYTES:
            # Long text is stored as the bytes that an artifact of the same text would have: both share one content.
            text = message.text
            content = text.encode("utf-8", "surrogatepass") if text is not None else message.content
            message.encoded = store.prepare(content, len(content))[0]

    def discard(self, message: Any) -> None:
        if isinstance(message, (m.StoreArtifact, m.AddMessage)) and message.encoded is not None:
            try:
                self.services.store.discard(message.encoded)
            except GreenroomError as error:
                logger.warning("what was written ahead stays until the next opening: %s", error)

    # -- making and finding actors

    def create(self, session_id: str, draft: Draft) -> None:
        """Make a session: its first event and its actor."""
        self._check_open()
        data = draft[1]
        actor = SessionActor(
            self.services,
            SessionState(session_id),
            [],
            0,
            limits=self.services.limits if data["config"] is None else limits_of(data["config"], self.services.limits),
        )
        actor.begin(draft)
        with self._lock:
            self._admit(session_id, actor)

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
            if actor is None:
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
        self._actors[session_id] = actor
        self._bytes += actor.weight
        tries = 0
        while len(self._actors) > self._max_resident or self._bytes > self._max_resident_bytes:
            # Second chance: whoever was used since the last look goes to the end of the line.
            candidate_id, candidate = next(iter(self._actors.items()))
            tries += 1
            if tries > 64 or candidate is actor:
                return  # all are busy: more may stay for now, the next one tries again
            if candidate.used and tries < 48:
                candidate.used = False
                self._actors.move_to_end(candidate_id)
            elif not self._passivate(candidate):
                self._actors.move_to_end(candidate_id)

    def _passivate(self, actor: SessionActor, *, save: bool = False) -> bool:
        """Write an idle actor down and drop it; False if it is at work."""
        if not actor._turn.acquire(False):
            return False
        try:
            if actor.waiting or actor.actor_stopped.is_set():
                return False
            try:
                actor.passivate(save=save)
            except GreenroomError as error:
                logger.warning("session %s stays in memory: %s", actor.actor_urn, error)
                return False
            return True
        finally:
            actor._turn.release()
            if actor.waiting:
                actor.wake()

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

    # -- time and the end

    def sweep(self, passivate_after: float, save_after: float) -> None:
        """Passivate what was not used since the last sweep but one; snapshot what has gone unsaved for long.

        Called every `passivate_after / 2` seconds by the runtime's timer.
        """
        now = self.services.clock.monotonic()
        for actor in list(self._actors.values()):
            if actor.used:
                actor.used = False
                actor.swept = now
            elif now - actor.swept >= passivate_after / 2:
                self._passivate(actor)
                continue
            if actor.unsaved and now - actor.saved_at >= save_after:
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


def prepare_artifact(store: ArtifactStore, message: m.StoreArtifact, limits: Limits, name_limit: int) -> None:
    """Hash and encode an artifact's content, and name what can be told from it. Runs on the sender's thread."""
    if len(message.name) > name_limit:
        raise ValidationError(f"name: 1 to {name_limit} characters, this has {len(message.name)}", field="name")
    if message.encoded is not None and not isinstance(message.content, (bytes, memoryview)):
        raise InvalidOperation("a message with a stream can be sent once: make a new one")
    message.encoded, head = store.prepare(message.content, limits.max_storage_bytes)
    if message.mime_type is None:
        message.mime_type = guess_mime_type(message.name, head)


_PREPARED: Final = frozenset({m.StoreArtifact, m.AddMessage})


def _is_scope_id(text: str) -> bool:
    return isinstance(text, str) and len(text) == 36 and text[14] == "8" and is_session_id(f"{text[:14]}4{text[15:]}")
