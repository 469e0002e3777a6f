"""Hooks: code that is called at the points of an operation and can change its outcome."""

from __future__ import annotations

from .around import Performed
from .context import HookContext
from .hook import HookHandle, HookInfo
from .hooks import Hooks
from .middleware import Middleware
from .outcome import Outcome
from .result import HookResult

__all__ = ["HookContext", "HookHandle", "HookInfo", "HookResult", "Hooks", "Middleware", "Outcome", "Performed"]
