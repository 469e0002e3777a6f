"""Protocols for the parts of a runtime that a session's handle uses."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, Unpack

from greenroom.actors.events import Subscription
from greenroom.actors.messages.approvals import Approval
from greenroom.actors.messages.calls import CallAgent
from greenroom.actors.messages.core import How
from greenroom.runtime.core import RuntimeCore
from greenroom.runtime.handles.reading.timeline import TimelineRow
from greenroom.storage.common.page import Page

from .scope import Scope

if TYPE_CHECKING:
    from greenroom.actors.transfer.bundle_export import ExportReport
    from greenroom.runtime.config.config import RuntimeConfig, SessionConfig
    from greenroom.runtime.model.agent import Agent
    from greenroom.runtime.model.script import ScriptReplay, ScriptResult
    from greenroom.runtime.model.workflow import Workflow, WorkflowSession
    from greenroom.runtime.model.workflow_result import WorkflowResult

__all__ = ["Host"]


class ConfigSource(Protocol):
    """Knows the runtime's current configuration."""

    def config_with(self, own: Mapping[str, Any]) -> SessionConfig:
        """Return the configuration in force for a session with the settings `own`."""

    def admitted(self, session_id: str, kinds: Sequence[str]) -> AbstractContextManager[None]:
        """Count one operation of each kind, and let rates pass all further ones of the code inside."""

    def script_memory(self, session_id: str | None, config: RuntimeConfig) -> int:
        """Return how many bytes a script may use."""


class EventSource(Protocol):
    """Subscribes to events and reads them."""

    def subscribe(self, pattern: str = "**", capacity: int = 1000, *, session: str | None = None) -> Subscription:
        """Listen to the events of a session."""

    def of_session(self, session_id: str, limit: int) -> Page[TimelineRow]:
        """Return the timeline of a session."""


class ApprovalSource(Protocol):
    """Waits for answers to questions."""

    def wait(self, approval: str, timeout: float | None = None) -> Approval:
        """Wait until a question is answered, expired or cancelled, and return it."""


class AgentSource(Protocol):
    """Knows the agents."""

    def message(self, agent: Agent | str, input: object, timeout: float | None, **how: Unpack[How]) -> CallAgent:
        """Return the message that calls an agent."""


class ToolSource(Protocol):
    """Knows the tools."""

    def rerun(self, name: str, packed: bytes) -> Callable[[], Any] | None:
        """Return what runs a tool once more, if it has no side effects."""


class WorkflowSource(Protocol):
    """Runs workflows."""

    def run(
        self, flow: Workflow | Mapping[str, Any], session: WorkflowSession | None, input: object, timeout: float
    ) -> WorkflowResult:
        """Run a workflow to its end, its first failure, or the end of its time."""

    def resume(
        self,
        session: WorkflowSession,
        run: str | Workflow | None,
        functions: Mapping[str, Callable[..., Any]] | None,
        timeout: float,
    ) -> WorkflowResult:
        """Run the rest of a workflow that was interrupted."""

    def interrupted(self, session_id: str) -> list[str]:
        """Return the ids of the runs of a session that were interrupted."""


class Host(Protocol):
    """The runtime of a session, as far as the session's handle uses it."""

    @property
    def core(self) -> RuntimeCore:
        """The parts of the runtime."""

    @property
    def policies(self) -> ConfigSource:
        """The policies in force for sessions."""

    @property
    def events(self) -> EventSource:
        """The events of all sessions."""

    @property
    def approvals(self) -> ApprovalSource:
        """The questions to people."""

    @property
    def agents(self) -> AgentSource:
        """The agents."""

    @property
    def tools(self) -> ToolSource:
        """The tools."""

    @property
    def workflows(self) -> WorkflowSource:
        """The workflows' runner."""

    def state_scope(self, name: str, timeout: float | None = None) -> Scope:
        """Return the state of a scope that is not a session."""

    @property
    def replay_script(self) -> Callable[..., ScriptReplay]:
        """Replays a script."""

    @property
    def run_script(self) -> Callable[..., ScriptResult]:
        """Runs a script for a session."""

    def export_session(
        self,
        session_id: str,
        path: str | os.PathLike[str],
        *,
        tree: bool = False,
        history: bool = True,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> ExportReport:
        """Write a session to a bundle."""
