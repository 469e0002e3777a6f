"""What hooks are made of: contexts, results, compositions, and the hooks that come with greenroom.

Example:
    ```py
    from greenroom.runtime import hooks

    rt.hooks.register("BeforeToolExecution", hooks.RateLimitHook(rate=5))
    rt.hooks.register("BeforeSessionDeleted", hooks.voting([alice, bob, carol], threshold=2))
    ```
"""

from __future__ import annotations

from greenroom.actors.hooks import HookContext, HookHandle, HookInfo, HookResult, Hooks, Outcome
from greenroom.actors.hooks.context import Component, HookContextBuilder
from greenroom.actors.hooks.library.builtin import (
    CachingHook,
    CostHook,
    DebuggingHook,
    LoggingHook,
    MetricsHook,
    RateLimitHook,
    RedactHook,
    RetryHook,
    SecurityHook,
    Spending,
)
from greenroom.actors.hooks.library.composition import Middleware, parallel, sequential, voting
from greenroom.actors.hooks.points import POINTS, resolve
from greenroom.actors.hooks.result import NoResult
from greenroom.actors.hooks.subject import plain

__all__ = [
    "POINTS",
    "CachingHook",
    "Component",
    "CostHook",
    "DebuggingHook",
    "HookContext",
    "HookContextBuilder",
    "HookHandle",
    "HookInfo",
    "HookResult",
    "Hooks",
    "LoggingHook",
    "MetricsHook",
    "Middleware",
    "NoResult",
    "Outcome",
    "RateLimitHook",
    "RedactHook",
    "RetryHook",
    "SecurityHook",
    "Spending",
    "parallel",
    "plain",
    "resolve",
    "sequential",
    "voting",
]
