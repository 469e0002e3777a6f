"""Runs workflows, and resumes those that a crash has interrupted."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from greenroom.actors.scheduling.operation import CURRENT, own_operation
from greenroom.runtime.model.workflow import Workflow, WorkflowSession
from greenroom.runtime.model.workflow_result import WorkflowResult
from greenroom.storage.codec.records import Value, pack_value
from greenroom.storage.errors import InvalidOperation, ValidationError

from .execution import Callers, Execution
from .past import Past, flow_of, is_same, past_run, unfinished

if TYPE_CHECKING:
    from greenroom.runtime.agents.registry import Agents
    from greenroom.runtime.core import RuntimeCore
    from greenroom.runtime.events.events import Events
    from greenroom.runtime.tools.registry import Tools

__all__ = ["Workflows"]


class Workflows:
    """Runs workflows with the tools and agents of a runtime."""

    def __init__(self, core: RuntimeCore, tools: Tools, agents: Agents, events: Events) -> None:
        self.core = core
        self._callers = Callers(tools, agents)
        self._events = events
        self._lock = threading.Lock()
        self._running: set[tuple[str, str]] = set()
        """The sessions and ids of the runs that are under way in this process."""

    def __repr__(self) -> str:
        return "<Workflows>"

    def run(
        self,
        flow: Workflow | Mapping[str, Any],
        session: WorkflowSession | None,
        input: Value,
        timeout: float,
        *,
        state: Mapping[str, Value] | None = None,
    ) -> WorkflowResult:
        """Run a workflow to its end, its first failure, or the end of its time; see `Session.run_workflow`. `state` is
        where `{{state:KEY}}` is looked for first."""
        flow = Workflow.of(flow)
        _check_timeout(timeout)
        flow.check()
        pack_value(input, "input")
        run_id = str(uuid.uuid4())
        with self._under_way(session, run_id):
            return self._execute(
                Execution(self.core, self._callers, flow, session, input, timeout, run_id, state=state)
            )

    def resume(
        self,
        session: WorkflowSession,
        run: str | Workflow | None,
        functions: Mapping[str, Callable[..., Any]] | None,
        timeout: float,
        *,
        state: Mapping[str, Value] | None = None,
    ) -> WorkflowResult:
        """Run the rest of a workflow that was interrupted; see `Session.resume_workflow`."""
        self.core.check_writable("to resume workflows")
        _check_timeout(timeout)
        past = self._past(session.id, run)
        given = run if isinstance(run, Workflow) else None
        flow = flow_of(past, given, functions or {}, self._clean)
        flow.check()
        with self._under_way(session, past.run_id):
            return self._execute(
                Execution(
                    self.core,
                    self._callers,
                    flow,
                    session,
                    past.input,
                    timeout,
                    past.run_id,
                    state=state,
                    past=past,
                )
            )

    def interrupted(self, session_id: str) -> list[str]:
        """Return the ids of the runs of a session that have neither ended nor are under way, the newest last."""
        with self._lock:
            running = set(self._running)
        found = [str(each.data["run_id"]) for each in unfinished(self._events, session_id)]
        return [each for each in found if (session_id, each) not in running]

    def _past(self, session_id: str, run: str | Workflow | None) -> Past:
        """Return what the journal has of the run with an id, of the newest interrupted run of a workflow, or of the
        newest one. Raises InvalidOperation if there is none."""
        open_ = set(self.interrupted(session_id))
        wanted = [each for each in unfinished(self._events, session_id) if each.data["run_id"] in open_]
        for started in reversed(wanted):
            if isinstance(run, str) and started.data["run_id"] != run:
                continue
            past = past_run(self._events, started)
            if not isinstance(run, Workflow) or is_same(run, past, self._clean):
                return past
        which = f"no run {run[:64]!r}" if isinstance(run, str) else "no run of this workflow" if run else "no workflow"
        raise InvalidOperation(
            f"session {session_id} has {which} that was interrupted: it has ended, or is under way",
            session_id=session_id,
        )

    def _clean(self, packed: bytes) -> bytes:
        redaction = self.core.redaction
        return packed if redaction is None else redaction.packed(packed)

    @contextlib.contextmanager
    def _under_way(self, session: WorkflowSession | None, run_id: str) -> Iterator[None]:
        place = (session.id if session is not None else "", run_id)
        with self._lock:
            if place in self._running:
                raise InvalidOperation(f"the run {run_id} is under way already", run_id=run_id)
            self._running.add(place)
        try:
            yield
        finally:
            self._running.discard(place)

    def _execute(self, execution: Execution) -> WorkflowResult:
        core, caller = self.core, CURRENT.get()
        try:  # not by `with`: see `changed`
            CURRENT.set(own_operation(core.security))
            with core.span("run_workflow", execution.name, execution.session_id) as noted:
                result = execution.run()
                if noted is not None and result.error is not None:
                    noted.failure(result.error["code"])
                return result
        finally:
            CURRENT.set(caller)


def _check_timeout(timeout: object) -> None:
    if type(timeout) not in (int, float) or not timeout > 0:  # type: ignore[operator]
        raise ValidationError("timeout: a number of seconds above 0 is needed", field="timeout")
