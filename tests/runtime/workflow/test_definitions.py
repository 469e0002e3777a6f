"""Workflows as mappings, in the spellings of Python and of scripts; branches, iterators, functions and strategies."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import (
    Branch,
    CallContext,
    HookResult,
    InvalidOperation,
    ReplayConfig,
    Runtime,
    Session,
    Step,
    ValidationError,
    Workflow,
)


def say(text: Any) -> str:
    return f"said {text}"


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    with Runtime.open() as rt:
        rt.tools.register("say", say)
        rt.agents.register("echo", str)
        yield rt


@pytest.fixture
def s(runtime: Runtime) -> Session:
    return runtime.create_session(name="flow")


def saying(name: str, text: Any) -> dict[str, Any]:
    return {"name": name, "type": "tool", "tool": "say", "parameters": {"text": text}}


def output(s: Session, flow: Any, input: Any = None) -> Any:
    result = s.run_workflow(flow, input)
    assert result.success, result.error
    return result.output


def test_a_mapping_is_read_in_the_spelling_of_scripts(s: Session) -> None:
    flow = {
        "type": "sequential",
        "name": "greeting",
        "description": "Greets twice.",
        "error_strategy": "retry",
        "timeout_ms": 20_000,
        "steps": [
            {**saying("first", "{{input}}"), "retry_count": 2, "timeout_ms": 5000},
            {"name": "second", "type": "agent", "agent": "echo", "input": "{{step:first:output}}!"},
        ],
    }
    assert output(s, flow, "hi") == "said hi!"
    read = Workflow.of(flow)
    assert (read.timeout, read.error_strategy, read.steps[0].retries, read.steps[0].timeout) == (20.0, "retry", 2, 5.0)
    assert Workflow.of(read) is read


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"kind": "sequential", "steps": [], "max_concurency": 1}, "did you mean 'max_concurrency'"),
        (
            {"kind": "sequential", "steps": [{"name": "a", "tool": "say", "retrycount": 1}]},
            "did you mean 'retry_count'",
        ),
        ({"kind": "loop", "body": [saying("a", 1)], "iterator": {"rage": 1}}, "iterator"),
        ({"kind": "loop", "body": [saying("a", 1)], "iterator": {"range": {"start": 1, "end": 1e9}}}, "at most 1000"),
        ({"kind": "loop", "body": [saying("a", 1)], "iterator": {"range": {"start": 1, "end": 3, "step": 0}}}, "range"),
        ({"kind": "loop", "body": [saying("a", 1)], "steps": [saying("a", 1)], "times": 1}, "given twice"),
        ({"kind": "conditional", "branches": []}, "condition or branches"),
        ({"kind": "conditional", "branches": [{"name": "a", "steps": []}]}, "needs a condition"),
        ({"kind": "sequential", "steps": [{"name": "a", "type": "agent", "tool": "say"}]}, "no 'agent'"),
        ({"kind": "sequential", "steps": [{"name": "a", "type": "wizard", "tool": "say"}]}, "type is one of"),
        ({"kind": "sequential", "steps": [saying("a", 1)], "error_strategy": "panic"}, "error_strategy"),
        ({"kind": "sequential", "steps": [saying("a", 1)], "timeout_ms": 0}, "timeout_ms"),
        ({"kind": "parallel", "steps": [saying("a", 1)], "max_concurrency": 0}, "max_concurrency"),
        ({"kind": "sequential", "steps": [saying("a", "{{step:b:output}}")]}, "no such step"),
        ({"kind": "circular", "steps": []}, "kind: one of"),
    ],
)
def test_what_cannot_be_meant_is_refused(s: Session, wrong: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        s.run_workflow(wrong)
    assert not [each for each in s.events() if each.type.startswith("workflow.")]


@pytest.mark.parametrize(
    ("iterator", "expected"),
    [
        ({"range": {"start": 1, "end": 3}}, ["said 1 0", "said 2 1", "said 3 2"]),
        ({"range": {"start": 5, "end": 1, "step": -2}}, ["said 5 0", "said 3 1", "said 1 2"]),
        ({"range": [1, 2]}, ["said 1 0", "said 2 1"]),
        ({"range": 2}, ["said 1 0", "said 2 1"]),
        ({"range": {"start": 1, "end": 0}}, []),
        ({"collection": ["a", {"b": 1}]}, ["said a 0", 'said {"b": 1} 1']),
        ({"collection": "{{input}}"}, ["said x 0"]),
        ({"collection": {}}, []),
        ({"collection": [{"n": 7}]}, ['said {"n": 7} 0']),
        ({"while_condition": "{{loop:current_index}} < 2"}, ["said null 0", "said null 1"]),
    ],
)
def test_loops_iterate(s: Session, iterator: Any, expected: list[str]) -> None:
    body = [saying("body", "{{loop:current_value}} {{loop:current_index}}")]
    assert output(s, {"kind": "loop", "iterator": iterator, "body": body}, ["x"]) == expected


def test_an_iterator_may_be_named(s: Session) -> None:
    body = [saying("body", "{{loop:current_item}}")]
    assert output(s, {"kind": "loop", "iterator": "range", "start": 1, "end": 5, "step": 2, "body": body}) == [
        "said 1",
        "said 3",
        "said 5",
    ]
    assert output(s, {"kind": "loop", "iterator": "collection", "items": ["x"], "body": body}) == ["said x"]
    assert output(s, {"kind": "loop", "collection": ["x"], "body": body}) == ["said x"]
    more = {"kind": "loop", "iterator": "while", "condition": "{{index}} < 1", "body": body, "max_iterations": 9}
    assert output(s, more) == ["said None"]


def test_branches_run_at_once(s: Session) -> None:
    branches = [
        {"name": "left", "steps": [saying("a", 1), saying("b", "{{step:a:output}}")]},
        {"name": "right", "steps": [{"name": "bad", "tool": "nothing"}], "required": False},
    ]
    assert output(s, {"kind": "parallel", "branches": branches}) == {"left": "said said 1", "right": None}


def test_loops_break_and_have_a_most_of_rounds(s: Session) -> None:
    body = [saying("body", "{{loop:current_value}}")]
    flow: dict[str, Any] = {"kind": "loop", "iterator": {"range": {"start": 1, "end": 9}}, "body": body}
    assert output(s, {**flow, "break_conditions": ["{{step:body:output}} == 'said 2'"]}) == ["said 1", "said 2"]
    assert output(s, {**flow, "break_conditions": lambda outputs: outputs["body"] == "said 1"}) == ["said 1"]
    assert output(s, {**flow, "max_iterations": 3}) == ["said 1", "said 2", "said 3"]


@pytest.mark.parametrize(
    ("condition", "input", "holds"),
    [
        ("{{input}} > 3", 4, True),
        ("{{input}} > 3", 3, False),
        ("{{input}} >= 3", 3.0, True),
        ("{{input}} <= 3", "2", True),
        ("{{input}} == high", "high", True),
        ("{{input}} == 'high'", "high", True),
        ("{{input}} != 'high'", "high", False),
        ("{{input}} ~= 1", 2, True),
        ("{{input}} == true", True, True),
        ("{{input.a}} == null", {"a": None}, True),
        ("{{input}} contains 'b'", "abc", True),
        ("{{input}} contains b", ["a", "b"], True),
        ("{{input}}", "2 > 3", True),  # what a placeholder gives is no comparison
        ("{{input}} == 'x'", "'x'", False),
        (True, None, True),
        (False, None, False),
        (lambda outputs: outputs == {}, None, True),
        ({"value": "{{input}}", "above": 3}, 4, True),
        ({"all": ["{{input}} > 3", lambda outputs: True]}, 4, True),
        ({"any": ["{{input}} > 3", {"not": True}]}, 3, False),
        ({"not": {"value": "{{input}}", "equals": 3}}, 3, False),
        ({"tool": "say", "input": {"text": "{{input}}"}}, 3, True),
        ({"tool": "calculator", "input": {"expression": "{{input}} - 3"}}, 3, False),
    ],
)
def test_conditions(s: Session, condition: Any, input: Any, holds: bool) -> None:
    flow = Workflow.conditional(condition, [saying("yes", 1)], [saying("no", 1)])
    result = s.run_workflow(flow, input)
    assert [step.name for step in result.steps] == ["yes" if holds else "no"]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"type": "always"}, True),
        ({"type": "never"}, False),
        ("always", True),
        ({"type": "shared_data_equals", "key": "mode", "expected": "on"}, True),
        ({"type": "step_output_contains", "step_name": "first", "substring": "aid 1"}, True),
        ({"type": "step_output_equals", "step_name": "first", "expected": "said 2"}, False),
        ({"type": "and", "conditions": [{"type": "always"}, "{{step:first:output}} == 'said 1'"]}, True),
        ({"type": "or", "conditions": [{"type": "never"}, False]}, False),
        ({"type": "not", "condition": {"type": "never"}}, True),
        ({"type": "tool", "tool": "say", "input": {"text": 1}}, True),
    ],
)
def test_conditions_of_scripts(s: Session, condition: Any, holds: bool) -> None:
    s.set("mode", "on")
    inner = {"kind": "conditional", "condition": condition, "steps": [saying("yes", 1)], "otherwise": [saying("no", 2)]}
    assert output(s, {"kind": "sequential", "steps": [saying("first", 1), {"name": "in", "workflow": inner}]}) == (
        "said 1" if holds else "said 2"
    )


def test_what_cannot_be_compared_fails_the_workflow(s: Session) -> None:
    result = s.run_workflow(Workflow.conditional("{{input}} > 3", [saying("yes", 1)]), {"a": 1})
    assert result.error is not None
    assert result.error["code"] == "ValidationError"


@pytest.mark.parametrize(("number", "expected"), [(1, "small"), (50, "middle"), (500, "large")])
def test_the_first_branch_that_holds_is_taken(s: Session, number: int, expected: str) -> None:
    branches = [
        {"name": "small", "condition": "{{input}} < 10", "steps": [saying("s", "small")]},
        {"name": "middle", "condition": "{{input}} < 100", "steps": [saying("m", "middle")]},
    ]
    for default in ([saying("l", "large")], {"name": "rest", "steps": [saying("l", "large")]}, saying("l", "large")):
        flow = {"kind": "conditional", "branches": branches, "default_branch": default}
        assert output(s, flow, number) == f"said {expected}"
    named = [*branches, {"name": "rest", "condition": False, "steps": [saying("l", "large")]}]
    assert output(s, {"kind": "conditional", "branches": named, "default_branch": "rest"}, number) == f"said {expected}"
    python = Workflow.conditional(
        branches=[Branch("small", "{{input}} < 10", (Step("s", tool="say", input={"text": "small"}),))],
        otherwise=[saying("l", "large")],
    )
    assert output(s, python, number) == ("said small" if number < 10 else "said large")


def test_the_state_is_put_into_inputs(runtime: Runtime, s: Session) -> None:
    s.set("name", "Ada")
    s.set("user", {"city": "London"})
    s.set("a.b", {"c": 1})
    flow = Workflow.sequential(saying("x", "{{state:name}}, {{state:user.city}}, {{state:a.b.c}}, {{ state:none }}"))
    assert output(s, flow) == "said Ada, London, 1, null"
    runtime.state_scope("global").set("name", "everybody")
    assert runtime.workflows.run(flow, None, None, 10).output == "said everybody, null, null, null"
    assert runtime.workflows.run(flow, s, None, 10, state={"name": "own"}).output == "said own, London, 1, null"


def test_functions_are_steps(s: Session) -> None:
    main = threading.get_ident()
    seen: list[Any] = []

    def first(input: Any) -> dict[str, Any]:
        seen.append((input, threading.get_ident() == main))
        return {"n": 1}

    def second(input: Any, outputs: dict[str, Any]) -> Any:
        return [input, outputs["first"]["n"]]

    flow = Workflow.sequential(
        Step("first", function=first), Step("second", function=second, input={"x": "{{step:first:output.n}}"})
    )
    assert output(s, flow, "given") == [{"x": 1}, 1]
    assert seen == [("given", True)]
    assert output(s, Workflow.loop(Step("each", function=lambda item: item * 2), items=[1, 2])) == [2, 4]
    assert output(s, Workflow.sequential(Step("none", function=lambda: 7))) == 7


@pytest.mark.parametrize("failing", [lambda: 1 / 0, lambda: {1: object()}, lambda a, b, c: 1])
def test_a_function_that_fails_is_a_failed_step(s: Session, failing: Any) -> None:
    result = s.run_workflow(Workflow.sequential(Step("bad", function=failing)))
    assert result.error is not None
    assert (result.error["code"], result.error["step"]) == ("CallFailed", "bad")


def test_an_async_function_is_refused_with_advice(s: Session) -> None:
    async def later() -> int:
        return 1

    result = s.run_workflow(Workflow.sequential(Step("later", function=later)))
    assert result.error is not None
    assert "register it as a tool" in result.error["message"]


class OnOneThread:
    """A function that may be called on one thread only, like those of scripts."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()

    def __call__(self, input: Any) -> Any:
        assert threading.get_ident() == self.thread
        return input


