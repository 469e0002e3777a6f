"""Bring a store of an older format up to date, on its first opening for writing and before anybody can use it.

Every step can be done again from its beginning: a kill in the middle leaves a store of the older format, and the next
opening starts over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final, TypeVar

from greenroom.storage.artifacts.index import (
    BY_PARENT,
    BY_WORD,
    UNLISTED,
    artifact_entries,
    suffix_of,
)
from greenroom.storage.artifacts.records import unsealed_record
from greenroom.storage.artifacts.words import WORDS_KEY, WORDS_MARK
from greenroom.storage.catalog.catalog import Catalog
from greenroom.storage.catalog.model import SessionRow
from greenroom.storage.codec.keys import (
    INDEX_CREATOR,
    INDEX_DEADLINE,
    INDEX_LIFETIME,
    INDEX_METADATA,
    INDEX_PARENT,
    INDEX_TAG,
    after_prefix,
)
from greenroom.storage.codec.records import unseal
from greenroom.storage.common.logs import logger_of
from greenroom.storage.engine.engine import CF, FORMAT_VERSION, Engine, Op
from greenroom.storage.events.index import event_keys
from greenroom.storage.events.journal import Journal

from .errors import IntegrityError, SchemaTooNew

__all__ = ["migrate"]

logger = logger_of("migration")

_BATCH: Final = 4096
_Record = TypeVar("_Record")


def migrate(engine: Engine) -> None:
    """Bring the store up to FORMAT_VERSION, and its index of words to today's rules, with bounded memory. Do nothing if
    it is up to date."""
    if engine.format < FORMAT_VERSION:
        logger.info("bringing the store at %s from format %d to %d", engine.path, engine.format, FORMAT_VERSION)
        for version, steps in _STEPS.items():
            for step in steps if version > engine.format else ():
                _write(engine, step(engine))
        engine.set_format()
        logger.info("the store has format %d now", FORMAT_VERSION)
    if engine.get(CF.META, WORDS_KEY) != WORDS_MARK:
        _write(engine, _forget_words(engine))
        engine.write([(CF.META, WORDS_KEY, WORDS_MARK)])


def _write(engine: Engine, changes: Iterable[list[Op]]) -> None:
    """Write the changes of a step, many at once. One change is never torn."""
    ops: list[Op] = []
    for change in changes:
        ops += change
        if len(ops) >= _BATCH:
            engine.write(ops)
            ops = []
    if ops:
        engine.write(ops)


def _records(
    engine: Engine, family: int, read: Callable[[bytes, bytes], _Record]
) -> Iterator[tuple[bytes, int, _Record]]:
    """Yield (session, number, record) of a family. Damaged records are skipped: verify reports them, and repair writes
    them and their entries anew from the journal."""
    for key, stored in engine.pages(family, b"", b"\xff" * 25, page=256):
        try:
            yield key[:16], int.from_bytes(key[16:], "big"), read(key, stored)
        except (IntegrityError, SchemaTooNew):
            continue


def _row(session: bytes, stored: bytes) -> SessionRow:
    return SessionRow(*unseal(session, stored, "a row"))


def _forget_words(engine: Engine) -> Iterator[list[Op]]:
    """Forget the words by which another greenroom has listed artifacts: a search lists them by today's rules."""
    for key, _ in engine.pages(CF.INDEX, BY_WORD, after_prefix(BY_WORD)):
        yield [(CF.INDEX, key, None)]
    for session, number, record in _records(engine, CF.ARTIFACTS, unsealed_record):
        yield [(CF.INDEX, UNLISTED + suffix_of(session, number, record.time), b"")]


def _list_artifacts(engine: Engine) -> Iterator[list[Op]]:
    """Index artifacts by type, tag, creator and custom entries, as format 2 requires, and note that they are not listed
    by words yet."""
    for session, number, record in _records(engine, CF.ARTIFACTS, unsealed_record):
        yield [(CF.INDEX, entry, b"") for entry in artifact_entries(session, number, record)]


def _list_by_parent(engine: Engine) -> Iterator[list[Op]]:
    """Index artifacts by their parents, as format 3 requires."""
    for session, number, record in _records(engine, CF.ARTIFACTS, unsealed_record):
        if record.parent_artifact is not None:
            entries = artifact_entries(session, number, record)
            yield [(CF.INDEX, entry, b"") for entry in entries if entry[:1] == BY_PARENT]


def _list_events(engine: Engine) -> Iterator[list[Op]]:
    """Index events by the ids that their contexts name, as format 2 requires."""
    for session, sequence, event in _records(engine, CF.JOURNAL, Journal.unsealed):
        if event.context is not None:
            yield [(CF.INDEX, entry, b"") for entry in event_keys(session, sequence, event)]


def _list_configured(engine: Engine, kind: bytes) -> Iterator[list[Op]]:
    """Index sessions by what their own configuration says: by the moment at which its time limits matter (`d`), as
    format 2 requires, and by its settings of retention (`T`), as format 3 requires."""
    for session, _, row in _records(engine, CF.SESSIONS, _row):
        if row.config is not None:
            yield [(CF.INDEX, key, b"") for key in Catalog.index_keys(session, row, 0) if key[:1] == kind]


def _list_by_status(engine: Engine) -> Iterator[list[Op]]:
    """Put the status into the entries that find sessions by tag, creator, parent and metadata, as format 3 requires."""
    for kind, size in _BY_CREATION.items():
        for key, _ in engine.pages(CF.INDEX, kind, after_prefix(kind)):
            if len(key) != size:
                continue  # it has the status already
            change: list[Op] = [(CF.INDEX, key, None)]
            stored = engine.get(CF.SESSIONS, key[-16:])
            with contextlib.suppress(IntegrityError, SchemaTooNew):
                if stored is not None:
                    status = bytes([_row(key[-16:], stored).status])
                    change.append((CF.INDEX, key[:-24] + status + key[-24:], b""))
            yield change


_BY_CREATION: Final = {INDEX_TAG: 33, INDEX_CREATOR: 33, INDEX_METADATA: 33, INDEX_PARENT: 41}
"""The kinds of entries that have had no status before format 3, and how long they were."""
_STEPS: Final[dict[int, tuple[Callable[[Engine], Iterator[list[Op]]], ...]]] = {
    2: (_list_artifacts, partial(_list_configured, kind=INDEX_DEADLINE), _list_events),
    3: (_list_by_status, _list_by_parent, partial(_list_configured, kind=INDEX_LIFETIME)),
}
"""What each format needs besides what the formats before it have. A step may be done again: it finds its own work."""
