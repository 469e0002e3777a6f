"""`Session`: a handle on one session actor.

The file is long because the class has one method for each thing that a session does.
"""

from __future__ import annotations

import contextlib
import contextvars
import io
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final, Literal, Self, TypeVar, Unpack, cast, overload

from greenroom.actors import messages as m
from greenroom.actors.messages.calls import CallTool
from greenroom.actors.messages.conversation import Turn
from greenroom.actors.messages.core import How, Message, Reply
from greenroom.actors.messages.lifecycle import GetConfig, UpdateConfig
from greenroom.actors.messages.permissions import PERMISSIONS, Grant, ScopeGrant, SessionShare
from greenroom.actors.messages.sharing import (
    CheckAccess,
    GetPredecessor,
    ListPermissions,
    RevokeArtifact,
    ShareArtifact,
)
from greenroom.actors.scheduling.operation import in_place, require_run
from greenroom.actors.session.decisions.facts import retrieval
from greenroom.runtime.core import RuntimeCore
from greenroom.runtime.handles.reading.follow import Follow, JournalReader
from greenroom.runtime.handles.reading.timeline import MAX_TIMELINE, TimelineRow
from greenroom.storage.artifacts.model import Artifact, ArtifactId, ArtifactInfo
from greenroom.storage.catalog.model import SessionInfo
from greenroom.storage.codec.records import Json
from greenroom.storage.common.arguments import as_function, as_seconds
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.page import Page
from greenroom.storage.common.session_ids import SessionHandle, session_bytes
from greenroom.storage.errors import InvalidOperation, SessionNotFound, ValidationError, shown
from greenroom.storage.events.model import Event, Origin
from greenroom.storage.files.regular_file import file_path, open_regular, written_file

from .artifact_writer import ArtifactWriter
from .collecting import Collected, Outside
from .host import Host
from .keywords import ArtifactOptions, ConfigKeywords, VersionOptions
from .records import Records
from .replies import reply_as
from .scope import Scope
from .streams import StreamProgress, Watched
from .variables import Variables

if TYPE_CHECKING:
    from greenroom.actors.transfer.bundle_export import ExportReport
    from greenroom.runtime.config.config import SessionConfig
    from greenroom.runtime.handles.reading.past import PastState
    from greenroom.runtime.model.agent import Agent
    from greenroom.runtime.model.many import DeletedArtifacts, ManyArtifacts
    from greenroom.runtime.model.reply import AgentReply
    from greenroom.runtime.model.script import ScriptOptions, ScriptReplay, ScriptResult
    from greenroom.runtime.model.workflow import Workflow
    from greenroom.runtime.model.workflow_result import WorkflowResult
    from greenroom.storage.artifacts.query import ArtifactKeywords, ArtifactQuery

    from .conversation import AnthropicMessages, MessageStream
    from .debugging.debugger import Debugger
    from .debugging.diff import StateDiff
    from .debugging.recorded import Recorded
    from .debugging.view import ContextView
    from .debugging.whatif import WhatIf
    from .variables import TypeOf

__all__ = [
    "Session",
    "SessionBatch",
    "SessionTree",
    "core_of",
    "created_session",
    "find_session",
    "required_session_id",
    "session_id_of",
]

_LATE: Final = {
    "Agent": "greenroom.runtime.model.agent",
    "ScriptOptions": "greenroom.runtime.model.script",
    "SessionConfig": "greenroom.runtime.config.config",
    "Workflow": "greenroom.runtime.model.workflow",
}
T = TypeVar("T")
D = TypeVar("D")

_current: contextvars.ContextVar[tuple[Session, ...]] = contextvars.ContextVar("greenroom_session", default=())
"""The current sessions, one for each runtime, the innermost first."""
_EVENT_PAGE: Final = 256
_COPY_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class SessionTree:
    """A session and the trees of its children."""

    info: SessionInfo
    children: tuple[SessionTree, ...]

    def __repr__(self) -> str:
        return f"<SessionTree {self.info.id} with {len(self.children)} children>"


