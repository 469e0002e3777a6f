"""The journal: the append-only, gap-free sequence of events of each session, and the snapshots of its state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from blake3 import blake3

from greenroom.storage.codec.keys import after_prefix, sequence_key, session_id_of
from greenroom.storage.codec.records import intact, seal, unpacked_many, unseal
from greenroom.storage.common.metering import going_on
from greenroom.storage.engine.engine import CF, Engine, Op
from greenroom.storage.engine.settled import settled
from greenroom.storage.errors import ArtifactNotFound, IntegrityError, SchemaTooNew, SessionNotFound

from .model import Event, Load, StoredEvent, event_of, event_view
from .snapshots import Snapshot, stored_snapshot

__all__ = ["FAMILY", "Journal", "Run"]


_LOOK_BACK: Final = 64

_NEAR: Final = 4
"""Reading an event that is not wanted costs less than a seek, up to this many."""
_AT_ONCE: Final = 512
_ALL: Final = 1 << 62
_number: Final = int.from_bytes

FAMILY: Final = 7
"""The bytes by which the families of types are told apart."""
_TYPE: Final = slice(3, 3 + FAMILY)
"""Where they are in a record: behind the version, the length of the event and that of its type."""
_LONG: Final = 0xD9
"""Begins a type of 32 bytes or more, which is further behind."""

Found = TypeVar("Found")


def _event_name(key: bytes) -> str:
    return f"event {int.from_bytes(key[16:], 'big')} of session {session_id_of(key[:16])}"


def _unsealed(key: bytes, record: bytes) -> Any:
    try:
        return unseal(key, record, _event_name)
    except IntegrityError as error:
        raise _at(error, key) from error.__cause__


def _at(error: IntegrityError, key: bytes) -> IntegrityError:
    """Return the error, which now says at which event the damage is."""
    error.fields.update(session_id=session_id_of(key[:16]), sequence=int.from_bytes(key[16:], "big"))
    return error


def _near(sequences: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield ascending sequences in groups that one scan reads."""
    begin = 0
    for at in range(1, len(sequences) + 1):
        if at == len(sequences) or sequences[at] - sequences[at - 1] > _NEAR or at - begin >= _AT_ONCE:
            yield sequences[begin:at]
            begin = at


class Run(NamedTuple):
    """Events that were read together."""

    sequences: list[int]
    events: list[list[Any]]
    bytes: int
    """Those of their records."""


def _chosen(
    page: list[tuple[bytes, bytes]], sequences: list[int], families: frozenset[bytes] | None
) -> tuple[Run, tuple[bytes, bytes] | None]:
    """Return the events of a page, and its first damaged entry. With `families`, only events of types that begin so are
    decoded; all are checked."""
    sound = intact(page)
    damaged = page[sound] if sound < len(page) else None
    del page[sound:], sequences[sound:]
    if families is not None:
        places = [at for at, (_, record) in enumerate(page) if record[_TYPE] in families or record[2] >= _LONG]
        page, sequences = [page[at] for at in places], [sequences[at] for at in places]
    events = unpacked_many(page)
    if len(events) < len(page):
        damaged = page[len(events)]
        page, sequences = page[: len(events)], sequences[: len(events)]
    return Run(sequences, events, sum([len(record) for _, record in page])), damaged


