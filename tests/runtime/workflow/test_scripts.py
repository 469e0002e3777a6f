"""Workflows, agents and tools of scripts: every function of the objects that they get."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from greenroom.runtime import Runtime, ScriptTimeout, Session, Step, Workflow
from greenroom.runtime.agents import echo


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    with Runtime.open() as rt:
        rt.agents.register("echo", echo)
        rt.agents.register("words", lambda input: (f"{word} " for word in str(input).split()))
        rt.tools.register("say", lambda text: f"said {text}")
        yield rt


def run(rt: Runtime, source: str, **options: Any) -> Any:
    return rt.run_script(source, **options).value


SAY = "{ name = 'say', tool = 'say', input = { text = '{{input}}' } }"


def test_a_workflow_is_an_object(runtime: Runtime) -> None:
    value = run(
        runtime,
        f"""
        local flow = Workflow.sequential {{ name = "greet", description = "Says it.", steps = {{ {SAY} }} }}
        local seen = {{}}
        flow:onBefore(function(run) seen[#seen + 1] = "before " .. run.input end)
        flow:onAfter(function(result) seen[#seen + 1] = "after " .. tostring(result.success) end)
        flow:onError(function(e) seen[#seen + 1] = "error " .. e.code .. " " .. e.step end)
        local done = flow:execute("hi")
        assert(done.success and done.data.final_output == "said hi" and done.data.steps.say.success)
        assert(done.output == "said hi" and done.outputs.say == "said hi" and done.duration_ms >= 0)
        assert(flow.type == "sequential" and flow.name == "greet" and flow.id == flow:getInfo().id)
        local info = flow:getInfo()
        assert(info.step_count == 1 and info.steps[1] == "say" and info.status == "completed")
        assert(flow:validate().valid and #flow:validate().errors == 0)
        flow:setState("mode", {{ fast = true }})
        assert(flow:getState("mode").fast and flow:getState().mode.fast and flow:getState("none") == nil)
        local metrics = flow:getMetrics()
        assert(metrics.executions == 1 and metrics.succeeded == 1 and metrics.average_steps == 1)
        local bad = Workflow.sequential {{ {{ name = "bad", tool = "nothing" }},
                                          on_error = function(e) seen[#seen + 1] = e.step end }}
        assert(not bad:execute().success and bad:getMetrics().failed == 1)
        assert(not bad:validate().valid)
        flow:setState {{ other = 1 }}
        assert(flow:getState("mode") == nil)
        assert(#Workflow.list() == 2 and Workflow.get("greet").id == flow.id and Workflow.get("none") == nil)
        assert(Workflow.remove(bad) and not Workflow.remove(bad) and #Workflow.list() == 1)
        assert(table.concat(Workflow.types(), " ") == "sequential parallel conditional loop")
        return seen
        """,
    )
    assert value == ["before hi", "after true", "bad"]


def test_functions_of_the_script_are_steps_and_conditions(runtime: Runtime) -> None:
    session = runtime.create_session()
    value = run(
        runtime,
        """
        local made = {}
        local flow = Workflow.sequential { steps = {
            { name = "first", type = "function", ["function"] = function(input) return { n = input.n + 1 } end },
            { name = "both", workflow = Workflow.parallel {
                { name = "left", ["function"] = function(input, outputs) return outputs.first.n * 2 end },
                { name = "right", tool = "say", input = { text = "{{step:first:output.n}}" } },
            } },
            { name = "choice", workflow = Workflow.conditional {
                branches = {
                    { name = "small", condition = function(outputs) return outputs.left < 10 end,
                      steps = { { name = "s", tool = "say", input = { text = "small" } } } },
                },
                default_branch = { { name = "l", tool = "say", input = { text = "large" } } },
            } },
            { name = "rounds", workflow = Workflow.loop {
                iterator = { while_condition = function(outputs) return (outputs.count or 0) < 3 end },
                body = { { name = "count", ["function"] = function() made[#made + 1] = 1; return #made end } },
                break_conditions = { "{{step:count:output}} >= 2" },
            } },
        } }
        local done = flow:execute { n = 6 }
        assert(done.success, done.error)
        local steps = done.data.steps
        return { steps.left.output, steps.right.output, steps.choice.output, done.data.final_output }
        """,
        session=session,
    )
    assert value == [14, "said 7", "said large", [1, 2]]


@pytest.mark.parametrize("session", [True, False])
def test_a_function_that_fails_is_a_failed_step(runtime: Runtime, session: bool) -> None:
    bound = runtime.create_session() if session else None
    value = run(
        runtime,
        """
        local bad = { name = "bad", ["function"] = function() error("no such luck") end }
        local done = Workflow.sequential { bad }:execute()
        return { done.success, done.error_step, done.error:find("no such luck") ~= nil }
        """,
        session=bound,
    )
    assert value == [False, "bad", True]


def test_a_script_over_its_time_within_a_step_ends(runtime: Runtime) -> None:
    with pytest.raises(ScriptTimeout):
        run(
            runtime,
            """
            local spin = { name = "spin", ["function"] = function() while true do end end }
            Workflow.parallel { spin, { name = "say", tool = "say", input = { text = 1 } } }:execute()
            """,
            timeout=0.5,
        )


def test_a_script_resumes_what_was_cut_off(runtime: Runtime) -> None:
    session = runtime.create_session()

    def cut_off(input: Any) -> Any:
        raise KeyboardInterrupt

    def interrupted(session: Session) -> None:
        flow = Workflow.sequential(
            Step("say", tool="say", input={"text": "{{input}}"}), Step("mine", function=cut_off), name="two things"
        )
        with pytest.raises(KeyboardInterrupt):
            session.run_workflow(flow, "hi")

    interrupted(session)
    source = """
        local flow = Workflow.sequential { name = "two things", steps = {
            { name = "say", tool = "say", input = { text = "{{input}}" } },
            { name = "mine", ["function"] = function(input, outputs) return outputs.say .. "!" end },
        } }
        local done = flow:resume()
        return { done.data.final_output, done.data.steps.say.resumed, flow:resume().error_code }
    """
    assert run(runtime, source, session=session) == ["said hi!", True, "InvalidOperation"]
    interrupted(session)
    by_id = "local r = Workflow.resume(Workflow.interrupted()[1]); return { r.success, r.error_code, r.error_step }"
    assert run(runtime, by_id, session=session) == [False, "InvalidOperation", "mine"]


# -- agents


def test_an_agent_is_an_object(runtime: Runtime) -> None:
    value = run(
        runtime,
        """
        local agent = Agent.create { name = "helper", provider_model = "echo", system_prompt = "Be kind.",
                                     tools = { "calculator" } }
        assert(agent.type == "llm" and agent.provider == "echo")
        assert(agent:invoke("a b").text == "a b" and agent:execute { text = "c" }.text == "c")
        agent:setState("mood", "calm")
        assert(agent:getState("mood") == "calm" and agent:getState().mood == "calm")
        assert(agent:hasTool("calculator") and not agent:hasTool("say") and #agent:discoverTools() == 1)
        assert(agent:invokeTool("calculator", { expression = "6 * 7" }).result == 42)
        local refused = agent:invokeTool("say", { text = 1 })
        assert(not refused.success and refused.error_code == "AccessDenied")
        local metrics = agent:getMetrics()
        assert(metrics.calls == 2 and metrics.failures == 0 and metrics.total_tokens == 6)
        assert(Agent.getInfo("helper").system_prompt == "Be kind." and Agent.getInfo("nobody") == nil)
        assert(#Agent.listInstances() == 1 and Agent.get("helper").name == "helper")
        assert(#Agent.discover { text = "kind" } == 1 and #Agent.discover { tool = "calculator" } == 1)
        assert(Agent.remove(agent) and Agent.get("helper") == nil and #Agent.listInstances() == 0)
        local ok, e = pcall(function() return agent:invoke("x") end)
        return { ok, e.code }
        """,
    )
    assert value == [False, "ValidationError"]
    assert runtime.agents.get("helper") is None


def test_agents_stream_to_functions(runtime: Runtime) -> None:
    session = runtime.create_session()
    value = run(
        runtime,
        """
        local pieces = {}
        local reply = Agent.get("words"):invokeStream("a b c", function(piece) pieces[piece.index] = piece.text end)
        local first = Agent.get("words"):invokeStream("a b c", function() return false end)
        local ok, e = pcall(function() return Agent.get("words"):invokeStream("a", function() error("mine") end) end)
        return { table.concat(pieces, "|"), reply.text, ok, tostring(e):find("mine") ~= nil }
        """,
        session=session,
    )
    assert value == ["a |b |c ", "a b c ", False, True]
    assert [each.data["success"] for each in session.events() if each.type == "agent.returned"] == [True, True, False]


def test_agents_are_functions_composites_and_tools(runtime: Runtime) -> None:
    value = run(
        runtime,
        """
        local loud = Agent.create { name = "loud", fn = function(input) return (input.text or input) .. "!" end }
        assert(loud:invoke("hey").text == "hey!")
        assert(Agent.register("louder", function(input) return { text = input .. "!!" } end) == "louder")
        local both = Agent.createComposite("both", { "echo", loud, "louder" })
        assert(both:invoke("la").text == "la!!!" and both.type == "composite")
        local choir = Agent.createComposite("choir", { loud, "echo" }, { routing_strategy = "parallel" })
        assert(choir:invoke("la").text == "la!\\n\\nla")
        local name = Agent.wrapAsTool("loud", { tool_name = "ask_loud", description = "Says it louder." })
        assert(Tool.exists(name) and Tool.get(name).description == "Says it louder.")
        local result = Tool.invoke(name, { input = "hey" })
        assert(result.success and result.result == "hey!" and result.text == "hey!", result.error)
        local flow = Workflow.sequential { { name = "ask", tool = name, input = { input = "step" } },
                                           { name = "say", agent = loud, input = "{{step:ask:output}}" } }
        return flow:execute().data.final_output
        """,
    )
    assert value == "step!!"
    assert not runtime.tools.exists("ask_loud")


def test_tools_of_a_script_are_its_own_in_workflows(runtime: Runtime, tmp_path: Any) -> None:
    source = f"""
        local flow = Workflow.sequential {{
            {{ name = "write", tool = "file_operations",
               input = {{ operation = "write", path = "{tmp_path}/x", input = "hi" }} }},
            {{ name = "read", tool = "file-operations", input = {{ operation = "read", path = "{tmp_path}/x" }} }},
        }}
        local done = flow:execute()
        return done.data.final_output or done.error
    """
    assert run(runtime, source, profile="files", directories=[tmp_path]) == "hi"
    assert "no tool" in run(runtime, source)
    assert run(runtime, "return Tool.execute('json-processor', { operation = 'keys', input = { a = 1 } }).result") == [
        "a"
    ]
    assert run(runtime, "return Tool.calculator:getSchema().properties.expression.type") == "string"
    assert run(runtime, "return Tool.getByName('calculator').version") == "1.0.0"
