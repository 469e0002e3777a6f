"""Check records and index entries from their own side: each must belong to something that confirms it."""

from __future__ import annotations

from typing import Final

from greenroom.actors.session.loading import load_state
from greenroom.actors.session.projection import brought_by
from greenroom.actors.session.state.grants import shared_keys
from greenroom.actors.session.state.shares import whole_entries
from greenroom.storage.audit import AUDIT, audit_entries
from greenroom.storage.catalog.catalog import Catalog
from greenroom.storage.codec.keys import (
    COUNTS_KEY,
    INDEX_CREATED,
    INDEX_CREATOR,
    INDEX_DEADLINE,
    INDEX_LIFETIME,
    INDEX_METADATA,
    INDEX_PARENT,
    INDEX_TAG,
    INDEX_UPDATED,
    QUOTA_KEY,
    TOTALS_KEY,
    after_prefix,
    key_entry,
    session_id_of,
)
from greenroom.storage.codec.records import unseal
from greenroom.storage.content.chunks import ARTIFACT, EVENT, MESSAGE, RECORD, Reference
from greenroom.storage.content.staging import IMPORT, staged_imports, staged_sessions
from greenroom.storage.engine.engine import CF, Op
from greenroom.storage.errors import IntegrityError, SessionNotFound
from greenroom.storage.records.records import RECORD_ENTRY

from .findings import DAMAGE, PROBLEM_KINDS, Findings, kind_of, quarantine
from .records import RecordChecks

__all__ = ["BY_TAIL", "EntryChecks"]

BY_TAIL: Final = (
    INDEX_CREATED,
    INDEX_UPDATED,
    INDEX_TAG,
    INDEX_CREATOR,
    INDEX_PARENT,
    INDEX_METADATA,
    INDEX_DEADLINE,
    INDEX_LIFETIME,
)

_FAMILIES: Final = {ARTIFACT: CF.ARTIFACTS, MESSAGE: CF.JOURNAL, EVENT: CF.JOURNAL}
"""The family of the records that refer to content, by the kind of the reference."""


