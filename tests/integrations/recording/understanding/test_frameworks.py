"""What stands on these clients is understood too."""

from __future__ import annotations

import asyncio

import pytest

from .answers import CHAT, RESPONSE
from .servers import Server, plain

openai = pytest.importorskip("openai")


def test_litellm_is_understood(server: Server) -> None:
    litellm = pytest.importorskip("litellm")
    server.answer = (200, "application/json", plain(CHAT))
    litellm.completion(
        model="openai/gpt-4o", messages=[{"role": "user", "content": "Rome?"}], api_base=server.url + "/v1", api_key="k"
    )
    call = server.understood()
    assert (call.model, call.text) == ("gpt-4o", "Let me look.")


def test_openai_agents_is_understood(server: Server) -> None:
    agents = pytest.importorskip("agents")
    answer = {**RESPONSE, "output": [RESPONSE["output"][1]]}
    server.answer = (200, "application/json", plain(answer))
    client = openai.AsyncOpenAI(api_key="k", base_url=server.url + "/v1")
    model = agents.OpenAIResponsesModel("gpt-4o", client)
    agent = agents.Agent("helper", instructions="Be brief.", model=model)
    agents.set_tracing_disabled(True)
    result = asyncio.run(agents.Runner.run(agent, "Rome?"))
    call = server.understood()
    assert (call.text, call.system) == (result.final_output, "Be brief.")
