"""The context that an agent's callable gets with a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from greenroom.runtime.calls.work import CallContext
from greenroom.runtime.model.agent import Agent
from greenroom.runtime.tools import Tool
from greenroom.storage.codec.records import Json
from greenroom.storage.errors import AccessDenied

__all__ = ["AgentContext"]


class AgentContext(CallContext):
    """Describes a call to the agent's callable, in the parameter `context`. Adds the `agent` to a CallContext, and
    limits `call_tool` to the tools of that agent."""

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
    def parameters(self) -> Mapping[str, Json]:
        return self.agent.parameters

    @property
    def tools(self) -> list[Tool]:
        """The registered tools that the agent may call."""
        found = (self._calls.tools.get(each) for each in self.agent.tools)
        return [each for each in found if each is not None]

    def call_tool(self, name: str, input: object = None, timeout: float | None = None) -> Any:
        """Call one of the agent's tools, in the same session. Raises AccessDenied for any other."""
        if name not in self.agent.tools:
            raise AccessDenied(
                f"agent {self.agent.name!r} may not call the tool {str(name)[:64]!r}: it is not among its tools"
            )
        return CallContext.call_tool(self, name, input, timeout)
