"""LangGraph's checkpoints in sessions: one session for each thread."""

from __future__ import annotations

import builtins
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NoReturn, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    PendingWrite,
    get_checkpoint_metadata,
    writes_sort_key,
)
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from greenroom.runtime import AsyncRuntime, IntegrityError, Runtime, Session, SessionNotFound, ValidationError
from greenroom.runtime.integrations.opening import Adapter, Opened

from .cleaning import delete_checkpoints, needed
from .keys import parts_of, shown, text_of, thread_key
from .rows import (
    INLINE,
    CheckpointRow,
    Held,
    Typed,
    WriteRow,
    checkpoint_key,
    checkpoints_in,
    digest_of,
    id_part,
    mark_of,
    packed_value,
    typed_value,
    value_key,
    writes_key,
    writes_prefix,
)
from .threads import Threads, both_held, held
from .trees import digests_in, elements_of, is_long, joined, leaves_of, write_list, write_tree
from .values import Values

__all__ = ["GreenroomSaver"]

_COPY_BYTES: Final = 8 * 1024 * 1024
_PAGE: Final = 20
_VERSION_DIGITS: Final = 10
_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Place:
    """What a configuration points at."""

    thread: str
    namespace: str | None
    checkpoint: str | None

    @classmethod
    def of(cls, config: object) -> Place:
        """Return the place of a configuration. Raises ValidationError."""
        configurable = config.get("configurable") if isinstance(config, Mapping) else None
        if not isinstance(configurable, Mapping) or "thread_id" not in configurable:
            raise ValidationError(
                'config: {"configurable": {"thread_id": …}} is needed, this has no thread_id', field="config"
            )
        namespace = configurable.get("checkpoint_ns")
        return cls(
            text_of("thread_id", configurable["thread_id"]),
            _utf8("checkpoint_ns", namespace) if namespace is not None else None,
            _checkpoint_id(configurable),
        )

    @property
    def needed_checkpoint(self) -> str:
        """Return the checkpoint's id. Raises ValidationError if there is none."""
        if self.checkpoint is None:
            raise ValidationError("config: a checkpoint_id is needed to put writes", field="checkpoint_id")
        return self.checkpoint


