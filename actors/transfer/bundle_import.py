"""Import a bundle: check all of it, write it ahead where nobody sees it, and publish it in one batch.

The bundle is read twice. The first reading writes nothing and refuses anything impossible. The second writes the
sessions ahead (`StagedSessions`).
"""

from __future__ import annotations

import bisect
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from blake3 import blake3

from greenroom.actors.session.projection import FoldedArtifacts
from greenroom.actors.session.state.evolve import DROPPED_KEY
from greenroom.actors.session.state.model import SessionState
from greenroom.actors.store import ArtifactStore, ContentGone, key_taken
from greenroom.storage.bundle.decoding import plain_record
from greenroom.storage.bundle.format import BundledSession, BundleReader, Manifest, Member, content_name, open_bundle
from greenroom.storage.codec.keys import new_session, session_bytes, session_id_of
from greenroom.storage.content.chunks import Encoded, content_digest
from greenroom.storage.errors import BundleError, GreenroomError, SessionAlreadyExists, StorageError
from greenroom.storage.events.model import StoredEvent, event_of
from greenroom.storage.records.model import IN_CONTENT

from .bundle_check import JournalCheck
from .staged import StagedSessions, with_new_ids
from .turn_check import field_kinds

if TYPE_CHECKING:
    from greenroom.actors.session.services import SessionServices

__all__ = ["BundleCheck", "import_bundle"]

_USED, _LOOKED, _HELD = 1, 2, 64
"""Held are contents that the store will hold as such. All others are values that records hold themselves."""

Progress = Callable[[int, int], None]


class _Contents:
    """The contents that a bundle has, in the order of their hashes: 49 bytes of memory each."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hashes = bytearray()
        self._offsets = array("Q")
        self._sizes = array("Q")
        self._flags = bytearray()

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, digest: bytes, size: int, offset: int) -> None:
        """Add a content. Raises BundleError unless its hash is greater than the one before it."""
        if self._hashes and digest <= self._hashes[-32:]:
            raise BundleError("the bundle has a content twice, or out of order")
        self._hashes += digest
        self._sizes.append(size)
        self._offsets.append(offset)
        self._flags.append(0)

    def digest(self, at: int) -> bytes:
        return bytes(self._hashes[32 * at : 32 * at + 32])

    def _find(self, digest: bytes) -> int | None:
        at = bisect.bisect_left(range(len(self)), digest, key=self.digest)
        return at if at < len(self) and self.digest(at) == digest else None

    def use(self, digest: bytes) -> int | None:
        return self._use(digest, _USED | _HELD)

    def use_inline(self, digest: bytes) -> int | None:
        return self._use(digest, _USED)

    def _use(self, digest: bytes, flags: int) -> int | None:
        at = self._find(digest)
        if at is None:
            return None
        self._flags[at] |= flags
        return self._sizes[at]

    def is_held(self, at: int) -> bool:
        """Return whether the store will hold a content as one."""
        return bool(self._flags[at] & _HELD)

    def value(self, digest: bytes) -> bytes:
        """Return a content as a whole, verified. Raises BundleError."""
        at = self._find(digest)
        data = b""
        if at is not None:
            here = self._file.tell()
            with self.section(at) as section:
                data = section.read(self._sizes[at])
            self._file.seek(here)
        if content_digest(data) != digest:
            raise BundleError("the bundle has changed while it was imported")
        return data

    def is_field(self, digest: bytes, kind: int) -> bool:
        at = self._find(digest)
        if at is None:
            return False
        if not self._flags[at] & _LOOKED:
            here = self._file.tell()
            with self.section(at) as section:
                content = section.read(self._sizes[at]) if self._sizes[at] <= 1 << 25 else b""
            self._file.seek(here)
            kinds = field_kinds(content) if len(content) == self._sizes[at] else 0
            self._flags[at] |= _LOOKED | kinds
        self._flags[at] |= _USED | _HELD
        return bool(self._flags[at] & kind)

    def section(self, at: int) -> _Section:
        return _Section(self._file, self._offsets[at], self._sizes[at])

    def size(self, at: int) -> int:
        return self._sizes[at]

    def unused(self) -> int:
        """Return how many contents no journal uses."""
        return sum(1 for flags in self._flags if not flags & _USED)


class _Section:
    """A part of a file, to be read once."""

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        self._file = file
        self._left = size
        file.seek(offset)

    def __enter__(self) -> _Section:
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the file open."""

    def read(self, size: int) -> bytes:
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data


@dataclass(slots=True)
class _Place:
    """Where the members of one session are, and the digests of what was checked there."""

    artifacts: tuple[int, int, bytes]
    journal: tuple[int, int, bytes]


