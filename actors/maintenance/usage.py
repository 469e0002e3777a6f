"""What takes the space: content by session, type and name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.store import ArtifactStore
from greenroom.storage.codec.keys import after_prefix, session_id_of
from greenroom.storage.common.checked_call import checked
from greenroom.storage.content.chunks import ARTIFACT, EVENT, MESSAGE, RECORD
from greenroom.storage.content.staging import IMPORT
from greenroom.storage.engine.engine import CF
from greenroom.storage.errors import IntegrityError, SchemaTooNew
from greenroom.storage.records.model import IN_CONTENT
from greenroom.storage.records.records import RECORD_ENTRY, stored_record

if TYPE_CHECKING:
    from greenroom.actors.maintenance.verification.findings import Progress

__all__ = ["Share", "Usage", "content_figures", "store_figures", "usage_of"]

_NO_ARTIFACTS: Final = {MESSAGE: "(messages)", RECORD: "(records)", EVENT: "(events)"}
"""The type and name under which content of other things than artifacts is counted, by the kind of its reference."""


@dataclass(slots=True)
class Share:
    """The space that one session, type or name takes. Sizes are bytes.

    `logical_bytes` is the sum of the sizes. `unique_bytes` is the stored size of content without other uses, which
    deleting it would free; chunks that several contents share are counted with each of them. `journal_bytes` is the
    size of the records of a session's journal.
    """

    items: int = 0
    logical_bytes: int = 0
    unique_bytes: int = 0
    journal_bytes: int = 0

    def to_dict(self) -> dict[str, int]:
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True, slots=True)
class Usage:
    """Shares by session id, artifact type and artifact name, largest first."""

    sessions: dict[str, Share]
    types: dict[str, Share]
    names: dict[str, Share]

    def __repr__(self) -> str:
        return f"<Usage of {len(self.sessions)} sessions>"

    @checked
    def to_dict(self, limit: int | None = None) -> dict[str, Any]:
        """Return the shares as JSON values, at most `limit` of each kind."""
        return {
            each.name: {key: share.to_dict() for key, share in list(getattr(self, each.name).items())[:limit]}
            for each in fields(self)
        }


def usage_of(store: ArtifactStore, on_progress: Progress | None = None) -> Usage:
    """Count the content of every session. Damaged records are skipped: `verify` reports them."""
    sessions: dict[str, Share] = {}
    types: dict[str, Share] = {}
    names: dict[str, Share] = {}
    for count, (digest, size, stored, _) in enumerate(store.contents.known(), 1):
        users: dict[str, set[str]] = {"session": set(), "type": set(), "name": set()}
        for reference in store.contents.references(digest):
            if reference.kind == IMPORT:
                continue
            kind, name = _described(store, reference.session, reference.kind, reference.sequence)
            session = session_id_of(reference.session)
            for label, table, key in (("session", sessions, session), ("type", types, kind), ("name", names, name)):
                share = table.setdefault(key, Share())
                share.items += 1
                share.logical_bytes += size
                users[label].add(key)
        for label, table in (("session", sessions), ("type", types), ("name", names)):
            if len(users[label]) == 1:
                table[users[label].pop()].unique_bytes += stored
        if on_progress is not None and count % 256 == 0:
            on_progress("contents", count)
    _count_records(store, sessions, types, names)
    for count, (place, record) in enumerate(store.engine.pages(CF.JOURNAL, b"", b"\xff" * 25), 1):
        share = sessions.setdefault(session_id_of(place[:16]), Share())
        share.journal_bytes += len(place) + len(record)
        if on_progress is not None and count % 4096 == 0:
            on_progress("events", count)
    return Usage(_largest(sessions), _largest(types), _largest(names))


def _count_records(
    store: ArtifactStore, sessions: dict[str, Share], types: dict[str, Share], names: dict[str, Share]
) -> None:
    """Count the records whose values are no contents. Each takes the space of its entry."""
    for place, entry in store.engine.pages(CF.INDEX, RECORD_ENTRY, after_prefix(RECORD_ENTRY)):
        try:
            record = stored_record(place, entry)
        except (IntegrityError, SchemaTooNew):
            continue
        if record.flags & IN_CONTENT:
            continue
        tables = (sessions, session_id_of(place[1:17])), (types, _NO_ARTIFACTS[RECORD]), (names, _NO_ARTIFACTS[RECORD])
        for table, key in tables:
            share = table.setdefault(key, Share())
            share.items += 1
            share.logical_bytes += record.size
            share.unique_bytes += len(place) + len(entry)


def _described(store: ArtifactStore, session: bytes, kind: bytes, sequence: int) -> tuple[str, str]:
    """Return the (type, name) of the artifact, or what else it is, that refers to a content."""
    if kind in _NO_ARTIFACTS:
        return _NO_ARTIFACTS[kind], _NO_ARTIFACTS[kind]
    try:
        record = store.artifacts.record(session, sequence) if kind == ARTIFACT else None
    except (IntegrityError, SchemaTooNew):
        record = None
    return (record.type, record.name) if record is not None else ("(damaged)", "(damaged)")


def _largest(shares: Mapping[str, Share]) -> dict[str, Share]:
    return dict(
        sorted(
            shares.items(),
            key=lambda each: (-each[1].unique_bytes - each[1].journal_bytes, -each[1].logical_bytes, each[0]),
        )
    )


def content_figures(store: ArtifactStore) -> dict[str, int]:
    """Return how many artifacts there are, and the bytes of their contents and of long messages, for
    `Runtime.stats`."""
    figures = store.totals.figures()
    return {"count": figures.artifacts, **{name: getattr(figures, name) for name in figures._fields[1:]}}


def store_figures(store: ArtifactStore) -> dict[str, Any]:
    """Return the figures of a store that cost the same however much is stored."""
    cache = store.contents.cache
    return {
        "commits": store.commits,
        "fsyncs": store.engine.fsyncs,
        "cache": {"bytes": cache.bytes, "hits": cache.hits, "misses": cache.misses},
        "disk_bytes": store.engine.disk_bytes(),
        "store": store.engine.statistics(),
    }
