"""What no recording holds, and is no plain socket that is refused where it connects: calls of gRPC, and websockets.

While a program is recorded, it goes on with them and is warned. In a replay they are refused: nothing goes live
unasked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any, Final
from urllib.parse import urlsplit

from greenroom.runtime.recording.tape.reels import active

__all__ = ["patch_grpc", "patch_websockets"]

_CALLS: Final = ("__call__", "with_call", "future")


def patch_websockets(module: ModuleType) -> None:
    """Patch a module of `websockets` that has clients."""
    for name in ("connect", "unix_connect", "Connect"):
        made = vars(module).get(name)
        if isinstance(made, type):
            _guard(made, "__init__", _websocket)
        elif callable(made) and made.__module__ == module.__name__:
            _guard(module, name, _websocket)


def patch_grpc(module: ModuleType) -> None:
    """Patch a module of `grpc` that has channels."""
    for name, kind in list(vars(module).items()):
        if isinstance(kind, type) and name.endswith("MultiCallable") and kind.__module__ == module.__name__:
            for method in _CALLS:
                if method in vars(kind):
                    _guard(kind, method, _call_of_grpc)


def _guard(owner: Any, name: str, named: Callable[[tuple[Any, ...]], tuple[str, str]]) -> None:
    """Have a function refused in a replay, and warned of in a recording."""
    original = vars(owner)[name]
    if hasattr(original, "__wrapped__"):
        return

    @wraps(original)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        reel = active()
        if reel is not None:
            reel.unrecorded(*named((*args, *kwargs.values())))
        return original(*args, **kwargs)

    setattr(owner, name, guarded)


def _websocket(given: tuple[Any, ...]) -> tuple[str, str]:
    """Return what it is, and its peer: without a query, which may hold secrets."""
    parts = urlsplit(next((str(each) for each in given if isinstance(each, str)), ""))
    return "websocket", f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _call_of_grpc(given: tuple[Any, ...]) -> tuple[str, str]:
    method = getattr(given[0], "_method", b"")
    return "gRPC call", method.decode("utf-8", "replace") if isinstance(method, bytes) else str(method)
