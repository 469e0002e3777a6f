"""The Lua half of the engine, compiled once per process."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any, Final

from lupa import lua54

__all__ = ["load_kernel", "new_runtime"]

_PARTS: Final = (
    "kernel",
    "pack",
    "patterns",
    "strings",
    "tables",
    "json",
    "dress",
    "environment",
)


def _refuse(target: Any, name: Any, is_setting: bool) -> Any:
    raise AttributeError("not for scripts")


def new_runtime() -> Any:
    """Return a Lua state that counts its memory, uses bytes for strings, and hides all attributes of Python objects."""
    return lua54.LuaRuntime(
        encoding=None,
        attribute_filter=_refuse,
        register_eval=False,
        register_builtins=False,
        unpack_returned_tuples=True,
        max_memory=0,
    )


@cache
def _bytecode() -> tuple[bytes, ...]:
    # Without debug information, errors of native functions name the script's line instead of ours.
    compile_part = new_runtime().eval(
        b"function(source, name) return string.dump(assert(load(source, name, 't')), true) end"
    )
    folder = resources.files(__package__) / "library"
    return tuple(compile_part(folder.joinpath(f"{part}.lua").read_bytes(), b"=[greenroom]") for part in _PARTS)


def load_kernel(lua: Any, host: Any) -> Any:
    """Run the prelude in a new state and return the table of its functions. Lua calls `host`."""
    code = _bytecode()
    kernel = lua.execute(code[0], host, mode="b")
    for part in code[1:]:
        lua.execute(part, kernel, mode="b")
    return kernel
