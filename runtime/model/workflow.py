"""The model of a workflow: steps and their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from greenroom.storage.codec.records import Json, Value
from greenroom.storage.common.checked_call import checked, checked_fields
from greenroom.storage.errors import ValidationError, shown

from .agent import Agent
from .reply import AgentReply
from .template import names_in

__all__ = ["Condition", "Step", "StepResult", "Workflow", "WorkflowResult", "WorkflowSession"]

MAX_STEPS: Final = 1000
MAX_ROUNDS: Final = 1000
MAX_NESTING: Final = 16

Condition = Callable[[Mapping[str, Value]], bool] | str | Mapping[str, Any]
"""A function of the outputs by step; a text with placeholders, false if they give "", "false", "0" or null; or
{"value": …, "equals" | "not_equals" | "contains" | "above" | "below": …}."""
_TESTS: Final = frozenset(("equals", "not_equals", "contains", "above", "below"))


@checked_fields
@dataclass(frozen=True, slots=True)
class Step:
    """One call of a tool or an agent, or a workflow of its own.

    In the texts of `input`, `{{step:NAME:output}}` is the output of an earlier step, `{{input}}` the workflow's input,
    `{{item}}` and `{{index}}` the current round of a loop. A path may follow, such as `.items.0`. A nested workflow's
    `{{input}}` is the `input` of its step, or by default that of the outer workflow. An `optional` step may fail.
    `undo`, a step that calls a tool or an agent, runs when a later step fails. `timeout` is in seconds. Raises
    ValidationError.
    """

    name: str
    tool: str | None = None
    agent: Any = None
    """The name of an agent, or an Agent."""
    workflow: Workflow | None = None
    input: object = None
    timeout: float | None = None
    optional: bool = False
    undo: Step | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 0 < len(self.name) <= 64 or set(self.name) & set(":{}"):
            raise ValidationError("name: 1 to 64 characters without ':', '{' and '}' name a step", field="name")
        if sum(each is not None for each in (self.tool, self.agent, self.workflow)) != 1:
            raise ValidationError(f"step {self.name!r}: either a tool, an agent or a workflow", field="step")
        if self.tool is not None and not isinstance(self.tool, str):
            raise ValidationError(f"step {self.name!r}: tool is the name of one", field="tool")
        if self.workflow is not None and not isinstance(self.workflow, Workflow):
            raise ValidationError(f"step {self.name!r}: workflow is a Workflow", field="workflow")
        undo = self.undo
        if undo is not None and (not isinstance(undo, Step) or undo.workflow is not None or undo.undo is not None):
            raise ValidationError(f"step {self.name!r}: undo is a Step that calls a tool or an agent", field="undo")
        if self.timeout is not None and (type(self.timeout) not in (int, float) or not self.timeout > 0):
            raise ValidationError(f"step {self.name!r}: timeout is a number of seconds above 0", field="timeout")

    @classmethod
    @checked
    def of(cls, given: Step | Mapping[str, Any]) -> Step:
        """Return a step from a mapping of its fields. Raises ValidationError."""
        if isinstance(given, Step):
            return given
        if not isinstance(given, Mapping):
            raise ValidationError("a step is a mapping with name, tool or agent, and input", field="steps")
        unknown = sorted(str(key) for key in given if key not in cls.__dataclass_fields__)
        if unknown:
            known = ", ".join(cls.__dataclass_fields__)
            raise ValidationError(f"a step has no {unknown[0]!r}; there are: {known}", field=unknown[0])
        fields = dict(given)
        if "name" not in fields:
            raise ValidationError("a step needs a name", field="name")
        if fields.get("undo") is not None:
            undo = fields["undo"]
            named = {"name": f"{fields['name']} undone"[:64], **undo} if isinstance(undo, Mapping) else undo
            fields["undo"] = cls.of(named)
        return cls(**fields)


@checked_fields
@dataclass(frozen=True, slots=True)
class Workflow:
    """Steps in one of four orders, each made by its own class method. A workflow holds no state and can be run many
    times.

    Example:
        ```py
        flow = Workflow.sequential(
            Step("hash", tool="hash_calculator", input={"input": "{{input.text}}"}),
            Step("say", agent="echo", input="It is {{step:hash:output}}"),
        )
        s.run_workflow(flow, {"text": "abc"}).output
        ```
    """

    kind: Literal["sequential", "parallel", "conditional", "loop"]
    steps: tuple[Step, ...]
    name: str = "workflow"
    condition: Condition | None = None
    otherwise: tuple[Step, ...] = ()
    items: object = None
    rounds: int = MAX_ROUNDS
    _depth: int = field(default=0, init=False, repr=False, compare=False)

    @classmethod
    @checked
    def sequential(cls, *steps: Step | Mapping[str, Any], name: str = "sequential") -> Workflow:
        """Return a workflow that runs one step after the other. Each may use the outputs of earlier steps. Its output
        is that of the last step."""
        return cls("sequential", _steps(steps), name)

    @classmethod
    @checked
    def parallel(cls, *steps: Step | Mapping[str, Any], name: str = "parallel") -> Workflow:
        """Return a workflow that runs all steps at once. Its output is an object of their outputs by name."""
        return cls("parallel", _steps(steps), name)

    @classmethod
    @checked
    def conditional(
        cls,
        condition: Condition,
        steps: Iterable[Step | Mapping[str, Any]],
        otherwise: Iterable[Step | Mapping[str, Any]] = (),
        *,
        name: str = "conditional",
    ) -> Workflow:
        """Return a workflow that runs the steps if the condition holds, else the other ones, one after the other."""
        return cls("conditional", _steps(steps), name, condition, _steps(otherwise))

    @classmethod
    @checked
    def loop(
        cls,
        *steps: Step | Mapping[str, Any],
        times: int | None = None,
        items: object = None,
        condition: Condition | None = None,
        name: str = "loop",
    ) -> Workflow:
        """Return a workflow that repeats the steps: `times` times, once for each of `items` (a list, or a placeholder
        for one), or while the condition holds; at most 1000 times. Its output is the list of the rounds' outputs."""
        if times is None and items is None and condition is None:
            raise ValidationError("a loop needs times, items or a condition", field="loop")
        if times is not None and (type(times) is not int or not 0 <= times <= MAX_ROUNDS):
            raise ValidationError(f"times: a whole number up to {MAX_ROUNDS}", field="times")
        return cls("loop", _steps(steps), name, condition, items=items, rounds=MAX_ROUNDS if times is None else times)

    @classmethod
    @checked
    def of(cls, given: Workflow | Mapping[str, Any]) -> Workflow:
        """Return a workflow from a mapping: kind, steps, and what its kind takes. Raises ValidationError."""
        if isinstance(given, Workflow):
            return given
        if not isinstance(given, Mapping):
            raise ValidationError("a workflow is a mapping with kind and steps", field="workflow")
        kind, known = given.get("kind"), ("kind", "name", "steps", *_OPTIONS.get(str(given.get("kind")), ()))
        if kind not in _OPTIONS:
            raise ValidationError(f"kind: one of {', '.join(_OPTIONS)}", field="kind")
        unknown = sorted(str(key) for key in given if key not in known)
        if unknown:
            raise ValidationError(
                f"a {kind} workflow has no {unknown[0]!r}; there are: {', '.join(known)}", field=unknown[0]
            )
        steps = [
            {**step, "workflow": cls.of(step["workflow"])}
            if isinstance(step, Mapping) and step.get("workflow") is not None
            else step
            for step in _steps_of(given, "steps")
        ]
        options = {key: given[key] for key in ("name", "times", "items", "condition") if given.get(key) is not None}
        if kind == "conditional":
            if "condition" not in options:
                raise ValidationError("a conditional workflow needs a condition", field="condition")
            return cls.conditional(options.pop("condition"), steps, _steps_of(given, "otherwise"), **options)
        make = {"sequential": cls.sequential, "parallel": cls.parallel, "loop": cls.loop}[kind]
        return make(*steps, **options)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 0 < len(self.name) <= 255:
            raise ValidationError("name: 1 to 255 characters name a workflow", field="name")
        if self.kind not in _OPTIONS:
            raise ValidationError(f"kind: one of {', '.join(_OPTIONS)}", field="kind")
        if not self.steps:
            raise ValidationError(f"workflow {self.name!r} has no steps", field="steps")
        if self.condition is None and self.kind == "conditional":
            raise ValidationError("a conditional workflow needs a condition", field="condition")
        condition: Any = self.condition
        if issubclass(type(condition), Mapping):
            if "value" not in condition or len(condition) != 2 or not _TESTS & set(condition):
                tests = ", ".join(sorted(_TESTS))
                raise ValidationError(f"condition: an object of value and one of {tests}", field="condition")
        elif condition is not None and not callable(condition) and not issubclass(type(condition), str):
            raise ValidationError("condition: a function, a text or an object", field="condition")
        nested = [step.workflow._depth for step in (*self.steps, *self.otherwise) if step.workflow is not None]
        object.__setattr__(self, "_depth", 1 + max(nested, default=0))
        if self._depth > MAX_NESTING:
            raise ValidationError(f"workflows may be nested {MAX_NESTING} deep", field="workflow")
        names = [step.name for step in self.every_step()]
        if len(names) > MAX_STEPS:
            raise ValidationError(f"a workflow may have {MAX_STEPS} steps, this has {len(names)}", field="steps")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValidationError(f"two steps are named {twice!r}: the name tells whose output is meant", field="name")

    def every_step(self) -> Iterator[Step]:
        """Yield all steps, also those of nested workflows."""
        for step in (*self.steps, *self.otherwise):
            yield step
            if step.workflow is not None:
                yield from step.workflow.every_step()

    def check(self) -> None:
        """Raise ValidationError if something refers to a missing step."""
        steps = list(self.every_step())
        names = {step.name for step in steps}
        used: list[tuple[str, object]] = [
            (f"workflow {flow.name!r}", (flow.condition, flow.items)) for flow in self._every_flow()
        ]
        used += [(f"step {step.name!r}", (step.input, step.undo and step.undo.input)) for step in steps]
        for what, values in used:
            missing = sorted(names_in(values) - names)
            if missing:
                raise ValidationError(
                    f"{what} uses the output of {missing[0]!r}, and there is no such step", field="input"
                )

    def _every_flow(self) -> Iterator[Workflow]:
        yield self
        for step in self.every_step():
            if step.workflow is not None:
                yield step.workflow


_OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "sequential": (),
    "parallel": (),
    "conditional": ("condition", "otherwise"),
    "loop": ("times", "items", "condition"),
}


def _steps_of(given: Mapping[str, Any], key: str) -> list[Any]:
    steps = given.get(key) or []
    if not isinstance(steps, list | tuple):
        raise ValidationError(f"{key}: a list of steps is needed", field=key)
    return list(steps)


def _steps(given: Iterable[Step | Mapping[str, Any]]) -> tuple[Step, ...]:
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise ValidationError("steps: a list of steps is needed", field="steps")
    return tuple(Step.of(each) for each in given)


@dataclass(frozen=True, slots=True)
class StepResult:
    """The result of one step. `error` is {code, message}; `round` counts within a loop; `duration` is in seconds."""

    name: str
    success: bool
    output: Json = None
    error: dict[str, str] | None = None
    round: int | None = None
    duration: float = 0.0

    def __repr__(self) -> str:
        return f"<StepResult {shown(self.name)} {'succeeded' if self.success else 'failed'}>"

    def to_dict(self) -> dict[str, Value]:
        """Return the fields that have a value, by name."""
        row: dict[str, Value] = {key: getattr(self, key) for key in self.__dataclass_fields__}
        return {key: value for key, value in row.items() if value is not None}


@dataclass(frozen=True, slots=True)
class WorkflowResult:
    """The result of a workflow. `steps` are in the order of their ends; `error` is {code, message, step}."""

    success: bool
    output: Json
    steps: tuple[StepResult, ...]
    error: dict[str, str] | None
    duration: float
    run_id: str

    def __repr__(self) -> str:
        return (
            f"<WorkflowResult {self.run_id} {'succeeded' if self.success else 'failed'} after {len(self.steps)} steps>"
        )


class WorkflowSession(Protocol):
    """The session that a workflow runs in. It makes and journals the calls of the steps."""

    id: str

    def call_tool(self, name: str, input: object = None, *, timeout: float | None = None) -> Any:
        """Call a tool in the session."""

    def call_agent(self, agent: Agent | str, input: object, *, timeout: float | None = None) -> AgentReply:
        """Call an agent in the session."""