class BundleCheck:
    """An open bundle that has been read once, from its first byte to its last, and found valid."""

    def __init__(
        self,
        file: BinaryIO,
        size: int,
        check_config: Callable[[dict[str, Any]], object],
        on_manifest: Callable[[Manifest], None],
        on_progress: Progress,
    ) -> None:
        """Read and check the bundle. Raises BundleError, or what `on_manifest` raises once it knows the sessions."""
        self.file = file
        self.size = size
        reader = BundleReader(file, size)
        self.manifest = manifest = reader.manifest()
        on_manifest(manifest)
        self.contents = _Contents(file)
        for _ in range(manifest.contents):
            member = reader.next("contents/")
            self._content(member)
            on_progress(reader.position, 2 * size)
        if sum(map(self.contents.size, range(len(self.contents)))) != manifest.content_bytes:
            raise BundleError("the bundle's contents are not of the size that its manifest says")
        self.places: list[_Place] = []
        self.keys: set[str] = set()
        """The keys that its sessions have."""
        for session in manifest.sessions:
            check = JournalCheck(session, self.contents, check_config)
            name = f"sessions/{session.id}"
            artifacts = _each_record(reader.next(f"{name}/artifacts"), check.artifact)
            journal = _each_record(reader.next(f"{name}/journal"), check.event)
            key = check.finish().key
            if key in self.keys:
                raise BundleError("the bundle has two sessions with one key")
            self.keys |= {key} if key is not None else set()
            self.places.append(_Place(artifacts, journal))
            on_progress(reader.position, 2 * size)
        if self.contents.unused():
            raise BundleError("the bundle has contents that none of its sessions uses")
        self.checksum = reader.finish()

    def _content(self, member: Member) -> None:
        digest = blake3()
        for block in member.blocks():
            digest.update(block)
        if content_name(digest.digest()) != member.name:
            raise BundleError("the bundle has a content that is not what its hash says", member=member.name)
        self.contents.add(digest.digest(), member.size, member.offset)

    def records(self, place: tuple[int, int, bytes]) -> Iterator[bytes]:
        """Yield the records of a member once more. Raises BundleError if they differ from the first reading."""
        offset, size, expected = place
        self.file.seek(offset)
        digest = blake3()
        left = size
        while left:
            head = self.file.read(4)
            record = self.file.read(int.from_bytes(head, "big"))
            digest.update(head)
            digest.update(record)
            left -= 4 + len(record)
            if left < 0 or not record:
                break
            yield record
        if digest.digest() != expected:
            raise BundleError("the bundle has changed while it was imported")


def _each_record(member: Member, take: Callable[[bytes], object]) -> tuple[int, int, bytes]:
    digest = blake3()
    for record in member.records():
        digest.update(len(record).to_bytes(4, "big"))
        digest.update(record)
        take(record)
    return member.offset, member.size, digest.digest()


def import_bundle(
    services: SessionServices,
    path: Path,
    reserve: Callable[[list[str]], Callable[[], None]],
    check_config: Callable[[dict[str, Any]], object],
    *,
    keep_ids: bool,
    on_progress: Progress | None = None,
) -> list[str]:
    """Import all sessions of a bundle, and return their ids, parents first.

    `reserve` reserves ids until the function that it returns is called. Raises BundleError with nothing written,
    SessionAlreadyExists for an id that is to be kept and taken already, and StorageError.
    """
    store = services.store
    report = on_progress if on_progress is not None else _silent
    file, size = open_bundle(path)
    with file:

        def on_manifest(manifest: Manifest) -> None:
            if keep_ids:
                for each in manifest.sessions:
                    if not store.journal.is_empty(session_bytes(each.id)):
                        raise SessionAlreadyExists(
                            f"there is a session {each.id} already: import the bundle with new ids, or delete it first",
                            session_id=each.id,
                        )

        try:
            check = BundleCheck(file, size, check_config, on_manifest, report)
        except GreenroomError:
            raise  # an OperationTimeout is an OSError too
        except OSError as error:
            raise StorageError(f"cannot read the bundle {path}: {error.strerror}", path=str(path)) from error
        ids = {each.id: each.id if keep_ids else session_id_of(new_session()) for each in check.manifest.sessions}
        with store.session_keys.claimed(check.keys, services.store_timeout):
            taken = _taken_keys(store, check.keys, keep_ids=keep_ids)
            release = reserve(list(ids.values()))
            importing = _Import(services, check, ids, taken, report)
            try:
                importing.run()
            except BaseException as error:
                importing.undo()
                release()
                if isinstance(error, OSError) and not isinstance(error, GreenroomError):
                    raise StorageError(f"cannot read the bundle {path}: {error.strerror}", path=str(path)) from error
                raise
            release()
    report(2 * size, 2 * size)
    return list(ids.values())


