"""The history of a session that is in no store: its events, held in memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, cast

from blake3 import blake3

from greenroom.actors.session.state.evolve import evolve
from greenroom.actors.session.state.model import SessionState
from greenroom.actors.store import ArtifactStore
from greenroom.storage.codec.keys import sequence_key, session_bytes
from greenroom.storage.codec.records import seal
from greenroom.storage.engine.engine import CF, Durability, Engine, Op
from greenroom.storage.errors import IntegrityError
from greenroom.storage.events.journal import Journal
from greenroom.storage.events.model import StoredEvent

from .history import History

__all__ = ["offline_history"]

_SNAPSHOT_EVERY: Final = 4096
_AFTER: Final = b"\xff" * 9


class _Memory(Engine):
    """The reading half of an engine, over entries in memory."""

    def __init__(self, ops: Iterable[Op]) -> None:
        self.path = Path()
        self.durability = Durability.MEMORY
        self.read_only = True
        self._bulk = False
        self._values: dict[int, dict[bytes, bytes]] = {}
        for cf, key, value in ops:
            if value is not None:
                self._values.setdefault(cf, {})[key] = value
        self._keys = {cf: sorted(values) for cf, values in self._values.items()}

    def get(self, cf: int, key: bytes) -> bytes | None:
        return self._values.get(cf, {}).get(key)

    def moment(self) -> int:
        return 0

    def scan(
        self,
        cf: int,
        begin: bytes,
        end: bytes,
        *,
        reverse: bool = False,
        limit: int | None = None,
        most_bytes: int | None = None,
    ) -> list[tuple[bytes, bytes]]:
        keys, values = self._keys.get(cf, []), self._values.get(cf, {})
        low, high = bisect_left(keys, begin), bisect_left(keys, end)
        if limit is not None:
            low, high = (max(low, high - limit), high) if reverse else (low, min(high, low + limit))
        found = [(key, values[key]) for key in keys[low:high]]
        if reverse:
            found.reverse()
        if most_bytes is None:
            return found
        size = 0
        for at, (_, value) in enumerate(found, 1):
            size += len(value)
            if size >= most_bytes:
                return found[:at]
        return found

    def keys(
        self, cf: int, begin: bytes, end: bytes, *, limit: int, beyond: Callable[[bytes], bytes] | None = None
    ) -> list[bytes]:
        return [key for key, _ in self.scan(cf, begin, end, limit=limit)]

    def last(self, cf: int, prefix: bytes) -> tuple[bytes, bytes] | None:
        found = self.scan(cf, prefix, prefix + _AFTER, reverse=True, limit=1)
        return found[0] if found else None


class _Contents:
    """The contents that the events refer to."""

    def __init__(self, held: Mapping[bytes, bytes]) -> None:
        self._held = held

    def readable(self, digest: bytes) -> bytes | None:
        """Return a content; None if it is not held."""
        return self._held.get(digest)

    def read(self, digest: bytes) -> bytes:
        """Return a content. Raises IntegrityError if it is not held."""
        found = self._held.get(digest)
        if found is None:
            raise IntegrityError(f"content {digest.hex()} is not among the exported data", content_hash=digest.hex())
        return found


class _Offline:
    """Stands for the store of a `History`."""

    def __init__(self, engine: Engine, contents: Mapping[bytes, bytes]) -> None:
        self.engine = engine
        self.journal = Journal(engine)
        self.journal.load = contents.get
        self.contents = _Contents(contents)


def offline_history(
    session_id: str,
    base: tuple[int, bytes] | None,
    events: Iterable[tuple[int, StoredEvent]],
    contents: Mapping[bytes, bytes],
) -> History:
    """Return the history that these events are; `base` is the state at which a truncated journal begins, `contents` are
    large texts and data of events by their hashes."""
    session = session_bytes(session_id)
    state = SessionState(session_id, session) if base is None else SessionState.decode(session_id, base[1])
    ops: list[Op] = [] if base is None else [Journal.rebase(session, *base)]
    for sequence, stored in events:
        ops.append(Journal.append(session, sequence, stored))
        if sequence > state.sequence:
            evolve(state, sequence, stored)
            if sequence % _SNAPSHOT_EVERY == 0:
                ops.append(_snapshot(state))
    store = _Offline(_Memory(ops), contents)
    return History(cast(ArtifactStore, store), session_id)


def _snapshot(state: SessionState) -> Op:
    key, packed = sequence_key(state.session, state.sequence), state.encode()
    return CF.SNAPSHOTS, key, seal(key, [blake3(packed).digest(), packed])
