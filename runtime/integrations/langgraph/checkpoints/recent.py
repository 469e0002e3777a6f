"""The newest checkpoints of threads as they were read last."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Final, NamedTuple

from .rows import CheckpointRow, Typed, WriteRow

__all__ = ["Recent", "Stored"]

_MOST: Final = 64
_LARGE: Final = 256 << 10
"""A checkpoint of more bytes is not kept: 64 of this size are 16 MiB."""


class Stored(NamedTuple):
    """A checkpoint as it is stored, with all that belongs to it: nothing is decoded yet."""

    checkpoint: str
    row: CheckpointRow
    values: Mapping[str, Typed | list[Typed]]
    """The values of the channels. One that is written element by element is a list of them."""
    writes: list[WriteRow]

    @property
    def size(self) -> int:
        """The bytes that are to be decoded."""
        return (
            sum([len(each.value[1]) for each in self.writes])
            + sum(
                [
                    len(each[1]) if isinstance(each, tuple) else sum([len(content) for _, content in each])
                    for each in self.values.values()
                ]
            )
            + len(self.row.checkpoint[1])
            + len(self.row.metadata[1])
        )


class Recent:
    """Keeps the newest checkpoint of up to 64 threads, of one namespace each. It holds for as long as the session has
    the sequence that it had when it was read: whatever changes a session has a sequence of its own. Thread-safe."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[int, str, Stored]] = {}
        self._lock = Lock()

    def find(self, session_id: str, sequence: int, namespace: str, checkpoint: str | None) -> Stored | None:
        """Return the newest checkpoint of a namespace if it is known, and if it is the one with the id `checkpoint`,
        where that is given."""
        kept = self._kept.get(session_id)
        if kept is None or kept[0] != sequence or kept[1] != namespace or checkpoint not in (None, kept[2].checkpoint):
            return None
        return kept[2]

    def keep(self, session_id: str, sequence: int, namespace: str, stored: Stored) -> None:
        """Keep what was read of a session that had this sequence before."""
        if stored.size > _LARGE:
            return
        with self._lock:
            self._kept.pop(session_id, None)
            self._kept[session_id] = sequence, namespace, stored
            if len(self._kept) > _MOST:
                del self._kept[next(iter(self._kept))]
