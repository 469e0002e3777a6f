"""What the commands of a replay look up: what its own events have left so far, as of that moment.

Nothing of it comes from the store of today, which may have changed since. The events themselves are read from the
journal, or, where the replay has others, from those that it has made.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.messages.approvals import Approval
from greenroom.actors.session.projection import ARTIFACT_DELETED, ARTIFACT_STORED, artifact_record
from greenroom.actors.session.state.timeout import CARE
from greenroom.storage.artifacts.model import ArtifactId, ArtifactInfo, ArtifactRecord
from greenroom.storage.artifacts.records import artifact_info
from greenroom.storage.codec.records import unpack_value
from greenroom.storage.common.times import utc_time
from greenroom.storage.errors import ArtifactNotFound, ValidationError, shown
from greenroom.storage.events.index import APPROVAL_CLOSED, APPROVAL_REQUESTED
from greenroom.storage.events.model import StoredEvent
from greenroom.storage.events.turns import ADDED, DELTA, RETRACTED, STARTED, TURN_EVENTS, Head, sequences_of
from greenroom.storage.records.model import RECORDS_CHANGED, RecordFold, StoredRecord

from .boundary import RecordedClock
from .places import Places

if TYPE_CHECKING:
    from .history import History

__all__ = ["Lookups"]

_LOOKED_AT: Final = frozenset({*TURN_EVENTS, ARTIFACT_STORED, ARTIFACT_DELETED, RECORDS_CHANGED, *APPROVAL_CLOSED})
_READ_AGAIN: Final = frozenset({*TURN_EVENTS, APPROVAL_REQUESTED})
_STATUS: Final[dict[str, Any]] = {
    "approval.answered": "answered",
    "approval.expired": "expired",
    "approval.cancelled": "cancelled",
}


class Lookups:
    """The artifacts, the conversation, the records and the questions that the events of a replay have left. Serves as
    the `Lookup` of decisions."""

    def __init__(self, past: History, places: Places, clock: RecordedClock) -> None:
        self._past = past
        self._places = places
        self._clock = clock
        self._own: dict[int, StoredEvent] = {}
        """Events that the replay has made and that were not recorded so, by their sequences, as far as decisions read
        them."""
        self._turns: dict[int, Head] = {}
        self._records = RecordFold()
        self._artifacts: dict[int, ArtifactRecord] = {}
        self._versions: dict[str, dict[int, int | None]] = {}
        """The versions of a name that were ever given: version → number of the artifact, None if it is deleted."""
        self._labels: dict[tuple[str, str], int] = {}
        self._closed: dict[int, int] = {}
        self._activity = 0
        self.restored = True
        self.read_only = False

    # -- what events leave

    def project(self, sequence: int, stored: StoredEvent, *, recorded: bool) -> None:
        """Take in the next event of the replay. `recorded` says whether the journal has the same event."""
        type_, data = stored.type, stored.data
        if not recorded and type_ in _READ_AGAIN:
            self._own[sequence] = stored
        if type_ not in CARE:
            self._activity = stored.time
        if type_ not in _LOOKED_AT:
            return
        if type_ == ADDED:
            self._turns[sequence] = Head(sequence)
        elif type_ == RETRACTED:
            for turn in sequences_of(data):
                self._turns.pop(turn, None)
        elif type_ in TURN_EVENTS:
            self._turns[sequence if type_ == STARTED else data["sequence"]] = Head(sequence, type_ in (STARTED, DELTA))
        elif type_ == ARTIFACT_STORED:
            self._stored(data["sequence"], artifact_record(stored))
        elif type_ == ARTIFACT_DELETED:
            self._deleted(data)
        elif type_ == RECORDS_CHANGED:
            self._records.apply(sequence, data.get("changes", ()))
        else:
            self._closed[data["approval"]] = sequence

    def _stored(self, number: int, record: ArtifactRecord) -> None:
        self._artifacts[number] = record
        self._versions.setdefault(record.name, {})[record.version] = number
        if record.label is not None:
            self._labels[record.name, record.label] = number

    def _deleted(self, data: dict[str, Any]) -> None:
        record = self._artifacts.pop(data["sequence"], None)
        if record is not None:
            self._versions[record.name][record.version] = None
            if record.label is not None:
                self._labels.pop((record.name, record.label), None)

    # -- Lookup, for deciding

    def latest_version(self, name: str) -> tuple[int, bytes | None]:
        versions = self._versions.get(name)
        if versions is None:
            return 0, None
        newest = next((number for number in reversed(versions.values()) if number is not None), None)
        return next(reversed(versions)), self._artifacts[newest].content_hash if newest is not None else None

    def artifact(self, ref: ArtifactId | str, version: int | str | None) -> ArtifactInfo:
        identity = ArtifactId.named_by(ref)
        if identity is not None:
            number: int | None = identity.sequence if identity.session_id == self._past.id else None
        elif isinstance(version, str) and version != "latest":
            number = self._labels.get((str(ref), version))
        else:
            versions = self._versions.get(str(ref), {})
            there = (each for each in reversed(versions.values()) if each is not None)
            number = versions.get(version) if isinstance(version, int) else next(there, None)
        record = self._artifacts.get(number) if number is not None else None
        if record is None or number is None or (identity is not None and not _is(record, identity)):
            raise ArtifactNotFound(f"session {self._past.id} had no artifact {shown(str(ref))} then", artifact=str(ref))
        return artifact_info(self._past.id, number, record)

    def artifact_id(self, number: int) -> ArtifactId:
        """Return the id of the artifact with a number, whatever its content is. Raises ArtifactNotFound."""
        record = self._artifacts.get(number)
        if record is None:
            raise ArtifactNotFound(f"session {self._past.id} had no artifact {number} then", artifact=str(number))
        return ArtifactId(record.content_hash.hex(), self._past.id, number)

    def turn_head(self, sequence: int) -> Head | None:
        return self._turns.get(sequence)

    def turns(self, after: int, *, newest: bool = False) -> list[int]:
        later = takewhile(lambda turn: turn > after, reversed(self._turns))
        if newest:
            return [turn for turn, _ in zip(later, range(1), strict=False)]
        return [*later][::-1]

    def now(self) -> int:
        return self._clock.time_ns()

    def last_activity(self) -> int:
        return self._activity

    def turn_event(self, sequence: int) -> StoredEvent:
        own = self._own.get(sequence)
        if own is not None:
            return own
        recorded = self._places.events.recorded(sequence)
        found = self._past.store.journal.stored(self._past.session, recorded if recorded is not None else sequence)
        return self._places.in_replay(found)

    def approval(self, sequence: int) -> Approval:
        asked = self.turn_event(sequence)
        if asked.type != APPROVAL_REQUESTED:
            raise ValidationError(f"approval: event {self._past.id}/{sequence} asked no question", field="approval")
        data, closing = asked.data, self._closed.get(sequence)
        event = self.turn_event(closing) if closing is not None else None
        expires = data["expires_at"]
        return Approval(
            f"{self._past.id}/{sequence}",
            self._past.id,
            sequence,
            data["question"],
            unpack_value(data["schema"]) if data["schema"] is not None else None,
            unpack_value(data["metadata"]),
            _STATUS.get(event.type, "cancelled") if event is not None else "pending",
            utc_time(asked.time),
            utc_time(expires) if expires is not None else None,
            None,
            event.data.get("by") if event is not None else None,
            utc_time(event.time) if event is not None else None,
            event.data.get("reason") if event is not None else None,
        )

    def record(self, key: bytes) -> StoredRecord | None:
        return self._records.live.get(key)

    def record_keys(self, prefix: bytes, limit: int) -> list[bytes]:
        return sorted(key for key in self._records.live if key.startswith(prefix))[:limit]


def _is(record: ArtifactRecord, identity: ArtifactId) -> bool:
    return record.content_hash == bytes.fromhex(identity.content_hash)