class Session(Variables, SessionHandle):
    """Sends messages to one session. A handle is small, has no state, and is thread-safe.

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

    __slots__ = ("_ask", "_runtime", "_timeout")

    def __init__(self, runtime: Host, session_id: str) -> None:
        self.id = session_id
        self._runtime = runtime
        self._ask = runtime.core.ask_settled
        self._timeout = runtime.core.config.ask_timeout

    def __repr__(self) -> str:
        return f"<Session {self.id}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Session) and other.id == self.id and other._runtime is self._runtime

    def __hash__(self) -> int:
        return hash(self.id)

    def with_timeout(self, seconds: float) -> Session:
        """Return a handle on the same session. Its calls wait at most `seconds` instead of the runtime's
        `ask_timeout`."""
        handle = Session(self._runtime, self.id)
        # Scripts make a handle for each call: the usual case is not looked at twice.
        usual = type(seconds) is float and seconds >= 0.0
        handle._timeout = seconds if usual else as_seconds("seconds", seconds, zero=True, endless=True)
        return handle

    # -- variables

    def set(
        self,
        key: str,
        value: object,
        *,
        expected: object = m.ANY,
        **how: Unpack[How],
    ) -> None:
        """Set a variable to a JSON value or bytes, at most 1 MiB encoded.

        With `expected`, set it only if that is its current value, or, with `messages.ABSENT`, if the variable does not
        exist. Otherwise raises InvalidOperation with the field `conflict` true, and changes nothing.
        """
        self._ask(self.id, m.SetVariable(key, value, expected=expected, **how), self._timeout)

    @overload
    def get(self, key: str) -> Json: ...
    @overload
    def get(self, key: str, default: D) -> Json | D: ...
    @overload
    def get(self, key: str, default: None = None, *, as_: TypeOf[T]) -> T | None: ...
    @overload
    def get(self, key: str, default: T, *, as_: TypeOf[T]) -> T: ...
    @overload
    def get(self, key: str, default: D, *, as_: TypeOf[T]) -> T | D: ...
    def get(self, key: str, default: Any = None, as_: Any = None) -> Any:
        """Return a copy of the value of a variable, or `default`.

        With `as_`, return the value as that type: a pydantic model, a dataclass, `datetime`, `list[int]` or whatever
        else pydantic validates. Raises ValidationError, which names the key, if the value does not fit.
        """
        if as_ is not None:
            return self._typed(key, default, as_)
        return self._ask(self.id, m.GetVariable(key, default), self._timeout)

    def delete_variable(self, key: str, **how: Unpack[How]) -> bool:
        """Delete a variable and return whether it existed."""
        return bool(self._ask(self.id, m.DeleteVariable(key, **how), self._timeout))

    def variables(self, prefix: str = "") -> dict[str, Json]:
        """Return the variables whose key begins with `prefix`, by key."""
        found: dict[str, Json] = self._ask(self.id, m.ListVariables(prefix), self._timeout)
        return found

    def variable_keys(self) -> list[str]:
        """Return the keys of all variables, in order. Reads no value."""
        return list(self)

    @property
    def records(self) -> Records:
        """The records of the session: values under keys of bytes, outside its state."""
        return Records(self)

    def _send(self, message: m.Message[Any], missing: Any = None) -> Any:
        return self._ask(self.id, message, self._timeout)

    # -- several changes at once

    def batch(self, **how: Unpack[How]) -> SessionBatch:
        """Begin a batch, for a `with` block: what is called on it is done in one write at the end of the block, or none
        of it.

        It has the methods of this handle that change the session, and `scope(name)` for scopes. Nothing is sent if an
        exception leaves the block. What one of the changes raises, the block raises, with the field `index`.

        Example:
            ```py
            with session.batch() as b:
                b.set("step", 2)
                b.add_message("user", "hi")
                b.scope("user:7").set("seen", True)
            b.replies[1].sequence
            ```
        """
        return SessionBatch(self, how)

    def admitted(self, *kinds: str) -> AbstractContextManager[None]:
        """Admit a unit of work by its rates once: for a `with` block, so that a turn is not cut in half.

        One operation of each kind (message, llm_call, tool_execution, state_update, …) is counted at the beginning, or
        RateLimited is raised with `retry_after`, before anything has happened. Rates then pass all operations of these
        kinds on this session by the code inside, uncounted. That holds for this thread (or task) alone, and ends with
        the block.
        """
        return self._runtime.policies.admitted(self.id, kinds)

    # -- life

    def info(self) -> SessionInfo:
        """Return a snapshot of the session's metadata."""
        return self._info(m.GetInfo())

    def _info(self, message: m.Message[Any]) -> SessionInfo:
        info: SessionInfo = self._ask(self.id, message, self._timeout)
        return info

    def suspend(self, **how: Unpack[How]) -> SessionInfo:
        """Suspend the session: active → suspended. Raises InvalidStateTransition, like all changes of status."""
        return self._info(m.SuspendSession(**how))

    def resume(self, **how: Unpack[How]) -> SessionInfo:
        """Resume the session: suspended → active."""
        return self._info(m.ResumeSession(**how))

    def complete(self, **how: Unpack[How]) -> SessionInfo:
        """Complete the session: active or suspended → completed. This is final."""
        return self._info(m.CompleteSession(**how))

    def fail(self, reason: str, **how: Unpack[How]) -> SessionInfo:
        """Fail the session: active or suspended → failed. This is final."""
        return self._info(m.FailSession(reason, **how))

    def archive(self, **how: Unpack[How]) -> SessionInfo:
        """Archive the session: completed or failed → archived. Default listings skip it; journal and artifacts stay."""
        return self._info(m.ArchiveSession(**how))

    def save(self, **how: Unpack[How]) -> SessionInfo:
        """Write a snapshot and sync everything to disk."""
        return self._info(m.SaveSession(**how))

    def load(self, **how: Unpack[How]) -> SessionInfo:
        """Load the session into memory, if it is not there already."""
        return self._info(m.LoadSession(**how))

    def delete(self, **how: Unpack[How]) -> None:
        """Delete the session with its journal, variables and artifacts, and the content that only it used. With an
        `idempotency_key`, a session that is not there counts as deleted."""
        self._ask(self.id, m.DeleteSession(**how), self._timeout)

    def fork(
        self,
        at_sequence: int | None = None,
        changes: Iterable[m.Change] | Mapping[str, object] | None = None,
        *,
        at_time: datetime | str | float | None = None,
        **how: Unpack[How],
    ) -> Session:
        """Create a session with a copy of this one's history, up to event `at_sequence`, or to the newest event at
        `at_time` (an aware datetime, RFC 3339 text or epoch seconds); by default all of it. Works in any status.

        The fork is active and a child of this session. It has the variables, tags, conversation, artifacts and records
        of that moment; its artifacts have new ids and share the content. Its first own event is `session.forked`.
        Artifacts whose content was deleted since are deleted in the fork too, and so are records that were changed
        since. Raises ValidationError if this session has no such event, IntegrityError for damaged data,
        SessionNotFound if the fork that was made under an `idempotency_key` has been deleted since.

        `changes` are made before anybody can see the fork, or there is none: a list of messages such as
        `SetVariable`, `EditMessage`, `RetractMessage`, `AddMessage`, `ReplaceSystemPrompt` and `ReplaceToolResult`; or
        an object with system_prompt, edit_messages ({sequence: content}), drop_messages, tool_results ({call: result}),
        add_messages, variables, delete_variables and tags. What refuses one of them names its place in the field
        `index`.
        """
        if at_time is not None:
            if at_sequence is not None:
                raise ValidationError("fork: give at_sequence or at_time, not both", field="at_time")
            at_sequence = self.at(time=at_time).sequence
        message = m.ForkSession(at_sequence, changes, **how)
        return created_session(self._runtime, self._ask(self.id, message, self._timeout))

    # -- configuration

    @property
    def config(self) -> SessionConfig:
        """The configuration in force: the session's own settings, and the runtime's current ones for everything
        else."""
        return self._runtime.policies.config_with(self._ask(self.id, GetConfig(), self._timeout))

    @checked
    def update_config(
        self, changes: SessionConfig | Mapping[str, object] | None = None, **settings: Unpack[ConfigKeywords]
    ) -> SessionConfig:
        """Change settings of this session, in any status, and return the configuration in force. None means no limit.

        Give settings of SessionConfig by keyword, or as a mapping. Name only the `policies` to change:
        `update_config(policies={"timeout": {"warnings": [60]}})` keeps the others. `max_duration` counts from the
        session's creation or last resume. For the host only. Raises AccessDenied for code that acts for a session,
        ValidationError for unknown or invalid settings, HookCancelled.
        """
        given: dict[str, Any] = {**settings}
        how: Any = {name: given.pop(name) for name in How.__annotations__ if name in given}
        from greenroom.runtime.config.config import session_overrides

        message = UpdateConfig({**(session_overrides(changes) if changes is not None else {}), **given}, **how)
        reply: object = self._ask(self.id, message, self._timeout)
        return self._runtime.policies.config_with(reply_as(Mapping, reply, "the configuration"))

    def rename(self, name: str | None, **how: Unpack[How]) -> SessionInfo:
        """Give the session another name of at most 255 characters, or None, in any status."""
        return self._info(m.RenameSession(name, **how))

    def describe(self, text: str | None, **how: Unpack[How]) -> SessionInfo:
        """Give the session another description, or None, in any status."""
        return self._info(m.DescribeSession(text, **how))

    # -- tags, metadata, family

    def add_tag(self, tag: str, **how: Unpack[How]) -> SessionInfo:
        return self._info(m.AddTag(tag, **how))

    def remove_tag(self, tag: str, **how: Unpack[How]) -> SessionInfo:
        return self._info(m.RemoveTag(tag, **how))

    def set_tags(self, tags: Iterable[str], **how: Unpack[How]) -> SessionInfo:
        """Replace all tags; at most 64 of at most 64 characters."""
        return self._info(m.SetTags(tags, **how))

    def update_metadata(self, changes: Mapping[str, object], **how: Unpack[How]) -> SessionInfo:
        """Merge changes into the metadata (at most 64 KiB in all). A value of None deletes its key."""
        return self._info(m.UpdateMetadata(changes, **how))

    def children(self) -> list[SessionInfo]:
        """Return the children of this session in any status, oldest first."""
        self._require_family("children")
        return self._runtime.core.store.catalog.children(session_bytes(self.id))

    def _require_family(self, operation: str) -> None:
        """Raise SessionNotFound or AccessDenied unless the running code can access the session with its descendants. A
        share of the session does not cover those."""
        self._runtime.core.security.require(self.id, operation, "list")
        self.info()

    def parent(self) -> Session | None:
        """Return the parent session, or None if there is none or it was deleted."""
        parent = self.info().parent_session_id
        return Session(self._runtime, parent) if parent is not None and self._runtime.core.exists(parent) else None

    def tree(self) -> SessionTree:
        """Return this session and all descendants. A parent is older than its children, so the tree has no cycles."""
        self._require_family("tree")
        root = self.info()
        below: dict[str, list[SessionTree]] = {}
        order = [root]
        for info in order:
            order.extend(self._runtime.core.store.catalog.children(session_bytes(info.id)))
        for info in reversed(order):
            tree = SessionTree(info, tuple(reversed(below.pop(info.id, []))))
            if info is root:
                return tree
            below.setdefault(info.parent_session_id or "", []).append(tree)
        raise AssertionError("unreachable")

    # -- conversation and events

    def _reply(self, message: Message[Reply]) -> Reply:
        reply: Reply = self._ask(self.id, message, self._timeout)
        return reply

    def add_message(
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
        """Add a turn of the conversation. Content is text, a list of parts, or None (a pure tool call)."""
        message = m.AddMessage(
            role, content, name=name, tool_calls=tool_calls, tool_call_id=tool_call_id, metadata=metadata, **how
        )
        turn: Turn = self._ask(self.id, message, self._timeout)
        return turn

    def add_messages(self, messages: Iterable[Mapping[str, object] | Turn], **how: Unpack[How]) -> list[Turn]:
        """Add several turns in one write, all or none. Each is a Message, or an object with `role` and `content`, and
        optionally `name`, `tool_calls`, `tool_call_id` and `metadata`, as OpenAI's and Anthropic's are. Other keys are
        kept in the metadata."""
        return self._reply(m.AddMessages(messages, **how))

    def stream_message(
        self,
        role: str,
        *,
        name: str | None = None,
        tool_call_id: str | None = None,
        metadata: Mapping[str, object] | None = None,
        **how: Unpack[How],
    ) -> MessageStream:
        """Begin a turn that is written piece by piece, as a context manager. The turn's place is where it begins.

        What is written is kept after a crash; the turn is then `partial`. It is complete at the end of the block; an
        exception in the block leaves it partial. With an `idempotency_key`, a stream that is opened again writes a
        broken off message anew, in its place. If the message is complete already (`finished`), what is written is
        dropped.

        Example:
            ```py
            with session.stream_message("assistant") as message:
                for delta in model.stream(...):
                    message.write(delta)
            ```
        """
        from .conversation import MessageStream

        start = m.StartMessage(role, name=name, tool_call_id=tool_call_id, metadata=metadata, **how)
        return MessageStream(self._runtime.core, self.id, self._timeout, start, how.get("durability"))

    def edit_message(
        self,
        sequence: int,
        *,
        content: str | Sequence[object] | m.Unchanged | None = m.UNCHANGED,
        metadata: Mapping[str, object] | m.Unchanged | None = m.UNCHANGED,
        **how: Unpack[How],
    ) -> Turn:
        """Replace the content or the metadata of a turn, or both, and return it. What it was before stays in the
        journal. `sequence` is the turn's; raises ValidationError if the conversation has no such turn."""
        edit = m.EditMessage(sequence, content=content, metadata=metadata, **how)
        return self._reply(edit)

    def retract_message(self, sequence: int, **how: Unpack[How]) -> Turn:
        """Take a turn out of the conversation and return it. Its past stays in the journal. Raises ValidationError if
        the conversation has no such turn."""
        return self._reply(m.RetractMessage(sequence, **how))

    def pop_message(self, **how: Unpack[How]) -> Turn:
        """Take the newest turn out of the conversation and return it. Raises InvalidOperation if there is none."""
        return self._reply(m.PopMessage(**how))

    def truncate_messages(self, after_sequence: int, **how: Unpack[How]) -> int:
        """Take all turns with a sequence greater than `after_sequence` out of the conversation, and return how many."""
        return self._reply(m.TruncateMessages(after_sequence, **how))

    def clear_messages(self, **how: Unpack[How]) -> int:
        """Take all turns out of the conversation, and return how many."""
        return self._reply(m.ClearMessages(**how))

    @overload
    def messages(self, limit: int | None = None, before: int | None = None, *, format: None = None) -> list[Turn]: ...
    @overload
    def messages(
        self, limit: int | None = None, before: int | None = None, *, format: Literal["openai"]
    ) -> list[dict[str, Json]]: ...
    @overload
    def messages(
        self, limit: int | None = None, before: int | None = None, *, format: Literal["anthropic"]
    ) -> AnthropicMessages: ...
    def messages(
        self,
        limit: int | None = None,
        before: int | None = None,
        *,
        format: Literal["openai", "anthropic"] | None = None,
    ) -> Any:
        """Return the newest `limit` turns with a sequence smaller than `before`, oldest first, as they are now: edited,
        and without those that were retracted.

        With `format`, return what the chat APIs of OpenAI and Anthropic take: lists of dicts. Anthropic's has the
        system prompt in its attribute `system`.
        """
        if format is None:
            return self._reply(m.GetMessages(limit, before))
        from .conversation import converter

        convert = converter(format)
        return convert(self._reply(m.GetMessages(limit, before)))

    def export_messages(
        self,
        target: str | os.PathLike[str] | IO[Any],
        format: Literal["openai", "sharegpt", "markdown"] = "openai",
    ) -> int:
        """Write the conversation to a path or an open file, and return the number of turns.

        `openai` and `sharegpt` are one line of JSON, so that files can be put together. A file at a path appears whole
        or not at all. Raises ValidationError for an unknown format, StorageError.
        """
        from .conversation import exported, write_export

        turns = self._reply(m.GetMessages())
        write_export(target, exported(self._reply(m.GetInfo()), turns, format))
        return len(turns)

    def events(self, after: int = 0, limit: int | None = None) -> Iterator[Event]:
        """Return the journal's events with a sequence greater than `after`, in order, read as they are consumed."""
        return self._events(m.whole_number("after", after) or 0, m.whole_number("limit", limit))

    @checked
    def follow(
        self,
        after: int | str = 0,
        *,
        pattern: str = "**",
        origin: Origin | str | None = None,
        timeout: float | None = None,
    ) -> Follow:
        """Follow the journal: past events with a sequence greater than `after`, then new ones, without a gap. Only
        those whose type matches the pattern, and of one `origin` if it is given.

        `after` may be the `cursor` of an earlier `Follow`. With `timeout`, the iteration ends when no event has come
        for that many seconds. A read-only runtime follows the events that the writing runtime journals. Raises
        SessionNotFound, ResourceLimitExceeded for more than 1024 subscriptions.
        """
        reader = JournalReader(lambda after: self._events(after, None), after, pattern, origin)
        return Follow(self._runtime.events.subscribe("**", 1, session=self.id), reader, timeout)

    @checked
    def timeline(self, limit: int = MAX_TIMELINE) -> Page[TimelineRow]:
        """Return at most `limit` events of the journal, each with its cause and its depth below the first cause. For an
        operation across sessions see `rt.events.timeline`."""
        return self._runtime.events.of_session(self.id, limit)

    def at(self, *, sequence: int | None = None, time: datetime | str | float | None = None) -> PastState:
        """Return the session as it was after event `sequence`, or at a `time` (an aware datetime, RFC 3339 text or
        epoch seconds). Works in any status, and disturbs nobody.

        Raises ValidationError for none or both of the two and for a naive time, ReplayError for a moment before the
        first event that the journal still has, or after the newest sequence, and IntegrityError, with the field
        `sequence`, where the journal is damaged: all before the damage is there.

        Example:
            ```py
            session.at(sequence=3).variables
            session.at(time=datetime.now(timezone.utc) - timedelta(hours=1)).messages
            ```
        """
        from greenroom.runtime.handles.reading.past import past_state

        look = partial(self._ask, self.id, m.GetInfo(), self._timeout)
        return past_state(self._runtime.core.store, self.id, look, sequence, time)

    # -- finding out what happened

    def _recorded(self) -> Recorded:
        """Return the recorded past of this session, for what reads it."""
        from .debugging.recorded import recorded_session

        look = partial(self._ask, self.id, m.GetInfo(), self._timeout)
        return recorded_session(self._runtime.core.store, self.id, look)

    @checked
    def diff(
        self, before: int | datetime | str | float, after: int | datetime | str | float | None = None
    ) -> StateDiff:
        """Return what is different between two moments, each the sequence of an event or a time; `after` is the newest
        event by default. Binary values are compared by their hashes. Raises what `at` raises.

        Example:
            ```py
            print(session.diff(3, 9))   # + messages.7: …   ~ variables.model: "small" -> "large"
            ```
        """
        from .debugging.diff import diff_states

        recorded = self._recorded()
        one = recorded.sequence_of(before)
        other = recorded.last if after is None else recorded.sequence_of(after)
        return diff_states(*recorded.moments(one, other))

    @checked
    def context(self, call: int | None = None, *, number: int | None = None) -> ContextView:
        """Return what the model of one call was given, and what has changed since its last call. `call` is the sequence
        of an `agent.called` event, `number` counts calls from 1; by default the newest. In a conversation without calls
        of agents, such as an ingested one, the assistant's messages are the calls. Raises ReplayError if there is none.
        """
        from .debugging.context import context_of

        return context_of(self._recorded(), call, number)

    def debugger(self) -> Debugger:
        """Return a debugger of what this session has recorded. It changes nothing."""
        from .debugging.debugger import Debugger

        return Debugger(self._recorded())

    @checked
    def what_if(
        self,
        at: int | datetime | str | float | None = None,
        changes: Iterable[m.Change] | Mapping[str, object] | None = None,
        run: Callable[[Session], object] | None = None,
        *,
        timeout: float | None = None,
    ) -> WhatIf[Session]:
        """Fork the session at a moment with `changes` (see `fork`), have `run(fork)` go on from there, and compare the
        fork with this session.

        The fork stays, an ordinary session with the tag "what-if". `run` may be a coroutine function; what it raises is
        in the result. `timeout` is in seconds (default: `workflow_timeout`). Raises what `fork` raises.

        Example:
            ```py
            tried = session.what_if(12, {"system_prompt": "Be exact."}, run=lambda fork: agent_loop(fork))
            print(tried.comparison)
            rt.delete_session(tried.fork.id)
            ```
        """
        from .debugging.compare import compared
        from .debugging.whatif import WHAT_IF, WhatIf, run_on

        wait = self._runtime.core.config.workflow_timeout if timeout is None else as_seconds("timeout", timeout)
        go_on = as_function("run", run) if run is not None else None
        recorded = self._recorded()
        moment_ = recorded.last if at is None else recorded.sequence_of(at)
        fork = self.fork(moment_, [*m.fork_changes(changes), m.AddTag(WHAT_IF)])
        value, error, seconds = (
            run_on(self._runtime.core, go_on, fork, wait) if go_on is not None else (None, None, 0.0)
        )
        try:
            comparison = compared(self._recorded(), fork._recorded())
        except SessionNotFound:  # the function has deleted it
            comparison = None
        return WhatIf(fork, moment_, value, error, comparison, seconds)

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
        metadata: Mapping[str, object] | None = None,
        created_by: str | None = None,
        parent_artifact: ArtifactId | str | None = None,
        version_of: ArtifactId | str | None = None,
        label: str | None = None,
        on_progress: StreamProgress | None = None,
        **how: Unpack[How],
    ) -> ArtifactInfo:
        """Store content under a name; the same name again makes the next version.

        `label` is a name for this version, such as "1.2.0", unique among the versions of the name; wherever a version
        is asked for, its label will do. `parent_artifact` is the artifact that this one was made from: one of this
        session, or one that another session shares with it. `mime_type` has the form type/subtype.

        Content that is in the store already is not written again. Raises ArtifactTooLarge for more than
        `max_artifact_bytes` in memory; a binary file object may be as long as the session's storage allows.
        `on_progress` gets the bytes read from a file object, and its length if known. An exception of `on_progress`
        cancels the operation, and nothing is stored.
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
            label=label,
            **how,
        )
        message.encoded = m.UNSHARED
        info: ArtifactInfo = self._ask(self.id, message, self._timeout)
        return info

    @checked
    def create_artifact(self, type: str, name: str, **options: Unpack[ArtifactOptions]) -> ArtifactWriter:
        """Begin an artifact that is written piece by piece, for a `with` block. It is stored at the end of the block;
        an exception in the block leaves nothing. However long it is, little of it is in memory.

        `options` are those of `store_artifact`. Raises ValidationError at once for what is wrong with them.

        Example:
            ```py
            with session.create_artifact("log", "run.log") as log:
                for line in lines:
                    log.write(line)
            log.info.size
            ```
        """
        given: dict[str, Any] = {**options}
        progress = given.pop("on_progress", None)
        m.StoreArtifact(type, name, b"", **given)  # refuses at once what is wrong with it
        if progress is not None:
            given["on_progress"] = as_function("on_progress", progress)
        store = partial(self.store_artifact, type, name, **given)
        return ArtifactWriter(name, store, lambda: self.config.max_storage_bytes)

    @checked
    def store_file(
        self,
        path: str | os.PathLike[str],
        type: str = "user_input",
        name: str | None = None,
        **options: Unpack[ArtifactOptions],
    ) -> ArtifactInfo:
        """Store a file's content, streamed from disk, under its own name unless another is given.

        `options` are those of `store_artifact`, including `on_progress`. Raises StorageError when the file cannot be
        read, or is not a regular file.
        """
        source = file_path(path)
        with open_regular(source, f"cannot read {source}") as file:
            return self.store_artifact(type, name if name is not None else source.name, file, **options)

    def store_many(
        self,
        items: Iterable[m.StoreArtifact | Mapping[str, object]],
        **how: Unpack[How],
    ) -> list[ArtifactInfo]:
        """Store a batch of artifacts in one atomic write: all of them, in their order, or none.

        Each is a mapping of the arguments of `store_artifact` (type, name, content, …) or a `messages.StoreArtifact`.
        Raises what storing one of them raises.
        """
        infos: list[ArtifactInfo] = self._ask(self.id, m.StoreMany(items, **how), self._timeout)
        return infos

    def get_artifact(self, ref: ArtifactId | str, version: int | str | None = None) -> Artifact:
        """Return the artifact with this id, or a version (default: the latest) of a name, with its verified content.

        A version is its number, its label or "latest". Raises ArtifactNotFound, or IntegrityError if what is on disk is
        not what was stored.
        """
        artifact: Artifact = self._ask(self.id, m.GetArtifact(ref, version), self._timeout)
        return artifact

    @checked
    def get_many(self, refs: Iterable[ArtifactId | str], *, on_progress: StreamProgress | None = None) -> ManyArtifacts:
        """Return the artifacts with these ids, or the latest versions of these names. A missing or damaged artifact is
        an error under its id and does not affect the others. `on_progress` gets the number of artifacts read, and of
        all."""
        from greenroom.runtime.model.many import ManyArtifacts, read_in_parts

        wanted = m.GetArtifacts(refs)
        if on_progress is not None:
            return read_in_parts(wanted.refs, self.get_many, on_progress)
        return ManyArtifacts(*self._ask(self.id, wanted, self._timeout))

    def query_artifacts(
        self, query: ArtifactQuery | None = None, **criteria: Unpack[ArtifactKeywords]
    ) -> Page[ArtifactInfo]:
        """Return the artifacts that match, newest first, as a page with the `total` before pagination.

        Give an `ArtifactQuery` or keywords: artifact_type, mime_type, name_pattern (a part, or a glob with `*` or
        `?`; ignores case unless case_sensitive), tags (all of), without_tags, content_hash, parent_artifact,
        latest_only (no earlier versions), custom (equality per key), text (every word of it begins a word of name,
        description, tags or custom values; with fuzzy=True, is a part of one or almost the same), created_after,
        created_before, min_size, max_size, created_by, sort (date, name, size, type), descending (by default only for
        the date), limit (default 100; None for all), offset. Raises ValidationError.
        """
        page: Page[ArtifactInfo] = self._ask(self.id, m.QueryArtifacts(query, **criteria), self._timeout)
        return page

    def count_artifacts(self, query: ArtifactQuery | None = None, **criteria: Unpack[ArtifactKeywords]) -> int:
        """Return the number of artifacts that match, as `query_artifacts` selects them, whatever the limit."""
        from greenroom.storage.artifacts.query import artifact_query

        wanted = artifact_query(query, criteria).having(limit=0, offset=0)
        return self.query_artifacts(wanted).total

    def artifact_names(self, prefix: str = "") -> list[str]:
        """Return the names of the session's artifacts that begin with `prefix`, each once, in order."""
        names: list[str] = self._ask(self.id, m.ListArtifactNames(prefix), self._timeout)
        return names

    def get_artifact_info(self, ref: ArtifactId | str, version: int | str | None = None) -> ArtifactInfo:
        """Return the description of an artifact, without its content. Raises ArtifactNotFound."""
        info: ArtifactInfo = self._ask(self.id, m.GetArtifactInfo(ref, version), self._timeout)
        return info

    def open_artifact(self, ref: ArtifactId | str, version: int | str | None = None) -> BinaryIO:
        """Return a seekable binary stream over the content, which holds one chunk at a time in memory.

        Each chunk is verified before its bytes are given out. Raises ArtifactNotFound.
        """
        hooks = self._runtime.core.hooks
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
        stream = self._runtime.core.store.contents.open(bytes.fromhex(info.id.content_hash))
        tell = self._runtime.core.supervisor.services.tell
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
        """Write the content to a file and return its size in bytes. The file appears whole and on disk, or not at all.

        `on_progress` gets the bytes written and the total; if it raises, no file is left. A regular file at `path` is
        replaced; anything else there is refused, also a symbolic link. Raises ArtifactNotFound, StorageError.
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
        """Return the session's artifacts in the order in which they were stored."""
        page: Page[ArtifactInfo] = self._ask(self.id, m.ListArtifacts(limit, offset), self._timeout)
        return page

    def artifact_versions(self, name: ArtifactId | str) -> list[ArtifactInfo]:
        """Return every version of a name, oldest first; empty if there is none. An artifact's id stands for its name.
        For an artifact of another session, return the versions shared with this one."""
        versions: list[ArtifactInfo] = self._ask(self.id, m.ListArtifactVersions(name), self._timeout)
        return versions

    @checked
    def diff_artifact(self, name: str, old: int | str, new: int | str = "latest", *, context: int = 3) -> str:
        """Return a unified diff of two versions of a text; empty if they are equal.

        Raises ArtifactNotFound, InvalidOperation for content that is not text, ArtifactTooLarge for more than
        4 MiB or 50 000 lines.
        """
        from greenroom.runtime.handles.reading.diff import unified_diff

        return unified_diff(self.get_artifact, self.get_artifact_info, name, old, new, context)

    def delete_artifact(self, ref: ArtifactId | str, version: int | str | None = None, **how: Unpack[How]) -> None:
        """Delete one artifact, and its content if nothing else uses it. Raises ArtifactNotFound."""
        self._ask(self.id, m.DeleteArtifact(ref, version, **how), self._timeout)

    @checked
    def delete_many(self, refs: Iterable[ArtifactId | str], **how: Unpack[How]) -> DeletedArtifacts:
        """Delete artifacts of this session in one atomic write: those with these ids, and the latest versions of these
        names. What the session does not have is reported as missing, and the others are deleted."""
        from greenroom.runtime.model.many import deletion_report

        message = m.DeleteMany(refs, **how)
        gone = reply_as(list, self._ask(self.id, message, self._timeout), "what was deleted")
        return deletion_report(self.id, message.refs, gone)

    # -- sharing

    @overload
    def share(  # type: ignore[overload-overlap]  # no session has the id "read"
        self,
        with_session: Session | str,
        permission: Literal["read", "write"] = "read",
        /,
        *,
        expires_at: datetime | str | float | None = None,
        **how: Unpack[How],
    ) -> SessionShare: ...
    @overload
    def share(
        self,
        with_session: Session | str,
        /,
        *,
        permission: Literal["read", "write"],
        expires_at: datetime | str | float | None = None,
        **how: Unpack[How],
    ) -> SessionShare: ...
    @overload
    def share(
        self,
        *,
        with_session: Session | str,
        permission: Literal["read", "write"] = "read",
        expires_at: datetime | str | float | None = None,
        **how: Unpack[How],
    ) -> SessionShare: ...
    @overload
    def share(
        self,
        artifact: ArtifactId | str,
        with_session: Session | str,
        permission: str = "read",
        expires_at: datetime | str | float | None = None,
        inherit: bool = False,
        *,
        version: int | str | None = None,
        **how: Unpack[How],
    ) -> Grant: ...
    def share(
        self,
        artifact: ArtifactId | Session | str | None = None,
        with_session: Session | str | None = None,
        permission: str = "read",
        expires_at: datetime | str | float | None = None,
        inherit: bool = False,
        *,
        version: int | str | None = None,
        **how: Unpack[How],
    ) -> Any:
        """Share this whole session with another one, or share one artifact.

        `share(other, "read")` lets another session read this one: info, variables, conversation, events and artifacts.
        `share(other, "write")` lets it also change variables, conversation, tags and metadata, and store artifacts.
        Either lasts until `expires_at` (a datetime, RFC 3339 text or epoch seconds) and replaces an earlier share. It
        does not cover descendants, forks, tools, nor changes of status, configuration and permissions.

        `share(artifact, other, "read")` grants permission on one artifact; see `share_artifact`.
        """
        if artifact is None:
            return self._share_whole(with_session, permission, expires_at=expires_at, **how)
        named = type(with_session) is str and with_session in PERMISSIONS
        if named or with_session is None:
            level = cast(str, with_session) if named else permission
            return self._share_whole(cast("Session | str", artifact), level, expires_at=expires_at, **how)
        ref = cast("ArtifactId | str", artifact)
        return self.share_artifact(ref, with_session, permission, expires_at, inherit, version=version, **how)

    def _share_whole(
        self,
        with_session: Session | str | None,
        permission: str = "read",
        *,
        expires_at: datetime | str | float | None = None,
        **how: Unpack[How],
    ) -> SessionShare:
        other = session_id_of(with_session, "with_session")
        message = m.ShareSession(other or "", permission, expires_at=expires_at, **how)
        share: SessionShare = self._ask(self.id, message, self._timeout)
        return share

    def shares(self) -> list[SessionShare]:
        """Return the shares of this whole session with others, also expired ones."""
        found: list[SessionShare] = self._ask(self.id, m.ListShares(), self._timeout)
        return found

    def shared_sessions(self) -> list[SessionShare]:
        """Return the shares by which this session may use all of another one now; `session_id` is the other one."""
        self._require_family("shared_sessions")
        return self._runtime.core.supervisor.delivery.crossing.sessions_shared_with(self.id)

    def grant_scope(self, scope: str, permission: Literal["read", "write"] = "read", **how: Unpack[How]) -> ScopeGrant:
        """Let this session read, or with "write" also change, the state of a scope such as "user:7". A new grant
        replaces an earlier one. Children and forks do not have it. For the host only. Raises AccessDenied for code that
        acts for a session."""
        grant: ScopeGrant = self._ask(self.id, m.GrantScope(scope, permission, **how), self._timeout)
        return grant

    def revoke_scope(self, scope: str, **how: Unpack[How]) -> bool:
        """Take the permission on a scope from this session. Return whether it had one. For the host only."""
        return bool(self._ask(self.id, m.RevokeScope(scope, **how), self._timeout))

    def scopes(self) -> list[ScopeGrant]:
        """Return the scopes that the host lets this session use, by name."""
        found: list[ScopeGrant] = self._ask(self.id, m.ListScopes(), self._timeout)
        return found

    def share_artifact(
        self,
        artifact: ArtifactId | str,
        with_session: Session | str,
        permission: str = "read",
        expires_at: datetime | str | float | None = None,
        inherit: bool = False,
        *,
        version: int | str | None = None,
        **how: Unpack[How],
    ) -> Grant:
        """Grant another session permission to read an artifact (`read`), also to store its next version (`write`), or
        to do all that the owner may (`admin`). Artifacts of type `system_generated` are shared for reading only.

        The grant covers this one version, until `expires_at` (a datetime, RFC 3339 text or epoch seconds), and with
        `inherit` also the other session's descendants. It replaces an earlier grant. To share an artifact of another
        session, name it by its id; that takes admin permission. Raises AccessDenied, ArtifactNotFound, SessionNotFound,
        ResourceLimitExceeded above 1000 grants.
        """
        other = session_id_of(with_session, "with_session")
        message = ShareArtifact(
            artifact, other or "", permission, expires_at=expires_at, inherit=inherit, version=version, **how
        )
        grant: Grant = self._ask(self.id, message, self._timeout)
        return grant

    @overload
    def revoke(self, with_session: Session | str, /, **how: Unpack[How]) -> bool: ...
    @overload
    def revoke(
        self,
        artifact: ArtifactId | str,
        with_session: Session | str,
        permission: str = "read",
        *,
        version: int | str | None = None,
        **how: Unpack[How],
    ) -> bool: ...
    def revoke(
        self,
        artifact: ArtifactId | Session | str | None = None,
        with_session: Session | str | None = None,
        permission: str = "read",
        *,
        version: int | str | None = None,
        **how: Unpack[How],
    ) -> bool:
        """End the share of this whole session with another one: `revoke(other)`. Or revoke a permission on an artifact
        and all higher ones: `revoke(artifact, other, permission="read")`. Return whether there was one."""
        if artifact is None or with_session is None:
            whole = cast("Session | str | None", with_session if artifact is None else artifact)
            ends = m.RevokeSession(session_id_of(whole, "with_session") or "", **how)
            return bool(self._ask(self.id, ends, self._timeout))
        ref = cast("ArtifactId | str", artifact)
        other = session_id_of(with_session, "with_session")
        message = RevokeArtifact(ref, other or "", permission, version=version, **how)
        return bool(self._ask(self.id, message, self._timeout))

    def permissions(self, artifact: ArtifactId | str, version: int | str | None = None) -> list[Grant]:
        """Return the grants on an artifact, also expired ones. The owner needs no grant and is not among them."""
        found: list[Grant] = self._ask(self.id, ListPermissions(artifact, version), self._timeout)
        return found

    def check_access(
        self,
        artifact: ArtifactId | str,
        permission: str = "read",
        *,
        session: Session | str | None = None,
        version: int | str | None = None,
    ) -> bool:
        """Return whether this session has a permission on an artifact now. With admin permission, ask also for another
        one."""
        who = session_id_of(session, "session")
        message = CheckAccess(artifact, permission, session=who, version=version)
        return bool(self._ask(self.id, message, self._timeout))

    def shared_with_me(self) -> list[ArtifactInfo]:
        """Return the artifacts that other sessions share with this one now, also those inherited from its ancestors."""
        self._require_family("shared_with_me")
        crossing = self._runtime.core.supervisor.delivery.crossing
        return crossing.shared_with(self.id, self._runtime.core.config.ask_timeout)

    def store_version(
        self,
        artifact: ArtifactId | str,
        content: str | bytes | bytearray | memoryview | BinaryIO,
        **options: Unpack[VersionOptions],
    ) -> ArtifactInfo:
        """Store the next version of an artifact under its name and type. Given an id, this also works for an artifact
        of another session that grants write permission; the version then takes storage there.

        `options` are those of `store_artifact`. The new version is a separate artifact: apart from its owner only this
        session has access to it, with the permission that it has on the version before.
        """
        before: ArtifactInfo = self._ask(self.id, GetPredecessor(artifact), self._timeout)
        given: dict[str, Any] = {**options}
        kind = given.pop("type", before.artifact_type)
        return self.store_artifact(kind, before.name, content, version_of=before.id, **given)

    # -- tools and agents

    @overload
    def call_tool(
        self, name: str, input: object = None, *, timeout: float | None = None, as_: TypeOf[T], **how: Unpack[How]
    ) -> T: ...
    @overload
    def call_tool(
        self, name: str, input: object = None, *, timeout: float | None = None, **how: Unpack[How]
    ) -> Json: ...
    def call_tool(
        self, name: str, input: object = None, *, timeout: float | None = None, as_: Any = None, **how: Unpack[How]
    ) -> Any:
        """Call a tool in this session and return its result, a JSON value or bytes; with `as_`, as that type, such as a
        pydantic model (see `get`). The call and its return are journaled. Meanwhile the session handles other messages.

        `timeout` is in seconds (default: the tool's own, else `tool_timeout`). Raises what `Tools.call` raises, and
        ValidationError if the result does not fit the type.
        """
        result = self._ask(self.id, CallTool(name, input, timeout=timeout, **how), self._call_timeout)
        if as_ is None:
            return result
        from greenroom.runtime.model.typed import as_type

        return as_type(result, as_, "result")

    @checked
    def call_agent(
        self,
        agent: Agent | str,
        input: object,
        *,
        timeout: float | None = None,
        on_piece: Callable[[str], object] | None = None,
        **how: Unpack[How],
    ) -> AgentReply:
        """Call an agent in this session, given as an Agent, by its name or by a model's name. The call, its return,
        tokens and cost are journaled. `on_piece` gets the text piece by piece. Raises what `Agents.call` raises."""
        from greenroom.runtime.model.pieces import Listener

        message = self._runtime.agents.message(agent, input, timeout, **how)
        listener = message.on_piece = Listener(on_piece) if on_piece is not None else None
        reply: AgentReply = self._ask(self.id, message, self._call_timeout)
        if listener is not None:
            listener.end(reply)
        return reply

    @checked
    def run_workflow(
        self, flow: Workflow | Mapping[str, Any], input: object = None, *, timeout: float | None = None
    ) -> WorkflowResult:
        """Run a workflow in this session and journal each stage. A failed step is reported in the result, not raised.
        A mapping is read as by `Workflow.of`.

        `timeout` is in seconds, for the whole workflow (default: `workflow_timeout`). Raises ValidationError for an
        input that refers to an unknown step, HookCancelled, and what journaling raises.
        """
        wanted = self._runtime.core.config.workflow_timeout if timeout is None else timeout
        return self._runtime.workflows.run(flow, self, input, wanted)

    @checked
    def resume_workflow(
        self,
        run: str | Workflow | None = None,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        *,
        timeout: float | None = None,
    ) -> WorkflowResult:
        """Run the rest of a workflow that a crash interrupted, and return what `run_workflow` would have. What had
        ended is not done again: stages that were journaled, and calls whose return was.

        `run` is the id of the run, or the workflow itself, which has its functions; by default the newest run that was
        interrupted (see `interrupted_workflows`). `functions` are the workflow's functions: those of steps by the names
        of the steps, conditions by the names of their branches or workflows. Raises InvalidOperation if nothing was
        interrupted, ValidationError for another workflow, and what `run_workflow` raises.
        """
        wanted = self._runtime.core.config.workflow_timeout if timeout is None else timeout
        return self._runtime.workflows.resume(self, run, functions, wanted)

    def interrupted_workflows(self) -> list[str]:
        """Return the ids of the workflow runs in this session that have not ended and are not under way, the newest
        last."""
        return self._runtime.workflows.interrupted(self.id)

    # -- scripts

    def run_script(
        self,
        source: str | os.PathLike[str] | ArtifactId | None = None,
        language: str | None = None,
        profile: str = "sandboxed",
        args: Sequence[object] = (),
        timeout: float | None = None,
        **options: Unpack[ScriptOptions],
    ) -> ScriptResult:
        """Run a script that acts for this session: text, a Path, or an `artifact`, by its id or by its name and
        `version`. Its start, output, outcome and cost are journaled here; see `Runtime.run_script`.

        Example:
            ```py
            session.store_artifact("script", "triage.lua", "return Session.current()")
            session.run_script(artifact="triage.lua", version=1).value
            ```
        """
        return self._runtime.run_script(source, language, profile, session=self, args=args, timeout=timeout, **options)

    @checked
    def replay_script(self, run: str | int, *, source: str | None = None, timeout: float | None = None) -> ScriptReplay:
        """Run a script of this session again exactly as it ran, answered from the journal, and compare; see
        `Runtime.replay_script`. `run` is the id of the run, or the sequence of its `script.started`.

        Example:
            ```py
            run = session.run_script("return { os.time(), math.random(), State.get('k') }")
            session.replay_script(run.run_id).identical
            ```
        """
        named = f"{self.id}/{run}" if isinstance(run, int) else run
        if not named.startswith(f"{self.id}/"):
            raise ValidationError(f"run: {shown(named)} is no run of this session", field="run")
        return self._runtime.replay_script(named, source=source, timeout=timeout)

    @property
    def _call_timeout(self) -> float:
        """Return the upper limit for the time of calls: none, unless the handle has a timeout of its own."""
        return math.inf if self._timeout == self._runtime.core.config.ask_timeout else self._timeout

    # -- questions to people

    def ask_human(
        self,
        question: str,
        schema: Mapping[str, object] | None = None,
        expires: float | datetime | str | None = None,
        metadata: Mapping[str, object] | None = None,
        **how: Unpack[How],
    ) -> str:
        """Ask people a question and return its id. It stays pending, in the store, until it is answered.

        An answer must fit `schema`, a JSON schema. The question expires after `expires` seconds, or at that moment (a
        datetime or RFC 3339 text). `metadata` is for those who show it. The host answers with `rt.approvals.answer`.
        Raises ResourceLimitExceeded for more than 256 pending questions, HookCancelled.
        """
        asked: object = self._ask(self.id, m.AskHuman(question, schema, expires, metadata, **how), self._timeout)
        return reply_as(str, asked, "the id of a question")

    def approvals(self, status: m.ApprovalStatus | None = None, *, limit: int = 100) -> list[m.Approval]:
        """Return at most `limit` questions of this session, oldest first: all, or those with a status ("pending",
        "answered", "expired", "cancelled")."""
        found: list[m.Approval] = self._ask(self.id, m.ListApprovals(status, limit), self._timeout)
        return found

    def wait_for(self, approval: str, timeout: float | None = None) -> m.Approval:
        """Wait until a question is answered, expired or cancelled, and return it; see `Approvals.wait`."""
        return self._runtime.approvals.wait(approval, timeout)

    # -- after a repair

    def accept_losses(self, **how: Unpack[How]) -> None:
        """Accept the variables as they are, after a repair that lost an event with unknown content."""
        self._ask(self.id, m.AcceptLosses(**how), self._timeout)

    # -- transfer

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        tree: bool = False,
        history: bool = True,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> ExportReport:
        """Write this session, with `tree` also its descendants, to a bundle; see `Runtime.export_session`."""
        return self._runtime.export_session(self.id, path, tree=tree, history=history, on_progress=on_progress)

    # -- the current session

    @contextlib.contextmanager
    def as_current(self) -> Iterator[Session]:
        """Make this the current session of the code inside: a default for arguments, which gives no permissions."""
        around = _current.get()
        others = (each for each in around if each._runtime is not self._runtime)
        with in_place(_current, (self, *others)):
            yield self

    @classmethod
    def current(cls, runtime: Host | None = None) -> Session | None:
        """Return the session of the innermost `as_current`, or None. With a runtime, only its sessions count."""
        return next((each for each in _current.get() if runtime in (None, each._runtime)), None)


