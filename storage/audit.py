"""The audit log: which session tried to access what of another session, and whether access was granted.

Records are ordered by their *position*: their time in nanoseconds, made unique. Index entries lead from a session (the
one that acted, and the owner of what it accessed) and from an artifact to the positions of their records. A record is
never changed. The oldest are deleted when there are too many or they are too old. docs/format.md is the specification.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from greenroom.storage.artifacts.model import ArtifactId
from greenroom.storage.codec.keys import after_prefix, is_session_id, session_bytes
from greenroom.storage.codec.records import Value, seal, unseal
from greenroom.storage.common.page import Page
from greenroom.storage.common.times import iso_time, utc_time
from greenroom.storage.engine.engine import CF, Engine, Op

from .errors import IntegrityError, SchemaTooNew, ValidationError

__all__ = ["ACCESSES", "AUDIT", "AUDIT_INDEX", "AuditLog", "AuditRecord", "audit_entries"]

ACCESSES: Final = ("read", "write", "delete", "list", "share", "change_permissions")

AUDIT: Final = b"audit/"
"""First bytes of the keys of records in the `meta` family. The position follows."""
AUDIT_INDEX: Final = b"audit-of/"
"""First bytes of the index entries. They end in the position."""
_BY_SESSION: Final = b"s"
_BY_ARTIFACT: Final = b"a"
_LAST: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One attempt to access something across the border of a session. Times are aware UTC."""

    time: datetime
    session: str | None
    """The session that acted; None: the host."""
    owner: str | None
    """The session that owns the artifact or state; None if it belongs to no single session."""
    artifact: str | None
    """The id of the artifact, if it was an artifact."""
    access: str
    """read, write, delete, list, share or change_permissions."""
    granted: bool
    reason: str
    operation: str
    """What was called: the class of a message or the name of a method."""
    source: str | None = None
    """Who acted, such as "script:report" or "tool:search", if known."""
    correlation_id: str | None = None
    times: int = 1
    """How many attempts of this kind the record stands for: a flood of them is counted, not listed."""

    def to_dict(self) -> dict[str, Value]:
        """Return every field by name, with the time in RFC 3339."""
        row: dict[str, Value] = {each.name: getattr(self, each.name) for each in fields(self)}
        row["time"] = iso_time(self.time)
        return row


def audit_entries(record: list[Any], position: bytes) -> list[bytes]:
    """Return the keys of the index entries of a record."""
    session, owner, artifact = record[:3]
    named = dict.fromkeys(each for each in (session, owner) if is_session_id(each))
    keys = [AUDIT_INDEX + _BY_SESSION + session_bytes(each) + position for each in named]
    if artifact is not None:
        keys.append(_artifact_prefix(ArtifactId.parse(artifact)) + position)
    return keys


def _artifact_prefix(artifact: ArtifactId) -> bytes:
    return AUDIT_INDEX + _BY_ARTIFACT + session_bytes(artifact.session_id) + artifact.sequence.to_bytes(8, "big")


class AuditLog:
    """Reads audit records, and makes the operations that add and delete them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._last: int | None = None

    # -- changes

    def add(
        self,
        now: int,
        *,
        session: str | None,
        owner: str | None,
        artifact: str | None,
        access: str,
        granted: bool,
        reason: str,
        operation: str,
        source: str | None = None,
        correlation_id: str | None = None,
        times: int = 1,
    ) -> list[Op]:
        """Return the operations that write a record with the time `now` (in ns), or right after the newest record."""
        record = [session, owner, artifact, access, granted, reason, operation, source, correlation_id, times]
        position = self._place(now)
        key = AUDIT + position
        return [
            (CF.META, key, seal(key, record)),
            *((CF.META, entry, b"") for entry in audit_entries(record, position)),
        ]

    def _place(self, now: int) -> bytes:
        with self._lock:
            if self._last is None:
                newest = self._engine.last(CF.META, AUDIT)
                self._last = int.from_bytes(newest[0][-8:], "big") if newest is not None else 0
            self._last = min(max(now, self._last + 1), _LAST)
            return self._last.to_bytes(8, "big")

    def removal(self, limit: int, *, keep: int, before: int, count: int) -> tuple[list[Op], int]:
        """Return the operations that delete the oldest records, at most `limit`, and how many records they delete:
        those from before a time, and those beyond the number to `keep` of the `count` that there are."""
        ops: list[Op] = []
        removed = 0
        for key, stored in self._engine.scan(CF.META, AUDIT, after_prefix(AUDIT), limit=limit):
            position = key[-8:]
            if count - removed <= keep and int.from_bytes(position, "big") >= before:
                break
            with contextlib.suppress(IntegrityError, SchemaTooNew):  # `gc` removes the entries of a damaged record
                record = unseal(key, stored, "an audit record")
                ops += [(CF.META, entry, None) for entry in audit_entries(record, position)]
            ops.append((CF.META, key, None))
            removed += 1
        return ops, removed

    # -- reading

    def count(self) -> int:
        """Return how many records there are."""
        return self._engine.count(CF.META, AUDIT, after_prefix(AUDIT))

    def query(
        self,
        *,
        session: str | None = None,
        artifact: ArtifactId | None = None,
        access: str | None = None,
        granted: bool | None = None,
        after: int | None = None,
        before: int | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> Page[AuditRecord]:
        """Return the records that match, newest first, as a page with the `total` before pagination.

        `session` acted or was the owner; `after` ≤ time < `before`, in ns. With a session or an artifact, the cost
        follows the number of its records.
        """
        if access is not None and access not in ACCESSES:
            raise ValidationError(f"access: one of {', '.join(ACCESSES)}", field="access")
        prefix = AUDIT
        if artifact is not None:
            prefix = _artifact_prefix(artifact)
        elif session is not None:
            if not is_session_id(session):
                raise ValidationError("session: the id of a session is needed", field="session")
            prefix = AUDIT_INDEX + _BY_SESSION + session_bytes(session)
        begin = prefix + min(max(after or 0, 0), _LAST).to_bytes(8, "big")
        end = prefix + min(max(before, 0), _LAST).to_bytes(8, "big") if before is not None else after_prefix(prefix)
        plain = access is None and granted is None and (artifact is None or session is None)
        total = self._engine.count(CF.META, begin, end) if plain and begin < end else 0
        found: list[AuditRecord] = []
        seen = 0
        for position, record in self._records(begin, end) if begin < end else ():
            if access is not None and record[3] != access:
                continue
            if granted is not None and record[4] is not granted:
                continue
            if artifact is not None and session is not None and session not in record[:2]:
                continue
            seen += 1
            if seen > offset and (limit is None or len(found) < limit):
                found.append(AuditRecord(utc_time(int.from_bytes(position, "big")), *record))
            elif plain and seen > offset:
                break
        return Page(tuple(found), total if plain else seen, offset, limit)

    def _records(self, begin: bytes, end: bytes) -> Iterator[tuple[bytes, list[Any]]]:
        direct = begin.startswith(AUDIT)
        for key, value in self._engine.pages(CF.META, begin, end, reverse=True, page=256):
            position = key[-8:]
            stored = value if direct else self._engine.get(CF.META, AUDIT + position)
            if stored is not None:  # else the record has just been deleted
                record: list[Any] = unseal(AUDIT + position, stored, "an audit record")
                yield position, record
