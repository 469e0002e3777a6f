"""An agent, and what its callable is told of a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from greenroom.runtime.calls.work import CallContext
from greenroom.runtime.tools import Tool
from greenroom.storage.codec.records import Value
from greenroom.storage.errors import AccessDenied

__all__ = ["Agent", "AgentContext"]


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent: a model with a system prompt, the names of the tools it may call, and other parameters such as
    temperature. Made by `Agents.create`; not durable."""

    name: str
    model: str
    system_prompt: str | None = None
    tools: tuple[str, ...] = ()
    parameters: Mapping[str, Value] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Value]:
        return {
            "name": self.name,
            "model": self.model,
            "system_prompt": self.system_prompt,
            "tools": list(self.tools),
            "parameters": dict(self.parameters),
        }


class AgentContext(CallContext):
    """What an agent's callable is told of its call, in the parameter `context`: besides what a CallContext has, the
    `agent`, and by `call_tool` the tools that it may call."""

    def __init__(self, call: CallContext, agent: Agent) -> None:
        self.__dict__.update(call.__dict__)
        self._call = call
        self.agent = agent

    @property
    def model(self) -> str:
        return self.agent.model

    @property
    def system_prompt(self) -> str | None:
        return self.agent.system_prompt

    @property
    def parameters(self) -> Mapping[str, Value]:
        return self.agent.parameters

    @property
    def tools(self) -> list[Tool]:
        """The tools that the agent may call and that are there."""
        found = (self._runtime.tools.get(each) for each in self.agent.tools)
        return [each for each in found if each is not None]

    def call_tool(self, name: str, input: Value = None, timeout: float | None = None) -> Any:
        """Call one of the agent's tools, in the same session. Raises AccessDenied for any other."""
        if name not in self.agent.tools:
            raise AccessDenied(
                f"agent {self.agent.name!r} may not call the tool {str(name)[:64]!r}: it is not among its tools"
            )
        return CallContext.call_tool(self, name, input, timeout)