class SessionBatch(Session):
    """Collects changes of a session, by its own methods, for one write: see `Session.batch`."""

    __slots__ = ("_collected", "_how", "_replies", "_session")

    def __init__(self, session: Session, how: How) -> None:
        if how:
            m.Batch((), **how)  # refuses at once what is wrong with it
        self._session = session
        self._how = how
        self._replies: list[Any] | None = None
        self._collected = Collected(session._runtime.core.store)
        self._ask = self._collected.ask
        self._runtime = cast(Host, Outside())
        self._timeout = session._timeout
        self.id = session.id

    def __repr__(self) -> str:
        return f"<SessionBatch of {len(self._collected.commands)} changes of {self.id}>"

    def scope(self, name: str) -> Scope:
        """Return a handle on a scope ("global", "user:7") whose changes belong to the batch."""
        return self._session._runtime.state_scope(name)._through(self._collected)

    @property
    def replies(self) -> list[Any]:
        """What the changes replied, in their order. Raises InvalidOperation before the end of the block."""
        if self._replies is None:
            raise InvalidOperation("a batch has its replies when it was sent, at the end of its block")
        return self._replies

    def __enter__(self) -> Self:
        self._collected.begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        message = self._ended(failed=kind is not None)
        if message is not None:
            self._replies = self._session._send(message)

    def _ended(self, *, failed: bool) -> m.Batch | None:
        """Take no more changes, and return what sends them; None if there is nothing to send."""
        commands = self._collected.close()
        if failed:
            return None
        if not commands:
            self._replies = []
            return None
        return m.Batch(commands, **self._how)


