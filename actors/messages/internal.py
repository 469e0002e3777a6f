"""Messages that only the runtime itself sends."""

from __future__ import annotations

from collections.abc import Callable

from .core import Command, Draft

__all__ = ["KeepTime", "RecordHooks"]


class RecordHooks(Command[None]):
    """Journal executions of hooks. Only the runtime sends it."""

    __slots__ = ("drafts",)
    rate = None
    hookable = False

    def __init__(self, drafts: list[Draft]) -> None:
        super().__init__()
        self.drafts = drafts


class KeepTime(Command[None]):
    """Do what it is time for. Sent by the timekeeper; `told` gets the session, and when to look again (ns since the
    epoch; None: not before it is active again) with the event that changed its status, if one did."""

    __slots__ = ("busy", "now", "outcome", "told")

    def __init__(self, now: int, told: Callable[[bytes, int | None, str | None], None], *, busy: bool = False) -> None:
        """`busy`: a tool or an agent is at work for the session, so it is not idle."""
        super().__init__()
        self.busy = busy
        self.now = now
        self.told = told
        self.outcome: str | None = None
