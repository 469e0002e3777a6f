"""Workflows that go wrong, or are meant to do harm: limits, undoing, workflows within workflows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from greenroom.runtime import HookResult, Runtime, RuntimeConfig, Session, Step, ValidationError, Workflow

BOUND = 20.0


@pytest.fixture(scope="module")
def undone() -> list[Any]:
    return []


@pytest.fixture(scope="module")
def runtime(undone: list[Any]) -> Iterator[Runtime]:
    def undo(value: Any) -> None:
        undone.append(value)

    with Runtime.open() as rt:
        rt.tools.register("same", lambda value: value)
        rt.tools.register("undo", undo)
        rt.tools.register("delete", lambda context: rt.delete_session(context.session_id))
        yield rt


@pytest.fixture
def s(runtime: Runtime, undone: list[Any]) -> Session:
    undone.clear()
    return runtime.create_session()


def same(name: str, value: Any = None, **more: Any) -> Step:
    return Step(name, tool="same", input={"value": value}, **more)


def failing(name: str = "bad") -> Step:
    return Step(name, tool="no_such_tool", input={})


# -- workflows within workflows


def test_the_input_of_a_workflow_within_is_what_its_step_gives(s: Session) -> None:
    inner = Workflow.sequential(same("x", "{{input.n}}"))
    flow = Workflow.sequential(
        Step("own", workflow=inner, input={"n": "{{input.other}}"}),
        Step("handed_on", workflow=Workflow.sequential(same("y", "{{input.n}}"))),
    )
    result = s.run_workflow(flow, {"n": 1, "other": 2})
    assert [(step.name, step.output) for step in result.steps] == [("x", 2), ("own", 2), ("y", 1), ("handed_on", 1)]


def test_an_optional_workflow_within_may_fail(s: Session) -> None:
    flow = Workflow.sequential(
        Step("within", workflow=Workflow.sequential(failing()), optional=True), same("after", "went on")
    )
    result = s.run_workflow(flow)
    assert (result.success, result.output) == (True, "went on")
    assert [(step.name, step.success) for step in result.steps] == [
        ("bad", False),
        ("within", False),
        ("after", True),
    ]


def test_a_workflow_within_has_the_time_of_its_step(runtime: Runtime, s: Session) -> None:
    release = threading.Event()
    runtime.tools.register("wait", lambda: release.wait(BOUND), replace=True)
    within = Workflow.sequential(Step("first", tool="wait", input={}), Step("second", tool="wait", input={}))
    flow = Workflow.sequential(Step("within", workflow=within, timeout=0.05, optional=True), same("after", 1))
    try:
        result = s.run_workflow(flow, timeout=BOUND)
    finally:
        release.set()
    assert result.success
    assert [(step.name, (step.error or {}).get("code")) for step in result.steps] == [
        ("first", "OperationTimeout"),
        ("within", "OperationTimeout"),
        ("after", None),
    ]


# -- undoing


def test_each_round_of_a_loop_is_undone_with_what_it_gave(s: Session, undone: list[Any]) -> None:
    made = same("made", "thing {{index}}", undo=Step("gone", tool="undo", input={"value": "{{step:made:output}}"}))
    flow = Workflow.sequential(Step("loop", workflow=Workflow.loop(made, times=3)), failing())
    assert not s.run_workflow(flow).success
    assert undone == ["thing 2", "thing 1", "thing 0"]


def test_what_cannot_be_undone_does_not_keep_the_rest_from_it(s: Session, undone: list[Any]) -> None:
    flow = Workflow.sequential(
        same("a", 1, undo=Step("a back", tool="undo", input={"value": "a"})),
        same("b", 1, undo=failing("b back")),
        failing(),
    )
    assert not s.run_workflow(flow).success
    assert undone == ["a"]
    rolled_back = {event.data["stage"]: event.data["success"] for event in s.events() if event.type.endswith("_back")}
    assert rolled_back == {"a": True, "b": False}


def test_a_step_that_deletes_its_session_ends_the_run_with_an_answer(s: Session) -> None:
    flow = Workflow.sequential(
        same("a", 1, undo=Step("a back", tool="undo", input={"value": "a"})), Step("end", tool="delete", input={})
    )
    result = s.run_workflow(flow)
    assert not result.success
    assert result.error is not None
    assert result.error["code"] == "SessionNotFound"


def test_a_run_that_is_refused_at_its_end_is_undone_and_journaled_as_failed(
    runtime: Runtime, s: Session, undone: list[Any]
) -> None:
    hook = runtime.hooks.register("AfterWorkflowComplete", lambda context: HookResult.cancel("no"))
    try:
        flow = Workflow.sequential(same("a", 1, undo=Step("back", tool="undo", input={"value": "a"})))
        result = s.run_workflow(flow)
    finally:
        hook.unregister()
    assert result.error is not None
    assert result.error["code"] == "HookCancelled"
    assert undone == ["a"]
    *_, last = s.events()
    assert (last.type, last.data["success"]) == ("workflow.finished", False)


def test_parallel_steps_have_all_ended_when_the_run_has(runtime: Runtime, s: Session) -> None:
    # The refusal of one comes at once; what is at work beside it is still waited for.
    refused = threading.Event()
    runtime.tools.register("late", lambda: refused.wait(BOUND), replace=True)

    def refuse(context: Any) -> HookResult | None:
        if context.data["to"] == "refused":
            refused.set()
            return HookResult.cancel("no")
        return None

    hook = runtime.hooks.register("WorkflowStageTransition", refuse)
    try:
        flow = Workflow.parallel(same("refused"), Step("other", tool="late", input={}))
        assert not s.run_workflow(flow).success
    finally:
        hook.unregister()
    *_, stage, finished = s.events()
    assert (stage.type, stage.data["stage"], finished.type) == ("workflow.stage", "other", "workflow.finished")


# -- limits


def test_more_parallel_steps_than_threads_take_turns() -> None:
    with Runtime.open(config=RuntimeConfig(max_elastic_threads=8)) as rt:
        gate = threading.Event()

        def wait(number: int) -> int:
            if number == 1:
                gate.set()
            assert gate.wait(BOUND)
            return number

        rt.tools.register("wait", wait)
        flow = Workflow.parallel(*(Step(f"s{n}", tool="wait", input={"number": n}) for n in range(40)))
        result = rt.create_session().run_workflow(flow)
        assert result.output == {f"s{n}": n for n in range(40)}


def test_outputs_that_are_used_many_times_are_refused_before_they_add_up(s: Session) -> None:
    much = "x" * 900_000
    for value in ("{{input}}" * 2000, ["{{input}}"] * 2000, [{"a": ".{{input}}"}] * 2000):
        result = s.run_workflow(Workflow.sequential(same("bomb", value)), much)
        assert result.error is not None
        assert (result.error["code"], result.error["step"]) == ("ValidationError", "bomb")


def test_what_only_looks_like_a_placeholder_is_read_in_one_pass(s: Session) -> None:
    text = "{{input." + " " * 400_000  # an hour, if it were read again for each space
    assert s.run_workflow(Workflow.sequential(same("a", text)), 1).success


def test_loops_in_loops_that_call_nothing_end(runtime: Runtime) -> None:
    flow = Workflow.conditional("false", [same("never")])
    for number in range(3):
        flow = Workflow.loop(Step(f"loop{number}", workflow=flow, optional=True), times=1000)
    result = runtime.workflows.run(flow, None, None, 0.05)
    assert result.error is not None
    assert result.error["code"] == "OperationTimeout"


def test_the_outputs_of_a_run_are_bounded_together(runtime: Runtime) -> None:
    runtime.tools.register("large", lambda: "x" * (15 << 20), replace=True)
    result = runtime.workflows.run(Workflow.loop(Step("a", tool="large", input={}), times=9), None, None, BOUND)
    assert result.error is not None
    assert result.error["code"] == "ResourceLimitExceeded"


def _deep() -> Any:
    value: Any = "{{input}}"
    for _ in range(5000):
        value = [value]
    return value


@pytest.mark.parametrize(
    "make",
    [
        lambda: Workflow.sequential(same("a", 1, undo=Step("back", tool="undo", input="{{step:nobody:output}}"))),
        lambda: Workflow.conditional("{{step:nobody:output}}", [same("a")]),
        lambda: Workflow.sequential(Step("a", workflow=Workflow.loop(same("b"), items="{{step:nobody:output}}"))),
        lambda: Workflow.sequential(same("a", 1, undo=Step("back", workflow=Workflow.sequential(same("b"))))),
        lambda: Workflow.sequential(same("a", _deep())),
        lambda: Workflow.sequential(Step("a", tool=5)),  # type: ignore[arg-type]
        lambda: Workflow.sequential(Step("a", workflow={"kind": "loop"})),  # type: ignore[arg-type]
        lambda: Workflow("circular", (same("a"),)),  # type: ignore[arg-type]
        lambda: Workflow("conditional", (same("a"),)),
    ],
)
def test_what_could_not_work_is_refused_before_anything_runs(s: Session, make: Any) -> None:
    before = s.info().sequence
    with pytest.raises(ValidationError):
        s.run_workflow(make())
    assert s.info().sequence == before
