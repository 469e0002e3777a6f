"""The history of a session that is in no store: its events, held in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from greenroom.actors.store import ArtifactStore
from greenroom.storage.codec.keys import session_bytes
from greenroom.storage.engine.engine import Durability, Engine, Op
from greenroom.storage.engine.staged_view import StagedView
from greenroom.storage.errors import IntegrityError
from greenroom.storage.events.journal import Journal
from greenroom.storage.events.model import StoredEvent

from .history import History

__all__ = ["offline_history"]


class _Nothing(Engine):
    """The reading half of an engine with an empty store."""

    def __init__(self) -> None:
        self.path = Path()
        self.durability = Durability.MEMORY
        self.read_only = True

    def get(self, cf: int, key: bytes) -> bytes | None:
        return None

    def moment(self) -> int:
        return 0

    def scan(self, cf: int, begin: bytes, end: bytes, **how: Any) -> list[tuple[bytes, bytes]]:
        return []

    def last(self, cf: int, prefix: bytes) -> tuple[bytes, bytes] | None:
        return None


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
    ops: list[Op] = [Journal.append(session, sequence, stored) for sequence, stored in events]
    if base is not None:
        ops.append(Journal.rebase(session, *base))
    store = _Offline(StagedView(_Nothing(), ops), contents)
    return History(cast(ArtifactStore, store), session_id)
