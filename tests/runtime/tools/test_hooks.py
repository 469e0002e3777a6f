from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from greenroom.runtime import CallFailed, HookCancelled, HookResult, Runtime, Session, ValidationError
from greenroom.runtime.agents import echo

from .conftest import events_of

Hook = Callable[..., None]


@pytest.fixture
def hook(rt: Runtime) -> Iterator[Hook]:
    """Registers hooks that go with the test."""
    handles: list[Any] = []
    yield lambda point, fn, **options: handles.append(rt.hooks.register(point, fn, inline=True, **options))
    for each in handles:
        each.unregister()


def shout(text: str) -> str:
    return text.upper()


@pytest.fixture(autouse=True)
def tools(rt: Runtime) -> None:
    rt.tools.register("shout", shout, replace=True)
    rt.tools.register("whisper", lambda text: text.lower(), replace=True)


def returned(session: Session) -> list[Any]:
    return [each.data["result"] for each in events_of(session, "tool.returned")]


# -- every kind of result around a tool


def test_continue_lets_the_call_be_and_sees_all_of_it(rt: Runtime, session: Session, hook: Hook) -> None:
    seen: list[Any] = []
    for point in ("BeforeToolExecution", "AfterToolExecution"):
        hook(point, lambda context: seen.append((context.point, dict(context.data), context.session_id)))
    assert session.call_tool("shout", {"text": "a"}) == "A"
    before, after = seen
    assert before == ("BeforeToolExecution", {"name": "shout", "input": {"text": "a"}}, session.id)
    assert after[1]["result"] == "A"


def test_modified_input_is_what_the_tool_gets_and_what_is_journaled(session: Session, hook: Hook) -> None:
    hook("BeforeToolExecution", lambda context: HookResult.modified({"input": {"text": "b"}}))
    assert session.call_tool("shout", {"text": "a"}) == "B"
    assert events_of(session, "tool.called")[0].data["input"] == {"text": "b"}


def test_modified_input_is_validated_again(session: Session, hook: Hook) -> None:
    hook("BeforeToolExecution", lambda context: HookResult.modified({"input": {"text": 7}}))
    with pytest.raises(ValidationError):
        session.call_tool("shout", {"text": "a"})
    assert not events_of(session, "tool.called")


def test_a_modified_result_is_what_the_caller_gets(session: Session, hook: Hook) -> None:
    hook("AfterToolExecution", lambda context: HookResult.modified({"result": context.data["result"] + "!"}))
    assert session.call_tool("shout", {"text": "a"}) == "A!"
    assert returned(session) == ["A!"]


def test_cancel_refuses_the_call_and_nothing_is_journaled(session: Session, hook: Hook) -> None:
    hook("BeforeToolExecution", lambda context: HookResult.cancel("not today"))
    with pytest.raises(HookCancelled, match="not today"):
        session.call_tool("shout", {"text": "a"})
    assert not events_of(session, "tool.called")


def test_redirect_calls_another_tool(session: Session, hook: Hook) -> None:
    hook("BeforeToolExecution", lambda context: HookResult.redirect("whisper"))
    assert session.call_tool("shout", {"text": "Aa"}) == "aa"
    assert events_of(session, "tool.called")[0].data["name"] == "whisper"


def test_replace_answers_in_the_place_of_the_tool(session: Session, hook: Hook) -> None:
    hook("BeforeToolExecution", lambda context: HookResult.replace("instead"))
    assert session.call_tool("shout", {"text": "a"}) == "instead"
    assert not events_of(session, "tool.called")


def test_cache_calls_once(session: Session, hook: Hook) -> None:
    hook("BeforeToolExecution", lambda context: HookResult.cache(context.data["input"]["text"], ttl=60))
    assert [session.call_tool("shout", {"text": text}) for text in "aab"] == ["A", "A", "B"]
    assert returned(session) == ["A", "B"]


def test_fork_runs_something_besides(session: Session, hook: Hook) -> None:
    ran = threading.Event()
    hook("AfterToolExecution", lambda context: HookResult.fork([ran.set]))
    assert session.call_tool("shout", {"text": "a"}) == "A"
    assert ran.wait(10)


def test_skipped_abstains(session: Session, hook: Hook) -> None:
    hook("BeforeToolExecution", lambda context: HookResult.skipped("not mine"))
    assert session.call_tool("shout", {"text": "a"}) == "A"


def test_retry_at_a_failure_calls_again_and_each_call_is_journaled(rt: Runtime, session: Session, hook: Hook) -> None:
    attempts: list[int] = []

    def unsteady() -> str:
        attempts.append(1)
        if len(attempts) < 3:
            raise ConnectionError("try again")
        return "at last"

    rt.tools.register("unsteady", unsteady, replace=True)
    hook("ToolError", lambda context: HookResult.retry(0, max_attempts=5))
    assert session.call_tool("unsteady") == "at last"
    assert [each.data["success"] for each in events_of(session, "tool.returned")] == [False, False, True]


def test_an_error_hook_sees_the_error_and_may_recover(rt: Runtime, session: Session, hook: Hook) -> None:
    seen: list[Any] = []

    def recover(context: Any) -> HookResult:
        seen.append(context.data["error"])
        return HookResult.replace("a way out")

    rt.tools.register("broken", lambda: 1 / 0, replace=True)
    hook("ToolError", recover)
    assert session.call_tool("broken") == "a way out"
    assert "CallFailed" in str(seen[0])
    (event,) = events_of(session, "tool.returned")
    assert (event.data["success"], event.data["result"]) == (True, "a way out")
    assert event.data["recovered_from"]["code"] == "CallFailed"


