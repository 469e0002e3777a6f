"""`Session`: a handle on one session actor."""

from __future__ import annotations

import contextlib
import contextvars
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors import messages as m
from greenroom.actors.messages.calls import CallTool
from greenroom.actors.messages.conversation import Turn
from greenroom.actors.messages.internal import VariableKeys
from greenroom.actors.messages.lifecycle import GetConfig, UpdateConfig
from greenroom.actors.scheduling.operation import in_place
from greenroom.runtime.config.config import SessionConfig, session_overrides
from greenroom.runtime.events.follow import Follow
from greenroom.runtime.workflow import Workflow, WorkflowResult, run_workflow
from greenroom.storage.catalog.model import SessionInfo
from greenroom.storage.codec.records import Value
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.durability import Durability
from greenroom.storage.common.page import Page
from greenroom.storage.common.session_ids import session_bytes
from greenroom.storage.events.model import Event

from .replies import reply_as
from .session_artifacts import SessionArtifacts
from .timeline import MAX_TIMELINE, TimelineRow

if TYPE_CHECKING:
    from greenroom.actors.transfer.bundle_export import ExportReport
    from greenroom.runtime.agents import Agent, AgentReply
    from greenroom.runtime.runtime import Runtime
    from greenroom.storage.bundle.export import Progress

__all__ = ["Session", "SessionTree"]

_current: contextvars.ContextVar[tuple[Session, ...]] = contextvars.ContextVar("greenroom_session", default=())
"""The current sessions, of each runtime one, the innermost first."""
_EVENT_PAGE: Final = 256


@dataclass(frozen=True, slots=True)
class SessionTree:
    """A session and, below it, its children."""

    info: SessionInfo
    children: tuple[SessionTree, ...]


