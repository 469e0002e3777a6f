"""The guest: QuickJS as WebAssembly, from quickjs-rs. What it exports, and what its imports are answered.

There is no WASI: the guest's imports from there are answered here. They have no files and no environment, clocks in
milliseconds, and random bytes from where the context says. No exception of Python passes through the guest: what must
end a script ends it by a trap, after which no code of it runs.
"""

from __future__ import annotations

import ctypes
import importlib.util
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import wasmtime
from wasmtime import _ffi as ffi

__all__ = ["EXPORTS", "IMPORTS", "PAGE", "U32", "Refused", "Running", "Trapped", "guest", "link", "rejected", "running"]

U32: Final = 0xFFFFFFFF
PAGE: Final = 1 << 16
_NOWHERE: Final = -1
_BAD_DESCRIPTOR: Final = 8
EXPORTS: Final = {
    "call_function": "iiiiii",
    "compute_memory_usage": "i",
    "eval_code": "iiii",
    "execute_pending_jobs": "i",
    "free_value": "i-",
    "get_prop": "iiiii",
    "get_string": "ii",
    "last_exception": "ii",
    "new_function": "iii",
    "new_string": "iii",
    "new_uint8array": "iiii",
    "new_undefined": "i",
    "qjs_alloc": "ii",
    "qjs_free": "ii-",
    "qjs_last_len": "i",
    "qjs_last_ptr": "i",
    "qjs_result_free": "-",
    "set_memory_limit": "i-",
}
"""The exports of the guest that are used. A test compares them with the module."""


class Trapped(Exception):
    """A trap ended the guest; its context is dead. `reason`: "time", "memory", "stack", "stopped" or "engine"."""

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or reason)
        self.reason = reason


class Refused(Exception):
    """Code in the guest threw. `thrown` is the text of what it threw, `stack` where, as far as that is known."""

    def __init__(self, thrown: str, stack: str = "") -> None:
        super().__init__(thrown)
        self.thrown = thrown
        self.stack = stack


class Running(Protocol):
    """What the answers need of the context whose guest asks: see `quickjs.Context`."""

    ending: BaseException | None
    beats: int
    last_words: bytes
    random: Callable[[int], bytes]

    def answer(self, handle: int) -> int: ...

    def over(self) -> bool: ...

    def clock(self, wall: bool) -> int: ...

    def rejection(self, values: Any) -> None: ...

    def read(self, place: int, size: int) -> bytes: ...

    def write(self, place: int, data: bytes) -> None: ...


def _type(letters: str) -> wasmtime.FuncType:
    value = {"i": wasmtime.ValType.i32, "I": wasmtime.ValType.i64}
    answer = letters[-1]
    return wasmtime.FuncType([value[each]() for each in letters[:-1]], [] if answer == "-" else [value[answer]()])


running = threading.local()
"""`running.context`: the context whose guest runs on this thread."""
_Answer = Callable[[Any, Any], int | None]
IMPORTS: Final[dict[tuple[str, str], tuple[str, Any]]] = {}
"""The imports of the guest: their types, and the C functions that answer them, kept alive here."""


def _answers(module: str, name: str, letters: str) -> Callable[[_Answer], _Answer]:
    """Register a function that answers an import. It may return a number for the guest, or raise `Trapped`."""

    def register(answer: _Answer) -> _Answer:
        @ffi.wasmtime_func_unchecked_callback_t  # type: ignore[untyped-decorator]
        def called(_env: Any, _caller: Any, values: Any, _count: int) -> int:
            context: Running = running.context
            try:
                number = answer(context, values)
            except BaseException as error:
                context.ending = context.ending or error
                return _trap()
            if number is not None:
                values[0].i32 = number
            return 0

        IMPORTS[module, name] = letters, called
        return answer

    return register


@_answers("env", "host_call", "iiiiii")
def _host_call(context: Running, values: Any) -> int:
    count, handles = values[3].i32, values[4].i32
    if count < 1:
        return _NOWHERE
    (handle,) = struct.unpack("<i", context.read(handles & U32, 4))
    return context.answer(handle)