def test_an_error_hook_that_only_looks_changes_nothing(rt: Runtime, session: Session, hook: Hook) -> None:
    seen: list[str] = []
    rt.tools.register("broken", lambda: 1 / 0, replace=True)
    hook("ToolError", lambda context: seen.append(context.data["name"]))
    with pytest.raises(CallFailed):
        session.call_tool("broken")
    assert seen == ["broken"]


def test_a_timeout_is_an_error_that_hooks_see(
    rt: Runtime, session: Session, hook: Hook, release: threading.Event
) -> None:
    rt.tools.register("hang", lambda: release.wait(30), timeout=0.02, replace=True)
    hook("ToolError", lambda context: HookResult.replace("given up"))
    assert session.call_tool("hang") == "given up"
    assert events_of(session, "tool.returned")[0].data["recovered_from"]["code"] == "OperationTimeout"


# -- the other points of tools


def test_validation_hooks_see_what_is_wrong_and_may_mend_it(session: Session, hook: Hook) -> None:
    seen: list[Any] = []

    def mend(context: Any) -> HookResult | None:
        seen.append(list(context.data["errors"]))
        return HookResult.modified({"input": {"text": str(context.data["input"]["text"])}}) if seen[-1] else None

    hook("ToolValidation", mend)
    assert session.call_tool("shout", {"text": 7}) == "7"
    assert session.call_tool("shout", {"text": "a"}) == "A"
    assert [bool(each) for each in seen] == [True, False]


def test_validation_hooks_may_refuse_what_fits(session: Session, hook: Hook) -> None:
    hook("ToolValidation", lambda context: HookResult.cancel("no"))
    with pytest.raises(HookCancelled):
        session.call_tool("shout", {"text": "a"})


def test_discovery_hooks_change_the_filter_and_the_answer(rt: Runtime, hook: Hook) -> None:
    hook("BeforeToolDiscovery", lambda context: HookResult.modified({"filter": {"category": "math"}}))
    assert [each.name for each in rt.tools.list()] == ["calculator"]
    hook("AfterToolDiscovery", lambda context: HookResult.modified({"tools": [*context.data["tools"], "shout", "?"]}))
    assert [each.name for each in rt.tools.discover("anything")] == ["shout"]


# -- agents


def test_agents_have_the_same_hooks(rt: Runtime, session: Session, hook: Hook) -> None:
    hook("BeforeAgentExecution", lambda context: HookResult.modified({"input": context.data["input"] + "?"}))
    assert session.call_agent("echo", "a").text == "a?"
    hook("AfterAgentExecution", lambda context: HookResult.modified({"result": {"text": "changed"}}))
    assert session.call_agent("echo", "a").text == "changed"
    assert [each.data["result"]["text"] for each in events_of(session, "agent.returned")] == ["a?", "changed"]


def test_an_agent_may_be_redirected_to_another(rt: Runtime, session: Session, hook: Hook) -> None:
    rt.agents.register("parrot", lambda input: f"parrot: {input}", replace=True)
    hook("BeforeAgentExecution", lambda context: HookResult.redirect("parrot"))
    assert session.call_agent("echo", "a").text == "parrot: a"
    assert events_of(session, "agent.returned")[0].data["provider"] == "parrot"


def test_a_failed_agent_may_be_recovered(rt: Runtime, session: Session, hook: Hook) -> None:
    rt.agents.register("broken", lambda input: None, replace=True)
    hook("AgentError", lambda context: HookResult.replace("sorry"))
    assert session.call_agent("broken", "a").text == "sorry"


def test_hooks_are_called_when_agents_are_made_and_let_go(rt: Runtime, hook: Hook) -> None:
    seen: list[str] = []
    for point in ("AfterAgentInit", "BeforeAgentShutdown", "AfterAgentShutdown"):
        hook(point, lambda context: seen.append(f"{context.point} {context.data['name']}"))
    hook("BeforeAgentInit", lambda context: HookResult.modified({"system_prompt": "Be kind."}))
    assert rt.agents.create("new", "echo").system_prompt == "Be kind."
    assert rt.agents.remove("new")
    assert seen == ["AfterAgentInit new", "BeforeAgentShutdown new", "AfterAgentShutdown new"]
    hook("BeforeAgentInit", lambda context: HookResult.cancel("enough"))
    with pytest.raises(HookCancelled):
        rt.agents.create("more", "echo")
    assert rt.agents.get("more") is None


def test_agents_are_let_go_when_the_runtime_closes() -> None:
    seen: list[str] = []
    with Runtime.open() as rt:
        rt.agents.register("echo", echo)
        rt.agents.create("one", "echo")
        rt.hooks.register("BeforeAgentShutdown", lambda context: seen.append(context.data["reason"]), inline=True)
        rt.hooks.register("BeforeAgentShutdown", lambda context: HookResult.cancel("stay"), inline=True)
    assert seen == ["closing"]


def test_hooks_hold_for_scripts_too(rt: Runtime, session: Session, hook: Hook) -> None:
    hook("BeforeToolExecution", lambda context: HookResult.cancel("not from scripts"))
    result = rt.run_script('return Tool.invoke("shout", {text = "a"})', session=session).value
    assert result["success"] is False
    assert "not from scripts" in result["error"]
