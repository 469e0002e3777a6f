"""What a host embeds: the runtime, its sessions, their messages and errors.

Nothing is imported before a name is asked for, so that `greenroom --help` answers at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__ as __version__

if TYPE_CHECKING:
    from .aio.files import AsyncArtifactReader as AsyncArtifactReader
    from .aio.files import AsyncArtifactWriter as AsyncArtifactWriter
    from .aio.listening import AsyncFollow as AsyncFollow
    from .aio.listening import AsyncSubscription as AsyncSubscription
    from .aio.parts import AsyncAgents as AsyncAgents
    from .aio.parts import AsyncAnalytics as AsyncAnalytics
    from .aio.parts import AsyncApprovals as AsyncApprovals
    from .aio.parts import AsyncEvents as AsyncEvents
    from .aio.parts import AsyncHooks as AsyncHooks
    from .aio.parts import AsyncInstalledScripts as AsyncInstalledScripts
    from .aio.parts import AsyncMiddleware as AsyncMiddleware
    from .aio.parts import AsyncPolicies as AsyncPolicies
    from .aio.parts import AsyncQuotas as AsyncQuotas
    from .aio.parts import AsyncReplay as AsyncReplay
    from .aio.parts import AsyncReplays as AsyncReplays
    from .aio.parts import AsyncSchemas as AsyncSchemas
    from .aio.parts import AsyncStateBackups as AsyncStateBackups
    from .aio.parts import AsyncTemplates as AsyncTemplates
    from .aio.parts import AsyncTools as AsyncTools
    from .aio.runtime import AsyncRuntime as AsyncRuntime
    from .aio.scripts import AsyncScriptStream as AsyncScriptStream
    from .aio.session import AsyncBatch as AsyncBatch
    from .aio.session import AsyncRecords as AsyncRecords
    from .aio.session import AsyncScope as AsyncScope
    from .aio.session import AsyncSession as AsyncSession
    from .aio.streaming import AsyncMessageStream as AsyncMessageStream
    from .public import *  # noqa: F403
    from .public import __all__ as __all__

_ASYNC = {
    "AsyncFollow": "listening",
    "AsyncSubscription": "listening",
    "AsyncMessageStream": "streaming",
    "AsyncArtifactReader": "files",
    "AsyncArtifactWriter": "files",
    "AsyncAgents": "parts",
    "AsyncAnalytics": "parts",
    "AsyncApprovals": "parts",
    "AsyncEvents": "parts",
    "AsyncHooks": "parts",
    "AsyncInstalledScripts": "parts",
    "AsyncMiddleware": "parts",
    "AsyncPolicies": "parts",
    "AsyncQuotas": "parts",
    "AsyncReplay": "parts",
    "AsyncReplays": "parts",
    "AsyncSchemas": "parts",
    "AsyncStateBackups": "parts",
    "AsyncTemplates": "parts",
    "AsyncTools": "parts",
    "AsyncRuntime": "runtime",
    "AsyncScriptStream": "scripts",
    "AsyncBatch": "session",
    "AsyncRecords": "session",
    "AsyncScope": "session",
    "AsyncSession": "session",
}
"""The modules of names that import asyncio, which not every program needs."""

_ROOMS = ("agents",)
"""Rooms with names that the documentation imports from there."""


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"{__name__}.{name}")
    if name in _ASYNC:
        value = globals()[name] = getattr(import_module(f"{__name__}.aio.{_ASYNC[name]}"), name)
        return value
    if name == "tool":  # programs that are recorded mark their functions, and embed no runtime
        value = globals()[name] = import_module(f"{__name__}.recording.boundaries.tools").tool
        return value
    # Whoever needs errors only, such as the process of a script, does not import the rest.
    errors = import_module("greenroom.storage.errors")
    public = errors if name[:1].isupper() and name in errors.__all__ else import_module(f"{__name__}.public")
    if name != "__all__" and name not in public.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(public, name)
    return value


def __dir__() -> list[str]:
    return [*{*globals(), *_ASYNC, *_ROOMS, *import_module(f"{__name__}.public").__all__}]