def _taken_keys(store: ArtifactStore, keys: set[str], *, keep_ids: bool) -> set[str]:
    """Return the keys that sessions of this store have. Raises SessionAlreadyExists if the bundle's sessions are to
    stay what they are."""
    found = {key: session for key in keys if (session := store.session_with_key(key)) is not None}
    if keep_ids and found:
        key = min(found)
        raise key_taken(key, session_id_of(found[key]), "import the bundle with new ids, which leaves the key behind")
    return set(found)


def _silent(done: int, total: int) -> None:
    pass


class _Import:
    """The second reading of a bundle, which writes its sessions."""

    def __init__(
        self, services: SessionServices, check: BundleCheck, ids: dict[str, str], taken: set[str], on_progress: Progress
    ) -> None:
        self._services = services
        self._store = services.store
        self._check = check
        self._ids = ids
        self._taken = taken
        self._progress = on_progress
        self._staged = StagedSessions(services, [session_bytes(each) for each in ids.values()])
        self._done = check.size

    def run(self) -> None:
        for at in range(len(self._check.contents)):
            if self._check.contents.is_held(at):
                self._content(at)
            else:
                self._advance(self._check.contents.size(at))
        states: list[SessionState] = []
        for session, place in zip(self._check.manifest.sessions, self._check.places, strict=True):
            states.append(self._session(session, place))
            self._advance(place.artifacts[1] + place.journal[1])
        self._staged.publish(states)

    def undo(self) -> None:
        self._staged.undo()

    def _advance(self, size: int) -> None:
        self._done += size
        self._progress(min(self._done, 2 * self._check.size), 2 * self._check.size)

    def _content(self, at: int) -> None:
        contents, store = self._check.contents, self._store
        digest, size = contents.digest(at), contents.size(at)
        for known in (True, False):
            record = store.contents.intact(digest) if known else None
            if record is not None:
                encoded = Encoded(digest, record[0], record[1])
            else:
                encoded = store.prepare(contents.section(at), size, known=False)[0]
            if encoded.hash != digest:
                store.discard(encoded)
                raise BundleError("the bundle has changed while it was imported")
            try:
                self._staged.add(encoded)
            except ContentGone:
                continue
            except BaseException:
                store.discard(encoded)
                raise
            break
        self._advance(size)

    def _session(self, bundled: BundledSession, place: _Place) -> SessionState:
        session_id = self._ids[bundled.id]
        state = SessionState(session_id)
        live: set[int] = set()
        for encoded in self._check.records(place.artifacts):
            live.add(plain_record(encoded)[0])
        artifacts = FoldedArtifacts(state.session, live)
        for encoded in self._check.records(place.journal):
            _, *fields = plain_record(encoded)
            self._staged.event(state, self._with_new_ids(event_of(fields)), artifacts)
        for key, record in artifacts.kept.live.items():
            if not record.flags & IN_CONTENT:
                record = record._replace(data=self._check.contents.value(record.hash))
            self._staged.record(state.session, key, record)
        now = max(self._services.clock.time_ns(), state.updated_at)
        data = {
            "from_session": bundled.id,
            "events": bundled.events,
            "history": self._check.manifest.history,
            "bundle": self._check.checksum,
        }
        if state.key in self._taken:
            data[DROPPED_KEY] = state.key
        self._staged.event(state, StoredEvent("session.imported", now, data, *state.totals), artifacts)
        self._staged.finish(state)
        return state

    def _with_new_ids(self, stored: StoredEvent) -> StoredEvent:
        """Return the event with the ids that its session and its relatives have here."""
        data = stored.data
        if stored.type in ("session.created", "session.forked") and data["parent"] is not None:
            data["parent"] = self._parent(data["parent"])
        return with_new_ids(stored, self._ids)

    def _parent(self, parent: str) -> str | None:
        """Return the parent's id here; None for a parent that is not here, or that would be its own descendant."""
        if parent in self._ids:
            return self._ids[parent]
        own = set(self._ids.values())
        above: str | None = parent
        passed: set[str] = set()
        while above is not None and above not in passed:
            if above in own:
                return None
            passed.add(above)
            row = self._store.catalog.row(session_bytes(above))
            if row is None:
                break
            above = row.parent
        return parent if self._store.catalog.row(session_bytes(parent)) is not None else None