def test_functions_with_a_thread_of_their_own_are_called_there_also_in_parallel(s: Session) -> None:
    here = OnOneThread()
    inner = Workflow.sequential(Step("deep", function=here, input=3), saying("said", "{{step:deep:output}}"))
    flow = Workflow.parallel(
        Step("a", function=here, input=1),
        saying("b", 2),
        Step("c", workflow=inner),
        Step("d", workflow=Workflow.loop(Step("e", function=here, input="{{index}}"), times=5)),
        Step("f", workflow=Workflow.conditional(here, [saying("g", 4)], [saying("h", 5)])),
    )
    expected = {"a": 1, "b": "said 2", "c": "said 3", "d": [0, 1, 2, 3, 4], "f": "said 4"}
    assert output(s, flow) | {"f": "said 4"} == expected


def test_no_more_steps_run_at_a_time_than_wanted(runtime: Runtime, s: Session) -> None:
    at_work, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        threading.Event().wait(0.01)
        with lock:
            at_work -= 1

    runtime.tools.register("work", work, replace=True)
    steps = [{"name": f"s{number}", "tool": "work"} for number in range(8)]
    output(s, {"kind": "parallel", "steps": steps, "max_concurrency": 2})
    assert most <= 2


def test_a_step_is_tried_again(runtime: Runtime, s: Session) -> None:
    tries: list[int] = []

    def flaky(fails: int) -> str:
        tries.append(1)
        if len(tries) <= fails:
            raise ConnectionError("again")
        return "done"

    runtime.tools.register("flaky", flaky, replace=True)
    once = {"name": "x", "tool": "flaky", "input": {"fails": 1}}
    assert not s.run_workflow({"kind": "sequential", "steps": [once]}).success
    for flow in (
        {"kind": "sequential", "steps": [{**once, "retry_count": 1}]},
        {"kind": "sequential", "steps": [once], "error_strategy": "retry"},
    ):
        tries.clear()
        result = s.run_workflow(flow)
        assert (result.output, len(tries), result.steps[0].attempts) == ("done", 2, 2)
    assert [each.data["attempts"] for each in s.events() if each.data.get("attempts")] == [2, 2]
    tries.clear()
    gone = {"kind": "sequential", "steps": [{**once, "input": {"fails": 9}, "retry_count": 2}]}
    assert (s.run_workflow(gone).success, len(tries)) == (False, 3)
    tries.clear()
    wrong = {"kind": "sequential", "steps": [{**once, "input": {"fail": 9}}], "error_strategy": "retry"}
    assert (s.run_workflow(wrong).success, len(tries)) == (False, 0)


