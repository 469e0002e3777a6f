"""`Approvals`, to be awaited. Written by `python docs/async_faces.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from greenroom.runtime.aio.face import Face, beneath
from greenroom.runtime.approvals import Approvals

if TYPE_CHECKING:
    import builtins

    from greenroom.actors.messages.approvals import Approval, ApprovalStatus
    from greenroom.actors.messages.core import How
    from greenroom.storage.common.session_ids import SessionHandle
__all__ = ["ApprovalsFace"]


class ApprovalsFace(Face[Approvals]):
    """The methods of `Approvals` that can be awaited as they are."""

    async def list(
        self, status: ApprovalStatus | None = "pending", *, session: SessionHandle | str | None = None, limit: int = 100
    ) -> builtins.list[Approval]:
        """Return at most `limit` questions of all sessions, or of one, oldest first: see `Approvals.list`."""
        return await self._bridge.run(self.sync.list, status, session=beneath(session), limit=limit)

    async def get(self, approval: str) -> Approval:
        """Return a question as it stands: see `Approvals.get`."""
        return await self._bridge.run(self.sync.get, approval)

    async def answer(self, approval: str, value: object, by: str | None = None, **how: Unpack[How]) -> Approval:
        """Answer a pending question with a JSON value, and return it: see `Approvals.answer`."""
        return await self._bridge.run(self.sync.answer, approval, value, by, **how)

    async def cancel(self, approval: str, reason: str | None = None, **how: Unpack[How]) -> Approval:
        """Cancel a pending question, and return it: see `Approvals.cancel`."""
        return await self._bridge.run(self.sync.cancel, approval, reason, **how)

    async def wait(self, approval: str, timeout: float | None = None) -> Approval:
        """Wait until a question is answered, expired or cancelled, and return it; its `status` tells which:
        see `Approvals.wait`."""
        return await self._bridge.run_abandoning(self.sync.wait, approval, timeout)
