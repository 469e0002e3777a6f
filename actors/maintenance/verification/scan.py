"""Walk through a store, also where some of it cannot be read."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

from greenroom.actors.session.projection import OWNED_INDEXES
from greenroom.actors.store import ArtifactStore
from greenroom.actors.supervisor.supervisor import Supervisor
from greenroom.storage.codec.keys import after_prefix
from greenroom.storage.content.contents import Contents
from greenroom.storage.engine.engine import CF
from greenroom.storage.engine.salvage import Lost, readable
from greenroom.storage.errors import IntegrityError

from .findings import Progress, VerifyReport

__all__ = ["END", "Survey"]

END: Final = b"\xff" * 96
_REPORT_EVERY: Final = 256


class Survey:
    """One walk through a store: what it needs to know, and what it finds."""

    def __init__(
        self,
        store: ArtifactStore,
        supervisor: Supervisor | None,
        report: VerifyReport,
        *,
        hashing: bool,
        mending: bool,
        repair: bool,
        on_progress: Progress | None,
    ) -> None:
        self._store = store
        self._engine = store.engine
        self._contents: Contents = store.contents
        self._supervisor = supervisor
        self._report = report
        self._hashing = hashing
        self._mending = mending
        self._repair = repair
        self._on_progress = on_progress
        self._lost: list[Lost] = []
        self._message_contents: dict[tuple[bytes, int], list[bytes]] | None = None
        self._writing = False
        self._mended: set[bytes] = set()
        """Sessions with a journal that was repaired in this walk."""

    def _counting(self, what: str, things: Iterator[bytes]) -> Iterator[bytes]:
        count = 0
        for thing in things:
            count += 1
            if self._on_progress is not None and count % _REPORT_EVERY == 0:
                self._on_progress(what, count)
            yield thing
        if self._on_progress is not None:
            self._on_progress(what, count)

    def _keys(self, cf: int, prefix: bytes = b"") -> Iterator[bytes]:
        end = after_prefix(prefix) if prefix else END
        return (key for key, _ in readable(self._engine, cf, prefix, end, []))

    def _first_keys(self, cf: int, prefix: bytes = b"") -> Iterator[bytes]:
        """Yield one key of each session that has keys in a family, with one seek each."""
        position, end = prefix, after_prefix(prefix) if prefix else END
        start = len(prefix)
        while True:
            try:
                keys = self._engine.keys(cf, position, end, limit=1)
            except IntegrityError:
                keys = [key for key, _ in itertools.islice(readable(self._engine, cf, position, end, []), 1)]
            if not keys:
                return
            yield keys[0]
            position = after_prefix(keys[0][: start + 16])

    def _sessions(self) -> Iterator[bytes]:
        """Yield every session and scope that has a journal, a row or a snapshot."""
        for key in self._first_keys(CF.JOURNAL):
            yield key[:16]
        for cf in (CF.SESSIONS, CF.SNAPSHOTS):
            for key in self._first_keys(cf):
                if not self._has(CF.JOURNAL, key[:16]):
                    yield key[:16]

    def _strays(self) -> Iterator[bytes]:
        """Yield one key of each session that has records, but no journal, row or snapshot. The key follows its
        family."""
        places = [(CF.ARTIFACTS, b""), *((CF.INDEX, kind) for kind in OWNED_INDEXES)]
        for cf, prefix in places:
            for key in self._first_keys(cf, prefix):
                if not self._exists(key[len(prefix) :][:16]):
                    yield bytes([cf, len(prefix)]) + key

    def _exists(self, session: bytes) -> bool:
        return any(self._has(cf, session) for cf in (CF.JOURNAL, CF.SESSIONS, CF.SNAPSHOTS))

    def _has(self, cf: int, prefix: bytes) -> bool:
        """Return whether there are keys with this prefix. Unreadable keys count as present."""
        try:
            return bool(self._engine.keys(cf, prefix, after_prefix(prefix), limit=1))
        except IntegrityError:
            return True