def test_a_workflow_continues_after_failed_steps(s: Session) -> None:
    steps = [{"name": "bad", "tool": "nothing"}, saying("good", 1)]
    result = s.run_workflow({"kind": "sequential", "steps": steps, "error_strategy": "continue"})
    assert (result.success, result.output) == (True, "said 1")
    assert [step.success for step in result.steps] == [False, True]
    both = s.run_workflow({"kind": "parallel", "steps": steps, "error_strategy": "continue"})
    assert both.output == {"bad": None, "good": "said 1"}


def test_a_workflow_within_has_a_time_limit_of_its_own(runtime: Runtime, s: Session) -> None:
    release = threading.Event()
    runtime.tools.register("hang", lambda: release.wait(20), replace=True)
    inner = {"kind": "sequential", "timeout_ms": 50, "steps": [{"name": "hang", "tool": "hang"}]}
    result = s.run_workflow({"kind": "sequential", "steps": [{"name": "in", "workflow": inner}]})
    release.set()
    assert result.error is not None
    assert result.error["code"] == "OperationTimeout"


# -- what the journal has of it


def everything(s: Session) -> None:
    """Run a workflow with all that the journal keeps: functions, large values, decisions, failures, undoing."""
    s.set("mode", "on")
    flow = Workflow.sequential(
        Step("large", function=lambda: {"text": "x" * 30_000}),
        Step(
            "choice",
            workflow=Workflow.conditional(
                branches=[
                    Branch("a", lambda outputs: False, (Step.of(saying("a", 1)),)),
                    Branch("b", "{{state:mode}} == on", (Step.of(saying("b", "{{step:large:output.text}}")),)),
                ]
            ),
        ),
        Step(
            "rounds",
            workflow=Workflow.loop(
                Step("cells", workflow=Workflow.loop(saying("cell", "{{item}}{{index}}"), times=2)),
                items="{{state:items}}",
            ),
        ),
        Step("undone", tool="say", input={"text": 1}, undo=Step("back", function=lambda: 1)),
        Step("bad", tool="nothing", optional=True),
        Step("worse", tool="nothing"),
    )
    s.set("items", ["x" * 5000, "y"])
    result = s.run_workflow(flow, {"in": "z" * 20_000})
    assert result.error is not None
    assert result.error["step"] == "worse"


