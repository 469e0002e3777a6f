"""One run of a workflow: calls the hooks around each stage and journals it in the session.

The file is long because a run is one object: its stages, loops, attempts and undoing share what has happened so far.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.messages.calls import CallTool
from greenroom.actors.messages.internal import RecordWorkflow
from greenroom.actors.scheduling.operation import CURRENT, changed
from greenroom.runtime.handles.scope import own_scope
from greenroom.runtime.model.template import filled, names_in, uses_state, value_at
from greenroom.runtime.model.workflow import Condition, Step, Workflow, WorkflowSession
from greenroom.runtime.model.workflow_definition import definition_of
from greenroom.runtime.model.workflow_reading import MAX_ROUNDS
from greenroom.runtime.model.workflow_result import StepResult, WorkflowResult
from greenroom.storage.codec.records import Value, checked_data, pack_value
from greenroom.storage.common.logs import logger_of
from greenroom.storage.concurrency.waiting import Bell, Promise
from greenroom.storage.errors import (
    AccessDenied,
    GreenroomError,
    HookCancelled,
    InvalidOperation,
    InvalidSessionState,
    OperationTimeout,
    ResourceLimitExceeded,
    RuntimeClosed,
    SessionNotFound,
    ValidationError,
)

from .condition import function_in, holds, is_open
from .failures import StepFailed, described, error_of
from .home import Home, called
from .past import NO_PAST, Past, place_key

if TYPE_CHECKING:
    from greenroom.runtime.agents.registry import Agents
    from greenroom.runtime.core import RuntimeCore
    from greenroom.runtime.tools.registry import Tools

__all__ = ["Callers", "Execution"]

logger = logger_of("workflow")

_INLINE_BYTES: Final = 16 << 10
_AT_ONCE: Final = 32
_MAX_STAGES: Final = 100_000
"""The limit of stages: nested loops multiply, and every stage is kept for the result."""
_MAX_OUTPUT_BYTES: Final = 64 << 20
_UNDO_SECONDS: Final = 30.0
_RETRIES: Final = 3
_FIRST_WAIT: Final = 0.05
_LONGEST_WAIT: Final = 2.0
_GRACE: Final = 5.0
_FOR_GOOD: Final = (
    ValidationError,
    AccessDenied,
    HookCancelled,
    InvalidOperation,
    InvalidSessionState,
    SessionNotFound,
    RuntimeClosed,
)
"""Errors that come again however often something is tried."""


class _Attempts:
    """How often a step was tried, and what its call returned last."""

    __slots__ = ("count", "last")

    def __init__(self) -> None:
        self.count = 0
        self.last: Value = None

    def keep(self, output: Value) -> Value:
        self.last = output
        return output


@dataclass(frozen=True, slots=True)
class Callers:
    """What makes the calls of steps."""

    tools: Tools
    agents: Agents


class Execution:
    """One run of a workflow, or the rest of one that a crash has interrupted (`past`)."""

    def __init__(
        self,
        core: RuntimeCore,
        callers: Callers,
        flow: Workflow,
        session: WorkflowSession | None,
        input: Value,
        timeout: float,
        run_id: str,
        *,
        state: Mapping[str, Value] | None = None,
        past: Past | None = None,
    ) -> None:
        self._core = core
        self._callers = callers
        self._flow = flow
        self._session = session
        self._input = input
        self._timeout = timeout if flow.timeout is None else min(timeout, flow.timeout)
        self._started = time.monotonic()
        self._deadline = self._started + self._timeout
        self._id = run_id
        self._state = state
        self._past = past if past is not None else NO_PAST
        self._home = Home()
        self._outputs: dict[str, Value] = {}
        self._results: list[StepResult] = []
        self._kept = 0
        self._undo: list[tuple[Step, dict[str, Any], dict[str, Value]]] = []
        self._last: str | None = None
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The name of the workflow."""
        return self._flow.name

    @property
    def session_id(self) -> str | None:
        """The id of the session that it runs in."""
        return self._session.id if self._session is not None else None

    def run(self) -> WorkflowResult:
        """Run it to its end, its first failure, or the end of its time."""
        flow, hooks = self._flow, self._core.hooks
        about: dict[str, Any] = {"workflow": flow.name, "kind": flow.kind, "run_id": self._id}
        if self._past.started is not None:
            return self._go(about, self._past.started.id, self._past.started.correlation_id)
        started = hooks.fire("BeforeWorkflowStart", {**about, "input": self._input}, **self._where())
        if started.kind == "replace":
            return self._result(True, started.value, None)
        self._input = started.data.get("input", self._input)
        input, cut = _bounded(self._input)
        told = {**about, "input": input}
        if self._session is not None:
            told["definition"] = self._clean(pack_value(definition_of(flow), "flow"))
            if cut:
                told["given"] = self._clean(pack_value(self._input, "input"))
        began = self._record("workflow.started", told)
        return self._go(about, *began) if began is not None else self._go(about, None, None)

    def _go(self, about: dict[str, Any], event_id: str | None, correlation_id: str | None) -> WorkflowResult:
        """Perform the workflow as an operation that the event of its start has caused."""
        flow, hooks, caller = self._flow, self._core.hooks, CURRENT.get()
        ids: dict[str, Any] = {}
        if event_id is not None:
            ids = {"causation_id": event_id, "root_id": (caller.root_id if caller else None) or event_id}
            ids["correlation_id"] = (
                (caller.correlation_id if caller else None) or correlation_id or event_id.partition("/")[0]
            )
        try:
            CURRENT.set(changed(caller, {"source": f"workflow:{flow.name}", **ids}))
            try:
                if self._past.started is not None:
                    self._record("workflow.resumed", about)
                output = self._perform(flow, {"deadline": self._deadline, "rounds": ()})
                ended = hooks.fire("AfterWorkflowComplete", {**about, "output": output}, **self._where())
                output = ended.value if ended.kind == "replace" else ended.data.get("output", output)
                self._record("workflow.finished", {**about, "success": True, "output": _bounded(output)[0]})
            except StepFailed as failed:
                return self._failed(about, error_of(failed), failed.step.name)
            except GreenroomError as error:
                return self._failed(about, described(error), None)
            return self._result(True, output, None)
        finally:
            CURRENT.set(caller)

    def _clean(self, packed: bytes) -> bytes:
        redaction = self._core.redaction
        return packed if redaction is None else redaction.packed(packed)

    def _failed(self, about: dict[str, Any], error: dict[str, str], step: str | None) -> WorkflowResult:
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
            rounds = place["rounds"]
            if place_key(step.name, rounds) in self._past.undone:
                continue
            outcome: dict[str, Any] = {**about, "stage": step.name, "success": True, **_rounds(rounds)}
            try:
                known = partial(self._known, {**place, "deadline": deadline}, outputs={**self._outputs, **given})
                key = place_key(f"undo {step.name}", rounds)
                self._call(step.undo, filled(step.undo.input, known), None, key, deadline)
            except GreenroomError as error:
                outcome |= {"success": False, "error": described(error)}
                logger.warning("workflow %r: step %r is not undone: %s", about["workflow"], step.name, error.code)
            self._note("workflow.rolled_back", outcome)

    # -- the four kinds

    def _perform(self, flow: Workflow, place: dict[str, Any]) -> Value:
        if flow is not self._flow and flow.timeout is not None:
            place = {**place, "deadline": min(place["deadline"], time.monotonic() + flow.timeout)}
        if flow.kind == "parallel":
            return self._at_once(flow, place)
        if flow.kind == "loop":
            return self._again(flow, place)
        steps = flow.steps
        if flow.kind == "conditional":
            steps = next(
                (steps for name, condition, steps in flow.choices() if self._holds(condition, f"if {name}", place)),
                flow.otherwise,
            )
        return self._in_turn(flow, steps, place)

    def _in_turn(self, flow: Workflow, steps: tuple[Step, ...], place: dict[str, Any]) -> Value:
        output: Value = None
        for step in steps:
            output = self._stage(flow, step, place)
        return output

    def _at_once(self, flow: Workflow, place: dict[str, Any]) -> Value:
        """Run all steps at once and return their outputs. Limit the number at a time, so that threads stay free for
        their calls and for other sessions."""
        deadline = place["deadline"]
        most = max(1, min(_AT_ONCE, self._core.config.max_elastic_threads // 4))
        if flow.max_concurrency is not None:
            most = min(most, flow.max_concurrency)
        waiting = list(reversed(flow.steps))
        running: dict[Promise[Value], Step] = {}
        bell = Bell()
        outputs: dict[str, Value] = {}
        first: Exception | None = None
        with self._home.served(bell) as asked:
            while running or (waiting and first is None):
                while waiting and first is None and len(running) < most:
                    step = waiting.pop()
                    try:
                        promise: Promise[Value] = Promise(bell)
                        running[self._core.elastic.submit(self._stage, flow, step, place, promise=promise)] = step
                    except GreenroomError as error:
                        if running and isinstance(error, ResourceLimitExceeded):
                            waiting.append(step)  # a thread of this workflow will become free
                            break
                        first = StepFailed(step)
                        first.__cause__ = error
                # Stages keep to the time limit themselves; this bounds the time of their hooks.
                wait_limit = min(max(0.0, deadline - time.monotonic()) + _GRACE, threading.TIMEOUT_MAX)
                if running and not bell.wait_for(
                    lambda: bool(asked) or any(each.settled() for each in running), wait_limit
                ):
                    raise first or self._late(next(iter(running.values())))
                self._home.serve()
                for promise in [each for each in running if each.settled()]:
                    step = running.pop(promise)
                    try:
                        outputs[step.name] = promise.result()
                    except Exception as failed:  # raised after the others have ended
                        first = first or failed
        if first is not None:
            raise first
        return {step.name: outputs[step.name] for step in flow.steps}

    def _again(self, flow: Workflow, place: dict[str, Any]) -> Value:
        items = flow.items
        if items is not None:
            items = self._decided(
                "items", place, uses_state(items), lambda: filled(flow.items, partial(self._known, place))
            )
        if items is not None and not isinstance(items, list):
            raise ValidationError(f"workflow {flow.name!r}: items must be a list", field="items")
        if items is not None and len(items) > MAX_ROUNDS:
            raise ValidationError(f"workflow {flow.name!r}: at most {MAX_ROUNDS} items", field="items")
        rounds = flow.rounds if items is None else min(len(items), flow.rounds)
        outputs: list[Value] = []
        for index in range(rounds):
            here: dict[str, Any] = {**place, "index": index, "rounds": (*place["rounds"], index)}
            if items is not None:
                here["item"] = items[index]
            else:
                here.setdefault("item", None)  # or that of the loop around it
            if flow.condition is not None and not self._holds(flow.condition, "while", here):
                break
            outputs.append(self._in_turn(flow, flow.steps, here))
            if any(self._holds(each, f"break {number}", here) for number, each in enumerate(flow.break_conditions)):
                break
        return outputs

    # -- what conditions decide

    def _holds(self, condition: Condition, name: str, place: dict[str, Any]) -> bool:
        known = partial(self._known, place)
        calls = itertools.count(1)

        def call(given: Mapping[str, Any]) -> Value:
            step = Step("condition", tool=given.get("tool"), agent=given.get("agent"))
            key = place_key(f"condition {name} {next(calls)}", place["rounds"])
            return self._call(step, filled(given.get("input"), known), None, key, place["deadline"])

        def decide() -> bool:
            function = function_in(condition)
            if function is not None:
                return self._home.call(function, lambda: holds(condition, known, outputs, call), place["deadline"])
            return holds(condition, known, outputs, call)

        outputs = self._outputs
        return bool(self._decided(name, place, is_open(condition), decide))

    def _decided(self, name: str, place: dict[str, Any], open: bool, decide: Callable[[], Value]) -> Value:
        """Return what `decide` returns. What is `open`, because it does not follow from the input and the outputs, is
        journaled, so that a run that is resumed goes the same way."""
        within = place.get("within")
        key = place_key(name if within is None else f"{name} of {within}", place["rounds"])
        if key in self._past.decided:
            return self._past.decided[key]
        value = decide()
        if open and self._session is not None:
            packed = self._clean(pack_value(value, "value"))
            self._record(
                "workflow.decided", {"workflow": self._flow.name, "run_id": self._id, "place": key, "value": packed}
            )
        return value

    def _known(
        self, place: dict[str, Any], step: str | None, root: str | None, outputs: dict[str, Value] | None = None
    ) -> Value:
        if step is not None:
            outputs = self._outputs if outputs is None else outputs
            if step not in outputs:
                raise ValidationError(f"step {step!r} has given no output yet", field="input")
            return outputs[step]
        assert root is not None
        if root == "input":
            return place.get("input", self._input)
        if root.startswith("state:"):
            return self._variable(root.removeprefix("state:").strip())
        if root not in place:
            raise ValidationError(f"{{{{{root}}}}} has a meaning within a loop only", field="input")
        return place[root]

    def _variable(self, key: str) -> Value:
        """Return a value of the workflow's own state, else a variable of the session, else of the global state; or what
        is at a path in one; None if there is none."""
        if self._session is None:
            self._core.security.require_scope("global", "run_workflow")
        get = self._session.get if self._session is not None else own_scope(self._core, "global").get
        for name, *path in ([key], *_split(key)):
            value = self._state[name] if self._state is not None and name in self._state else get(name)
            if value is not None:
                return value_at(value, path, f"{{{{state:{key}}}}}")
        return None

    # -- one stage

    def _stage(self, flow: Workflow, step: Step, place: dict[str, Any]) -> Value:
        hooks, deadline = self._core.hooks, place["deadline"]
        key = place_key(step.name, place["rounds"])
        optional = step.optional or flow.error_strategy == "continue"
        if key in self._past.stages and step.workflow is None:
            return self._recalled(step, place, key, optional)
        self._go_on(step, deadline)
        about: dict[str, Any] = {"workflow": self._flow.name, "run_id": self._id, "stage": step.name}
        if hooks.at("WorkflowStageTransition") is not None:
            hooks.fire("WorkflowStageTransition", {**about, "from": self._last, "to": step.name}, **self._where())
        self._last = step.name
        began = time.monotonic()
        made = _Attempts()

        def result(success: bool, output: Value, error: dict[str, str] | None) -> StepResult:
            return StepResult(
                step.name, success, output, error, place.get("index"), time.monotonic() - began, max(1, made.count)
            )

        def attempt() -> Value:
            if step.workflow is not None:
                output = self._perform(step.workflow, self._within(step, place, deadline))
                pack_value(output, "output")
                return output
            output = hooks.around(
                {**about, "input": self._given(step, place)},
                lambda changed, target: made.keep(self._call(step, changed.get("input"), target, key, deadline)),
                before="BeforeWorkflowStage",
                after="AfterWorkflowStage",
                error="WorkflowError",
                **self._where() | {"operation": "CallTool" if step.tool is not None else "CallAgent"},
            )
            self._count(len(pack_value(output, "output")))
            return output

        try:
            output = self._attempted(flow, step, attempt, made, deadline)
        except (GreenroomError, StepFailed) as error:
            within = isinstance(error, StepFailed)
            if within and not optional:
                raise  # of the nested workflow, which has journaled it
            self._keep(step, place, result(False, None, error_of(error)), about)
            if optional:
                self._go_on(step, deadline)
                return None
            raise StepFailed(step) from error
        own = step.workflow is not None or (step.function is None and output is made.last)
        self._keep(step, place, result(True, output, None), about, found=own)
        return output

    def _attempted(
        self, flow: Workflow, step: Step, attempt: Callable[[], Value], made: _Attempts, deadline: float
    ) -> Value:
        """Return what `attempt` returns. Make it again after an error that may not come again, as often as the step or
        the workflow says."""
        retries = step.retries if step.retries is not None else _RETRIES if flow.error_strategy == "retry" else 0
        for number in range(retries + 1):
            made.count += 1
            try:
                return attempt()
            except _FOR_GOOD:
                raise
            except (GreenroomError, StepFailed):
                wait = min(_FIRST_WAIT * 2**number, _LONGEST_WAIT)
                if number == retries or time.monotonic() + wait >= deadline:
                    raise
                time.sleep(wait)
        raise AssertionError("unreachable")

    def _recalled(self, step: Step, place: dict[str, Any], key: str, optional: bool) -> Value:
        """Return the output of a stage that had ended before the run was interrupted, or raise that it failed."""
        data = self._past.stages[key]
        error, output = data.get("error"), None
        if error is None:
            output = self._past.output(key)
            self._count(len(pack_value(output, "output")))
        kept = StepResult(
            step.name,
            error is None,
            output,
            error,
            place.get("index"),
            data.get("duration", 0.0),
            data.get("attempts", 1),
            resumed=True,
        )
        self._note_result(step, place, kept)
        if error is not None and not optional:
            raise StepFailed(step, dict(error))
        return output

    def _given(self, step: Step, place: dict[str, Any]) -> Value:
        """Return the input of a step. A function without one gets the current item, else the workflow's input."""
        if step.input is None and step.function is not None:
            item = place.get("item")
            return item if item is not None else self._known(place, None, "input")
        return filled(step.input, partial(self._known, place))

    def _within(self, step: Step, place: dict[str, Any], deadline: float) -> dict[str, Any]:
        """Return the place for a nested workflow, with the input and the time limit of its step, if it has any."""
        place = {**place, "within": step.name}
        if step.input is not None:
            place["input"] = filled(step.input, partial(self._known, place))
        if step.timeout is not None:
            place["deadline"] = min(deadline, time.monotonic() + step.timeout)
        return place

    def _go_on(self, step: Step, deadline: float) -> None:
        """Raise StepFailed, also for optional steps, when no time is left or there were too many stages."""
        if time.monotonic() >= deadline:
            raise self._late(step)
        if len(self._results) >= _MAX_STAGES:
            failed = StepFailed(step)
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

    def _note_result(self, step: Step, place: dict[str, Any], result: StepResult) -> None:
        with self._lock:
            self._outputs[step.name] = result.output
            self._results.append(result)
            if result.success and step.undo is not None:
                # The output of this round: in a loop the next round has another one.
                used = names_in(step.undo.input) & self._outputs.keys()
                self._undo.append((step, dict(place), {name: self._outputs[name] for name in used}))

    def _keep(
        self, step: Step, place: dict[str, Any], result: StepResult, about: dict[str, Any], *, found: bool = True
    ) -> None:
        """Keep the result of a stage and journal it. `found`: its output can be found without it, too."""
        self._note_result(step, place, result)
        if place_key(step.name, place["rounds"]) in self._past.stages:
            return
        told: dict[str, Any] = {**about, "success": result.success, "duration": result.duration}
        told |= _rounds(place["rounds"])
        if result.attempts > 1:
            told["attempts"] = result.attempts
        if result.error is not None:
            told["error"] = result.error
        else:
            told["output"], cut = _bounded(result.output)
            if cut:
                told["cut"] = True
            if cut and not found and self._session is not None:
                told["result"] = self._clean(pack_value(result.output, "output"))
        self._record("workflow.stage", told)
        hooks = self._core.hooks
        if hooks.at("WorkflowCheckpoint") is not None:
            hooks.fire("WorkflowCheckpoint", {**about, "success": result.success}, **self._where())

    def _call(self, step: Step, input: Value, target: str | None, key: str, deadline: float) -> Value:
        if key in self._past.calls:
            return self._past.calls[key][0]  # it had returned, but the stage was not journaled any more
        left = deadline - time.monotonic()
        if left <= 0:
            raise self._late(step).__cause__ or AssertionError("unreachable")
        if step.timeout is not None:
            left = min(left, step.timeout)
        if step.function is not None:
            return self._home.call(step.function, lambda: called(step, input, self._outputs), deadline)
        session_id = self._session.id if self._session is not None else None
        if step.tool is not None:
            named = step.tool if isinstance(step.tool, str) else step.tool.name
            call = CallTool(target or named, input, timeout=left)
            call.subject = step.tool if target is None and not isinstance(step.tool, str) else None
            call.stage = f"{self._id}/{key}"
            output: Value = self._callers.tools.send(call, session_id)
            return output
        message = self._callers.agents.message(target or step.agent, input, left)
        message.stage = f"{self._id}/{key}"
        return self._callers.agents.send(message, session_id).text

    def _late(self, step: Step) -> StepFailed:
        failed = StepFailed(step)
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


def _rounds(rounds: tuple[int, ...]) -> dict[str, Any]:
    """Return the rounds of the loops around a stage as its event has them."""
    if not rounds:
        return {}
    return {"round": rounds[-1], **({"rounds": list(rounds)} if len(rounds) > 1 else {})}


def _split(key: str) -> Iterator[list[str]]:
    """Yield the ways in which a key is a name and a path, the longest name first: "a.b.c" as "a.b", "c" and so on."""
    parts = key.split(".")
    for count in range(len(parts) - 1, 0, -1):
        yield [".".join(parts[:count]), *parts[count:]]


def _bounded(value: Value) -> tuple[Value, bool]:
    """Return a value for an event, and whether it was cut. A long value, or one with integers beyond 64 bits, is
    replaced by its size.

    The events of the calls hold the value itself.
    """
    size = len(pack_value(value, "output"))
    if size <= _INLINE_BYTES:
        with contextlib.suppress(ValidationError):
            return checked_data({"value": value})["value"], False
    return {"bytes": size}, True
