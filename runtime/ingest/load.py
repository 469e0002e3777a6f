"""Writes conversations into a runtime: a session for each, in one write, and none twice."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.conversation import Turn as Message
from greenroom.storage.catalog.model import SessionStatus
from greenroom.storage.errors import GreenroomError, RuntimeClosed, StorageError

from .formats import conversation_of
from .placing import Moved, fit, place_turn, plain_text, texts_of
from .read import read_records
from .records import MAX_RECORD_BYTES, Conversation, Fault, Note, Record, Turn, UnknownRecord
from .report import MAX_LISTED, IngestProgress, IngestReport, OnProgress, Skipped
from .sources import STDIN, Source, UnreadableSource, open_sources, shown

if TYPE_CHECKING:
    from greenroom.actors.transfer.recording import Recording
    from greenroom.runtime import Runtime

SESSION_ROOM: Final = 16 << 10
"""Limit of bytes for a record's other fields in the session's metadata."""
_MOST_NOTES: Final = 20
_PROGRESS_SECONDS: Final = 0.05
_ALL: Final = tuple(SessionStatus)


def ingest(
    runtime: Runtime,
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    on_progress: OnProgress | None = None,
    created_by: str | None = None,
    max_record_bytes: int = MAX_RECORD_BYTES,
) -> IngestReport:
    """Read conversations and create a completed session for each.

    Paths are files, folders, or "-" for standard input; .gz and .zip are unpacked. Supported are OpenAI chat,
    completions, responses and batches, Anthropic messages, ShareGPT and SWE-agent trajectories, as documents, lines or
    lists in any mixture; the content decides which. Each turn becomes a message. User turns, agent outputs and tool
    results with a text also become artifacts of type ``user_input``, ``agent_output`` and ``tool_result``, whose
    content is exactly that text in UTF-8. All other fields are kept in the metadata; fields too large for it become
    artifacts that the metadata names. Sessions keep the titles and times of the recording. Their metadata names the
    source (``source_file``, ``source_position``, ``source_format``, ``source_digest``).

    A conversation is written completely or not at all. One whose content is in the store already is skipped. Hooks,
    redaction and limits on bytes apply as for live sessions; rates do not, because this is one operation of the host.

    A file or record that cannot be read, or that the runtime refuses, is listed in the report's `skipped` and leaves no
    session behind; the others are ingested. Raises StorageError and RuntimeClosed, because nothing more can be written
    then.
    """
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    work = _Ingest(runtime, [os.fspath(path) for path in paths], on_progress, created_by, max_record_bytes)
    return work.run()


class _AlreadyThere(Exception):
    """The conversation is in the store."""


class _Seen:
    """Counts a conversation of a source: the sessions that the store had before, and how often the source has it."""

    __slots__ = ("before", "first", "met")

    def __init__(self, there: list[str]) -> None:
        self.before = len(there)
        self.first = there[0] if there else None
        self.met = 0


class _Ingest:
    def __init__(
        self,
        runtime: Runtime,
        paths: list[str],
        on_progress: OnProgress | None,
        created_by: str | None,
        max_record_bytes: int,
    ) -> None:
        self._runtime = runtime
        self._paths = paths
        self._on_progress = on_progress
        self._created_by = created_by
        self._limit = max_record_bytes
        self._timeout = runtime.config.ask_timeout
        self._report = IngestReport()
        self._bytes_total = sum(map(_size, paths))
        self._bytes_before = 0
        self._next_progress = 0.0
        self._seen: dict[str, _Seen] = {}
        """The conversations of the current source, by digest."""

    def run(self) -> IngestReport:
        started = time.perf_counter()
        report = self._report
        for path in self._paths:
            before = report.sessions + report.duplicate_count
            label = "standard input" if path == STDIN else shown(path)
            try:
                for source in open_sources(path):
                    label = source.label
                    self._source(source)
                    self._bytes_before += source.position()
            except UnreadableSource as error:
                self._skip(label, "document", str(error))
            except OSError as error:
                self._skip(label, "document", f"it cannot be read: {error.strerror or type(error).__name__}")
            report.bytes_read = self._bytes_before
            if report.sessions + report.duplicate_count == before:
                report.failed_paths.append(label if path == STDIN else shown(path))
        report.duration = time.perf_counter() - started
        if self._paths:
            self._progress(shown(self._paths[-1]), 0)
        return report

    def _source(self, source: Source) -> None:
        self._seen = {}
        for found in read_records(source.stream, self._limit):
            if isinstance(found, Fault):
                self._skip(source.label, found.position, found.reason)
            else:
                self._record(source, found)
            if self._on_progress and time.monotonic() >= self._next_progress:
                self._progress(source.label, source.position())

    def _record(self, source: Source, record: Record) -> None:
        report = self._report
        try:
            conversation = conversation_of(record.value)
            notes = self._conversation(source, record, conversation)
        except UnknownRecord as error:
            if not record.salvaged:  # its position has been reported as broken
                self._skip(source.label, record.position, str(error))
        except _AlreadyThere as found:
            report.duplicate_count += 1
            if len(report.duplicates) < MAX_LISTED:
                report.duplicates.append(Skipped(source.label, record.position, f"it is session {found} already"))
        except RecursionError:
            self._skip(source.label, record.position, "it is nested too deeply")
        except (StorageError, RuntimeClosed):
            raise
        except GreenroomError as error:
            self._skip(source.label, record.position, f"{error.code}: {error}")
        else:
            self._note(source.label, record.position, notes)

    # -- one conversation

    def _conversation(self, source: Source, record: Record, conversation: Conversation) -> list[Note]:
        """Write a conversation and return the notes of changed and moved fields. Raises _AlreadyThere."""
        alone = self._look(conversation.digest)
        notes = [*record.notes, *conversation.notes]
        started, times, ended = _times(conversation, self._runtime.core.clock.time_ns())
        placed = [place_turn(number, turn) for number, turn in enumerate(conversation.turns, start=1)]
        for each in placed:
            notes += each.notes
        metadata, moved = _described(source, record.position, conversation, notes)
        recording = self._runtime.creation.recording(
            started,
            name=_name(source, record.position, conversation),
            created_by=self._created_by,
            tags=["ingested", conversation.format],
            metadata=metadata,
        )
        artifacts = 0
        try:
            artifacts += self._moved(recording, moved, started, {})
            for number, (turn, place, at) in enumerate(zip(conversation.turns, placed, times, strict=True), start=1):
                message = recording.ask(place.message, at, self._timeout)
                about = _about(turn, getattr(message, "sequence", None))
                # Hooks may have changed the message: its artifact must have the same text.
                changed = isinstance(message, Message) and message.content != turn.content and not place.moved
                texts = texts_of(number, replace(turn, content=message.content)) if changed else place.texts
                for kind, name, text in texts:
                    self._store(recording, kind, name, text, "text/plain", about, at)
                artifacts += len(texts) + self._moved(recording, place.moved, at, about)
            recording.ask(m.CompleteSession(), ended, self._timeout)
            recording.finish((lambda: self._look_again(conversation.digest)) if alone else None)
        except BaseException:
            recording.abandon()
            raise
        report = self._report
        report.sessions += 1
        report.messages += len(placed)
        report.artifacts += artifacts
        report.session_ids.append(recording.id)
        return notes

    def _look(self, digest: str) -> bool:
        """Return whether the store has no conversation with this digest, from before or from this source.

        If a source has a conversation several times, the store gets it as many times, however often the source is
        ingested. Raises _AlreadyThere if the store had this one before.
        """
        seen = self._seen.get(digest)
        if seen is None:
            seen = self._seen[digest] = _Seen(self._there(digest))
        seen.met += 1
        if seen.met <= seen.before:
            raise _AlreadyThere(seen.first)
        return seen.met == 1

    def _look_again(self, digest: str) -> None:
        """Raise _AlreadyThere if another thread has written the conversation since."""
        there = self._there(digest)
        if there:
            seen = self._seen[digest] = _Seen(there)
            seen.met = 1
            raise _AlreadyThere(seen.first)

    def _there(self, digest: str) -> list[str]:
        """Return the sessions that were ingested from this conversation, without their forks."""
        page = self._runtime.list_sessions(status=_ALL, metadata={"source_digest": digest})
        return [info.id for info in page if info.parent_session_id is None]

    def _moved(self, recording: Recording, moved: list[Moved], at: int, about: dict[str, Any]) -> int:
        for each in moved:
            self._store(
                recording,
                "system_generated",
                each.name,
                each.content,
                each.mime_type,
                about | {"field": each.field},
                at,
            )
        return len(moved)

    def _store(
        self, recording: Recording, kind: str, name: str, text: str, mime_type: str, about: dict[str, Any], at: int
    ) -> None:
        message = m.StoreArtifact(kind, name, text, mime_type=mime_type, metadata=about, created_by=self._created_by)
        recording.ask(message, at, self._timeout)

    # -- the report

    def _note(self, label: str, position: str, notes: list[Note]) -> None:
        report = self._report
        for note in notes:
            listed = report.moved if note.moved else report.repaired
            report.moved_count += note.moved
            report.repaired_count += not note.moved
            report.replaced_count += note.lost
            if len(listed) < MAX_LISTED:
                listed.append(Skipped(label, position, note.what, note.field))

    def _skip(self, label: str, position: str, reason: str) -> None:
        self._report.skipped_count += 1
        if len(self._report.skipped) < MAX_LISTED:
            self._report.skipped.append(Skipped(label, position, reason))

    def _progress(self, label: str, offset: int) -> None:
        if self._on_progress is None:
            return
        self._next_progress = time.monotonic() + _PROGRESS_SECONDS
        report = self._report
        done = self._bytes_before + offset
        self._on_progress(
            IngestProgress(
                label,
                done,
                max(self._bytes_total, done),
                report.sessions,
                report.messages,
                report.skipped_count,
            )
        )


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


def _times(conversation: Conversation, now: int) -> tuple[int, list[int], int]:
    """Return the times of the session's beginning, of each turn, and of its end, from the recording. Times never go
    back. Without any recorded time, all are now."""
    told = [turn.time for turn in conversation.turns if turn.time is not None]
    known = [time for time in (conversation.started, told[0] if told else None, conversation.ended) if time is not None]
    started = min(known[0], told[0] if told else known[0], now) if known else now
    at, times = started, []
    for turn in conversation.turns:
        if turn.time is not None:
            at = max(at, min(turn.time, now))
        times.append(at)
    return started, times, max(at, min(conversation.ended or at, now))


def _about(turn: Turn, sequence: int | None) -> dict[str, Any]:
    """Return the metadata that links an artifact to its turn."""
    about: dict[str, Any] = {"role": turn.role[: m.MAX_ROLE], "message_sequence": sequence}
    named = {"name": turn.name, "tool_call_id": turn.tool_call_id}
    about |= {key: value for key, value in named.items() if value is not None and len(value) <= m.MAX_NAME}
    if isinstance(turn.metadata.get("message_type"), str):
        about["message_type"] = turn.metadata["message_type"][: m.MAX_NAME]
    return about


def _size(path: str) -> int:
    try:
        return os.path.getsize(path) if path != STDIN and os.path.isfile(path) else 0
    except OSError:
        return 0
