"""The ledger: records the acknowledged writes of the demo's worker, and compares them with the reopened store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from greenroom.runtime import Runtime, Session


@dataclass(frozen=True)
class Check:
    """A comparison of one kind of writes: how many were acknowledged, how many were found, and the faults."""

    what: str
    expected: int
    found: int
    faults: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is missing or different."""
        return self.expected == self.found and not self.faults


@dataclass
class Ledger:
    """The acknowledged writes, as the worker reports them line by line."""

    sessions: list[str] = field(default_factory=list)
    messages: dict[str, dict[int, str]] = field(default_factory=dict)  # session -> sequence -> digest
    artifacts: dict[str, dict[str, str]] = field(default_factory=dict)  # session -> id -> digest
    variables: dict[str, dict[str, int]] = field(default_factory=dict)  # session -> key -> newest value
    events: int = 0
    artifact_count: int = 0
    artifact_bytes: int = 0

    def add(self, said: Mapping[str, Any]) -> None:
        """Record one acknowledged write."""
        session = said["session"]
        self.events += 1
        match said["kind"]:
            case "session":
                self.sessions.append(session)
            case "message":
                self.messages.setdefault(session, {})[said["sequence"]] = said["digest"]
            case "artifact":
                self.artifacts.setdefault(session, {})[said["id"]] = said["digest"]
                self.artifact_count += 1
                self.artifact_bytes += said["size"]
            case "variable":
                self.variables.setdefault(session, {})[said["key"]] = said["value"]

    def check(self, runtime: Runtime) -> Iterator[Check]:
        """Compare the ledger with the store, kind by kind."""
        from greenroom.runtime import SessionNotFound

        sessions: dict[str, Session] = {}
        faults = []
        for session_id in self.sessions:
            try:
                sessions[session_id] = runtime.session(session_id)
                sessions[session_id].info()
            except SessionNotFound:
                faults.append(f"session {session_id} is gone")
        present = [session_id for session_id in self.sessions if f"session {session_id} is gone" not in faults]
        yield Check("sessions", len(self.sessions), len(present), tuple(faults))
        yield self._messages(sessions)
        yield self._variables(sessions)
        yield self._artifacts(sessions)
        yield self._sequences(sessions)

    def _messages(self, sessions: Mapping[str, Session]) -> Check:
        from .worker import digest

        expected = found = 0
        faults = []
        for session_id, digests in self.messages.items():
            session = sessions.get(session_id)
            there = {m.sequence: m.text for m in session.messages()} if session else {}
            for sequence, wanted in digests.items():
                expected += 1
                if sequence in there and digest(there[sequence]) == wanted:
                    found += 1
                else:
                    faults.append(f"message {sequence} of {session_id}")
        return Check("messages, text for text", expected, found, tuple(faults))

    def _variables(self, sessions: Mapping[str, Session]) -> Check:
        expected = found = 0
        faults = []
        for session_id, values in self.variables.items():
            for key, wanted in values.items():
                expected += 1
                value = sessions[session_id].get(key) if session_id in sessions else None
                if isinstance(value, int) and value >= wanted:  # the next one may have been written, unacknowledged
                    found += 1
                else:
                    faults.append(f"variable {key} of {session_id}")
        return Check("variables, newest value", expected, found, tuple(faults))

    def _artifacts(self, sessions: Mapping[str, Session]) -> Check:
        from blake3 import blake3

        from greenroom.runtime import GreenroomError

        expected = found = 0
        faults = []
        for session_id, digests in self.artifacts.items():
            for artifact_id, wanted in digests.items():
                expected += 1
                try:
                    content = sessions[session_id].get_artifact(artifact_id).content
                except (GreenroomError, KeyError):
                    content = b""
                if blake3(content).hexdigest() == wanted:
                    found += 1
                else:
                    faults.append(f"artifact {artifact_id}")
        return Check("artifacts, byte for byte", expected, found, tuple(faults))

    def _sequences(self, sessions: Mapping[str, Session]) -> Check:
        faults = []
        for session_id, session in sessions.items():
            sequences = [event.sequence for event in session.events()]
            newest = max(self.messages.get(session_id, {0: ""}))
            if sequences != list(range(1, len(sequences) + 1)) or len(sequences) < newest:
                faults.append(f"the journal of {session_id} has a gap")
        return Check("journals without a gap", len(sessions), len(sessions) - len(faults), tuple(faults))
