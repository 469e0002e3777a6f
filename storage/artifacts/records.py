"""Artifact records: write, read and find them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from greenroom.storage.codec.keys import (
    INDEX_ARTIFACT_NAME,
    after_prefix,
    artifact_name_prefix,
    sequence_key,
    session_bytes,
    session_id_of,
)
from greenroom.storage.codec.records import seal, unpack_value, unseal
from greenroom.storage.common.metering import ROW, built, counted
from greenroom.storage.common.page import Page
from greenroom.storage.common.times import utc_time
from greenroom.storage.engine.engine import CF, Engine, Op
from greenroom.storage.engine.settled import settled
from greenroom.storage.errors import ArtifactNotFound, IntegrityError, ValidationError, shown

from .index import artifact_entries, label_prefix
from .model import ArtifactId, ArtifactInfo, ArtifactRecord, artifact_type, is_artifact_name

__all__ = ["Artifacts", "facts_of", "new_artifact_type"]


def new_artifact_type(text: str) -> str:
    """Return the canonical type of an artifact to be stored. Raises ValidationError for a text like a file name: it was
    given as the wrong argument."""
    found = artifact_type(text)
    _, dot, suffix = found.rpartition(".")
    if dot and suffix.lower() in _SUFFIXES:
        raise ValidationError(
            f"artifact_type: {shown(found)} looks like the name of a file; the order is type, name, content"
            ' (as in "tool_result", "results.json", ...)',
            field="artifact_type",
        )
    return found


_SUFFIXES: Final = frozenset(
    {
        "bin",
        "csv",
        "docx",
        "gif",
        "gz",
        "htm",
        "html",
        "ipynb",
        "jpeg",
        "jpg",
        "js",
        "json",
        "jsonl",
        "log",
        "lua",
    }
    | {"md", "mp3", "mp4", "parquet", "pdf", "png", "pptx", "py", "svg", "tar", "toml", "traj", "ts", "tsv", "txt"}
    | {"wav", "webp", "xlsx", "xml", "yaml", "yml", "zip"}
)
"""Suffixes of the files that sessions have. The system's own list does not fit: by some, "custom.step" is a drawing."""