class Journal:
    """Reads journals and snapshots, and makes the operations that append to them."""

    PAGE: Final = 256

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.load: Load | None = None
        """Reads large data of events; None if nothing does."""

    # -- events

    @staticmethod
    def append(session: bytes, sequence: int, stored: StoredEvent) -> Op:
        """Return the operation that writes one event."""
        key = sequence_key(session, sequence)
        return CF.JOURNAL, key, seal(key, stored if stored.context is not None else stored[:6])

    def read(self, session: bytes, after: int = 0) -> Iterator[tuple[int, StoredEvent]]:
        """Yield the stored events with a sequence greater than `after`, in order. In a truncated journal some of those
        up to the base are gone.

        Raises IntegrityError at a damaged event or a gap.
        """
        for sequence, fields in self.fields(session, after):
            yield sequence, event_of(fields)

    def fields(
        self, session: bytes, after: int = 0, upto: int | None = None, *, whole: bool = False
    ) -> Iterator[tuple[int, list[Any]]]:
        """Yield the events of `read` as lists of fields, which `evolve` accepts too. See `runs`."""
        for run in self.runs(session, after, upto, whole=whole):
            yield from zip(run.sequences, run.events, strict=True)

    def runs(
        self,
        session: bytes,
        after: int = 0,
        upto: int | None = None,
        *,
        whole: bool = False,
        families: frozenset[bytes] | None = None,
    ) -> Iterator[Run]:
        """Yield the events of `read` in runs, to fold long journals quickly. With `upto`, nothing behind that sequence
        is read. With `whole`, a truncated event is a gap like any other. With `families`, the first FAMILY bytes of
        types, events of other types are left out, at a third of the cost. Everything before damage or a gap comes
        before the error, which has the `sequence`."""
        expected, cut = after + 1, 0
        end = after_prefix(session) if upto is None else sequence_key(session, upto + 1)
        pages = self._engine.runs(CF.JOURNAL, sequence_key(session, expected), end, page=self.PAGE)
        while upto is None or expected <= upto:  # what follows may be damaged
            going_on()
            try:
                page = next(pages, None)
            except IntegrityError as error:  # a damaged block of a table file
                raise _at(error, sequence_key(session, expected)) from error.__cause__
            if page is None:
                return
            if not page:
                continue
            sequences = [_number(key[16:], "big") for key, _ in page]
            last, missing = sequences[-1], False
            if last - expected + 1 != len(page):
                if not whole and last > cut:
                    cut = self.base_sequence(session)
                for at, sequence in enumerate(sequences):
                    if sequence != expected and (whole or sequence > cut + 1):
                        missing = True
                        del page[at:], sequences[at:]
                        break
                    expected = sequence + 1
            run, damaged = _chosen(page, sequences, families)
            if run.sequences:
                yield run
            if damaged is not None:
                _unsealed(*damaged)  # raises
            if missing:
                raise IntegrityError(
                    f"event {expected} of session {session_id_of(session)} is missing; run verify",
                    session_id=session_id_of(session),
                    sequence=expected,
                )
            expected = last + 1

    def size(self, session: bytes, after: int, upto: int, enough: int | None = None) -> int:
        """Return the bytes of the events behind `after`, up to event `upto`; nothing more is read once there are
        `enough`."""
        size = 0
        begin, end = sequence_key(session, after + 1), sequence_key(session, upto + 1)
        for page in self._engine.runs(CF.JOURNAL, begin, end, page=self.PAGE):
            size += sum([len(record) for _, record in page])
            if enough is not None and size >= enough:
                break
        return size

    def readable(self, session: bytes, after: int = 0) -> Iterator[tuple[int, StoredEvent]]:
        """Yield the events like `read`, but skip what is damaged or missing."""
        begin, end = sequence_key(session, after + 1), after_prefix(session)
        for number, (key, record) in enumerate(self._engine.pages(CF.JOURNAL, begin, end, page=self.PAGE)):
            if not number % self.PAGE:
                going_on()
            try:
                stored = self.unsealed(key, record)
            except (IntegrityError, SchemaTooNew):
                continue
            yield int.from_bytes(key[16:], "big"), stored

    def events(self, session: bytes, after: int = 0, limit: int | None = None) -> Iterator[Event]:
        """Yield the events with a sequence greater than `after`, at most `limit`, as users see them."""
        session_id = session_id_of(session)
        for count, (sequence, stored) in enumerate(self.read(session, after)):
            if limit is not None and count >= limit:
                return
            yield event_view(session_id, sequence, stored, load=self.load)

    def event(self, session: bytes, sequence: int) -> Event:
        """Return one event. Raises IntegrityError if it is missing or damaged."""
        return self.view(session, sequence, self.stored(session, sequence))

    def view(self, session: bytes, sequence: int, stored: StoredEvent) -> Event:
        """Return a stored event as users see it."""
        return event_view(session_id_of(session), sequence, stored, load=self.load)

    def stored(self, session: bytes, sequence: int) -> StoredEvent:
        """Return one event as it is stored. Raises IntegrityError if it is missing or damaged."""
        key = sequence_key(session, sequence)
        record = self._get(key)
        if record is None:
            base = self.base(session)
            gone = (
                "was truncated by retention" if base is not None and sequence <= base[0] else "is missing; run verify"
            )
            session_id = session_id_of(session)
            raise IntegrityError(
                f"event {sequence} of session {session_id} {gone}", session_id=session_id, sequence=sequence
            )
        return self.unsealed(key, record)

    def many(self, session: bytes, sequences: Sequence[int]) -> Iterator[list[Any]]:
        """Yield the events with these ascending sequences, as lists of fields. Those that lie close together are read
        with one scan. Raises IntegrityError if one is missing or damaged."""
        for near in _near(sequences):
            begin, end = near[0], near[-1] + 1
            if end - begin == 1:  # for which a scan would take ten times as long
                yield [*self.stored(session, begin)]
                continue
            keys = sequence_key(session, begin), sequence_key(session, end)
            found = self._engine.entries(CF.JOURNAL, *keys, limit=end - begin)
            if len(found) == end - begin:  # which is usual, and so there is nothing to look up
                wanted = found if len(near) == len(found) else [found[sequence - begin] for sequence in near]
                events = unpacked_many(wanted[: intact(wanted)])
                yield from events
                for key, record in wanted[len(events) :]:
                    yield _unsealed(key, record)
                continue
            records = dict(found)
            for sequence in near:
                key = sequence_key(session, sequence)
                yield _unsealed(key, records[key]) if key in records else [*self.stored(session, sequence)]

    def settled(self, session: bytes, read: Callable[[], Found]) -> Found:
        """Return what a reading of a session finds, outside of its turn. Raises SessionNotFound where it has been
        deleted meanwhile; see `settled`."""

        def look() -> Found:
            try:
                return read()
            except (IntegrityError, ArtifactNotFound):
                if self.is_empty(session) and self._engine.get(CF.SESSIONS, session) is None:
                    session_id = session_id_of(session)
                    raise SessionNotFound(
                        f"session {session_id} has been deleted meanwhile", session_id=session_id
                    ) from None
                raise

        return settled(self._engine, look)

    def holds(self, session: bytes, sequence: int) -> bool:
        """Return whether there is an event, damaged or not."""
        return self._get(sequence_key(session, sequence)) is not None

    def _get(self, key: bytes) -> bytes | None:
        try:
            return self._engine.get(CF.JOURNAL, key)
        except IntegrityError as error:
            raise _at(error, key) from error.__cause__

    def last(self, session: bytes) -> tuple[int, StoredEvent] | None:
        """Return the newest event, or None for a session without a journal. Costs one seek."""
        found = self._engine.last(CF.JOURNAL, session)
        if found is None:
            return None
        return int.from_bytes(found[0][16:], "big"), self.unsealed(*found)

    def last_sequence(self, session: bytes) -> int | None:
        """Return the sequence of the newest event, damaged or not; None for a session without a journal."""
        found = self._engine.last(CF.JOURNAL, session)
        return int.from_bytes(found[0][16:], "big") if found is not None else None

    def lasts(self, sessions: Iterable[bytes]) -> list[tuple[int, StoredEvent] | None]:
        """Return what `last` returns for each of these sessions, at less cost."""
        found = self._engine.lasts(CF.JOURNAL, sessions)
        there = [each for each in found if each is not None]
        events = unpacked_many(there) if intact(there) == len(there) else []
        if len(events) < len(there):
            events = [_unsealed(*each) for each in there]  # which says what is damaged
        events.reverse()
        return [
            (int.from_bytes(each[0][16:], "big"), event_of(events.pop())) if each is not None else None
            for each in found
        ]

    def last_but(self, session: bytes, types: frozenset[str]) -> int | None:
        """Return the time of the newest event of another type than these. Only the last 64 events are read; if all are
        of these types, return the time of the oldest one. Return None without a journal."""
        time = None
        for key, record in self._engine.scan(
            CF.JOURNAL, session, after_prefix(session), reverse=True, limit=_LOOK_BACK
        ):
            stored = self.unsealed(key, record)
            time = stored.time
            if stored.type not in types:
                break
        return time

    def sessions(self) -> Iterator[bytes]:
        """Yield every session and scope that has a journal, with one seek each."""
        position = b""
        while keys := self._engine.keys(CF.JOURNAL, position, b"\xff" * 25, limit=1):
            yield keys[0][:16]
            position = keys[0][:16] + b"\xff" * 9

    def is_empty(self, session: bytes) -> bool:
        """Return whether a session has no event at all, damaged or not."""
        return self._engine.last(CF.JOURNAL, session) is None

    @staticmethod
    def unsealed(key: bytes, record: bytes) -> StoredEvent:
        """Return the event of a record. Raises IntegrityError, SchemaTooNew."""
        return event_of(_unsealed(key, record))

    # -- the base of a truncated journal: the state from which the fold begins

    @staticmethod
    def rebase(session: bytes, sequence: int, state: bytes) -> Op:
        """Return the operation that makes the state at `sequence` the base of the journal."""
        key = sequence_key(session, 0)
        return CF.SNAPSHOTS, key, seal(key, [sequence, blake3(state).digest(), state])

    def base(self, session: bytes) -> tuple[int, bytes] | None:
        """Return (sequence, state) of the base; None if the journal was never truncated. Raises IntegrityError."""
        key = sequence_key(session, 0)
        record = self._engine.get(CF.SNAPSHOTS, key)
        if record is None:
            return None
        name = f"the base of the journal of session {session_id_of(session)}"
        sequence, digest, state = unseal(key, record, name)
        if blake3(state).digest() != digest:
            raise IntegrityError(f"{name} is damaged on disk; run verify", session_id=session_id_of(session))
        return sequence, state

    def base_sequence(self, session: bytes) -> int:
        """Return the sequence of the base; 0 if the journal was never truncated. Raises IntegrityError."""
        base = self.base(session)
        return base[0] if base is not None else 0

    # -- snapshots

    def snapshots(self, session: bytes, upto: int | None = None) -> Iterator[Snapshot]:
        """Yield valid snapshots, newest first; with `upto`, none of a later state. Each is read when it is asked for.
        Damaged ones are skipped, never trusted."""
        begin = sequence_key(session, 1)
        end = after_prefix(session) if upto is None else sequence_key(session, upto + 1)
        return self._snapshots(begin, end, reverse=True)

    def snapshots_behind(self, session: bytes, after: int, upto: int) -> Iterator[Snapshot]:
        """Yield valid snapshots behind event `after`, up to event `upto`, oldest first."""
        return self._snapshots(sequence_key(session, after + 1), sequence_key(session, upto + 1))

    def _snapshots(self, begin: bytes, end: bytes, *, reverse: bool = False) -> Iterator[Snapshot]:
        for key, record in self._engine.pages(CF.SNAPSHOTS, begin, end, reverse=reverse, page=1):
            try:
                yield stored_snapshot(key, record)
            except (IntegrityError, SchemaTooNew):
                continue

    def snapshot_sequences(self, session: bytes, after: int = 0) -> list[int]:
        """Return the sequences behind event `after` at which there is a snapshot, valid or not."""
        begin, end = sequence_key(session, after + 1), after_prefix(session)
        keys = self._engine.keys(CF.SNAPSHOTS, begin, end, limit=_ALL)
        return [int.from_bytes(key[16:], "big") for key in keys]

    def snapshot(self, session: bytes, sequence: int) -> Snapshot | None:
        """Return the snapshot at an event, if there is a valid one."""
        return next(self.snapshots_behind(session, sequence - 1, sequence), None)
