"""The agents of a runtime: the host registers callables by model and creates agents from them."""

from __future__ import annotations

import difflib
import re
import threading
import time
from collections.abc import Callable, Iterable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, Unpack

from greenroom.actors.hooks import Performed
from greenroom.actors.hooks.interception.around import settled
from greenroom.actors.messages.calls import CallAgent, packed_input
from greenroom.actors.messages.core import How
from greenroom.runtime.calls.calls import Calls
from greenroom.runtime.calls.collectors import AgentOutputCollector
from greenroom.runtime.calls.work import CallContext, Work
from greenroom.runtime.model.agent import Agent
from greenroom.runtime.model.pieces import Listener
from greenroom.runtime.model.reply import AgentReply
from greenroom.storage.codec.records import Value
from greenroom.storage.common.arguments import as_function
from greenroom.storage.common.checked_call import checked
from greenroom.storage.errors import GreenroomError, InvalidOperation, OperationTimeout, ValidationError

from .composite import ORDERS
from .context import AgentContext
from .definition import changed_by, given_to
from .providers import Provider, provider_of

if TYPE_CHECKING:
    from greenroom.actors.hooks import Hooks
    from greenroom.runtime.core import RuntimeCore
    from greenroom.runtime.handles.session import Session
    from greenroom.runtime.tools.registry import Tools

__all__ = ["Agents"]

_MODEL: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@/-]{0,127}")
_MAX_AGENTS: Final = 10_000
_MAX_PROMPT: Final = 1 << 20
_MAX_TOOLS: Final = 1000
_MAX_MEMBERS: Final = 32