class Artifacts:
    """Reads artifact records, and makes the operations that change them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # -- changes

    @staticmethod
    def add(session: bytes, sequence: int, record: ArtifactRecord) -> list[Op]:
        """Return the operations that store a record and its index entries."""
        key = sequence_key(session, sequence)
        ops: list[Op] = [
            (CF.ARTIFACTS, key, seal(key, record.stored())),
            (CF.INDEX, _name_key(session, record.name, record.version), key[16:]),
        ]
        ops += [(CF.INDEX, entry, b"") for entry in artifact_entries(session, sequence, record)]
        return ops

    @staticmethod
    def name_entry(session: bytes, name: str, version: int, value: bytes | None) -> Op:
        """Return the operation that makes a version of a name lead to the eight bytes of an artifact's number, to b""
        for a deleted version that stays taken, or (None) to nothing."""
        return CF.INDEX, _name_key(session, name, version), value

    def is_gone(self, session: bytes, name: str, version: int) -> bool:
        """Return whether a version was deleted and has left an entry that says so."""
        return self._engine.get(CF.INDEX, _name_key(session, name, version)) == b""

    def is_newest(self, session: bytes, name: str, version: int) -> bool:
        """Return whether no later version of a name was ever stored."""
        found = self._engine.last(CF.INDEX, artifact_name_prefix(session, name))
        return found is None or int.from_bytes(found[0][-4:], "big") <= version

    # -- reading

    def record(self, session: bytes, sequence: int) -> ArtifactRecord | None:
        key = sequence_key(session, sequence)
        stored = self._engine.get(CF.ARTIFACTS, key)
        if stored is None:
            return None
        return unsealed_record(key, stored)

    def latest(self, session: bytes, name: str) -> tuple[int, int | None]:
        """Return (highest version number ever given, sequence of the newest existing version) of a name."""
        prefix = artifact_name_prefix(session, name)
        newest = self._engine.last(CF.INDEX, prefix)
        if newest is None:
            return 0, None
        highest = int.from_bytes(newest[0][-4:], "big")
        if newest[1]:
            return highest, _artifact_number(newest[1])
        for _, value in self._engine.pages(CF.INDEX, prefix, after_prefix(prefix), reverse=True, page=256):
            if value:
                return highest, _artifact_number(value)
        return highest, None

    def resolve(self, session_id: str, ref: ArtifactId | str, version: int | str | None = None) -> ArtifactInfo:
        """Return the artifact that an id, its text, or a name (with a version, else the latest) names.

        Raises ArtifactNotFound or ValidationError.
        """
        return settled(self._engine, lambda: self._resolve(session_id, ref, version))

    def _resolve(self, session_id: str, ref: ArtifactId | str, version: int | str | None) -> ArtifactInfo:
        session = session_bytes(session_id)
        identity = ArtifactId.named_by(ref)
        if identity is not None:
            if identity.session_id == session_id:
                info = self.info(session, identity.sequence)
                if info is not None and info.id.content_hash == identity.content_hash:
                    if version in (None, info.version, info.label) or (
                        version == "latest" and self.latest(session, info.name)[1] == identity.sequence
                    ):
                        return info
                    raise ValidationError(
                        f"version: {ref} is the id of version {info.version}: leave the version out, or give the name",
                        field="version",
                    )
            raise ArtifactNotFound(f"session {session_id} has no artifact {ref}", artifact=str(ref))
        if not isinstance(ref, str):
            raise ValidationError("an artifact is named by its id or its name", field="artifact")
        if not is_artifact_name(ref):
            sequence = None
        elif version is None or version == "latest":
            sequence = self.latest(session, ref)[1]
        elif type(version) is int and 0 < version < 1 << 32:
            stored = self._engine.get(CF.INDEX, _name_key(session, ref, version))
            sequence = _artifact_number(stored) if stored else None
        elif type(version) is str and not _is_whole(version):
            found = self._engine.last(CF.INDEX, label_prefix(session, ref, version)) if version.isprintable() else None
            sequence = int.from_bytes(found[0][-8:], "big") if found is not None else None
        else:
            raise ValidationError(
                'a version is a whole number from 1 (no text of one), "latest", or the label of a version',
                field="version",
            )
        info = self.info(session, sequence) if sequence is not None else None
        if info is None:
            if sequence is not None:
                raise _misled(session_id, ref)
            wanted = f" in version {version}" if isinstance(version, int) else ""
            if isinstance(version, str) and version != "latest":
                wanted = f" with the label {shown(version)}"
            raise ArtifactNotFound(f"session {session_id} has no artifact named {shown(ref)}{wanted}", artifact=ref)
        _check_found(info, ref)
        wrong = info.version if isinstance(version, int) else info.label
        if version not in (None, "latest", wrong):
            raise _misled(session_id, ref)
        return info

    def info(self, session: bytes, sequence: int) -> ArtifactInfo | None:
        record = self.record(session, sequence)
        return artifact_info(session_id_of(session), sequence, record) if record is not None else None

    def versions(self, session: bytes, name: str) -> list[ArtifactInfo]:
        """Return all versions of a name, oldest first."""
        return settled(self._engine, lambda: self._versions(session, name)) if is_artifact_name(name) else []

    def _versions(self, session: bytes, name: str) -> list[ArtifactInfo]:
        prefix = artifact_name_prefix(session, name)
        found = self._engine.pages(CF.INDEX, prefix, after_prefix(prefix))
        versions: list[ArtifactInfo] = []
        for key, value in found:
            if value:
                info = self.info(session, _artifact_number(value))
                if info is None or info.version != int.from_bytes(key[-4:], "big"):
                    raise _misled(session_id_of(session), name)
                _check_found(info, name)
                built(facts_of(info))
                versions.append(info)
        return versions

    def newest_numbers(self, session: bytes) -> list[int]:
        """Return the numbers of the newest existing version of each name, in order."""
        found: dict[bytes, int] = {}
        prefix = INDEX_ARTIFACT_NAME + session
        for key, value in self._engine.pages(CF.INDEX, prefix, after_prefix(prefix)):
            if value:
                found[key[:-4]] = _artifact_number(value)
        return sorted(found.values())

    def names(self, session: bytes, beginning: str) -> list[str]:
        """Return the names of existing artifacts that begin so, each once, in the order of their characters."""
        names: dict[bytes, None] = {}
        prefix = INDEX_ARTIFACT_NAME + session + beginning.encode("utf-8", "surrogatepass")
        for key, value in self._engine.pages(CF.INDEX, prefix, after_prefix(prefix)):
            if value:
                names[key[17:-5]] = None
        return [name.decode("utf-8", "surrogatepass") for name in names]

    def records(self, session: bytes) -> Iterator[tuple[int, ArtifactRecord]]:
        """Yield (sequence, record) of every artifact of a session, in order."""
        for key, stored in self._engine.pages(CF.ARTIFACTS, session, after_prefix(session), page=256):
            sequence = int.from_bytes(key[16:], "big")
            yield sequence, unsealed_record(key, stored)

    def page(self, session: bytes, total: int, limit: int | None, offset: int) -> Page[ArtifactInfo]:
        """Return a page of a session's artifacts in the order of their numbers. The caller gives the `total`."""
        wanted = None if limit is None else offset + limit
        begin, end = session, after_prefix(session)
        found: Iterable[tuple[bytes, bytes]]
        if wanted is None:
            found = islice(self._engine.pages(CF.ARTIFACTS, begin, end, page=256), offset, None)
        else:
            found = self._engine.scan(CF.ARTIFACTS, begin, end, limit=wanted)[offset:]
        session_id = session_id_of(session)
        items = (
            artifact_info(session_id, int.from_bytes(key[16:], "big"), unsealed_record(key, stored))
            for key, stored in found
        )
        return Page(tuple(counted(items, facts_of)), total, offset, limit)


