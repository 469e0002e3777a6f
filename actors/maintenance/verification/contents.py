"""Check contents, their chunks and their references."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from greenroom.storage.codec.keys import after_prefix
from greenroom.storage.codec.records import unseal
from greenroom.storage.content.chunks import CONTENT_REFERENCE
from greenroom.storage.content.contents import Contents
from greenroom.storage.engine.engine import CF, Op
from greenroom.storage.engine.salvage import readable
from greenroom.storage.errors import ArtifactNotFound, IntegrityError, SchemaTooNew

from .findings import DAMAGE, MARKED, Findings
from .scan import END, Survey

__all__ = ["ContentChecks"]

_CHUNK_REFERENCE: Final = b"k"
_WHOLE: Final = b"\x00"


class ContentChecks(Survey):
    """The checks of what is stored once for all sessions."""

    def _held_content(self, digest: bytes, sizes: tuple[int, int] | None, found: Findings) -> None:
        """Check that content to which a session refers has a record. A readable record is checked with the contents."""
        try:
            if self._contents.record(digest) is not None:
                return
            detail = "is referenced and missing"
        except DAMAGE as error:
            detail = str(error)
        self._restore_content(digest, sizes, detail, found)

    def _restore_content(self, digest: bytes, sizes: tuple[int, int] | None, detail: str, found: Findings) -> None:
        restored = self._contents.recovered(digest, sizes[0] if sizes is not None else None)
        if restored is not None:
            found.add("content", digest.hex(), detail, [restored], "its record is written anew")
            return
        size, stored_size = sizes or (0, 0)
        ops = [Contents.mark_damaged(digest, size, stored_size, None)]
        found.add("content", digest.hex(), detail, ops, MARKED)

    def _content(self, digest: bytes, found: Findings) -> None:
        held = bool(
            self._engine.keys(
                CF.REFERENCES, CONTENT_REFERENCE + digest, after_prefix(CONTENT_REFERENCE + digest), limit=1
            )
        )
        stored = self._engine.get(CF.CONTENTS, digest)
        if stored is None:
            return
        if not held:
            found.add(
                "content", digest.hex(), "is orphaned: nothing refers to it", self._contents.drop_ops(digest), "removed"
            )
            return
        try:
            size, stored_size, blob, *marked = unseal(digest, stored)
        except SchemaTooNew as error:
            found.add("content", digest.hex(), str(error))
            return
        except IntegrityError:
            self._restore_content(digest, None, "its record is damaged", found)
            return
        failed: Exception | None = None
        wrong: list[Op] = []
        try:
            if self._hashing:
                wrong = self._contents.check(digest, discredited=bool(marked))
        except (ArtifactNotFound, *DAMAGE) as error:
            failed = error
        if blob is not None and (failed is not None or not self._hashing):
            wrong = self._contents.wrong_chunk_references(blob, sizes=self._hashing, discredited=bool(marked))
        if wrong:
            detail = f"{len(wrong)} of its references to chunks are missing or wrong"
            found.add("reference", digest.hex(), detail, wrong, "written anew")
        if not self._hashing:
            return
        found.count("contents")
        if isinstance(failed, ArtifactNotFound):
            return  # deleted meanwhile
        if failed is not None:
            if marked:
                found.quarantined.append(digest.hex())
                return
            ops: list[Op] = [Contents.mark_damaged(digest, size, stored_size, blob)]
            if blob is not None:
                ops += self._contents.discredit_ops(blob)
            found.add("content", digest.hex(), str(failed), ops, MARKED)
            if self._repair:
                found.quarantined.append(digest.hex())
            return
        if marked and self._repair:
            ops = [self._contents.record_op(digest, size, stored_size, blob)]
            found.add("content", digest.hex(), "is marked as damaged and is whole", ops, "the mark is removed")

    def _pending(self, found: Findings) -> None:
        for blob in self._contents.pending_blobs():
            if self._engine.read_only or blob in self._store.writing:
                continue
            found.add("blob", blob.hex(), "its writing was abandoned", self._contents.abort_blob_ops(blob), "removed")

    def _blobs_of_nobody(self) -> set[bytes]:
        """Return the orphaned blobs: they have manifests or references to chunks, no content names them, and nobody
        writes them."""
        owned_blobs = {blob for _, _, _, blob in self._known()} | set(self._contents.pending_blobs())
        suspects = {key[:16] for key in self._first_keys(CF.MANIFESTS)} - owned_blobs
        for key in self._counting("chunk references", self._keys(CF.REFERENCES, _CHUNK_REFERENCE)):
            if key[33:49] not in owned_blobs:
                suspects.add(key[33:49])
        return suspects

    def _known(self) -> Iterator[tuple[bytes, int, int, bytes | None]]:
        for digest, stored in readable(self._engine, CF.CONTENTS, b"", END, []):
            try:
                size, stored_size, blob, *_ = unseal(digest, stored)
            except DAMAGE:
                continue
            yield digest, size, stored_size, blob

    def _stray_blobs(self, suspects: set[bytes], found: Findings) -> None:
        if any(
            self._engine.get(CF.CONTENTS, digest) is not None and self._unreadable(digest)
            for digest in self._keys(CF.CONTENTS)
        ):
            return  # one of them may belong to a content with a damaged record
        stray = suspects - {blob for _, _, _, blob in self._known()} - set(self._contents.pending_blobs())
        ops = self._contents.drop_blobs_ops(stray)
        there = {key for _, key, _ in ops}
        for key in self._keys(CF.REFERENCES, _CHUNK_REFERENCE):
            if key[33:49] in stray and key not in there:
                ops.append((CF.REFERENCES, key, None))
        for blob in sorted(stray):
            mine = [op for op in ops if blob in (op[1][:16], op[1][33:49])]
            if mine:
                found.add("blob", blob.hex(), "is orphaned: it belongs to no content", mine, "removed")
        found.ops = ops

    def _unreadable(self, digest: bytes) -> bool:
        try:
            self._contents.record(digest)
        except DAMAGE:
            return True
        return False

    def _chunk(self, key: bytes, found: Findings) -> None:
        if key[:1] == _WHOLE:
            try:
                record = self._contents.record(key[1:])
            except DAMAGE:
                return
            stray = record is None or record[2] is not None
        else:
            prefix = _CHUNK_REFERENCE + key[1:]
            stray = not self._engine.keys(CF.REFERENCES, prefix, after_prefix(prefix), limit=1)
        if stray and self._engine.keys(CF.CHUNKS, key, key + b"\0", limit=1):
            found.add(
                "chunk", key[1:].hex(), "is orphaned: it belongs to no content", [(CF.CHUNKS, key, None)], "removed"
            )
