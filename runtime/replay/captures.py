"""States that a replay keeps on the way, within a bound of memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from greenroom.actors.session.state.model import SessionState
from greenroom.storage.codec.records import Json, unpack_value
from greenroom.storage.errors import ReplayError

__all__ = ["Captures"]


class Captures:
    """The states after the steps of a replay, by the sequence in the journal of each step's last event.

    Once they take more than the bound, every second one is dropped, and from then on only every second step is kept,
    then every fourth, and so on: what is kept is spread evenly.
    """

    def __init__(self, session_id: str, bound: int) -> None:
        self._session_id = session_id
        self._bound = bound
        self._kept: dict[int, bytes] = {}
        self._bytes = 0
        self._every = 1
        self._steps = 0

    def __repr__(self) -> str:
        return f"<Captures {len(self._kept)} states, {self._bytes} bytes>"

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, sequence: object) -> bool:
        return sequence in self._kept

    def take(self, sequence: int, state: SessionState) -> None:
        """Keep a state, if it is its turn."""
        self._steps += 1
        if self._steps % self._every:
            return
        encoded = state.encode()
        self._kept[sequence] = encoded
        self._bytes += len(encoded)
        while self._bytes > self._bound and self._kept:
            self._every *= 2
            for dropped in list(self._kept)[::2]:
                self._bytes -= len(self._kept.pop(dropped))

    @property
    def sequences(self) -> Sequence[int]:
        """The sequences of the kept states, in order."""
        return tuple(self._kept)

    @property
    def bytes(self) -> int:
        """The bytes that the kept states take."""
        return self._bytes

    @property
    def every(self) -> int:
        """How many steps lie between two kept states: 1 as long as all are kept."""
        return self._every

    def __getitem__(self, sequence: int) -> dict[str, Json]:
        """Return a kept state as JSON values: the fields of SessionInfo, and `variables`. Raises ReplayError if none
        is kept of this event."""
        found = self._kept.get(sequence)
        if found is None:
            near = min(self._kept, key=lambda each: abs(each - sequence), default=None)
            told = f"; the nearest one is that of event {near}" if near is not None else ""
            raise ReplayError(f"no state of event {sequence} was captured{told}", sequence=sequence, nearest=near)
        state = SessionState.decode(self._session_id, found)
        row: dict[str, Any] = state.info().to_dict()
        row["variables"] = {key: unpack_value(value) for key, value in sorted(state.variables.items())}
        return row
