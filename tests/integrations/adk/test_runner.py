"""A real ADK runner with an agent, a tool and a model that answers from a list, on greenroom's services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from google.adk.agents import LlmAgent
from google.adk.models import BaseLlm, LlmRequest, LlmResponse
from google.adk.runners import Runner
from google.adk.tools import ToolContext
from google.genai import types

from greenroom.runtime import Runtime
from greenroom.runtime.integrations.adk import (
    GreenroomArtifactService,
    GreenroomMemoryService,
    GreenroomSessionService,
)

ANSWERS = [
    types.Part(function_call=types.FunctionCall(name="remember", args={"what": "apples"})),
    types.Part(text="You like apples."),
    types.Part(text="As I said: apples."),
]


class Listed(BaseLlm):
    model: str = "listed"
    answers: list[types.Part]

    async def generate_content_async(
        self, llm_request: LlmRequest, stream: bool = False
    ) -> AsyncGenerator[LlmResponse, None]:
        yield LlmResponse(content=types.Content(role="model", parts=[self.answers.pop(0)]))


async def remember(what: str, tool_context: ToolContext) -> dict[str, Any]:
    """Remember something."""
    tool_context.state["user:likes"] = what
    tool_context.state["temp:seen"] = True
    version = await tool_context.save_artifact("notes.txt", types.Part(text=what))
    return {"version": version}


def test_a_conversation_goes_on_in_another_process_of_the_store(store_path: Path) -> None:
    names: dict[str, Any] = {"app_name": "app", "user_id": "user"}

    async def say(rt: Runtime, text: str, answers: list[types.Part]) -> str:
        sessions = GreenroomSessionService(rt)
        memory = GreenroomMemoryService(rt)
        agent = LlmAgent(name="agent", model=Listed(answers=answers), tools=[remember])
        runner = Runner(
            agent=agent,
            app_name="app",
            session_service=sessions,
            artifact_service=GreenroomArtifactService(rt),
            memory_service=memory,
        )
        if await sessions.get_session(**names, session_id="s") is None:
            await sessions.create_session(**names, session_id="s")
        last = ""
        message = types.Content(role="user", parts=[types.Part(text=text)])
        async for event in runner.run_async(user_id="user", session_id="s", new_message=message):
            if event.content and event.content.parts and event.content.parts[-1].text:
                last = event.content.parts[-1].text
        session = await sessions.get_session(**names, session_id="s")
        assert session is not None
        await memory.add_session_to_memory(session)
        assert session.state == {"user:likes": "apples"}
        return last

    with Runtime.open(store_path) as rt:
        assert asyncio.run(say(rt, "I like apples", ANSWERS[:2])) == "You like apples."
    with Runtime.open(store_path) as rt:
        assert asyncio.run(say(rt, "What do I like?", ANSWERS[2:])) == "As I said: apples."
        session = rt.session(key='adk:["app","user","s"]')
        assert [turn.role for turn in session.messages()] == [
            "user",
            "assistant",
            "assistant",
            "assistant",
            "user",
            "assistant",
        ]
        assert session.get_artifact("notes.txt").content == b"apples"
        found = asyncio.run(GreenroomMemoryService(rt).search_memory(**names, query="apples"))
        assert len(found.memories) == 3
        assert rt.replay(session).identical
        assert rt.verify().problems == []


def test_a_rewind_takes_state_and_artifacts_back(rt: Runtime) -> None:
    names: dict[str, Any] = {"app_name": "app", "user_id": "user", "session_id": "s"}

    async def steps() -> None:
        sessions, artifacts = GreenroomSessionService(rt), GreenroomArtifactService(rt)
        agent = LlmAgent(name="agent", model=Listed(answers=list(ANSWERS)), tools=[remember])
        runner = Runner(agent=agent, app_name="app", session_service=sessions, artifact_service=artifacts)
        await sessions.create_session(**names)
        message = types.Content(role="user", parts=[types.Part(text="I like apples")])
        invocations = [
            event.invocation_id async for event in runner.run_async(user_id="user", session_id="s", new_message=message)
        ]
        assert await artifacts.load_artifact(**names, filename="notes.txt") == types.Part(text="apples")
        await runner.rewind_async(user_id="user", session_id="s", rewind_before_invocation_id=invocations[0])
        assert await artifacts.load_artifact(**names, filename="notes.txt") is None
        session = await sessions.get_session(**names)
        assert session is not None
        assert session.events[-1].actions.rewind_before_invocation_id == invocations[0]

    asyncio.run(steps())
    assert rt.verify().problems == []
