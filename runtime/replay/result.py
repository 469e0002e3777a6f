"""What a replay has found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from greenroom.actors.session.state.model import SessionState
from greenroom.runtime.replay.captures import Captures
from greenroom.storage.catalog.model import SessionInfo
from greenroom.storage.codec.records import Json, unpack_value

from .config import ReplayMode

__all__ = [
    "Difference",
    "Divergence",
    "DriftedAnswer",
    "EventComparison",
    "ReplayFault",
    "ReplayResult",
    "SnapshotCheck",
]


class _Row:
    """Base of the parts of a result."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return every field by name as JSON values."""
        return {each.name: _shown(getattr(self, each.name)) for each in fields(self)}  # type: ignore[arg-type]


def _shown(value: Any) -> Any:
    if isinstance(value, _Row):
        return value.to_dict()
    if isinstance(value, (tuple, list)):
        return [_shown(each) for each in value]
    if isinstance(value, Mapping):
        return {str(key): _shown(each) for key, each in value.items()}
    return value.hex() if isinstance(value, bytes) else value


@dataclass(frozen=True, slots=True)
class Difference(_Row):
    """A place at which two values differ, such as `data.value.model`. None stands for no value at that place."""

    path: str
    recorded: Json
    replayed: Json


@dataclass(frozen=True, slots=True)
class EventComparison(_Row):
    """One event, as it was recorded and as it was replayed.

    `kind` is "equal" (byte for byte), "changed", "moved" (only its place, its totals or its ids differ), "missing" (the
    replay has no such event) or "added" (the recording has none). `sequence` is its place in the journal, `place` the
    one in the replay.
    """

    kind: Literal["equal", "changed", "moved", "missing", "added"]
    type: str
    sequence: int | None
    place: int | None
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class SnapshotCheck(_Row):
    """A snapshot on the way, by the BLAKE3 digests of the states. `intact`: the journal gives the state of the
    snapshot. `equal`: the replay gives it too."""

    sequence: int
    snapshot: str
    recorded: str
    replayed: str
    intact: bool
    equal: bool


@dataclass(frozen=True, slots=True)
class Divergence(_Row):
    """The first event where the replay is not what was recorded, and why."""

    sequence: int
    type: str
    reason: str
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplayFault(_Row):
    """A recorded operation that was refused in the replay: the sequences of its events, and the error."""

    sequences: tuple[int, ...]
    code: str
    message: str

    @property
    def sequence(self) -> int:
        """The first of the sequences."""
        return self.sequences[0]


@dataclass(frozen=True, slots=True)
class DriftedAnswer(_Row):
    """A call that a replay has answered by something else than what was recorded for this very input.

    `match` is "drifted" (the answer was recorded for another input) or "live" (the callable has run); then `equal` says
    whether it returned what was recorded.
    """

    sequence: int
    kind: str
    name: str
    match: str
    equal: bool


@dataclass(frozen=True, slots=True)
class ReplayResult(_Row):
    """The result of a replay. Durations are seconds, digests BLAKE3 in hex."""

    session_id: str
    mode: ReplayMode
    identical: bool
    """Whether the replay went to its end and has made the same events and states, byte for byte."""
    first: int
    """The first event that was replayed; 0 if there was none."""
    last: int
    """The last event that was replayed."""
    events: int
    operations: int
    digest: str
    """The digest of the state in which the replay has ended."""
    recorded_digest: str
    """The digest of the state that the journal gives at the same event."""
    checks: tuple[SnapshotCheck, ...]
    comparisons: tuple[EventComparison, ...]
    """Event by event, at most `max_comparisons` and as many differing ones."""
    comparisons_left_out: int
    counts: dict[str, int]
    """The number of events by the kind of their comparison."""
    types: dict[str, int]
    """The number of replayed events by type."""
    divergence: Divergence | None
    errors: tuple[ReplayFault, ...]
    """The first 1000 of them."""
    answers: tuple[DriftedAnswer, ...]
    """Calls that were not answered by the recording of the same input, the first 1000."""
    taken: int
    """How many events were taken as they were recorded: those of hooks, policies and scripts, and others that no
    command decides."""
    unproven: int
    """How many events could not be decided again, because damage has taken what they depend on: they were taken too."""
    unused: tuple[str, ...]
    """The paths of modifications that nothing was found for."""
    stopped: Literal["timeout", "error", "damage", "stopped"] | None
    """Why the replay ended before its end."""
    stopped_at: int | None
    """The event at which it ended; at damage, the damaged one."""
    reason: str | None
    """What is wrong there, in words."""
    duration: float
    recorded_duration: float
    """The time from the first to the last event, as it was recorded."""
    captured: Captures = field(repr=False)
    """The states on the way, in mode `debug`."""
    _state: SessionState = field(repr=False)

    def __repr__(self) -> str:
        same = "identical" if self.identical else "not identical"
        missed = f", nothing found for {', '.join(self.unused[:3])}" if self.unused else ""
        more = f" and {len(self.unused) - 3} more" if len(self.unused) > 3 else ""
        return f"<ReplayResult {self.mode} of {self.session_id}: {self.events} events, {same}{missed}{more}>"

    @property
    def info(self) -> SessionInfo:
        """The session as the replay has left it."""
        return self._state.info()

    @property
    def variables(self) -> dict[str, Json]:
        """The variables as the replay has left them."""
        return {key: unpack_value(value) for key, value in sorted(self._state.variables.items())}

    @property
    def metadata(self) -> dict[str, Json]:
        """The session's metadata as the replay has left it."""
        found: dict[str, Json] = unpack_value(self._state.metadata)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return every field by name as JSON values; of the captured states, their sequences."""
        row = {
            each.name: _shown(getattr(self, each.name))
            for each in fields(self)
            if each.name not in ("_state", "captured")
        }
        return {**row, "captured": list(self.captured.sequences)}
