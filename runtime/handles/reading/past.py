"""A session as it was at a moment of its past."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from typing import Any, TypedDict

from blake3 import blake3

from greenroom.actors.messages.approvals import Approval
from greenroom.actors.messages.checks import whole_number
from greenroom.actors.messages.conversation import Turn
from greenroom.actors.replay.history import IN_A_MICROSECOND, History
from greenroom.actors.replay.standing import Standing
from greenroom.actors.session.answers.approvals import approval_of
from greenroom.actors.session.answers.turns import turns_of
from greenroom.actors.session.state.approvals import pending_of
from greenroom.actors.session.state.model import SessionState
from greenroom.actors.store import ArtifactStore
from greenroom.storage.artifacts.model import ArtifactInfo
from greenroom.storage.artifacts.records import artifact_info
from greenroom.storage.catalog.model import SessionInfo, SessionStatus
from greenroom.storage.codec.records import Json, Value, unpack_value
from greenroom.storage.common.times import iso_time, moment, utc_time
from greenroom.storage.errors import IntegrityError, SchemaTooNew, ValidationError

__all__ = ["PastRecord", "PastState", "past_state"]


class PastRecord(TypedDict):
    """A record as the journal knows it: the BLAKE3 (hexadecimal) and the size in bytes of its value."""

    hash: str
    size: int


class PastState:
    """A session as it was after one event of its journal. It never changes.

    Everything is of that moment: `variables`, `tags`, `metadata`, the session's own settings (`config`), the
    conversation (`messages`), the artifacts, the questions to people (`approvals`), and the `records`, of which the
    journal knows keys, hashes and sizes. Contents of artifacts that were deleted since are gone; what there was to know
    of them is not.

    What is large is read when it is first asked for, with the access that the reader has then. That may raise
    SessionNotFound, if the session has been deleted meanwhile, AccessDenied, and IntegrityError.
    """

    def __init__(self, history: History, state: SessionState, now: int, look: Callable[[], SessionInfo]) -> None:
        """Use `Session.at` instead. `now` is the time that was asked for; `look` asks for the session, which checks the
        reader's access."""
        self._history = history
        self._state = state
        self._now = now
        self._look = look

    def __repr__(self) -> str:
        return f"<PastState {self._state.id}/{self.sequence} {self.status}>"

    @property
    def session_id(self) -> str:
        return self._state.id

    @property
    def sequence(self) -> int:
        """The event after which the session was so."""
        return self._state.sequence

    @property
    def time(self) -> datetime:
        """The time of that event."""
        return utc_time(self._state.updated_at)

    @cached_property
    def info(self) -> SessionInfo:
        """What `Session.info` returned then."""
        return self._state.info()

    @property
    def status(self) -> SessionStatus:
        return self.info.status

    @property
    def tags(self) -> tuple[str, ...]:
        return self.info.tags

    @property
    def metadata(self) -> dict[str, Json]:
        return self.info.custom_metadata

    @property
    def config(self) -> dict[str, Json]:
        """The settings of the session itself, without those of its runtime, which no journal has."""
        return unpack_value(self._state.config) if self._state.config is not None else {}

    @cached_property
    def variables(self) -> dict[str, Json]:
        """The variables by key. Raises IntegrityError if a lost event may have changed one."""
        state = self._state
        if state.certain is not None:
            raise IntegrityError(
                f"some variable of session {state.id} at event {state.sequence} may have been changed by an event that "
                "was lost to damage",
                session_id=state.id,
                sequence=state.sequence,
            )
        return {key: unpack_value(packed) for key, packed in sorted(state.variables.items())}

    @cached_property
    def messages(self) -> list[Turn]:
        """The conversation, oldest turn first, each as it was then."""
        return turns_of(self._history.store, self._state.session, self._standing.turns)

    @cached_property
    def artifacts(self) -> list[ArtifactInfo]:
        """The artifacts that existed, oldest first. Read their contents with `Session.get_artifact`."""
        return [artifact_info(self._state.id, *each) for each in sorted(self._standing.artifacts.items())]

    @cached_property
    def records(self) -> dict[bytes, PastRecord]:
        """The records by key, in order: what the journal knows of each value."""
        live = sorted(self._standing.records.live.items())
        return {key: {"hash": record.hash.hex(), "size": record.size} for key, record in live}

    @cached_property
    def approvals(self) -> list[Approval]:
        """The questions to people, oldest first, as they stood."""
        asked, session = self._standing.approvals, self._state.session
        pending = pending_of(self._state)
        stored = self._history.store.journal.stored
        return [
            approval_of(
                session,
                sequence,
                stored(session, sequence),
                stored(session, closed) if closed is not None else None,
                self._now,
                pending=sequence in pending,
            )
            for sequence, closed in sorted(asked.items())
        ]

    @property
    def digest(self) -> str:
        """The BLAKE3 digest (hexadecimal) of the state, as a snapshot at this event would have it."""
        return blake3(self._state.encode()).hexdigest()

    @cached_property
    def _standing(self) -> Standing:
        _present(self._look)
        return self._history.standing(self._state.sequence)

    def to_dict(self) -> dict[str, Json]:
        """Return everything by name as JSON values, with times in RFC 3339. Bytes stay bytes, as in events, except that
        keys of records are texts, in which bytes that are no UTF-8 are escaped."""
        records: dict[str, Value] = {
            key.decode("utf-8", "backslashreplace"): {**record} for key, record in self.records.items()
        }
        return {
            "session_id": self.session_id,
            "sequence": self.sequence,
            "time": iso_time(self.time),
            "info": self.info.to_dict(),
            "status": self.status.value,
            "variables": self.variables,
            "tags": list(self.tags),
            "metadata": self.metadata,
            "config": self.config,
            "messages": [each.to_dict() for each in self.messages],
            "artifacts": [each.to_dict() for each in self.artifacts],
            "approvals": [each.to_dict() for each in self.approvals],
            "records": records,
            "digest": self.digest,
        }


def past_state(
    store: ArtifactStore,
    session_id: str,
    look: Callable[[], SessionInfo],
    sequence: int | None,
    time: Any,
) -> PastState:
    """Return a session as it was; `look` asks for the present one. See `Session.at`."""
    if (sequence is None) == (time is None):
        raise ValidationError("at: either sequence= or time= is needed, and not both", field="sequence")
    wanted = whole_number("sequence", sequence)
    when = moment(time, "time")
    present = _present(look)
    # What nobody has been told yet is left out: it might still be lost.
    history = History(store, session_id, present.sequence if present is not None else None)
    if when is not None:
        now = when + IN_A_MICROSECOND
        return PastState(history, history.state(history.sequence_at(now)), now, look)
    state = history.state(wanted or 0)
    return PastState(history, state, state.updated_at, look)


def _present(look: Callable[[], SessionInfo]) -> SessionInfo | None:
    """Return the present session; None if it is too damaged to be used, so that only its past can be looked at. Raises
    AccessDenied, SessionNotFound."""
    try:
        return look()
    except (IntegrityError, SchemaTooNew):
        return None
