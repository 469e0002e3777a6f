"""`Session`: a handle on one session actor."""

from __future__ import annotations

import contextlib
import contextvars
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from greenroom.actors import messages as m
from greenroom.actors.conversation import Turn
from greenroom.storage.artifact_query import ArtifactQuery
from greenroom.storage.artifacts import Artifact, ArtifactId, ArtifactInfo
from greenroom.storage.catalog import Page, SessionInfo
from greenroom.storage.engine import Durability
from greenroom.storage.errors import GreenroomError, StorageError, ValidationError
from greenroom.storage.journal import Event
from greenroom.storage.keys import session_bytes
from greenroom.storage.records import Value

from .diff import unified_diff
from .streams import StreamProgress, Watched

if TYPE_CHECKING:
    from greenroom.storage.bundle_export import Progress

    from .bundles import ExportReport
    from .runtime import Runtime

__all__ = ["ManyArtifacts", "Session", "SessionTree"]

_current: contextvars.ContextVar[Session | None] = contextvars.ContextVar("greenroom_session", default=None)
_COPY_BYTES: Final = 1 << 20
_EVENT_PAGE: Final = 256


@dataclass(frozen=True, slots=True)
class SessionTree:
    """A session and, below it, its children."""

    info: SessionInfo
    children: tuple[SessionTree, ...]


@dataclass(frozen=True, slots=True)
class ManyArtifacts:
    """What `get_many` has read, and why it could not read the rest, by the ids and names that were asked for."""

    results: dict[ArtifactId | str, Artifact]
    errors: dict[ArtifactId | str, GreenroomError]


