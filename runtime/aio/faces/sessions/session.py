"""`Session`, to be awaited. Written by `python docs/async_faces.py`."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any, BinaryIO, Literal, Self, TypeVar, Unpack, overload

from greenroom.actors import messages as m
from greenroom.runtime.aio.face import Block, Face, again, beneath, each, readable
from greenroom.runtime.handles.reading.timeline import MAX_TIMELINE
from greenroom.runtime.handles.session import Session

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from greenroom.actors.messages.conversation import Turn
    from greenroom.actors.messages.core import How
    from greenroom.actors.messages.permissions import Grant, ScopeGrant, SessionShare
    from greenroom.actors.transfer.bundle_export import ExportReport
    from greenroom.runtime.config.config import SessionConfig
    from greenroom.runtime.handles.conversation import AnthropicMessages
    from greenroom.runtime.handles.debugging.debugger import Debugger
    from greenroom.runtime.handles.debugging.diff import StateDiff
    from greenroom.runtime.handles.debugging.view import ContextView
    from greenroom.runtime.handles.keywords import ArtifactOptions, ConfigKeywords, VersionOptions
    from greenroom.runtime.handles.reading.past import PastState
    from greenroom.runtime.handles.reading.timeline import TimelineRow
    from greenroom.runtime.handles.session import SessionTree
    from greenroom.runtime.handles.streams import StreamProgress
    from greenroom.runtime.handles.variables import TypeOf
    from greenroom.runtime.model.agent import Agent
    from greenroom.runtime.model.many import DeletedArtifacts, ManyArtifacts
    from greenroom.runtime.model.reply import AgentReply
    from greenroom.runtime.model.script import ScriptOptions, ScriptReplay, ScriptResult
    from greenroom.runtime.model.workflow import Workflow
    from greenroom.runtime.model.workflow_result import WorkflowResult
    from greenroom.storage.artifacts.model import Artifact, ArtifactId, ArtifactInfo
    from greenroom.storage.artifacts.query import ArtifactKeywords, ArtifactQuery
    from greenroom.storage.catalog.model import SessionInfo
    from greenroom.storage.codec.records import Json
    from greenroom.storage.common.page import Page
    from greenroom.storage.common.session_ids import SessionHandle
    from greenroom.storage.events.model import Event
__all__ = ["SessionFace"]
T = TypeVar("T")
D = TypeVar("D")


class SessionFace(Face[Session]):
    """The methods of `Session` that can be awaited as they are."""

    async def __getitem__(self, key: str) -> Json:
        """Return a copy of the value of a variable: see `Session.__getitem__`."""
        return await self._bridge.once(self._here, Session.__getitem__, key)

    async def update(self, values: Mapping[str, object] | None = None, /, **more: object) -> None:
        """Set several variables in one write, all or none: see `Session.update`."""
        await self._bridge.once(self._here, Session.update, values, **more)

    async def compare_and_set(self, key: str, expected: object, value: object, **how: Unpack[How]) -> bool:
        """Set a variable if its value is `expected` now, and return whether it was: see
        `Session.compare_and_set`."""
        return await self._bridge.once(self._here, Session.compare_and_set, key, expected, value, **how)

    async def set(self, key: str, value: object, *, expected: object = m.ANY, **how: Unpack[How]) -> None:
        """Set a variable to a JSON value or bytes, at most 1 MiB encoded: see `Session.set`."""
        await self._bridge.once(self._here, Session.set, key, value, expected=expected, **how)

    @overload
    async def get(self, key: str) -> Json: ...

    @overload
    async def get(self, key: str, default: D) -> Json | D: ...

    @overload
    async def get(self, key: str, default: None = None, *, as_: TypeOf[T]) -> T | None: ...

    @overload
    async def get(self, key: str, default: T, *, as_: TypeOf[T]) -> T: ...

    @overload
    async def get(self, key: str, default: D, *, as_: TypeOf[T]) -> T | D: ...

    async def get(self, key: str, default: Any = None, as_: Any = None) -> Any:
        """Return a copy of the value of a variable, or `default`: see `Session.get`."""
        method: Callable[..., Any] = Session.get
        return await self._bridge.once(self._here, method, key, default, as_)

    async def delete_variable(self, key: str, **how: Unpack[How]) -> bool:
        """Delete a variable and return whether it existed: see `Session.delete_variable`."""
        return await self._bridge.once(self._here, Session.delete_variable, key, **how)

    async def variables(self, prefix: str = "") -> dict[str, Json]:
        """Return the variables whose key begins with `prefix`, by key: see `Session.variables`."""
        return await self._bridge.once(self._here, Session.variables, prefix)

    async def variable_keys(self) -> list[str]:
        """Return the keys of all variables, in order: see `Session.variable_keys`."""
        return await self._bridge.once(self._here, Session.variable_keys)

    def admitted(self, *kinds: str) -> Block[None]:
        """Admit a unit of work by its rates once: see `Session.admitted`."""
        return Block(self.sync.admitted(*kinds))

    async def info(self) -> SessionInfo:
        """Return a snapshot of the session's metadata: see `Session.info`."""
        return await self._bridge.once(self._here, Session.info)

    async def suspend(self, **how: Unpack[How]) -> SessionInfo:
        """Suspend the session: see `Session.suspend`."""
        return await self._bridge.once(self._here, Session.suspend, **how)

    async def resume(self, **how: Unpack[How]) -> SessionInfo:
        """Resume the session: see `Session.resume`."""
        return await self._bridge.once(self._here, Session.resume, **how)

    async def complete(self, **how: Unpack[How]) -> SessionInfo:
        """Complete the session: see `Session.complete`."""
        return await self._bridge.once(self._here, Session.complete, **how)

    async def fail(self, reason: str, **how: Unpack[How]) -> SessionInfo:
        """Fail the session: see `Session.fail`."""
        return await self._bridge.once(self._here, Session.fail, reason, **how)

    async def archive(self, **how: Unpack[How]) -> SessionInfo:
        """Archive the session: see `Session.archive`."""
        return await self._bridge.once(self._here, Session.archive, **how)

    async def save(self, **how: Unpack[How]) -> SessionInfo:
        """Write a snapshot and sync everything to disk: see `Session.save`."""
        return await self._bridge.once(self._here, Session.save, **how)

    async def load(self, **how: Unpack[How]) -> SessionInfo:
        """Load the session into memory, if it is not there already: see `Session.load`."""
        return await self._bridge.once(self._here, Session.load, **how)

    async def delete(self, **how: Unpack[How]) -> None:
        """Delete the session with its journal, variables and artifacts, and the content that only it used: see
        `Session.delete`."""
        await self._bridge.once(self._here, Session.delete, **how)

    async def fork(
        self,
        at_sequence: int | None = None,
        changes: Iterable[m.Change] | Mapping[str, object] | None = None,
        *,
        at_time: datetime | str | float | None = None,
        **how: Unpack[How],
    ) -> Self:
        """Create a session with a copy of this one's history, up to event `at_sequence`, or to the newest
        event at `at_time` (an aware datetime, RFC 3339 text or epoch seconds); by default all of it: see
        `Session.fork`."""
        return self._session(await self._bridge.run(self.sync.fork, at_sequence, changes, at_time=at_time, **how))

    @property
    def config(self) -> Awaitable[SessionConfig]:
        """The configuration in force: see `Session.config`."""
        method: Callable[..., Any] = vars(Session)["config"].fget
        return self._bridge.once(self._here, method)

    async def update_config(
        self, changes: SessionConfig | Mapping[str, object] | None = None, **settings: Unpack[ConfigKeywords]
    ) -> SessionConfig:
        """Change settings of this session, in any status, and return the configuration in force: see
        `Session.update_config`."""
        return await self._bridge.once(self._here, Session.update_config, changes, **settings)

    async def rename(self, name: str | None, **how: Unpack[How]) -> SessionInfo:
        """Give the session another name of at most 255 characters, or None, in any status: see
        `Session.rename`."""
        return await self._bridge.once(self._here, Session.rename, name, **how)

    async def describe(self, text: str | None, **how: Unpack[How]) -> SessionInfo:
        """Give the session another description, or None, in any status: see `Session.describe`."""
        return await self._bridge.once(self._here, Session.describe, text, **how)

    async def add_tag(self, tag: str, **how: Unpack[How]) -> SessionInfo:
        """See `Session.add_tag`."""
        return await self._bridge.once(self._here, Session.add_tag, tag, **how)

    async def remove_tag(self, tag: str, **how: Unpack[How]) -> SessionInfo:
        """See `Session.remove_tag`."""
        return await self._bridge.once(self._here, Session.remove_tag, tag, **how)

    async def set_tags(self, tags: Iterable[str], **how: Unpack[How]) -> SessionInfo:
        """Replace all tags; at most 64 of at most 64 characters: see `Session.set_tags`."""
        return await self._bridge.once(self._here, Session.set_tags, again(tags), **how)

    async def update_metadata(self, changes: Mapping[str, object], **how: Unpack[How]) -> SessionInfo:
        """Merge changes into the metadata (at most 64 KiB in all): see `Session.update_metadata`."""
        return await self._bridge.once(self._here, Session.update_metadata, changes, **how)

    async def children(self) -> list[SessionInfo]:
        """Return the children of this session in any status, oldest first: see `Session.children`."""
        return await self._bridge.run(self.sync.children)

    async def parent(self) -> Self | None:
        """Return the parent session, or None if there is none or it was deleted: see `Session.parent`."""
        return self._session(found) if (found := await self._bridge.run(self.sync.parent)) is not None else None

    async def tree(self) -> SessionTree:
        """Return this session and all descendants: see `Session.tree`."""
        return await self._bridge.run(self.sync.tree)

    async def add_message(
        self,
        role: str,
        content: str | Sequence[object] | None,
        *,
        name: str | None = None,
        tool_calls: Sequence[object] | None = None,
        tool_call_id: str | None = None,
        metadata: Mapping[str, object] | None = None,
        **how: Unpack[How],
    ) -> Turn:
        """Add a turn of the conversation: see `Session.add_message`."""
        return await self._bridge.once(
            self._here,
            Session.add_message,
            role,
            content,
            name=name,
            tool_calls=tool_calls,
            tool_call_id=tool_call_id,
            metadata=metadata,
            **how,
        )

    async def add_messages(self, messages: Iterable[Mapping[str, object] | Turn], **how: Unpack[How]) -> list[Turn]:
        """Add several turns in one write, all or none: see `Session.add_messages`."""
        return await self._bridge.once(self._here, Session.add_messages, again(messages), **how)

    async def edit_message(
        self,
        sequence: int,
        *,
        content: str | Sequence[object] | m.Unchanged | None = m.UNCHANGED,
        metadata: Mapping[str, object] | m.Unchanged | None = m.UNCHANGED,
        **how: Unpack[How],
    ) -> Turn:
        """Replace the content or the metadata of a turn, or both, and return it: see `Session.edit_message`."""
        return await self._bridge.once(
            self._here, Session.edit_message, sequence, content=content, metadata=metadata, **how
        )

    async def retract_message(self, sequence: int, **how: Unpack[How]) -> Turn:
        """Take a turn out of the conversation and return it: see `Session.retract_message`."""
        return await self._bridge.once(self._here, Session.retract_message, sequence, **how)

    async def pop_message(self, **how: Unpack[How]) -> Turn:
        """Take the newest turn out of the conversation and return it: see `Session.pop_message`."""
        return await self._bridge.once(self._here, Session.pop_message, **how)

    async def truncate_messages(self, after_sequence: int, **how: Unpack[How]) -> int:
        """Take all turns with a sequence greater than `after_sequence` out of the conversation, and return how
        many: see `Session.truncate_messages`."""
        return await self._bridge.once(self._here, Session.truncate_messages, after_sequence, **how)

    async def clear_messages(self, **how: Unpack[How]) -> int:
        """Take all turns out of the conversation, and return how many: see `Session.clear_messages`."""
        return await self._bridge.once(self._here, Session.clear_messages, **how)

    @overload
    async def messages(
        self, limit: int | None = None, before: int | None = None, *, format: None = None
    ) -> list[Turn]: ...

    @overload
    async def messages(
        self, limit: int | None = None, before: int | None = None, *, format: Literal["openai"]
    ) -> list[dict[str, Json]]: ...

    @overload
    async def messages(
        self, limit: int | None = None, before: int | None = None, *, format: Literal["anthropic"]
    ) -> AnthropicMessages: ...

    async def messages(
        self,
        limit: int | None = None,
        before: int | None = None,
        *,
        format: Literal["openai", "anthropic"] | None = None,
    ) -> Any:
        """Return the newest `limit` turns with a sequence smaller than `before`, oldest first, as they are
        now: see `Session.messages`."""
        method: Callable[..., Any] = Session.messages
        return await self._bridge.once(self._here, method, limit, before, format=format)

    async def export_messages(
        self, target: str | os.PathLike[str] | IO[Any], format: Literal["openai", "sharegpt", "markdown"] = "openai"
    ) -> int:
        """Write the conversation to a path or an open file, and return the number of turns: see
        `Session.export_messages`."""
        return await self._bridge.run(self.sync.export_messages, target, format)

    def events(self, after: int = 0, limit: int | None = None) -> AsyncIterator[Event]:
        """Return the journal's events with a sequence greater than `after`, in order, read as they are
        consumed: see `Session.events`."""
        return each(self._bridge, lambda: self.sync.events(after, limit))

    async def timeline(self, limit: int = MAX_TIMELINE) -> Page[TimelineRow]:
        """Return at most `limit` events of the journal, each with its cause and its depth below the first
        cause: see `Session.timeline`."""
        return await self._bridge.run(self.sync.timeline, limit)

    async def at(self, *, sequence: int | None = None, time: datetime | str | float | None = None) -> PastState:
        """Return the session as it was after event `sequence`, or at a `time` (an aware datetime, RFC 3339
        text or epoch seconds): see `Session.at`."""
        return await self._bridge.run(self.sync.at, sequence=sequence, time=time)

    async def diff(
        self, before: int | datetime | str | float, after: int | datetime | str | float | None = None
    ) -> StateDiff:
        """Return what is different between two moments, each the sequence of an event or a time; `after` is
        the newest event by default: see `Session.diff`."""
        return await self._bridge.run(self.sync.diff, before, after)

    async def context(self, call: int | None = None, *, number: int | None = None) -> ContextView:
        """Return what the model of one call was given, and what has changed since its last call: see
        `Session.context`."""
        return await self._bridge.run(self.sync.context, call, number=number)

    async def debugger(self) -> Debugger:
        """Return a debugger of what this session has recorded: see `Session.debugger`."""
        return await self._bridge.run(self.sync.debugger)

    async def store_artifact(
        self,
        type: str,
        name: str,
        content: str | bytes | bytearray | memoryview | BinaryIO,
        *,
        description: str | None = None,
        mime_type: str | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, object] | None = None,
        created_by: str | None = None,
        parent_artifact: ArtifactId | str | None = None,
        version_of: ArtifactId | str | None = None,
        label: str | None = None,
        on_progress: StreamProgress | None = None,
        **how: Unpack[How],
    ) -> ArtifactInfo:
        """Store content under a name; the same name again makes the next version: see
        `Session.store_artifact`."""
        if readable(content):
            return await self._bridge.run(
                self.sync.store_artifact,
                type,
                name,
                content,
                description=description,
                mime_type=mime_type,
                tags=again(tags),
                metadata=metadata,
                created_by=created_by,
                parent_artifact=parent_artifact,
                version_of=version_of,
                label=label,
                on_progress=on_progress,
                **how,
            )
        return await self._bridge.once(
            self._here,
            Session.store_artifact,
            type,
            name,
            content,
            description=description,
            mime_type=mime_type,
            tags=again(tags),
            metadata=metadata,
            created_by=created_by,
            parent_artifact=parent_artifact,
            version_of=version_of,
            label=label,
            on_progress=on_progress,
            **how,
        )

    async def store_file(
        self,
        path: str | os.PathLike[str],
        type: str = "user_input",
        name: str | None = None,
        **options: Unpack[ArtifactOptions],
    ) -> ArtifactInfo:
        """Store a file's content, streamed from disk, under its own name unless another is given: see
        `Session.store_file`."""
        return await self._bridge.run(self.sync.store_file, path, type, name, **options)

    async def store_many(
        self, items: Iterable[m.StoreArtifact | Mapping[str, object]], **how: Unpack[How]
    ) -> list[ArtifactInfo]:
        """Store a batch of artifacts in one atomic write: see `Session.store_many`."""
        return await self._bridge.once(self._here, Session.store_many, again(items), **how)

    async def get_artifact(self, ref: ArtifactId | str, version: int | str | None = None) -> Artifact:
        """Return the artifact with this id, or a version (default: see `Session.get_artifact`."""
        return await self._bridge.once(self._here, Session.get_artifact, ref, version)

    async def get_many(
        self, refs: Iterable[ArtifactId | str], *, on_progress: StreamProgress | None = None
    ) -> ManyArtifacts:
        """Return the artifacts with these ids, or the latest versions of these names: see `Session.get_many`."""
        return await self._bridge.run(self.sync.get_many, refs, on_progress=on_progress)

    async def query_artifacts(
        self, query: ArtifactQuery | None = None, **criteria: Unpack[ArtifactKeywords]
    ) -> Page[ArtifactInfo]:
        """Return the artifacts that match, newest first, as a page with the `total` before pagination: see
        `Session.query_artifacts`."""
        return await self._bridge.once(self._here, Session.query_artifacts, query, **criteria)

    async def count_artifacts(self, query: ArtifactQuery | None = None, **criteria: Unpack[ArtifactKeywords]) -> int:
        """Return the number of artifacts that match, as `query_artifacts` selects them, whatever the limit:
        see `Session.count_artifacts`."""
        return await self._bridge.once(self._here, Session.count_artifacts, query, **criteria)

    async def artifact_names(self, prefix: str = "") -> list[str]:
        """Return the names of the session's artifacts that begin with `prefix`, each once, in order: see
        `Session.artifact_names`."""
        return await self._bridge.once(self._here, Session.artifact_names, prefix)

    async def get_artifact_info(self, ref: ArtifactId | str, version: int | str | None = None) -> ArtifactInfo:
        """Return the description of an artifact, without its content: see `Session.get_artifact_info`."""
        return await self._bridge.once(self._here, Session.get_artifact_info, ref, version)

    async def save_artifact(
        self,
        ref: ArtifactId | str,
        path: str | os.PathLike[str],
        version: int | str | None = None,
        *,
        on_progress: StreamProgress | None = None,
    ) -> int:
        """Write the content to a file and return its size in bytes: see `Session.save_artifact`."""
        return await self._bridge.run(self.sync.save_artifact, ref, path, version, on_progress=on_progress)

    async def list_artifacts(self, *, limit: int | None = None, offset: int = 0) -> Page[ArtifactInfo]:
        """Return the session's artifacts in the order in which they were stored: see `Session.list_artifacts`."""
        return await self._bridge.once(self._here, Session.list_artifacts, limit=limit, offset=offset)

    async def artifact_versions(self, name: ArtifactId | str) -> list[ArtifactInfo]:
        """Return every version of a name, oldest first; empty if there is none: see
        `Session.artifact_versions`."""
        return await self._bridge.once(self._here, Session.artifact_versions, name)

    async def diff_artifact(self, name: str, old: int | str, new: int | str = "latest", *, context: int = 3) -> str:
        """Return a unified diff of two versions of a text; empty if they are equal: see
        `Session.diff_artifact`."""
        return await self._bridge.run(self.sync.diff_artifact, name, old, new, context=context)

    async def delete_artifact(
        self, ref: ArtifactId | str, version: int | str | None = None, **how: Unpack[How]
    ) -> None:
        """Delete one artifact, and its content if nothing else uses it: see `Session.delete_artifact`."""
        await self._bridge.once(self._here, Session.delete_artifact, ref, version, **how)

    async def delete_many(self, refs: Iterable[ArtifactId | str], **how: Unpack[How]) -> DeletedArtifacts:
        """Delete artifacts of this session in one atomic write: see `Session.delete_many`."""
        return await self._bridge.once(self._here, Session.delete_many, again(refs), **how)

    @overload
    async def share(  # type: ignore[overload-overlap]
        self,
        with_session: SessionHandle | str,
        permission: Literal["read", "write"] = "read",
        /,
        *,
        expires_at: datetime | str | float | None = None,
        **how: Unpack[How],
    ) -> SessionShare: ...

    @overload
    async def share(
        self,
        with_session: SessionHandle | str,
        /,
        *,
        permission: Literal["read", "write"],
        expires_at: datetime | str | float | None = None,
        **how: Unpack[How],
    ) -> SessionShare: ...

    @overload
    async def share(
        self,
        *,
        with_session: SessionHandle | str,
        permission: Literal["read", "write"] = "read",
        expires_at: datetime | str | float | None = None,
        **how: Unpack[How],
    ) -> SessionShare: ...

    @overload
    async def share(
        self,
        artifact: ArtifactId | str,
        with_session: SessionHandle | str,
        permission: str = "read",
        expires_at: datetime | str | float | None = None,
        inherit: bool = False,
        *,
        version: int | str | None = None,
        **how: Unpack[How],
    ) -> Grant: ...

    async def share(
        self,
        artifact: ArtifactId | SessionHandle | str | None = None,
        with_session: SessionHandle | str | None = None,
        permission: str = "read",
        expires_at: datetime | str | float | None = None,
        inherit: bool = False,
        *,
        version: int | str | None = None,
        **how: Unpack[How],
    ) -> Any:
        """Share this whole session with another one, or share one artifact: see `Session.share`."""
        method: Callable[..., Any] = Session.share
        return await self._bridge.once(
            self._here,
            method,
            beneath(artifact),
            beneath(with_session),
            permission,
            expires_at,
            inherit,
            version=version,
            **how,
        )

    async def shares(self) -> list[SessionShare]:
        """Return the shares of this whole session with others, also expired ones: see `Session.shares`."""
        return await self._bridge.once(self._here, Session.shares)

    async def shared_sessions(self) -> list[SessionShare]:
        """Return the shares by which this session may use all of another one now; `session_id` is the other
        one: see `Session.shared_sessions`."""
        return await self._bridge.run(self.sync.shared_sessions)

    async def grant_scope(
        self, scope: str, permission: Literal["read", "write"] = "read", **how: Unpack[How]
    ) -> ScopeGrant:
        """Let this session read, or with "write" also change, the state of a scope such as "user:7". A new
        grant replaces an earlier one: see `Session.grant_scope`."""
        return await self._bridge.once(self._here, Session.grant_scope, scope, permission, **how)

    async def revoke_scope(self, scope: str, **how: Unpack[How]) -> bool:
        """Take the permission on a scope from this session: see `Session.revoke_scope`."""
        return await self._bridge.once(self._here, Session.revoke_scope, scope, **how)

    async def scopes(self) -> list[ScopeGrant]:
        """Return the scopes that the host lets this session use, by name: see `Session.scopes`."""
        return await self._bridge.once(self._here, Session.scopes)

    async def share_artifact(
        self,
        artifact: ArtifactId | str,
        with_session: SessionHandle | str,
        permission: str = "read",
        expires_at: datetime | str | float | None = None,
        inherit: bool = False,
        *,
        version: int | str | None = None,
        **how: Unpack[How],
    ) -> Grant:
        """Grant another session permission to read an artifact (`read`), also to store its next version
        (`write`), or to do all that the owner may (`admin`): see `Session.share_artifact`."""
        return await self._bridge.once(
            self._here,
            Session.share_artifact,
            artifact,
            beneath(with_session),
            permission,
            expires_at,
            inherit,
            version=version,
            **how,
        )

    @overload
    async def revoke(self, with_session: SessionHandle | str, /, **how: Unpack[How]) -> bool: ...

    @overload
    async def revoke(
        self,
        artifact: ArtifactId | str,
        with_session: SessionHandle | str,
        permission: str = "read",
        *,
        version: int | str | None = None,
        **how: Unpack[How],
    ) -> bool: ...

    async def revoke(
        self,
        artifact: ArtifactId | SessionHandle | str | None = None,
        with_session: SessionHandle | str | None = None,
        permission: str = "read",
        *,
        version: int | str | None = None,
        **how: Unpack[How],
    ) -> bool:
        """End the share of this whole session with another one: see `Session.revoke`."""
        method: Callable[..., Any] = Session.revoke
        found: bool = await self._bridge.once(
            self._here, method, beneath(artifact), beneath(with_session), permission, version=version, **how
        )
        return found

    async def permissions(self, artifact: ArtifactId | str, version: int | str | None = None) -> list[Grant]:
        """Return the grants on an artifact, also expired ones: see `Session.permissions`."""
        return await self._bridge.once(self._here, Session.permissions, artifact, version)

    async def check_access(
        self,
        artifact: ArtifactId | str,
        permission: str = "read",
        *,
        session: SessionHandle | str | None = None,
        version: int | str | None = None,
    ) -> bool:
        """Return whether this session has a permission on an artifact now: see `Session.check_access`."""
        return await self._bridge.once(
            self._here, Session.check_access, artifact, permission, session=beneath(session), version=version
        )

    async def shared_with_me(self) -> list[ArtifactInfo]:
        """Return the artifacts that other sessions share with this one now, also those inherited from its
        ancestors: see `Session.shared_with_me`."""
        return await self._bridge.run(self.sync.shared_with_me)

    async def store_version(
        self,
        artifact: ArtifactId | str,
        content: str | bytes | bytearray | memoryview | BinaryIO,
        **options: Unpack[VersionOptions],
    ) -> ArtifactInfo:
        """Store the next version of an artifact under its name and type: see `Session.store_version`."""
        return await self._bridge.run(self.sync.store_version, artifact, content, **options)

    @overload
    async def call_tool(
        self, name: str, input: object = None, *, timeout: float | None = None, as_: TypeOf[T], **how: Unpack[How]
    ) -> T: ...

    @overload
    async def call_tool(
        self, name: str, input: object = None, *, timeout: float | None = None, **how: Unpack[How]
    ) -> Json: ...

    async def call_tool(
        self, name: str, input: object = None, *, timeout: float | None = None, as_: Any = None, **how: Unpack[How]
    ) -> Any:
        """Call a tool in this session and return its result, a JSON value or bytes; with `as_`, as that type,
        such as a pydantic model (see `get`): see `Session.call_tool`."""
        method: Callable[..., Any] = Session.call_tool
        return await self._bridge.once(self._here, method, name, input, timeout=timeout, as_=as_, **how)

    async def call_agent(
        self,
        agent: Agent | str,
        input: object,
        *,
        timeout: float | None = None,
        on_piece: Callable[[str], object] | None = None,
        **how: Unpack[How],
    ) -> AgentReply:
        """Call an agent in this session, given as an Agent, by its name or by a model's name: see
        `Session.call_agent`."""
        return await self._bridge.run_abandoning(
            self.sync.call_agent, agent, input, timeout=timeout, on_piece=on_piece, **how
        )

    async def run_workflow(
        self, flow: Workflow | Mapping[str, Any], input: object = None, *, timeout: float | None = None
    ) -> WorkflowResult:
        """Run a workflow in this session and journal each stage: see `Session.run_workflow`."""
        return await self._bridge.run_abandoning(self.sync.run_workflow, flow, input, timeout=timeout)

    async def resume_workflow(
        self,
        run: str | Workflow | None = None,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        *,
        timeout: float | None = None,
    ) -> WorkflowResult:
        """Run the rest of a workflow that a crash interrupted, and return what `run_workflow` would have: see
        `Session.resume_workflow`."""
        return await self._bridge.run_abandoning(self.sync.resume_workflow, run, functions, timeout=timeout)

    async def interrupted_workflows(self) -> list[str]:
        """Return the ids of the workflow runs in this session that have not ended and are not under way, the
        newest last: see `Session.interrupted_workflows`."""
        return await self._bridge.run(self.sync.interrupted_workflows)

    async def run_script(
        self,
        source: str | os.PathLike[str] | ArtifactId | None = None,
        language: str | None = None,
        profile: str = "sandboxed",
        args: Sequence[object] = (),
        timeout: float | None = None,
        **options: Unpack[ScriptOptions],
    ) -> ScriptResult:
        """Run a script that acts for this session: see `Session.run_script`."""
        return await self._bridge.run_abandoning(
            self.sync.run_script, source, language, profile, args, timeout, **options
        )

    async def replay_script(
        self, run: str | int, *, source: str | None = None, timeout: float | None = None
    ) -> ScriptReplay:
        """Run a script of this session again exactly as it ran, answered from the journal, and compare: see
        `Session.replay_script`."""
        return await self._bridge.run_abandoning(self.sync.replay_script, run, source=source, timeout=timeout)

    async def ask_human(
        self,
        question: str,
        schema: Mapping[str, object] | None = None,
        expires: float | datetime | str | None = None,
        metadata: Mapping[str, object] | None = None,
        **how: Unpack[How],
    ) -> str:
        """Ask people a question and return its id: see `Session.ask_human`."""
        return await self._bridge.once(self._here, Session.ask_human, question, schema, expires, metadata, **how)

    async def approvals(self, status: m.ApprovalStatus | None = None, *, limit: int = 100) -> list[m.Approval]:
        """Return at most `limit` questions of this session, oldest first: see `Session.approvals`."""
        return await self._bridge.once(self._here, Session.approvals, status, limit=limit)

    async def wait_for(self, approval: str, timeout: float | None = None) -> m.Approval:
        """Wait until a question is answered, expired or cancelled, and return it: see `Session.wait_for`."""
        return await self._bridge.run_abandoning(self.sync.wait_for, approval, timeout)

    async def accept_losses(self, **how: Unpack[How]) -> None:
        """Accept the variables as they are, after a repair that lost an event with unknown content: see
        `Session.accept_losses`."""
        await self._bridge.once(self._here, Session.accept_losses, **how)

    async def export(
        self,
        path: str | os.PathLike[str],
        *,
        tree: bool = False,
        history: bool = True,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> ExportReport:
        """Write this session, with `tree` also its descendants, to a bundle: see `Session.export`."""
        return await self._bridge.run(self.sync.export, path, tree=tree, history=history, on_progress=on_progress)

    def _session(self, made: Session) -> Self:
        """Return the asynchronous handle of a session."""
        raise NotImplementedError
