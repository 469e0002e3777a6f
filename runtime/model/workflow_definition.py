"""The definitions of workflows in the journal: written when a run begins, and read when it is resumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from greenroom.storage.errors import InvalidOperation

from .agent import Agent
from .workflow import Branch, Condition, Step, Workflow
from .workflow_reading import MAX_ROUNDS

__all__ = ["defined_again", "definition_of"]


def definition_of(flow: Workflow) -> dict[str, Any]:
    """Return the definition of a workflow as plain data. Functions are in it as {"function": True}."""
    told: dict[str, Any] = {"kind": flow.kind, "name": flow.name, "steps": [_told(step) for step in flow.steps]}
    for name in ("description", "timeout", "max_concurrency", "items"):
        if getattr(flow, name) is not None:
            told[name] = getattr(flow, name)
    if flow.error_strategy != "fail":
        told["error_strategy"] = flow.error_strategy
    if flow.rounds != MAX_ROUNDS:
        told["rounds"] = flow.rounds
    if flow.condition is not None:
        told["condition"] = _told_condition(flow.condition)
    if flow.otherwise:
        told["otherwise"] = [_told(step) for step in flow.otherwise]
    if flow.break_conditions:
        told["break_conditions"] = [_told_condition(each) for each in flow.break_conditions]
    if flow.branches:
        told["branches"] = [
            {
                "name": each.name,
                "condition": _told_condition(each.condition),
                "steps": [_told(step) for step in each.steps],
            }
            for each in flow.branches
        ]
    return told


_FUNCTION: Final = {"function": True}


def _told_condition(condition: Condition) -> Any:
    if callable(condition):
        return dict(_FUNCTION)
    if not isinstance(condition, Mapping):
        return condition
    return {
        name: [_told_condition(part) for part in each]
        if name in ("all", "any")
        else _told_condition(each)
        if name == "not"
        else each
        for name, each in condition.items()
    }


def _told(step: Step) -> dict[str, Any]:
    told: dict[str, Any] = {"name": step.name}
    if step.workflow is not None:
        told["workflow"] = definition_of(step.workflow)
    elif step.function is not None:
        told |= _FUNCTION
    elif step.tool is not None:
        told["tool"] = step.tool if isinstance(step.tool, str) else step.tool.name
    else:
        told["agent"] = step.agent.to_dict() if isinstance(step.agent, Agent) else step.agent
    for name in ("input", "timeout", "retries"):
        if getattr(step, name) is not None:
            told[name] = getattr(step, name)
    if step.optional:
        told["optional"] = True
    if step.undo is not None:
        told["undo"] = _told(step.undo)
    return told


def defined_again(definition: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> Workflow:
    """Return the workflow of a definition. `functions` are its functions: those of steps by the names of their steps,
    conditions by the names of their branches, or else of their workflows. A missing one raises InvalidOperation when it
    is called."""

    def function(name: str) -> Callable[..., Any]:
        return functions[name] if name in functions else _Missing(name)

    def condition(given: Any, name: str) -> Condition:
        if given == _FUNCTION:
            return function(name)
        if not isinstance(given, Mapping):
            return cast(Condition, given)
        return {
            key: [condition(part, name) for part in each]
            if key in ("all", "any")
            else condition(each, name)
            if key == "not"
            else each
            for key, each in given.items()
        }

    def step(given: Mapping[str, Any]) -> Step:
        fields = dict(given)
        if "workflow" in fields:
            fields["workflow"] = defined_again(fields["workflow"], functions)
        if "function" in fields:
            fields["function"] = function(fields["name"])
        if isinstance(fields.get("agent"), Mapping):
            agent = fields["agent"]
            fields["agent"] = Agent(**{**agent, "tools": tuple(agent["tools"])})
        if "undo" in fields:
            fields["undo"] = step(fields["undo"])
        return Step(**fields)

    fields = dict(definition)
    name = fields["name"]
    for each in ("steps", "otherwise"):
        if each in fields:
            fields[each] = tuple(step(given) for given in fields[each])
    if "condition" in fields:
        fields["condition"] = condition(fields["condition"], name)
    if "break_conditions" in fields:
        fields["break_conditions"] = tuple(condition(each, name) for each in fields["break_conditions"])
    if "branches" in fields:
        fields["branches"] = tuple(
            Branch(each["name"], condition(each["condition"], each["name"]), tuple(map(step, each["steps"])))
            for each in fields["branches"]
        )
    return Workflow(**fields)


class _Missing:
    """Stands for a function that the journal cannot have."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *arguments: Any) -> Any:
        raise InvalidOperation(
            f"the workflow calls the function {self._name!r}, which the journal does not have: resume it with"
            f" functions={{{self._name!r}: …}}, or with the workflow itself"
        )