def test_a_replay_is_exact(runtime: Runtime, s: Session) -> None:
    everything(s)
    replay = runtime.replay(s, ReplayConfig(mode="exact"))
    assert replay.identical, replay.divergence
    assert {"workflow.decided", "workflow.rolled_back"} <= {each.type for each in s.events()}


def test_a_bundle_has_all_of_it(runtime: Runtime, s: Session, tmp_path: Path) -> None:
    everything(s)
    runtime.export_session(s.id, tmp_path / "bundle")
    with Runtime.open() as other:
        other.import_session(tmp_path / "bundle")
        assert other.verify().problems == []
        there = other.session(s.id)
        for mine, theirs in zip(s.events(), there.events(), strict=False):
            assert (mine.type, mine.data) == (theirs.type, theirs.data)


def test_a_workflow_that_was_cut_off_is_known_and_resumed_once(runtime: Runtime, s: Session) -> None:
    """The process goes on here, but the run does not: an interrupt leaves it without an end."""
    calls: list[str] = []
    runtime.tools.register("note", lambda what: calls.append(what) or len(calls), replace=True)

    def interrupted(outputs: Any = None) -> bool:
        raise KeyboardInterrupt

    flow = Workflow.sequential(
        Step("one", tool="note", input={"what": "one"}, undo=Step("back", tool="note", input={"what": "undone"})),
        Step("two", function=interrupted),
        Step("three", tool="note", input={"what": "{{input.last}}"}),
        name="three things",
    )
    with pytest.raises(KeyboardInterrupt):
        s.run_workflow(flow, {"last": "three"})
    (run,) = s.interrupted_workflows()
    with pytest.raises(ValidationError, match="has no step"):
        s.resume_workflow(run, {"zwei": len})
    with pytest.raises(InvalidOperation, match="no run 'other'"):
        s.resume_workflow("other")
    with pytest.raises(InvalidOperation, match="no run of this workflow"):
        s.resume_workflow(Workflow.sequential(saying("x", 1)))
    result = s.resume_workflow(run, {"two": lambda input: 2})
    assert result.success
    assert (result.run_id, calls) == (run, ["one", "three"])
    assert [(step.name, step.resumed) for step in result.steps] == [("one", True), ("two", False), ("three", False)]
    assert s.interrupted_workflows() == []
    with pytest.raises(InvalidOperation, match="no workflow that was interrupted"):
        s.resume_workflow()
    types = [each.type for each in s.events() if each.type.startswith("workflow.")]
    assert types == [
        "workflow.started",
        *["workflow.stage"],
        "workflow.resumed",
        *["workflow.stage"] * 2,
        "workflow.finished",
    ]
    roots = {each.root_id for each in s.events() if each.type.startswith(("workflow.", "tool."))}
    assert len(roots) == 1
    assert runtime.replay(s, ReplayConfig(mode="exact")).identical


