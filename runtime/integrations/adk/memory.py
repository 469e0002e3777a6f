"""ADK's memory service on the text search of artifacts.

What a user's agents may remember are artifacts of one session, `adk:memory:["app","user"]`: each has the memory as its
content, and its words where the search finds them. Its name is made of the session and the memory's id, and its tags
are the two.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Final, cast
from uuid import uuid4

from google.adk.events.event import Event
from google.adk.memory.base_memory_service import BaseMemoryService, SearchMemoryResponse
from google.adk.memory.memory_entry import MemoryEntry
from google.adk.sessions.session import Session as AdkSession

from greenroom.runtime import ArtifactInfo, ArtifactNotFound, Runtime, Session, SessionNotFound
from greenroom.runtime.messages import StoreArtifact

from ..json_forms import require_form, written
from ..opening import Adapter, Opened
from .names import home_key, tag

if TYPE_CHECKING:
    from greenroom.runtime import AsyncRuntime

__all__ = ["GreenroomMemoryService"]

_FORGOTTEN: Final = "forgotten:"
"""Begins the names of variables that say which memories must not come back."""
_MOST_FOUND: Final = 10
_MOST_WORDS: Final = 32
"""The words of a query that are looked for."""
_LONGEST_WORD: Final = 1000
"""The characters of a word that the search of the store is asked for."""
_CANDIDATES: Final = 1000
_INDEXED: Final = 16_000
"""The characters of a memory that are searched."""


class GreenroomMemoryService(Adapter, BaseMemoryService):
    """Keeps what agents may remember of a user, and finds the ten memories that have most of a query's words.

    `runtime` is an open runtime or the path of a store; what was opened from a path, `close` closes.
    """

    def __init__(self, runtime: Runtime | AsyncRuntime | str | os.PathLike[str]) -> None:
        self._opened = Opened(runtime)

    def __repr__(self) -> str:
        return f"<GreenroomMemoryService on {self._opened.runtime!r}>"

    # -- the interface

    async def add_session_to_memory(self, session: AdkSession) -> None:
        """Remember the events of a session that have content, in place of those that were remembered of it before."""
        entries = [_entry(event) for event in session.events if event.content and event.content.parts]
        await self._opened.run(self._add, session.app_name, session.user_id, entries, session.id, whole=True)

    async def add_events_to_memory(
        self,
        *,
        app_name: str,
        user_id: str,
        events: Sequence[Event],
        session_id: str | None = None,
        custom_metadata: Mapping[str, object] | None = None,
    ) -> None:
        """Remember more events. Those that are remembered already are left as they are."""
        entries = [_entry(event, custom_metadata) for event in events if event.content and event.content.parts]
        await self._opened.run(self._add, app_name, user_id, entries, session_id)

    async def add_memory(
        self,
        *,
        app_name: str,
        user_id: str,
        memories: Sequence[MemoryEntry],
        custom_metadata: Mapping[str, object] | None = None,
    ) -> None:
        """Remember these. One without an id gets one."""
        entries = [
            each.model_copy(
                update={
                    "id": each.id or str(uuid4()),
                    "custom_metadata": {**(custom_metadata or {}), **each.custom_metadata},
                }
            )
            for each in memories
        ]
        await self._opened.run(self._add, app_name, user_id, entries, None)

    async def search_memory(self, *, app_name: str, user_id: str, query: str) -> SearchMemoryResponse:
        """Return at most ten memories, those first that have most words of the query."""
        return await self._opened.run(self._search, app_name, user_id, query)

    async def delete_memory(self, *, app_name: str, user_id: str, memory_id: str | None = None) -> None:
        """Forget a memory. It does not come back with the session that it came from."""
        if memory_id:
            await self._opened.run(self._forget, app_name, user_id, memory_id)

    # -- on the runtime

    def _home(self, app_name: str, user_id: str) -> Session | None:
        try:
            return self._opened.runtime.session(key=home_key("memory", app_name, user_id))
        except SessionNotFound:
            return None

    def _add(
        self, app_name: str, user_id: str, entries: list[MemoryEntry], session_id: str | None, *, whole: bool = False
    ) -> None:
        home = self._opened.runtime.get_or_create(
            home_key("memory", app_name, user_id),
            name=f"memory of {user_id}".encode("utf-8", "replace").decode()[:255],
        )
        of_session = tag(session_id or "")
        old = list(home.query_artifacts(tags=[of_session], limit=None))
        forgotten = {key.removeprefix(_FORGOTTEN) for key in home.variables(_FORGOTTEN)}
        # Of two with the same id, the first.
        wanted = {
            tag(session_id or "", each.id or ""): (each, _stored(each))
            for each in reversed(entries)
            if _tag_of(each.id or "") not in forgotten
        }
        if whole:
            digests = {name: _digest(content) for name, (_, content) in wanted.items()}
            same = [info for info in old if info.custom.get("digest") == digests.get(info.name, "")]
            if len(same) < len(old):
                home.delete_many([info.id for info in old if info.custom.get("digest") != digests.get(info.name, "")])
            old = same
        there = {info.name for info in old}
        new = [
            StoreArtifact(
                "memory",
                name,
                content,
                mime_type="application/json",
                tags=[of_session, _tag_of(entry.id or "")],
                metadata={"words": _text(entry)[:_INDEXED], "digest": _digest(content)},
            )
            for name, (entry, content) in reversed(wanted.items())
            if name not in there
        ]
        if new:
            home.store_many(new)

    def _search(self, app_name: str, user_id: str, query: str) -> SearchMemoryResponse:
        home = self._home(app_name, user_id)
        words = sorted(_words(query))[:_MOST_WORDS]
        if home is None or not words:
            return SearchMemoryResponse()
        found: dict[str, ArtifactInfo] = {}
        for word in words:
            for info in home.query_artifacts(text=word[:_LONGEST_WORD], artifact_type="memory", limit=_CANDIDATES):
                found[info.name] = info
        scored = []
        for info in found.values():
            text = str(cast("Mapping[str, object]", info.custom).get("words", ""))
            own, lower = _searchable(text), unicodedata.normalize("NFC", text).lower()
            matches = sum(1 for word in words if word in own or (not word.isascii() and word in lower))
            if matches:
                scored.append((-matches, info.created_at, info.id.sequence, info))
        scored.sort(key=lambda each: each[:3])
        memories = []
        for *_, info in scored[:_MOST_FOUND]:
            try:
                memories.append(MemoryEntry.model_validate(json.loads(home.get_artifact(info.id).content)))
            except ArtifactNotFound:
                continue  # forgotten meanwhile
        return SearchMemoryResponse(memories=memories)

    def _forget(self, app_name: str, user_id: str, memory_id: str) -> None:
        home = self._home(app_name, user_id)
        if home is None:
            return
        versions = home.query_artifacts(tags=[_tag_of(memory_id)], limit=None)
        if versions:
            with home.batch() as batch:
                batch.set(_FORGOTTEN + _tag_of(memory_id), True)
                for info in versions:
                    batch.delete_artifact(info.id)


def _entry(event: Event, custom: Mapping[str, object] | None = None) -> MemoryEntry:
    assert event.content is not None
    when = datetime.fromtimestamp(event.timestamp).isoformat()
    return MemoryEntry(
        id=event.id, content=event.content, author=event.author, timestamp=when, custom_metadata=dict(custom or {})
    )


def _tag_of(memory_id: str) -> str:
    return tag("memory", memory_id, "")  # three texts: those of sessions have one


def _stored(entry: MemoryEntry) -> bytes:
    require_form(written(entry.model_dump, "memory"), "memory")
    try:
        return entry.model_dump_json(exclude_none=True).encode()
    except ValueError:  # lone surrogates, which only an escape in JSON can hold
        return written(lambda: json.dumps(entry.model_dump(mode="json", exclude_none=True)), "memory").encode()


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def _text(entry: MemoryEntry) -> str:
    return " ".join(part.text for part in entry.content.parts or () if part.text)


def _words(text: str) -> set[str]:
    return {word.lower() for word in re.findall(r"\w+", unicodedata.normalize("NFC", text))}


def _searchable(text: str) -> set[str]:
    """Return the words of a text; of those that mix scripts, as Japanese with Latin names, each part too."""
    words = _words(text)
    parts: Iterable[str] = (
        "".join(run)
        for word in words
        if not word.isascii()
        for _, run in itertools.groupby(word, lambda c: c.isascii() or unicodedata.name(c, "").startswith("LATIN"))
    )
    return words | set(parts)
