"""LangGraph's long-term memory in a session: items in namespaces, found by filters, words or vectors."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from typing import Any, Final

from langchain_core.embeddings import Embeddings
from langgraph.store.base import (
    BaseStore,
    GetOp,
    IndexConfig,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    ensure_embeddings,
    get_text_at_path,
)

from greenroom.runtime import AsyncRuntime, GreenroomError, Runtime, Session, SessionNotFound, ValidationError
from greenroom.runtime.integrations.opening import Adapter, Opened

from .checkpoints.threads import held
from .found import MICRO, Found, Items, Row, live
from .items import (
    item_key,
    namespace_key,
    read_vectors,
    vectors_key,
    written_vectors,
)
from .keys import STORE_KEY
from .namespaces import namespaces_in
from .operations import Plan, namespace_of, planned, row_of
from .ranking import entries, similarities, text_scores, texts_in

__all__ = ["GreenroomStore"]

_MOST_PUTS: Final = 2500
"""Items that one write puts or deletes, each with its vectors."""
_REFRESH_SHARE: Final = 0.01
"""An expiry is put off by a read only if that moves it by more than this share of the time to live."""
_SWEEP_MINUTES: Final = 5.0
_PAGE: Final = 256

Scored = tuple[float | None, Found]


class GreenroomStore(Adapter, BaseStore):
    """Keeps the long-term memory of LangGraph's agents in a greenroom store, in the session "langgraph:store".

    `runtime` is a Runtime, an AsyncRuntime, or the path of a store which is opened here and closed by `close`. With an
    `index` that has an embedding function, `search` finds items by their vectors; without one, by the words of the
    query. With `ttl`, items expire as it says. An item that has expired is never returned, and is deleted by
    `sweep_ttl`, which `start_ttl_sweeper` calls from time to time.

    Raises ValidationError for what cannot be stored, and whatever the session raises.

    Example:
        ```py
        store = GreenroomStore(runtime)
        store.put(("users", "7"), "likes", {"food": "olives"}, ttl=60)
        store.search(("users",), query="olives", limit=3)
        ```
    """

    supports_ttl = True

    def __init__(
        self,
        runtime: Runtime | AsyncRuntime | str | os.PathLike[str],
        *,
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
    ) -> None:
        self._fields = list((index or {}).get("fields") or ["$"])
        self._dims = index.get("dims") if index else None
        self._embeddings: Embeddings | None = ensure_embeddings(index.get("embed")) if index else None
        self.ttl_config = ttl
        self._opened = Opened(runtime)
        self._known: Session | None = None
        self._items = Items()
        self._sweeper: threading.Thread | None = None
        self._stop = threading.Event()

    # -- operations

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Do operations, and return their results in the same order. Reads see what was there before; of several puts
        to the same item the last counts; up to 2500 puts are one write."""
        plan = planned(ops, self._fields if self._embeddings is not None else None)
        if self._embeddings is not None:
            texts, queries = self._texts_of(plan), [*plan.queries]
            vectors = self._embeddings.embed_documents(texts) if texts else []
            asked = [self._embeddings.embed_query(query) for query in queries]
            return self._done(plan, dict(zip(texts, vectors, strict=True)), dict(zip(queries, asked, strict=True)))
        return self._done(plan, {}, {})

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Do what `batch` does, off the event loop."""
        plan = planned(ops, self._fields if self._embeddings is not None else None)
        if self._embeddings is not None:
            texts, queries = self._texts_of(plan), [*plan.queries]
            vectors = await self._embeddings.aembed_documents(texts) if texts else []
            asked = [await self._embeddings.aembed_query(query) for query in queries]
            found = dict(zip(texts, vectors, strict=True)), dict(zip(queries, asked, strict=True))
            return await self._opened.run(self._done, plan, *found)
        return await self._opened.run(self._done, plan, {}, {})

    @staticmethod
    def _texts_of(plan: Plan) -> list[str]:
        return [*dict.fromkeys(text for texts in plan.texts.values() for text in texts)]

    def _done(
        self, plan: Plan, vectors: Mapping[str, Sequence[float]], queries: Mapping[str, Sequence[float]]
    ) -> list[Result]:
        """Do what is planned, and return the results."""
        for each in (*vectors.values(), *queries.values()):
            if self._dims is not None and len(each) != self._dims:
                raise ValidationError(
                    f"index: vectors have {self._dims} numbers, the embedding function gave {len(each)}", field="index"
                )
        now = time.time_ns() // 1000
        used: list[bytes] = []
        if plan.reads:
            try:
                self._read_all(plan, now, queries, used)
            except SessionNotFound:  # somebody has deleted it
                self._known = None
                used.clear()
                self._read_all(plan, now, queries, used)
        if used:
            self._refresh(used, now)
        if plan.puts:
            self._put(plan, vectors, now)
        return plan.results

    def _session(self) -> Session | None:
        """Return the session of the store, or None if nothing was put yet."""
        if self._known is None:
            with suppress(SessionNotFound):
                self._known = self._opened.runtime.session(key=STORE_KEY)
        return self._known

    # -- reading

    def _read_all(self, plan: Plan, now: int, queries: Mapping[str, Sequence[float]], used: list[bytes]) -> None:
        session = self._session()
        for number, op in plan.reads:
            plan.results[number] = self._read(session, op, now, queries, used)

    def _read(
        self,
        session: Session | None,
        op: Op,
        now: int,
        queries: Mapping[str, Sequence[float]],
        used: list[bytes],
    ) -> Result:
        """Return the result of a read, and add the items to `used` whose expiry it puts off."""
        if isinstance(op, GetOp):
            key = item_key(namespace_of(op), op.key)
            row = live(session.records.get(key) if session is not None else None, now)
            if row is None:
                return None
            if op.refresh_ttl and "t" in row:
                used.append(key)
            namespace, name, created, updated = Found(key, row).fields
            return Item(value=row["v"], key=name, namespace=namespace, created_at=created, updated_at=updated)
        if isinstance(op, SearchOp):
            found = self._searched(session, op, now, queries) if session is not None else []
            used += [item.key for _, item in found if op.refresh_ttl and "t" in item.row]
            return [_search_item(item, score) for score, item in found]
        assert isinstance(op, ListNamespacesOp)
        return namespaces_in(session, op) if session is not None else []

    def _searched(
        self, session: Session, op: SearchOp, now: int, queries: Mapping[str, Sequence[float]]
    ) -> list[Scored]:
        prefix = namespace_key(tuple(op.namespace_prefix))
        end = op.offset + op.limit
        found: list[Found] = []
        wanted = entries(op.filter) if op.filter else None
        with closing(self._items.below(session, prefix, end if not op.query else _PAGE)) as items:
            for item in items:
                row = item.row
                if ("x" not in row or row["x"] > now) and (wanted is None or wanted(row["v"])):
                    found.append(item)
                    if not op.query and len(found) >= end:
                        break
        if not op.query:
            return [(None, item) for item in found[op.offset : end]]
        if self._embeddings is None:
            return self._by_words(found, op.query)[op.offset : end]
        return _by_vectors(session, found, prefix, queries[op.query])[op.offset : end]

    def _by_words(self, found: list[Found], query: str) -> list[Scored]:
        """Return the items that have words of the query, best first."""
        indexed = [item for item in found if item.row.get("f") is not False]
        texts = [" ".join(self._words_of(item.row)) for item in indexed]
        scored: list[Scored] = [
            (score, item) for score, item in zip(text_scores(query, texts), indexed, strict=True) if score > 0
        ]
        return sorted(scored, key=lambda each: each[0] or 0.0, reverse=True)

    def _words_of(self, row: Row) -> Iterator[str]:
        for path in row.get("f") or self._fields:
            yield from texts_in(row["v"]) if path == "$" else get_text_at_path(row["v"], path)

    # -- writing

    def _put(self, plan: Plan, vectors: Mapping[str, Sequence[float]], now: int) -> None:
        with held(STORE_KEY):
            ops = [*plan.puts.items()]
            for begin in range(0, len(ops), _MOST_PUTS):
                try:
                    self._put_some(ops[begin : begin + _MOST_PUTS], plan.texts, vectors, now)
                except SessionNotFound:  # somebody has deleted it
                    self._known = None
                    self._put_some(ops[begin : begin + _MOST_PUTS], plan.texts, vectors, now)

    def _put_some(
        self,
        ops: Sequence[tuple[bytes, PutOp]],
        texts: Mapping[bytes, list[str]],
        vectors: Mapping[str, Sequence[float]],
        now: int,
    ) -> None:
        session = self._session()
        values: dict[Any, object] = {}
        gone: list[bytes | str] = []
        for key, op in ops:
            before = session.records.get(key) if session is not None else None
            had_vectors = isinstance(before, dict) and before.get("e", False)
            if op.value is None:
                gone += [key] if before is not None else []
            else:
                values[key] = row_of(op, live(before, now), now, has_vectors=bool(texts.get(key)))
            if texts.get(key):
                values[vectors_key(key)] = written_vectors(vectors[text] for text in texts[key])
            elif had_vectors:
                gone.append(vectors_key(key))
        if session is None:
            if not values:
                return
            options = {"max_record_bytes": None, "max_records": None}
            session = self._opened.runtime.get_or_create(STORE_KEY, name="LangGraph's store", config=options)
        if not gone:
            session.records.put_many(values)
        elif not values:
            session.records.delete_many(gone)
        else:
            with session.batch() as batch:
                batch.records.put_many(values)
                batch.records.delete_many(gone)

    def _refresh(self, keys: list[bytes], now: int) -> None:
        """Put off when items expire. Reads them again, as they may have been put meanwhile."""
        with held(STORE_KEY), suppress(SessionNotFound):
            session = self._opened.runtime.session(key=STORE_KEY)
            values: dict[Any, object] = {}
            for key in dict.fromkeys(keys):
                row = live(session.records.get(key), now)
                if row is not None and "t" in row:
                    expires = now + int(row["t"] * 60 * MICRO)
                    if expires - row["x"] > row["t"] * 60 * MICRO * _REFRESH_SHARE:
                        values[key] = {**row, "x": expires}
            if values:
                session.records.put_many(values)

    # -- expiry

    def sweep_ttl(self) -> int:
        """Delete the items that have expired, and return how many there were. Reads all items."""
        now, session = time.time_ns() // 1000, self._session()
        if session is None:
            return 0
        with held(STORE_KEY), suppress(SessionNotFound):
            expired = [key for key, record in session.records.iterate(b"i") if live(record, now) is None]
            for begin in range(0, len(expired), _MOST_PUTS):
                keys = expired[begin : begin + _MOST_PUTS]
                session.records.delete_many([*keys, *map(vectors_key, keys)])
            return len(expired)
        return 0

    async def asweep_ttl(self) -> int:
        """Do what `sweep_ttl` does, off the event loop."""
        return await self._opened.run(self.sweep_ttl)

    def start_ttl_sweeper(self, sweep_interval_minutes: float | None = None) -> Future[None]:
        """Call `sweep_ttl` from time to time in a thread, and return a future whose cancellation ends that. Without
        `sweep_interval_minutes`, the interval is that of the configuration, or 5 minutes."""
        future: Future[None] = Future()
        if self._sweeper is None or not self._sweeper.is_alive():
            configured = (self.ttl_config or {}).get("sweep_interval_minutes")
            minutes = float(sweep_interval_minutes or configured or _SWEEP_MINUTES)
            self._stop.clear()
            self._sweeper = threading.Thread(
                target=self._sweep, args=(minutes * 60,), daemon=True, name="greenroom-langgraph-ttl"
            )
            self._sweeper.start()
        future.add_done_callback(lambda done: self._stop.set() if done.cancelled() else None)
        return future

    def _sweep(self, seconds: float) -> None:
        while not self._stop.wait(seconds):
            # A sweep that fails is made up for by the next one; the items that it leaves are returned by nothing.
            with suppress(GreenroomError):
                self.sweep_ttl()

    def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:
        """End what `start_ttl_sweeper` began, and return whether it has ended within `timeout` seconds."""
        self._stop.set()
        if self._sweeper is not None:
            self._sweeper.join(timeout)
        return self._sweeper is None or not self._sweeper.is_alive()

    # -- closing

    def close(self) -> None:
        """End the sweeper, and close the runtime if it was opened here."""
        self.stop_ttl_sweeper()
        super().close()

    def __repr__(self) -> str:
        return f"<GreenroomStore on {self._opened.runtime!r}>"


def _search_item(item: Found, score: float | None) -> SearchItem:
    namespace, name, created, updated = item.fields
    return SearchItem(namespace, name, item.value, created, updated, score)


def _by_vectors(session: Session, found: list[Found], prefix: bytes, query: Sequence[float]) -> list[Scored]:
    """Return items, those whose best vector is nearest first, and those that have none last."""
    rows = {item.key: item for item in found}
    keys: list[bytes] = []
    vectors: list[Sequence[float]] = []
    for key, record in session.records.iterate(vectors_key(prefix)):
        item = b"i" + key[1:]
        if item in rows:
            for vector in read_vectors(record):
                if len(vector) == len(query):  # a vector of another embedding function says nothing
                    keys.append(item)
                    vectors.append(vector)
    best: dict[bytes, float] = {}
    for item, score in zip(keys, similarities(query, vectors), strict=True):
        best[item] = max(score, best.get(item, -math.inf))
    ranked: list[Scored] = [(best[key], rows[key]) for key in sorted(best, key=lambda key: -best[key])]
    return ranked + [(None, item) for item in found if item.key not in best]
