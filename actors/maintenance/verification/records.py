"""Check the records of a session: each entry against the newest event that names its key, and its value against the
hash in it."""

from __future__ import annotations

from greenroom.actors.session.projection import LOST, record_references
from greenroom.storage.codec.keys import session_id_of
from greenroom.storage.content.chunks import Reference, content_digest
from greenroom.storage.engine.engine import CF, Op
from greenroom.storage.errors import IntegrityError, SchemaTooNew
from greenroom.storage.records.model import (
    IN_CONTENT,
    LOST_VALUE,
    RECORDS_CHANGED,
    RecordChange,
    StoredRecord,
    place_of,
)
from greenroom.storage.records.records import record_entry, record_key, stored_record

from .expected import Derived
from .findings import DAMAGE, Findings, quarantine
from .scan import Survey

__all__ = ["RecordChecks"]

_MARKED = "marked as damaged: it stays listed, reading it raises IntegrityError, putting it again repairs it"


class RecordChecks(Survey):
    """The checks of the records of one session."""

    def _records(self, session: bytes, derived: Derived, found: Findings) -> None:
        expected = dict(derived.kept)
        for key, entry in self._store.records.entries(session):
            right = expected.pop(key, None)
            found.count("records")
            if right is None:
                self._unknown_record(session, key, entry, found)
                continue
            try:
                record = stored_record(record_key(session, key), entry)
            except SchemaTooNew as error:
                found.add("record", session_id_of(session), str(error))
                continue
            except IntegrityError as error:
                self._restore_record(session, key, right, entry, str(error), found)
                continue
            if record.flags & LOST_VALUE:
                found.quarantined.append(f"{session_id_of(session)}/{key.hex()}")
                record = record._replace(flags=record.flags & ~LOST_VALUE)
            elif record.data is not None and self._hashing and content_digest(record.data) != record.hash:
                detail = f"the value of record {key!r} is not what its hash says"
                self._restore_record(session, key, right, entry, detail, found)
                continue
            if record._replace(data=None) != right:
                detail = f"record {key!r} is not what its journal says"
                self._restore_record(session, key, right, entry, detail, found)
        for key, right in expected.items():
            if derived.lost_after > right.sequence:
                continue  # the event that was lost may have deleted it
            self._restore_record(session, key, right, None, f"record {key!r} is missing", found)

    def _unknown_record(self, session: bytes, key: bytes, entry: bytes, found: Findings) -> None:
        place = record_key(session, key)
        ops: list[Op] = [quarantine(CF.INDEX, place, entry), (CF.INDEX, place, None)]
        detail = f"has record {key!r} that its journal does not know"
        found.add("record", session_id_of(session), detail, ops, "moved to quarantine")

    def _restore_record(
        self, session: bytes, key: bytes, right: StoredRecord, entry: bytes | None, detail: str, found: Findings
    ) -> None:
        """Write an entry anew from its event; mark it as damaged if its value was in the entry itself."""
        place = record_key(session, key)
        keep = [quarantine(CF.INDEX, place, entry)] if entry is not None else []
        if right.flags & IN_CONTENT:
            ops = [*keep, record_entry(session, key, right)]
            found.add("record", session_id_of(session), detail, ops, "written anew")
            return
        ops = [*keep, record_entry(session, key, right._replace(flags=right.flags | LOST_VALUE))]
        found.add("record", session_id_of(session), detail, ops, _MARKED)
        if self._repair:
            found.quarantined.append(f"{session_id_of(session)}/{key.hex()}")

    def _holds_record(self, digest: bytes, reference: Reference) -> bool:
        """Return whether a record refers to a content by this reference. Raises IntegrityError, SchemaTooNew."""
        session = reference.session
        sequence, position = place_of(reference.sequence)
        if not self._store.journal.holds(session, sequence):
            return False
        stored = self._store.journal.stored(session, sequence)
        changes = stored.data.get("changes", []) if stored.type in (RECORDS_CHANGED, LOST) else []
        if position >= len(changes):
            return False
        key = RecordChange.of(changes[position]).key
        try:
            record = self._store.records.get(session, key)
        except DAMAGE:
            return True  # reported with the session; its event says what it refers to
        return record is not None and (digest, reference) in record_references(session, [record]).held