class Session:
    """Talks to one session by messages. A handle is small, has no state, and serves any number of threads.

    Every method may raise SessionNotFound, OperationTimeout, StorageError or RuntimeClosed; writes also
    InvalidSessionState (the session is not active), ValidationError and ResourceLimitExceeded.

    Example:
        ```py
        s = rt.create_session(name="Analysis")
        s.set("k", {"a": 1})
        s.store_artifact("tool_result", "results.json", b"{}")
        s.complete()
        ```
    """

    __slots__ = ("_ask", "_runtime", "_timeout", "id")

    def __init__(self, runtime: Runtime, session_id: str) -> None:
        self.id = session_id
        self._runtime = runtime
        self._ask = runtime._supervisor.ask
        self._timeout = runtime.config.ask_timeout

    def with_timeout(self, seconds: float) -> Session:
        """A handle on the same session whose calls wait at most this long instead of the runtime's `ask_timeout`."""
        handle = Session(self._runtime, self.id)
        handle._timeout = seconds
        return handle

    def __repr__(self) -> str:
        return f"<Session {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Session) and other.id == self.id and other._runtime is self._runtime

    def __hash__(self) -> int:
        return hash(self.id)

    # -- variables

    def set(self, key: str, value: Value, *, durability: Durability | str | None = None) -> None:
        """Set a variable to a JSON value or bytes, at most 1 MiB encoded."""
        self._ask(self.id, m.SetVariable(key, value, durability=durability), self._timeout)

    def get(self, key: str, default: Value = None) -> Value:
        """The value of a variable, a copy of the caller's own, or `default`."""
        return self._ask(self.id, m.GetVariable(key, default), self._timeout)

    def delete_variable(self, key: str) -> bool:
        """Remove a variable; whether it was there."""
        return bool(self._ask(self.id, m.DeleteVariable(key), self._timeout))

    def variables(self, prefix: str = "") -> dict[str, Value]:
        """The variables whose key begins with `prefix`, by key."""
        found: dict[str, Value] = self._ask(self.id, m.ListVariables(prefix), self._timeout)
        return found

    # -- life

    def info(self) -> SessionInfo:
        """A snapshot of the session's metadata."""
        return self._info(m.GetInfo())

    def _info(self, message: m.Message) -> SessionInfo:
        info: SessionInfo = self._ask(self.id, message, self._timeout)
        return info

    def suspend(self) -> SessionInfo:
        """active → suspended. Raises InvalidStateTransition, like all changes of status."""
        return self._info(m.SuspendSession())

    def resume(self) -> SessionInfo:
        """suspended → active."""
        return self._info(m.ResumeSession())

    def complete(self) -> SessionInfo:
        """active or suspended → completed, for good."""
        return self._info(m.CompleteSession())

    def fail(self, reason: str) -> SessionInfo:
        """active or suspended → failed, for good."""
        return self._info(m.FailSession(reason))

    def archive(self) -> SessionInfo:
        """completed or failed → archived: out of the default listings, journal and artifacts kept."""
        return self._info(m.ArchiveSession())

    def save(self) -> SessionInfo:
        """Write a snapshot and put everything on disk."""
        return self._info(m.SaveSession())

    def load(self) -> SessionInfo:
        """Bring the session into memory, if it is not there."""
        return self._info(m.LoadSession())

    def delete(self) -> None:
        """Remove the session with its journal, variables and artifacts, and the content that only it used."""
        self._ask(self.id, m.DeleteSession(), self._timeout)

    # -- tags, metadata, family

    def add_tag(self, tag: str) -> SessionInfo:
        return self._info(m.AddTag(tag))

    def remove_tag(self, tag: str) -> SessionInfo:
        return self._info(m.RemoveTag(tag))

    def set_tags(self, tags: Iterable[str]) -> SessionInfo:
        """Replace all tags; at most 64 of at most 64 characters."""
        return self._info(m.SetTags(tags))

    def update_metadata(self, changes: Mapping[str, Value]) -> SessionInfo:
        """Merge into the metadata (at most 64 KiB in all); a value of None removes its key."""
        return self._info(m.UpdateMetadata(changes))

    def children(self) -> list[SessionInfo]:
        """The sessions that were created with this one as parent, whatever their status, oldest first."""
        self.info()
        return self._runtime._store.catalog.children(session_bytes(self.id))

    def parent(self) -> Session | None:
        """The parent, or None if there is none (any more)."""
        parent = self.info().parent_session_id
        return Session(self._runtime, parent) if parent is not None and self._runtime.exists(parent) else None

    def tree(self) -> SessionTree:
        """This session and all below it. A parent is older than its children, so the tree has no cycles."""
        root = self.info()
        below: dict[str, list[SessionTree]] = {}
        order = [root]
        for info in order:
            order.extend(self._runtime._store.catalog.children(session_bytes(info.id)))
        for info in reversed(order):
            tree = SessionTree(info, tuple(reversed(below.pop(info.id, []))))
            if info is root:
                return tree
            below.setdefault(info.parent_session_id or "", []).append(tree)
        raise AssertionError("unreachable")

    # -- conversation and events

    def add_message(
        self,
        role: str,
        content: str | list[Value] | None,
        *,
        name: str | None = None,
        tool_calls: list[Value] | None = None,
        tool_call_id: str | None = None,
        metadata: Mapping[str, Value] | None = None,
    ) -> Turn:
        """Add a turn of the conversation. Content is text, a list of parts, or None (a pure tool call)."""
        message = m.AddMessage(
            role, content, name=name, tool_calls=tool_calls, tool_call_id=tool_call_id, metadata=metadata
        )
        turn: Turn = self._ask(self.id, message, self._timeout)
        return turn

    def messages(self, limit: int | None = None, before: int | None = None) -> list[Turn]:
        """The newest `limit` turns whose sequence is smaller than `before`, oldest first."""
        turns: list[Turn] = self._ask(self.id, m.GetMessages(limit, before), self._timeout)
        return turns

    def events(self, after: int = 0, limit: int | None = None) -> Iterator[Event]:
        """The journal's events with a sequence greater than `after`, in order, read as they are consumed."""
        return self._events(m.whole_number("after", after) or 0, m.whole_number("limit", limit))

    def _events(self, after: int, left: int | None) -> Iterator[Event]:
        while left is None or left > 0:
            page: list[Event] = self._ask(
                self.id,
                m.GetEvents(after, _EVENT_PAGE if left is None else min(left, _EVENT_PAGE)),
                self._timeout,
            )
            if not page:
                return
            yield from page
            after = page[-1].sequence
            left = None if left is None else left - len(page)

    # -- artifacts

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
            durability=durability,
        )
        info: ArtifactInfo = self._ask(self.id, message, self._timeout)
        return info

    def store_file(
        self, path: str | os.PathLike[str], type: str = "user_input", name: str | None = None, **options: Any
    ) -> ArtifactInfo:
        """Store a file's content, streamed from disk, under its own name unless another is given.

        `options` are those of `store_artifact`, `on_progress` with it. Raises StorageError when the file cannot be
        read.
        """
        source = Path(path)
        try:
            file = source.open("rb")
        except OSError as error:
            raise StorageError(f"cannot read {source}: {error.strerror}", path=str(source)) from error
        with file:
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

        An `ArtifactQuery`, or by keyword: artifact_type, name_pattern (a part, or a glob with `*` or `?`), tags (all
        of), without_tags, content_hash, custom (equality per key), text (every word of it begins a word of name,
        description, tags or custom values), created_after, created_before, min_size, max_size, created_by, sort
        (date, name, size, type), descending, limit, offset. Raises ValidationError.
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
        info = self.get_artifact_info(ref, version)
        return self._runtime._store.contents.open(bytes.fromhex(info.id.content_hash))

    def save_artifact(
        self,
        ref: ArtifactId | str,
        path: str | os.PathLike[str],
        version: int | str | None = None,
        *,
        on_progress: StreamProgress | None = None,
    ) -> int:
        """Write the content to a file; its bytes. The file appears whole or not at all. Raises StorageError.

        `on_progress` gets the bytes that have been written, and all there are; what it raises leaves no file.
        """
        target = Path(path)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        info = self.get_artifact_info(ref, version)
        with self.open_artifact(info.id) as source:
            try:
                with part.open("wb") as file:
                    while block := source.read(_COPY_BYTES):
                        file.write(block)
                        if on_progress is not None:
                            on_progress(file.tell(), info.size)
                    size = file.tell()
                part.replace(target)
            except OSError as error:
                part.unlink(missing_ok=True)
                raise StorageError(f"cannot write {target}: {error.strerror}", path=str(target)) from error
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        return size

    def list_artifacts(self, *, limit: int | None = None, offset: int = 0) -> Page[ArtifactInfo]:
        """The session's artifacts in the order in which they were stored."""
        page: Page[ArtifactInfo] = self._ask(self.id, m.ListArtifacts(limit, offset), self._timeout)
        return page

    def artifact_versions(self, name: str) -> list[ArtifactInfo]:
        """Every version of a name, oldest first; empty if there is none."""
        versions: list[ArtifactInfo] = self._ask(self.id, m.ListArtifactVersions(name), self._timeout)
        return versions

    def diff_artifact(self, name: str, old: int | str, new: int | str = "latest", *, context: int = 3) -> str:
        """What changed from one version of a text to another, as a unified diff; empty if nothing.

        Raises ArtifactNotFound, InvalidOperation for content that is not text, ArtifactTooLarge for more than
        4 MiB or 50 000 lines.
        """
        return unified_diff(self.get_artifact, self.get_artifact_info, name, old, new, context)

    def accept_losses(self) -> None:
        """After a repair that lost an event of which nothing is known: take the variables as they are."""
        self._ask(self.id, m.AcceptLosses(), self._timeout)

    def delete_artifact(self, ref: ArtifactId | str, version: int | str | None = None) -> None:
        """Delete one artifact; content that nobody else uses goes with it. Raises ArtifactNotFound."""
        self._ask(self.id, m.DeleteArtifact(ref, version), self._timeout)

    # -- moving

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        tree: bool = False,
        history: bool = True,
        on_progress: Progress | None = None,
    ) -> ExportReport:
        """Write this session, or with `tree` all below it too, to a bundle; see `Runtime.export_session`."""
        return self._runtime.export_session(self.id, path, tree=tree, history=history, on_progress=on_progress)

    # -- the current session

    @contextlib.contextmanager
    def as_current(self) -> Iterator[Session]:
        """Make this the current session of the code inside: a default for arguments, never an authority."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)

    @classmethod
    def current(cls) -> Session | None:
        """The session of the innermost `as_current`, or None."""
        return _current.get()


def session_id_of(session: Session | str | None, field: str) -> str | None:
    """The id that a handle or a text names."""
    if session is None or isinstance(session, str):
        return session
    if isinstance(session, Session):
        return session.id
    raise ValidationError(f"{field}: a Session or a session id is needed", field=field)
