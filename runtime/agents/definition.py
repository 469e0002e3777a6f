"""An agent's definition: what the journal keeps of it, and what a hook makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from greenroom.runtime.model.agent import Agent
from greenroom.storage.codec.records import pack_value

__all__ = ["changed_by", "given_to"]


def given_to(agent: Agent) -> dict[str, Any] | None:
    """Return what the journal keeps of an agent's definition with each call: what its model gets besides the input.
    None if there is nothing, as for a model without an agent."""
    if agent.system_prompt is None and not agent.tools and not agent.parameters:
        return None
    given: dict[str, Any] = {}
    if agent.system_prompt is not None:
        given["system_prompt"] = agent.system_prompt
    if agent.tools:
        given["tools"] = list(agent.tools)
    if agent.parameters:
        given["parameters"] = pack_value(dict(agent.parameters), "parameters")
    return given


def changed_by(agent: Agent, data: Mapping[str, Any]) -> Agent:
    """Return the agent with the changes of a hook."""
    prompt, tools, parameters = data.get("system_prompt"), data.get("tools"), data.get("parameters")
    pack_value(parameters if isinstance(parameters, dict) else {}, "parameters")
    return Agent(
        agent.name,
        agent.model,
        prompt if isinstance(prompt, str) else None,
        tuple(str(each) for each in tools) if isinstance(tools, list | tuple) else agent.tools,
        MappingProxyType(dict(parameters)) if isinstance(parameters, dict) else agent.parameters,
    )