class Agents:
    """Registers the callables behind models, creates agents and calls them. Thread-safe.

    Example:
        ```py
        from greenroom.runtime.agents import AgentReply, TokenUsage, echo

        rt.agents.register("echo", echo)
        rt.agents.register("acme/", lambda input, context: acme(context.model, context.system_prompt, input))
        rt.agents.create(name="writer", model="acme/large", system_prompt="Be brief.", tools=["calculator"])
        s.call_agent("writer", "Hello").text
        ```
    """

    def __init__(self, core: RuntimeCore, calls: Calls, tools: Tools, timeout: float) -> None:
        self._core = core
        self._tools = tools
        self._calls = calls
        self._timeout = timeout
        self._lock = threading.Lock()
        self._providers: dict[str, Provider] = {}
        self._agents: dict[str, Agent] = {}
        self.collector: AgentOutputCollector | None = AgentOutputCollector()
        """Stores the agents' texts as artifacts of the session; None stores nothing."""

    def __repr__(self) -> str:
        return f"<Agents {len(self._agents)} made, {len(self._providers)} providers>"

    # -- the callables behind models

    @checked
    def register(
        self, name: str, fn: Callable[..., Any], *, timeout: float | None = None, replace: bool = False
    ) -> None:
        """Register a callable for a model, and for all models whose names begin with this name and a "/".

        The callable gets the input, and the AgentContext if it has a parameter `context`. It may be `async def`. It
        returns text, an AgentReply, or a dict with text, usage and cost_usd. Raises ValidationError, also for a name
        that is taken.
        """
        if not isinstance(name, str) or not _MODEL.fullmatch(name):
            raise ValidationError("name: 1 to 128 letters, digits and _ . : @ / - are needed", field="name")
        if timeout is not None and (type(timeout) not in (int, float) or not timeout > 0):
            raise ValidationError("timeout: a number of seconds above 0 is needed", field="timeout")
        self._core.require_host("agents.register", "write")
        provider = provider_of(fn, timeout)
        with self._lock:
            if name in self._providers and not replace:
                raise ValidationError(
                    f"name: an agent is registered for {name!r} already; replace=True takes its place", field="name"
                )
            if len(self._providers) >= _MAX_AGENTS and name not in self._providers:
                raise ValidationError(f"at most {_MAX_AGENTS} agents can be registered", field="name")
            self._providers = {**self._providers, name: provider}

    @checked
    def unregister(self, name: str) -> bool:
        """Remove a callable and return whether it was registered. Its agents stay; calls of them fail."""
        self._core.require_host("agents.unregister", "write")
        with self._lock:
            there = name in self._providers
            self._providers = {key: each for key, each in self._providers.items() if key != name}
        return there

    @property
    def _hooks(self) -> Hooks:
        return self._core.hooks

    def models(self) -> list[str]:
        """Return the models and prefixes that are registered."""
        return sorted(self._providers)

    @property
    def available(self) -> bool:
        """Whether any model is registered."""
        return bool(self._providers)

    def _provider(self, model: str) -> Provider:
        providers = self._providers
        found = providers.get(model)
        if found is None:
            prefixes = [each for each in providers if model.startswith(each if each.endswith("/") else f"{each}/")]
            if not prefixes:
                near = difflib.get_close_matches(model[:64], providers, 1)
                advice = f"did you mean {near[0]!r}?" if near else "register one with agents.register()"
                raise InvalidOperation(
                    f"no agent is registered for the model {model[:64]!r}: {advice}", model=model[:64]
                )
            found = providers[max(prefixes, key=len)]
        return found

    # -- agents

    @checked
    def build(
        self,
        /,
        name: str | None = None,
        model: str | None = None,
        system_prompt: str | None = None,
        tools: Iterable[str] = (),
        *,
        fn: Callable[..., Any] | None = None,
        **parameters: Value,
    ) -> Agent:
        """Create an agent without registering it. `fn` answers in place of the model's callable. Raises what `create`
        raises."""
        if name is not None and (not isinstance(name, str) or not _MODEL.fullmatch(name)):
            raise ValidationError("name: 1 to 128 letters, digits and _ . : @ / - are needed", field="name")
        if model is None:
            if fn is not None:
                model = name if name is not None else "function"
            elif name is not None and name in self._providers:
                model = name
            elif len(self._providers) == 1 and not next(iter(self._providers)).endswith("/"):
                model = next(iter(self._providers))
            else:
                raise ValidationError(f"model: one of {', '.join(self.models()) or '(none registered)'}", field="model")
        if not isinstance(model, str) or not _MODEL.fullmatch(model):
            raise ValidationError("model: the name of a model is needed", field="model")
        name = name if name is not None else model
        if system_prompt is not None and not (isinstance(system_prompt, str) and len(system_prompt) <= _MAX_PROMPT):
            raise ValidationError(f"system_prompt: at most {_MAX_PROMPT} characters are needed", field="system_prompt")
        names = list(tools) if isinstance(tools, Iterable) and not isinstance(tools, str) else [tools]
        if len(names) > _MAX_TOOLS or not all(isinstance(each, str) for each in names):
            raise ValidationError("tools: a list of names of tools is needed", field="tools")
        for each in names:
            self._tools._require(each)
        if fn is None:
            self._provider(model)
        else:
            provider_of(fn, None)
        packed_input(dict(parameters))
        agent = Agent(name, model, system_prompt, tuple(names), MappingProxyType(dict(parameters)), fn)
        hooks = self._hooks
        component = f"agent:{agent.name}"
        if hooks.at("BeforeAgentInit") is not None:
            outcome = hooks.fire("BeforeAgentInit", agent.to_dict(), component=component, operation="CreateAgent")
            agent = changed_by(agent, outcome.data)
        if hooks.at("AfterAgentInit") is not None:
            hooks.fire("AfterAgentInit", agent.to_dict(), component=component, operation="CreateAgent")
        return agent

    @checked
    def create(
        self,
        /,
        name: str | None = None,
        model: str | None = None,
        system_prompt: str | None = None,
        tools: Iterable[str] = (),
        *,
        replace: bool = False,
        **parameters: Value,
    ) -> Agent:
        """Create an agent and register it by its name. The default model is the one of that name, or the only one.

        `tools` are the names of the tools that it may call; other keywords (temperature, …) are its parameters.
        Raises ValidationError, also for a name that is taken, InvalidOperation for an unknown model or tool,
        HookCancelled.
        """
        self._core.require_host("agents.create", "write")
        if not replace and name is not None and name in self._agents:
            raise ValidationError(
                f"name: there is an agent {name!r} already; replace=True takes its place", field="name"
            )
        agent = self.build(name, model, system_prompt, tools, **parameters)
        with self._lock:
            if len(self._agents) >= _MAX_AGENTS and agent.name not in self._agents:
                raise ValidationError(f"there can be at most {_MAX_AGENTS} agents: remove some", field="name")
            if not replace and agent.name in self._agents:
                raise _taken(agent.name)
            self._agents = {**self._agents, agent.name: agent}
        return agent

    @checked
    def composite(
        self,
        name: str,
        agents: Iterable[Agent | str],
        order: Literal["sequential", "parallel"] = "sequential",
        *,
        replace: bool = False,
    ) -> Agent:
        """Create an agent made of others and register it by its name. "sequential": each gets the text of the one
        before, the first one the input. "parallel": all get the input, and the text is that of all; `data["replies"]`
        has their texts by name. Their calls are journaled below its own. Raises what `create` raises."""
        self._core.require_host("agents.composite", "write")
        agent = self.build_composite(name, agents, order)
        with self._lock:
            if len(self._agents) >= _MAX_AGENTS and name not in self._agents:
                raise ValidationError(f"there can be at most {_MAX_AGENTS} agents: remove some", field="name")
            if not replace and name in self._agents:
                raise _taken(name)
            self._agents = {**self._agents, name: agent}
        return agent

    @checked
    def build_composite(
        self, name: str, agents: Iterable[Agent | str], order: Literal["sequential", "parallel"] = "sequential"
    ) -> Agent:
        """Create an agent made of others without registering it; see `composite`."""
        members = tuple(agents)
        if not 0 < len(members) <= _MAX_MEMBERS:
            raise ValidationError(f"agents: 1 to {_MAX_MEMBERS} agents are needed", field="agents")
        for each in members:
            if not isinstance(each, Agent):
                self._agent(each, None)
        names = [each if isinstance(each, str) else each.name for each in members]
        return self.build(name, "composite", fn=ORDERS[order](members), agents=names, order=order)

    @checked
    def as_tool(self, agent: Agent | str) -> Callable[..., Any]:
        """Return a callable for `Tools.register` that calls an agent and returns its text. Raises InvalidOperation for
        an unknown agent.

        Example:
            ```py
            rt.tools.register("ask_writer", rt.agents.as_tool("writer"), description="Writes a text.")
            ```
        """
        found = agent if isinstance(agent, Agent) else self._agent(agent, None)

        def ask(input: str | dict[str, Any], context: CallContext) -> str:
            """Ask an agent, and return its text."""
            return context.call_agent(found, input).text

        return ask

    @checked
    def discover(self, text: str | None = None, *, model: str | None = None, tool: str | None = None) -> list[Agent]:
        """Return the agents that match the filter, by name: every word of `text` is in name or system prompt (ignoring
        case), the model is this one or below this prefix, the agent may call the tool."""
        return [each for each in self.list() if each.matches(text, model=model, tool=tool)]

    @checked
    def get(self, name: str) -> Agent | None:
        """Return the agent with this name, or an agent for the registered model of this name, or None."""
        found = self._agents.get(name)
        if found is None and name in self._providers and not name.endswith("/"):
            found = Agent(name, name)
        return found

    def list(self) -> list[Agent]:
        """Return all agents by name, including one for each registered model."""
        plain = {name: Agent(name, name) for name in self._providers if not name.endswith("/")}
        return [each for _, each in sorted({**plain, **self._agents}.items())]

    @checked
    def remove(self, name: str) -> bool:
        """Remove an agent and return whether it was there. Raises HookCancelled if a hook refuses."""
        self._core.require_host("agents.remove", "write")
        agent = self._agents.get(name)
        if agent is None:
            return False
        self._shut_down(agent, "removed")
        return True

    def _shut_down(self, agent: Agent, reason: str) -> None:
        data, component = {**agent.to_dict(), "reason": reason}, f"agent:{agent.name}"
        if self._hooks.at("BeforeAgentShutdown") is not None:
            self._hooks.fire("BeforeAgentShutdown", data, component=component, operation="RemoveAgent")
        with self._lock:
            self._agents = {key: each for key, each in self._agents.items() if key != agent.name}
        if self._hooks.at("AfterAgentShutdown") is not None:
            self._hooks.fire("AfterAgentShutdown", data, component=component, operation="RemoveAgent")

    def close(self, timeout: float) -> None:
        """Remove all agents, within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        if not self._hooks.any("BeforeAgentShutdown", "AfterAgentShutdown"):
            return
        for agent in self._agents.values():
            if time.monotonic() >= deadline:
                return
            try:
                self._shut_down(agent, "closing")
            except GreenroomError:
                continue  # hooks cannot keep a runtime open

    # -- calling

    def call(
        self,
        agent: Agent | str,
        input: object,
        *,
        session: Session | str | None = None,
        timeout: float | None = None,
        on_piece: Callable[[str], object] | None = None,
    ) -> AgentReply:
        """Call an agent, given as an Agent, by its name or by a model's name. A session journals the call, its return,
        tokens and cost.

        `on_piece` gets the text piece by piece, as an agent that is a generator yields it, on the caller's thread; if
        it returns False, the reply ends there.

        `timeout` is in seconds; the default is that of the callable, else `agent_timeout`. Raises OperationTimeout,
        CallFailed with what the callable raised as its cause, HookCancelled, ResourceLimitExceeded when no thread is
        free, InvalidOperation for an unknown agent.
        """
        return self.send(self.message(agent, input, timeout), session, on_piece=on_piece)

    def send(
        self,
        message: CallAgent,
        session: Session | str | None,
        timeout: float | None = None,
        on_piece: Callable[[str], object] | None = None,
    ) -> AgentReply:
        """Make the call of a message, within `timeout` seconds. Raises what `call` raises."""
        listener = message.on_piece = Listener(as_function("on_piece", on_piece)) if on_piece is not None else None
        reply: AgentReply = self._calls.send(message, session, timeout)
        if listener is not None:
            listener.end(reply)
        return reply

    @staticmethod
    @checked
    def message(agent: Agent | str, input: object, timeout: float | None, **how: Unpack[How]) -> CallAgent:
        """Return the message that calls an agent. Raises ValidationError."""
        message = CallAgent(agent.name if isinstance(agent, Agent) else agent, input, timeout=timeout, **how)
        message.subject = agent if isinstance(agent, Agent) else None
        return message

    def perform(self, session_id: str | None, message: CallAgent, timeout: float) -> AgentReply:
        """Make the call that a message asks for, on this thread, outside of any turn."""
        agent = self._agent(message.name, message.subject)
        data = {"name": agent.name, "model": agent.model, "input": message.input}
        deadline = time.monotonic() + timeout

        if not self._hooks.any("BeforeAgentExecution", "AfterAgentExecution", "AgentError"):
            answered: AgentReply = settled(
                self._begin(session_id, message, agent, data["input"], deadline, message.packed)
            )
            return answered

        def perform(data: dict[str, Any], target: str | None) -> Performed:
            wanted = agent if target is None else self._agent(target, None)
            return _as_dict(self._begin(session_id, message, wanted, data.get("input"), deadline))

        reply = self._hooks.around(
            data,
            perform,
            before="BeforeAgentExecution",
            after="AfterAgentExecution",
            error="AgentError",
            session_id=session_id,
            component=f"agent:{agent.name}",
            operation="CallAgent",
        )
        return AgentReply.of(reply, agent.model, _provider_name(agent.model))

    def _agent(self, name: str, subject: Any) -> Agent:
        if isinstance(subject, Agent):
            return subject
        found = self._agents.get(name)
        if found is None:
            self._provider(name)
            found = Agent(name, name)
        return found

    def _begin(
        self,
        session_id: str | None,
        message: CallAgent,
        agent: Agent,
        input: object,
        deadline: float,
        packed: bytes | None = None,
    ) -> Performed:
        """Begin the call with an input; `packed` is the encoded input, if it is known already."""
        provider = self._provider(agent.model) if agent.fn is None else provider_of(agent.fn, None)
        left = min(message.timeout or provider.timeout or self._timeout, deadline - time.monotonic())
        if left <= 0:
            raise OperationTimeout(f"agent {agent.name!r}: no time is left for it", timeout=0.0, started=False)

        def run(call: CallContext) -> Any:
            return provider.call(input, AgentContext(call, agent) if provider.contexts else None)

        about = {"model": agent.model, "provider": _provider_name(agent.model)}
        if message.stage is not None:
            about["stage"] = message.stage
        work = Work(
            "agent",
            agent.name,
            packed if packed is not None else packed_input(input),
            run,
            left,
            about=about,
            given=given_to(agent),
            durability=message.durability,
            condition=message.condition,
            reply=lambda returned: AgentReply.of(returned, about["model"], about["provider"]),
            value=AgentReply.to_dict,
            facts=_facts,
            collector=self.collector,
            on_piece=message.on_piece,
            inline=_is_here(agent.fn),
        )
        return self._calls.begin(work, session_id)


def _is_here(fn: Callable[..., Any] | None) -> bool:
    """Return whether a function of a script must be called on this thread, which is the script's."""
    return fn is not None and getattr(fn, "thread", None) == threading.get_ident()


def _as_dict(performed: Performed) -> Performed:
    """Return the call for hooks, which see an agent's reply as a dict."""
    if performed.error is not None:
        shown: dict[str, Value] = {}
    else:
        shown = performed.reply.to_dict()

    def settle(reply: Any, error: BaseException | None) -> Any:
        if error is not None:
            return performed.settle(None, error)
        settled_reply = performed.settle(performed.reply if reply is shown else reply, None)
        return settled_reply.to_dict() if isinstance(settled_reply, AgentReply) else settled_reply

    return Performed(shown, performed.error, settle)


def _facts(reply: AgentReply) -> dict[str, Any]:
    """Return the facts of a reply that the journal counts."""
    facts: dict[str, Any] = {}
    if reply.usage is not None:
        facts["usage"] = reply.usage.to_dict()
    if reply.cost_microusd is not None:
        facts["cost_microusd"] = reply.cost_microusd
    return facts


def _provider_name(model: str) -> str:
    return model.partition("/")[0]


def _taken(name: str) -> ValidationError:
    return ValidationError(f"name: there is an agent {name!r} already; replace=True takes its place", field="name")
