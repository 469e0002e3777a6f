"""The global `Workflow`: runs workflows of tools and agents."""

from __future__ import annotations

from typing import Any

from greenroom.runtime import GreenroomError, Workflow
from greenroom.scripting.export import export
from greenroom.scripting.script_context import ScriptContext
from greenroom.scripting.values import UNDEFINED, defined

__all__ = ["WorkflowGlobal"]


class WorkflowGlobal:
    """Runs workflows. The current session, if any, journals each stage."""

    def __init__(self, principal: ScriptContext) -> None:
        self._principal = principal

    @export("run")
    def run(self, definition: Any, input: Any = UNDEFINED) -> dict[str, Any]:
        """Run a workflow and return {success, data = {final_output, steps}, error, error_code, error_step}. Never
        raises for a failing step.

        `steps` has {success, output, error, duration} by name. A step in a loop has the result of the last round.
        """
        principal = self._principal
        flow = Workflow.of(definition)
        session = principal.session() if principal.current_id is not None else None
        try:
            result = principal.runtime.workflows.run(flow, session, defined(input), max(0.001, principal.remaining()))
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
