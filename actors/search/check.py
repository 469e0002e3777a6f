"""Compare the full-text index with the store, text by text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from greenroom.actors.store import ArtifactStore
from greenroom.storage.codec.keys import INDEX_MESSAGE, after_prefix, session_id_of
from greenroom.storage.engine.engine import CF
from greenroom.storage.errors import IntegrityError, SchemaTooNew, SessionNotFound
from greenroom.storage.search.index import IndexFile
from greenroom.storage.search.model import Document

from .texts import artifact_document, name_document, turn_documents

__all__ = ["compare_index"]

_PAGE: Final = 500
_ROUNDS: Final = 3


def compare_index(store: ArtifactStore, file: IndexFile, catch_up: Callable[[bytes], object]) -> Iterator[str]:
    """Yield what is wrong with the index. A session that changes meanwhile is indexed (`catch_up`) and compared
    again."""
    damage = file.damage()
    if damage is not None:
        yield damage
        return
    for session in _sessions(store, file):
        for round_ in range(_ROUNDS):
            try:
                wrong = _wrong(store, file, session)
            except (SessionNotFound, IntegrityError, SchemaTooNew):
                wrong = None  # deleted meanwhile, or damaged, which is reported elsewhere
            if wrong is None:
                break
            if round_ == _ROUNDS - 1:
                yield f"session {session_id_of(session)}: {wrong}"
            catch_up(session)


def _sessions(store: ArtifactStore, file: IndexFile) -> Iterator[bytes]:
    yield from store.catalog.sessions()
    for session in file.sessions():
        if not store.catalog.is_there(session):
            yield session


def _wrong(store: ArtifactStore, file: IndexFile, session: bytes) -> str | None:
    """Return what is wrong with the texts of a session; None if they are right."""
    there = file.texts(session)
    for document in _documents(store, session):
        found = there.pop((document.kind, document.number), None)
        if not document.title and not document.body:
            if found is not None:
                return "a text is in the index that the session does not have"
        elif found is None:
            return "a text of it is not in the index"
        elif not file.has(found, document):
            return "a text of it is in the index with other words"
    return "texts are in the index that the session does not have" if there else None


def _documents(store: ArtifactStore, session: bytes) -> Iterator[Document]:
    if not store.catalog.is_there(session):
        return
    yield name_document(store, session)
    prefix = INDEX_MESSAGE + session
    turns = (int.from_bytes(key[-8:], "big") for key, _ in store.engine.pages(CF.INDEX, prefix, after_prefix(prefix)))
    for page in _paged(turns):
        yield from turn_documents(store, session, page)
    keys = store.engine.pages(CF.ARTIFACTS, session, after_prefix(session))
    yield from (artifact_document(store, session, int.from_bytes(key[16:], "big")) for key, _ in keys)


def _paged(turns: Iterable[int]) -> Iterator[list[int]]:
    rest = iter(turns)
    while page := list(islice(rest, _PAGE)):
        yield page
