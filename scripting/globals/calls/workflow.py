"""The global `Workflow`: makes and runs workflows of tools and agents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from greenroom.runtime import GreenroomError, ResourceLimitExceeded, ValidationError, Workflow
from greenroom.scripting.definition.examples import example
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.shapes import DICT
from greenroom.scripting.definition.types import Table
from greenroom.scripting.definition.values import UNDEFINED, defined
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.objects import WORKFLOW
from greenroom.scripting.globals.references import named

__all__ = ["WorkflowGlobal"]


_STEP: Final = {"name": "sum", "tool": "calculator", "input": {"expression": "{{input}} + 1"}}
_MAX_WORKFLOWS: Final = 1000


class WorkflowGlobal:
    """Makes and runs workflows. The current session, if any, journals each stage."""

    NAME = "Workflow"

    def __init__(self, context: ScriptContext) -> None:
        self._context = context
        self._definitions: dict[int, dict[str, Any]] = {}

    @export("sequential", returns=WORKFLOW, example=example({"steps": [_STEP]}))
    def sequential(self, given: Table) -> dict[str, Any]:
        """Make a workflow whose steps run one after the other."""
        return self._make("sequential", given)

    @export("parallel", returns=WORKFLOW, example=example({"steps": [_STEP]}))
    def parallel(self, given: Table) -> dict[str, Any]:
        """Make a workflow whose steps run at the same time."""
        return self._make("parallel", given)

    @export("conditional", returns=WORKFLOW, example=example({"condition": True, "steps": [_STEP]}))
    def conditional(self, given: Table) -> dict[str, Any]:
        """Make a workflow whose steps run if a condition holds, and those of `otherwise` if not."""
        return self._make("conditional", given)

    @export("loop", returns=WORKFLOW, example=example({"times": 3, "steps": [_STEP]}))
    def loop(self, given: Table) -> dict[str, Any]:
        """Make a workflow whose steps run again and again."""
        return self._make("loop", given)

    def _make(self, kind: str, given: Any) -> dict[str, Any]:
        if not isinstance(given, Mapping | list | tuple):
            raise ValidationError(f"Workflow.{kind} takes a table of steps", field="steps")
        if len(self._definitions) >= _MAX_WORKFLOWS:
            raise ResourceLimitExceeded(
                f"a script may make {_MAX_WORKFLOWS} workflows",
                resource="workflows",
                limit=_MAX_WORKFLOWS,
                value=_MAX_WORKFLOWS,
            )
        self._context.keep(given, "workflows")
        definition = _by_name(given)
        definition["kind"] = kind
        for name in ("steps", "otherwise"):
            if name in definition:
                definition[name] = self._steps(definition[name])
        number = len(self._definitions) + 1
        self._definitions[number] = definition
        return {"id": number, "kind": kind, "name": definition.get("name") or kind}

    def _steps(self, given: Any) -> Any:
        return [self._step(each) for each in given] if isinstance(given, list | tuple) else given

    def _step(self, given: Any) -> Any:
        """Return a step with names of tools and agents in the place of their rows, and definitions in that of
        workflows."""
        if not isinstance(given, Mapping):
            return given
        step = dict(given)
        for name in ("tool", "agent"):
            if name in step:
                step[name] = named(step[name])
        if "workflow" in step:
            step["workflow"] = self._definition(step["workflow"])
        if "undo" in step:
            step["undo"] = self._step(step["undo"])
        return step

    def _definition(self, given: Any) -> dict[str, Any]:
        number = given.get("id") if isinstance(given, Mapping) else given
        found = self._definitions.get(number) if isinstance(number, int) else None
        if found is None:
            raise ValidationError("workflow: a workflow is needed", field="workflow")
        return found

    @export("run", returns=DICT, hidden=True)
    def run(self, workflow: Any, input: Any = UNDEFINED) -> dict[str, Any]:
        """Run a workflow and return {success, data = {final_output, steps}, error, error_code, error_step}. Never
        raises for a failing step.

        `steps` has {success, output, error, duration} by name. A step in a loop has the result of the last round.
        """
        context = self._context
        flow = Workflow.of(self._definition(workflow))
        session = context.session() if context.current_id is not None else None
        try:
            result = context.runtime.workflows.run(flow, session, defined(input), max(0.001, context.remaining()))
        except GreenroomError as error:
            if error.code in ("ValidationError", "AccessDenied"):
                raise
            return {"success": False, "data": {"steps": {}}, "error": str(error), "error_code": error.code}
        steps = {
            step.name: {key: each for key, each in step.to_dict().items() if key != "name"} for step in result.steps
        }
        data: dict[str, Any] = {"steps": steps}
        if result.output is not None:
            data["final_output"] = result.output
        answer: dict[str, Any] = {"success": result.success, "data": data}
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
