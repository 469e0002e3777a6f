"""Deleting checkpoints of a thread: which must stay, and what goes with those that go."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from greenroom.runtime import Session

from .rows import CheckpointRow, checkpoint_key
from .trees import digests_in
from .values import read_values

__all__ = ["delete_checkpoints", "needed"]

_MOST: Final = 10_000
"""Records that one write can delete."""


def needed(session: Session, delta_channels: Callable[[CheckpointRow], set[str]]) -> set[bytes]:
    """Return the keys of the newest checkpoint of each namespace, and of the ancestors from which it takes the values
    of the channels that `delta_channels` names for it."""
    newest: dict[bytes, bytes] = {}
    for key in session.records.keys(b"c"):
        newest[_namespace_part(key)] = key
    keep: set[bytes] = set()
    for key in newest.values():
        row = CheckpointRow.of(session.records.get(key))
        keep.add(key)
        missing = delta_channels(row)
        while missing and row.parent is not None:
            ancestor = checkpoint_key(row.namespace, row.parent)
            record = session.records.get(ancestor)
            if record is None or ancestor in keep:
                break
            keep.add(ancestor)
            row = CheckpointRow.of(record)
            missing -= row.held.keys()
    return keep


def delete_checkpoints(session: Session, keys: Iterable[bytes]) -> None:
    """Delete checkpoints with their writes, and the values that no other checkpoint has. Deletes the session if none
    is left. The checkpoints go first: if the process dies meanwhile, no checkpoint is left without its values."""
    gone = [*keys]
    if not gone:
        return
    writes = {b"w" + key[1:] for key in gone}
    doomed = [*gone, *(key for key in session.records.keys(b"w") if _checkpoint_part(key) in writes)]
    _delete(session, doomed)
    left = [CheckpointRow.of(record) for _, record in session.records.iterate(b"c")]
    if not left and not session.records.count(b"w"):
        session.delete()
        return
    used: set[bytes] = set()
    for where in (each for row in left for each in row.held.values()):
        if where.inline is None and where.hash in used:
            continue
        used.add(where.hash)
        if where.split:
            top = where.inline if where.inline is not None else read_values(session, [where.hash])[0]
            for digests in digests_in(top, lambda wanted: read_values(session, wanted)):
                used.update(digests)
    _delete(session, [key for key in session.records.keys(b"v") if key[1:] not in used])


def _delete(session: Session, keys: list[bytes]) -> None:
    for begin in range(0, len(keys), _MOST):
        session.records.delete_many(keys[begin : begin + _MOST])


def _namespace_part(key: bytes) -> bytes:
    """Return the beginning of a key up to the end of the namespace."""
    return key[: _end_of(key, 1)]


def _checkpoint_part(key: bytes) -> bytes:
    """Return the beginning of a key of writes up to the end of the checkpoint's id."""
    return key[: _end_of(key, _end_of(key, 1))]


def _end_of(key: bytes, begin: int) -> int:
    """Return where the part that begins there ends. A zero byte before 0xff belongs to the part."""
    end = key.index(b"\0", begin)
    while key[end + 1 : end + 2] == b"\xff":
        end = key.index(b"\0", end + 1)
    return end + 1