def facts_of(info: ArtifactInfo) -> list[Any]:
    """Return the fields of an info that may be long, and a stand-in for the rest."""
    return [info.custom, info.description, info.tags, ROW]


def artifact_info(session_id: str, sequence: int, record: ArtifactRecord) -> ArtifactInfo:
    (
        digest,
        name,
        version,
        previous,
        type_,
        mime,
        size,
        stored,
        description,
        by,
        parent,
        tags,
        custom,
        time,
        label,
    ) = record
    # By position, because a page of these is the main cost of a query.
    return ArtifactInfo(
        ArtifactId(digest.hex(), session_id, sequence),
        name,
        description,
        type_,
        mime,
        size,
        stored,
        tuple(tags),
        unpack_value(custom),
        version,
        previous.hex() if previous is not None else None,
        utc_time(time),
        by,
        parent,
        stored < size,
        label,
    )


def _misled(session_id: str, name: str) -> IntegrityError:
    """Return the error for an index entry that leads to the wrong artifact."""
    return IntegrityError(
        f"the index of session {session_id} leads to another artifact; run verify", session_id=session_id, artifact=name
    )


def _is_whole(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return True


def _artifact_number(value: bytes) -> int:
    if len(value) != 8:
        raise IntegrityError("an entry of the index of artifact names is damaged; run verify")
    return int.from_bytes(value, "big")


def _check_found(info: ArtifactInfo, name: str) -> None:
    """Raise IntegrityError unless the info has the name that was looked up: an index entry has no checksum."""
    if info.name != name:
        raise IntegrityError(f"the index of artifact names of session {info.id.session_id} is damaged; run verify")


def unsealed_record(key: bytes, stored: bytes) -> ArtifactRecord:
    """Return the record that is stored under a key. Raises IntegrityError, SchemaTooNew."""
    return ArtifactRecord(*unseal(key, stored, _record_name))


def _record_name(key: bytes) -> str:
    return f"artifact {int.from_bytes(key[16:], 'big')} of session {session_id_of(key[:16])}"


def _name_key(session: bytes, name: str, version: int) -> bytes:
    return artifact_name_prefix(session, name) + version.to_bytes(4, "big")
