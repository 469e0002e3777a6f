"""Brings conversations into a runtime: a session each, its turns as messages and artifacts."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from greenroom.runtime.ingest.formats import conversation_of
from greenroom.runtime.ingest.read import open_source, read_records
from greenroom.runtime.ingest.records import (
    MAX_RECORD_BYTES,
    Conversation,
    Fault,
    Record,
    Turn,
    UnknownRecord,
)
from greenroom.runtime.ingest.report import MAX_LISTED, IngestProgress, IngestReport, OnProgress, Skipped
from greenroom.storage.errors import GreenroomError, RuntimeClosed, StorageError

if TYPE_CHECKING:
    from greenroom.runtime import ArtifactInfo, Message, Runtime, Session

_ARTIFACT_TYPES = {
    "user": "user_input",
    "assistant": "agent_output",
    "tool": "tool_result",
    "function": "tool_result",
}
_SESSION_EXTRA_BYTES = 16 * 1024
_MESSAGE_EXTRA_BYTES = 56 * 1024
_PROGRESS_SECONDS = 0.05


def ingest(
    runtime: Runtime,
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    on_progress: OnProgress | None = None,
    created_by: str | None = None,
    max_record_bytes: int = MAX_RECORD_BYTES,
) -> IngestReport:
    """Read conversation files and make a session of every conversation in them.

    Understood are OpenAI chat JSON, JSON lines of it, ShareGPT and SWE-agent trajectories; the content
    tells which. Each turn becomes a message. User turns, agent outputs and tool results with a text also
    become artifacts of type ``user_input``, ``agent_output`` and ``tool_result``, whose content is exactly
    that text in UTF-8. The file and the place in it are in the session's metadata (``source_file``,
    ``source_position``, ``source_format``).

    A file or record that cannot be read, or that the runtime refuses, is listed in the report's `skipped`
    and leaves no session behind; the rest goes in. Raises StorageError and RuntimeClosed, because nothing
    more can go in then.
    """
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    work = _Ingest(runtime, [Path(path) for path in paths], on_progress, created_by, max_record_bytes)
    return work.run()


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A turn and what the runtime acknowledged for it; `artifact` is None for a turn without text."""

    turn: Turn
    message: Message
    artifact: ArtifactInfo | None


def store_turns(session: Session, turns: Iterable[Turn], created_by: str | None = None) -> Iterator[StoredTurn]:
    """Add turns to a session one by one, yielding each as soon as it is acknowledged."""
    for number, turn in enumerate(turns, start=1):
        message = session.add_message(
            turn.role,
            turn.content,
            name=turn.name,
            tool_calls=turn.tool_calls,
            tool_call_id=turn.tool_call_id,
            metadata=_fitting(turn.metadata, _MESSAGE_EXTRA_BYTES, "", "omitted_keys"),
        )
        artifact = None
        kind = _ARTIFACT_TYPES.get(turn.role)
        if kind is not None and turn.text:
            artifact = session.store_artifact(
                kind,
                f"turn-{number:04d}-{turn.role}.txt",
                turn.text,
                mime_type="text/plain",
                metadata=_about(turn, message.sequence),
                created_by=created_by,
            )
        yield StoredTurn(turn, message, artifact)


def create_session_for(
    runtime: Runtime, conversation: Conversation, path: Path, position: str, created_by: str | None = None
) -> Session:
    """Create the session of a conversation, named after its file, with its source in the metadata."""
    turns = len(conversation.turns)
    # The defaults suit live sessions; a long recording must fit whole, with room to go on working on it.
    config = {"max_artifacts": 2 * turns, "max_operations": 100_000 + 4 * turns} if turns > 500 else None
    name = path.stem if position == "document" else f"{path.stem} {position}"
    return runtime.create_session(
        name=re.sub(r"[\x00-\x1f\x7f]", " ", name)[-255:],
        created_by=created_by,
        tags=["ingested", conversation.format],
        metadata={
            "source_file": path.name,
            "source_position": position,
            "source_format": conversation.format,
            **_fitting(conversation.extra, _SESSION_EXTRA_BYTES, "source_record", "source_record_omitted"),
        },
        config=config,
    )


