"""Rejections of promises that nothing handles, which the guest of quickjs-rs does not report.

QuickJS calls a *rejection tracker*, a C function that its host sets, but the guest exports nothing to set one. So the
guest's table of functions is exported and given room for one more, and the address of that function is written to the
place where QuickJS keeps it. That place is known for the pinned versions: `install` finds out whether it is still
there, and a test fails when it is not. Then rejections are not reported, and all else works.
"""

from __future__ import annotations

import ctypes
import struct
from typing import Any, Final, Protocol

import wasmtime
from wasmtime import _ffi as ffi

__all__ = ["TABLE", "Rejections", "with_table"]

TABLE: Final = "greenroom_table"
_RUNTIME: Final = 16
"""Where a handle has the address of QuickJS's runtime. Its first eight bytes are the value."""
_TRACKER: Final = 180
"""Where the runtime has the address of its rejection tracker."""
_COUNTED: Final = 0xFFFFFFF0
"""Values whose upper half is at least this point to something that counts its references, in its first four bytes."""
_MOST: Final = 1000
"""Rejections that are waiting to be handled. Further ones are not reported."""
_TABLES, _EXPORTS = 4, 7


def with_table(wasm: bytes) -> bytes:
    """Return a module with its table exported as `TABLE`, and with room for one more function in it."""
    parts, at = [wasm[:8]], 8
    while at < len(wasm):
        kind = wasm[at]
        size, begin = _number(wasm, at + 1)
        section, at = wasm[begin : begin + size], begin + size
        if kind == _TABLES:
            least, after = _number(section, 3)  # one table of functions with a limit
            most, _ = _number(section, after)
            section = section[:3] + _encoded(least) + _encoded(most + 1)
        elif kind == _EXPORTS:
            count, after = _number(section, 0)
            name = TABLE.encode()
            section = _encoded(count + 1) + section[after:] + _encoded(len(name)) + name + b"\1\0"
        parts.append(bytes((kind,)) + _encoded(len(section)) + section)
    return b"".join(parts)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Return an unsigned number in LEB128, and where it ends."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, at


def _encoded(number: int) -> bytes:
    data = bytearray()
    while True:
        byte, number = number & 0x7F, number >> 7
        data.append(byte | (0x80 if number else 0))
        if not number:
            return bytes(data)


class Heap(Protocol):
    """What the rejections need of a heap: see `quickjs.Context`."""

    store: wasmtime.Store

    def call(self, name: str, *arguments: int) -> int: ...

    def evaluate(self, source: str) -> int: ...

    def text(self, handle: int) -> str: ...

    def free(self, handle: int) -> None: ...

    def run_jobs(self) -> int: ...

    def read(self, place: int, size: int) -> bytes: ...

    def write(self, place: int, data: bytes) -> None: ...


class Rejections:
    """The rejections of one heap that nothing has handled yet."""

    def __init__(self, context: Heap, table: Any, called: Any) -> None:
        """Put the tracker `called` into the table of a new instance."""
        self._context = context
        self._open: dict[int, int] = {}
        self._lost = 0
        value = {"i": wasmtime.ValType.i32, "I": wasmtime.ValType.i64}
        kind = wasmtime.FuncType([value[each]() for each in "iIIii"], [])
        made = ffi.wasmtime_func_t()
        nothing = ctypes.cast(0, ctypes.CFUNCTYPE(None, ctypes.c_void_p))
        ffi.wasmtime_func_new_unchecked(context.store._context(), kind.ptr(), called, None, nothing, ctypes.byref(made))
        self._index = int(table.grow(context.store, 1, wasmtime.Func._from_raw(made)))

    def install(self) -> bool:
        """Let QuickJS call the tracker. Return whether it does."""
        context = self._context
        handle = context.call("new_undefined")
        (runtime,) = struct.unpack("<I", context.read(handle + _RUNTIME, 4))
        context.free(handle)
        before = context.read(runtime + _TRACKER, 4)
        if before != bytes(4):
            return False
        context.write(runtime + _TRACKER, struct.pack("<I", self._index))
        context.free(context.evaluate("Promise.reject('probe')"))
        first = self.first()
        works = first != 0 and context.text(first) == "probe"
        context.free(context.evaluate("{ const p = Promise.reject('probe'); p.catch(() => 0) }"))
        context.run_jobs()
        works = works and len(self._open) <= 1
        self.forget()
        if not works:
            context.write(runtime + _TRACKER, before)
        return works

    def note(self, values: Any) -> None:
        """Take what QuickJS tells: a promise was rejected while nothing handles it, or it is handled later."""
        promise, handled = values[1].i64 & 0xFFFFFFFF, values[3].i32
        if handled:
            self._open.pop(promise, None)
            return
        # A promise with the same address has ceased to be without ever being handled.
        self._lost = self._lost or self._open.pop(promise, 0)
        if len(self._open) < _MOST:
            self._open[promise] = self._handle(values[2].i64)

    def first(self) -> int:
        """Return a handle of the reason of the first rejection that nothing has handled, 0 if there is none."""
        return self._lost or next(iter(self._open.values()), 0)

    def forget(self) -> None:
        """Forget all rejections, which have been reported."""
        self._open.clear()
        self._lost = 0

    def _handle(self, value: int) -> int:
        """Return a new handle of a value of QuickJS."""
        context = self._context
        if value >> 32 & 0xFFFFFFFF >= _COUNTED:
            place = value & 0xFFFFFFFF
            (count,) = struct.unpack("<i", context.read(place, 4))
            context.write(place, struct.pack("<i", count + 1))
        handle = context.call("new_undefined")
        context.write(handle, struct.pack("<q", value))
        return handle
