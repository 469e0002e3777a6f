"""`Agents`, to be awaited. Written by `python docs/async_faces.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from greenroom.runtime.agents.registry import Agents
from greenroom.runtime.aio.face import Face, beneath

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from greenroom.runtime.model.agent import Agent
    from greenroom.runtime.model.reply import AgentReply
    from greenroom.storage.codec.records import Value
    from greenroom.storage.common.session_ids import SessionHandle
__all__ = ["AgentsFace"]


class AgentsFace(Face[Agents]):
    """The methods of `Agents` that can be awaited as they are."""

    async def register(
        self, name: str, fn: Callable[..., Any], *, timeout: float | None = None, replace: bool = False
    ) -> None:
        """Register a callable for a model, and for all models whose names begin with this name and a "/": see
        `Agents.register`."""
        await self._bridge.brief(self.sync.register, name, fn, timeout=timeout, replace=replace)

    async def unregister(self, name: str) -> bool:
        """Remove a callable and return whether it was registered: see `Agents.unregister`."""
        return await self._bridge.brief(self.sync.unregister, name)

    async def models(self) -> list[str]:
        """Return the models and prefixes that are registered: see `Agents.models`."""
        return await self._bridge.brief(self.sync.models)

    @property
    def available(self) -> Awaitable[bool]:
        """Whether any model is registered: see `Agents.available`."""
        return self._bridge.brief(lambda: self.sync.available)

    async def build(
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
        """Create an agent without registering it: see `Agents.build`."""
        return await self._bridge.brief(self.sync.build, name, model, system_prompt, tools, fn=fn, **parameters)

    async def create(
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
        """Create an agent and register it by its name: see `Agents.create`."""
        return await self._bridge.brief(
            self.sync.create, name, model, system_prompt, tools, replace=replace, **parameters
        )

    async def composite(
        self,
        name: str,
        agents: Iterable[Agent | str],
        order: Literal["sequential", "parallel"] = "sequential",
        *,
        replace: bool = False,
    ) -> Agent:
        """Create an agent made of others and register it by its name: see `Agents.composite`."""
        return await self._bridge.brief(self.sync.composite, name, agents, order, replace=replace)

    async def build_composite(
        self, name: str, agents: Iterable[Agent | str], order: Literal["sequential", "parallel"] = "sequential"
    ) -> Agent:
        """Create an agent made of others without registering it: see `Agents.build_composite`."""
        return await self._bridge.brief(self.sync.build_composite, name, agents, order)

    async def as_tool(self, agent: Agent | str) -> Callable[..., Any]:
        """Return a callable for `Tools.register` that calls an agent and returns its text: see
        `Agents.as_tool`."""
        return await self._bridge.brief(self.sync.as_tool, agent)

    async def discover(
        self, text: str | None = None, *, model: str | None = None, tool: str | None = None
    ) -> list[Agent]:
        """Return the agents that match the filter, by name: see `Agents.discover`."""
        return await self._bridge.brief(self.sync.discover, text, model=model, tool=tool)

    async def get(self, name: str) -> Agent | None:
        """Return the agent with this name, or an agent for the registered model of this name, or None: see
        `Agents.get`."""
        return await self._bridge.brief(self.sync.get, name)

    async def list(self) -> list[Agent]:
        """Return all agents by name, including one for each registered model: see `Agents.list`."""
        return await self._bridge.brief(self.sync.list)

    async def remove(self, name: str) -> bool:
        """Remove an agent and return whether it was there: see `Agents.remove`."""
        return await self._bridge.brief(self.sync.remove, name)

    async def call(
        self,
        agent: Agent | str,
        input: object,
        *,
        session: SessionHandle | str | None = None,
        timeout: float | None = None,
        on_piece: Callable[[str], object] | None = None,
    ) -> AgentReply:
        """Call an agent, given as an Agent, by its name or by a model's name: see `Agents.call`."""
        return await self._bridge.run_abandoning(
            self.sync.call, agent, input, session=beneath(session), timeout=timeout, on_piece=on_piece
        )
