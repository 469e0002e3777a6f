"""LangGraph's checkpoints in sessions: one session for each thread."""

from __future__ import annotations

import builtins
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Final, NoReturn, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    PendingWrite,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from greenroom.runtime import AsyncRuntime, IntegrityError, Runtime, Session, SessionNotFound, ValidationError
from greenroom.runtime.integrations.opening import Opened

from ..keys import shown, text_of, thread_key
from .channels import ChannelSaver
from .cleaning import delete_checkpoints, needed
from .configs import Place, config_of, end_of, utf8
from .lookups import found_at, row_at, rows_of, writes_of
from .recent import Recent, Stored
from .rows import (
    CheckpointRow,
    WriteRow,
    checkpoint_key,
    value_key,
    writes_key,
)
from .threads import Threads, both_held, held
from .twins import AsyncTwins
from .values import Values

__all__ = ["GreenroomSaver"]

_COPY_BYTES: Final = 8 * 1024 * 1024
_VERSION_DIGITS: Final = 10
_ATTEMPTS: Final = 3


class GreenroomSaver(AsyncTwins, ChannelSaver):
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
        self._recent = Recent()

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
        checkpoint_id = utf8("checkpoint_id", checkpoint.get("id"))
        key = checkpoint_key(namespace, checkpoint_id)
        rest = {name: value for name, value in checkpoint.items() if name != "channel_values"}
        plain = self._typed(rest, "checkpoint")
        about = self._typed(get_checkpoint_metadata(config, metadata), "metadata")

        def store(session: Session | None) -> dict[Any, object]:
            parent = row_at(session, checkpoint_key(namespace, place.checkpoint)) if place.checkpoint else None
            values: dict[bytes, bytes] = {}
            where = self._placed(session, checkpoint, new_versions, parent.held if parent is not None else {}, values)
            self._values.keep(values)
            row = CheckpointRow(place.checkpoint, plain, about, where, namespace)
            return {**{value_key(digest): content for digest, content in values.items()}, key: row.packed()}

        self._write(place.thread, store)
        return config_of(config["configurable"]["thread_id"], namespace, checkpoint_id)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Store the writes of a task, in one write. What the task has written before stays, except in the channels of
        errors, interrupts, resumes and schedules, where the new value replaces it."""
        place = Place.of(config)
        namespace, task = place.namespace or "", utf8("task_id", task_id)
        key = writes_key(namespace, place.needed_checkpoint, task)
        path = utf8("task_path", task_path)
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

    # -- reading

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the checkpoint that a configuration names, or the newest of its namespace; None if there is none."""
        place = Place.of(config)
        for _ in range(_ATTEMPTS):
            session = self._threads.find(place.thread)
            if session is None:
                return None
            try:
                found = self._found(session, place.namespace or "", place.checkpoint)
                return self._tuple(config["configurable"]["thread_id"], found) if found is not None else None
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
        end = end_of(before)
        thread_id = config["configurable"]["thread_id"] if config is not None else None
        return islice(
            self._listed(place, thread_id, filter or {}, end, limit), max(0, limit) if limit is not None else None
        )

    def _listed(
        self, place: Place | None, thread_id: object, wanted: dict[str, Any], end: str | None, limit: int | None
    ) -> Iterator[CheckpointTuple]:
        if limit is not None and limit <= 0:
            return
        for name, session, checkpoint_id, record in rows_of(self._threads, place, end, limit if not wanted else None):
            row = CheckpointRow.of(record)
            metadata = self.serde.loads_typed(row.metadata)
            if all(metadata.get(key) == value for key, value in wanted.items()):
                try:
                    found = self._whole(session, checkpoint_id, row)
                except SessionNotFound:
                    continue
                if found is not None:
                    yield self._tuple(thread_id if place else name, found, metadata)

    def _found(self, session: Session, namespace: str, checkpoint: str | None) -> Stored | None:
        """Return what a checkpoint has, the newest without an id. None if there is none."""
        sequence = session.info().sequence  # before anything is read, so that what is kept is never older than it
        known = self._recent.find(session.id, sequence, namespace, checkpoint)
        if known is not None:
            return known
        found = found_at(session, namespace, checkpoint)
        stored = self._whole(session, *found) if found is not None else None
        if stored is not None and checkpoint is None:
            self._recent.keep(session.id, sequence, namespace, stored)
        return stored

    def _whole(self, session: Session, checkpoint_id: str, row: CheckpointRow) -> Stored | None:
        """Return a checkpoint with its values and writes, or None if it was deleted meanwhile."""
        try:
            values = {name: self._stored_value(session, each) for name, each in row.held.items()}
        except IntegrityError:
            if session.records.get(checkpoint_key(row.namespace, checkpoint_id)) is None:
                return None
            raise
        return Stored(checkpoint_id, row, values, writes_of(session, row.namespace, checkpoint_id))

    def _tuple(self, thread_id: object, stored: Stored, metadata: Any = None) -> CheckpointTuple:
        row = stored.row
        checkpoint = self.serde.loads_typed(row.checkpoint)
        values = {name: self._decoded(each) for name, each in stored.values.items()}
        return CheckpointTuple(
            config_of(thread_id, row.namespace, stored.checkpoint),
            cast(Checkpoint, {**checkpoint, "channel_values": values}),
            self.serde.loads_typed(row.metadata) if metadata is None else metadata,
            config_of(thread_id, row.namespace, row.parent) if row.parent is not None else None,
            [self._pending(each) for each in stored.writes],
        )

    def _pending(self, row: WriteRow) -> PendingWrite:
        return row.task, row.channel, self.serde.loads_typed(row.value)

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
        found = found_at(session, namespace, place.checkpoint) if session is not None else None
        if session is not None and found is not None:
            seen, parent = {found[0]}, found[1].parent
            while parent is not None and parent not in seen and len(seeds) < len(collected):
                seen.add(parent)
                row = row_at(session, checkpoint_key(namespace, parent))
                if row is None:
                    break
                for each in reversed(writes_of(session, namespace, parent)):
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
