"""Read recordings back from the journal of a session."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from greenroom.actors.replay.history import History
from greenroom.runtime.handles.listing import iterate_pages
from greenroom.runtime.recording.tape.model import Crossing, Reads, Tape
from greenroom.storage.catalog.model import SessionInfo
from greenroom.storage.common.session_ids import session_bytes
from greenroom.storage.errors import GreenroomError, IntegrityError, ReplayError, SchemaTooNew
from greenroom.storage.events.bodies import MAX_DEPTH, Body, spliced
from greenroom.storage.events.calls import (
    RECORDING_CROSSING,
    RECORDING_ENDED,
    RECORDING_EVENTS,
    RECORDING_READS,
    RECORDING_STARTED,
    call_value,
)
from greenroom.storage.events.journal import FAMILY
from greenroom.storage.events.model import StoredEvent, event_of

from .forms import TAG, about_of, base_of, crossing_of, reads_of

if TYPE_CHECKING:
    from greenroom.runtime.core import RuntimeCore
    from greenroom.runtime.handles.session import Session

__all__ = [
    "Item",
    "JournalSource",
    "Source",
    "items_of",
    "newest_bodies",
    "recordings",
    "runs_of",
    "source_of",
    "tape_from",
    "tape_of",
]

_LOST: Final = "event.lost"
_FAMILIES: Final = frozenset(type_.encode()[:FAMILY] for type_ in (*RECORDING_EVENTS, _LOST))
_LOOK_BACK: Final = 512
_REMEMBERED: Final = 4
_KEPT_BODIES: Final = 64
_KEPT_BYTES: Final = 64 << 20


class Source(Protocol):
    """Where the events of a session come from: a store, or a bundle."""

    id: str

    def events(self, after: int = 0, upto: int | None = None) -> Iterator[tuple[int, StoredEvent]]:
        """Yield the events of recordings behind `after`, up to event `upto`, and those that were lost. Raises
        IntegrityError at damage, after all before it."""

    def event(self, sequence: int) -> StoredEvent:
        """Return one event. Raises IntegrityError."""

    def load(self, digest: bytes) -> bytes | None:
        """Return a content; None if it cannot be read."""


class JournalSource:
    """Reads the recordings of a session in a store, on the caller's thread, while the session goes on."""

    def __init__(self, core: RuntimeCore, session_id: str) -> None:
        self.id = session_id
        self._journal = core.store.journal
        self._session = session_bytes(session_id)
        self.load: Callable[[bytes], bytes | None] = core.store.contents.readable
        History(core.store, session_id).last  # noqa: B018 (raises SessionNotFound)

    def events(self, after: int = 0, upto: int | None = None) -> Iterator[tuple[int, StoredEvent]]:
        for run in self._journal.runs(self._session, after, upto, families=_FAMILIES):
            for sequence, fields in zip(run.sequences, run.events, strict=True):
                stored = event_of(fields)
                if stored.type in RECORDING_EVENTS or stored.type == _LOST:
                    yield sequence, stored

    def event(self, sequence: int) -> StoredEvent:
        return self._journal.stored(self._session, sequence)


def source_of(session: Session) -> JournalSource:
    """Return what reads the recordings of a session."""
    from greenroom.runtime.handles.session import core_of  # bundles are read without it

    return JournalSource(core_of(session), session.id)


class Item(NamedTuple):
    """One event of a recording. What it tells is in the field of its type; of the others, all are None."""

    sequence: int
    run: int
    crossing: Crossing | None = None
    reads: Reads | None = None
    started: dict[str, Any] | None = None
    ended: dict[str, Any] | None = None


