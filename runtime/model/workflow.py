"""The model of a workflow: steps and their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypedDict, Unpack

from greenroom.storage.codec.records import Value
from greenroom.storage.common.checked_call import checked, checked_fields
from greenroom.storage.errors import ValidationError

from .callee import Callee
from .template import names_in
from .workflow_reading import KINDS, MAX_ROUNDS, step_fields, workflow_fields

__all__ = ["Branch", "Condition", "Step", "Workflow", "WorkflowSession"]

MAX_STEPS: Final = 1000
MAX_NESTING: Final = 16
MAX_RETRIES: Final = 100

Condition = Callable[[Mapping[str, Value]], bool] | str | bool | Mapping[str, Any]
"""A function of the outputs by step; True or False; a text with placeholders, which holds unless they give "", "false",
"0" or null, or which compares two values as in "{{step:sum:output}} > 3";
{"value": …, "equals" | "not_equals" | "contains" | "above" | "below": …}; {"all" | "any": [conditions]}; {"not":
condition}; or a call, {"tool" | "agent": …, "input": …}, whose output is true."""
_TESTS: Final = frozenset(("equals", "not_equals", "contains", "above", "below"))
_STRATEGIES: Final = ("fail", "continue", "retry")


class WorkflowOptions(TypedDict, total=False):
    """What every kind of workflow takes. `timeout` is in seconds."""

    description: str | None
    error_strategy: Literal["fail", "continue", "retry"]
    timeout: float | None
    max_concurrency: int | None


@checked_fields
@dataclass(frozen=True, slots=True)
class Step:
    """One call of a tool, an agent or a function, or a workflow of its own.

    In the texts of `input`, `{{step:NAME:output}}` is the output of an earlier step, `{{input}}` the workflow's input,
    `{{item}}` and `{{index}}` (`{{loop:current_value}}` and `{{loop:current_index}}`) the current round of a loop, and
    `{{state:KEY}}` a variable of the session. A path may follow, such as `.items.0`. A nested workflow's `{{input}}` is
    the `input` of its step, or by default that of the outer workflow. An `optional` step may fail. One that fails is
    tried again up to `retries` times. `undo`, a step that calls something, runs when a later step fails. `timeout` is
    in seconds. Raises ValidationError.
    """

    name: str
    tool: str | Callee | None = None
    """The name of a tool, or a Tool, which need not be registered."""
    agent: Any = None
    """The name of an agent, or an Agent."""
    workflow: Workflow | None = None
    input: object = None
    timeout: float | None = None
    optional: bool = False
    undo: Step | None = None
    function: Callable[..., Any] | None = None
    """Gets the input, or what it would get by `{{item}}` in a loop over items and else by `{{input}}`; and if it takes
    two arguments, also the outputs by step. It runs on the workflow's thread, so no timeout stops it."""
    retries: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 0 < len(self.name) <= 64 or set(self.name) & set(":{}"):
            raise ValidationError("name: 1 to 64 characters without ':', '{' and '}' name a step", field="name")
        if sum(each is not None for each in (self.tool, self.agent, self.workflow, self.function)) != 1:
            raise ValidationError(
                f"step {self.name!r}: either a tool, an agent, a function or a workflow", field="step"
            )
        if self.tool is not None and not isinstance(self.tool, str | Callee):
            raise ValidationError(f"step {self.name!r}: tool is the name of one", field="tool")
        if self.workflow is not None and not isinstance(self.workflow, Workflow):
            raise ValidationError(f"step {self.name!r}: workflow is a Workflow", field="workflow")
        undo = self.undo
        if undo is not None and (not isinstance(undo, Step) or undo.workflow is not None or undo.undo is not None):
            raise ValidationError(
                f"step {self.name!r}: undo is a Step that calls a tool, an agent or a function", field="undo"
            )
        if self.timeout is not None and (type(self.timeout) not in (int, float) or not self.timeout > 0):
            raise ValidationError(f"step {self.name!r}: timeout is a number of seconds above 0", field="timeout")
        if self.retries is not None and (type(self.retries) is not int or not 0 <= self.retries <= MAX_RETRIES):
            raise ValidationError(f"step {self.name!r}: retries is a whole number up to {MAX_RETRIES}", field="retries")

    @classmethod
    @checked
    def of(cls, given: Step | Mapping[str, Any]) -> Step:
        """Return a step from a mapping of its fields, or of their spellings in scripts. Raises ValidationError."""
        if isinstance(given, Step):
            return given
        fields = step_fields(given)
        if isinstance(fields.get("workflow"), Mapping):
            fields["workflow"] = Workflow.of(fields["workflow"])
        if isinstance(fields.get("undo"), Mapping):
            fields["undo"] = cls.of(fields["undo"])
        return cls(**fields)


