"""The global `Workflow` of scripts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from greenroom.runtime import Runtime, ScriptError


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    with Runtime.open() as rt:
        yield rt


def run(rt: Runtime, source: str, **options: Any) -> Any:
    return rt.run_script(source, **options).value


def test_a_script_builds_and_executes_workflows(runtime: Runtime) -> None:
    session = runtime.create_session()
    value = run(
        runtime,
        """
        local inner = Workflow.parallel{
            {name = "a", tool = "calculator", input = {expression = "{{step:first:output}} * 2"}},
            {name = "b", tool = Tool.get("calculator"), input = {expression = "1 + 1"}},
        }
        local flow = Workflow.sequential{name = "sums", steps = {
            {name = "first", tool = "calculator", input = {expression = "{{input}} + 1"}},
            {name = "both", workflow = inner},
            {name = "text", tool = "template_engine",
             input = {template = "{{step:a:output}} and {{step:b:output}}", variables = {x = 1}}},
        }}
        local done = flow:execute(20)
        assert(done.success, done.error)
        assert(done.data.steps.first.success)
        assert(inner.execute == inner.execute and tostring(flow):find("workflow"))
        return done.data.final_output
        """,
        session=session,
    )
    assert value == "42 and 2"
    stages = [event.data["stage"] for event in session.events() if event.type == "workflow.stage"]
    assert sorted(stages) == ["a", "b", "both", "first", "text"]


def test_loops_and_conditions_are_data(runtime: Runtime) -> None:
    value = run(
        runtime,
        """
        local loop = Workflow.loop{
            items = "{{input}}", {name = "sq", tool = "calculator", input = {expression = "{{item}} * {{item}}"}},
        }
        local branch = Workflow.conditional{
            condition = {value = "{{input}}", above = 10},
            steps = {{name = "big", tool = "text_stats", input = {text = "big"}}},
            otherwise = {{name = "small", tool = "text_stats", input = {text = "small"}}},
        }
        local squares = loop:execute({1, 2, 3}).data.final_output
        return {squares, branch:execute(11).data.steps.big ~= nil, branch:execute(1).data.steps.small ~= nil}
        """,
    )
    assert value == [[1, 4, 9], True, True]


def test_a_failing_step_is_an_answer_and_a_wrong_definition_an_error(runtime: Runtime) -> None:
    value = run(
        runtime,
        """
        local failed = Workflow.sequential{{name = "bad", tool = "calculator", input = {expression = "1 +"}}}:execute()
        return {failed.success, failed.error_step, type(failed.error)}
        """,
    )
    assert value == [False, "bad", "string"]
    for wrong in (
        "Workflow.sequential{}:execute()",
        "Workflow.loop{{name = 'a', tool = 'calculator'}}:execute()",
        "Workflow.sequential{{name = 'a', tool = 'x', colour = 1}}:execute()",
        "Workflow.sequential{{name = 'a', workflow = {}}}",
        "Workflow.parallel(7)",
    ):
        with pytest.raises(ScriptError) as caught:
            run(runtime, wrong)
        assert caught.value.fields["cause"] == "ValidationError"


def test_a_workflow_of_a_bound_script_keeps_within_its_session(runtime: Runtime) -> None:
    own, other = runtime.create_session(), runtime.create_session()
    other.set("secret", 1)
    runtime.tools.register("peek", lambda: other.get("secret"), replace=True)
    value = run(
        runtime,
        "local r = Workflow.sequential{{name = 'p', tool = 'peek', input = {}}}:execute()"
        " return {r.success, r.error_code}",
        session=own,
    )
    assert value == [False, "AccessDenied"]
