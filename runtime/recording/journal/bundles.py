"""Read a recording from a bundle, without a store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from blake3 import blake3

from greenroom.runtime.recording.tape.model import Tape
from greenroom.storage.bundle.decoding import plain_record
from greenroom.storage.bundle.format import BundleReader, Member, open_bundle
from greenroom.storage.errors import BundleError, IntegrityError, ReplayError
from greenroom.storage.events.calls import RECORDING_EVENTS, RECORDING_STARTED
from greenroom.storage.events.model import StoredEvent, event_of
from greenroom.storage.files.regular_file import file_path

from .reading import tape_from

__all__ = ["BundleSource", "tape_of_bundle"]

_MAX_CONTENT: Final = 1 << 30


class BundleSource:
    """The recordings of one session in a bundle. Events are held in memory, contents are read when they are asked
    for. Close it after use."""

    def __init__(self, path: Path, session_id: str | None = None) -> None:
        """Read a bundle; of several sessions, the first with a recording if none is named. Raises BundleError if it is
        damaged, ReplayError if it has no such recording, StorageError."""
        self._file, size = open_bundle(path)
        self._contents: dict[bytes, tuple[int, int]] = {}
        self._events: dict[int, StoredEvent] = {}
        self.id = ""
        try:
            self._read(BundleReader(self._file, size), session_id)
        except BaseException:
            self._file.close()
            raise
        if not self.id:
            self._file.close()
            raise ReplayError(
                f"the bundle {path} has no recording{f' of session {session_id}' if session_id else ''}: export a"
                " session that was recorded, with its history"
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self, reader: BundleReader, session_id: str | None) -> None:
        manifest = reader.manifest()
        for _ in range(manifest.contents):
            member = reader.next("contents/")
            self._contents[bytes.fromhex(member.name.partition("/")[2])] = member.offset, member.size
            _passed(member)
        for session in manifest.sessions:
            _passed(reader.next(f"sessions/{session.id}/artifacts"))
            journal = reader.next(f"sessions/{session.id}/journal")
            if self.id or (session_id is not None and session.id != session_id):
                _passed(journal)
                continue
            events = self._recorded(journal)
            if any(stored.type == RECORDING_STARTED for stored in events.values()):
                self.id, self._events = session.id, events
        reader.finish()

    @staticmethod
    def _recorded(journal: Member) -> dict[int, StoredEvent]:
        events: dict[int, StoredEvent] = {}
        for record in journal.records():
            fields = plain_record(record)
            if type(fields) is not list or len(fields) not in (7, 8) or type(fields[0]) is not int:
                raise BundleError("the bundle has an event of a form that no event has")
            if fields[1] in RECORDING_EVENTS:
                stored = event_of(fields[1:])
                if type(stored.data) is not dict:
                    raise BundleError("the bundle has an event of a form that no event has")
                events[fields[0]] = stored
        return events

    def events(self, after: int = 0, upto: int | None = None) -> Iterator[tuple[int, StoredEvent]]:
        for sequence, stored in self._events.items():
            if sequence > after and (upto is None or sequence <= upto):
                yield sequence, stored

    def event(self, sequence: int) -> StoredEvent:
        found = self._events.get(sequence)
        if found is None:
            raise IntegrityError(f"event {sequence} is not in the bundle, or of no recording", sequence=sequence)
        return found

    def load(self, digest: bytes) -> bytes | None:
        offset, size = self._contents.get(digest, (0, _MAX_CONTENT))
        if size >= _MAX_CONTENT:
            return None
        self._file.seek(offset)
        content = self._file.read(size)
        return content if blake3(content).digest() == digest else None


def _passed(member: Member) -> None:
    for _ in member.blocks():
        pass


def tape_of_bundle(path: str | os.PathLike[str], session: str | None = None, *, run: int | None = None) -> Tape:
    """Return the tape of a recording in a bundle: of the session with this id, or of the first that has one; of its
    newest recording, or of the `run` that began with this event.

    Raises BundleError if the bundle is damaged, ReplayError if it has no such recording, StorageError if it cannot be
    read.
    """
    source = BundleSource(file_path(path, "path"), session)
    try:
        return tape_from(source, run=run)
    finally:
        source.close()
