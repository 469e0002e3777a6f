"""The global `Agent`: creates and calls agents for the models that the host has registered."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, cast

from greenroom.runtime import Agent, AgentReply, GreenroomError, Tool, ValidationError
from greenroom.scripting.definition.examples import Function as Fn
from greenroom.scripting.definition.examples import Variable, call, example
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.options import Options
from greenroom.scripting.definition.shapes import DICT, FLAG, TEXT, TRUE, VALUE, Fluent, Maybe, Page
from greenroom.scripting.definition.types import ANYTHING, Function, Items, Json, Table, Text
from greenroom.scripting.definition.types import TEXT as IS_TEXT
from greenroom.scripting.definition.values import UNDEFINED, defined, given
from greenroom.scripting.globals.choices import HOW
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.objects import AGENT, TOOL
from greenroom.scripting.globals.references import named
from greenroom.scripting.globals.rows import filled

from .own import Own
from .tool import invoked, tool_row

__all__ = ["AgentGlobal"]

_FILTER: Final = Options({"text": IS_TEXT, "model": IS_TEXT, "tool": ANYTHING})
_COMPOSITE: Final = Options(
    {"order": IS_TEXT, "description": IS_TEXT}, {"routing_strategy": "order", "pattern": "order", "mode": "order"}
)
_WRAPPED: Final = Options({"name": IS_TEXT, "description": IS_TEXT}, {"tool_name": "name"})
_WRITER: Final = Variable(
    "writer", call("Agent.create", {"name": "writer", "model": "echo", "system_prompt": "Be brief."})
)
_FUNCTION_KEYS: Final = ("fn", "function", "handler")


class AgentGlobal:
    """Creates and calls agents. Agents of a script are visible to that script only, until it ends. The current session,
    if any, journals the calls."""

    NAME = "Agent"

    def __init__(self, context: ScriptContext) -> None:
        self._context = context
        self._own = Own.of(context)
        self._states: dict[int | str, dict[str, Any]] = {}
        self._metrics: dict[int | str, dict[str, Any]] = {}

    # -- making

    @export(
        "create",
        "createAsync",
        returns=AGENT,
        callbacks=True,
        example=example({"name": "writer", "model": "echo", "system_prompt": "Be brief."}),
    )
    def create(self, options: Table) -> dict[str, Any]:
        """Create an agent: create{name, model, system_prompt, tools, …}. Further options are parameters, such as
        temperature. `fn`, a function of the input, answers in place of a model."""
        if not isinstance(options, Mapping):
            raise ValidationError("Agent.create takes a table of options", field="options")
        wanted = _definition(filled(options))
        if not all(isinstance(key, str) for key in wanted):
            raise ValidationError("Agent.create: the names of options are texts", field="options")
        self._context.keep(wanted, "agents")
        tools = wanted.pop("tools", None) or ()
        if isinstance(tools, list | tuple):
            tools = [named(each) for each in tools]
        agent = self._context.runtime.agents.build(
            wanted.pop("name", None),
            wanted.pop("model", None),
            wanted.pop("system_prompt", None),
            tools,
            fn=self._own.callable(wanted.pop("fn", None)),
            **wanted,
        )
        return self._row(agent, self._own.add_agent(agent))

    @export(
        "register",
        returns=TEXT,
        callbacks=True,
        forms=("register(options)", "register(name, fn)"),
        example=example({"name": "reviewer", "model": "echo"}),
    )
    def register(self, options: Json, fn: Function = UNDEFINED) -> str:
        """Create an agent as `create` does, and return its name, by which it is called from now on."""
        if isinstance(options, str):
            options = {"name": options, "fn": defined(fn)}
        name: str = self.create(options)["name"]
        return name

    @export(
        "builder",
        returns=Fluent("agent builder", "Agent.create", ("build", "create"), {"tool": "tools"}),
        example=example(),
    )
    def builder(self) -> dict[str, Any]:
        """Return a builder: builder():name("x"):model("m"):temperature(0.2):build(). Any method sets the option of its
        name."""
        return {}

    @export(
        "createComposite",
        "create_composite",
        returns=AGENT,
        options={"options": _COMPOSITE},
        example=example("pair", ["echo", "echo"], {"order": "sequential"}),
    )
    def composite(self, name: Text, agents: Items, options: Any = UNDEFINED) -> dict[str, Any]:
        """Create an agent made of others: "sequential" (each gets the text of the one before) or "parallel" (all get
        the input, and the text is that of all)."""
        order = options.get("order", "sequential")
        made = self._context.runtime.agents.build_composite(name, [self._own.agent(each) for each in agents], order)
        return self._row(made, self._own.add_agent(made))

    @export(
        "wrapAsTool",
        "wrap_as_tool",
        returns=TEXT,
        options={"options": _WRAPPED},
        on=AGENT,
        example=example(_WRITER, {"tool_name": "ask_writer"}),
    )
    def wrap_as_tool(self, agent: Json, options: Any = UNDEFINED) -> str:
        """Make a tool of the script that calls an agent with its `input`, and return the tool's name."""
        chosen = self._own.agent(agent)
        name = options.get("name", f"{_name_of(chosen)}_tool")
        made = Tool(
            name,
            self._context.runtime.agents.as_tool(chosen),
            description=options.get("description", f"Ask the agent {_name_of(chosen)}."),
            category="agents",
            quick=isinstance(chosen, Agent) and chosen.fn is not None,
        )
        self._own.add_tool(made)
        return made.name

    # -- finding

    @export("list", returns=Page(AGENT), example=example())
    def list(self) -> Any:
        """Return the script's own agents and those of the host, by name."""
        rows = {each.name: self._row(each, each.name) for each in self._context.runtime.agents.list()}
        rows.update({each.name: self._row(each, number) for number, each in self._own.agents()})
        return [rows[name] for name in sorted(rows)]

    @export("listInstances", "list_instances", returns=Page(AGENT), example=example())
    def instances(self) -> Any:
        """Return the script's own agents, in the order of their making."""
        return [self._row(each, number) for number, each in self._own.agents()]

    @export("discover", returns=Page(AGENT), options={"filter": _FILTER}, example=example({"model": "echo"}))
    def discover(self, filter: Any = UNDEFINED) -> Any:
        """Return the agents that match: words of name or system prompt, the model or its prefix, a tool."""
        wanted = {**filter, "tool": named(filter["tool"])} if "tool" in filter else filter
        found = {each.name: self._row(each, each.name) for each in self._context.runtime.agents.discover(**wanted)}
        for number, each in self._own.agents():
            found.pop(each.name, None)
            if each.matches(**wanted):
                found[each.name] = self._row(each, number)
        return [found[name] for name in sorted(found)]

    @export("get", returns=Maybe(AGENT), example=example("echo"))
    def get(self, name: Json) -> Any:
        """Return an agent by its name; nil if there is none."""
        for number, each in reversed(self._own.agents()):
            if each.name == name:
                return self._row(each, number)
        found = self._context.runtime.agents.get(name) if isinstance(name, str) else None
        return self._row(found, found.name) if found is not None else UNDEFINED

    @export("getInfo", "get_info", returns=Maybe(DICT), on=AGENT, example=example(_WRITER))
    def info(self, agent: Json) -> Any:
        """Return what is known of an agent: name, type, model, provider, system_prompt, tools, parameters; nil if there
        is none of this name."""
        found = self._find(agent)
        return {key: each for key, each in self._row(found, "").items() if key != "handle"} if found else UNDEFINED

    @export("remove", returns=FLAG, on=AGENT, example=example(_WRITER))
    def remove(self, agent: Json) -> bool:
        """Remove an agent of the script, and return whether it was there."""
        return self._own.remove_agent(agent)

    # -- calling

    @export(
        "invoke",
        "execute",
        "run",
        returns=DICT,
        on=AGENT,
        options={"options": HOW},
        example=example("echo", "Hello"),
    )
    def invoke(self, agent: Json, input: Json, options: Any = UNDEFINED) -> dict[str, Any]:
        """Call an agent, given by its row or name. Return {text, usage, cost_usd, model, provider, data}."""
        return self._invoke(agent, input, options, None)

    @export(
        "invokeStream",
        "invoke_stream",
        returns=DICT,
        on=AGENT,
        callbacks=True,
        options={"options": HOW},
        example=example("echo", "Hello", Fn(("piece",))),
    )
    def stream(self, agent: Json, input: Json, fn: Function, options: Any = UNDEFINED) -> dict[str, Any]:
        """Call an agent, and give each piece of its text to a function as it comes: {text, index}. If the function
        returns false, the reply ends there. Returns what `invoke` returns."""
        count = 0

        def piece(text: str) -> Any:
            nonlocal count
            count += 1
            return fn({"text": text, "index": count})

        return self._invoke(agent, input, options, piece)

    def _invoke(self, agent: Any, input: Any, options: Mapping[str, Any], on_piece: Any) -> dict[str, Any]:
        context, chosen = self._context, self._own.agent(agent)
        metrics = self._metrics.setdefault(
            _key(agent), {"calls": 0, "failures": 0, "total_duration": 0.0, "total_tokens": 0, "cost_usd": 0.0}
        )
        metrics["calls"] += 1
        began = time.monotonic()
        message = context.runtime.agents.message(chosen, defined(input), None, **options)
        try:
            reply = context.runtime.agents.send(
                message, context.current_id, max(0.001, context.remaining()), on_piece=on_piece
            )
        except GreenroomError:
            metrics["failures"] += 1
            raise
        finally:
            metrics["total_duration"] += time.monotonic() - began
        _count(metrics, reply)
        return reply.to_dict()

    # -- state and figures

    @export("getState", "get_state", returns=VALUE, on=AGENT, example=example(_WRITER))
    def get_state(self, agent: Json, key: Text = UNDEFINED) -> Any:
        """Return a value of an agent's state, which lasts as long as the script, or all of it."""
        state = self._states.get(_key(agent), {})
        return state.get(key, UNDEFINED) if given(key) else dict(state)

    @export(
        "setState",
        "set_state",
        returns=TRUE,
        on=AGENT,
        forms=("setState(agent, key, value)", "setState(agent, values)"),
        example=example(_WRITER, "mood", "calm"),
    )
    def set_state(self, agent: Json, key: Json, value: Json = UNDEFINED) -> bool:
        """Set a value of an agent's state, or replace all of it by a table."""
        self._own.agent(agent)
        changes = dict(key) if isinstance(key, Mapping) else {str(key): defined(value)}
        self._context.keep(changes, "states of agents")
        self._states[_key(agent)] = (
            changes if isinstance(key, Mapping) else {**self._states.get(_key(agent), {}), **changes}
        )
        return True

    @export("getMetrics", "get_metrics", returns=DICT, on=AGENT, example=example(_WRITER))
    def metrics(self, agent: Json) -> dict[str, Any]:
        """Return the figures of the script's calls of an agent: calls, failures, total_duration and average_duration in
        seconds, total_tokens, cost_usd."""
        self._own.agent(agent)
        found = self._metrics.get(
            _key(agent), {"calls": 0, "failures": 0, "total_duration": 0.0, "total_tokens": 0, "cost_usd": 0.0}
        )
        return {**found, "average_duration": found["total_duration"] / found["calls"] if found["calls"] else 0.0}

    # -- the tools of an agent

    @export("discoverTools", "discover_tools", returns=Page(TOOL), on=AGENT, example=example(_WRITER))
    def discover_tools(self, agent: Json) -> Any:
        """Return the tools that an agent may call."""
        return [tool_row(tool) for name in self._tools(agent) if (tool := self._own.tool(name)) is not None]

    @export("hasTool", "has_tool", returns=FLAG, on=AGENT, example=example(_WRITER, "calculator"))
    def has_tool(self, agent: Json, name: Json) -> bool:
        """Return whether an agent may call a tool."""
        return named(name) in self._tools(agent)

    @export(
        "invokeTool",
        "invoke_tool",
        returns=DICT,
        on=AGENT,
        soft=True,
        options={"options": HOW},
        example=example(_WRITER, "calculator", {"expression": "6 * 7"}),
    )
    def invoke_tool(self, agent: Json, name: Json, input: Json = UNDEFINED, options: Any = UNDEFINED) -> dict[str, Any]:
        """Call one of the tools of an agent, as `Tool.invoke` does."""
        if named(name) not in self._tools(agent):
            message = f"the agent may not call the tool {str(named(name))[:64]!r}: it is not among its tools"
            return {"success": False, "error": message, "error_code": "AccessDenied", "duration": 0.0}
        return invoked(self._context, self._own, name, input, options)

    def _tools(self, agent: Any) -> tuple[str, ...]:
        found = self._find(agent)
        if found is None:
            raise ValidationError("agent: an agent or its name is needed", field="agent")
        return found.tools

    def _find(self, agent: Any) -> Agent | None:
        chosen = self._own.agent(agent)
        return chosen if isinstance(chosen, Agent) else self._context.runtime.agents.get(chosen)

    def _row(self, agent: Agent, handle: int | str) -> dict[str, Any]:
        kind = "llm" if agent.fn is None else "composite" if agent.model == "composite" else "function"
        row = {**filled(agent.to_dict()), "type": kind, "provider": agent.model.partition("/")[0], "handle": handle}
        description = agent.parameters.get("description")
        return {**row, "description": description} if description is not None else row