class Session(SessionArtifacts):
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

    __slots__ = ()

    @checked
    def with_timeout(self, seconds: float) -> Session:
        """A handle on the same session whose calls wait at most this long instead of the runtime's `ask_timeout`."""
        handle = Session(self._runtime, self.id)
        handle._timeout = seconds
        return handle

    # -- variables

    def set(
        self,
        key: str,
        value: Value,
        *,
        expected: Value | m.Expectation = m.ANY,
        durability: Durability | str | None = None,
    ) -> None:
        """Set a variable to a JSON value or bytes, at most 1 MiB encoded.

        With `expected` only if that is its value now, or, with `messages.ABSENT`, if it is not there: else raises
        InvalidOperation, whose field `conflict` is true, and nothing is changed.
        """
        self._ask(self.id, m.SetVariable(key, value, expected=expected, durability=durability), self._timeout)

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

    def variable_keys(self) -> list[str]:
        """The keys of all variables, in order. No value is read."""
        return reply_as(list, self._ask(self.id, VariableKeys(), self._timeout), "the keys")

    # -- life

    def info(self) -> SessionInfo:
        """A snapshot of the session's metadata."""
        return self._info(m.GetInfo())

    def _info(self, message: m.Message[Any]) -> SessionInfo:
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

    def fork(self, at_sequence: int | None = None) -> Session:
        """A new session whose history is this one's up to event `at_sequence` (default: all of it), in any status.

        It is active and a child of this one, has the variables, tags, conversation and artifacts of that moment (the
        artifacts under ids of its own, sharing the content) and goes its own way; its first own event is
        `session.forked`. An artifact whose content has gone since is deleted in the fork too. Raises ValidationError
        for an event that this session does not have, IntegrityError where something is damaged.
        """
        return self._runtime._created(self._ask(self.id, m.ForkSession(at_sequence), self._timeout))

    # -- configuration

    @property
    def config(self) -> SessionConfig:
        """The configuration in force: what this session sets itself, and for all else what the runtime says now."""
        return self._runtime.policies.config_with(self._ask(self.id, GetConfig(), self._timeout))

    @checked
    def update_config(self, changes: SessionConfig | Mapping[str, Any] | None = None, **settings: Any) -> SessionConfig:
        """Change settings of this session's configuration, in any status; None means no limit. Returns what holds now.

        Give settings of SessionConfig by keyword, or as a mapping. Of `policies`, name what is to change:
        `update_config(policies={"timeout": {"warnings": [60]}})` leaves all else. A `max_duration` counts from the
        session's creation or last resume, as ever. For the host only: raises AccessDenied for code that acts for a
        session, ValidationError for what is no setting, HookCancelled.
        """
        message = UpdateConfig({**(session_overrides(changes) if changes is not None else {}), **settings})
        reply: object = self._ask(self.id, message, self._timeout)
        return self._runtime.policies.config_with(reply_as(Mapping, reply, "the configuration"))

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

    @checked
    def follow(self, after: int = 0, *, timeout: float | None = None) -> Follow:
        """Follow the journal: the events with a sequence greater than `after`, then those that come, without a gap.

        With `timeout` it ends when nothing has come for so many seconds. Read-only runtimes follow what another one
        writes. Raises SessionNotFound, ResourceLimitExceeded for more than 1024 subscriptions.
        """
        place = [m.whole_number("after", after) or 0]
        subscription = self._runtime.events.subscribe("**", 1, session=self)

        def read() -> Iterator[Event]:
            for event in self._events(place[0], None):
                place[0] = event.sequence
                yield event

        return Follow(subscription, read, timeout)

    @checked
    def timeline(self, limit: int = MAX_TIMELINE) -> Page[TimelineRow]:
        """The journal's events, at most `limit`, with what caused each of them and how deep it stands below its first
        cause. For what belongs together across sessions see `rt.events.timeline`."""
        return self._runtime.events.of_session(self.id, limit)

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

    # -- tools and agents

    def call_tool(self, name: str, input: Value = None, *, timeout: float | None = None) -> Any:
        """Call a tool in this session: its result, a JSON value or bytes. The call and its return are journaled, and
        between the two the session answers everybody else.

        `timeout` is in seconds (default: the tool's own, else `tool_timeout`). Raises what `Tools.call` raises.
        """
        return self._ask(self.id, CallTool(name, input, timeout=timeout), self._patience)

    @checked
    def call_agent(self, agent: Agent | str, input: Value, *, timeout: float | None = None) -> AgentReply:
        """Call an agent in this session, given itself, by its name or by a model's. The call, its return, its tokens
        and its cost are journaled. Raises what `Agents.call` raises."""
        message = self._runtime.agents.message(agent, input, timeout)
        reply: AgentReply = self._ask(self.id, message, self._patience)
        return reply

    @checked
    def run_workflow(self, flow: Workflow, input: Value = None, *, timeout: float | None = None) -> WorkflowResult:
        """Run a workflow in this session, journaled stage by stage. A step that fails is in the result, not raised.

        `timeout` is in seconds, for all of it (default: `workflow_timeout`). Raises ValidationError for an input that
        refers to no step, HookCancelled, and what keeps the session from journaling.
        """
        wanted = self._runtime.config.workflow_timeout if timeout is None else timeout
        return run_workflow(self._runtime, flow, self, input, wanted)

    @property
    def _patience(self) -> float:
        """How long calls may take: as their callables say, but on a handle with a timeout of its own no longer."""
        return math.inf if self._timeout == self._runtime.config.ask_timeout else self._timeout

    # -- after a repair

    def accept_losses(self) -> None:
        """After a repair that lost an event of which nothing is known: take the variables as they are."""
        self._ask(self.id, m.AcceptLosses(), self._timeout)

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
        around = _current.get()
        others = (each for each in around if each._runtime is not self._runtime)
        with in_place(_current, (self, *others)):
            yield self

    @classmethod
    def current(cls, runtime: Runtime | None = None) -> Session | None:
        """The session of the innermost `as_current`, or None; with a runtime, of those that name a session of it."""
        return next((each for each in _current.get() if runtime in (None, each._runtime)), None)
