"""The session actor: decides commands, journals their events through the one writer, and evolves its state."""

from __future__ import annotations

import collections
import contextlib
import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from greenroom.storage.artifacts import (
    RECORD_FIELDS,
    Artifact,
    ArtifactId,
    ArtifactInfo,
    Artifacts,
    artifact_info,
)
from greenroom.storage.catalog import SECOND, Catalog, SessionInfo
from greenroom.storage.content import Encoded, Reference
from greenroom.storage.engine import CF, Durability, Op
from greenroom.storage.errors import (
    ArtifactNotFound,
    GreenroomError,
    IntegrityError,
    InvalidOperation,
    ResourceLimitExceeded,
    SchemaTooNew,
    SessionNotFound,
    ValidationError,
)
from greenroom.storage.event_index import LINKED, id_keys, link_keys
from greenroom.storage.journal import Journal, StoredEvent
from greenroom.storage.keys import (
    INDEX_MESSAGE,
    sequence_key,
    session_bytes,
)
from greenroom.storage.records import unpack_value

from . import behalf
from . import messages as m
from .calls import CALL_REPLIES
from .conversation import ARTIFACT, MESSAGE, Turn, read_turns, turn_of
from .decide import Draft, Limits, decide
from .deletion import delete_damaged, deletion
from .dispatcher import Dispatcher, Later, PooledActor
from .events.facts import LinkEvents, PublishEvent, RecordEvent, retrieval
from .forking import fork_session
from .grants import shared_ops
from .hooks.record import RecordHooks
from .operation import CURRENT, event_context
from .policies.limits import limits_of
from .policies.messages import GetConsumption
from .policies.resources import (
    AT_ONCE,
    METERED,
    NEVER,
    Consumption,
    consumption,
    first_alarms,
    policy_notes,
)
from .policies.timeout import CARE, KeepTime, due_next
from .reaching import artifact_id
from .state import ACTIVE, NEW_WEIGHT, SUSPENDED, SessionState, evolve
from .store import Append, ArtifactStore
from .workflows import WORKFLOW_REPLIES

if TYPE_CHECKING:
    from pykka._envelope import Envelope

    from .clock import Clock
    from .security import Security

__all__ = ["SessionActor", "SessionServices", "load_state"]

logger = logging.getLogger("greenroom.session")

# Events after which the catalog's row differs.
_ROW_EVENTS: Final = frozenset(
    {
        "session.created",
        "session.suspended",
        "session.resumed",
        "session.completed",
        "session.failed",
        "session.archived",
        "metadata.updated",
        "tags.changed",
    }
)
_SNAPSHOT_BYTES: Final = 256 << 10
_WEIGH_BYTES: Final = 4 << 10
_TELL_EVERY: Final = 60.0


class Owner(Protocol):
    """What a session actor needs of its supervisor."""

    def forward(self, session_id: str, envelope: Envelope[Any]) -> None:
        """Deliver a message that came after the actor had stopped to the session's next actor."""

    def discard(self, message: Any) -> None:
        """Give up what was prepared for a message that has failed."""

    def reserve(self, session_ids: list[str]) -> Callable[[], None]:
        """Keep ids from everybody else until what this returns is called. Raises SessionAlreadyExists."""

    def retire(self, actor: SessionActor) -> None:
        """Forget an actor that has stopped."""

    def failed(self, session_id: str, reason: str) -> None:
        """A session was failed because it had been restarted too often."""

    def weigh(self, change: int) -> None:
        """The memory that resident sessions take has changed."""


@dataclass(slots=True)
class SessionServices:
    """What all session actors of a runtime share."""

    store: ArtifactStore
    dispatcher: Dispatcher
    clock: Clock
    limits: Limits
    durability: Durability
    mailbox_capacity: int
    store_timeout: float
    snapshot_every: int
    max_restarts: int
    restart_window: float
    artifact_name_limit: int
    owner: Owner
    security: Security
    publish: Callable[[str, int, list[StoredEvent]], None] | None = None
    """Told of events once they are journaled: session id, sequence of the first, the events. Called in the session's
    turn, so it must not block. None while nobody listens."""
    tell: Callable[[str, str, dict[str, Any]], None] | None = None
    """Told of what is no fact of a journal: session id, event type, data. None while nobody listens."""