class EntryChecks(RecordChecks):
    """The checks of one record or entry."""

    def _stray(self, place: bytes, found: Findings) -> None:
        cf, skip, key = place[0], place[1], place[2:]
        session = key[skip : skip + 16]
        if self._exists(session) or session in staged_sessions(self._engine):
            return
        prefix = key[: skip + 16]
        ops: list[Op] = []
        for each, value in self._engine.pages(cf, prefix, after_prefix(prefix)):
            if cf == CF.ARTIFACTS or key[:1] == RECORD_ENTRY:
                ops.append(quarantine(cf, each, value))
            ops.append((cf, each, None))
        if ops:
            detail = "has artifact records" if cf == CF.ARTIFACTS else f"has index entries of kind {kind_of(key)}"
            found.add(PROBLEM_KINDS[cf], session_id_of(session), f"{detail} and no journal", ops, "removed")

    def _totals(self, found: Findings) -> None:
        """Check the counts that are kept to save counting."""
        if self._store.catalog.miscounted():
            forget: list[Op] = [(CF.META, COUNTS_KEY, None)]
            found.add("count", "sessions", "the numbers of sessions by status are wrong", forget, "counted anew")
        if self._store.quota is not None and self._store.quota.miscounted():
            forget = [(CF.META, QUOTA_KEY, None)]
            found.add("count", "content bytes", "the bytes of all contents are wrong", forget, "counted anew")

        if self._store.totals.miscounted():
            forget = [(CF.META, TOTALS_KEY, None)]
            found.add("count", "content totals", "the figures of all contents are wrong", forget, "counted anew")

    def _index_entry(self, key: bytes, found: Findings) -> None:
        session = key[-16:]
        try:
            row = self._store.catalog.row(session)
            last = self._store.journal.last(session)
        except DAMAGE:
            return  # reported with the session
        if row is not None and last is not None and key in Catalog.index_keys(session, row, last[1].time):
            return
        if row is None and session in staged_sessions(self._engine):
            return
        self._unfit(key, session, "that does not fit its row", found)

    def _key_entry(self, key: bytes, found: Findings) -> None:
        """Check an entry from a key to the session that has it: the session must confirm it."""
        session = self._engine.get(CF.INDEX, key)
        if session is None:
            return  # the session was deleted meanwhile
        try:
            row = self._store.catalog.row(session)
        except DAMAGE:
            return  # reported with the session
        if row is None or row.key is None or key_entry(row.key) != key:
            owner = session_id_of(session) if len(session) == 16 else ""
            detail = f"has an index entry of kind {kind_of(key)} that does not fit its row"
            found.add("index", owner, detail, [(CF.INDEX, key, None)], "removed")

    def _artifact_entry(self, key: bytes, found: Findings) -> None:
        """Check an entry that finds an artifact across sessions: it ends in session and number."""
        self._brought(CF.ARTIFACTS, key, "artifact", found)

    def _event_entry(self, key: bytes, found: Findings) -> None:
        """Check an entry that finds an event: it ends in session and sequence."""
        self._brought(CF.JOURNAL, key, "event", found)

    def _brought(self, family: int, key: bytes, what: str, found: Findings) -> None:
        session, number = key[-24:-8], int.from_bytes(key[-8:], "big")
        try:
            if (CF.INDEX, key, b"") in brought_by(self._store, family, session, number).ops:
                return
        except DAMAGE:
            return  # reported with the session
        self._unfit(key, session, f"for {what} {number} that does not fit it", found)

    def _shared_entry(self, key: bytes, found: Findings) -> None:
        """Check an entry from a grantee to what is shared with it: the owner must confirm it."""
        owner = key[17:33]
        try:
            state = load_state(self._store, session_id_of(owner))[0]
        except SessionNotFound:
            state = None
        except DAMAGE:
            return  # reported with the session
        if state is not None and (key in shared_keys(state) or key in dict(whole_entries(state))):
            return
        self._unfit(key, owner, "for something that it does not share", found)

    def _audit_record(self, key: bytes, found: Findings) -> None:
        stored = self._engine.get(CF.META, key)
        if stored is None:
            return  # deleted meanwhile for its age
        place = key[-8:]
        try:
            entries = audit_entries(unseal(key, stored, "an audit record"), place)
        except IntegrityError as error:
            ops = [quarantine(CF.META, key, stored), (CF.META, key, None)]
            found.add("audit", str(int.from_bytes(place, "big")), str(error), ops, "moved to quarantine")
            return
        missing: list[Op] = [(CF.META, each, b"") for each in entries if self._engine.get(CF.META, each) is None]
        if missing:
            found.add("audit", str(int.from_bytes(place, "big")), "is not in its index", missing, "written anew")

    def _audit_entry(self, key: bytes, found: Findings) -> None:
        record_key = AUDIT + key[-8:]
        stored = self._engine.get(CF.META, record_key)
        try:
            if stored is not None and key in audit_entries(unseal(record_key, stored, "an audit record"), key[-8:]):
                return
        except DAMAGE:
            return  # reported with the record
        if self._engine.get(CF.META, key) is not None:
            place = str(int.from_bytes(key[-8:], "big"))
            found.add("audit", place, "its index has an entry that does not fit it", [(CF.META, key, None)], "removed")

    def _reference(self, key: bytes, found: Findings) -> None:
        digest, reference = Reference.parse(key)
        session = reference.session
        try:
            if reference.kind == IMPORT:
                held = session in staged_imports(self._engine)
            elif reference.kind == RECORD:
                held = self._holds_record(digest, reference)
            elif reference.kind in _FAMILIES:
                brought = brought_by(self._store, _FAMILIES[reference.kind], session, reference.sequence)
                held = (digest, reference) in brought.held
            else:
                return
        except DAMAGE:
            return  # reported as such
        if not held and self._engine.get(CF.REFERENCES, key) is not None:
            detail = f"is held by {session_id_of(session)}, which does not refer to it"
            found.add("reference", digest.hex(), detail, [(CF.REFERENCES, key, None)], "released")

    def _unfit(self, key: bytes, session: bytes, why: str, found: Findings) -> None:
        if self._engine.get(CF.INDEX, key) is not None:
            detail = f"has an index entry of kind {kind_of(key)} {why}"
            found.add("index", session_id_of(session), detail, [(CF.INDEX, key, None)], "removed")
