"""What is shown of a text that a search has found, as the store has it now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from greenroom.actors.search.texts import artifact_text, read_turn_text
from greenroom.actors.store import ArtifactStore
from greenroom.storage.artifacts.model import ArtifactId
from greenroom.storage.common.session_ids import session_id_of
from greenroom.storage.common.times import utc_time
from greenroom.storage.errors import IntegrityError, SchemaTooNew
from greenroom.storage.search.model import KINDS, Found, SearchHit
from greenroom.storage.search.query import Term
from greenroom.storage.search.snippet import snippet_of

__all__ = ["read_hit"]

_SHOWN_BYTES: Final = 1 << 16


def read_hit(store: ArtifactStore, found: Found, terms: Sequence[Term]) -> SearchHit | None:
    """Return what is shown of a text; None if it is gone, damaged, or has changed."""
    try:
        return _READERS[found.kind](store, found, terms)
    except (IntegrityError, SchemaTooNew):
        return None


def _message(store: ArtifactStore, found: Found, terms: Sequence[Term]) -> SearchHit | None:
    turn = read_turn_text(store, found.session, found.number, found.version)
    if turn is None:
        return None
    part, marks = snippet_of(turn.text, terms)
    return SearchHit(
        "message", session_id_of(found.session), found.score, part, marks, turn.created_at, turn.sequence, turn.role
    )


def _artifact(store: ArtifactStore, found: Found, terms: Sequence[Term]) -> SearchHit | None:
    record = store.artifacts.record(found.session, found.number)
    if record is None:
        return None
    session_id = session_id_of(found.session)
    part, marks = snippet_of(artifact_text(store, record, _SHOWN_BYTES), terms)
    part, marks = (part, marks) if marks else snippet_of(record.name, terms)
    identity, created_at = ArtifactId(record.content_hash.hex(), session_id, found.number), utc_time(record.time)
    return SearchHit("artifact", session_id, found.score, part, marks, created_at, artifact=identity, name=record.name)


def _name(store: ArtifactStore, found: Found, terms: Sequence[Term]) -> SearchHit | None:
    row = store.catalog.row(found.session)
    if row is None:
        return None
    part, marks = snippet_of(" · ".join(each for each in (row.name, row.description) if each), terms)
    if not marks:
        return None  # it was renamed
    session_id, created_at = session_id_of(found.session), utc_time(row.created_at)
    return SearchHit("name", session_id, found.score, part, marks, created_at, name=row.name)


_READERS: Final = tuple({"message": _message, "artifact": _artifact, "name": _name}[kind] for kind in KINDS)