class GreenroomSaver(Adapter, BaseCheckpointSaver[str]):
    """Keeps the checkpoints of LangGraph's graphs in a greenroom store, one session for each thread.

    `runtime` is a Runtime, an AsyncRuntime, or the path of a store which is opened here and closed by `close`. Each
    method has an async twin. A write is on disk as the runtime's durability says when the method returns.

    Raises ValidationError for a configuration or a value that cannot be used, and whatever the session raises.

    Example:
        ```py
        with GreenroomSaver("data") as saver:
            graph = builder.compile(checkpointer=saver)
            graph.invoke({"messages": ["Hello"]}, {"configurable": {"thread_id": "1"}})
        ```
    """

    def __init__(
        self, runtime: Runtime | AsyncRuntime | str | os.PathLike[str], *, serde: SerializerProtocol | None = None
    ) -> None:
        super().__init__(serde=serde)
        self._opened = Opened(runtime)
        self._threads = Threads(self._opened.runtime)
        self._values = Values()

    # -- putting

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint in one write, and return the configuration that leads to it.

        A value whose version is that of the parent is not serialized again.
        """
        place = Place.of(config)
        namespace = place.namespace or ""
        if not isinstance(checkpoint, Mapping) or not isinstance(checkpoint.get("channel_values", {}), Mapping):
            raise ValidationError("checkpoint: a checkpoint of LangGraph is needed", field="checkpoint")
        checkpoint_id = _utf8("checkpoint_id", checkpoint.get("id"))
        key = checkpoint_key(namespace, checkpoint_id)
        rest = {name: value for name, value in checkpoint.items() if name != "channel_values"}
        plain = self._typed(rest, "checkpoint")
        about = self._typed(get_checkpoint_metadata(config, metadata), "metadata")

        def store(session: Session | None) -> dict[Any, object]:
            parent = _row(session, checkpoint_key(namespace, place.checkpoint)) if place.checkpoint else None
            values: dict[bytes, bytes] = {}
            where = self._placed(session, checkpoint, new_versions, parent.held if parent is not None else {}, values)
            self._values.keep(values)
            row = CheckpointRow(place.checkpoint, plain, about, where, namespace)
            return {**{value_key(digest): content for digest, content in values.items()}, key: row.packed()}

        self._write(place.thread, store)
        return _config(config["configurable"]["thread_id"], namespace, checkpoint_id)

    def _placed(
        self,
        session: Session | None,
        checkpoint: Checkpoint,
        new_versions: ChannelVersions,
        before: Mapping[str, Held],
        values: dict[bytes, bytes],
    ) -> dict[str, Held]:
        """Return where the value of each channel stands, and add those that are not stored yet to `values`, by their
        hashes."""
        versions = checkpoint.get("channel_versions") or {}
        where: dict[str, Held] = {}
        for name, value in checkpoint.get("channel_values", {}).items():
            mark, was = mark_of(versions.get(name)), before.get(name)
            if was is not None and mark and was.mark == mark and name not in (new_versions or ()):
                where[name] = was
                continue
            before_it = self._digests(session, was) if session is not None and was is not None else ([], [])
            content, split = self._content(value, f"channel {shown(name)}", *before_it, values)
            digest = digest_of(content) if len(content) > INLINE else b""
            where[name] = Held(mark, content if not digest else None, digest, split)
            if digest:
                values[digest] = content
        return where

    def _content(
        self,
        value: object,
        what: str,
        nodes: Sequence[bytes],
        leaves: Sequence[bytes],
        values: dict[bytes, bytes],
    ) -> tuple[bytes, bool]:
        """Return the bytes of a value, and whether they are the top of a tree. Its parts are added to `values`, without
        the nodes and leaves that are stored already, under these hashes."""
        if not is_long(value):
            return packed_value(self._typed(value, what)), False

        known = {*nodes, *leaves}

        def add(digest: bytes, content: bytes) -> None:
            if digest not in known:
                values[digest] = content

        if type(self.serde) is JsonPlusSerializer:
            form, packed = self._typed(value, what)
            if form == "msgpack":
                return write_list(packed, add, self._values.kept(leaves)), True
        return write_tree(self._all_typed(cast("list[object]", value), what), add), True

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store the writes of a task, in one write. What the task has written before stays, except in the channels of
        errors, interrupts, resumes and schedules, where the new value replaces it."""
        place = Place.of(config)
        namespace, task = place.namespace or "", _utf8("task_id", task_id)
        key = writes_key(namespace, place.needed_checkpoint, task)
        path = _utf8("task_path", task_path)
        new = [
            WriteRow(path, task, WRITES_IDX_MAP.get(name, number), name, self._typed(value, f"channel {shown(name)}"))
            for number, (name, value) in enumerate(writes)
        ]
        if not new:
            return

        def packed(rows: dict[int, WriteRow]) -> bytes:
            for row in new:
                if row.index < 0 or row.index not in rows:
                    rows[row.index] = row
            return WriteRow.packed(list(rows.values()))

        def store(session: Session | None) -> dict[Any, object]:
            if session is not None and session.records.put_if_absent(key, first):
                return {}
            found = session.records.get(key) if session is not None else None
            return {key: packed({row.index: row for row in WriteRow.all_of(found)}) if found is not None else first}

        first = packed({})
        self._write(place.thread, store)

    def _write(self, thread: str, store: Callable[[Session | None], dict[Any, object]]) -> None:
        """Put the records that `store` makes of what a thread has. Other writers of the thread wait meanwhile."""
        with held(thread_key(thread)):
            for attempt in range(_ATTEMPTS):
                try:
                    session = self._threads.find(thread)
                    if records := store(session):
                        (session or self._threads.create(thread)).records.put_many(records)
                    return
                except SessionNotFound:  # somebody has deleted it, not by this saver
                    self._threads.forget(thread)
                    if attempt == _ATTEMPTS - 1:
                        raise

    def _typed(self, value: object, what: str) -> Typed:
        return self._all_typed([value], what)[0]

    def _all_typed(self, values: Sequence[object], what: str) -> builtins.list[Typed]:
        dumps = self.serde.dumps_typed
        try:
            return [dumps(each) for each in values]
        except Exception as error:
            raise ValidationError(
                f"{what}: it cannot be serialized: {error}", field=what.split(" ", maxsplit=1)[0]
            ) from error

    # -- reading

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint that a configuration names, or the newest of its namespace; None if there is none."""
        place = Place.of(config)
        for _ in range(_ATTEMPTS):
            session = self._threads.find(place.thread)
            if session is None:
                return None
            try:
                found = _found(session, place.namespace or "", place.checkpoint)
                return self._tuple(session, config["configurable"]["thread_id"], *found) if found is not None else None
            except SessionNotFound:  # somebody has deleted it, not by this saver
                self._threads.forget(place.thread)
        return None

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Yield checkpoints, newest first: of a thread and a namespace, of all namespaces if `config` names none, and
        of all threads without a `config`. `filter` has entries which the metadata must have."""
        place = Place.of(config) if config is not None else None
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool)):
            raise ValidationError("limit: a whole number or None is needed", field="limit")
        if filter is not None and not isinstance(filter, Mapping):
            raise ValidationError("filter: a dictionary or None is needed", field="filter")
        end = _end(before)
        thread_id = config["configurable"]["thread_id"] if config is not None else None
        return islice(
            self._listed(place, thread_id, filter or {}, end, limit), max(0, limit) if limit is not None else None
        )

    def _listed(
        self, place: Place | None, thread_id: object, wanted: dict[str, Any], end: str | None, limit: int | None
    ) -> Iterator[CheckpointTuple]:
        if limit is not None and limit <= 0:
            return
        for name, session, checkpoint_id, record in self._rows(place, end, limit if not wanted else None):
            row = CheckpointRow.of(record)
            metadata = self.serde.loads_typed(row.metadata)
            if all(metadata.get(key) == value for key, value in wanted.items()):
                try:
                    found = self._tuple(session, thread_id if place else name, checkpoint_id, row, metadata)
                except SessionNotFound:
                    continue
                if found is not None:
                    yield found

    def _rows(
        self, place: Place | None, end: str | None, limit: int | None
    ) -> Iterator[tuple[str, Session, str, object]]:
        """Yield (thread, session, checkpoint's id, record) of what a configuration names, newest first."""
        if place is None:
            threads = self._threads.all()
        else:
            session = self._threads.look_up(place.thread)
            threads = iter([(place.thread, session)] if session is not None else [])
        if place is not None and place.namespace is not None:
            prefix = checkpoints_in(place.namespace)
            after = checkpoint_key(place.namespace, end) if end is not None else None
            for name, session in threads:
                if place.checkpoint is not None:
                    found = _existing(session, checkpoint_key(place.namespace, place.checkpoint))
                    if found is not None and (end is None or place.checkpoint < end):
                        yield name, session, place.checkpoint, found
                    continue
                try:
                    for key, record in session.records.iterate(prefix, reverse=True, after=after, limit=limit):
                        yield name, session, _id_of(key), record
                except SessionNotFound:
                    continue
            return
        places: builtins.list[tuple[str, str, Session, bytes]] = []
        for name, session in threads:
            for key in _keys(session):
                checkpoint_id = _id_of(key)
                if (end is None or checkpoint_id < end) and (
                    place is None or place.checkpoint is None or checkpoint_id == place.checkpoint
                ):
                    places.append((checkpoint_id, name, session, key))
        places.sort(key=lambda each: each[0], reverse=True)
        for checkpoint_id, name, session, key in places:
            there = _existing(session, key)
            if there is not None:
                yield name, session, checkpoint_id, there

    def _tuple(
        self, session: Session, thread_id: object, checkpoint_id: str, row: CheckpointRow, metadata: Any = None
    ) -> CheckpointTuple | None:
        """Return a checkpoint with its values and writes, or None if it was deleted meanwhile."""
        try:
            values = {name: self._value(session, each) for name, each in row.held.items()}
        except IntegrityError:
            if session.records.get(checkpoint_key(row.namespace, checkpoint_id)) is None:
                return None
            raise
        checkpoint = self.serde.loads_typed(row.checkpoint)
        return CheckpointTuple(
            _config(thread_id, row.namespace, checkpoint_id),
            cast(Checkpoint, {**checkpoint, "channel_values": values}),
            self.serde.loads_typed(row.metadata) if metadata is None else metadata,
            _config(thread_id, row.namespace, row.parent) if row.parent is not None else None,
            [self._pending(each) for each in _writes(session, row.namespace, checkpoint_id)],
        )

    def _pending(self, row: WriteRow) -> PendingWrite:
        return row.task, row.channel, self.serde.loads_typed(row.value)

    def _value(self, session: Session, where: Held) -> Any:
        content = self._content_of(session, where)
        if not where.split:
            return self.serde.loads_typed(typed_value(content))
        leaves = leaves_of(content, lambda digests: self._values.read(session, digests))
        if type(self.serde) is JsonPlusSerializer and (packed := joined(leaves)) is not None:
            return self.serde.loads_typed(("msgpack", packed))
        return [self.serde.loads_typed(each) for each in elements_of(leaves)]

    def _content_of(self, session: Session, where: Held) -> bytes:
        """Return the bytes of a value, wherever they stand. Raises IntegrityError if they are no longer there."""
        return where.inline if where.inline is not None else self._values.read(session, [where.hash])[0]

    def _digests(self, session: Session, where: Held) -> tuple[builtins.list[bytes], builtins.list[bytes]]:
        """Return the hashes of the nodes and of the leaves of a value that is a tree. A tree that has lost a node
        counts as none."""
        if where.split:
            with suppress(IntegrityError):
                top = self._content_of(session, where)
                return digests_in(top, lambda digests: self._values.read(session, digests))
        return [], []

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Return, for each channel, what the ancestors of a checkpoint wrote since the last of them that has a value,
        oldest first, and that value. Reads of each ancestor only what concerns these channels."""
        if not channels:
            return {}
        place = Place.of(config)
        session, namespace = self._threads.look_up(place.thread), place.namespace or ""
        collected: dict[str, builtins.list[PendingWrite]] = {name: [] for name in channels}
        seeds: dict[str, Any] = {}
        found = _found(session, namespace, place.checkpoint) if session is not None else None
        if session is not None and found is not None:
            seen, parent = {found[0]}, found[1].parent
            while parent is not None and parent not in seen and len(seeds) < len(collected):
                seen.add(parent)
                row = _row(session, checkpoint_key(namespace, parent))
                if row is None:
                    break
                for each in reversed(_writes(session, namespace, parent)):
                    if each.channel in collected and each.channel not in seeds:
                        collected[each.channel].append(self._pending(each))
                for name in collected:
                    if name in row.held and name not in seeds:
                        seeds[name] = self._value(session, row.held[name])
                parent = row.parent
        history: dict[str, DeltaChannelHistory] = {}
        for name, writes in collected.items():
            history[name] = {"writes": writes[::-1]}
            if name in seeds:
                history[name]["seed"] = seeds[name]
        return history

    # -- deleting and copying

    def delete_thread(self, thread_id: str) -> None:
        """Delete the session of a thread, with all of its checkpoints."""
        thread = text_of("thread_id", thread_id)
        with held(thread_key(thread)):
            session = self._threads.look_up(thread)
            if session is not None:
                with suppress(SessionNotFound):
                    session.delete()

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints whose metadata name one of these runs, with their writes. Reads all checkpoints."""
        if isinstance(run_ids, str):
            raise ValidationError("run_ids: a list of ids is needed, not one text", field="run_ids")
        runs = {str(each) for each in run_ids}
        if not runs:
            return
        for thread, _ in self._threads.all():
            with held(thread_key(thread)):
                session = self._threads.look_up(thread)
                if session is None:
                    continue
                gone = [
                    key
                    for key, record in session.records.iterate(b"c")
                    if str(self.serde.loads_typed(CheckpointRow.of(record).metadata).get("run_id")) in runs
                ]
                delete_checkpoints(session, gone)

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete all checkpoints of threads but the newest of each namespace, or with the strategy "delete" all.

        Of the older ones those stay from which the newest takes the values of its delta channels.
        """
        if strategy not in {"keep_latest", "delete"}:
            raise ValidationError(f'strategy: "keep_latest" or "delete", not {shown(strategy)}', field="strategy")
        if isinstance(thread_ids, str):
            raise ValidationError("thread_ids: a list of ids is needed, not one text", field="thread_ids")
        threads = [text_of("thread_id", each) for each in thread_ids]
        for thread in threads:
            if strategy == "delete":
                self.delete_thread(thread)
                continue
            with held(thread_key(thread)):
                session = self._threads.look_up(thread)
                if session is not None:
                    keep = needed(session, self._delta_channels)
                    delete_checkpoints(session, [key for key in session.records.keys(b"c") if key not in keep])

    def _delta_channels(self, row: CheckpointRow) -> set[str]:
        """Return the delta channels whose value the checkpoint itself does not have."""
        counters = self.serde.loads_typed(row.metadata).get("counters_since_delta_snapshot") or {}
        return {name for name in counters if name not in row.held}

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all checkpoints and writes of a thread to another, over what that has under the same ids.

        The content is stored once for both. Checkpoints are copied last and oldest first, so that if the process dies
        meanwhile, each that was copied is whole.
        """
        source, target = text_of("source_thread_id", source_thread_id), text_of("target_thread_id", target_thread_id)
        if source == target:
            return
        with both_held(thread_key(source), thread_key(target)):
            origin = self._threads.look_up(source)
            if origin is None:
                return
            copy = self._threads.create(target)
            for kind in (b"v", b"w", b"c"):
                batch: dict[Any, object] = {}
                size = 0
                for key in origin.records.keys(kind):
                    content = origin.records.get(key)
                    batch[key] = content
                    size += len(content) if isinstance(content, bytes) else 0
                    if size > _COPY_BYTES or len(batch) >= 1000:
                        copy.records.put_many(batch)
                        batch, size = {}, 0
                if batch:
                    copy.records.put_many(batch)

    # -- async twins

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Do what `get_tuple` does, off the event loop."""
        return await self._opened.run(self.get_tuple, config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Yield what `list` yields, read off the event loop in pages."""
        found = self.list(config, filter=filter, before=before, limit=limit)
        while page := await self._opened.run(lambda: [*islice(found, _PAGE)]):
            for each in page:
                yield each

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Do what `put` does, off the event loop."""
        return await self._opened.run(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Do what `put_writes` does, off the event loop."""
        await self._opened.run(self.put_writes, config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """Do what `delete_thread` does, off the event loop."""
        await self._opened.run(self.delete_thread, thread_id)

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Do what `delete_for_runs` does, off the event loop."""
        await self._opened.run(self.delete_for_runs, run_ids)

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Do what `copy_thread` does, off the event loop."""
        await self._opened.run(self.copy_thread, source_thread_id, target_thread_id)

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Do what `prune` does, off the event loop."""
        await self._opened.run(lambda: self.prune(thread_ids, strategy=strategy))

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """Do what `get_delta_channel_history` does, off the event loop."""
        return await self._opened.run(lambda: self.get_delta_channel_history(config=config, channels=channels))

    # -- versions, closing

    def get_next_version(self, current: str | None, channel: None) -> str:
        """Return the version after `current`. Two branches of a thread get different ones."""
        text = str(current) if current is not None else ""
        number = text.split(".", maxsplit=1)[0]
        width = max(_VERSION_DIGITS, len(number) if isinstance(current, str) else 0)
        return f"{int(number or 0) + 1:0{width}}.{os.urandom(5).hex()}"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a GreenroomSaver holds an open store: it cannot be pickled")

    def __repr__(self) -> str:
        return f"<GreenroomSaver on {self._opened.runtime!r}>"


def _utf8(field: str, value: object) -> str:
    text = text_of(field, value)
    if not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text):
        raise ValidationError(f"{field}: a text without lone surrogates is needed", field=field)
    return text


def _config(thread_id: Any, namespace: str, checkpoint_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread_id, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id}}


def _end(before: RunnableConfig | None) -> str | None:
    """Return the checkpoint before which to list."""
    if before is None:
        return None
    configurable = before.get("configurable") if isinstance(before, Mapping) else None
    if not isinstance(configurable, Mapping):
        raise ValidationError("before: a configuration with a checkpoint_id is needed", field="before")
    return _checkpoint_id(configurable)


def _checkpoint_id(configurable: Mapping[str, object]) -> str | None:
    """Return the id of a checkpoint in a configuration, None if it has none. Raises ValidationError."""
    value = configurable.get("checkpoint_id")
    text = _utf8("checkpoint_id", value) if value is not None else ""
    id_part(text)
    return text or None


def _id_of(key: bytes) -> str:
    """Return the checkpoint's id of a checkpoint's key."""
    return parts_of(key[1:])[-1] or ""


def _existing(session: Session, key: bytes) -> object:
    try:
        return session.records.get(key)
    except SessionNotFound:
        return None


def _keys(session: Session) -> list[bytes]:
    try:
        return session.records.keys(b"c")
    except SessionNotFound:
        return []


def _row(session: Session | None, key: bytes) -> CheckpointRow | None:
    record = _existing(session, key) if session is not None else None
    return CheckpointRow.of(record) if record is not None else None


def _found(session: Session, namespace: str, checkpoint: str | None) -> tuple[str, CheckpointRow] | None:
    """Return the id and the row of a checkpoint, of the newest without an id; None if there is none."""
    if checkpoint is not None:
        row = _row(session, checkpoint_key(namespace, checkpoint))
        return (checkpoint, row) if row is not None else None
    for key, record in session.records.iterate(checkpoints_in(namespace), reverse=True, limit=1):
        return _id_of(key), CheckpointRow.of(record)
    return None


def _writes(session: Session, namespace: str, checkpoint: str) -> list[WriteRow]:
    """Return the pending writes of a checkpoint in the order in which LangGraph applies them."""
    rows = [
        row
        for _, record in session.records.iterate(writes_prefix(namespace, checkpoint))
        for row in WriteRow.all_of(record)
    ]
    return sorted(rows, key=lambda row: writes_sort_key(row.path, row.task, row.index))
