"""The ArtifactStore actor: the one writer. What one message asks for is written in one atomic batch, or not at all.

Hashing, chunking and compressing happen before, on the sender's thread. Reads bypass the actor.

The file is longer than others because one turn of the writer, with all that shares a write batch, stands in it.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from blake3 import blake3

from greenroom.actors.scheduling.dispatcher import Dispatcher, Envelope, PooledActor
from greenroom.actors.scheduling.futures import PooledFuture
from greenroom.storage.artifacts.records import Artifacts
from greenroom.storage.artifacts.search import ArtifactSearch
from greenroom.storage.audit import AuditLog
from greenroom.storage.catalog.catalog import Catalog
from greenroom.storage.catalog.changes import Changes, Position
from greenroom.storage.catalog.creators import Charge, Creators
from greenroom.storage.codec.keys import COUNTS_KEY, INDEX_CREATED, QUOTA_KEY, TOTALS_KEY
from greenroom.storage.concurrency.claims import Claims
from greenroom.storage.concurrency.forking import runtime_closed
from greenroom.storage.content.chunks import (
    CHUNK_ABOVE,
    BlobPart,
    Encoded,
    Readable,
    Reference,
    WriteAhead,
    content_digest,
    encode,
    read_chunks,
    read_up_to,
    record_chunks,
)
from greenroom.storage.content.contents import Contents
from greenroom.storage.content.quota import ByteQuota, forget_count
from greenroom.storage.content.totals import NOTHING, ContentFigures, ContentTotals, joined
from greenroom.storage.engine.engine import CF, Durability, Engine, Op
from greenroom.storage.errors import (
    ArtifactTooLarge,
    GreenroomError,
    OperationTimeout,
    ResourceLimitExceeded,
    SessionAlreadyExists,
    StorageError,
    shown,
)
from greenroom.storage.events.journal import Journal
from greenroom.storage.events.search import EventSearch
from greenroom.storage.records.records import Records

from .word_listing import ListWords, WordListing

__all__ = ["Append", "ArtifactStore", "ContentGone", "Repair", "key_taken"]

_LITTLE: Final = 2048
_TOGETHER: Final = 1 << 20
"""The chunks of a record of at most this many bytes are written together with it."""


class ContentGone(GreenroomError):
    """Content that was known when a message was prepared has been deleted since. It must be prepared again."""


def key_taken(key: str, session_id: str, advice: str) -> SessionAlreadyExists:
    """Return the error for a key that another session has. `advice` says what to do."""
    return SessionAlreadyExists(
        f"session {session_id} has the key {shown(key)} already: {advice}", key=key, session_id=session_id
    )


Moves = tuple[tuple[int | None, int | None], ...]


class Append:
    """Write these operations atomically. Replies the commit number for `Engine.wait_synced`.

    `moved` are the sessions' changes of status (before, after), with None for no session; `charges` are what changes
    for creators; `contents` are added and `released` are dropped, each with its reference.
    """

    __slots__ = ("charges", "contents", "moved", "ops", "ranges", "refers", "released")

    def __init__(
        self,
        ops: list[Op],
        moved: Moves = (),
        contents: tuple[tuple[Encoded, Reference], ...] = (),
        released: tuple[tuple[bytes, Reference], ...] = (),
        ranges: tuple[tuple[int, bytes, bytes], ...] = (),
    ) -> None:
        self.ops = ops
        self.moved = moved
        self.charges: tuple[Charge, ...] = ()
        self.contents = contents
        self.released = released
        self.ranges = ranges
        self.refers = False
        """Whether the operations themselves add or drop references to contents."""

    @property
    def plain(self) -> bool:
        """Whether the message has only operations, so that several such messages can share a batch."""
        return not self.contents and not self.released and not self.ranges and not self.refers

    def add(self, other: Append) -> None:
        """Make this batch write what another one writes too."""
        self.ops += other.ops
        self.moved += other.moved
        self.contents += other.contents
        self.released += other.released
        self.ranges += other.ranges
        self.charges += other.charges
        self.refers = self.refers or other.refers


class _AppendBlob(NamedTuple):
    """Write chunks of a blob ahead. Replies the parts whose chunk turned out to be missing from the store."""

    blob: bytes
    parts: list[BlobPart]
    begin: bool


class _AbortBlob(NamedTuple):
    blob: bytes


class Repair(NamedTuple):
    """Read and write in one turn, so that nothing changes in between: `look` returns the operations.

    Replies the number of operations.
    """

    look: Callable[[], list[Op]]


class ArtifactStore(PooledActor):
    """Writes to the engine, as the only one. Has a pool thread of its own, so that sessions waiting for it cannot
    starve it."""

    PART_BYTES: Final = 1 << 20
    WRITE_TIMEOUT: Final = 60.0

    def __init__(
        self,
        dispatcher: Dispatcher,
        engine: Engine,
        *,
        cache_bytes: int,
        compress_above: int,
        max_bytes: int,
        quota: int | None = None,
    ) -> None:
        super().__init__(dispatcher, "store", mailbox_capacity=1 << 20)
        self.dispatcher = dispatcher
        self.engine = engine
        self.contents = Contents(engine, cache_bytes)
        self.totals = ContentTotals(engine, self.contents)  # before anything is written
        self.totals.in_turn = self._in_turn
        self.journal = Journal(engine)
        self.catalog = Catalog(engine, self.journal)
        self.catalog.in_turn = self._in_turn
        self.creators = Creators(self.catalog, self.journal)
        self.journal.load = self.contents.readable
        self.artifacts = Artifacts(engine)
        self.records = Records(engine)
        self._word_listing = WordListing(engine)
        self.search = ArtifactSearch(engine, self.artifacts, self._list_words, self._word_listing.steadily)
        self.events = EventSearch(engine, self.journal)
        self.audit = AuditLog(engine)
        self.quota: ByteQuota | None = None
        if quota is not None and not engine.read_only:
            self.quota = ByteQuota(engine, quota)
        else:
            forget_count(engine)
        self._compress_above = compress_above
        self._max_bytes = max_bytes
        self.session_keys = Claims()
        """The keys of sessions that are being created."""
        self.on_sessions: Callable[[list[bytes]], object] | None = None
        """Called with sessions that were created or deleted, and perhaps others, once that is written."""
        self.commits = 0
        self._doubts = 0
        """The number of commits that ended without saying whether they were written."""
        self._settled = 0
        """How many of those commits have ended by now."""
        self._left = False
        self.writing: weakref.WeakValueDictionary[bytes, WriteAhead] = weakref.WeakValueDictionary()
        """Blobs on their way into the store. Any other pending marker is orphaned."""
        self.staging: weakref.WeakValueDictionary[bytes, object] = weakref.WeakValueDictionary()
        """The imports and forks that are running, by their marks."""

    def recover(self) -> int:
        """Remove what interrupted streams have left behind, and return how many there were. Called once, on opening."""
        pending = self.contents.pending_blobs()
        if pending:
            self.totals.forget()
        for blob in pending:
            self.engine.write(self.contents.abort_blob_ops(blob))
        return len(pending)

    # -- writing; the caller holds the turn

    def _handle_receive(self, message: Any) -> Any:
        kind = message.__class__
        if kind is Append:
            return self._append(message)
        if kind is _AppendBlob:
            ops = self.contents.begin_blob_ops(message.blob) if message.begin else []
            more, missing = self.contents.blob_part_ops(message.blob, message.parts)
            self._write(ops + more, figures=self.totals.change(more))
            return missing
        if kind is Repair:
            return self._repair(message)
        if kind is ListWords:
            return self._words_turn(message)
        if kind is _AbortBlob:
            ops = self.contents.abort_blob_ops(message.blob)
            return self._write(ops, figures=self.totals.change(ops))
        return super()._handle_receive(message)

    def session_with_key(self, key: str) -> bytes | None:
        """Return the session that has this key; None if there is none. Certain for the holder of the key's claim."""
        self.wait_for_inflight()
        return self.catalog.with_key(key)

    def commit(self, append: Append, timeout: float) -> int:
        """Send an `Append` and return its commit number. After an OperationTimeout the batch may still be written:
        `wait_for_inflight` waits for it."""
        try:
            commit_number: int = self.ask(append, timeout)
        except BaseException as error:
            # Of greenroom's own errors only OperationTimeout leaves open whether the batch was written; any other
            # exception does.
            if not isinstance(error, GreenroomError) or (
                isinstance(error, OperationTimeout) and error.fields["started"]
            ):
                self._doubts += 1
            raise
        return commit_number

    def wait_for_inflight(self) -> int:
        """Wait until commits that timed out or were interrupted are written or have failed, so that reads from now on
        stay true. Return a commit number that covers them. Raises OperationTimeout."""
        doubts = self._doubts
        if doubts != self._settled:
            with contextlib.suppress(StorageError):  # in a store that cannot be written to they have ended too
                self.ask(Append([]), self.WRITE_TIMEOUT)
            self._settled = doubts
        return self.engine.commit_number

    def _append(self, append: Append) -> int:
        ops = append.ops
        more = 0
        figures: ContentFigures | None = NOTHING
        if not append.plain:
            ops = list(ops)
            figures = self.totals.change(ops) if append.refers else NOTHING
            fresh: list[Op] = []
            seen: set[bytes] = set()
            contents, released = append.contents, append.released
            if contents and released:
                contents, released = self._settled_uses(append, fresh)
            for content, reference in contents:
                if content.hash in seen:  # a batch may have the same content twice
                    fresh.append(self.contents.refer_op(content.hash, reference))
                    if content.blob is not None and content.parts is None:
                        fresh += self.contents.abort_blob_ops(content.blob)
                    continue
                seen.add(content.hash)
                added = self.contents.add_ops(content, reference)
                if added is None:
                    raise ContentGone("the content was deleted while it was being stored again")
                fresh += added
            if fresh:
                if len(append.contents) > 1:
                    fresh = self.contents.without_losses(fresh)
                ops += fresh
                figures = joined(figures, self.totals.added(contents, fresh))
            if released:
                dropped = self.contents.release_ops(released, ops)
                ops += dropped
                figures = joined(figures, self.totals.change(dropped))
            if self.quota is not None:
                more = self.quota.growth(ops)
                self.quota.require(more)
        taken = self.creators.take(append.charges) if append.charges and self.creators.active else None
        commit_number = self._write(ops, append.ranges, append.moved, more, figures)
        self.commits += 1
        if taken is not None:
            self.creators.give(taken)
        return commit_number

    def _settled_uses(
        self, append: Append, ops: list[Op]
    ) -> tuple[tuple[tuple[Encoded, Reference], ...], tuple[tuple[bytes, Reference], ...]]:
        """Return the contents to add and the references to drop. What a batch has both added and dropped is in neither:
        it never was."""
        gone = set(append.released)
        contents = []
        for content, reference in append.contents:
            if (content.hash, reference) in gone:
                gone.discard((content.hash, reference))
                if content.blob is not None and content.parts is None:
                    ops += self.contents.abort_blob_ops(content.blob)
            else:
                contents.append((content, reference))
        return tuple(contents), tuple(gone)

    def list_words_while_idle(self) -> None:
        """Have artifacts listed by their words, if nothing was written since the last call."""
        self._word_listing.while_idle(self.tell)

    def _list_words(self) -> None:
        self._word_listing.before_search(lambda message: self.ask(message, self.WRITE_TIMEOUT))

    def _words_turn(self, message: ListWords) -> bytes | None:
        try:
            begin = self._word_listing.turn(message, self._write)
        except GreenroomError:
            if message.until:
                return None  # nobody waits for it
            raise
        following = message.next(begin) if not self.waiting else None
        if following is not None:
            self.tell(following)
        return begin

    def _in_turn(self, work: Callable[[], None]) -> None:
        """Run `work` while nothing is written."""

        def look() -> list[Op]:
            work()
            return []

        self.ask(Repair(look), self.WRITE_TIMEOUT)

    def _repair(self, repair: Repair) -> int:
        ops = repair.look()
        if ops:
            if any(cf == CF.INDEX and key.startswith(INDEX_CREATED) for cf, key, _ in ops):
                self.catalog.forget_counts()
            more = self.quota.growth(ops) if self.quota is not None else 0
            self._write(ops, more=more, figures=self.totals.repaired(ops))
            self.creators.forget()
            if (CF.META, COUNTS_KEY, None) in ops:
                self.catalog.forget_counts()
            if (CF.META, TOTALS_KEY, None) in ops:
                self.totals.forget()
            if self.quota is not None and (CF.META, QUOTA_KEY, None) in ops:
                self.quota.count()
        return len(ops)

    def _write(
        self,
        ops: list[Op],
        ranges: tuple[tuple[int, bytes, bytes], ...] = (),
        moved: Moves = (),
        more: int = 0,
        figures: ContentFigures | None = NOTHING,
    ) -> int:
        if self._left:
            raise runtime_closed()
        # An interrupt may come at any moment: the counts are unknown until all changes are counted.
        counts = self.catalog.take_counts() if moved else None
        totals = self.totals.take() if figures is not NOTHING else None
        if self.quota is not None:
            self.quota.begin()
        try:
            commit_number = self.engine.write(ops, ranges)
        except GreenroomError:
            if moved:
                self.catalog.give_counts(counts)
            if figures is not NOTHING:
                self.totals.give(totals)
            if self.quota is not None:
                self.quota.grown(0)
            raise
        if figures is not NOTHING:
            self.totals.give(totals, figures)
        if moved:
            self.catalog.give_counts(counts, moved)
            if self.on_sessions is not None and any(None in change for change in moved):
                self.on_sessions([key for cf, key, _ in ops if cf == CF.SESSIONS])
        if self.quota is not None:
            self.quota.grown(more)
        return commit_number

    def sync(self) -> None:
        """Put everything written so far on disk."""
        self.engine.sync()

    def flush(self) -> None:
        """Write what is in memory to table files: with `memory` durability nothing else keeps it."""
        self.engine.flush()

    def compact(self) -> None:
        """Give the space of deleted data back to the disk. Blocks while it works."""
        self.engine.compact()

    def changes(self, position: Position | None = None) -> Changes:
        """Return a finder of the events that any process journals from now on, or from a position on."""
        return Changes(self.engine, self.journal, position)

    def await_synced(self, timeout: float) -> None:
        """Wait, at `fsync` durability, until everything written so far is on disk; at others return at once.

        Raises StorageError, or OperationTimeout after `timeout` seconds.
        """
        if self.engine.durability is Durability.FSYNC:
            self.engine.wait_synced(self.engine.commit_number, timeout)

    def leave(self, timeout: float) -> None:
        """Save the counts that the next opening would otherwise have to make, unless somebody still writes. Called
        before the engine is closed; nothing is appended afterwards."""

        def leave_counts() -> None:
            if self.quota is not None:
                self.quota.leave_count()
            self.catalog.leave_counts()
            self.totals.leave()
            self._left = True

        if not self.engine.read_only:
            self.do_in_turn(leave_counts, timeout)

    def _drain(self, most: int) -> None:
        """Commit in groups: messages that wait in the mailbox share write batches, as far as their order allows."""
        waiting = self.waiting
        group: list[Envelope[Any]] = []
        taken: list[Envelope[Any]] = []
        try:
            while most > 0 and waiting:
                for envelope in iter(waiting.popleft, None):
                    taken.append(envelope)
                    break
                most -= 1
                message = envelope.message
                charged = message.__class__ is Append and message.charges and self.creators.active
                if message.__class__ is Append and message.plain and not charged:
                    group.append(envelope)
                else:
                    self._commit_group(group)
                    group = []
                    self._handle(envelope)
            self._commit_group(group)
        except BaseException as error:
            for envelope in taken:
                self.answer_interrupted(envelope, error)
            raise

    def _commit_group(self, group: list[Envelope[Any]]) -> None:
        waiting = [
            envelope
            for envelope in group
            if not isinstance(envelope.reply_to, PooledFuture) or envelope.reply_to.begin()
        ]
        if not waiting:
            return
        try:
            ops = [op for envelope in waiting for op in envelope.message.ops]
            commit_number = self._write(ops, (), tuple(move for envelope in waiting for move in envelope.message.moved))
            self.commits += len(waiting)
        except GreenroomError:
            # The batch for all has failed; each message is written and answered by itself.
            for envelope in waiting:
                assert envelope.reply_to is not None
                try:
                    envelope.reply_to.set(self._append(envelope.message))
                except GreenroomError:
                    envelope.reply_to.set_exception()
            return
        for envelope in waiting:
            if envelope.reply_to is not None:
                envelope.reply_to.set(commit_number)

    # -- preparing content, on the sender's thread

    def prepare(
        self, content: bytes | memoryview | Readable, stream_limit: int, *, known: bool, ahead: bool = False
    ) -> tuple[Encoded, bytes, bytes | memoryview | Readable]:
        """Hash and encode content. With `known`, content that the store has is not encoded. Large content is written
        ahead, and with `ahead` all content that is not empty.

        Return the content ready for `Append`, its first bytes, and the content to prepare it from again. Raises
        ArtifactTooLarge for bytes in memory above the limit of one call, ResourceLimitExceeded for a stream of more
        than `stream_limit` bytes.
        """
        if isinstance(content, (bytes, memoryview)):
            self.check_size(len(content))
            return self._prepare_bytes(content, known, ahead), bytes(content[:1024]), content
        head = read_up_to(content, CHUNK_ABOVE + 1)
        if len(head) <= CHUNK_ABOVE:
            return self._prepare_bytes(head, known, ahead), head[:1024], head
        digest = blake3()
        begun, size, stored = self._write_blob(read_chunks(_Rejoined(head, content)), digest, stream_limit)
        return Encoded(digest.digest(), size, stored, blob=begun.blob, ahead=begun), head[:1024], content

    def check_size(self, size: int) -> None:
        """Raise ArtifactTooLarge for bytes in memory above the limit of one call."""
        if size > self._max_bytes:
            raise ArtifactTooLarge(
                f"content of {size} bytes is more than one call may carry ({self._max_bytes}): "
                "store it as a stream or a file",
                size=size,
                limit=self._max_bytes,
            )

    def whole(self, content: Readable) -> bytes:
        """Return all that a stream holds. Raises ArtifactTooLarge for more than one call may carry."""
        data = read_up_to(content, self._max_bytes + 1)
        self.check_size(len(data))
        return data

    def _prepare_bytes(self, content: bytes | memoryview, known: bool, ahead: bool) -> Encoded:
        digest = content_digest(content)
        # Encoding a little is quicker than looking whether it is known; the writer looks anyway.
        record = self.contents.intact(digest) if known and len(content) > _LITTLE else None
        if record is not None:
            return Encoded(digest, record[0], record[1])
        quota = self.quota
        if quota is not None and len(content) > quota.room and self.contents.intact(digest) is None:
            quota.require(len(content))  # checked before it is written ahead
        if len(content) <= CHUNK_ABOVE and not (ahead and content):
            payload = encode(content, self._compress_above)
            return Encoded(digest, len(content), len(payload) - 1, payload=payload)
        begun, size, stored = self._write_blob(read_chunks(content), None, len(content))
        return Encoded(digest, size, stored, blob=begun.blob, ahead=begun)

    def prepare_record(self, value: bytes, digest: bytes, *, known: bool, ahead: bool = False) -> Encoded:
        """Cut the value of a record into small chunks and encode them. With `known`, what the store has is not encoded.
        The chunks of large values, and with `ahead` of all, are written ahead, like those of other content.

        Raises ArtifactTooLarge, ResourceLimitExceeded.
        """
        self.check_size(len(value))
        record = self.contents.intact(digest) if known else None
        if record is not None:
            return Encoded(digest, record[0], record[1])
        if self.quota is not None and len(value) > self.quota.room and self.contents.intact(digest) is None:
            self.quota.require(len(value))
        if len(value) > _TOGETHER or ahead:
            chunks = read_chunks(value) if len(value) > _TOGETHER else record_chunks(value)
            begun, size, stored = self._write_blob(chunks, None, len(value))
            return Encoded(digest, size, stored, blob=begun.blob, ahead=begun)
        parts: list[BlobPart] = []
        offset = total = 0
        for chunk in record_chunks(value):
            name = blake3(chunk).digest()
            stored_size = self.contents.known_chunk(name) if known else None
            payload = None
            if stored_size is None:
                payload = encode(chunk, 0)
                stored_size = len(payload) - 1
            parts.append(BlobPart(offset, len(chunk), name, payload))
            offset += len(chunk)
            total += stored_size
        return Encoded(digest, offset, total, blob=os.urandom(16), parts=tuple(parts))

    def discard(self, content: Encoded) -> None:
        """Drop prepared content that will not be stored, and remove what was written ahead of it."""
        if content.blob is not None and content.parts is None:
            self.ask(_AbortBlob(content.blob), self.WRITE_TIMEOUT)

    def _write_blob(self, chunks: Iterable[memoryview], digest: Any, limit: int) -> tuple[WriteAhead, int, int]:
        """Write chunks ahead under a pending marker. Return (what is written, size, stored size)."""
        blob = os.urandom(16)
        ahead = self.writing[blob] = WriteAhead(blob)
        offset = stored = gathered = fresh = 0
        parts: list[BlobPart] = []
        views: dict[int, memoryview] = {}
        begun = False
        try:
            for chunk in chunks:
                if offset + len(chunk) > limit:
                    raise ResourceLimitExceeded(
                        f"the stream is longer than the {limit} bytes that its session may store",
                        resource="storage_bytes",
                        limit=limit,
                        value=offset + len(chunk),
                    )
                if digest is not None:
                    digest.update(chunk)
                name = blake3(chunk).digest()
                known = self.contents.known_chunk(name)
                payload = None
                if known is None:
                    fresh += len(chunk)
                    if self.quota is not None:
                        self.quota.require(fresh)
                    payload = encode(chunk, 0)
                    known = len(payload) - 1
                parts.append(BlobPart(offset, len(chunk), name, payload))
                views[offset] = chunk
                offset += len(chunk)
                stored += known
                gathered += len(chunk)
                if gathered >= self.PART_BYTES:
                    begin, begun = not begun, True
                    self._write_parts(blob, parts, views, begin=begin)
                    parts, views, gathered = [], {}, 0
            if parts or not begun:
                begin, begun = not begun, True
                self._write_parts(blob, parts, views, begin=begin)
        except BaseException:
            # If even this fails (a full disk), the pending marker lets `gc` or the next opening clean up.
            if begun:
                with contextlib.suppress(StorageError):
                    self.ask(_AbortBlob(blob), self.WRITE_TIMEOUT)
            raise
        return ahead, offset, stored

    def _write_parts(self, blob: bytes, parts: list[BlobPart], views: dict[int, memoryview], *, begin: bool) -> None:
        missing = self.ask(_AppendBlob(blob, parts, begin), self.WRITE_TIMEOUT)
        if missing:
            again = [BlobPart(part.offset, part.size, part.hash, encode(views[part.offset], 0)) for part in missing]
            self.ask(_AppendBlob(blob, again, False), self.WRITE_TIMEOUT)


class _Rejoined:
    """A stream of which the beginning has been read already."""

    def __init__(self, head: bytes, rest: Readable) -> None:
        self._head = head
        self._rest = rest

    def read(self, size: int) -> bytes:
        if self._head:
            part, self._head = self._head[:size], self._head[size:]
            return part
        return self._rest.read(size)
