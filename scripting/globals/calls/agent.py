"""The global `Agent`: creates and calls agents for the models that the host has registered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from greenroom.runtime import Agent, ResourceLimitExceeded, ValidationError
from greenroom.runtime.tools import FILE_OPERATIONS
from greenroom.scripting.definition.examples import example
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.shapes import DICT, Fluent, Maybe, Page
from greenroom.scripting.definition.types import Json, Table
from greenroom.scripting.definition.values import UNDEFINED, defined
from greenroom.scripting.globals.choices import HOW
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.objects import AGENT
from greenroom.scripting.globals.references import named
from greenroom.scripting.globals.rows import filled

__all__ = ["AgentGlobal"]

_MAX_AGENTS: Final = 1000


class AgentGlobal:
    """Creates and calls agents. Agents of a script are visible to that script only, until it ends. The current session,
    if any, journals the calls."""

    NAME = "Agent"

    def __init__(self, context: ScriptContext) -> None:
        self._context = context
        self._made: list[Agent] = []

    @export("create", returns=AGENT, example=example({"name": "writer", "model": "echo", "system_prompt": "Be brief."}))
    def create(self, options: Table) -> dict[str, Any]:
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
        self._context.keep(wanted, "agents")
        tools = wanted.pop("tools", None) or ()
        if isinstance(tools, list | tuple):
            tools = [named(each) for each in tools]
        agent = self._context.runtime.agents.build(
            wanted.pop("name", None), wanted.pop("model", None), wanted.pop("system_prompt", None), tools, **wanted
        )
        if FILE_OPERATIONS in agent.tools:
            # an agent would call the host's file_operations, which scripts must not use
            raise ValidationError(f"tools: agents of scripts have no {FILE_OPERATIONS}", field="tools")
        self._made.append(agent)
        return _row(agent, len(self._made) - 1)

    @export(
        "builder",
        returns=Fluent("agent builder", "Agent.create", ("build", "create"), {"tool": "tools"}),
        example=example(),
    )
    def builder(self) -> dict[str, Any]:
        """Return a builder: builder():name("x"):model("m"):temperature(0.2):build(). Any method sets the option of its
        name."""
        return {}

    @export("list", returns=Page(AGENT), example=example())
    def list(self) -> Any:
        """Return the script's own agents and those of the host, by name."""
        rows = {each.name: _row(each, each.name) for each in self._context.runtime.agents.list()}
        rows.update({each.name: _row(each, number) for number, each in enumerate(self._made)})
        return [rows[name] for name in sorted(rows)]

    @export("get", returns=Maybe(AGENT), example=example("echo"))
    def get(self, name: Json) -> Any:
        """Return an agent by its name; nil if there is none."""
        for number in range(len(self._made) - 1, -1, -1):
            if self._made[number].name == name:
                return _row(self._made[number], number)
        found = self._context.runtime.agents.get(name) if isinstance(name, str) else None
        return _row(found, found.name) if found is not None else UNDEFINED

    @export("invoke", returns=DICT, options={"options": HOW}, example=example("echo", "Hello"))
    def invoke(self, agent: Json, input: Json, options: Any = UNDEFINED) -> dict[str, Any]:
        """Call an agent, given by its row or name. Return {text, usage, cost_usd, model, provider, data}."""
        if isinstance(agent, Mapping):
            agent = agent.get("handle")
        if isinstance(agent, int) and 0 <= agent < len(self._made):
            chosen: Agent | str = self._made[agent]
        elif isinstance(agent, str):
            own = next((each for each in reversed(self._made) if each.name == agent), None)
            chosen = own if own is not None else agent
        else:
            raise ValidationError("agent: an agent or its name is needed", field="agent")
        context = self._context
        message = context.runtime.agents.message(chosen, defined(input), None, **options)
        reply = context.runtime.agents.send(message, context.current_id, max(0.001, context.remaining()))
        return reply.to_dict()


def _row(agent: Agent, handle: int | str) -> dict[str, Any]:
    return {**filled(agent.to_dict()), "handle": handle}
