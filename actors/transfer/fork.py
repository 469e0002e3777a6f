"""Fork: make a new session from the beginning of another's history.

The events are copied unchanged, under the new session's id; content is shared by references. The original's journal is
not touched: its events up to the fork never change, so they are read while it goes on. Content is held before it can be
deleted, and the result is published in one batch (`StagedSessions`). Changes that the fork begins with are decided
before that, by the fork's own actor (`changed.py`): nobody sees the fork without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.messages.core import idempotency_key
from greenroom.actors.scheduling.operation import CURRENT, event_context
from greenroom.actors.session.answers.forking import PublishFork
from greenroom.actors.session.projection import LOST, FoldedArtifacts
from greenroom.actors.session.state.collected import COLLECTED
from greenroom.actors.session.state.model import SessionState
from greenroom.actors.store import Append, ArtifactStore
from greenroom.storage.codec.keys import new_session, session_bytes, session_id_of
from greenroom.storage.engine.engine import Durability
from greenroom.storage.errors import IntegrityError, InvalidOperation, SessionNotFound
from greenroom.storage.events.model import StoredEvent
from greenroom.storage.events.turns import contents_of
from greenroom.storage.records.model import (
    IN_CONTENT,
    LOST_VALUE,
    RECORDS_CHANGED,
    RecordChange,
    RecordFold,
    StoredRecord,
)

from .changed import Changing
from .staged import StagedSessions, with_new_ids

if TYPE_CHECKING:
    from greenroom.actors.messages.forking import Change, ForkSession
    from greenroom.actors.session.services import SessionServices

__all__ = ["fork_session"]

_KEYS_NAMED: Final = 100
"""How many of the records that a fork cannot have are named in its first event. The event after it names all."""
_CHANGES: Final = 10_000
"""The most changes in one event about records."""


@dataclass(slots=True)
class _Prefix:
    """The facts that the beginning of a journal leaves."""

    artifacts: dict[int, dict[str, Any]] = field(default_factory=dict)
    """The data of the events that stored the artifacts which exist at its end, by number."""
    messages: set[bytes] = field(default_factory=set)
    """The contents of long messages and of large events."""
    records: RecordFold = field(default_factory=RecordFold)

    @property
    def contents(self) -> set[bytes]:
        held = {record.hash for record in self.records.live.values() if record.flags & IN_CONTENT}
        return held.union(self.messages, (data["content_hash"] for data in self.artifacts.values()))


class _ForkedBefore(Exception):
    """The same command has made a fork meanwhile, under its idempotency key."""


def fork_session(services: SessionServices, origin_id: str, at: int, command: ForkSession, changing: Changing) -> str:
    """Make a session from the events 1 to `at` of another, begin it with the changes of the command, and return its
    id. If the command has an idempotency key, the original remembers the id, and a fork that was made under that key
    before is the one.

    An artifact that was deleted since, and whose content is gone, is deleted in the fork as well, by an event after the
    copied ones; so are records that were put anew or deleted since, as far as their values are gone.

    Raises InvalidOperation for a moment that retention has truncated, IntegrityError if the journal or something it
    refers to is damaged, SessionNotFound if the original is deleted meanwhile, and what refuses a change; then there is
    no fork.
    """
    store = services.store
    if store.engine.read_only:
        raise InvalidOperation("this runtime is open for reading only: open it without read_only to fork")
    session = new_session()
    session_id = session_id_of(session)

    def together(append: Append) -> None:
        made = services.owner.ask(origin_id, PublishFork(command, session_id, append), services.store_timeout)
        if made is not None:
            raise _ForkedBefore(made)

    write = together if idempotency_key(command) is not None else None
    release = services.owner.reserve([session_id])
    try:
        while (following := _copy(services, origin_id, at, session, command.changes, changing, write)) is None:
            pass  # the original's journal was truncated meanwhile, which cannot go on for long
        if services.publish is not None:
            services.publish(session_id, at + 1, following)
    except _ForkedBefore as before:
        return str(before)
    finally:
        release()
    durability = command.durability or services.durability
    if durability is Durability.FSYNC is not services.durability:
        store.engine.sync()
    return session_id


def _copy(
    services: SessionServices,
    origin_id: str,
    at: int,
    session: bytes,
    changes: Sequence[Change],
    changing: Changing,
    write: Callable[[Append], object] | None,
) -> list[StoredEvent] | None:
    """Write the fork into the store, and return the events after the copied ones. Return None if the events to copy
    have been truncated meanwhile. `write`, if given, makes the last write."""
    store, origin, session_id = services.store, session_bytes(origin_id), session_id_of(session)
    base = store.journal.base(origin)
    begin = base[0] if base is not None else 0
    if at < begin:
        raise InvalidOperation(
            f"the events of session {origin_id} up to event {at} were truncated by retention: "
            f"fork it at event {begin} or later"
        )
    prefix = _prefix(store, origin, at)
    staged = StagedSessions(services, [session])
    try:
        gone = staged.hold(prefix.contents)
        missing = _missing(store, origin, prefix, gone)
        artifacts = FoldedArtifacts(session, prefix.artifacts.keys() - set(missing))
        state = SessionState(session_id, session)
        if base is not None:
            state = SessionState.decode(session_id, base[1])
            staged.base(session, *base)
        for sequence, stored in _events(store, origin, at):
            mine = with_new_ids(stored, {origin_id: session_id})
            if sequence <= begin:
                staged.kept(session, sequence, mine, artifacts)
            else:
                staged.event(state, mine, artifacts)
        lost: dict[bytes, StoredRecord] = {}
        for key, record in prefix.records.live.items():
            there = _as_it_was(store, origin, key, record, gone)
            if there is not None:
                staged.record(session, key, there)
            else:
                lost[key] = record
        if lost and store.journal.is_empty(origin):
            raise SessionNotFound(f"session {origin_id} has been deleted meanwhile")
        deleted = [RecordChange(key, None, 0, 0, record.size, record.released) for key, record in lost.items()]
        following = _following(services, state, origin_id, [prefix.artifacts[number] for number in missing], deleted)
        for stored in following:
            staged.event(state, stored, artifacts)
        if store.journal.base(origin) != base:
            staged.undo()
            return None
        if changes:
            staged.flush()
            state, decided = changing.change(state, changes, staged.decided)
            following += decided
        staged.finish(state)
        staged.publish([state], write)
    except BaseException as error:
        staged.undo()
        if isinstance(error, IntegrityError) and store.journal.base(origin) != base:
            return None
        raise
    return following


def _events(store: ArtifactStore, origin: bytes, at: int) -> Iterator[tuple[int, StoredEvent]]:
    """Yield the events up to `at`. Raises IntegrityError, or SessionNotFound if they were deleted meanwhile."""
    try:
        for sequence, stored in store.journal.read(origin):
            if sequence > at:
                return
            if stored.type == LOST:
                raise IntegrityError(
                    f"event {sequence} of session {session_id_of(origin)} was lost to damage, so what came after it "
                    "cannot be told from its journal: fork it at an event before",
                    session_id=session_id_of(origin),
                    sequence=sequence,
                )
            yield sequence, stored
            if sequence == at:
                return
    except IntegrityError:
        if not store.journal.is_empty(origin):
            raise
    raise SessionNotFound(f"session {session_id_of(origin)} has been deleted meanwhile")


def _prefix(store: ArtifactStore, origin: bytes, at: int) -> _Prefix:
    prefix = _Prefix()
    for sequence, stored in _events(store, origin, at):
        kind, data = stored.type, stored.data
        if kind == "artifact.stored":
            prefix.artifacts[data["sequence"]] = data
        elif kind == "artifact.deleted":
            prefix.artifacts.pop(data["sequence"], None)
        elif kind == RECORDS_CHANGED:
            prefix.records.apply(sequence, data.get("changes", ()))
        else:
            prefix.messages.update(contents_of(stored))
    return prefix


def _as_it_was(
    store: ArtifactStore, origin: bytes, key: bytes, record: StoredRecord, gone: set[bytes]
) -> StoredRecord | None:
    """Return a record of the prefix with its value; None if the value is not in the store any more. Raises
    IntegrityError for a record that is there and damaged."""
    if record.flags & IN_CONTENT and record.hash not in gone:
        return record
    now = store.records.get(origin, key)
    if now is None:
        return None
    if now._replace(data=None) != record:
        if now.flags & LOST_VALUE and now.number == record.number:
            now.whole(key)
        return None
    if record.flags & IN_CONTENT:
        raise IntegrityError(
            f"content {record.hash.hex()} of session {session_id_of(origin)} is missing from the store; run verify",
            content_hash=record.hash.hex(),
        )
    return now


def _missing(store: ArtifactStore, origin: bytes, prefix: _Prefix, gone: set[bytes]) -> list[int]:
    """Return the numbers of the artifacts that were deleted after the prefix together with their content."""
    if not gone:
        return []
    missing = [number for number, data in prefix.artifacts.items() if data["content_hash"] in gone]
    # Content to which the original still refers must be there.
    lost = gone & prefix.messages
    lost.update(
        prefix.artifacts[number]["content_hash"]
        for number in missing
        if store.artifacts.record(origin, number) is not None
    )
    if not lost:
        return missing
    if store.journal.is_empty(origin):
        raise SessionNotFound(f"session {session_id_of(origin)} has been deleted meanwhile")
    digest = min(lost).hex()
    raise IntegrityError(
        f"content {digest} of session {session_id_of(origin)} is missing from the store; run verify",
        content_hash=digest,
    )


def _following(
    services: SessionServices,
    state: SessionState,
    origin_id: str,
    missing: list[dict[str, Any]],
    deleted: list[RecordChange],
) -> list[StoredEvent]:
    """Return the events after the copied ones: the fork itself, and the deletion of artifacts and records without
    content."""
    now = max(services.clock.time_ns(), state.updated_at)
    context = event_context(CURRENT.get(), state.correlation_id)
    operations, artifacts, size = state.operation_count + 1, state.artifact_count, state.artifact_bytes
    forked: dict[str, Any] = {
        "from_session": origin_id,
        "sequence": state.sequence,
        "parent": origin_id,
        "missing": len(missing),
    }
    if deleted:
        forked["records_lost"] = {"count": len(deleted), "keys": [each.key for each in deleted[:_KEYS_NAMED]]}
    events = [StoredEvent("session.forked", now, forked, operations, artifacts, size, context)]
    for data in missing:
        artifacts, size = artifacts - 1, size - data["size"]
        facts = {name: data[name] for name in ("sequence", "content_hash", "name", "version", "type")}
        if COLLECTED in data:
            facts[COLLECTED] = data["size"]
        events.append(StoredEvent("artifact.deleted", now, facts, operations, artifacts, size, context))
    for at in range(0, len(deleted), _CHANGES):
        changes = {"changes": [each.fields() for each in deleted[at : at + _CHANGES]]}
        events.append(StoredEvent(RECORDS_CHANGED, now, changes, operations, artifacts, size, context))
    return events