@checked_fields
@dataclass(frozen=True, slots=True)
class Branch:
    """One of the branches of a conditional workflow: its steps run if its condition holds, and no earlier one did."""

    name: str
    condition: Condition
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 0 < len(self.name) <= 255:
            raise ValidationError("name: 1 to 255 characters name a branch", field="name")
        _check_condition(self.condition)


@checked_fields
@dataclass(frozen=True, slots=True)
class Workflow:
    """Steps in one of four orders, each made by its own class method. A workflow holds no state and can be run many
    times.

    All take `name`, `description`, `timeout` (seconds), and `error_strategy`: "fail" (the default) ends the workflow
    when a step fails, "continue" treats all of its steps as optional, "retry" tries a step that fails up to three times
    more. `max_concurrency` limits how many steps of a parallel workflow run at a time.

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
    branches: tuple[Branch, ...] = ()
    break_conditions: tuple[Any, ...] = ()
    description: str | None = None
    error_strategy: Literal["fail", "continue", "retry"] = "fail"
    timeout: float | None = None
    max_concurrency: int | None = None
    _depth: int = field(default=0, init=False, repr=False, compare=False)

    @classmethod
    @checked
    def sequential(
        cls, *steps: Step | Mapping[str, Any], name: str = "sequential", **options: Unpack[WorkflowOptions]
    ) -> Workflow:
        """Return a workflow that runs one step after the other. Each may use the outputs of earlier steps. Its output
        is that of the last step."""
        return cls("sequential", _steps(steps), name, **_known(options))

    @classmethod
    @checked
    def parallel(
        cls, *steps: Step | Mapping[str, Any], name: str = "parallel", **options: Unpack[WorkflowOptions]
    ) -> Workflow:
        """Return a workflow that runs all steps at once. Its output is an object of their outputs by name."""
        return cls("parallel", _steps(steps), name, **_known(options))

    @classmethod
    @checked
    def conditional(
        cls,
        condition: Condition | None = None,
        steps: Iterable[Step | Mapping[str, Any]] = (),
        otherwise: Iterable[Step | Mapping[str, Any]] = (),
        *,
        branches: Iterable[Branch] = (),
        name: str = "conditional",
        **options: Unpack[WorkflowOptions],
    ) -> Workflow:
        """Return a workflow that runs the steps if the condition holds, or those of the first of the `branches` whose
        condition holds, else the other ones, one after the other."""
        return cls(
            "conditional",
            _steps(steps),
            name,
            condition,
            _steps(otherwise),
            branches=tuple(branches),
            **_known(options),
        )

    @classmethod
    @checked
    def loop(
        cls,
        *steps: Step | Mapping[str, Any],
        times: int | None = None,
        items: object = None,
        condition: Condition | None = None,
        break_conditions: Iterable[Condition] = (),
        name: str = "loop",
        **options: Unpack[WorkflowOptions],
    ) -> Workflow:
        """Return a workflow that repeats the steps: `times` times, once for each of `items` (a list, or a placeholder
        for one), or while the condition holds; at most 1000 times, and until one of the `break_conditions` holds after
        a round. Its output is the list of the rounds' outputs."""
        if times is None and items is None and condition is None:
            raise ValidationError("a loop needs times, items or a condition", field="loop")
        if times is not None and (type(times) is not int or not 0 <= times <= MAX_ROUNDS):
            raise ValidationError(f"times: a whole number up to {MAX_ROUNDS}", field="times")
        return cls(
            "loop",
            _steps(steps),
            name,
            condition,
            items=items,
            rounds=MAX_ROUNDS if times is None else times,
            break_conditions=tuple(break_conditions),
            **_known(options),
        )

    @classmethod
    @checked
    def of(cls, given: Workflow | Mapping[str, Any]) -> Workflow:
        """Return a workflow from a mapping: kind, steps, and what its kind takes, as Python or as scripts spell it.
        Raises ValidationError."""
        if isinstance(given, Workflow):
            return given
        fields = workflow_fields(given)
        kind, steps = fields.pop("kind"), _steps(fields.pop("steps"))
        if kind == "conditional":
            fields["branches"] = [
                Branch(each["name"], each["condition"], _steps(each["steps"])) for each in fields["branches"]
            ]
            return cls.conditional(fields.pop("condition", None), steps, **fields)
        make = {"sequential": cls.sequential, "parallel": cls.parallel, "loop": cls.loop}[kind]
        return make(*steps, **fields)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 0 < len(self.name) <= 255:
            raise ValidationError("name: 1 to 255 characters name a workflow", field="name")
        if self.kind not in KINDS:
            raise ValidationError(f"kind: one of {', '.join(KINDS)}", field="kind")
        self._check_options()
        if self.kind == "conditional":
            if (self.condition is None) == (not self.branches):
                raise ValidationError("a conditional workflow needs either a condition or branches", field="condition")
            if len({branch.name for branch in self.branches}) < len(self.branches):
                raise ValidationError(f"workflow {self.name!r}: two branches have the same name", field="branches")
        if not self.steps and not self.branches:
            raise ValidationError(f"workflow {self.name!r} has no steps", field="steps")
        for each in (self.condition, *self.break_conditions):
            if each is not None:
                _check_condition(each)
        nested = [step.workflow._depth for step in self.own_steps() if step.workflow is not None]
        object.__setattr__(self, "_depth", 1 + max(nested, default=0))
        if self._depth > MAX_NESTING:
            raise ValidationError(f"workflows may be nested {MAX_NESTING} deep", field="workflow")
        names = [step.name for step in self.every_step()]
        if len(names) > MAX_STEPS:
            raise ValidationError(f"a workflow may have {MAX_STEPS} steps, this has {len(names)}", field="steps")
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValidationError(f"two steps are named {twice!r}: the name tells whose output is meant", field="name")

    def _check_options(self) -> None:
        if self.error_strategy not in _STRATEGIES:
            raise ValidationError(f"error_strategy: one of {', '.join(_STRATEGIES)}", field="error_strategy")
        if self.timeout is not None and (type(self.timeout) not in (int, float) or not self.timeout > 0):
            raise ValidationError("timeout: a number of seconds above 0 is needed", field="timeout")
        if self.max_concurrency is not None and (type(self.max_concurrency) is not int or self.max_concurrency < 1):
            raise ValidationError("max_concurrency: a whole number above 0 is needed", field="max_concurrency")
        if self.description is not None and not (isinstance(self.description, str) and len(self.description) < 1 << 16):
            raise ValidationError("description: at most 65535 characters are needed", field="description")

    def choices(self) -> tuple[tuple[str, Condition, tuple[Step, ...]], ...]:
        """Return the branches of a conditional workflow: name, condition and steps of each."""
        if self.condition is not None:
            return (("steps", self.condition, self.steps),)
        return tuple((branch.name, branch.condition, branch.steps) for branch in self.branches)

    def own_steps(self) -> Iterator[Step]:
        """Yield the workflow's own steps, without those of nested workflows."""
        yield from self.steps
        for branch in self.branches:
            yield from branch.steps
        yield from self.otherwise

    def every_step(self) -> Iterator[Step]:
        """Yield all steps, also those of nested workflows."""
        for step in self.own_steps():
            yield step
            if step.workflow is not None:
                yield from step.workflow.every_step()

    def check(self) -> None:
        """Raise ValidationError if something refers to a missing step."""
        steps = list(self.every_step())
        names = {step.name for step in steps}
        used: list[tuple[str, object]] = [
            (
                f"workflow {flow.name!r}",
                (flow.condition, flow.items, flow.break_conditions, [each.condition for each in flow.branches]),
            )
            for flow in self.every_flow()
        ]
        used += [(f"step {step.name!r}", (step.input, step.undo and step.undo.input)) for step in steps]
        for what, values in used:
            missing = sorted(names_in(values) - names)
            if missing:
                raise ValidationError(
                    f"{what} uses the output of {missing[0]!r}, and there is no such step", field="input"
                )

    def every_flow(self) -> Iterator[Workflow]:
        """Yield this workflow and those nested in it."""
        yield self
        for step in self.every_step():
            if step.workflow is not None:
                yield step.workflow