def session_id_of(session: Session | str | None, field: str) -> str | None:
    """Return the id that a handle or a text names. Raises ValidationError."""
    return None if session is None else required_session_id(session, field)


def required_session_id(session: SessionHandle | str | None, field: str = "session_id") -> str:
    """Return the id that a handle or a text names, like `session_id_of`. Raises ValidationError also for None."""
    kind, given = type(session), cast(Any, session)
    if kind is str:
        return cast(str, given)
    if issubclass(kind, SessionHandle):
        return cast(str, object.__getattribute__(given, "id"))
    if issubclass(kind, str):
        return str.__str__(given)
    raise ValidationError(f"{field}: a Session or a session id is needed", field=field)


def core_of(session: Session) -> RuntimeCore:
    """Return the parts of a session's runtime."""
    return session._runtime.core


def find_session(runtime: Host, session_id: str) -> Session:
    """Return a handle on an existing session. Raises SessionNotFound, AccessDenied."""
    runtime.core.security.require_reading(session_id, "session")
    if not runtime.core.exists(session_id):
        raise SessionNotFound(f"there is no session {shown(session_id)}", session_id=session_id[:64])
    return Session(runtime, session_id)


def created_session(runtime: Host, answer: Any) -> Session:
    """Return the session that a hook's answer is, or names by id. Raises InvalidOperation for any other answer."""
    if isinstance(answer, Session):
        return answer
    if isinstance(answer, str):
        return find_session(runtime, answer)
    raise InvalidOperation("a hook has answered the creation of a session with what is no session")
