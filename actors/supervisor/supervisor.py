"""The supervisor: owns the table id → actor, activates on the first message, passivates what is not used."""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol
from uuid import UUID

from blake3 import blake3

from greenroom.actors import messages as m
from greenroom.actors.access.cross_session import Crossing
from greenroom.actors.access.security import Security
from greenroom.actors.messages.core import Reply
from greenroom.actors.scheduling.dispatcher import Letter
from greenroom.actors.scheduling.operation import CURRENT, entered
from greenroom.actors.session.actor import SessionActor
from greenroom.actors.session.conversation import INLINE_BYTES
from greenroom.actors.session.decide import Draft, creation, require_room
from greenroom.actors.session.delegated import OnBehalf
from greenroom.actors.session.deletion import delete_damaged
from greenroom.actors.session.limits import limits_of, rate_overrides
from greenroom.actors.session.loading import load_state
from greenroom.actors.session.services import Resident, SessionServices
from greenroom.actors.session.state import SessionState
from greenroom.actors.store import ContentGone
from greenroom.storage.artifacts.mime import guess_mime_type
from greenroom.storage.codec.keys import is_session_id, new_session, session_bytes, session_id_of
from greenroom.storage.common.logs import logger_of
from greenroom.storage.engine.forking import runtime_closed
from greenroom.storage.errors import (
    GreenroomError,
    IntegrityError,
    OperationTimeout,
    ResourceLimitExceeded,
    SchemaTooNew,
    SessionAlreadyExists,
    SessionNotFound,
    ValidationError,
)

if TYPE_CHECKING:
    from pykka._envelope import Envelope

    from greenroom.actors.hooks.interceptor import HookedMessage
    from greenroom.actors.scheduling.dispatcher import Told
    from greenroom.actors.session.calls import CallPath

__all__ = ["Supervisor"]

logger = logger_of("supervisor")


class Trace(Protocol):
    """Takes messages on their way, and notes that it did."""

    def ask(self, session_id: str, message: Any, timeout: float) -> Any:
        """What `Supervisor.ask` does."""

    def tell(self, session_id: str, message: Any) -> None:
        """What `Supervisor.tell` does."""

    def span(
        self, operation: str, name: str | None, session_id: str | None, correlation_id: str | None
    ) -> AbstractContextManager[Any]:
        """For an operation that is no message to a session."""