def test_without_its_functions_a_resumed_workflow_fails_and_says_which(runtime: Runtime, s: Session) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    flow = Workflow.sequential(saying("a", 1), Step("mine", function=interrupted))
    with pytest.raises(KeyboardInterrupt):
        s.run_workflow(flow)
    result = s.resume_workflow()
    assert result.error is not None
    assert (result.error["code"], result.error["step"]) == ("InvalidOperation", "mine")
    assert "functions={'mine': …}" in result.error["message"]


def test_a_run_that_is_under_way_is_not_resumed(s: Session) -> None:
    seen: list[Any] = []

    def look() -> None:
        seen.append(s.interrupted_workflows())
        with pytest.raises(InvalidOperation):
            s.resume_workflow()

    assert output(s, Workflow.sequential(Step("look", function=look))) is None
    assert seen == [[]]


def test_a_tool_gets_the_same_key_when_its_step_is_done_again(s: Session, runtime: Runtime) -> None:
    keys: list[Any] = []

    def fragile(context: CallContext) -> int:
        keys.append(context.idempotency_key)
        if len(keys) == 1:
            raise KeyboardInterrupt
        return len(keys)

    runtime.tools.register("fragile", fragile, quick=True, replace=True)
    flow = Workflow.loop(Step("each", tool="fragile"), times=2)
    with pytest.raises(KeyboardInterrupt):
        s.run_workflow(flow)
    assert s.resume_workflow().output == [2, 3]
    assert keys[0] == keys[1] != keys[2]


def test_hooks_do_not_run_again_for_what_had_ended(runtime: Runtime) -> None:
    with Runtime.open() as rt:
        rt.tools.register("say", say)
        s = rt.create_session()
        stages: list[str] = []

        def watch(context: Any) -> HookResult:
            stages.append(context.data["stage"])
            return HookResult.continue_()

        rt.hooks.register("BeforeWorkflowStage", watch)
        stop = [True]

        def interrupted() -> int:
            if stop.pop():
                raise KeyboardInterrupt
            return 1

        flow = Workflow.sequential(saying("a", 1), Step("b", function=interrupted))
        with pytest.raises(KeyboardInterrupt):
            s.run_workflow(flow)
        stop.append(False)
        assert s.resume_workflow(flow).success
        assert stages == ["a", "b", "b"]