class _Ingest:
    def __init__(
        self,
        runtime: Runtime,
        paths: list[Path],
        on_progress: OnProgress | None,
        created_by: str | None,
        max_record_bytes: int,
    ) -> None:
        self._runtime = runtime
        self._paths = paths
        self._on_progress = on_progress
        self._created_by = created_by
        self._limit = max_record_bytes
        self._report = IngestReport()
        self._bytes_total = sum(_size(path) for path in paths)
        self._bytes_before = 0
        self._next_progress = 0.0

    def run(self) -> IngestReport:
        started = time.perf_counter()
        for path in self._paths:
            sessions = self._report.sessions
            try:
                with open_source(path) as stream:
                    self._file(path, stream)
                    self._bytes_before += stream.tell()
            except OSError as error:
                self._skip(path, "document", f"it cannot be read: {error.strerror or type(error).__name__}")
            self._report.bytes_read = self._bytes_before
            if self._report.sessions == sessions:
                self._report.failed_paths.append(str(path))
        self._report.duration = time.perf_counter() - started
        if self._paths:
            self._progress(self._paths[-1], 0)
        return self._report

    def _file(self, path: Path, stream: BinaryIO) -> None:
        for found in read_records(stream, self._limit):
            if isinstance(found, Fault):
                self._skip(path, found.position, found.reason)
            else:
                self._record(path, found)
            if self._on_progress and time.monotonic() >= self._next_progress:
                self._progress(path, stream.tell())

    def _record(self, path: Path, record: Record) -> None:
        try:
            conversation = conversation_of(record.value)
            self._conversation(path, record.position, conversation)
        except UnknownRecord as error:
            self._skip(path, record.position, str(error))
        except (StorageError, RuntimeClosed):
            raise
        except GreenroomError as error:
            self._skip(path, record.position, f"{error.code}: {error}")
        else:
            if record.repaired and len(self._report.repaired) < MAX_LISTED:
                what = f"{record.repaired} half surrogate pair(s) replaced by U+FFFD"
                self._report.repaired.append(Skipped(str(path), record.position, what))

    def _conversation(self, path: Path, position: str, conversation: Conversation) -> None:
        session = create_session_for(self._runtime, conversation, path, position, self._created_by)
        messages = artifacts = 0
        try:
            for stored in store_turns(session, conversation.turns, self._created_by):
                messages += 1
                artifacts += stored.artifact is not None
        except BaseException:
            with suppress(GreenroomError):  # the first error is the one to tell
                session.delete()
            raise
        self._report.sessions += 1
        self._report.messages += messages
        self._report.artifacts += artifacts
        self._report.session_ids.append(session.id)

    def _skip(self, path: Path, position: str, reason: str) -> None:
        self._report.skipped_count += 1
        if len(self._report.skipped) < MAX_LISTED:
            self._report.skipped.append(Skipped(str(path), position, reason))

    def _progress(self, path: Path, offset: int) -> None:
        if self._on_progress is None:
            return
        self._next_progress = time.monotonic() + _PROGRESS_SECONDS
        report = self._report
        done = self._bytes_before + offset
        self._on_progress(
            IngestProgress(
                str(path),
                done,
                max(self._bytes_total, done),
                report.sessions,
                report.messages,
                report.skipped_count,
            )
        )


def _about(turn: Turn, sequence: int) -> dict[str, Any]:
    about: dict[str, Any] = {"role": turn.role, "message_sequence": sequence}
    named = {"name": turn.name, "tool_call_id": turn.tool_call_id}
    about |= {key: value for key, value in named.items() if value is not None}
    if isinstance(turn.metadata.get("message_type"), str):
        about["message_type"] = turn.metadata["message_type"]
    return about


def _fitting(extra: dict[str, Any], room: int, under: str, omitted_under: str) -> dict[str, Any]:
    """Those of a record's other keys that fit into metadata, and the names of the ones that do not.

    They go under the key `under`, or as they are when it is empty; the names go under `omitted_under`.
    """
    kept: dict[str, Any] = {}
    omitted: list[str] = []
    for key, value in extra.items():
        size = len(json.dumps(value)) + len(key)
        if size <= room:
            kept[key] = value
            room -= size
        elif len(omitted) < 32:
            omitted.append(key[:64])
    result: dict[str, Any] = {under: kept} if under and kept else kept
    if omitted:
        result[omitted_under] = omitted
    return result


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0
