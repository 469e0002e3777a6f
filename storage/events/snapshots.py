"""Snapshots: the state of a session at some of its events, so that less of its journal must be folded.

The newest snapshot serves activation, and is replaced by the next one. The others are *anchors*, which stay, so that
any moment of the past is near one. An anchor is paid for by the events behind the anchor before it, which have at least
twice as many bytes. Each event has more bytes than it adds to the state. So all snapshots of a session together never
take more bytes than its journal, in which a truncated one has its base.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from blake3 import blake3

from greenroom.storage.codec.keys import sequence_key
from greenroom.storage.codec.records import seal, unseal
from greenroom.storage.engine.engine import CF, Op
from greenroom.storage.errors import IntegrityError, SchemaTooNew

__all__ = ["ANCHOR_BYTES", "Snapshot", "SnapshotTrail", "is_anchor", "stored_snapshot"]

ANCHOR_BYTES: Final = 128 << 10
"""The fewest bytes of events between two anchors. About as many are folded to have any moment of a session with a
smaller state."""


class Snapshot(NamedTuple):
    """A valid snapshot. `since` is how many bytes of events there are behind the event `anchor`, where the anchor
    before it is, or else the base or the beginning of the journal. `size` is the bytes of its own record."""

    sequence: int
    state: bytes
    digest: bytes
    anchor: int
    since: int
    size: int


def stored_snapshot(key: bytes, record: bytes) -> Snapshot:
    """Return the snapshot of a record. Raises IntegrityError, SchemaTooNew."""
    digest, state, *paid = unseal(key, record, "a snapshot")
    if blake3(state).digest() != digest:
        raise IntegrityError("a snapshot is damaged on disk; run verify")
    # Snapshots from before there were anchors say nothing, and are replaced.
    anchor, since = paid or (0, 0)
    return Snapshot(int.from_bytes(key[16:], "big"), state, digest, anchor, since, len(record))


def is_anchor(since: int, size: int) -> bool:
    """Return whether a snapshot of `size` bytes is paid for by `since` bytes of events."""
    return since >= max(ANCHOR_BYTES, 2 * size)


class _Events(Protocol):
    """The journal, as far as a trail asks it."""

    def base_sequence(self, session: bytes, /) -> int:
        """Return the event at which the base is; 0 if there is none."""

    def size(self, session: bytes, after: int, upto: int, /) -> int:
        """Return the bytes of the events behind one, up to another."""


class SnapshotTrail:
    """What the owner of a session's journal remembers of its snapshots, to write the next one."""

    __slots__ = ("anchor", "bytes", "due", "events", "newest", "since")

    def __init__(self, anchor: int = 0, since: int = 0, newest: int = 0) -> None:
        self.anchor = anchor
        """The event of the newest anchor, or where the fold begins."""
        self.since = since
        """The bytes of the events behind it, up to the newest snapshot."""
        self.newest = newest
        """The event of the newest snapshot, if that is no anchor."""
        self.events = 0
        """How many events there are behind the newest snapshot; `bytes` are those of their records."""
        self.bytes = 0
        self.due = ANCHOR_BYTES
        """With more bytes than these, the next snapshot is due, whatever happens."""

    def _set_due(self, size: int) -> None:
        # A state is written down only after as many bytes of events, however large it is.
        self.due = max(ANCHOR_BYTES, size if not self.since else 2 * size) - self.since

    @classmethod
    def behind(cls, found: Snapshot) -> SnapshotTrail:
        """Return the trail behind the newest snapshot."""
        trail = cls(found.anchor, found.since, found.sequence)
        if is_anchor(found.since, found.size):
            trail = cls(found.sequence)
        trail._set_due(found.size)
        return trail

    def write(self, journal: _Events, session: bytes, sequence: int, state: bytes) -> list[Op]:
        """Return the operations that write the next snapshot, and delete the one that it replaces. `state` is the
        canonical encoding of the state at `sequence`; its BLAKE3 digest is stored with it."""
        key, digest = sequence_key(session, sequence), blake3(state).digest()
        since = self.since + self.bytes
        record = seal(key, [digest, state, self.anchor, since])
        if is_anchor(since, len(record)) and (paid := self._still_there(journal, session, sequence)) is not None:
            since = paid
            record = seal(key, [digest, state, self.anchor, since])
        ops: list[Op] = [(CF.SNAPSHOTS, key, record)]
        if self.newest not in (0, sequence):
            ops.append((CF.SNAPSHOTS, sequence_key(session, self.newest), None))
        if is_anchor(since, len(record)):
            self.anchor, self.since, self.newest = sequence, 0, 0
        else:
            self.since, self.newest = since, sequence
        self.events = self.bytes = 0
        self._set_due(len(record))
        return ops

    def _still_there(self, journal: _Events, session: bytes, sequence: int) -> int | None:
        """Return how many of the bytes that were counted are there, if retention has removed some; None if not."""
        try:
            base = journal.base_sequence(session)
            if base <= self.anchor:
                return None
            self.anchor = base
            return journal.size(session, base, sequence)
        except (IntegrityError, SchemaTooNew):
            return 0  # nothing is known, so nothing is paid for, until it is repaired
