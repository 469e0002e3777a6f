"""The session actor: decides commands, journals their events through the one writer, and evolves its state.

The whole turn of a command stands here, so that it can be read from top to bottom. That is why the file is longer than
others.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.calls import RecordScript, RecordTape
from greenroom.actors.messages.core import Condition
from greenroom.actors.messages.events import PublishEvent, RecordEvent
from greenroom.actors.messages.internal import RecordHooks
from greenroom.actors.scheduling.dispatcher import PooledActor
from greenroom.actors.scheduling.futures import DeferredReply, finished
from greenroom.actors.scheduling.operation import CURRENT, event_context, require_run
from greenroom.actors.session.answers.answered import answered_before, remembered
from greenroom.actors.session.answers.approvals import read_approval
from greenroom.actors.session.answers.replies import ANSWERS, DECIDED, REPLIES
from greenroom.actors.session.answers.turns import turn_head, turn_sequences
from greenroom.actors.session.decisions.decide import DECIDERS, Limits, PendingEvent, decide
from greenroom.actors.session.decisions.records import known_record
from greenroom.actors.session.state.answers import answer_draft
from greenroom.actors.session.state.budgets import AT_ONCE, NEVER, first_alarms, may_alert, policy_notes
from greenroom.actors.session.state.evolve import CONFIGURED, DESCRIBED, RENAMED, evolve
from greenroom.actors.session.state.limits import limits_of, limits_of_scope
from greenroom.actors.session.state.model import ACTIVE, NEW_WEIGHT, SUSPENDED, SessionState
from greenroom.actors.session.state.records import RECORDS, kept
from greenroom.actors.session.state.timeout import CARE
from greenroom.actors.store import Append, Moves
from greenroom.storage.artifacts.model import ArtifactId, ArtifactInfo
from greenroom.storage.catalog.catalog import Catalog
from greenroom.storage.catalog.creators import Charge
from greenroom.storage.common.logs import logger_of
from greenroom.storage.common.times import SECOND
from greenroom.storage.concurrency.interrupts import thrown_in
from greenroom.storage.content.chunks import Encoded, Reference
from greenroom.storage.engine.engine import Durability, Engine, Op
from greenroom.storage.errors import (
    ArtifactNotFound,
    Conflict,
    GreenroomError,
    IntegrityError,
    InvalidOperation,
    OperationTimeout,
    ResourceLimitExceeded,
    SchemaTooNew,
    SessionNotFound,
    StorageError,
)
from greenroom.storage.events.calls import CALL_FIELDS, call_contents
from greenroom.storage.events.journal import Journal
from greenroom.storage.events.model import PUBLISHED_HASH, StoredEvent, new_event
from greenroom.storage.events.snapshots import SnapshotTrail
from greenroom.storage.events.turns import Head
from greenroom.storage.records.model import StoredRecord

from .deletion import delete_damaged, deletion
from .loading import load_state
from .projection import PROJECTED, Change, found_by, project
from .services import SessionServices
from .staging import Reading, StagedStore

if TYPE_CHECKING:
    from greenroom.actors.scheduling.dispatcher import Envelope

__all__ = ["SessionActor"]

logger = logger_of("session")

# Events that change the catalog's row.
_ROW_EVENTS: Final = frozenset(
    {
        "session.created",
        "session.forked",
        "session.suspended",
        "session.resumed",
        "session.completed",
        "session.failed",
        "session.archived",
        CONFIGURED,
        RENAMED,
        DESCRIBED,
        "metadata.updated",
        "tags.changed",
    }
)
_UNCOUNTED: Final = frozenset({RecordHooks, m.ContinueMessage, m.FinishMessage, RecordTape})
"""Commands that are part of an operation which is counted already, or of what is recorded beside all operations."""
_NOTES: Final = frozenset({RecordEvent, RecordScript})
"""Commands that decide nothing where their session takes no events any more, which they reply."""
_NOTED: Final = RecordHooks([])
"""Stands for the command of an event that only notes what has happened."""
_WEIGH_BYTES: Final = 4 << 10
_TELL_EVERY: Final = 60.0


_REPLIED: Final = frozenset((*REPLIES, *DECIDED))


class SessionActor(PooledActor):
    """One session in memory: its state, its mailbox, and the way from a command to its events."""

    # Most sessions never set some of these: as defaults of the class they cost a new session nothing.
    used = False
    _alarms = AT_ONCE
    _refusals: dict[str, list[Any]] | None = None
    _noted_refusals: dict[str, float] | None = None
    _failures: collections.deque[float] | None = None
    _torn: tuple[int, list[StoredEvent]] | None = None
    """Set while the state may differ from the journal: the sequence of the first event that is being written, and the
    events. Whatever is thrown meanwhile, the next message finds this and reads the state back."""

    def __init__(
        self,
        services: SessionServices,
        state: SessionState,
        trail: SnapshotTrail,
        *,
        cataloged: bool = True,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(services.dispatcher, state.id, services.mailbox_capacity)
        self.services = services
        self.state = state
        self._reading: Reading = services.store
        """What decisions look up: the store, in a batch with what the commands so far have staged."""
        self.cataloged = cataloged
        self._default = services.limits
        self._limits = limits if limits is not None else self._limits_by(self._default)
        self.decided = state.sequence
        self._trail = trail
        # Events of an earlier actor of this session may not be on disk yet: their readers wait as their writers do.
        self._commit_number = services.store.engine.commit_number
        self.swept = services.clock.monotonic()
        self.restored = bool(state.sequence)
        self.weight = state.weight if state.sequence else NEW_WEIGHT
        self._weighed = state.variable_bytes
        self.saved_at = self.swept

    @property
    def limits(self) -> Limits:
        """The limits that hold now."""
        default = self.services.limits
        if self._default is not default:
            self._follow(default)
        return self._limits

    def _follow(self, default: Limits) -> None:
        """Compute the limits anew, from the runtime's limits and what the session itself sets."""
        self._limits = self._limits_by(default)
        self._default = default
        self._alarms = AT_ONCE

    def follow_config(self) -> None:
        """Apply the session's own configuration, which has changed."""
        self._follow(self.services.limits)
        self.services.owner.configured(self.state.session, self.state.config)

    def _limits_by(self, default: Limits) -> Limits:
        return limits_of(self.state.config, default) if self.cataloged else limits_of_scope(default)

    @property
    def read_only(self) -> bool:
        """Whether the store takes no changes."""
        return self.services.store.engine.read_only

    @property
    def name_limit(self) -> int:
        return self.services.artifact_name_limit

    def begin(self, draft: PendingEvent) -> None:
        """Journal the first event of a new session. Called by its creator, before anybody else knows the session."""
        try:
            self.commit([draft])
        except BaseException:
            if not self.stopped:
                self._retire()
            raise

    # -- Lookup, for deciding

    def latest_version(self, name: str) -> tuple[int, bytes | None]:
        artifacts = self._reading.artifacts
        highest, sequence = artifacts.latest(self.state.session, name)
        record = artifacts.record(self.state.session, sequence) if sequence is not None else None
        return highest, record.content_hash if record is not None else None

    def artifact(self, ref: ArtifactId | str, version: int | str | None) -> ArtifactInfo:
        try:
            return self._reading.artifacts.resolve(self.state.id, ref, version)
        except ArtifactNotFound:
            if self.state.certain is not None:
                raise self.doubtful("an artifact that is not there") from None
            raise

    def turn_head(self, sequence: int) -> Head | None:
        return turn_head(self._reading.engine, self.state.session, sequence)

    def turns(self, after: int, *, newest: bool = False) -> list[int]:
        return turn_sequences(self._reading.engine, self.state.session, after, newest=newest)

    def now(self) -> int:
        return self.services.clock.time_ns()

    def approval(self, sequence: int) -> m.Approval:
        return read_approval(self._reading, self.state.session, sequence, self.now())

    def turn_event(self, sequence: int) -> StoredEvent:
        return self._reading.journal.stored(self.state.session, sequence)

    def record(self, key: bytes) -> StoredRecord | None:
        return known_record(self._reading, self.state.session, key)

    def record_keys(self, prefix: bytes, limit: int) -> list[bytes]:
        return self._reading.records.keys(self.state.session, prefix, after=None, limit=limit)

    def doubtful(self, what: str) -> IntegrityError:
        """Return the error for something that a damaged and lost event may have changed."""
        return IntegrityError(
            f"{what} of session {self.state.id} may have been changed by an event that was lost to damage: "
            "set it anew, or take all as they are with accept_losses()",
            session_id=self.state.id,
        )

    # -- for what concerns other sessions too; the caller holds the turn

    def answer(self, query: m.Query[Any]) -> Any:
        """Return the reply to a query, or a DeferredReply."""
        return ANSWERS[query.__class__](self, query)

    def perform(
        self,
        command: m.Command[Any],
        *,
        more: Callable[[list[PendingEvent]], list[PendingEvent]] | None = None,
        also: Sequence[Op] = (),
    ) -> Any:
        """Perform a command, with additional events and operations in its batch. Return the reply, held back until it
        is durable."""
        reply = self._perform(command, more, also)
        self._weigh()
        return self.await_durability(reply, command.durability)

    def await_durability(self, reply: Any, durability: Durability | None) -> Any:
        """Hold a reply back until the change is as durable as asked. `durability` None stands for the runtime's own."""
        return reply if durability is None else self._durable(reply, durability)

    # -- receiving; the caller holds the turn

    def _handle_receive(self, message: Any) -> Any:
        self.used = True
        if self._torn is not None:
            self._reload(raising=True)
        try:
            answer = ANSWERS.get(message.__class__)
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
        services = self.services
        if durability is not None or services.durability is Durability.FSYNC:
            return self._durable(reply, durability or services.durability, reading=isinstance(message, m.Query))
        return reply

    def in_turn(self, work: Callable[[], None], wait: float) -> bool:
        """Run `work` in the session's turn, after the messages that came before. Return False if the actor has stopped
        meanwhile. Raises OperationTimeout after `wait` seconds, InvalidOperation within the turn itself."""
        begun = False

        def run() -> None:
            nonlocal begun
            self._drain_all()
            if not self.stopped:
                begun = True
                if self._torn is not None:
                    self._reload(raising=True)
                work()

        if self.do_in_turn(run, wait):
            return begun
        self.refuse_within()
        raise OperationTimeout(f"session {self.state.id} is busy: nothing was done", timeout=wait, started=False)

    def on_receive(self, message: Any) -> Any:
        raise InvalidOperation(f"a session does not know the message {type(message).__name__}")

    def _durable(self, reply: Any, durability: Durability, *, reading: bool = False) -> Any:
        """Hold the reply back, outside the turn, until the change is as durable as asked.

        If the disk takes nothing more, the write fails and its writer gets the error; with `reading`, the reply goes
        out.
        """
        engine = self.services.store.engine
        if durability is Durability.FSYNC or engine.durability is Durability.MEMORY:
            if durability is Durability.MEMORY:
                return reply
            commit_number, timeout = self._commit_number, self.services.store_timeout
            if engine.durability is not Durability.MEMORY and engine.is_synced(commit_number):
                return reply

            wait = partial(_when_synced, engine, commit_number, timeout, reply, reading)
            return DeferredReply(wait, always=reply.__class__ is DeferredReply and reply.always, syncs=True)
        return reply

    # -- commands

    def _perform(
        self,
        command: m.Command[Any],
        more: Callable[[list[PendingEvent]], list[PendingEvent]] | None = None,
        also: Sequence[Op] = (),
    ) -> Any:
        """Decide and commit, and return the reply. `more` adds events to those decided; `also` is written with them."""
        if command.condition is not None:
            # Of a deleted session nothing is left that could remember its key.
            if command.condition.idempotency_key is not None and command.__class__ is not m.DeleteSession:
                return self._perform_once(command, more, also)
            self.require(command.condition)
        if command.__class__ is m.DeleteSession:
            return self._delete()
        if command.__class__ is m.Batch:
            return self._perform_batch(command, also)
        drafts = self._decide(command)
        records = command.records
        if records is None and more is None and drafts:  # as for most commands
            self.commit(drafts, command, also)
        elif records is not None and self.state.status in (ACTIVE, SUSPENDED):
            self.commit([*records, *drafts, *(more(drafts) if drafts and more is not None else ())], command, also)
        elif drafts:
            self.commit(drafts if more is None else drafts + more(drafts), command, also)
        elif command.__class__ in _NOTES:
            self.services.discard(command)
            return None
        return self._reply(command, drafts) if command.__class__ in _REPLIED else None

    def _decide(self, command: m.Command[Any]) -> list[PendingEvent]:
        try:
            decider = DECIDERS.get(command.__class__)
            if decider is None:
                return decide(self.state, command, self.limits, self)  # which refuses it
            return decider(self.state, command, self.limits, self)
        except ResourceLimitExceeded as error:
            self.refused("resources", error.fields["resource"], error.fields["limit"])
            raise

    def _reply(self, command: m.Command[Any], drafts: list[PendingEvent]) -> Any:
        """Return the reply to a command whose events the state has now."""
        reply = REPLIES.get(command.__class__)
        if reply is not None:
            return reply(self, command)
        reply_to = DECIDED.get(command.__class__)
        if reply_to is None:
            return None
        if not drafts:
            self.services.discard(command)  # content that was written ahead of it
        return reply_to(command, drafts)

    def _perform_once(
        self,
        command: m.Command[Any],
        more: Callable[[list[PendingEvent]], list[PendingEvent]] | None,
        also: Sequence[Op],
    ) -> Any:
        """Perform a command unless its key says that it was performed before, and return what it was answered."""
        earlier = answered_before(self, command)
        if earlier is not None:
            return earlier[0]
        if command.__class__ is m.Batch:
            return self._perform_batch(command, also)
        assert command.condition is not None
        self.require(command.condition)
        replies = self._perform_all(command, [command], (None,), also, more=more)
        if command.__class__ is m.SaveSession:
            self.save()
        return DeferredReply(lambda: replies.finish()[0]) if replies.__class__ is DeferredReply else replies[0]

    def answered_before(self, message: Any) -> tuple[Any] | None:
        """Return what a command with the same idempotency key was answered; None if that is not known."""
        return answered_before(self, message)

    def _perform_batch(self, batch: m.Batch, also: Sequence[Op]) -> Any:
        self.require_all(batch)
        return self._perform_all(batch, batch.commands, batch.places, also, batch)

    def _perform_all(
        self,
        asked: m.Command[Any],
        commands: Sequence[m.Command[Any]],
        places: Sequence[int | None],
        also: Sequence[Op],
        batch: m.Batch | None = None,
        *,
        more: Callable[[list[PendingEvent]], list[PendingEvent]] | None = None,
    ) -> Any:
        """Decide commands one after the other, and journal all of their events in one write. Return their replies.
        `asked` is what they were sent as, and `places` are their places in it. `more` adds events to those decided."""
        refusals, noted = self._refusals, self._noted_refusals
        write = batch.write if batch is not None else None
        replies: list[Any] = []
        steps = self._steps(asked, commands, places, replies, batch, more)
        try:
            step = next(steps, None)
            if step is not None:
                self.commit(*step, also, following=steps, write=write)
            elif write is not None:
                write(Append([]))
        except BaseException:
            # What the events would have noted of refusals is still to be noted.
            self._refusals, self._noted_refusals = {**(refusals or {}), **(self._refusals or {})} or None, noted
            raise
        if any(reply.__class__ is DeferredReply for reply in replies):
            always = any(reply.__class__ is DeferredReply and reply.always for reply in replies)
            return DeferredReply(lambda: [*map(finished, replies)], always=always)
        return replies

    def require_all(self, batch: m.Batch) -> None:
        """Raise Conflict if the session has another sequence than a batch, or one of its commands, expects."""
        if batch.condition is not None:
            self.require(batch.condition)
        for place, command in zip(batch.places, batch.commands, strict=True):
            if command.condition is not None:
                try:
                    self.require(command.condition)
                except Conflict as error:
                    error.fields["index"] = place
                    raise

    @property
    def in_hand(self) -> bool:
        """Whether this thread holds the turn."""
        return self._turn.is_ours()

    def handle(self, message: Any) -> Any:
        """Handle a message and return the reply. The caller holds the turn."""
        return self._handle_receive(message)

    def _steps(
        self,
        asked: m.Command[Any],
        commands: Sequence[m.Command[Any]],
        places: Sequence[int | None],
        replies: list[Any],
        batch: m.Batch | None,
        more: Callable[[list[PendingEvent]], list[PendingEvent]] | None,
    ) -> Iterator[tuple[list[PendingEvent], m.Command[Any]]]:
        """Yield the events of each command that causes any, and the event that remembers the replies, if they are to
        be. Each command is decided, and replied to, on the state that those before it have left."""
        key = asked.condition.idempotency_key if asked.condition is not None else None
        answers = batch.answers if batch is not None else None
        if key is not None and answers is None:
            answers = {}
        for place, command in zip(places, commands, strict=True):
            try:
                drafts = self._decide(command)
                added = more(drafts) if more is not None and drafts else []
                if command.records is not None and self.state.status in (ACTIVE, SUSPENDED):
                    yield [*command.records, *drafts, *added], command
                elif drafts:
                    yield [*drafts, *added] if added else drafts, command
                reply = self._reply(command, drafts) if command.__class__ in _REPLIED else None
                replies.append(reply)
            except GreenroomError as error:
                if place is not None:
                    error.fields.setdefault("index", place)
                raise
            if answers is not None:
                answer = remembered(self, command, self.decided - len(added), reply)
                answers[place] = answer if key is not None else ["of", self.state.id, answer]
        if key is not None:
            assert answers is not None
            all_places = batch.whole_places if batch is not None else None
            answer = answers[None] if all_places is None else ["list", [answers[place] for place in all_places]]
            yield [answer_draft(key, asked.__class__, answer)], _NOTED

    def require(self, condition: Condition) -> None:
        """Raise Conflict if the session has another sequence than a command expects."""
        expected, sequence = condition.expected_sequence, self.state.sequence
        if expected is not None and expected != sequence:
            raise Conflict(
                f"session {self.state.id} has the sequence {sequence} and not {expected}, somebody has changed it: "
                "read it again and decide anew",
                expected_sequence=expected,
                sequence=sequence,
                conflict=True,
            )

    def commit(
        self,
        drafts: list[PendingEvent],
        command: m.Command[Any] | None = None,
        also: Sequence[Op] = (),
        *,
        following: Iterator[tuple[list[PendingEvent], m.Command[Any]]] | None = None,
        write: Callable[[Append], int] | None = None,
    ) -> None:
        """Journal the events and evolve the state. On any failure the state is read back from the journal.

        `following` yields the further events of a batch with their commands, each decided on the state so far; all are
        written together. `write` writes in place of the store: the batch concerns other actors too.
        """
        services = self.services
        state = self.state
        session = state.session
        was_updated = state.updated_at
        now = max(services.clock.time_ns(), was_updated)  # a clock set back must not turn the journal's order around
        sequence = state.sequence
        first = sequence + 1
        size = state_bytes = state.artifact_bytes
        records = state.more.get(RECORDS)
        moves = False
        before = None
        ops: list[Op] = [*also]
        contents: tuple[tuple[Encoded, Reference], ...] = ()
        released: tuple[tuple[bytes, Reference], ...] = ()
        written: list[StoredEvent] = []
        trail = self._trail
        operation = CURRENT.get()
        if operation is not None and operation.run is not None and (command is None or not command.note):
            require_run()
        self._torn = first, written
        try:
            if following is not None:
                self._reading = StagedStore(services.store, ops)
            while True:
                operations, artifacts = state.operation_count + 1, state.artifact_count
                if command.__class__ in _UNCOUNTED:
                    operations -= 1
                self.decided = sequence + len(drafts)
                if sequence and (operations >= self._alarms[0] or may_alert(state, self._alarms, drafts)):
                    drafts = self._with_notes(drafts, operations)
                context = None
                correlation = state.correlation_id if sequence else drafts[0].data["correlation_id"]
                if operation is not None or correlation is not None or command.__class__ is PublishEvent:
                    context = event_context(operation, correlation)
                    if command.__class__ is PublishEvent:
                        context = command.in_context(context)
                change: Change | None = None
                for type_, data, more_artifacts, more_bytes in drafts:
                    sequence += 1
                    artifacts += more_artifacts
                    size += more_bytes
                    stored = new_event((type_, now, data, operations, artifacts, size, context))
                    written.append(stored)
                    op = Journal.append(session, sequence, stored)
                    ops.append(op)
                    trail.bytes += len(op[2] or b"")
                    if type_ in _ROW_EVENTS and not moves:
                        moves = True
                        before = state.row() if first > 1 else None
                    evolve(state, sequence, stored)
                    large = PUBLISHED_HASH in data or (type_ in CALL_FIELDS and call_contents(type_, data))
                    if large or type_ in PROJECTED:
                        if change is None:
                            change = Change(ops)
                            if command.__class__ is m.PutRecords:
                                change.values = command.inline
                        project(self._reading.artifacts, change, session, sequence, stored)
                    elif context is not None:
                        ops += found_by(session, sequence, stored)
                if change is not None and (change.held or change.released):
                    contents += _prepared(change, command)
                    released += tuple(change.released)
                if following is None or (step := next(following, None)) is None:
                    break
                drafts, command = step
            trail.events += len(written)
            moved: Moves = ()
            if self.cataloged and (moves or now // SECOND != was_updated // SECOND):
                moved = self._catalog_ops(ops, moves, before, was_updated, now)
            if trail.bytes > trail.due or command.__class__ is m.SaveSession:
                self._snapshot(ops)
            append = Append(ops, moved, contents, released)
            if state.created_by is not None and (
                first == 1 or size != state_bytes or state.more.get(RECORDS) is not records
            ):
                more_records = kept(state).bytes - (records["bytes"] if records is not None else 0)
                append.charges = (Charge(state.created_by, int(first == 1), size - state_bytes + more_records),)
            self._commit_number = (
                write(append) if write is not None else services.store.commit(append, services.store_timeout)
            )
        except BaseException:
            self._reading = services.store
            self._reload()
            raise
        self._reading = services.store
        if services.publish is not None:
            services.publish(state.id, first, written)
        self._torn = None
        if abs(state.variable_bytes - self._weighed) > _WEIGH_BYTES:
            self._weigh()

    def _catalog_ops(self, ops: list[Op], moves: bool, before: Any, was_updated: int, now: int) -> Moves:
        state = self.state
        if moves:
            after = state.row()
            if before is None:
                ops += Catalog.create(state.session, after, now)
                return ((None, after.status),)
            ops += Catalog.change(state.session, before, after, was_updated, now)
            return ((before.status, after.status),) if before.status != after.status else ()
        ops += Catalog.touch(state.session, state.status, was_updated, now)
        return ()

    def _with_notes(self, drafts: list[PendingEvent], operations: int) -> list[PendingEvent]:
        """Return the drafts, with events for the alerts and violations of policies."""
        if not self.cataloged:
            self._alarms = NEVER
            return drafts
        limits, noted, refusals = self.limits, self._noted_refusals or {}, None
        if self._refusals:
            now = self.services.clock.monotonic()
            due = [name for name in self._refusals if now - noted.get(name, -math.inf) >= _TELL_EVERY]
            refusals = {name: self._refusals[name] for name in due}
            self._noted_refusals = {**noted, **dict.fromkeys(refusals, now)}
            self._refusals = {name: each for name, each in self._refusals.items() if name not in refusals} or None
        drafts = [*drafts, *policy_notes(self.state, limits, drafts, operations, refusals)]
        alarms = first_alarms(self.state, limits)
        self._alarms = AT_ONCE if self._refusals or operations >= alarms[0] else alarms
        return drafts

    def refused(self, policy: str, resource: str, limit: float) -> None:
        """Note that a policy has refused an operation of this session. Nothing has changed, so nothing is journaled
        now; the next change reports it, at most once a minute."""
        if self._refusals is None:
            self._refusals = {}
        self._refusals.setdefault(resource, [policy, limit, 0])[2] += 1
        self._alarms = AT_ONCE

    def last_activity(self) -> int:
        """Return the time (ns since the epoch) of the newest event that is not the runtime's own care of the
        session."""
        state, journal = self.state, self.services.store.journal
        return journal.last_but(state.session, CARE) or state.updated_at

    def _snapshot(self, ops: list[Op]) -> None:
        state = self.state
        ops += self._trail.write(self.services.store.journal, state.session, state.sequence, state.encode())
        self.saved_at = self.services.clock.monotonic()

    def _weigh(self) -> None:
        self._weighed = self.state.variable_bytes
        self.services.owner.weigh(self, self.state.weight)

    def _delete(self) -> None:
        require_run()
        services = self.services
        self._torn = self.state.sequence + 1, []
        try:
            try:
                removal = deletion(services.store, self.state, cataloged=self.cataloged)
            except (IntegrityError, SchemaTooNew):
                self._commit_number = delete_damaged(services.store, self.state.id, services.store_timeout)
            else:
                self._commit_number = services.store.commit(removal, services.store_timeout)
        except BaseException:
            self._reload()
            raise
        services.security.forget_families()  # its ancestors lose access to its descendants
        self._retire()
        if services.tell is not None:
            services.tell(self.state.id, "session.deleted", {"name": self.state.name, "parent": self.state.parent})

    # -- the end of an actor, and what follows

    def save(self) -> None:
        """Write a snapshot, if there are events after the newest one. Within a commit, nothing: its events come
        first."""
        if self._trail.events and self._torn is None:
            ops: list[Op] = []
            self._torn = self.state.sequence + 1, []
            self._snapshot(ops)
            self._commit_number = self.services.store.commit(Append(ops), self.services.store_timeout)
            self._torn = None

    def passivate(self, *, save: bool = False) -> bool:
        """Write a snapshot if folding the journal again would take long (or with `save`), and stop.

        Return False, and go on, if a message has come in meanwhile.
        """
        following = self.services.store.engine.read_only
        # A state that may be wrong is not saved: the next activation reads the journal.
        trusted = not following and self._torn is None
        events = self._trail.events
        if trusted and (events > self.services.snapshot_every or (save and events)):
            self.save()
        self.stopped = True
        if self.waiting:  # see `put`
            self.stopped = False
            return False
        self.services.owner.retire(self)
        return True

    def _retire(self) -> None:
        self.stopped = True
        self.services.owner.retire(self)

    def on_stop(self) -> None:
        self.services.owner.retire(self)

    @property
    def unsaved(self) -> bool:
        """Whether there are events after the newest snapshot."""
        return self._trail.events > 0

    def on_tell_failure(self, message: Any, error: Exception) -> None:
        super().on_tell_failure(message, error)
        self.services.discard(message)

    def forward(self, envelope: Envelope[Any]) -> None:
        self.services.owner.forward(self.state.id, envelope)

    def _reload(self, *, raising: bool = False) -> None:
        """Return to the state in the journal. Publish events that were written although the write seemed to fail.

        If the journal cannot be read, the actor stops, and the next message tries to activate the session anew. With
        `raising`, raise the reason.
        """
        services = self.services
        try:
            commit_number = services.store.wait_for_inflight()
            loaded = load_state(services.store, self.state.id)
        except Exception as error:
            if not isinstance(error, SessionNotFound):
                logger.error("session %s stops: its state cannot be read back: %s", self.state.id, error)
            self._retire()
            if raising:
                raise
            return
        config = self.state.config
        self.state, self._trail = loaded
        self._follow(services.limits)
        if self.state.config != config:
            services.owner.configured(self.state.session, self.state.config)
        self._commit_number = max(self._commit_number, commit_number)
        torn = self._torn
        if torn is not None and torn[1] and self.state.sequence >= torn[0] and services.publish is not None:
            services.publish(self.state.id, *torn)
        self._torn = None

    def _crashed(self, error: BaseException) -> None:
        """Restart from the journal after an unexpected error. Too many restarts within the window fail the session."""
        if thrown_in(error):
            self._reload()  # an interrupt of the thread that handled the message is no fault of the session
            return
        services = self.services
        logger.error(
            "session %s restarts from its journal after %s",
            self.state.id,
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
        if len(failures) > services.max_restarts and not self.stopped:
            reason = (
                f"restarted more than {services.max_restarts} times in {services.restart_window:g} s: "
                f"{type(error).__name__}"
            )
            try:
                drafts = decide(self.state, m.FailSession(reason), self._limits, self)
                self.commit(drafts)
                services.owner.failed(self.state.id, reason)
            except GreenroomError as refused:
                logger.error("session %s cannot be failed: %s", self.state.id, refused)


def _when_synced(engine: Engine, commit_number: int, timeout: float, reply: Any, reading: bool) -> Any:
    """Wait until a commit is on disk, and return the reply. With `reading`, it goes out on a broken disk too."""
    if engine.durability is Durability.MEMORY:
        engine.flush()  # there is no log: only the tables themselves are durable
    else:
        try:
            engine.wait_synced(commit_number, timeout)
        except StorageError:
            if not reading:
                raise
    return finished(reply)


def _prepared(change: Change, command: Any) -> tuple[tuple[Encoded, Reference], ...]:
    """Return the contents that come with a command, each with its new reference. Messages that stored artifacts keep
    the artifacts' records, for the reply."""
    kind: Any = command.__class__
    if kind is m.StoreArtifact:
        command.record = change.records[0]
        return ((command.encoded, change.held[0][1]),)
    if kind is m.PutRecords:  # what changes nothing is not in its event
        encoded = {each.hash: each for each, _ in command.carried()}
        return tuple([(encoded[digest], reference) for digest, reference in change.held])
    if change.records:
        for item, record in zip(command.items, change.records, strict=True):
            item.record = record
    if not change.held:
        return ()
    return tuple([(encoded, held[1]) for (encoded, _), held in zip(command.carried(), change.held, strict=True)])
