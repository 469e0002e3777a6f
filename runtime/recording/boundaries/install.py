"""Install the boundaries: in what is imported, and, when it is imported, in what comes later."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final

from greenroom.storage.errors import ConfigurationError

__all__ = ["install"]

_BOUNDARIES: Final = {
    "http.client": "http.client",
    "httpx": "http.httpx",
    "httpx2": "http.httpx",
    "urllib3": "http.urllib3",
    "aiohttp": "http.aiohttp",
    "mcp.client._memory": "mcp",
    "mcp.client.session": "mcp",
    "mcp.client.sse": "mcp",
    "mcp.client.stdio": "mcp",
    "mcp.client.streamable_http": "mcp",
    "mcp.client.subscriptions": "mcp",
    "grpc._channel": "unrecorded:patch_grpc",
    "grpc.aio._channel": "unrecorded:patch_grpc",
    "websockets.asyncio.client": "unrecorded:patch_websockets",
    "websockets.legacy.client": "unrecorded:patch_websockets",
    "websockets.sync.client": "unrecorded:patch_websockets",
    "time": "standard.clock:patch_time",
    "asyncio.tasks": "standard.clock:patch_tasks",
    "asyncio": "standard.clock:patch_asyncio",
    "datetime": "standard.datetimes:patch_datetime",
    "random": "standard.randomness:patch_random",
    "uuid": "standard.randomness:patch_uuid",
    "os": "standard.environment:patch_os",
    "threading": "standard.concurrency:patch_threading",
    "concurrent.futures.thread": "standard.concurrency:patch_futures",
    "concurrent.futures.process": "standard.pools:patch_executor",
    "multiprocessing.pool": "standard.pools:patch_pool",
    "asyncio.base_events": "standard.concurrency:patch_loops",
    "uvloop": "standard.concurrency:patch_uvloop",
    "subprocess": "standard.process:patch_subprocess",
    "multiprocessing.util": "standard.process:patch_multiprocessing",
}
"""The module of this package that patches a library, by the name of the library, or of a module in it; behind a colon
the function that does, if that is not `patch`."""


def install() -> None:
    """Patch all libraries that have a boundary. More than once is harmless. Patched libraries pass everything through
    while no reel is active. Of several threads, none goes on before all is patched."""
    global _finder
    with _installing:
        if _finder is not None:
            return
        _finder = _Finder()
        sys.meta_path.insert(0, _finder)
        for name in _BOUNDARIES:
            module = sys.modules.get(name)
            if module is not None and not _is_being_imported(module):
                _patch(name, module)


def _is_being_imported(module: ModuleType) -> bool:
    return bool(getattr(module.__spec__, "_initializing", False))


def _patch(name: str, module: ModuleType) -> None:
    boundary, _, function = _BOUNDARIES[name].partition(":")
    boundary = f"{__package__}.{boundary}"
    if find_spec(boundary) is None:
        return
    patch: Callable[[ModuleType], None] = getattr(import_module(boundary), function or "patch")
    try:
        patch(module)
    except Exception as error:
        version = getattr(module, "__version__", "of an unknown version")
        raise ConfigurationError(
            f"{name} {version} cannot be recorded or replayed by this version of greenroom"
            f" ({type(error).__name__}: {error}): install another version of either"
        ) from error


class _Finder:
    """Finds nothing itself: has the libraries that others find patched once they are loaded."""

    def __init__(self) -> None:
        self._busy: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec that the other finders have, with a loader that patches."""
        if fullname not in _BOUNDARIES or fullname in self._busy:
            return None
        self._busy.add(fullname)
        try:
            for finder in sys.meta_path:
                find = getattr(finder, "find_spec", None)
                spec: ModuleSpec | None = find(fullname, path, target) if find and finder is not self else None
                if spec is not None:
                    if spec.loader is not None:
                        spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
                    return spec
        finally:
            self._busy.discard(fullname)
        return None


class _Loader:
    """Loads a library by its own loader, which it then has as if nothing had been in between, and patches it."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return what the own loader makes."""
        module: ModuleType | None = self._own.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Load the module and patch it."""
        module.__loader__ = self._own
        if module.__spec__ is not None:
            module.__spec__.loader = self._own
        self._own.exec_module(module)
        _patch(module.__name__, module)


_finder: _Finder | None = None
_installing: Final = threading.RLock()