def load_state(store: ArtifactStore, session_id: str) -> tuple[SessionState, list[int], int]:
    """A session's state from its newest valid snapshot and what follows it in the journal.

    Also the sequences of its snapshots, oldest first, and the bytes of the tail that was folded.
    Raises SessionNotFound, or IntegrityError where the journal is damaged.
    """
    try:
        return _load_state(store, session_id)
    except IntegrityError:
        if store.journal.base(session_bytes(session_id)) is None:
            raise
    return _load_state(store, session_id)  # it may have been cut between the look at its snapshots and at its events


def _load_state(store: ArtifactStore, session_id: str) -> tuple[SessionState, list[int], int]:
    session = session_bytes(session_id)
    state: SessionState | None = None
    snapshots: list[int] = []
    for sequence, data, _ in store.journal.snapshots(session):
        snapshots.insert(0, sequence)
        if state is None:
            state = SessionState.decode(session_id, data)
    if state is None:
        base = store.journal.base(session)
        state = SessionState.decode(session_id, base[1]) if base is not None else SessionState(session_id)
    tail = 0
    for sequence, stored in store.journal.read(session, state.sequence, whole=True):
        evolve(state, sequence, stored)
        tail += 1
    if state.sequence == 0:
        raise SessionNotFound(f"there is no session {session_id}", session_id=session_id)
    if state.artifact_types is None:
        with contextlib.suppress(IntegrityError, SchemaTooNew):  # then queries count for themselves
            state.artifact_types = dict(Counter(record[4] for _, record in store.artifacts.records(session)))
    return state, snapshots, tail


