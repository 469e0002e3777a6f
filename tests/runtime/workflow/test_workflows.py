"""Workflows: the four kinds, what steps pass on, failures, undoing, hooks, and what the journal keeps."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from greenroom.runtime import HookResult, OperationTimeout, Runtime, Session, Step, ValidationError, Workflow

BOUND = 20.0


def add(a: float, b: float = 1) -> float:
    return a + b


def shout(text: str) -> dict[str, Any]:
    return {"text": text.upper(), "letters": list(text)}


def parrot(input: str) -> str:
    return f"it says {input}"


def broken() -> None:
    raise RuntimeError("no such luck")


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    with Runtime.open() as rt:
        rt.tools.register("add", add)
        rt.tools.register("shout", shout)
        rt.tools.register("broken", broken)
        rt.agents.register("parrot", parrot)
        yield rt


@pytest.fixture
def s(runtime: Runtime) -> Session:
    return runtime.create_session(name="flow")


def kinds(s: Session) -> list[str]:
    return [event.type for event in s.events() if event.type.startswith("workflow.")]


def test_steps_in_sequence_use_what_earlier_ones_gave(s: Session) -> None:
    flow = Workflow.sequential(
        Step("loud", tool="shout", input={"text": "{{input.greeting}}"}),
        Step("said", agent="parrot", input="{{step:loud:output.text}}, {{step:loud:output.letters}}!"),
    )
    result = s.run_workflow(flow, {"greeting": "hi"})
    assert result.success
    assert result.output == 'it says HI, ["h", "i"]!'
    assert [(step.name, step.success) for step in result.steps] == [("loud", True), ("said", True)]


def test_a_text_that_is_one_placeholder_passes_the_value_itself(s: Session) -> None:
    flow = Workflow.sequential(
        Step("one", tool="add", input={"a": 2}),
        Step("two", tool="add", input={"a": "{{step:one:output}}", "b": "{{input.more}}"}),
    )
    assert s.run_workflow(flow, {"more": 0.5}).output == 3.5


def test_parallel_steps_are_at_work_at_the_same_time(runtime: Runtime, s: Session) -> None:
    meet = threading.Barrier(3)

    def wait(name: str) -> str:
        meet.wait(BOUND)
        return name

    runtime.tools.register("meet", wait, replace=True)
    flow = Workflow.parallel(*(Step(name, tool="meet", input={"name": name}) for name in "abc"))
    assert s.run_workflow(flow).output == {"a": "a", "b": "b", "c": "c"}


@pytest.mark.parametrize(
    ("condition", "taken"),
    [
        ("{{input.flag}}", bool),
        ({"value": "{{input.flag}}", "equals": True}, lambda flag: flag is True),
        ({"value": "{{input.n}}", "above": 3}, lambda flag: flag),
        (lambda outputs: not outputs, lambda flag: True),
    ],
)
@pytest.mark.parametrize("flag", [True, False])
def test_a_condition_chooses_the_branch(s: Session, condition: Any, taken: Any, flag: bool) -> None:
    flow = Workflow.conditional(
        condition,
        [Step("yes", tool="shout", input={"text": "y"})],
        [Step("no", tool="shout", input={"text": "n"})],
    )
    result = s.run_workflow(flow, {"flag": flag, "n": 4 if flag else 3})
    assert [step.name for step in result.steps] == ["yes" if taken(flag) else "no"]


def test_a_loop_goes_through_items_times_and_while(s: Session) -> None:
    over = Workflow.loop(Step("sum", tool="add", input={"a": "{{item}}", "b": "{{index}}"}), items="{{input}}")
    assert s.run_workflow(over, [10, 20, 30]).output == [10, 21, 32]
    times = Workflow.loop(Step("sum", tool="add", input={"a": "{{index}}"}), times=3)
    result = s.run_workflow(times)
    assert result.output == [1, 2, 3]
    assert [step.round for step in result.steps] == [0, 1, 2]
    until = Workflow.loop(
        Step("sum", tool="add", input={"a": "{{index}}"}), condition=lambda outputs: outputs.get("sum", 0) < 4
    )
    assert s.run_workflow(until).output == [1, 2, 3, 4]


def test_workflows_nest(s: Session) -> None:
    inner = Workflow.parallel(
        Step("x", tool="add", input={"a": "{{step:first:output}}"}), Step("y", tool="add", input={"a": 1})
    )
    flow = Workflow.sequential(
        Step("first", tool="add", input={"a": 1}),
        Step("both", workflow=inner),
        Step("last", tool="add", input={"a": "{{step:x:output}}", "b": "{{step:y:output}}"}),
    )
    assert s.run_workflow(flow).output == 5


def test_a_failure_ends_the_workflow_and_says_where(s: Session) -> None:
    flow = Workflow.sequential(
        Step("fine", tool="add", input={"a": 1}),
        Step("bad", tool="broken", input={}),
        Step("never", tool="add", input={"a": 1}),
    )
    result = s.run_workflow(flow)
    assert not result.success
    assert result.error is not None
    assert (result.error["code"], result.error["step"]) == ("CallFailed", "bad")
    assert [(step.name, step.success) for step in result.steps] == [("fine", True), ("bad", False)]
    assert kinds(s) == ["workflow.started", "workflow.stage", "workflow.stage", "workflow.finished"]


def test_an_optional_step_may_fail(s: Session) -> None:
    flow = Workflow.sequential(
        Step("bad", tool="broken", input={}, optional=True), Step("good", tool="add", input={"a": 1})
    )
    assert s.run_workflow(flow).output == 2


def test_what_was_done_is_undone_in_reverse_when_a_later_step_fails(runtime: Runtime, s: Session) -> None:
    undone: list[str] = []

    def undo(what: str) -> None:
        undone.append(what)

    runtime.tools.register("undo", undo, replace=True)
    flow = Workflow.sequential(
        {"name": "a", "tool": "add", "input": {"a": 1}, "undo": {"tool": "undo", "input": {"what": "a"}}},
        {"name": "b", "tool": "add", "input": {"a": 1}, "undo": {"tool": "undo", "input": {"what": "b"}}},
        {"name": "bad", "tool": "broken", "input": {}, "undo": {"tool": "undo", "input": {"what": "bad"}}},
    )
    assert not s.run_workflow(flow).success
    assert undone == ["b", "a"]
    assert kinds(s)[-3:] == ["workflow.rolled_back", "workflow.rolled_back", "workflow.finished"]


def test_the_whole_workflow_has_a_time(runtime: Runtime, s: Session) -> None:
    go_on = threading.Event()
    runtime.tools.register("stuck", lambda: go_on.wait(BOUND), replace=True)
    flow = Workflow.sequential(Step("slow", tool="stuck", input={}))
    result = s.run_workflow(flow, timeout=0.2)
    go_on.set()
    assert result.error is not None
    assert result.error["code"] == OperationTimeout.__name__


def test_events_of_one_run_belong_together(s: Session) -> None:
    s.run_workflow(Workflow.sequential(Step("one", tool="add", input={"a": 2})))
    events = list(s.events())
    started = next(event for event in events if event.type == "workflow.started")
    later = [event for event in events if event.sequence > started.sequence]
    assert {event.correlation_id for event in later} == {s.id}
    assert {event.root_id for event in later} == {started.id}


def test_every_point_of_a_workflow_is_fired(runtime: Runtime, s: Session) -> None:
    fired: list[str] = []
    points = [
        "BeforeWorkflowStart",
        "WorkflowStageTransition",
        "BeforeWorkflowStage",
        "AfterWorkflowStage",
        "WorkflowCheckpoint",
        "AfterWorkflowComplete",
        "WorkflowError",
        "WorkflowRollback",
    ]
    handles = [
        runtime.hooks.register(point, lambda context, point=point: fired.append(point), inline=True) for point in points
    ]
    try:
        s.run_workflow(Workflow.sequential(Step("one", tool="add", input={"a": 2})))
        assert fired == points[:6]
        fired.clear()
        s.run_workflow(
            Workflow.sequential(
                {"name": "a", "tool": "add", "input": {"a": 1}, "undo": {"tool": "add", "input": {"a": 1}}},
                {"name": "b", "tool": "broken", "input": {}},
            )
        )
        assert {"WorkflowRollback", "WorkflowError"} <= set(fired)
    finally:
        for handle in handles:
            handle.unregister()


def test_hooks_change_a_stage_and_stop_a_workflow(runtime: Runtime, s: Session) -> None:
    flow = Workflow.sequential(Step("one", tool="add", input={"a": 2}))
    with runtime.hooks.register("BeforeWorkflowStage", lambda context: HookResult.modified({"input": {"a": 40}})):
        assert s.run_workflow(flow).output == 41
    with runtime.hooks.register("BeforeWorkflowStage", lambda context: HookResult.replace("instead")):
        assert s.run_workflow(flow).output == "instead"
    with runtime.hooks.register("BeforeWorkflowStage", lambda context: HookResult.cancel("not today")):
        result = s.run_workflow(flow)
        assert result.error is not None
        assert result.error["code"] == "HookCancelled"


@pytest.mark.parametrize(
    "make",
    [
        Workflow.sequential,
        lambda: Workflow.sequential(Step("a", tool="x"), Step("a", tool="y")),
        lambda: Workflow.sequential({"name": "a"}),
        lambda: Workflow.sequential({"name": "a", "tool": "x", "agent": "y"}),
        lambda: Workflow.sequential({"name": "a", "tool": "x", "colour": "red"}),
        lambda: Workflow.loop(Step("a", tool="x")),
        lambda: Workflow.loop(Step("a", tool="x"), times=10_000),
        lambda: Workflow.conditional({"value": 1}, [Step("a", tool="x")]),
        lambda: Step("a:b", tool="x"),
    ],
)
def test_a_wrong_definition_is_refused(make: Any) -> None:
    with pytest.raises(ValidationError):
        make()


def test_an_output_that_cannot_be_there_is_refused_before_anything_runs(s: Session) -> None:
    before = s.info().sequence
    with pytest.raises(ValidationError, match="there is no such step"):
        s.run_workflow(Workflow.sequential(Step("a", tool="add", input={"a": "{{step:ghost:output}}"})))
    assert s.info().sequence == before
