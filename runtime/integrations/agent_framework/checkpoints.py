"""Checkpoints of workflows: records of one session."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from agent_framework import WorkflowCheckpoint, WorkflowCheckpointException
from agent_framework._workflows._checkpoint_encoding import decode_checkpoint_value, encode_checkpoint_value

from greenroom.runtime import AsyncRuntime, Runtime, Session
from greenroom.runtime.integrations.keys import key_of
from greenroom.runtime.integrations.opening import Adapter, Opened
from greenroom.runtime.integrations.turns import Conversation

__all__ = ["GreenroomCheckpointStorage"]

COUNTER: Final = b"n"
"""The record that has the number of the newest checkpoint."""
_LOCKS: Final = tuple(threading.Lock() for _ in range(16))
"""Each storage has one of them: what is there is read and replaced without a gap."""


class GreenroomCheckpointStorage(Adapter):
    """Keeps checkpoints as records of the session `agent_framework:NAME`. Implements `CheckpointStorage`.

    A checkpoint is the framework's own JSON. Parts of it that other checkpoints have too are stored once. Listings are
    in the order in which checkpoints were first saved. Like the framework's storage of files, it restores only types
    that are known to be safe, and refuses to save what it would not restore.
    """

    def __init__(
        self,
        runtime: Runtime | AsyncRuntime | str | os.PathLike[str],
        *,
        name: str = "checkpoints",
        allowed_checkpoint_types: Iterable[str] = (),
    ) -> None:
        """Work on a runtime, or open the store at a path. `allowed_checkpoint_types` are further types that may be
        restored, as "module:qualname"."""
        self._opened = Opened(runtime)
        self._allowed = frozenset(allowed_checkpoint_types)
        self.key: Final = key_of("agent_framework", name.replace("%", "%25").replace(":", "%3A"))
        self._conversation = Conversation(self._opened.runtime, self.key)
        self._lock = _LOCKS[hash(self.key) % len(_LOCKS)]

    def __repr__(self) -> str:
        return f"<GreenroomCheckpointStorage {self.key!r}>"

    async def save(self, checkpoint: WorkflowCheckpoint) -> str:
        """Store a checkpoint, in place of one with the same id, and return the id. Raises WorkflowCheckpointException
        for one that could not be restored."""
        return await self._opened.run(self._save, checkpoint)

    async def load(self, checkpoint_id: str) -> WorkflowCheckpoint:
        """Return a checkpoint. Raises WorkflowCheckpointException if there is none with this id."""
        return await self._opened.run(self._load, checkpoint_id)

    async def list_checkpoints(self, *, workflow_name: str) -> list[WorkflowCheckpoint]:
        """Return the checkpoints of a workflow, in the order in which they were first saved."""
        return await self._opened.run(self._list, workflow_name)

    async def delete(self, checkpoint_id: str) -> bool:
        """Delete a checkpoint and return whether it existed."""
        return await self._opened.run(self._delete, checkpoint_id)

    async def get_latest(self, *, workflow_name: str) -> WorkflowCheckpoint | None:
        """Return the checkpoint of a workflow with the newest timestamp, or None."""
        return await self._opened.run(self._latest, workflow_name)

    async def list_checkpoint_ids(self, *, workflow_name: str) -> list[str]:
        """Return the ids of a workflow's checkpoints, in the order in which they were first saved."""
        return await self._opened.run(lambda: [row["id"] for row in self._rows(self._session(), workflow_name)])

    # -- the same, synchronously

    def _session(self) -> Session | None:
        return self._conversation.session()

    def _save(self, checkpoint: WorkflowCheckpoint) -> str:
        id, workflow = checkpoint.checkpoint_id, checkpoint.workflow_name
        text = self._encoded(checkpoint)
        session = self._conversation.created()
        records = session.records
        with self._lock:
            before: Any = records.get(_id_key(id))
            number: Any = before["number"] if before else records.get(COUNTER, 0)
            row_key = _workflow_key(workflow, number)
            with session.batch() as batch:
                if before is None:
                    batch.records.put(COUNTER, number + 1)
                elif before["workflow"] != workflow:
                    batch.records.delete(_workflow_key(before["workflow"], number))
                batch.records.put(_id_key(id), {"number": number, "workflow": workflow})
                batch.records.put(row_key, {"id": id, "timestamp": checkpoint.timestamp})
                batch.records.put(_content_key(number), text)
        return id

    def _encoded(self, checkpoint: WorkflowCheckpoint) -> bytes:
        try:
            value = encode_checkpoint_value(checkpoint.to_dict())
            decode_checkpoint_value(value, allowed_types=self._allowed)
            return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
        except WorkflowCheckpointException:
            raise
        except Exception as error:
            raise WorkflowCheckpointException(
                f"checkpoint {checkpoint.checkpoint_id} cannot be encoded, or not restored with the types that are "
                "allowed: it is not saved"
            ) from error

    def _load(self, id: str) -> WorkflowCheckpoint:
        session = self._session()
        place: Any = session.records.get(_id_key(id)) if session is not None else None
        if session is None or place is None:
            raise WorkflowCheckpointException(f"No checkpoint found with ID {id}")
        return self._restored(session, place["number"], id)

    def _restored(self, session: Session, number: int, id: str) -> WorkflowCheckpoint:
        text: Any = session.records.get(_content_key(number))
        if not isinstance(text, bytes):
            raise WorkflowCheckpointException(f"No checkpoint found with ID {id}")  # it was deleted meanwhile
        try:
            value = json.loads(text.decode("utf-8", "surrogatepass"))
        except ValueError as error:
            raise WorkflowCheckpointException(f"checkpoint {id} is not valid JSON and cannot be loaded") from error
        return WorkflowCheckpoint.from_dict(decode_checkpoint_value(value, allowed_types=self._allowed))

    def _rows(self, session: Session | None, workflow: str) -> Iterator[dict[str, Any]]:
        if session is not None:
            prefix = _workflow_key(workflow)
            for key, row in session.records.iterate(prefix):
                if isinstance(row, dict):
                    yield {**row, "number": int.from_bytes(key[len(prefix) :])}

    def _list(self, workflow: str) -> list[WorkflowCheckpoint]:
        session = self._session()
        if session is None:
            return []
        with self._lock:  # none is deleted meanwhile
            return [self._restored(session, row["number"], row["id"]) for row in self._rows(session, workflow)]

    def _latest(self, workflow: str) -> WorkflowCheckpoint | None:
        session = self._session()
        if session is None:
            return None
        with self._lock:
            rows = self._rows(session, workflow)
            row = max(rows, key=lambda row: datetime.fromisoformat(row["timestamp"]), default=None)
            return self._restored(session, row["number"], row["id"]) if row is not None else None

    def _delete(self, id: str) -> bool:
        session = self._session()
        if session is None:
            return False
        with self._lock:
            place: Any = session.records.get(_id_key(id))
            if place is None:
                return False
            number = place["number"]
            session.records.delete_many([_id_key(id), _workflow_key(place["workflow"], number), _content_key(number)])
            return True


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _id_key(id: str) -> bytes:
    return b"i" + _digest(id)


def _workflow_key(workflow: str, number: int | None = None) -> bytes:
    return b"w" + _digest(workflow) + (number.to_bytes(8) if number is not None else b"")


def _content_key(number: int) -> bytes:
    return b"c" + number.to_bytes(8)
