"""`Policies`, to be awaited. Written by `python docs/async_faces.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from greenroom.runtime.aio.face import Face, beneath
from greenroom.runtime.policies import Policies

if TYPE_CHECKING:
    from collections.abc import Mapping

    from greenroom.actors.messages.internal import Consumption
    from greenroom.actors.policies.composition import Policy
    from greenroom.runtime.config.policies import PolicyConfig, PolicyKeywords
    from greenroom.storage.common.session_ids import SessionHandle
__all__ = ["PoliciesFace"]


class PoliciesFace(Face[Policies]):
    """The methods of `Policies` that can be awaited as they are."""

    async def get(self) -> PolicyConfig:
        """Return the policies for sessions that set none themselves: see `Policies.get`."""
        return await self._bridge.brief(self.sync.get)

    async def effective(self, session: SessionHandle | str) -> PolicyConfig:
        """Return the policies in force for a session: see `Policies.effective`."""
        return await self._bridge.run(self.sync.effective, beneath(session))

    async def usage(self, session: SessionHandle | str) -> dict[str, Consumption]:
        """Return how much a session has used of operations, artifacts, storage_bytes, tokens and cost_usd,
        with the limits: see `Policies.usage`."""
        return await self._bridge.run(self.sync.usage, beneath(session))

    async def update(
        self, config: PolicyConfig | Mapping[str, object] | None = None, **sections: Unpack[PolicyKeywords]
    ) -> PolicyConfig:
        """Change policies until the runtime is closed, and return those in force: see `Policies.update`."""
        return await self._bridge.run(self.sync.update, config, **sections)

    async def add(self, name: str, policy: Policy) -> None:
        """Add a policy of the host: see `Policies.add`."""
        await self._bridge.brief(self.sync.add, name, policy)

    async def remove(self, name: str) -> bool:
        """Remove a policy of the host and return whether it was there: see `Policies.remove`."""
        return await self._bridge.brief(self.sync.remove, name)

    async def names(self) -> list[str]:
        """Return the names of the added policies, in the order in which they are asked: see `Policies.names`."""
        return await self._bridge.brief(self.sync.names)
