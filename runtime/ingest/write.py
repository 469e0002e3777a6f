"""Plans the sessions of a conversation, and writes them: all in one batch, or none."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from greenroom.actors import messages as m
from greenroom.actors.messages.conversation import Turn as Message

from .placing import Moved, PlacedTurn, fit, place_turn, plain_text, texts_of
from .records import Conversation, Note, Turn
from .sources import Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from greenroom.actors.session.redaction import Redaction
    from greenroom.actors.transfer.recording import Recording
    from greenroom.runtime.config.config import RuntimeConfig
    from greenroom.runtime.core import RuntimeCore
    from greenroom.runtime.creation import Creation
    from greenroom.storage.catalog.model import SessionInfo

__all__ = ["Plan", "Target", "plan", "write"]


class Target(Protocol):
    """The runtime that conversations are written to."""

    core: RuntimeCore
    creation: Creation

    @property
    def config(self) -> RuntimeConfig:
        """The settings in force."""

    def list_sessions(self, *, status: Any, metadata: Any, sort_by: Any, limit: Any) -> Iterable[SessionInfo]:
        """Return the sessions that match the filters."""


SESSION_ROOM: Final = 16 << 10
"""Limit of bytes for a record's other fields in the session's metadata."""
_MOST_NOTES: Final = 20


@dataclass(frozen=True, slots=True)
class _Said:
    """A turn, where its fields go, and when it was said (ns since the epoch)."""

    number: int
    turn: Turn
    placed: PlacedTurn
    at: int

    @property
    def artifacts(self) -> int:
        return len(self.placed.texts) + len(self.placed.moved)


@dataclass(frozen=True, slots=True)
class _Path:
    """A path of the conversation that becomes a session. `shared` counts the turns that it has of its origin."""

    origin: int
    shared: int
    said: list[_Said]
    ended: int


@dataclass(slots=True)
class Plan:
    """What the sessions of a conversation will be: the first path is the conversation, others are its branches."""

    name: str
    tags: list[str]
    metadata: dict[str, Any]
    moved: list[Moved]
    started: int
    paths: list[_Path] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    @property
    def messages(self) -> int:
        """The messages of all sessions."""
        return sum(len(path.said) for path in self.paths)

    @property
    def artifacts(self) -> int:
        """The artifacts of all sessions."""
        own = len(self.moved) * len(self.paths)
        return own + sum(said.artifacts for path in self.paths for said in path.said)


def plan(source: Source, position: str, conversation: Conversation, notes: list[Note], now: int) -> Plan:
    """Return the plan of a conversation. `notes` say what was changed when it was read."""
    notes = [*notes, *conversation.notes]
    started, times, ended = _times(conversation, now, notes)
    first = [branch.turns[0].time for branch in conversation.branches if not branch.shared and branch.turns]
    if conversation.started is None:
        started = min([started, *(time for time in first if time is not None)])
    main = [
        _Said(number, turn, place_turn(number, turn), at)
        for number, (turn, at) in enumerate(zip(conversation.turns, times, strict=True), start=1)
    ]
    paths = [_Path(-1, 0, main, ended)]
    for number, branch in enumerate(conversation.branches, start=1):
        begin = paths[branch.origin + 1].said[: branch.shared]
        times = _following(branch.turns, begin[-1].at if begin else started, now, notes, f"branch {number}, ")
        own = [
            _Said(at_number, turn, place_turn(at_number, turn), at)
            for at_number, (turn, at) in enumerate(zip(branch.turns, times, strict=True), start=len(begin) + 1)
        ]
        paths.append(_Path(branch.origin + 1, len(begin), begin + own, times[-1]))
    for path in paths:
        for said in path.said[path.shared :]:
            notes += said.placed.notes
    metadata, moved = _described(source, position, conversation, notes)
    name = _name(source, position, conversation)
    return Plan(name, ["ingested", conversation.format], metadata, moved, started, paths, notes)


def write(
    runtime: Target, plan: Plan, created_by: str | None, check: Callable[[], object] | None = None
) -> tuple[list[str], int]:
    """Write the sessions of a plan in one batch. Return their ids, the conversation's first, and how many artifacts
    they have. `check` is called before the batch is written. Raises what hooks, limits and the store raise."""
    recordings: list[Recording] = []
    artifacts = 0
    with ExitStack() as abandoned:
        for path in plan.paths:
            recording = runtime.creation.recording(
                plan.started, name=plan.name, created_by=created_by, tags=plan.tags, metadata=plan.metadata
            )
            abandoned.callback(recording.abandon)  # does nothing once it is written
            writer = _Writer(recording, created_by, runtime.config.ask_timeout, runtime.core.redaction)
            writer.moved(plan.moved, plan.started, {})
            for number, said in enumerate(path.said):
                if number == path.shared and recordings:
                    recording.become_fork(recordings[path.origin], said.at)
                writer.say(said)
            writer.ask(m.CompleteSession(), path.ended)
            recordings.append(recording)
            artifacts += writer.artifacts
        recordings[0].finish(check, recordings[1:])
    return [recording.id for recording in recordings], artifacts


_TEXTS: Final = ("text/", "application/json")


class _Writer:
    """Sends the messages of one recording."""

    def __init__(
        self, recording: Recording, created_by: str | None, timeout: float, redaction: Redaction | None
    ) -> None:
        self._recording = recording
        self._redaction = redaction
        self._created_by = created_by
        self._timeout = timeout
        self.artifacts = 0

    def ask(self, message: m.Message[Any], at: int) -> Any:
        """Send a message about something that happened at `at`."""
        return self._recording.ask(message, at, self._timeout)

    def say(self, said: _Said) -> None:
        """Add a turn, and its artifacts."""
        turn, place = said.turn, said.placed
        message = self.ask(place.message, said.at)
        about = _about(turn, getattr(message, "sequence", None))
        # Hooks may have changed the message: its artifact must have the same text.
        changed = isinstance(message, Message) and message.content != place.content
        texts = texts_of(said.number, replace(turn, content=message.content)) if changed else place.texts
        for kind, name, text in texts:
            self._store(kind, name, text, "text/plain", about, said.at)
        self.moved(place.moved, said.at, about)

    def moved(self, moved: list[Moved], at: int, about: dict[str, Any]) -> None:
        """Store fields that became artifacts."""
        for each in moved:
            self._store(each.type, each.name, each.content, each.mime_type, about | {"field": each.field}, at)

    def _store(
        self, kind: str, name: str, content: str | bytes, mime_type: str, about: dict[str, Any], at: int
    ) -> None:
        created_by = self._created_by
        if self._redaction is not None and (type(content) is str or mime_type.startswith(_TEXTS)):
            content = self._redaction.value(content)  # text of a message goes the way of messages
        self.ask(m.StoreArtifact(kind, name, content, mime_type=mime_type, metadata=about, created_by=created_by), at)
        self.artifacts += 1


def _name(source: Source, position: str, conversation: Conversation) -> str:
    """Return the session's name: the recording's title, else its file and position."""
    if conversation.title is not None and plain_text(conversation.title).strip():
        return plain_text(conversation.title).strip()[: m.MAX_NAME]
    stem = Path(source.name).stem or source.name
    return plain_text(stem if position == "document" else f"{stem} {position}")[-m.MAX_NAME :]


def _described(
    source: Source, position: str, conversation: Conversation, notes: list[Note]
) -> tuple[dict[str, Any], list[Moved]]:
    """Return the session's metadata: the source, and the record's other fields."""
    metadata: dict[str, Any] = {
        "source_file": source.name,
        "source_position": position,
        "source_format": conversation.format,
        "source_digest": conversation.digest,
    }
    if conversation.source_id is not None:
        metadata["source_id"] = conversation.source_id[: m.MAX_NAME]
    moved: list[Moved] = []
    if conversation.extra:
        fitted = fit(conversation.extra, SESSION_ROOM, "source", notes, "")
        metadata["source_record"] = fitted.kept
        if fitted.named:
            metadata["source_artifacts"] = fitted.named
        moved = fitted.moved
    changed = [note for note in notes if not note.moved]
    if changed:
        metadata["source_repaired"] = [f"{note.field}: {note.what}"[:400] for note in changed[:_MOST_NOTES]]
        if len(changed) > _MOST_NOTES:
            metadata["source_repaired"].append(f"{len(changed) - _MOST_NOTES} more")
    return metadata, moved


def _times(conversation: Conversation, now: int, notes: list[Note]) -> tuple[int, list[int], int]:
    """Return the times of the session's beginning, of each turn, and of its end, from the recording. Times never go
    back. Without any recorded time, all are now."""
    told = [turn.time for turn in conversation.turns if turn.time is not None]
    known = [time for time in (conversation.started, told[0] if told else None, conversation.ended) if time is not None]
    started = min(known[0], told[0] if told else known[0], now) if known else now
    times = _following(conversation.turns, started, now, notes, "")
    at = times[-1] if times else started
    return started, times, max(at, min(conversation.ended or at, now))


def _following(turns: list[Turn], at: int, now: int, notes: list[Note], place: str) -> list[int]:
    """Return the times of turns that begin at `at`. A journal's times never go back, so what does is noted."""
    times = []
    for number, turn in enumerate(turns):
        if turn.time is not None:
            shown = max(at, min(turn.time, now))
            if shown != turn.time:
                why = "before that of the turn before it" if shown > turn.time else "in the future"
                notes.append(Note(f"{place}message {number}", f"its time, {_iso(turn.time)}, is {why}: {_iso(shown)}"))
            at = shown
        times.append(at)
    return times


def _iso(time: int) -> str:
    return datetime.fromtimestamp(time // 10**9, UTC).isoformat()


def _about(turn: Turn, sequence: int | None) -> dict[str, Any]:
    """Return the metadata that links an artifact to its turn."""
    about: dict[str, Any] = {"role": turn.role[: m.MAX_ROLE], "message_sequence": sequence}
    named = {"name": turn.name, "tool_call_id": turn.tool_call_id}
    about |= {key: value for key, value in named.items() if value is not None and len(value) <= m.MAX_NAME}
    if isinstance(turn.metadata.get("message_type"), str):
        about["message_type"] = turn.metadata["message_type"][: m.MAX_NAME]
    return about
