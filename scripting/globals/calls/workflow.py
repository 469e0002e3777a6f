"""The global `Workflow`: makes, runs and resumes workflows of tools, agents and functions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, MutableSequence
from dataclasses import dataclass, field
from typing import Any, Final

from greenroom.runtime import (
    Agent,
    GreenroomError,
    ResourceLimitExceeded,
    ValidationError,
    Workflow,
    WorkflowResult,
)
from greenroom.scripting.definition.callback import Callback
from greenroom.scripting.definition.examples import Function as Fn
from greenroom.scripting.definition.examples import Variable, call, example
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.shapes import DICT, FLAG, LIST, TRUE, VALUE, Maybe, Page
from greenroom.scripting.definition.types import Function, Json, Table, Text
from greenroom.scripting.definition.values import UNDEFINED, defined, given
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.objects import WORKFLOW
from greenroom.scripting.globals.rows import filled
from greenroom.scripting.globals.samples import CURRENT

from .own import Own

__all__ = ["WorkflowGlobal"]

_KINDS: Final = ("sequential", "parallel", "conditional", "loop")
_STEP: Final = {"name": "sum", "tool": "calculator", "input": {"expression": "{{input}} + 1"}}
_FLOW: Final = Variable("flow", call("Workflow.sequential", {"name": "sums", "steps": [_STEP]}))
_MAX_WORKFLOWS: Final = 1000
_LISTS: Final = ("steps", "body", "otherwise", "branches", "default_branch")
"""The options that are steps, or branches of steps."""


@dataclass(slots=True)
class _Made:
    """A workflow of the script: its definition, its state, its functions around a run, and its figures."""

    id: str
    flow: Workflow
    created: float
    state: dict[str, Any] = field(default_factory=dict)
    before: list[Callback] = field(default_factory=list)
    after: list[Callback] = field(default_factory=list)
    failed: list[Callback] = field(default_factory=list)
    status: str = "pending"
    runs: list[tuple[bool, float, int]] = field(default_factory=list)
    """Whether each run succeeded, its seconds, and its steps; of the last hundred."""
    counts: list[int] = field(default_factory=lambda: [0, 0])
    """How many runs succeeded and failed."""

    def row(self) -> dict[str, Any]:
        flow = self.flow
        row = {"id": self.id, "type": flow.kind, "kind": flow.kind, "name": flow.name, "status": self.status}
        return {**row, **({"description": flow.description} if flow.description is not None else {})}


class WorkflowGlobal:
    """Makes and runs workflows. The current session, if any, journals each stage, and a run that a crash interrupted
    can be resumed there. Workflows are visible to their script only, until it ends."""

    NAME = "Workflow"

    def __init__(self, context: ScriptContext) -> None:
        self._context = context
        self._own = Own.of(context)
        self._made: dict[str, _Made] = {}
        self._count = 0

    # -- making

    @export("sequential", returns=WORKFLOW, callbacks=True, example=example({"steps": [_STEP]}))
    def sequential(self, given: Table) -> dict[str, Any]:
        """Make a workflow whose steps run one after the other."""
        return self._make("sequential", given)

    @export("parallel", returns=WORKFLOW, callbacks=True, example=example({"steps": [_STEP], "max_concurrency": 4}))
    def parallel(self, given: Table) -> dict[str, Any]:
        """Make a workflow whose steps, or branches of steps, run at the same time."""
        return self._make("parallel", given)

    @export(
        "conditional",
        returns=WORKFLOW,
        callbacks=True,
        example=example(
            {"branches": [{"name": "large", "condition": "{{input}} > 9", "steps": [_STEP]}], "default_branch": []}
        ),
    )
    def conditional(self, given: Table) -> dict[str, Any]:
        """Make a workflow that runs the first of its branches whose condition holds, else `default_branch`; or its
        steps if its condition holds, and else those of `otherwise`."""
        return self._make("conditional", given)

    @export(
        "loop",
        returns=WORKFLOW,
        callbacks=True,
        example=example({"iterator": {"range": {"start": 1, "end": 3}}, "body": [_STEP]}),
    )
    def loop(self, given: Table) -> dict[str, Any]:
        """Make a workflow whose body runs again and again: over a range, a collection, or while a condition holds."""
        return self._make("loop", given)

    def _make(self, kind: str, given: Any) -> dict[str, Any]:
        if not isinstance(given, Mapping | list | tuple):
            raise ValidationError(f"Workflow.{kind} takes a table of steps", field="steps")
        if len(self._made) >= _MAX_WORKFLOWS:
            raise ResourceLimitExceeded(
                f"a script may have {_MAX_WORKFLOWS} workflows: remove some",
                resource="workflows",
                limit=_MAX_WORKFLOWS,
                value=_MAX_WORKFLOWS,
            )
        self._context.keep(given, "workflows")
        definition = _by_name(given)
        failed = definition.pop("on_error", None)
        definition["kind"] = kind
        definition.pop("type", None)
        flow = Workflow.of(self._converted(definition))
        self._count += 1
        made = _Made(f"workflow-{self._count}", flow, time.time())
        if isinstance(failed, Callback):
            made.failed.append(failed)
        self._made[made.id] = made
        return made.row()

    def _converted(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return a definition, or a branch of one, as `Workflow.of` takes it: with functions that the host can call,
        and tools, agents and workflows in the place of their rows."""
        found = {key: self._own.callable(each) for key, each in given.items() if key not in _LISTS}
        for key in _LISTS:
            each = given.get(key)
            if isinstance(each, list | tuple):
                found[key] = [self._step(part) for part in each]
            elif each is not None:
                found[key] = self._step(each)
        return found

    def _step(self, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        if "steps" in given and not {"tool", "agent", "function", "workflow"} & given.keys():
            return self._converted(dict(given))  # a branch
        step = {**given}
        if isinstance(step.get("function"), Callback):
            step["function"] = self._own.callable(step["function"])
        if "tool" in step:
            tool = self._own.tool(step["tool"])
            if tool is not None:
                step["tool"] = tool if self._own.is_own(tool) else tool.name
            elif isinstance(step["tool"], Mapping):
                step["tool"] = step["tool"].get("name")
        if "agent" in step:
            step["agent"] = self._own.agent(step["agent"])
        if "workflow" in step:
            step["workflow"] = self._find(step["workflow"]).flow
        if "undo" in step:
            step["undo"] = self._step(step["undo"])
        return step

    # -- finding

    @export("list", returns=Page(WORKFLOW), example=example())
    def list(self) -> Any:
        """Return the script's workflows, in the order of their making."""
        return [made.row() for made in self._made.values()]

    @export("get", returns=Maybe(WORKFLOW), example=example(_FLOW))
    def get(self, workflow: Json) -> Any:
        """Return a workflow by its id, or the newest one of a name; nil if there is none."""
        made = self._look(workflow)
        return made.row() if made is not None else UNDEFINED

    @export("remove", returns=FLAG, on=WORKFLOW, example=example(_FLOW))
    def remove(self, workflow: Json) -> bool:
        """Forget a workflow, and return whether it was there."""
        made = self._look(workflow)
        return made is not None and self._made.pop(made.id, None) is not None

    @export("types", "discover_types", returns=LIST, example=example())
    def types(self) -> Any:
        """Return the types of workflows."""
        return [*_KINDS]

    def _look(self, given: Any) -> _Made | None:
        name = given.get("id") if isinstance(given, Mapping) else given
        if not isinstance(name, str):
            return None
        named = (made for made in reversed(self._made.values()) if made.flow.name == name)
        return self._made.get(name) or next(named, None)

    def _find(self, given: Any) -> _Made:
        made = self._look(given)
        if made is None:
            raise ValidationError("workflow: a workflow is needed", field="workflow")
        return made

    # -- running

    @export("execute", "run", "executeAsync", returns=DICT, on=WORKFLOW, example=example(_FLOW, 20))
    def execute(self, workflow: Json, input: Json = UNDEFINED) -> dict[str, Any]:
        """Run a workflow and return {success, data = {final_output, steps}, error, error_code, error_step}. Never
        raises for a failing step.

        `steps` has {success, output, error, duration} by name. A step in a loop has the result of the last round.
        `output` is the final output once more, `outputs` has those of the steps by name.
        """
        made, context = self._find(workflow), self._context
        session = context.session() if context.current_id is not None else None
        return self._run(
            made,
            lambda: context.runtime.workflows.run(
                made.flow, session, defined(input), max(0.001, context.remaining()), state=made.state
            ),
            input,
        )

    @export(
        "resume",
        returns=DICT,
        on=WORKFLOW,
        example=example(_FLOW, before=[CURRENT]),
        forms=("resume(workflow)", "resume(run_id)"),
    )
    def resume(self, workflow: Json) -> dict[str, Any]:
        """Run the rest of the newest run of this workflow in the current session that a crash interrupted, and return
        what `execute` does; a failure if there is none. A run of tools and agents may also be named by its id, without
        its workflow."""
        context, session = self._context, self._context.session()
        made = self._look(workflow)
        run = workflow if made is None else made.flow
        left = max(0.001, context.remaining())
        if made is None:
            if not isinstance(run, str):
                raise ValidationError("workflow: a workflow, or the id of a run, is needed", field="workflow")
            return _attempt(lambda: context.runtime.workflows.resume(session, run, None, left))
        state = made.state
        return self._run(
            made, lambda: context.runtime.workflows.resume(session, run, None, left, state=state), UNDEFINED
        )

    @export("interrupted", returns=LIST, example=example(before=[CURRENT]))
    def interrupted(self) -> Any:
        """Return the ids of the runs in the current session that a crash interrupted, the newest last."""
        return self._context.session().interrupted_workflows()

    def _run(self, made: _Made, run: Callable[[], WorkflowResult], input: Any) -> dict[str, Any]:
        """Run a workflow between the functions around it."""
        about = filled({**made.row(), "input": defined(input)})
        for function in made.before:
            function(about)
        made.status, began = "running", time.monotonic()
        try:
            answer = _attempt(run)
        except BaseException:
            made.status = "failed"
            raise
        made.status = "completed" if answer["success"] else "failed"
        made.counts[0 if answer["success"] else 1] += 1
        made.runs = [
            *made.runs[-99:],
            (answer["success"], time.monotonic() - began, len(answer["data"]["steps"])),
        ]
        if not answer["success"]:
            told = {"message": answer["error"], "code": answer["error_code"], "step": answer.get("error_step")}
            for function in made.failed:
                function(filled(told))
        for function in made.after:
            function(answer)
        return answer

    @export("onBefore", "on_before", returns=TRUE, on=WORKFLOW, callbacks=True, example=example(_FLOW, Fn(("run",))))
    def on_before(self, workflow: Json, fn: Function) -> bool:
        """Call a function before each run, with {id, name, type, input}. If it fails, the run does not begin."""
        return self._add(self._find(workflow).before, fn)

    @export("onAfter", "on_after", returns=TRUE, on=WORKFLOW, callbacks=True, example=example(_FLOW, Fn(("result",))))
    def on_after(self, workflow: Json, fn: Function) -> bool:
        """Call a function after each run, with its result."""
        return self._add(self._find(workflow).after, fn)

    @export("onError", "on_error", returns=TRUE, on=WORKFLOW, callbacks=True, example=example(_FLOW, Fn(("error",))))
    def on_error(self, workflow: Json, fn: Function) -> bool:
        """Call a function after each run that failed, with {message, code, step}."""
        return self._add(self._find(workflow).failed, fn)

    def _add(self, functions: MutableSequence[Callback], fn: Callback) -> bool:
        if len(functions) >= 100:
            raise ResourceLimitExceeded("a workflow may have 100 functions", resource="callbacks", limit=100, value=100)
        functions.append(fn)
        return True

    # -- what is known of one

    @export("getInfo", "get_info", returns=DICT, on=WORKFLOW, example=example(_FLOW))
    def info(self, workflow: Json) -> dict[str, Any]:
        """Return what is known of a workflow: id, name, type, description, status, steps (their names), step_count,
        error_strategy, created_at."""
        made = self._find(workflow)
        names = [step.name for step in made.flow.every_step()]
        more = {"steps": names, "step_count": len(names), "error_strategy": made.flow.error_strategy}
        return {**made.row(), **more, "created_at": made.created}

    @export("getState", "get_state", returns=VALUE, on=WORKFLOW, example=example(_FLOW))
    def get_state(self, workflow: Json, key: Text = UNDEFINED) -> Any:
        """Return a value of a workflow's state, or all of it. `{{state:KEY}}` in inputs looks there first."""
        state = self._find(workflow).state
        return state.get(key, UNDEFINED) if given(key) else dict(state)

    @export(
        "setState",
        "set_state",
        returns=TRUE,
        on=WORKFLOW,
        forms=("setState(workflow, key, value)", "setState(workflow, values)"),
        example=example(_FLOW, "mode", "fast"),
    )
    def set_state(self, workflow: Json, key: Json, value: Json = UNDEFINED) -> bool:
        """Set a value of a workflow's state, or replace all of it by a table."""
        made = self._find(workflow)
        changes = dict(key) if isinstance(key, Mapping) else {str(key): defined(value)}
        self._context.keep(changes, "states of workflows")
        made.state = changes if isinstance(key, Mapping) else {**made.state, **changes}
        return True

    @export("validate", returns=DICT, on=WORKFLOW, example=example(_FLOW))
    def validate(self, workflow: Json) -> dict[str, Any]:
        """Return {valid, errors}: whether all tools and agents of a workflow are there, and what is wrong."""
        flow = self._find(workflow).flow
        errors = [*self._missing(flow)]
        try:
            flow.check()
        except ValidationError as error:
            errors.append(str(error))
        return {"valid": not errors, "errors": errors}

    def _missing(self, flow: Workflow) -> Any:
        agents = self._context.runtime.agents
        for step in flow.every_step():
            if isinstance(step.tool, str) and self._own.tool(step.tool) is None:
                yield f"step {step.name!r}: there is no tool {step.tool[:64]!r}"
            if step.agent is not None and not isinstance(step.agent, Agent) and agents.get(step.agent) is None:
                yield f"step {step.name!r}: there is no agent {str(step.agent)[:64]!r}"

    @export("getMetrics", "get_metrics", returns=DICT, on=WORKFLOW, example=example(_FLOW))
    def metrics(self, workflow: Json) -> dict[str, Any]:
        """Return the figures of the runs of a workflow: executions, succeeded, failed, success_rate, and of the last
        hundred average_duration in seconds, last_duration and average_steps."""
        made = self._find(workflow)
        succeeded, failed = made.counts
        count = len(made.runs)
        return {
            "executions": succeeded + failed,
            "succeeded": succeeded,
            "failed": failed,
            "success_rate": succeeded / (succeeded + failed) if count else 0.0,
            "average_duration": sum(seconds for _, seconds, _ in made.runs) / count if count else 0.0,
            "last_duration": made.runs[-1][1] if count else 0.0,
            "average_steps": sum(steps for _, _, steps in made.runs) / count if count else 0.0,
        }


def _attempt(run: Callable[[], WorkflowResult]) -> dict[str, Any]:
    """Run a workflow and return its result as scripts get it. Raises ValidationError and AccessDenied."""
    try:
        return _answer(run())
    except GreenroomError as error:
        if error.code in ("ValidationError", "AccessDenied"):
            raise
        return {"success": False, "data": {"steps": {}}, "error": str(error), "error_code": error.code}


def _answer(result: WorkflowResult) -> dict[str, Any]:
    """Return the result of a run as scripts get it."""
    steps = {step.name: {key: each for key, each in step.to_dict().items() if key != "name"} for step in result.steps}
    data: dict[str, Any] = {"steps": steps}
    answer: dict[str, Any] = {
        "success": result.success,
        "data": data,
        "outputs": {name: each["output"] for name, each in steps.items() if "output" in each},
        "duration_ms": result.duration * 1000,
        "run_id": result.run_id,
    }
    if result.output is not None:
        data["final_output"] = answer["output"] = result.output
    if result.error is not None:
        answer |= {"error": result.error["message"], "error_code": result.error["code"]}
        if "step" in result.error:
            answer["error_step"] = result.error["step"]
    return answer


def _by_name(given: Any) -> dict[str, Any]:
    """Return the options of a workflow. Its steps may stand in the table itself, also beside options, which gives
    them the keys 1, 2 and so on."""
    if not isinstance(given, Mapping):
        return {"steps": [*given]}
    definition = {key: each for key, each in given.items() if not (isinstance(key, str) and key.isdigit())}
    if "steps" not in definition and "1" in given:
        count = next(at for at in range(1, len(given) + 2) if str(at) not in given)
        definition["steps"] = [given[str(at)] for at in range(1, count)]
    return definition