class SessionActor(PooledActor):
    """One session in memory: its state, its mailbox, and the way from a command to its events."""

    def __init__(
        self,
        services: SessionServices,
        state: SessionState,
        snapshots: list[int],
        tail: int,
        *,
        cataloged: bool = True,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(services.dispatcher, state.id, services.mailbox_capacity)
        self._services = services
        self._state = state
        self._cataloged = cataloged
        # A session follows the runtime's limits when they change, the state of a scope does not.
        self._default = services.limits if cataloged else None
        self._limits = limits if limits is not None else limits_of(state.config, services.limits)
        self._alarms = AT_ONCE
        self._refusals: dict[str, list[Any]] | None = None
        self._told_of: dict[str, float] | None = None
        self._decided = state.sequence
        self._snapshots = snapshots
        self._tail = tail
        self._tail_bytes = 0
        # What the last actor of this session wrote may not be on disk yet: readers of it wait like its writers do.
        self._ticket = services.store.engine.ticket
        self._failures: collections.deque[float] | None = None
        self.used = False
        self.swept = services.clock.monotonic()
        self.restored = bool(state.sequence)
        self.weight = state.weight if state.sequence else NEW_WEIGHT
        self._weighed = state.variable_bytes
        self.saved_at = self.swept

    @property
    def limits(self) -> Limits:
        """Those that hold now."""
        default = self._services.limits
        if self._default is not default and self._default is not None:
            self._limits = limits_of(self._state.config, default)
            self._default = default
            self._alarms = AT_ONCE
        return self._limits

    @property
    def name_limit(self) -> int:
        return self._services.artifact_name_limit

    def begin(self, draft: Draft) -> None:
        """Journal the first event of a new session. Called by its maker, before anybody else knows it."""
        try:
            self._commit([draft], None)
        except BaseException:
            if not self.actor_stopped.is_set():
                self._retire()
            raise

    # -- Lookup, for deciding

    def latest_version(self, name: str) -> tuple[int, bytes | None]:
        artifacts = self._services.store.artifacts
        highest, sequence = artifacts.latest(self._state.session, name)
        record = artifacts.record(self._state.session, sequence) if sequence is not None else None
        return highest, record[0] if record is not None else None

    def artifact(self, ref: ArtifactId | str, version: int | str | None) -> ArtifactInfo:
        try:
            return self._services.store.artifacts.resolve(self._state.id, ref, version)
        except ArtifactNotFound:
            if self._state.certain is not None:
                raise self._doubtful("an artifact that is not there") from None
            raise

    # -- for what concerns other sessions too; the caller holds the turn

    @property
    def state(self) -> SessionState:
        return self._state

    @property
    def services(self) -> SessionServices:
        return self._services

    def answer(self, query: m.Query) -> Any:
        """The reply to a query, or what is left to do for it."""
        return _ANSWERS[query.__class__](self, query)

    def perform(
        self, command: m.Command, *, more: Callable[[list[Draft]], list[Draft]] | None = None, also: Sequence[Op] = ()
    ) -> Any:
        """Do a command, with more events than it decides and with what else belongs into its batch; the reply, held
        back until it is durable."""
        reply = self._perform(command, more, also)
        self._weigh()
        return self.hold_back(reply, command.durability)

    def hold_back(self, reply: Any, durability: Durability | None) -> Any:
        """Hold a reply back until what it tells of is as durable as was asked; None: as the runtime does anyway."""
        return reply if durability is None else self._durable(reply, durability)

    # -- receiving; the caller holds the turn

    def _handle_receive(self, message: Any) -> Any:
        self.used = True
        try:
            answer = _ANSWERS.get(message.__class__)
            if answer is not None:
                reply = answer(self, message)
                durability = None
            elif isinstance(message, m.Command):
                reply = self._perform(message)
                durability = message.durability
            elif isinstance(message, m.Message):
                raise InvalidOperation(f"a session does not know the message {type(message).__name__}")
            else:
                return super()._handle_receive(message)
        except GreenroomError:
            raise
        except BaseException as error:
            self._crashed(error)
            raise
        services = self._services
        if durability is not None or services.durability is Durability.FSYNC:
            return self._durable(reply, durability or services.durability)
        return reply

    def on_receive(self, message: Any) -> Any:
        raise InvalidOperation(f"a session does not know the message {type(message).__name__}")

    def _durable(self, reply: Any, durability: Durability) -> Any:
        """Hold the reply back, outside the turn, until what it tells of is as durable as asked."""
        engine = self._services.store.engine
        if durability is Durability.FSYNC or engine.durability is Durability.MEMORY:
            if durability is Durability.MEMORY:
                return reply
            ticket, timeout = self._ticket, self._services.store_timeout

            def wait() -> Any:
                if engine.durability is Durability.MEMORY:
                    engine.flush()  # there is no log: only the tables themselves are durable
                else:
                    engine.wait_synced(ticket, timeout)
                return reply.finish() if reply.__class__ is Later else reply

            return Later(wait, always=reply.__class__ is Later and reply.always)
        return reply

    # -- commands

    def _perform(
        self, command: m.Command, more: Callable[[list[Draft]], list[Draft]] | None = None, also: Sequence[Op] = ()
    ) -> Any:
        """Decide and commit; the reply. `more` adds events to those decided, `also` is written with them."""
        if command.__class__ is m.DeleteSession:
            return self._delete()
        try:
            drafts = decide(self._state, command, self.limits, self)
        except ResourceLimitExceeded as error:
            self.refused("resources", error.fields["resource"], error.fields["limit"])
            raise
        records = command.records
        if records is not None and self._state.status in (ACTIVE, SUSPENDED):
            self._commit([*records, *drafts, *(more(drafts) if drafts and more is not None else ())], command, also)
        elif drafts:
            self._commit(drafts if more is None else drafts + more(drafts), command, also)
        elif command.__class__ is RecordEvent:
            return None
        reply = _REPLIES.get(command.__class__)
        if command.__class__ is m.DeleteVariable:
            return bool(drafts)
        return reply(self, command) if reply is not None else None

    def _commit(self, drafts: list[Draft], command: m.Command | None, also: Sequence[Op] = ()) -> None:
        """Journal the events and evolve. On any failure the state is read back from the journal."""
        services = self._services
        state = self._state
        session = state.session
        was_updated = state.updated_at
        now = max(services.clock.time_ns(), was_updated)  # a clock set back must not turn the journal's order around
        moves = drafts[0][0] in _ROW_EVENTS or (len(drafts) > 1 and any(draft[0] in _ROW_EVENTS for draft in drafts))
        before = state.row() if moves and state.sequence else None
        sequence = state.sequence
        first = sequence + 1
        operations, artifacts, size = state.operation_count + 1, state.artifact_count, state.artifact_bytes
        if command.__class__ is RecordHooks:
            operations -= 1
        self._decided = sequence + len(drafts)
        if sequence and (operations >= self._alarms[0] or len(drafts) > 1 or self._may_alert(drafts[0])):
            drafts = self._with_notes(drafts, operations)
        ops: list[Op] = [*also]
        contents: list[tuple[Encoded, Reference]] = []
        released: list[tuple[bytes, Reference]] = []
        parts = iter(command.items) if command.__class__ is m.StoreMany else None
        written: list[StoredEvent] = []
        operation, correlation = CURRENT.get(), state.correlation_id
        context = None
        if not sequence:
            correlation = drafts[0][1]["correlation_id"]
        if operation is not None or correlation is not None or command.__class__ is PublishEvent:
            context = event_context(operation, correlation)
            if command.__class__ is PublishEvent:
                context = command.in_context(context)
        try:
            for type_, data, more_artifacts, more_bytes in drafts:
                sequence += 1
                artifacts += more_artifacts
                size += more_bytes
                stored: StoredEvent = [type_, now, data, operations, artifacts, size]
                written.append(stored)
                if context is not None:
                    stored.append(context)
                    ops += [(CF.INDEX, key, b"") for key in id_keys(session, sequence, stored)]
                op = Journal.append(session, sequence, stored)
                ops.append(op)
                self._tail_bytes += len(op[2] or b"")
                evolve(state, sequence, stored)
                extra = _EFFECTS.get(type_)
                if extra is not None:
                    part = command if parts is None else next(parts)
                    added, dropped = extra(services.store.artifacts, ops, session, sequence, data, now, part)
                    contents += added
                    released += dropped
            self._tail += len(drafts)
            moved = self._catalog_ops(ops, moves, before, was_updated, now) if self._cataloged else None
            if command.__class__ is m.SaveSession or self._tail_bytes > max(_SNAPSHOT_BYTES, self.weight):
                self._snapshot(ops)
            append = Append(ops, moved, tuple(contents), tuple(released))
            self._ticket = services.store.commit(append, services.store_timeout)
        except BaseException:
            self._reload()
            raise
        if abs(state.variable_bytes - self._weighed) > _WEIGH_BYTES:
            self._weigh()
        if services.publish is not None:
            services.publish(state.id, first, written)

    def _catalog_ops(
        self, ops: list[Op], moves: bool, before: Any, was_updated: int, now: int
    ) -> tuple[int | None, int | None] | None:
        state = self._state
        if moves:
            after = state.row()
            if before is None:
                ops += Catalog.create(state.session, after)
                return None, after.status
            ops += Catalog.change(state.session, before, after, was_updated, now)
            return (before.status, after.status) if before.status != after.status else None
        if now // SECOND != was_updated // SECOND:
            ops += Catalog.touch(state.session, state.status, was_updated, now)
        return None

    def _with_notes(self, drafts: list[Draft], operations: int) -> list[Draft]:
        """The drafts, and what policies have to say about them."""
        if not self._cataloged:
            self._alarms = NEVER
            return drafts
        limits, told, refusals = self.limits, self._told_of or {}, None
        if self._refusals:
            now = self._services.clock.monotonic()
            due = [name for name in self._refusals if now - told.get(name, -math.inf) >= _TELL_EVERY]
            refusals = {name: self._refusals[name] for name in due}
            self._told_of = {**told, **dict.fromkeys(refusals, now)}
            self._refusals = {name: each for name, each in self._refusals.items() if name not in refusals} or None
        drafts = [*drafts, *policy_notes(self._state, limits, drafts, operations, refusals)]
        alarms = first_alarms(self._state, limits)
        self._alarms = AT_ONCE if self._refusals or operations >= alarms[0] else alarms
        return drafts

    def _may_alert(self, draft: Draft) -> bool:
        """Whether an event may use up so much that policies have something to say."""
        type_, _, artifacts, size = draft
        if not artifacts:
            return type_ in METERED
        state, alarms = self._state, self._alarms
        return state.artifact_count + artifacts >= alarms[1] or state.artifact_bytes + size >= alarms[2]

    def refused(self, policy: str, resource: str, limit: float) -> None:
        """A policy has refused an operation of this session. Nothing has changed by that, so nothing is journaled; the
        next change tells of it, once a minute at most."""
        if self._refusals is None:
            self._refusals = {}
        self._refusals.setdefault(resource, [policy, limit, 0])[2] += 1
        self._alarms = AT_ONCE

    def last_activity(self) -> int:
        """The time (ns since the epoch) of the newest event that is more than the runtime's care of the session."""
        state, journal = self._state, self._services.store.journal
        return journal.last_but(state.session, CARE) or state.updated_at

    def _snapshot(self, ops: list[Op]) -> None:
        state = self._state
        ops += Journal.snapshot(state.session, state.sequence, state.encode(), self._snapshots)
        self._snapshots = [*self._snapshots, state.sequence][-Journal.SNAPSHOTS_KEPT :]
        self._tail = 0
        self._tail_bytes = 0
        self.saved_at = self._services.clock.monotonic()

    def _weigh(self) -> None:
        weight = self._state.weight
        self._weighed = self._state.variable_bytes
        change, self.weight = weight - self.weight, weight
        self._services.owner.weigh(change)

    def _delete(self) -> None:
        services = self._services
        try:
            try:
                removal = deletion(services.store, self._state, cataloged=self._cataloged)
            except (IntegrityError, SchemaTooNew):
                delete_damaged(services.store, self._state.id, services.store_timeout)
            else:
                services.store.commit(removal, services.store_timeout)
        except BaseException:
            self._reload()
            raise
        self._retire()
        if services.tell is not None:
            services.tell(self._state.id, "session.deleted", {"name": self._state.name, "parent": self._state.parent})

    # -- the end of an actor, and what follows

    def passivate(self, *, save: bool = False) -> bool:
        """Write the state down if folding it again would take long (or with `save`), and stop.

        False if a message has come in meanwhile.
        """
        following = self._services.store.engine.read_only
        if not following and (self._tail > self._services.snapshot_every or (save and self._tail)):
            ops: list[Op] = []
            self._snapshot(ops)
            self._services.store.commit(Append(ops), self._services.store_timeout)
        self.actor_stopped.set()
        if self.waiting:  # see `put`
            self.actor_stopped.clear()
            return False
        self._services.owner.retire(self)
        return True

    def _retire(self) -> None:
        self.actor_stopped.set()
        self._services.owner.retire(self)

    def on_stop(self) -> None:
        self._services.owner.retire(self)

    @property
    def unsaved(self) -> bool:
        """Whether there are events after the newest snapshot."""
        return self._tail > 0

    def on_tell_failure(self, message: Any, error: Exception) -> None:
        super().on_tell_failure(message, error)
        self._services.owner.discard(message)

    def forward(self, envelope: Envelope[Any]) -> None:
        self._services.owner.forward(self._state.id, envelope)

    def _reload(self) -> None:
        """Go back to what the journal says."""
        try:
            self._services.store.settle()
            self._state, self._snapshots, self._tail = load_state(self._services.store, self._state.id)
            self._tail_bytes = 0
        except BaseException as error:
            # Cannot go on with a state that may be wrong: the next message tries to activate the session anew.
            if not isinstance(error, SessionNotFound):
                logger.error("session %s stops: its state cannot be read back: %s", self._state.id, error)
            self._retire()

    def _crashed(self, error: BaseException) -> None:
        """An unexpected error: restart from the journal; too many of them within the window fail the session."""
        if not isinstance(error, Exception):
            self._reload()  # an interrupt of the thread that happened to handle us, not a fault of the session
            return
        services = self._services
        logger.error(
            "session %s restarts from its journal after %s",
            self._state.id,
            type(error).__name__,
            exc_info=error,
        )
        self._reload()
        now = services.clock.monotonic()
        if self._failures is None:
            self._failures = collections.deque()
        failures = self._failures
        failures.append(now)
        while failures and failures[0] < now - services.restart_window:
            failures.popleft()
        if len(failures) > services.max_restarts and not self.actor_stopped.is_set():
            reason = (
                f"restarted more than {services.max_restarts} times in {services.restart_window:g} s: "
                f"{type(error).__name__}"
            )
            try:
                drafts = decide(self._state, m.FailSession(reason), self._limits, self)
                self._commit(drafts, None)
                services.owner.failed(self._state.id, reason)
            except GreenroomError as refused:
                logger.error("session %s cannot be failed: %s", self._state.id, refused)

    # -- answers

    def _get_variable(self, query: m.GetVariable) -> Any:
        certain = self._state.certain
        if certain is not None and query.key not in certain:
            raise self._doubtful(f"variable {query.key!r}")
        packed = self._state.variables.get(query.key)
        return query.default if packed is None else unpack_value(packed)

    def _doubtful(self, what: str) -> IntegrityError:
        return IntegrityError(
            f"{what} of session {self._state.id} may have been changed by an event that was lost to damage: "
            "set it anew, or take all as they are with accept_losses()",
            session_id=self._state.id,
        )

    def _list_variables(self, query: m.ListVariables) -> dict[str, Any]:
        prefix = query.prefix
        if self._state.certain is not None:
            raise self._doubtful("some variable")
        return {
            key: unpack_value(packed) for key, packed in sorted(self._state.variables.items()) if key.startswith(prefix)
        }

    def _finish(self, query: object) -> None:
        """Nothing to do: the answer tells that all earlier messages have been handled."""

    def _get_consumption(self, query: object) -> dict[str, Consumption]:
        return consumption(self._state, self.limits)

    def _get_info(self, query: object) -> SessionInfo:
        return self._state.info()

    def _fork(self, command: m.ForkSession) -> Later:
        state, services = self._state, self._services
        if not self._cataloged:
            raise InvalidOperation("only sessions can be forked: this is the state of a scope")
        at = state.sequence if command.at_sequence is None else command.at_sequence
        if not 1 <= at <= state.sequence:
            raise ValidationError(
                f"at_sequence: session {state.id} has the events 1 to {state.sequence}, not {at}", field="at_sequence"
            )
        durability = command.durability or services.durability
        return Later(partial(fork_session, services, state.id, at, durability), always=True)

    def _get_messages(self, query: m.GetMessages) -> Later:
        before = self._state.sequence + 1
        if query.before is not None:
            before = min(before, query.before)
        return Later(partial(read_turns, self._services.store, self._state.session, before, query.limit))

    def _get_events(self, query: m.GetEvents) -> Later:
        journal, session = self._services.store.journal, self._state.session
        most = max(0, self._state.sequence - query.after)
        limit = most if query.limit is None else min(most, query.limit)
        return Later(lambda: list(journal.events(session, query.after, limit)))

    def _get_artifact_info(self, query: m.GetArtifactInfo) -> ArtifactInfo:
        return self.artifact(query.ref, query.version)

    def _get_artifact(self, query: m.GetArtifact) -> Later:
        info = self.artifact(query.ref, query.version)
        services = self._services

        def read() -> Artifact:
            artifact = Artifact(info, services.store.contents.read(bytes.fromhex(info.id.content_hash)))
            if services.tell is not None:
                services.tell(info.id.session_id, "artifact.retrieved", retrieval(info))
            return artifact

        return Later(read)

    def _get_artifacts(self, query: m.GetArtifacts) -> Later:
        found: dict[ArtifactId | str, ArtifactInfo] = {}
        errors: dict[ArtifactId | str, GreenroomError] = {}
        for ref in query.refs:
            try:
                found[ref] = self._get_artifact_info(m.GetArtifactInfo(ref))
            except (ArtifactNotFound, ValidationError, IntegrityError, SchemaTooNew) as error:
                errors[ref] = error
        services = self._services

        def read() -> tuple[dict[ArtifactId | str, Artifact], dict[ArtifactId | str, GreenroomError]]:
            results: dict[ArtifactId | str, Artifact] = {}
            for ref, info in found.items():
                try:
                    results[ref] = Artifact(info, services.store.contents.read(bytes.fromhex(info.id.content_hash)))
                except (ArtifactNotFound, IntegrityError, SchemaTooNew) as error:
                    errors[ref] = error
                    continue
                if services.tell is not None:
                    services.tell(info.id.session_id, "artifact.retrieved", retrieval(info))
            return results, errors

        return Later(read)

    def _query_artifacts(self, query: m.QueryArtifacts) -> Any:
        state, search = self._state, self._services.store.search
        page = search.plain_page(state.session, query.query, state.artifact_count, state.artifact_types)
        if page is not None:
            return page
        return Later(partial(search.in_session, state.session, query.query, state.artifact_count))

    def _list_artifacts(self, query: m.ListArtifacts) -> Any:
        state = self._state
        return self._services.store.artifacts.page(state.session, state.artifact_count, query.limit, query.offset)

    def _list_versions(self, query: m.ListArtifactVersions) -> list[ArtifactInfo]:
        artifact = artifact_id(query.name)
        name = query.name if artifact is None else self.artifact(artifact, None).name
        return self._services.store.artifacts.versions(self._state.session, name)

    # -- replies to commands, after their events

    def _added_message(self, command: m.AddMessage) -> Turn:
        content = unpack_value(command.content)
        return turn_of(self._decided, self._state.updated_at, command, content)

    def _journaled(self, command: m.Command) -> Later:
        """The event that a command has just made, read from the journal."""
        state, journal = self._state, self._services.store.journal
        return Later(partial(journal.event, state.session, self._decided))

    def _kept_time(self, command: KeepTime) -> None:
        state = self._state
        active = (lambda: command.now) if command.busy else self.last_activity
        command.told(state.session, due_next(state, self.limits, active), command.outcome)

    def _stored_artifact(self, command: m.StoreArtifact) -> ArtifactInfo:
        return artifact_info(self._state.id, self._state.last_artifact, command.record)

    def _stored_many(self, command: m.StoreMany) -> list[ArtifactInfo]:
        first = self._state.last_artifact - len(command.items) + 1
        return [artifact_info(self._state.id, number, item.record) for number, item in enumerate(command.items, first)]

    def _saved(self, command: m.SaveSession) -> Any:
        services = self._services
        if self._tail:  # an ended session journals nothing more; its snapshot is still written
            ops: list[Op] = []
            self._snapshot(ops)
            self._ticket = services.store.commit(Append(ops), services.store_timeout)
        info = self._state.info()
        if not command.sync:
            return info
        engine = services.store.engine

        def finish() -> SessionInfo:
            engine.sync()
            return info

        return Later(finish)

    def _loaded(self, command: m.LoadSession) -> SessionInfo:
        if self.restored:
            self.restored = False
            if self._state.status in (ACTIVE, SUSPENDED) and not self._services.store.engine.read_only:
                self._commit([("session.restored", {}, 0, 0)], None)
        return self._state.info()


# -- what events add to the batch besides themselves

_Effect = tuple[tuple[tuple[Encoded, Reference], ...], tuple[tuple[bytes, Reference], ...]]


def _message_effect(
    artifacts: Artifacts, ops: list[Op], session: bytes, sequence: int, data: dict[str, Any], now: int, command: Any
) -> _Effect:
    ops.append((CF.INDEX, sequence_key(INDEX_MESSAGE + session, sequence), b""))
    if command.encoded is None:
        return (), ()
    return ((command.encoded, Reference(session, MESSAGE, sequence)),), ()


def _stored_effect(
    artifacts: Artifacts, ops: list[Op], session: bytes, sequence: int, data: dict[str, Any], now: int, command: Any
) -> _Effect:
    record = [now if name == "time" else data[name] for name in RECORD_FIELDS]
    artifact = data["sequence"]
    ops += Artifacts.add(session, artifact, record)
    if data["version"] > 1:
        ops += artifacts.superseded(session, data["name"], data["version"] - 1)
    command.record = record
    return ((command.encoded, Reference(session, ARTIFACT, artifact)),), ()


def _deleted_effect(
    artifacts: Artifacts, ops: list[Op], session: bytes, sequence: int, data: dict[str, Any], now: int, command: Any
) -> _Effect:
    number, name, version = data["sequence"], data["name"], data["version"]
    newest = artifacts.is_newest(session, name, version)
    ops += artifacts.remove(session, number, name, version, artifacts.record(session, number), newest=newest)
    return (), ((data["content_hash"], Reference(session, ARTIFACT, data["sequence"])),)


def _linked_effect(
    artifacts: Artifacts, ops: list[Op], session: bytes, sequence: int, data: dict[str, Any], now: int, command: Any
) -> _Effect:
    ops += [(CF.INDEX, key, b"") for key in link_keys(session, sequence, data)]
    return (), ()


def _grant_effect(
    artifacts: Artifacts, ops: list[Op], session: bytes, sequence: int, data: dict[str, Any], now: int, command: Any
) -> _Effect:
    ops += shared_ops(session, data, there=True)
    return (), ()


def _revoke_effect(
    artifacts: Artifacts, ops: list[Op], session: bytes, sequence: int, data: dict[str, Any], now: int, command: Any
) -> _Effect:
    ops += shared_ops(session, data, there=False)
    return (), ()


_EFFECTS: Final[dict[str, Callable[..., _Effect]]] = {
    "artifact.shared": _grant_effect,
    "artifact.revoked": _revoke_effect,
    "message.added": _message_effect,
    "artifact.stored": _stored_effect,
    "artifact.deleted": _deleted_effect,
    LINKED: _linked_effect,
}

_ANSWERS: Final[dict[type[Any], Callable[[SessionActor, Any], Any]]] = {
    m.GetVariable: SessionActor._get_variable,
    m.ListVariables: SessionActor._list_variables,
    m.GetInfo: SessionActor._get_info,
    m.ForkSession: SessionActor._fork,
    m.Finish: SessionActor._finish,
    GetConsumption: SessionActor._get_consumption,
    m.GetMessages: SessionActor._get_messages,
    m.GetEvents: SessionActor._get_events,
    m.GetArtifactInfo: SessionActor._get_artifact_info,
    m.GetArtifact: SessionActor._get_artifact,
    m.GetArtifacts: SessionActor._get_artifacts,
    m.QueryArtifacts: SessionActor._query_artifacts,
    m.ListArtifacts: SessionActor._list_artifacts,
    m.ListArtifactVersions: SessionActor._list_versions,
    **behalf.ANSWERS,
}

_REPLIES: Final[dict[type[Any], Callable[[SessionActor, Any], Any]]] = {
    **dict.fromkeys(
        (
            m.SuspendSession,
            m.ResumeSession,
            m.CompleteSession,
            m.FailSession,
            m.ArchiveSession,
            m.AddTag,
            m.RemoveTag,
            m.SetTags,
            m.UpdateMetadata,
        ),
        SessionActor._get_info,
    ),
    KeepTime: SessionActor._kept_time,
    m.SaveSession: SessionActor._saved,
    m.LoadSession: SessionActor._loaded,
    m.AddMessage: SessionActor._added_message,
    m.StoreArtifact: SessionActor._stored_artifact,
    m.StoreMany: SessionActor._stored_many,
    **CALL_REPLIES,
    **WORKFLOW_REPLIES,
    **dict.fromkeys((PublishEvent, LinkEvents, RecordEvent), SessionActor._journaled),
}
