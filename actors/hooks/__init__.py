"""Hooks: functions that are called at the points of an operation and can change its outcome."""

from __future__ import annotations

from greenroom.actors.hooks.interception.around import Performed

from .context import HookContext
from .hook import HookInfo
from .hooks import HookHandle, Hooks
from .result import HookResult, Outcome

__all__ = ["HookContext", "HookHandle", "HookInfo", "HookResult", "Hooks", "Outcome", "Performed"]