def _definition(given: dict[str, Any]) -> dict[str, Any]:
    """Return the options of an agent under their own names. A model may be a table of provider and model_id, with
    parameters."""
    wanted = dict(given)
    for name, others in (("model", ("provider_model",)), ("tools", ("allowed_tools",)), ("fn", _FUNCTION_KEYS)):
        for other in others:
            value = wanted.pop(other, None) if other != name else None
            if value is not None:
                if wanted.get(name) is not None:
                    raise ValidationError(f"Agent.create: {name} and {other} are the same: give one", field=other)
                wanted[name] = value
    model = wanted.get("model")
    if isinstance(model, Mapping):
        more = filled(model)
        name = more.pop("model_id", None) or more.pop("model", None) or more.pop("name", None)
        provider = more.pop("provider", None)
        if not isinstance(name or provider, str):
            raise ValidationError("Agent.create: model: its name, or a table of provider and model_id", field="model")
        wanted["model"] = f"{provider}/{name}" if provider and name else name or provider
        wanted = {**more, **wanted}
    config = wanted.get("custom_config")
    if isinstance(config, Mapping) and "system_prompt" in config and "system_prompt" not in wanted:
        wanted["system_prompt"] = config["system_prompt"]
    return wanted


def _key(agent: Any) -> int | str:
    """Return what tells an agent from others: its number, or its name."""
    value = agent.get("handle", agent.get("name")) if isinstance(agent, Mapping) else agent
    return cast(int | str, value)


def _name_of(agent: Agent | str) -> str:
    return agent if isinstance(agent, str) else agent.name


def _count(metrics: dict[str, Any], reply: AgentReply) -> None:
    if reply.usage is not None:
        metrics["total_tokens"] += reply.usage.total_tokens
    if reply.cost_usd is not None:
        metrics["cost_usd"] += float(reply.cost_usd)
