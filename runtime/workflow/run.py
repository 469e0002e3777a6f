"""Running a workflow: each stage between its hooks, journaled by the session that it runs in."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.operation import CURRENT, acting
from greenroom.actors.workflows import RecordWorkflow
from greenroom.storage.errors import (
    GreenroomError,
    HookCancelled,
    InvalidOperation,
    OperationTimeout,
    ValidationError,
)
from greenroom.storage.records import Value, pack_value

from .model import MAX_ROUNDS, Condition, Step, StepResult, Workflow, WorkflowResult
from .template import filled

if TYPE_CHECKING:
    from greenroom.runtime.runtime import Runtime
    from greenroom.runtime.session import Session

__all__ = ["run_workflow"]

_INLINE_BYTES: Final = 16 << 10
_UNDO_SECONDS: Final = 30.0
_FALSE: Final = ("", "false", "0", "null")


class _StepFailed(Exception):
    """A step that is not optional has failed; its cause is the error."""

    def __init__(self, step: Step) -> None:
        super().__init__(step.name)
        self.step = step


def run_workflow(
    runtime: Runtime, flow: Workflow, session: Session | None, input: Value, timeout: float
) -> WorkflowResult:
    """Run a workflow to its end, its first failure, or the end of its time; see `Session.run_workflow`."""
    if not isinstance(flow, Workflow):
        raise ValidationError("flow: a Workflow is needed", field="flow")
    if type(timeout) not in (int, float) or not timeout > 0:
        raise ValidationError("timeout: a number of seconds above 0 is needed", field="timeout")
    flow.check()
    pack_value(input, "input")
    with runtime._span("run_workflow", flow.name, session.id if session is not None else None) as noted:
        result = _Run(runtime, flow, session, input, timeout).run()
        if noted is not None and result.error is not None:
            noted.failure(result.error["code"])
        return result


class _Run:
    def __init__(self, runtime: Runtime, flow: Workflow, session: Session | None, input: Value, timeout: float) -> None:
        self._runtime = runtime
        self._flow = flow
        self._session = session
        self._input = input
        self._timeout = timeout
        self._started = time.monotonic()
        self._deadline = self._started + timeout
        self._id = str(uuid.uuid4())
        self._outputs: dict[str, Value] = {}
        self._results: list[StepResult] = []
        self._undo: list[tuple[Step, dict[str, Value]]] = []
        self._last: str | None = None
        self._lock = threading.Lock()

    def run(self) -> WorkflowResult:
        flow, hooks = self._flow, self._runtime.hooks
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
            ids["correlation_id"] = (caller.correlation_id if caller else None) or correlation_id or event_id
        with acting(source=f"workflow:{flow.name}", **ids):
            try:
                output = self._perform(flow, {})
            except _StepFailed as failed:
                return self._failed(about, failed.__cause__, failed.step.name)
            except GreenroomError as error:
                return self._failed(about, error, None)
            ended = hooks.fire("AfterWorkflowComplete", {**about, "output": output}, **self._where())
            output = ended.value if ended.kind == "replace" else ended.data.get("output", output)
            self._record("workflow.finished", {**about, "success": True, "output": _bounded(output)})
            return self._result(True, output, None)

    def _failed(self, about: dict[str, Any], cause: BaseException | None, step: str | None) -> WorkflowResult:
        error = _described(cause)
        if step is not None:
            error["step"] = step
        hooks = self._runtime.hooks
        try:
            self._roll_back(about)
            hooks.fire("WorkflowError", {**about, "error": error}, **self._where())
        except HookCancelled:
            pass  # it has failed already
        try:
            self._record("workflow.finished", {**about, "success": False, "error": error})
        except GreenroomError:
            if not isinstance(cause, GreenroomError):
                raise
            # A session that was ended or deleted meanwhile cannot be told; the caller is.
        return self._result(False, None, error)

    def _roll_back(self, about: dict[str, Any]) -> None:
        """Undo what was done, last first. What fails to be undone is journaled, and the rest goes on."""
        if not self._undo:
            return
        self._deadline = max(self._deadline, time.monotonic() + _UNDO_SECONDS)
        done = self._undo[::-1]
        self._undo = []
        self._runtime.hooks.fire(
            "WorkflowRollback", {**about, "steps": [step.name for step, _ in done]}, **self._where()
        )
        for step, place in done:
            assert step.undo is not None
            outcome: dict[str, Any] = {**about, "stage": step.name, "success": True}
            try:
                self._call(step.undo, filled(step.undo.input, partial(self._known, place)), None)
            except GreenroomError as error:
                outcome |= {"success": False, "error": _described(error)}
            self._record("workflow.rolled_back", outcome)

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
        elastic = self._runtime.elastic
        running = []
        first: BaseException | None = None
        for step in flow.steps:
            try:
                running.append((step, elastic.submit(self._stage, step, place)))
            except GreenroomError as error:  # no thread is free
                first = _StepFailed(step)
                first.__cause__ = error
                break
        outputs: dict[str, Value] = {}
        for step, future in running:
            try:
                # The stage itself keeps to the time; this is for what its hooks take.
                outputs[step.name] = future.result(max(0.0, self._deadline - time.monotonic()) + _GRACE)
            except TimeoutError:
                first = first or self._late(step)
            except _StepFailed as failed:
                first = first or failed
        if first is not None:
            raise first
        return outputs

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
        known = partial(self._known, place)
        if isinstance(condition, str):
            value = filled(condition, known)
            return value.lower() not in _FALSE if isinstance(value, str) else bool(value)
        if isinstance(condition, Mapping):
            test, other = next((key, filled(each, known)) for key, each in condition.items() if key != "value")
            return _compare(test, filled(condition["value"], known), other)
        try:
            return bool(condition(dict(self._outputs)))
        except GreenroomError:
            raise
        except Exception as error:
            raise InvalidOperation(f"the condition of a workflow failed: {type(error).__name__}") from error

    def _known(self, place: dict[str, Value], step: str | None, root: str | None) -> Value:
        if step is not None:
            if step not in self._outputs:
                raise ValidationError(f"step {step!r} has given no output yet", field="input")
            return self._outputs[step]
        if root == "input":
            return self._input
        if root not in place:
            raise ValidationError(f"{{{{{root}}}}} has a meaning within a loop only", field="input")
        return place[root]

    # -- one stage

    def _stage(self, step: Step, place: dict[str, Value]) -> Value:
        hooks, flow = self._runtime.hooks, self._flow
        about: dict[str, Any] = {"workflow": flow.name, "run_id": self._id, "stage": step.name}
        if hooks.at("WorkflowStageTransition") is not None:
            hooks.fire("WorkflowStageTransition", {**about, "from": self._last, "to": step.name}, **self._where())
        self._last = step.name
        began = time.monotonic()
        round_: Any = place.get("index")
        try:
            if step.workflow is not None:
                output = self._perform(step.workflow, place)
            else:
                data = {**about, "input": filled(step.input, partial(self._known, place))}
                output = hooks.around(
                    data,
                    lambda changed, target: self._call(step, changed["input"], target),
                    before="BeforeWorkflowStage",
                    after="AfterWorkflowStage",
                    error="WorkflowError",
                    **self._where(),
                )
            pack_value(output, "output")
        except _StepFailed:
            raise  # of the workflow within, which has said so
        except GreenroomError as error:
            failure = _described(error)
            result = StepResult(step.name, False, None, failure, round_, time.monotonic() - began)
            self._keep(step, place, result, about)
            if step.optional:
                return None
            raise _StepFailed(step) from error
        result = StepResult(step.name, True, output, None, round_, time.monotonic() - began)
        self._keep(step, place, result, about)
        return output

    def _keep(self, step: Step, place: dict[str, Value], result: StepResult, about: dict[str, Any]) -> None:
        with self._lock:
            self._outputs[step.name] = result.output
            self._results.append(result)
            if result.success and step.undo is not None:
                self._undo.append((step, dict(place)))
        told: dict[str, Any] = {**about, "success": result.success, "duration": result.duration}
        if result.round is not None:
            told["round"] = result.round
        if result.error is not None:
            told["error"] = result.error
        else:
            told["output"] = _bounded(result.output)
        self._record("workflow.stage", told)
        hooks = self._runtime.hooks
        if hooks.at("WorkflowCheckpoint") is not None:
            hooks.fire("WorkflowCheckpoint", {**about, "success": result.success}, **self._where())

    def _call(self, step: Step, input: Value, target: str | None) -> Value:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise self._late(step).__cause__ or AssertionError("unreachable")
        if step.timeout is not None:
            left = min(left, step.timeout)
        session = self._session
        if step.tool is not None:
            name = target or step.tool
            if session is None:
                return self._runtime.tools.call(name, input, timeout=left)
            return session.call_tool(name, input, timeout=left)
        agent = target or step.agent
        reply = (
            self._runtime.agents.call(agent, input, timeout=left)
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
        }

    def _record(self, type: str, data: dict[str, Any]) -> tuple[str, str | None] | None:
        """Journal a fact, if there is a session; the event's id and the session's own correlation id."""
        if self._session is None:
            return None
        wait = self._runtime.config.ask_timeout
        recorded: tuple[str, str | None] = self._runtime._supervisor.ask(
            self._session.id, RecordWorkflow(type, data), wait
        )
        return recorded

    def _result(self, success: bool, output: Value, error: dict[str, str] | None) -> WorkflowResult:
        duration = time.monotonic() - self._started
        return WorkflowResult(success, output, tuple(self._results), error, duration, self._id)


_GRACE: Final = 5.0


def _bounded(value: Value) -> Value:
    """A value as an event keeps it: what is long is in the events of the calls, and only its size here."""
    size = len(pack_value(value, "output"))
    return value if size <= _INLINE_BYTES else {"bytes": size}


def _described(error: BaseException | None) -> dict[str, str]:
    if isinstance(error, GreenroomError):
        return {"code": error.code, "message": str(error)[:1000]}
    return {"code": type(error).__name__, "message": ""}


def _compare(test: str, value: Any, other: Any) -> bool:
    try:
        if test == "equals":
            return bool(value == other)
        if test == "not_equals":
            return bool(value != other)
        if test == "contains":
            return bool(other in value)
        return bool(value > other if test == "above" else value < other)
    except TypeError:
        raise ValidationError(f"condition: these values cannot be compared by {test!r}", field="condition") from None
