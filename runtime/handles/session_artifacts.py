"""A session's artifacts: storing, reading, finding and sharing them."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.permissions import Grant
from greenroom.actors.messages.sharing import (
    CheckAccess,
    GetPredecessor,
    ListPermissions,
    RevokeArtifact,
    ShareArtifact,
)
from greenroom.actors.scheduling.operation import require_run
from greenroom.actors.session.decisions.facts import retrieval
from greenroom.storage.artifacts.model import Artifact, ArtifactId, ArtifactInfo
from greenroom.storage.artifacts.query import ArtifactQuery
from greenroom.storage.codec.records import Value
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.durability import Durability
from greenroom.storage.common.page import Page
from greenroom.storage.errors import GreenroomError
from greenroom.storage.files.regular_file import file_path, open_regular, written_file

from .diff import unified_diff
from .handle import Handle, session_id_of
from .replies import reply_as
from .streams import StreamProgress, Watched

__all__ = ["ManyArtifacts", "SessionArtifacts"]

_COPY_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ManyArtifacts:
    """What `get_many` has read, and why it could not read the rest, by the ids and names that were asked for."""

    results: dict[ArtifactId | str, Artifact]
    errors: dict[ArtifactId | str, GreenroomError]


class SessionArtifacts(Handle):
    """What a handle does with artifacts."""

    __slots__ = ()

    def store_artifact(
        self,
        type: str,
        name: str,
        content: str | bytes | bytearray | memoryview | BinaryIO,
        *,
        description: str | None = None,
        mime_type: str | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, Value] | None = None,
        created_by: str | None = None,
        parent_artifact: ArtifactId | str | None = None,
        version_of: ArtifactId | str | None = None,
        durability: Durability | str | None = None,
        on_progress: StreamProgress | None = None,
    ) -> ArtifactInfo:
        """Store content under a name; the same name again makes the next version.

        Content the store already has is not written again. Raises ArtifactTooLarge for more than
        `max_artifact_bytes` in memory; a binary file object may be as long as the session's storage allows.
        `on_progress` gets the bytes that have been taken from a file object, and its length if that is known; what it
        raises ends the storing, and nothing is left of it.
        """
        watched: Any = content
        if on_progress is not None and hasattr(content, "read"):
            watched = Watched(content, on_progress)
        message = m.StoreArtifact(
            type,
            name,
            watched,
            description=description,
            mime_type=mime_type,
            tags=tags,
            metadata=metadata,
            created_by=created_by,
            parent_artifact=parent_artifact,
            version_of=version_of,
            durability=durability,
        )
        message.encoded = m.UNSHARED
        info: ArtifactInfo = self._ask(self.id, message, self._timeout)
        return info

    @checked
    def store_file(
        self, path: str | os.PathLike[str], type: str = "user_input", name: str | None = None, **options: Any
    ) -> ArtifactInfo:
        """Store a file's content, streamed from disk, under its own name unless another is given.

        `options` are those of `store_artifact`, `on_progress` with it. Raises StorageError when the file cannot be
        read, or is no regular file (a directory, a FIFO, a device).
        """
        source = file_path(path)
        with open_regular(source, f"cannot read {source}") as file:
            return self.store_artifact(type, name if name is not None else source.name, file, **options)

    def store_many(
        self,
        items: Iterable[m.StoreArtifact | Mapping[str, Any]],
        *,
        durability: Durability | str | None = None,
    ) -> list[ArtifactInfo]:
        """Store a batch of artifacts in one atomic write: all of them, in their order, or none.

        Each is a mapping of the arguments of `store_artifact` (type, name, content, …) or a `messages.StoreArtifact`.
        Raises what storing one of them raises.
        """
        infos: list[ArtifactInfo] = self._ask(self.id, m.StoreMany(items, durability=durability), self._timeout)
        return infos

    def get_artifact(self, ref: ArtifactId | str, version: int | str | None = None) -> Artifact:
        """The artifact with this id, or a version (default: the latest) of a name, with its verified content.

        Raises ArtifactNotFound, or IntegrityError if what is on disk is not what was stored.
        """
        artifact: Artifact = self._ask(self.id, m.GetArtifact(ref, version), self._timeout)
        return artifact

    def get_many(self, refs: Iterable[ArtifactId | str]) -> ManyArtifacts:
        """The artifacts that these ids and names (in their latest version) mean. One that is not there, or is
        damaged, is an error under its id and keeps nobody from the others."""
        return ManyArtifacts(*self._ask(self.id, m.GetArtifacts(refs), self._timeout))

    def query_artifacts(self, query: ArtifactQuery | None = None, **criteria: Any) -> Page[ArtifactInfo]:
        """The artifacts that match, as a page with the `total` before pagination.

        An `ArtifactQuery`, or by keyword: artifact_type, name_pattern (a part, or a glob with `*` or `?`; in any case
        unless case_sensitive), tags (all of), without_tags, content_hash, custom (equality per key), text (every word
        of it begins a word of name, description, tags or custom values; with fuzzy=True, is a part of one or almost
        the same), created_after, created_before, min_size, max_size, created_by, sort (date, name, size, type),
        descending, limit, offset.
        Raises ValidationError.
        """
        page: Page[ArtifactInfo] = self._ask(self.id, m.QueryArtifacts(query, **criteria), self._timeout)
        return page

    def get_artifact_info(self, ref: ArtifactId | str, version: int | str | None = None) -> ArtifactInfo:
        """What is known of an artifact, without its content. Raises ArtifactNotFound."""
        info: ArtifactInfo = self._ask(self.id, m.GetArtifactInfo(ref, version), self._timeout)
        return info

    def open_artifact(self, ref: ArtifactId | str, version: int | str | None = None) -> BinaryIO:
        """A seekable binary stream over the content, which holds one chunk at a time in memory.

        Each chunk is verified before its bytes are given out. Raises ArtifactNotFound.
        """
        hooks = self._runtime.hooks
        if hooks.at("ArtifactRetrieved") is None:
            return self._open_artifact(ref, version)
        stream: BinaryIO = hooks.around(
            {"ref": str(ref), "version": version},
            lambda data, target: self._open_artifact(data["ref"], data["version"]),
            after="ArtifactRetrieved",
            session_id=self.id,
            operation="OpenArtifact",
        )
        return stream

    def _open_artifact(self, ref: ArtifactId | str, version: int | str | None) -> BinaryIO:
        info = self.get_artifact_info(ref, version)
        stream = self._runtime._store.contents.open(bytes.fromhex(info.id.content_hash))
        tell = self._runtime._supervisor.services.tell
        if tell is not None:
            tell(info.id.session_id, "artifact.retrieved", retrieval(info))
        return stream

    @checked
    def save_artifact(
        self,
        ref: ArtifactId | str,
        path: str | os.PathLike[str],
        version: int | str | None = None,
        *,
        on_progress: StreamProgress | None = None,
    ) -> int:
        """Write the content to a file; its bytes. The file appears whole and on disk, or not at all.

        `on_progress` gets the bytes that have been written, and all there are; what it raises leaves no file.
        A regular file at `path` is replaced; anything else there is refused, a symbolic link too.
        Raises ArtifactNotFound, StorageError.
        """
        target = file_path(path)
        info = self.get_artifact_info(ref, version)
        what = f"cannot write {target}"
        stream = reply_as((io.RawIOBase, io.BufferedIOBase), self.open_artifact(info.id), "a binary stream")
        with stream as source, written_file(target, what, require_run) as file:
            size = 0
            while block := source.read(_COPY_BYTES):
                size += file.write(block)
                if on_progress is not None:
                    on_progress(size, info.size)
        return size

    def list_artifacts(self, *, limit: int | None = None, offset: int = 0) -> Page[ArtifactInfo]:
        """The session's artifacts in the order in which they were stored."""
        page: Page[ArtifactInfo] = self._ask(self.id, m.ListArtifacts(limit, offset), self._timeout)
        return page

    def artifact_versions(self, name: ArtifactId | str) -> list[ArtifactInfo]:
        """Every version of a name, oldest first; empty if there is none. The id of an artifact stands for its name: of
        one that another session shares it finds the versions that are shared."""
        versions: list[ArtifactInfo] = self._ask(self.id, m.ListArtifactVersions(name), self._timeout)
        return versions

    @checked
    def diff_artifact(self, name: str, old: int | str, new: int | str = "latest", *, context: int = 3) -> str:
        """What changed from one version of a text to another, as a unified diff; empty if nothing.

        Raises ArtifactNotFound, InvalidOperation for content that is not text, ArtifactTooLarge for more than
        4 MiB or 50 000 lines.
        """
        return unified_diff(self.get_artifact, self.get_artifact_info, name, old, new, context)

    def delete_artifact(self, ref: ArtifactId | str, version: int | str | None = None) -> None:
        """Delete one artifact; content that nobody else uses goes with it. Raises ArtifactNotFound."""
        self._ask(self.id, m.DeleteArtifact(ref, version), self._timeout)

    # -- sharing

    def share(
        self,
        artifact: ArtifactId | str,
        with_session: Handle | str,
        permission: str = "read",
        expires_at: datetime | str | float | None = None,
        inherit: bool = False,
        *,
        version: int | str | None = None,
    ) -> Grant:
        """Let another session read an artifact, also store its next version (`write`), or do all that the owner may
        (`admin`).

        The grant is on this one version, until `expires_at` (a datetime, RFC 3339 text or epoch seconds), with
        `inherit` for the sessions below the other one too; it takes the place of an earlier one. An artifact of
        another session, named by its id, can be shared by who has admin on it. Raises AccessDenied, ArtifactNotFound,
        SessionNotFound, ResourceLimitExceeded above 1000 grants.
        """
        other = session_id_of(with_session, "with_session")
        message = ShareArtifact(
            artifact, other or "", permission, expires_at=expires_at, inherit=inherit, version=version
        )
        grant: Grant = self._ask(self.id, message, self._timeout)
        return grant

    def revoke(
        self,
        artifact: ArtifactId | str,
        with_session: Handle | str,
        permission: str = "read",
        *,
        version: int | str | None = None,
    ) -> bool:
        """Take a permission and those above it from another session: by default all it has. Whether it had it."""
        other = session_id_of(with_session, "with_session")
        message = RevokeArtifact(artifact, other or "", permission, version=version)
        return bool(self._ask(self.id, message, self._timeout))

    def permissions(self, artifact: ArtifactId | str, version: int | str | None = None) -> list[Grant]:
        """Who may do what with an artifact; what has expired is among them. The owner is not: it may do all."""
        found: list[Grant] = self._ask(self.id, ListPermissions(artifact, version), self._timeout)
        return found

    def check_access(
        self,
        artifact: ArtifactId | str,
        permission: str = "read",
        *,
        session: Handle | str | None = None,
        version: int | str | None = None,
    ) -> bool:
        """Whether this session (or another one, for who has admin) has a permission on an artifact now."""
        who = session_id_of(session, "session")
        message = CheckAccess(artifact, permission, session=who, version=version)
        return bool(self._ask(self.id, message, self._timeout))

    def shared_with_me(self) -> list[ArtifactInfo]:
        """What other sessions share with this one now, or with those above it for the sessions below them too."""
        self._ask(self.id, m.GetInfo(), self._timeout)  # raises what keeps this session from asking
        return self._runtime._shared_with(self.id)

    def store_version(
        self,
        artifact: ArtifactId | str,
        content: str | bytes | bytearray | memoryview | BinaryIO,
        **options: Any,
    ) -> ArtifactInfo:
        """Store the next version of an artifact under its name and type, where that one is: with its id also in another
        session, which shares it with write permission and whose storage it takes.

        `options` are those of `store_artifact`. The new version is an artifact of its own: of the other sessions only
        this one has it, as it has the one before.
        """
        before: ArtifactInfo = self._ask(self.id, GetPredecessor(artifact), self._timeout)
        kind = options.pop("type", before.artifact_type)
        return self.store_artifact(kind, before.name, content, version_of=before.id, **options)
