"""Open a store, bring it up to date, follow one that another process writes, and close it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from greenroom.actors.scheduling.dispatcher import Dispatcher
from greenroom.actors.store import ArtifactStore
from greenroom.actors.transfer.staged import recover_staged
from greenroom.storage.common.durability import Durability
from greenroom.storage.engine.engine import FORMAT_VERSION, Engine, EngineOptions
from greenroom.storage.errors import GreenroomError
from greenroom.storage.migration import migrate

__all__ = ["Follower", "bring_up_to_date", "close_store", "older_format", "open_store"]


def open_store(
    path: Path,
    durability: Durability,
    *,
    read_only: bool,
    write_buffer_bytes: int,
    block_cache_bytes: int,
    artifact_cache_bytes: int,
    compress_above: int,
    max_artifact_bytes: int,
    max_store_bytes: int | None,
) -> ArtifactStore:
    """Open the store at `path`, creating it unless `read_only`. Sizes are bytes.

    Raises StoreLocked, SchemaTooNew, IntegrityError, StorageFull or StorageError.
    """
    options = EngineOptions(write_buffers=write_buffer_bytes, block_cache=block_cache_bytes)
    engine = Engine(path, durability, options, read_only=read_only)
    return ArtifactStore(
        Dispatcher(1, "greenroom-store"),  # its own pool, so that sessions waiting for the store cannot starve it
        engine,
        cache_bytes=artifact_cache_bytes,
        compress_above=compress_above,
        max_bytes=max_artifact_bytes,
        quota=max_store_bytes,
    )


def older_format(store: ArtifactStore) -> dict[str, int] | None:
    """Return the format of a store (`from`) and its format after migration (`to`); None if they are the same."""
    has = store.engine.format
    return {"from": has, "to": FORMAT_VERSION} if has < FORMAT_VERSION else None


def bring_up_to_date(store: ArtifactStore) -> None:
    """Migrate a store of an older format, and finish or remove what an interrupted process has left."""
    migrate(store.engine)
    store.recover()
    recover_staged(store)


def close_store(store: ArtifactStore, remaining: Callable[[], float]) -> None:
    """Write what waits, save the counts for the next opening, and release the store. Nothing is written afterwards.
    `remaining` returns how many seconds are left."""
    store.dispatcher.close(remaining())
    with contextlib.suppress(GreenroomError):
        store.leave(remaining())
    store.engine.close()


class Follower:
    """A store that is open for reading while another process writes it."""

    def __init__(self, store: ArtifactStore) -> None:
        self._engine = store.engine
        self._marks: tuple[tuple[str, int, int], ...] = ()  # unknown: the first check catches up

    def is_behind(self) -> bool:
        """Return whether something was written since `catch_up`."""
        return self._engine.marks() != self._marks

    def catch_up(self) -> None:
        """Make everything written so far visible."""
        self._marks = self._engine.marks()
        self._engine.catch_up()
