"""Writes conversations into a runtime: a session for each, in one write, and none twice."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Final

from greenroom.actors import messages as m
from greenroom.storage.common.arguments import as_function, as_items
from greenroom.storage.errors import GreenroomError, RuntimeClosed, StorageError, ValidationError
from greenroom.storage.files.regular_file import file_path

from .formats import conversation_of
from .lines import joined
from .read import EMPTY_LIST, read_records
from .records import MAX_RECORD_BYTES, BesideConversations, Conversation, Fault, Note, Record, UnknownRecord
from .report import MAX_LISTED, IngestProgress, IngestReport, OnProgress, Skipped
from .sources import STDIN, Source, UnreadableSource, open_sources, shown, source_files
from .write import Target, plan, write

MAX_PATHS: Final = 1_000_000
"""Limit of paths of one call."""
_PLANNED: Final = "(of this dry run)"
_PROGRESS_SECONDS: Final = 0.05


def ingest(
    runtime: Target | None,
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    dry_run: bool = False,
    on_progress: OnProgress | None = None,
    created_by: str | None = None,
    max_record_bytes: int = MAX_RECORD_BYTES,
) -> IngestReport:
    """Read conversations and create a completed session for each.

    Paths are files, folders, or "-" for standard input; .gz and .zip are unpacked. The content of a record decides
    its form; docs/data/ingest.md has a table of them. Each turn becomes a message. User turns, agent outputs and
    tool results with a text also become artifacts of type ``user_input``, ``agent_output`` and ``tool_result``,
    whose content is exactly that text in UTF-8. All other fields are kept in the metadata; fields too large for it,
    and files within messages, become artifacts that the metadata names. Sessions keep the titles and times of the
    recording. Their metadata names the source (``source_file``, ``source_position``, ``source_format``,
    ``source_digest`` and, if the application has one, ``source_id``). Branches that an application does not show
    become forks of the session.

    A conversation is written completely, with its branches, or not at all. One whose content is in the store already is
    skipped. One that is there with another content, because it has gone on since, becomes a session of its own: its
    metadata names the earlier one (``source_earlier``), and the report lists it. Hooks, redaction and limits on bytes
    apply as for live sessions; rates do not, because this is one operation of the host.

    A file or record that cannot be read, or that the runtime refuses, is listed in the report's `skipped` and leaves no
    session behind; the others are ingested. With `dry_run`, everything is read and nothing is written: the report says
    what would be. Hooks and quotas are not asked then, and `runtime` may be read-only, or None for an empty store.

    Raises StorageError and RuntimeClosed, because nothing more can be written then.
    """
    if runtime is None and not dry_run:
        raise ValidationError("ingest: a runtime is needed to write to; only a dry run needs none")
    if runtime is not None and not dry_run:
        runtime.core.check_writable("to ingest")
    given = [paths] if isinstance(paths, (str, bytes, os.PathLike)) else as_items("paths", paths, MAX_PATHS)
    names = [each if type(each) is str and each == STDIN else os.fspath(file_path(each, "paths")) for each in given]
    if on_progress is not None:
        as_function("on_progress", on_progress)
    work = _Ingest(runtime, names, on_progress, created_by, max_record_bytes, dry_run)
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
        runtime: Target | None,
        paths: list[str],
        on_progress: OnProgress | None,
        created_by: str | None,
        max_record_bytes: int,
        dry_run: bool,
    ) -> None:
        self._runtime = runtime
        self._paths = paths
        self._on_progress = on_progress
        self._created_by = created_by
        self._limit = max_record_bytes
        self._dry_run = dry_run
        self._would_be_there: set[str] = set()
        """The digests of conversations that a dry run would have written."""
        self._newest: dict[tuple[str, str], str | None] = {}
        """The newest session by format and id of the conversation, of those that were looked up."""
        self._report = IngestReport(dry_run=dry_run)
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
                for file in source_files(path):
                    self._file(file)
            except UnreadableSource as error:
                self._skip(label, "document", str(error))
            report.bytes_read = self._bytes_before
            if report.sessions + report.duplicate_count == before:
                report.failed_paths.append(label if path == STDIN else shown(path))
        report.duration = time.perf_counter() - started
        if self._paths:
            self._progress(shown(self._paths[-1]), 0)
        return report

    def _file(self, path: str | os.PathLike[str]) -> None:
        """Ingest all sources of one file. One that cannot be read is skipped, and does not keep others out."""
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

    def _source(self, source: Source) -> None:
        self._seen = {}
        for found in joined(read_records(source.stream, self._limit), self._limit):
            if isinstance(found, Fault):
                empty = source.in_archive and found.reason == EMPTY_LIST  # exports have such files
                (self._ignore if empty else self._skip)(source.label, found.position, found.reason)
            else:
                self._record(source, found)
            if self._on_progress is not None and time.monotonic() >= self._next_progress:
                self._progress(source.label, source.position())

    def _record(self, source: Source, record: Record) -> None:
        report = self._report
        try:
            conversation = conversation_of(record.value)
            notes = self._conversation(source, record, conversation)
        except BesideConversations as error:
            self._ignore(source.label, record.position, str(error))
        except UnknownRecord as error:
            if not record.salvaged:  # its position has been reported as broken
                self._skip(source.label, record.position, str(error))
        except _AlreadyThere as found:
            report.duplicate_count += 1
            _list(report.duplicates, source.label, record.position, f"it is session {found} already")
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
        report, runtime = self._report, self._runtime
        planned = plan(source, record.position, conversation, list(record.notes), self._now())
        earlier = self._earlier(conversation)
        if earlier is not None:
            planned.metadata["source_earlier"] = earlier
        ids: list[str] = []
        if self._dry_run:
            self._would_be_there.add(conversation.digest)
            artifacts = planned.artifacts
        else:
            assert runtime is not None
            check = (lambda: self._look_again(conversation.digest)) if alone else None
            ids, artifacts = write(runtime, planned, self._created_by, check)
        if conversation.source_id is not None:
            self._newest[conversation.format, conversation.source_id[: m.MAX_NAME]] = ids[0] if ids else _PLANNED
        report.sessions += 1
        report.branches += len(planned.paths) - 1
        report.messages += planned.messages
        report.artifacts += artifacts
        report.session_ids += ids[:1]
        report.branch_ids += ids[1:]
        if earlier is not None:
            report.grown_count += 1
            what = f"another state of this conversation is session {earlier}, which stays as it is"
            _list(report.grown, source.label, record.position, what)
        return planned.notes

    def _now(self) -> int:
        return self._runtime.core.clock.time_ns() if self._runtime is not None else time.time_ns()

    def _earlier(self, conversation: Conversation) -> str | None:
        """Return the newest session of the same conversation, which had another content when it was ingested."""
        if conversation.source_id is None:
            return None
        key = conversation.format, conversation.source_id[: m.MAX_NAME]
        if key not in self._newest:
            there = self._sessions(source_id=key[1], source_format=key[0])
            self._newest[key] = there[-1] if there else None
        return self._newest[key]

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
        there = self._sessions(source_digest=digest)
        return there or [_PLANNED] if digest in self._would_be_there else there

    def _sessions(self, **metadata: str) -> list[str]:
        """Return the sessions that are not forks and have these fields in their metadata, in the order of creation."""
        if self._runtime is None:
            return []
        page = self._runtime.list_sessions(status="all", metadata=metadata, sort_by="created_at", limit=None)
        return [info.id for info in page if info.parent_session_id is None]

    # -- the report

    def _note(self, label: str, position: str, notes: list[Note]) -> None:
        report = self._report
        for note in notes:
            report.moved_count += note.moved
            report.repaired_count += not note.moved
            report.replaced_count += note.lost
            _list(report.moved if note.moved else report.repaired, label, position, note.what, note.field)

    def _skip(self, label: str, position: str, reason: str) -> None:
        self._report.skipped_count += 1
        _list(self._report.skipped, label, position, reason)

    def _ignore(self, label: str, position: str, what: str) -> None:
        self._report.ignored_count += 1
        _list(self._report.ignored, label, position, what)

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


def _list(places: list[Skipped], label: str, position: str, what: str, field: str = "") -> None:
    if len(places) < MAX_LISTED:
        places.append(Skipped(label, position, what, field))


def _size(path: str) -> int:
    try:
        return os.path.getsize(path) if path != STDIN and os.path.isfile(path) else 0
    except OSError:
        return 0
