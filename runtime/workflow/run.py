"""Runs a workflow: calls the hooks around each stage and journals it in the session."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.messages.internal import RecordWorkflow
from greenroom.actors.scheduling.operation import CURRENT, changed, own_operation
from greenroom.runtime.model.template import filled, names_in
from greenroom.runtime.model.workflow import (
    MAX_ROUNDS,
    Condition,
    Step,
    StepResult,
    Workflow,
    WorkflowResult,
    WorkflowSession,
)
from greenroom.storage.codec.records import Value, checked_data, pack_value
from greenroom.storage.common.logs import logger_of
from greenroom.storage.concurrency.waiting import Bell, Promise
from greenroom.storage.errors import (
    GreenroomError,
    HookCancelled,
    OperationTimeout,
    ResourceLimitExceeded,
    ValidationError,
)

from .condition import holds

if TYPE_CHECKING:
    from greenroom.runtime.agents.registry import Agents
    from greenroom.runtime.core import RuntimeCore
    from greenroom.runtime.tools.registry import Tools

__all__ = ["Workflows"]

logger = logger_of("workflow")

_INLINE_BYTES: Final = 16 << 10
_AT_ONCE: Final = 32
_MAX_STAGES: Final = 100_000
"""The limit of stages: nested loops multiply, and every stage is kept for the result."""
_MAX_OUTPUT_BYTES: Final = 64 << 20
_UNDO_SECONDS: Final = 30.0


class _StepFailed(Exception):
    """A step that is not optional has failed. The cause is its error."""

    def __init__(self, step: Step) -> None:
        super().__init__(step.name)
        self.step = step


class Workflows:
    """Runs workflows with the tools and agents of a runtime."""

    def __init__(self, core: RuntimeCore, tools: Tools, agents: Agents) -> None:
        self.core = core
        self.tools = tools
        self.agents = agents

    def __repr__(self) -> str:
        return "<Workflows>"

    def run(self, flow: Workflow, session: WorkflowSession | None, input: Value, timeout: float) -> WorkflowResult:
        """Run a workflow to its end, its first failure, or the end of its time; see `Session.run_workflow`."""
        if not isinstance(flow, Workflow):
            raise ValidationError("flow: a Workflow is needed", field="flow")
        if type(timeout) not in (int, float) or not timeout > 0:
            raise ValidationError("timeout: a number of seconds above 0 is needed", field="timeout")
        flow.check()
        pack_value(input, "input")
        core, caller = self.core, CURRENT.get()
        try:  # not by `with`: see `changed`
            CURRENT.set(own_operation(core.security))
            with core.span("run_workflow", flow.name, session.id if session is not None else None) as noted:
                result = _Run(self, flow, session, input, timeout).run()
                if noted is not None and result.error is not None:
                    noted.failure(result.error["code"])
                return result
        finally:
            CURRENT.set(caller)


class _Run:
    def __init__(
        self, workflows: Workflows, flow: Workflow, session: WorkflowSession | None, input: Value, timeout: float
    ) -> None:
        self._core = workflows.core
        self._workflows = workflows
        self._flow = flow
        self._session = session
        self._input = input
        self._timeout = timeout
        self._started = time.monotonic()
        self._deadline = self._started + timeout
        self._id = str(uuid.uuid4())
        self._outputs: dict[str, Value] = {}
        self._results: list[StepResult] = []
        self._kept = 0
        self._undo: list[tuple[Step, dict[str, Value], dict[str, Value]]] = []
        self._last: str | None = None
        self._lock = threading.Lock()

    def run(self) -> WorkflowResult:
        flow, hooks = self._flow, self._core.hooks
        about: dict[str, Any] = {"workflow": flow.name, "kind": flow.kind, "run_id": self._id}
        started = hooks.fire("BeforeWorkflowStart", {**about, "input": self._input}, **self._where())
        if started.kind == "replace":
            return self._result(True, started.value, None)
        self._input = started.data.get("input", self._input)
        began = self._record("workflow.started", {**about, "input": _bounded(self._input)})
        caller = CURRENT.get()
        ids: dict[str, Any] = {}
        if began is not None:
            event_id, correlation_id = began
            ids = {"causation_id": event_id, "root_id": (caller.root_id if caller else None) or event_id}
            ids["correlation_id"] = (
                (caller.correlation_id if caller else None) or correlation_id or event_id.partition("/")[0]
            )
        try:
            CURRENT.set(changed(caller, {"source": f"workflow:{flow.name}", **ids}))
            try:
                output = self._perform(flow, {"deadline": self._deadline})
                ended = hooks.fire("AfterWorkflowComplete", {**about, "output": output}, **self._where())
                output = ended.value if ended.kind == "replace" else ended.data.get("output", output)
                self._record("workflow.finished", {**about, "success": True, "output": _bounded(output)})
            except _StepFailed as failed:
                return self._failed(about, failed.__cause__, failed.step.name)
            except GreenroomError as error:
                return self._failed(about, error, None)
            return self._result(True, output, None)
        finally:
            CURRENT.set(caller)

    def _failed(self, about: dict[str, Any], cause: BaseException | None, step: str | None) -> WorkflowResult:
        error = _described(cause)
        if step is not None:
            error["step"] = step
        with contextlib.suppress(HookCancelled):  # the workflow has failed already
            self._roll_back(about)
            self._core.hooks.fire("WorkflowError", {**about, "error": error}, **self._where())
        self._note("workflow.finished", {**about, "success": False, "error": error})
        return self._result(False, None, error)

    def _roll_back(self, about: dict[str, Any]) -> None:
        """Undo the completed steps, last first. Journal an undo that fails and go on with the others."""
        if not self._undo:
            return
        deadline = max(self._deadline, time.monotonic() + _UNDO_SECONDS)
        done = self._undo[::-1]
        self._undo = []
        self._core.hooks.fire(
            "WorkflowRollback", {**about, "steps": [step.name for step, _, _ in done]}, **self._where()
        )
        for step, place, given in done:
            assert step.undo is not None
            outcome: dict[str, Any] = {**about, "stage": step.name, "success": True}
            try:
                known = partial(self._known, {**place, "deadline": deadline}, outputs={**self._outputs, **given})
                self._call(step.undo, filled(step.undo.input, known), None, deadline)
            except GreenroomError as error:
                outcome |= {"success": False, "error": _described(error)}
                logger.warning("workflow %r: step %r is not undone: %s", about["workflow"], step.name, error.code)
            self._note("workflow.rolled_back", outcome)

    # -- the four kinds

    def _perform(self, flow: Workflow, place: dict[str, Value]) -> Value:
        if flow.kind == "parallel":
            return self._at_once(flow, place)
        if flow.kind == "loop":
            return self._again(flow, place)
        steps = flow.steps
        if flow.kind == "conditional":
            assert flow.condition is not None
            steps = flow.steps if self._holds(flow.condition, place) else flow.otherwise
        return self._in_turn(steps, place)

    def _in_turn(self, steps: tuple[Step, ...], place: dict[str, Value]) -> Value:
        output: Value = None
        for step in steps:
            output = self._stage(step, place)
        return output

    def _at_once(self, flow: Workflow, place: dict[str, Value]) -> Value:
        """Run all steps at once and return their outputs. Limit the number at a time, so that threads stay free for
        their calls and for other sessions."""
        deadline = self._deadline_of(place)
        most = max(1, min(_AT_ONCE, self._core.config.max_elastic_threads // 4))
        waiting = list(reversed(flow.steps))
        running: dict[Promise[Value], Step] = {}
        bell = Bell()
        outputs: dict[str, Value] = {}
        first: Exception | None = None
        while running or (waiting and first is None):
            while waiting and first is None and len(running) < most:
                step = waiting.pop()
                try:
                    promise: Promise[Value] = Promise(bell)
                    running[self._core.elastic.submit(self._stage, step, place, promise=promise)] = step
                except GreenroomError as error:
                    if running and isinstance(error, ResourceLimitExceeded):
                        waiting.append(step)  # a thread of this workflow will become free
                        break
                    first = _StepFailed(step)
                    first.__cause__ = error
            # Stages keep to the time limit themselves; this bounds the time of their hooks.
            wait_limit = min(max(0.0, deadline - time.monotonic()) + _GRACE, threading.TIMEOUT_MAX)
            if running and not bell.wait_for(lambda: any(each.settled() for each in running), wait_limit):
                raise first or self._late(next(iter(running.values())))
            for promise in [each for each in running if each.settled()]:
                step = running.pop(promise)
                try:
                    outputs[step.name] = promise.result()
                except Exception as failed:  # raised after the others have ended
                    first = first or failed
        if first is not None:
            raise first
        return {step.name: outputs[step.name] for step in flow.steps}

    def _again(self, flow: Workflow, place: dict[str, Value]) -> Value:
        items = filled(flow.items, partial(self._known, place))
        if items is not None and not isinstance(items, list):
            raise ValidationError(f"workflow {flow.name!r}: items must be a list", field="items")
        rounds = flow.rounds if items is None else min(len(items), flow.rounds)
        if items is not None and len(items) > MAX_ROUNDS:
            raise ValidationError(f"workflow {flow.name!r}: at most {MAX_ROUNDS} items", field="items")
        outputs: list[Value] = []
        for index in range(rounds):
            here: dict[str, Value] = {**place, "index": index, "item": items[index] if items is not None else None}
            if flow.condition is not None and not self._holds(flow.condition, here):
                break
            outputs.append(self._in_turn(flow.steps, here))
        return outputs

    def _holds(self, condition: Condition, place: dict[str, Value]) -> bool:
        return holds(condition, partial(self._known, place), self._outputs)

    def _known(
        self, place: dict[str, Value], step: str | None, root: str | None, outputs: dict[str, Value] | None = None
    ) -> Value:
        if step is not None:
            outputs = self._outputs if outputs is None else outputs
            if step not in outputs:
                raise ValidationError(f"step {step!r} has given no output yet", field="input")
            return outputs[step]
        if root == "input":
            return place.get("input", self._input)
        if root not in place:
            raise ValidationError(f"{{{{{root}}}}} has a meaning within a loop only", field="input")
        return place[root]

    # -- one stage

    def _stage(self, step: Step, place: dict[str, Value]) -> Value:
        hooks, flow = self._core.hooks, self._flow
        deadline = self._deadline_of(place)
        self._go_on(step, deadline)
        about: dict[str, Any] = {"workflow": flow.name, "run_id": self._id, "stage": step.name}
        if hooks.at("WorkflowStageTransition") is not None:
            hooks.fire("WorkflowStageTransition", {**about, "from": self._last, "to": step.name}, **self._where())
        self._last = step.name
        began = time.monotonic()
        round_: Any = place.get("index")
        try:
            if step.workflow is not None:
                output = self._perform(step.workflow, self._within(step, place, deadline))
                pack_value(output, "output")
            else:
                data = {**about, "input": filled(step.input, partial(self._known, place))}
                output = hooks.around(
                    data,
                    lambda changed, target: self._call(step, changed.get("input"), target, deadline),
                    before="BeforeWorkflowStage",
                    after="AfterWorkflowStage",
                    error="WorkflowError",
                    **self._where() | {"operation": "CallTool" if step.tool is not None else "CallAgent"},
                )
                self._count(len(pack_value(output, "output")))
        except (GreenroomError, _StepFailed) as error:
            within = isinstance(error, _StepFailed)
            if within and not step.optional:
                raise  # of the nested workflow, which has journaled it
            failure = _described(error.__cause__ if within else error)
            result = StepResult(step.name, False, None, failure, round_, time.monotonic() - began)
            self._keep(step, place, result, about)
            if step.optional:
                self._go_on(step, deadline)
                return None
            raise _StepFailed(step) from error
        result = StepResult(step.name, True, output, None, round_, time.monotonic() - began)
        self._keep(step, place, result, about)
        return output

    def _deadline_of(self, place: dict[str, Value]) -> float:
        deadline = place["deadline"]
        assert isinstance(deadline, float)
        return deadline

    def _within(self, step: Step, place: dict[str, Value], deadline: float) -> dict[str, Value]:
        """Return the place for a nested workflow, with the input and the time limit of its step, if it has any."""
        place = dict(place)
        if step.input is not None:
            place["input"] = filled(step.input, partial(self._known, place))
        if step.timeout is not None:
            place["deadline"] = min(deadline, time.monotonic() + step.timeout)
        return place

    def _go_on(self, step: Step, deadline: float) -> None:
        """Raise _StepFailed, also for optional steps, when no time is left or there were too many stages."""
        if time.monotonic() >= deadline:
            raise self._late(step)
        if len(self._results) >= _MAX_STAGES:
            failed = _StepFailed(step)
            failed.__cause__ = ResourceLimitExceeded(
                f"workflow {self._flow.name!r} has made {_MAX_STAGES} stages: use fewer loops within loops",
                resource="workflow_stages",
                limit=_MAX_STAGES,
                value=len(self._results),
            )
            raise failed

    def _count(self, size: int) -> None:
        """Add the size of an output. Raise ResourceLimitExceeded when all kept outputs together get too large."""
        with self._lock:
            if self._kept + size > _MAX_OUTPUT_BYTES:
                raise ResourceLimitExceeded(
                    f"the outputs of workflow {self._flow.name!r} have more than {_MAX_OUTPUT_BYTES} bytes together: "
                    "store artifacts and pass on their ids",
                    resource="workflow_bytes",
                    limit=_MAX_OUTPUT_BYTES,
                    value=self._kept + size,
                )
            self._kept += size

    def _keep(self, step: Step, place: dict[str, Value], result: StepResult, about: dict[str, Any]) -> None:
        with self._lock:
            self._outputs[step.name] = result.output
            self._results.append(result)
            if result.success and step.undo is not None:
                # The output of this round: in a loop the next round has another one.
                used = names_in(step.undo.input) & self._outputs.keys()
                self._undo.append((step, dict(place), {name: self._outputs[name] for name in used}))
        told: dict[str, Any] = {**about, "success": result.success, "duration": result.duration}
        if result.round is not None:
            told["round"] = result.round
        if result.error is not None:
            told["error"] = result.error
        else:
            told["output"] = _bounded(result.output)
        self._record("workflow.stage", told)
        hooks = self._core.hooks
        if hooks.at("WorkflowCheckpoint") is not None:
            hooks.fire("WorkflowCheckpoint", {**about, "success": result.success}, **self._where())

    def _call(self, step: Step, input: Value, target: str | None, deadline: float) -> Value:
        left = deadline - time.monotonic()
        if left <= 0:
            raise self._late(step).__cause__ or AssertionError("unreachable")
        if step.timeout is not None:
            left = min(left, step.timeout)
        session = self._session
        if step.tool is not None:
            name = target or step.tool
            if session is None:
                return self._workflows.tools.call(name, input, timeout=left)
            return session.call_tool(name, input, timeout=left)
        agent = target or step.agent
        reply = (
            self._workflows.agents.call(agent, input, timeout=left)
            if session is None
            else session.call_agent(agent, input, timeout=left)
        )
        return reply.text

    def _late(self, step: Step) -> _StepFailed:
        failed = _StepFailed(step)
        failed.__cause__ = OperationTimeout(
            f"workflow {self._flow.name!r} did not end within {self._timeout:g} s; it was at step {step.name!r}",
            timeout=self._timeout,
            started=True,
        )
        return failed

    # -- the session

    def _where(self) -> dict[str, Any]:
        return {
            "session_id": self._session.id if self._session is not None else None,
            "component": f"workflow:{self._flow.name}",
            "operation": "RunWorkflow",
        }

    def _record(self, type: str, data: dict[str, Any]) -> tuple[str, str | None] | None:
        """Journal an event if there is a session. Return the event's id and the session's own correlation id."""
        if self._session is None:
            return None
        wait = self._core.config.ask_timeout
        recorded: tuple[str, str | None] = self._core.supervisor.ask(self._session.id, RecordWorkflow(type, data), wait)
        return recorded

    def _note(self, type: str, data: dict[str, Any]) -> None:
        """Journal an event like `_record`, but ignore an error, because the outcome is fixed: a session that has ended
        cannot journal it, but the caller still gets it."""
        with contextlib.suppress(GreenroomError):
            self._record(type, data)

    def _result(self, success: bool, output: Value, error: dict[str, str] | None) -> WorkflowResult:
        duration = time.monotonic() - self._started
        return WorkflowResult(success, output, tuple(self._results), error, duration, self._id)


_GRACE: Final = 5.0


def _bounded(value: Value) -> Value:
    """Return a value for an event. Replace a long value, or one with integers beyond 64 bits, by its size.

    The events of the calls hold the value itself.
    """
    size = len(pack_value(value, "output"))
    if size <= _INLINE_BYTES:
        with contextlib.suppress(ValidationError):
            return checked_data({"value": value})["value"]
    return {"bytes": size}


def _described(error: BaseException | None) -> dict[str, str]:
    if isinstance(error, GreenroomError):
        return {"code": error.code, "message": str(error)[:1000]}
    return {"code": type(error).__name__, "message": ""}