def _known(options: WorkflowOptions) -> WorkflowOptions:
    """Return the options. Raises ValidationError for one that there is not."""
    unknown = next((name for name in options if name not in WorkflowOptions.__annotations__), None)
    if unknown is not None:
        names = ", ".join(WorkflowOptions.__annotations__)
        raise ValidationError(f"a workflow takes no {unknown[:64]!r}; there are: {names}", field=unknown[:64])
    return options


def _check_condition(condition: Any) -> None:
    if issubclass(type(condition), Mapping):
        names = set(condition)
        if names in ({"all"}, {"any"}, {"not"}):
            parts = condition["not"] if names == {"not"} else next(iter(condition.values()))
            for part in parts if isinstance(parts, list | tuple) else [parts]:
                _check_condition(part)
            return
        if names & {"tool", "agent"} and not names - {"tool", "agent", "input", "name"}:
            return
        if "value" not in names or len(names) != 2 or not _TESTS & names:
            tests = ", ".join(sorted(_TESTS))
            raise ValidationError(f"condition: an object of value and one of {tests}", field="condition")
    elif not callable(condition) and not issubclass(type(condition), str | bool):
        raise ValidationError("condition: a function, a text, an object, true or false", field="condition")


def _steps(given: Iterable[Step | Mapping[str, Any]]) -> tuple[Step, ...]:
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise ValidationError("steps: a list of steps is needed", field="steps")
    return tuple(Step.of(each) for each in given)


class WorkflowSession(Protocol):
    """The session that a workflow runs in. It journals the calls of the steps."""

    id: str

    def get(self, key: str) -> Any:
        """Return a variable."""
