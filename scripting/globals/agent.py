"""The global `Agent`: creates and calls agents for the models that the host has registered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from greenroom.runtime import Agent, ResourceLimitExceeded, ValidationError
from greenroom.runtime.tools import FILE_OPERATIONS
from greenroom.scripting.export import export
from greenroom.scripting.script_context import ScriptContext
from greenroom.scripting.values import UNDEFINED, defined, filled, how

__all__ = ["AgentGlobal"]

_MAX_AGENTS: Final = 1000


class AgentGlobal:
    """Creates and calls agents. Agents of a script are visible to that script only, until it ends. The current session,
    if any, journals the calls."""

    def __init__(self, principal: ScriptContext) -> None:
        self._principal = principal
        self._made: list[Agent] = []

    @export("create")
    def create(self, options: Any) -> dict[str, Any]:
        """Create an agent: create{name, model, system_prompt, tools, …}. Further options are parameters, such as
        temperature."""
        if not isinstance(options, Mapping):
            raise ValidationError("Agent.create takes a table of options", field="options")
        wanted = filled(options)
        if not all(isinstance(key, str) for key in wanted):
            raise ValidationError("Agent.create: the names of options are texts", field="options")
        if len(self._made) >= _MAX_AGENTS:
            raise ResourceLimitExceeded(
                f"a script may create {_MAX_AGENTS} agents", resource="agents", limit=_MAX_AGENTS, value=_MAX_AGENTS
            )
        tools = wanted.pop("tools", None) or ()
        agent = self._principal.runtime.agents.build(
            wanted.pop("name", None), wanted.pop("model", None), wanted.pop("system_prompt", None), tools, **wanted
        )
        if FILE_OPERATIONS in agent.tools:
            # an agent would call the host's file_operations, which scripts must not use
            raise ValidationError(f"tools: agents of scripts have no {FILE_OPERATIONS}", field="tools")
        self._made.append(agent)
        return _row(agent, len(self._made) - 1)

    @export("list")
    def list(self) -> Any:
        """Return the script's own agents and those of the host, by name."""
        rows = {each.name: _row(each, each.name) for each in self._principal.runtime.agents.list()}
        rows.update({each.name: _row(each, number) for number, each in enumerate(self._made)})
        return [rows[name] for name in sorted(rows)]

    @export("get")
    def get(self, name: Any) -> Any:
        for number in range(len(self._made) - 1, -1, -1):
            if self._made[number].name == name:
                return _row(self._made[number], number)
        found = self._principal.runtime.agents.get(name) if isinstance(name, str) else None
        return _row(found, found.name) if found is not None else UNDEFINED

    @export("invoke")
    def invoke(self, handle: Any, input: Any, given: Any = UNDEFINED) -> dict[str, Any]:
        """Call an agent, given by its row or name. Return {text, usage, cost_usd, model, provider, data}."""
        if isinstance(handle, int) and 0 <= handle < len(self._made):
            agent: Agent | str = self._made[handle]
        elif isinstance(handle, str):
            own = next((each for each in reversed(self._made) if each.name == handle), None)
            agent = own if own is not None else handle
        else:
            raise ValidationError("agent: an agent or its name is needed", field="agent")
        principal = self._principal
        message = principal.runtime.agents.message(agent, defined(input), None, **how(given, "Agent.invoke"))
        reply = principal.runtime.agents.send(message, principal.current_id, max(0.001, principal.remaining()))
        return reply.to_dict()


def _row(agent: Agent, handle: int | str) -> dict[str, Any]:
    return {**filled(agent.to_dict()), "handle": handle}