class Supervisor:
    """Keeps at most `max_resident` sessions, or `max_resident_bytes` of their states, in memory."""

    def __init__(self, max_resident: int, max_resident_bytes: int) -> None:
        self._max_resident = max_resident
        self._max_resident_bytes = max_resident_bytes
        self._actors: collections.OrderedDict[str, SessionActor] = collections.OrderedDict()
        self._lock = threading.RLock()
        self._bytes = 0
        self._closing = False
        self._importing: set[str] = set()
        self.activations = 0
        self.crossing = Crossing(self)
        self.services: SessionServices
        self.security: Security
        self.rates: Callable[[str, Any], None] | None = None
        """Called with each message to a session while any rate is limited. Raises RateLimited."""
        self.own_rates: Callable[[], None] | None = None
        """Called when a session that sets rates of its own comes into memory, while `rates` is None."""
        self.reconfigured: Callable[[bytes], None] | None = None
        """Called with each session whose configuration has changed, in its turn."""
        self.calls: CallPath
        self.hooked: dict[type[Any], HookedMessage] = {}
        """For classes of messages with a hook at one of their points: what asks and tells in the place of `deliver`."""
        self.trace: Trace | None = None
        """While operations are traced: what asks and tells in the place of `ask` and `tell`."""

    @property
    def resident(self) -> int:
        """Sessions in memory."""
        return len(self._actors)

    @property
    def resident_bytes(self) -> int:
        """Bytes their states take, roughly."""
        return self._bytes

    # -- messages

    def ask(self, session_id: str, message: m.Message[Reply], timeout: float) -> Reply:
        """Take a message on its whole way: security, rates, hooks, the session's actor, and the reply back.

        Raises what refuses or fails it, SessionNotFound, OperationTimeout, RuntimeClosed.
        """
        operation = CURRENT.get()
        if operation is not None and operation.realm is not None and operation.realm is not self.security:
            with entered(self.security):
                return self.ask(session_id, message, timeout)
        if self.trace is not None:
            traced: Reply = self.trace.ask(session_id, message, timeout)
            return traced
        if operation is not None and operation.principal is not None:
            if operation.lent:
                self.security.require_call(operation)
            session_id = self.security.enter(operation.principal, session_id, message)
        if self.rates is not None:
            self.rates(session_id, message)
        hooked = self.hooked.get(message.__class__)
        if hooked is not None:
            hooked_reply: Reply = hooked(session_id, message, timeout)
            return hooked_reply
        reply: Reply = self.deliver(session_id, message, timeout)
        return reply

    def ask_untraced(self, session_id: str, message: Any, timeout: float) -> Any:
        """`ask`, for what traces it."""
        session_id = self.admit(session_id, message)
        hooked = self.hooked.get(message.__class__)
        return (hooked if hooked is not None else self.deliver)(session_id, message, timeout)

    def ask_unrated(self, session_id: str, message: Any, timeout: float) -> Any:
        """Ask for what belongs to an operation that was counted: past security and rates, and with its hooks."""
        hooked = self.hooked.get(message.__class__)
        return (hooked if hooked is not None else self.deliver)(session_id, message, timeout)

    def deliver(self, session_id: str, message: Any, timeout: float, *, here: bool = False) -> Any:
        """Have a message that nothing stands in the way of handled: by the session's actor, or where else it leads;
        with `here`, by the session's own actor in any case."""
        if message.may_cross and not here and message.crosses(session_id):
            return self.crossing.ask(session_id, message, timeout)
        actor = self._actors.get(session_id)
        if actor is None or self._closing:
            try:
                actor = self._activate(session_id)
            except (IntegrityError, SchemaTooNew):
                if not isinstance(message, m.DeleteSession):
                    raise
                with self._lock:
                    delete_damaged(self.services.store, session_id, timeout)
                self.services.store.await_synced(timeout)
                if self.services.tell is not None:
                    self.services.tell(session_id, "session.deleted", {"name": None, "parent": None})
                return None
        if message.preparation is not None:
            if message.preparation == "call":
                return self.calls.ask(session_id, message, timeout)
            return self.ask_prepared(actor, message, timeout)
        return actor.ask(message, timeout)

    def tell(self, session_id: str, message: Any) -> None:
        """Deliver a message without waiting; if it fails, that is logged."""
        operation = CURRENT.get()
        if operation is not None and operation.realm is not None and operation.realm is not self.security:
            with entered(self.security):
                self.tell(session_id, message)
        elif self.trace is not None:
            self.trace.tell(session_id, message)
        else:
            self.tell_untraced(session_id, message)

    def tell_untraced(self, session_id: str, message: Any) -> None:
        """`tell`, for what traces it."""
        session_id = self.admit(session_id, message)
        hooked = self.hooked.get(message.__class__)
        if hooked is not None:
            hooked.tell(session_id, message)
            return
        self.send(session_id, message)

    def send(self, session_id: str, message: Any, told: Told | None = None) -> None:
        """`deliver`, without waiting; `told` is told when it has been handled."""
        if message.may_cross and message.crosses(session_id):
            self.crossing.tell(session_id, message, self.services.store_timeout, told)
        else:
            self.tell_here(session_id, message, told)

    def admit(self, session_id: str, message: Any) -> str:
        """What comes before the hooks: security and rates; the id that the message is sent to. For one that a hook
        redirects. Raises AccessDenied, RateLimited."""
        operation = CURRENT.get()
        if operation is not None and operation.principal is not None:
            if operation.lent:
                self.security.require_call(operation)
            session_id = self.security.enter(operation.principal, session_id, message)
        if self.rates is not None:
            self.rates(session_id, message)
        return session_id

    def is_restoring(self, session_id: str) -> bool:
        """Whether loading this session brings it back: it is not in memory, or nobody has loaded it since it came."""
        actor = self._actors.get(session_id)
        return actor is None or actor.restored

    def tell_here(self, session_id: str, message: Any, told: Told | None = None) -> None:
        """Deliver a message to the session's own actor without waiting; `told` is told when it has been handled."""
        actor = self.actor(session_id)
        if message.preparation is not None:
            if message.preparation == "call":
                self.calls.tell(session_id, message, told)
                return
            # Nobody waits who could prepare it again: bring the content along even if it is known.
            message = self.prepare(actor, message, known=False)
        if told is None:
            actor.tell(message)
        else:
            told.message = message
            actor.put(Letter(message, told))

    def ask_prepared(self, actor: Any, message: Any, timeout: float) -> Any:
        """Ask an actor, or what stands for one, what needs its content prepared."""
        prepared = self.prepare(actor, message, known=True)
        try:
            return actor.ask(prepared, timeout)
        except ContentGone:
            prepared = self.prepare(actor, prepared, known=False)
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

    def prepare(self, actor: Any, message: Any, *, known: bool) -> Any:
        """A copy of the message with its content hashed and encoded. Runs on the sender's thread.

        With `known`, content that the store has already is not encoded.
        """
        if isinstance(message, m.StoreMany):
            return self._prepare_many(actor, message, known=known)
        if not isinstance(message, m.StoreArtifact) and len(message.content) <= INLINE_BYTES:
            return message
        store = self.services.store
        if message.encoded is not m.UNSHARED:
            message = message.copy()
        if isinstance(message, m.StoreArtifact):
            self._check_name(actor, message)
            self._prepare_artifact(message, actor.limits.max_storage_bytes, known=known)
        else:
            # Long text is stored as the bytes that an artifact of the same text would have: both share one content.
            text = message.text
            content = text.encode("utf-8", "surrogatepass") if text is not None else message.content
            message.encoded = store.prepare(content, len(content), known=known)[0]
        return message

    @staticmethod
    def _check_name(actor: SessionActor, message: m.StoreArtifact) -> None:
        if len(message.name) > actor.name_limit:
            raise ValidationError(
                f"name: 1 to {actor.name_limit} characters, this has {len(message.name)}", field="name"
            )

    def _prepare_artifact(
        self, message: m.StoreArtifact, stream_limit: int, *, known: bool, ahead: bool = False
    ) -> None:
        prepared = self.services.store.prepare(message.content, stream_limit, known=known, ahead=ahead)
        message.encoded, head, message.content = prepared
        if message.mime_type is None:
            message.mime_type = guess_mime_type(message.name, head)

    def _prepare_many(self, actor: SessionActor, message: m.StoreMany, *, known: bool) -> m.StoreMany:
        """A copy of the batch with all content prepared, or none: what cannot be is refused before the first write."""
        batch = message.copy()
        batch.items = [item.copy() for item in message.items]
        limits, size = actor.limits, 0
        for item in batch.items:
            self._check_name(actor, item)
            if isinstance(item.content, (bytes, memoryview)):
                self.services.store.check_size(len(item.content))
                size += len(item.content)
        try:
            require_room(actor.actor_urn, 0, 0, limits, more=len(batch.items), bytes=size)
        except ResourceLimitExceeded as error:
            actor.refused("resources", error.fields["resource"], error.fields["limit"])
            raise
        gathered = 0
        try:
            for item in batch.items:
                encoded, streamed = item.encoded, not isinstance(item.content, (bytes, memoryview))
                if encoded is None or (encoded.payload is None and encoded.blob is None):
                    # More than this is not held in memory: it is written ahead as large content is.
                    ahead = gathered > _BATCH_BYTES
                    self._prepare_artifact(item, limits.max_storage_bytes - size, known=known, ahead=ahead)
                    encoded = item.encoded
                assert encoded is not None
                gathered += len(encoded.payload or b"")
                size += encoded.size if streamed else 0
        except BaseException:
            self.discard(batch)
            raise
        return batch

    def discard(self, message: Any) -> None:
        if isinstance(message, OnBehalf):
            message = message.message
        if isinstance(message, m.StoreMany):
            for item in message.items:
                self.discard(item)
        elif isinstance(message, (m.StoreArtifact, m.AddMessage)) and message.encoded not in (None, m.UNSHARED):
            try:
                self.services.store.discard(message.encoded)
            except GreenroomError as error:
                logger.warning("what was written ahead stays until the next opening: %s", error)

    # -- making and finding actors

    def actor(self, session_id: str) -> SessionActor:
        """The session's actor, activated if it is not in memory. Raises SessionNotFound, IntegrityError."""
        actor = self._actors.get(session_id)
        return self._activate(session_id) if actor is None or self._closing else actor

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
        if data["config"] is not None:
            self._watch_rates(data["config"])

        def begin() -> None:
            with self._lock:
                self._admit(session_id, actor)
            actor.begin(draft)
            if self.services.tell is not None:
                self.services.tell(session_id, "session.started", {})

        # Whoever finds the id as soon as it is in the store must find this actor, busy, in the table.
        actor.do_in_turn(begin)
        self.services.store.await_synced(self.services.store_timeout)
        return session_id

    def hold(self, actor: SessionActor, draft: Draft) -> None:
        """Put an actor into the table whose session is not in the store yet, and give it its first event."""
        self._check_open()
        with self._lock:
            self._admit(actor.actor_urn, actor)
        actor.begin(draft)

    def resident_actor(self, session_id: str) -> SessionActor | None:
        """The session's actor if it is in memory."""
        return self._actors.get(session_id)

    def _watch_rates(self, config: bytes) -> None:
        """See to it that the rates are asked once there is a session with rates of its own."""
        if self.rates is None and self.own_rates is not None and b"rate" in config and rate_overrides(config):
            self.own_rates()

    def _activate(self, session_id: str) -> SessionActor:
        self._check_open()
        self.services.store.settle()
        if not is_session_id(session_id) and not _is_scope_id(session_id):
            raise SessionNotFound(
                "there is no such session: an id is a lower-case UUID with hyphens",
                session_id=str(session_id)[:64],
            )
        with self._lock:
            if session_id in self._importing:
                raise SessionNotFound(f"there is no session {session_id} yet: it is still being written")
            actor = self._actors.get(session_id)
            if actor is None or actor.stopped:
                state, snapshots, tail = load_state(self.services.store, session_id)
                if state.config is not None:
                    self._watch_rates(state.config)
                scope = _is_scope_id(session_id)
                actor = SessionActor(
                    self.services,
                    state,
                    snapshots,
                    tail,
                    cataloged=not scope,
                )
                self.activations += 1
                self._admit(session_id, actor)
            return actor

    def reserve(self, session_ids: list[str]) -> Callable[[], None]:
        """Keep the ids of sessions that are being imported from everybody, until what this returns is called.

        Raises SessionAlreadyExists.
        """
        self._check_open()
        with self._lock:
            for session_id in session_ids:
                taken = session_id in self._importing or session_id in self._actors
                if taken or not self.services.store.journal.is_empty(session_bytes(session_id)):
                    raise SessionAlreadyExists(
                        f"there is a session {session_id} already: import the bundle with new ids, or delete it first",
                        session_id=session_id,
                    )
            self._importing.update(session_ids)

        def release() -> None:
            with self._lock:
                self._importing.difference_update(session_ids)

        return release

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
                actor = SessionActor(self.services, SessionState(scope_id), [], 0, cataloged=False)
                actor.begin(creation(name, None, None, [], m.EMPTY_METADATA, None, None, None))
                self._admit(scope_id, actor)
        return scope_id

    def _admit(self, session_id: str, actor: SessionActor) -> None:
        """Put an actor into the table and make room for it. The caller holds the lock."""
        present = self._actors.get(session_id)
        assert present is None or present.stopped, "a session has one actor"
        # No call stands between the two: an interrupt finds both done, or neither.
        self._actors[session_id] = actor
        self._bytes += actor.weight - (present.weight if present is not None else 0)
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

    def _passivate(self, actor: SessionActor, *, save: bool = False, wait: float = 0.0) -> bool:
        """Write an actor down and drop it; False if it is at work, and still is after `wait` seconds."""
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
        """Do something while the session is not in memory, and cannot come in. Its state is saved first.

        Raises OperationTimeout if the session is busy all the time.
        """
        for _ in range(_PATIENCE):
            with self._lock:
                actor = self._actors.get(session_id)
                if actor is None or actor.stopped or self._passivate(actor, save=True):
                    work()
                    return
            # It gives its turn when it has handled what waits.
            actor.ask(m.Finish(), self.services.store_timeout)
        raise OperationTimeout(f"session {session_id} is busy", timeout=self.services.store_timeout, started=False)

    # -- what actors ask of their owner

    def forward(self, session_id: str, envelope: Envelope[Any]) -> None:
        try:
            self._activate(session_id).put(envelope)
        except GreenroomError as error:
            if envelope.reply_to is not None:
                envelope.reply_to.set_exception((type(error), error, error.__traceback__))

    def retire(self, actor: Resident) -> None:
        with self._lock:
            if self._actors.get(actor.actor_urn) is actor:
                del self._actors[actor.actor_urn]
                self._bytes -= actor.weight

    def configured(self, session: bytes, config: bytes | None) -> None:
        if config is not None:
            self._watch_rates(config)
        if self.reconfigured is not None:
            self.reconfigured(session)

    def failed(self, session_id: str, reason: str) -> None:
        hooked = self.hooked.get(m.FailSession)
        if hooked is not None:
            hooked.happened(session_id, m.FailSession(reason))

    def weigh(self, actor: Resident, weight: int) -> None:
        with self._lock:
            change = weight - actor.weight
            actor.weight = weight
            if self._actors.get(actor.actor_urn) is not actor:
                return
            self._bytes += change
            if change > 0 and self._bytes > self._max_resident_bytes:
                self._make_room(None)

    # -- time and the end

    def sweep(self, passivate_after: float) -> None:
        """Passivate what was not used for `passivate_after` seconds.

        Called every `passivate_after / 2` seconds by the timer; uses are known to that precision.
        """
        now = self.services.clock.monotonic()
        for actor in list(self._actors.values()):
            if actor.stopped:
                actor.do_in_turn(partial(self._drop_stopped, actor))
            elif actor.used:
                actor.used = False
                actor.swept = now
            elif now - actor.swept >= passivate_after:
                self._passivate(actor)

    def save_due(self) -> None:
        """Have the sessions saved whose `auto_save_interval` is over. Called every second by the timer."""
        now = self.services.clock.monotonic()
        for actor in [each for each in self.residents() if each.unsaved]:
            if now - actor.saved_at >= actor.limits.auto_save_interval:
                actor.saved_at = now  # if it fails, the next try is not before the interval is over again
                try:
                    self.tell_unasked(actor, m.SaveSession(sync=False))
                except GreenroomError as error:
                    logger.warning("session %s was not saved: %s", actor.actor_urn, error)

    def tell_unasked(self, actor: SessionActor, message: Any) -> None:
        """Send what nobody has asked for: past security and rates, and with its hooks on a thread of their own."""
        hooked = self.hooked.get(message.__class__)
        if hooked is None:
            actor.tell(message)
        else:
            hooked.tell_unasked(actor.actor_urn, message)

    def _drop_stopped(self, actor: SessionActor) -> None:
        """Forget an actor that was interrupted between stopping and being forgotten. The caller holds its turn."""
        if actor.stopped:
            self.retire(actor)

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
            if actor.stopped:
                continue
            remaining = deadline - clock.monotonic()
            if remaining <= 0:
                logger.warning("closing: the deadline has passed; some snapshots were not written")
                return
            try:
                actor.ask(m.Finish(), remaining)
            except GreenroomError as error:
                logger.warning("closing: session %s: %s", actor.actor_urn, error)
            self._passivate(actor, save=save, wait=max(0.0, deadline - clock.monotonic()))

    def _check_open(self) -> None:
        if self._closing:
            raise runtime_closed("closed or closing")


_PATIENCE: Final = 1000
_BATCH_BYTES: Final = 8 << 20


def _is_scope_id(text: str) -> bool:
    return isinstance(text, str) and len(text) == 36 and text[14] == "8" and is_session_id(f"{text[:14]}4{text[15:]}")