@_answers("env", "host_interrupt", "i")
def _host_interrupt(context: Running, _values: Any) -> int:
    context.beats += 1
    return 1 if context.over() else 0


@_answers("env", "host_module_normalize", "iiiiii")
@_answers("env", "host_module_load", "iiii")
def _no_module(_context: Running, _values: Any) -> int:
    return 0


@_answers("wasi_snapshot_preview1", "random_get", "iii")
def _random_get(context: Running, values: Any) -> int:
    place, size = values[0].i32 & U32, values[1].i32 & U32
    if size > PAGE:
        return _BAD_DESCRIPTOR
    context.write(place, context.random(size))
    return 0


@_answers("wasi_snapshot_preview1", "clock_time_get", "iIii")
def _clock_time_get(context: Running, values: Any) -> int:
    clock, place = values[0].i32, values[2].i32 & 0xFFFFFFFF
    context.write(place, struct.pack("<Q", context.clock(clock == 0) * 1_000_000))
    return 0


@_answers("wasi_snapshot_preview1", "environ_sizes_get", "iii")
def _environ_sizes_get(context: Running, values: Any) -> int:
    for each in (0, 1):
        context.write(values[each].i32 & U32, bytes(4))
    return 0


@_answers("wasi_snapshot_preview1", "environ_get", "iii")
def _environ_get(_context: Running, _values: Any) -> int:
    return 0


@_answers("wasi_snapshot_preview1", "fd_close", "ii")
@_answers("wasi_snapshot_preview1", "fd_fdstat_get", "iii")
@_answers("wasi_snapshot_preview1", "fd_seek", "iIiii")
def _no_descriptor(_context: Running, _values: Any) -> int:
    return _BAD_DESCRIPTOR


@_answers("wasi_snapshot_preview1", "fd_write", "iiiii")
def _fd_write(context: Running, values: Any) -> int:
    """Keep the last words of the guest, written before it gives up: they tell whether it had no memory."""
    (place, size) = struct.unpack("<II", context.read(values[1].i32 & U32, 8))
    context.last_words = (context.last_words + context.read(place, min(size, 200)))[-200:]
    context.write(values[3].i32 & U32, struct.pack("<I", size))
    return 0


@_answers("wasi_snapshot_preview1", "proc_exit", "i-")
def _proc_exit(_context: Running, _values: Any) -> None:
    raise Trapped("engine", "the engine gave up")


@ffi.wasmtime_func_unchecked_callback_t  # type: ignore[untyped-decorator]
def rejected(_env: Any, _caller: Any, values: Any, _count: int) -> int:
    context: Running = running.context
    try:
        context.rejection(values)
    except BaseException as error:
        context.ending = context.ending or error
        return _trap()
    return 0


def _trap() -> int:
    message = b"stopped"
    return ctypes.cast(ffi.wasmtime_trap_new(message, len(message)), ctypes.c_void_p).value or 0


def guest() -> bytes:
    """Return the WebAssembly module of quickjs-rs."""
    found = importlib.util.find_spec("quickjs_rs")  # importing it would take longer than reading the guest
    if found is None or found.origin is None:
        raise FileNotFoundError("quickjs-rs is not installed")
    return Path(found.origin).with_name("_guest.wasm").read_bytes()


def _named(text: str) -> tuple[bytes, int]:
    data = text.encode()
    return data, len(data)


def link(engine: wasmtime.Engine, module: wasmtime.Module) -> wasmtime.InstancePre:
    """Return the module with its imports answered, ready for instances. Raises `wasmtime.WasmtimeError`."""
    linker = wasmtime.Linker(engine)
    nothing = ctypes.cast(0, ctypes.CFUNCTYPE(None, ctypes.c_void_p))
    for (space, name), (letters, called) in IMPORTS.items():
        kind = _type(letters)  # must live until the call is over
        error = ffi.wasmtime_linker_define_func_unchecked(
            linker.ptr(), *_named(space), *_named(name), kind.ptr(), called, None, nothing
        )
        if error:
            raise wasmtime.WasmtimeError._from_ptr(error)
    return linker.instantiate_pre(module)
