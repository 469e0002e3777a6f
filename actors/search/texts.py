"""Read the texts of a session that are searched: its turns, its artifacts, its name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from greenroom.actors.messages.conversation import Turn, stored_turn
from greenroom.actors.session.answers.turns import turn_head, turns_of
from greenroom.actors.store import ArtifactStore
from greenroom.storage.artifacts.model import ArtifactRecord
from greenroom.storage.artifacts.words import texts_of
from greenroom.storage.codec.keys import INDEX_MESSAGE, sequence_key
from greenroom.storage.codec.records import unpack_value
from greenroom.storage.engine.engine import CF
from greenroom.storage.errors import ArtifactNotFound, IntegrityError, SchemaTooNew
from greenroom.storage.events.model import StoredEvent
from greenroom.storage.search.model import KINDS, Document

__all__ = [
    "MAX_INDEXED",
    "added_documents",
    "artifact_document",
    "artifact_text",
    "name_document",
    "read_turn_text",
    "turn_documents",
]

MAX_INDEXED: Final = 1 << 20
"""How many bytes of an artifact, or characters of a turn, are indexed."""
_TOGETHER: Final = 50
"""How many turns are in memory at once: each may be long."""
_MESSAGE: Final = KINDS.index("message")
_ARTIFACT: Final = KINDS.index("artifact")
_NAME: Final = KINDS.index("name")
_DAMAGED: Final = (IntegrityError, SchemaTooNew, ArtifactNotFound)
_TEXT_TYPES: Final = frozenset(
    {
        "application/json",
        "application/javascript",
        "application/toml",
        "application/xml",
        "application/x-ndjson",
        "application/x-sh",
        "application/x-yaml",
        "application/yaml",
        "application/sql",
        "image/svg+xml",
    }
)


def turn_documents(store: ArtifactStore, session: bytes, turns: Iterable[int]) -> Iterator[Document]:
    """Yield the texts of turns as they are now; empty ones for turns that are retracted or damaged."""
    rest = iter(sorted(turns))
    while some := list(islice(rest, _TOGETHER)):
        yield from _turn_documents(store, session, some)


def added_documents(
    store: ArtifactStore, session: bytes, added: Mapping[int, StoredEvent]
) -> tuple[list[Document], list[int]]:
    """Return the texts of turns as the events that added them tell them, and the turns of which they do not tell all:
    those that were changed since, or are kept as contents."""
    documents: list[Document] = []
    later: list[int] = []
    if not added:
        return documents, later
    prefix = INDEX_MESSAGE + session
    begin, end = sequence_key(prefix, min(added)), sequence_key(prefix, max(added) + 1)
    heads = {int.from_bytes(key[-8:], "big"): head for key, head in store.engine.entries(CF.INDEX, begin, end)}
    for turn, stored in added.items():
        content = stored.data.get("content")
        if heads.get(turn) == b"" and content is not None and "metadata_hash" not in stored.data:
            text = stored_turn(turn, stored.time, stored.data, content).text
            documents.append(Document(_MESSAGE, turn, turn, "", text[:MAX_INDEXED]))
        else:
            later.append(turn)
    return documents, later


def _turn_documents(store: ArtifactStore, session: bytes, turns: Iterable[int]) -> Iterator[Document]:
    heads: dict[int, int] = {}
    for turn in turns:
        head = turn_head(store.engine, session, turn)
        if head is None:
            yield Document(_MESSAGE, turn, 0, "", "")
        else:
            heads[turn] = head.sequence
    try:
        found = turns_of(store, session, heads)
    except _DAMAGED:
        found = []
        for turn, head_sequence in heads.items():
            found += _one_turn(store, session, turn, head_sequence)
    texts = {each.sequence: each.text[:MAX_INDEXED] for each in found}
    for turn, version in heads.items():
        yield Document(_MESSAGE, turn, version, "", texts.get(turn, ""))


def _one_turn(store: ArtifactStore, session: bytes, turn: int, head: int) -> list[Turn]:
    try:
        return turns_of(store, session, {turn: head})
    except _DAMAGED:
        return []


def read_turn_text(store: ArtifactStore, session: bytes, turn: int, version: int) -> Turn | None:
    """Return a turn, if its newest event is this one and it can be read."""
    head = turn_head(store.engine, session, turn)
    if head is None or head.sequence != version:
        return None
    return next(iter(_one_turn(store, session, turn, version)), None)


def artifact_document(store: ArtifactStore, session: bytes, number: int) -> Document:
    """Return the text of an artifact; an empty one if it is gone or damaged."""
    try:
        record = store.artifacts.record(session, number)
    except _DAMAGED:
        record = None
    if record is None:
        return Document(_ARTIFACT, number, 0, "", "")
    return Document(_ARTIFACT, number, 0, record.name, artifact_text(store, record, MAX_INDEXED))


def artifact_text(store: ArtifactStore, record: ArtifactRecord, most: int) -> str:
    """Return description, tags, custom values and content of an artifact, a line each. Of content that is no text
    there is nothing, and of a longer one the first `most` bytes."""
    custom = texts_of(unpack_value(record.custom)) if len(record.custom) > 1 else ()
    parts = [record.description or "", " ".join(record.tags), " ".join(custom)]
    if record.mime_type.startswith("text/") or record.mime_type in _TEXT_TYPES or record.mime_type.endswith("+json"):
        try:
            with store.contents.open(record.content_hash, cached=False) as stream:
                parts.append(stream.read(most).decode("utf-8", "replace"))
        except _DAMAGED:
            pass
    return "\n".join(part for part in parts if part)


def name_document(store: ArtifactStore, session: bytes) -> Document:
    """Return the name and the description of a session."""
    row = store.catalog.readable_row(session)
    if row is None:
        return Document(_NAME, 0, 0, "", "")
    return Document(_NAME, 0, 0, row.name or "", row.description or "")