class _Bodies:
    """Restores the bodies of requests, which are journaled as deltas against earlier ones (see `base_of`). Keeps the
    bodies that it restored last, because the next deltas are against those."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._size = 0

    def body(self, sequence: int, stored: StoredEvent) -> bytes | None:
        """Return the whole body of a crossing; None if it had none. Raises IntegrityError."""
        base = base_of(stored.data, sequence)
        if base is None and "body" not in stored.data and "body_hash" not in stored.data:
            return None
        above: list[tuple[int, StoredEvent]] = [(sequence, stored)]
        found: bytes | None = None
        while base is not None:
            if (found := self._kept.get(base.sequence)) is not None:
                self._kept.move_to_end(base.sequence)
                break
            if len(above) > MAX_DEPTH:
                raise IntegrityError(f"event {sequence} has a body behind too many deltas", sequence=sequence)
            below = self._source.event(base.sequence)
            if below.type != RECORDING_CROSSING:
                raise IntegrityError(f"event {sequence} has a body that is a delta against no body", sequence=sequence)
            above.append((base.sequence, below))
            base = base_of(below.data, base.sequence)
        for at, each in reversed(above):
            found = self._one(at, each, found)
        assert found is not None
        self._keep(sequence, found)
        return found

    def _one(self, sequence: int, stored: StoredEvent, below: bytes | None) -> bytes:
        middle = call_value(stored.data, "body", self._source.load)
        base = base_of(stored.data, sequence)
        body: bytes | None = middle if type(middle) is bytes else None
        if base is not None and body is not None:
            body = spliced(below, base.prefix, base.suffix, body) if below is not None else None
        if body is None:
            raise IntegrityError(f"the body in event {sequence} is damaged or gone; run verify", sequence=sequence)
        return body

    def _keep(self, sequence: int, body: bytes) -> None:
        self._kept[sequence] = body
        self._size += len(body)
        while len(self._kept) > 1 and (len(self._kept) > _KEPT_BODIES or self._size > _KEPT_BYTES):
            self._size -= len(self._kept.popitem(last=False)[1])


def items_of(source: Source, after: int = 0, upto: int | None = None) -> Iterator[Item]:
    """Yield the events of all recordings of a session behind `after`, up to event `upto`, in order, each decoded.
    Memory holds a few bodies at a time.

    Raises IntegrityError where something is damaged or lost, after all before it: its `sequence` says where.
    """
    bodies, load = _Bodies(source), source.load
    for sequence, stored in source.events(after, upto):
        type_, data = stored.type, stored.data
        try:
            if type_ == RECORDING_CROSSING:
                body = bodies.body(sequence, stored)
                yield Item(sequence, data["run"], crossing=crossing_of(data, body, load))
            elif type_ == RECORDING_READS:
                yield Item(sequence, data["run"], reads=reads_of(data, load))
            elif type_ == RECORDING_STARTED:
                yield Item(sequence, sequence, started=about_of(data, load))
            elif type_ == RECORDING_ENDED:
                yield Item(sequence, data["run"], ended=about_of(data, load))
            elif data.get("was", RECORDING_CROSSING) in RECORDING_EVENTS:
                raise IntegrityError(f"event {sequence} was lost to damage", sequence=sequence)
        except SchemaTooNew:
            raise
        except IntegrityError as error:
            error.fields.setdefault("sequence", sequence)
            raise
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise IntegrityError(
                f"event {sequence} of session {source.id} is no event of a recording that this version knows",
                session_id=source.id,
                sequence=sequence,
            ) from error


def runs_of(source: Source) -> list[int]:
    """Return the sequences of the events with which the recordings of a session begin."""
    return [sequence for sequence, stored in source.events() if stored.type == RECORDING_STARTED]


def tape_of(session: Session, *, run: int | None = None, upto: int | None = None) -> Tape:
    """Return the tape of a recording in a session: of the newest, or of the `run` that began with this event. `upto` is
    the last event to read.

    A recording whose program was killed is a tape without an `exit_code`. Raises ReplayError if there is no such
    recording; IntegrityError if it is damaged, with the `sequence` of the damage and, in `replayable`, the last event
    up to which it can be replayed (0: none).
    """
    session.info()  # which says whether the running code may read it
    return tape_from(source_of(session), run=run, upto=upto)


def tape_from(source: Source, *, run: int | None = None, upto: int | None = None) -> Tape:
    """Return the tape of a recording, wherever its events come from: see `tape_of`."""
    if run is None:
        run = _newest(source, upto)
    tape: Tape | None = None
    last = crossings = 0
    try:
        for item in items_of(source, run - 1, upto):
            if item.run != run:
                continue
            last = item.sequence
            if item.started is not None:
                tape = Tape(about=item.started)
            elif tape is None:
                continue
            elif item.crossing is not None:
                tape.crossings.append(item.crossing)
                crossings += 1
            elif item.reads is not None:
                tape.reads.append(item.reads)
            elif item.ended is not None:
                tape.about.update(item.ended)
    except (IntegrityError, SchemaTooNew) as error:
        raise _damaged(source, error, last if tape is not None else 0, crossings) from error
    if tape is None:
        raise ReplayError(
            f"session {source.id} has no recording that begins with event {run}: its recordings begin with "
            f"{', '.join(map(str, runs_of(source))) or 'none'}",
            session_id=source.id,
        )
    return tape


def _newest(source: Source, upto: int | None) -> int:
    """Return the event with which the newest recording begins. Raises ReplayError if there is none."""
    newest = 0
    try:
        for sequence, stored in source.events(0, upto):
            if stored.type == RECORDING_STARTED:
                newest = sequence
    except (IntegrityError, SchemaTooNew):
        if not newest:
            raise
    if not newest:
        raise ReplayError(
            f"session {source.id} has no recording: record a program with `greenroom record`, or a part of one with "
            "rt.recording()",
            session_id=source.id,
        )
    return newest


def _damaged(source: Source, error: GreenroomError, last: int, crossings: int) -> IntegrityError:
    at = error.fields.get("sequence")
    advice = f"replay it up to event {last}, which are {crossings} calls" if last else "nothing of it can be replayed"
    return IntegrityError(
        f"the recording in session {source.id} is damaged at event {at}: {advice} ({error})",
        session_id=source.id,
        sequence=at,
        replayable=last,
    )


def newest_bodies(core: RuntimeCore, session_id: str) -> list[tuple[str, Body]]:
    """Return the newest bodies that a session has recorded, for who goes on recording there. Only the newest events are
    looked at; what cannot be read is left out."""
    try:
        source = JournalSource(core, session_id)
        last = core.store.journal.last_sequence(session_bytes(session_id)) or 0
        crossings = [each for each in source.events(max(0, last - _LOOK_BACK)) if each[1].type == RECORDING_CROSSING]
        bodies, found = _Bodies(source), []
        for sequence, stored in crossings[-_REMEMBERED:]:
            body = bodies.body(sequence, stored)
            if body is not None:
                base = base_of(stored.data, sequence)
                found.append((stored.data["name"], Body(sequence, body, base.depth if base is not None else 0)))
    except GreenroomError:
        return []
    return found


def recordings(core: RuntimeCore) -> Iterator[SessionInfo]:
    """Yield the sessions that have recordings, the newest first, whatever their status: by their tag, so that others
    cost nothing."""
    yield from iterate_pages(core, {"tags": [TAG], "status": "all", "descending": True}, {})
