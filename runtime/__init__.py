"""What a host embeds: the runtime, its sessions, their messages and errors.

Nothing is imported before a name is asked for, so that `greenroom --help` answers at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .version import __version__ as __version__

if TYPE_CHECKING:
    from .aio.runtime import AsyncRuntime as AsyncRuntime
    from .aio.session import AsyncSession as AsyncSession
    from .public import *  # noqa: F403
    from .public import __all__ as __all__

_ASYNC = {"AsyncRuntime": "runtime", "AsyncSession": "session"}
"""The modules of names that import asyncio, which not every program needs."""


def __getattr__(name: str) -> Any:
    if name in _ASYNC:
        value = globals()[name] = getattr(import_module(f"{__name__}.aio.{_ASYNC[name]}"), name)
        return value
    # Whoever needs errors only, such as the process of a script, does not import the rest.
    errors = import_module("greenroom.storage.errors")
    public = errors if name[0].isupper() and name in errors.__all__ else import_module(f"{__name__}.public")
    if name != "__all__" and name not in public.__all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(public, name)
    return value


def __dir__() -> list[str]:
    return [*globals(), *_ASYNC, *import_module(f"{__name__}.public").__all__]
