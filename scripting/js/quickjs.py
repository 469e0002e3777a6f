"""QuickJS in WebAssembly, hardened. This module, `guest` and `rejections` are the only ones that use private names of
quickjs-rs and of wasmtime's binding; tests fail clearly when those move.

quickjs-rs ships QuickJS as a WebAssembly module. The limits of its own host code do not hold against native loops, so
the guest runs here in an engine of its own:

- The epoch of the engine ends native loops at the deadline. A poll of the guest (`host_interrupt`) ends loops of the
  script a little earlier, so that the script's line is known.
- The store limits memory, tables and instances. Memory never shrinks, so its size is the peak.
- What must end a script ends it by a trap: no code of the script runs after it, and the context is dead.

A prepared context can be copied: `Context.image()` is its memory, `Machine.context(image)` a new context with a copy of
it. All that QuickJS knows lies in that memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import wasmtime
from wasmtime import _ffi as ffi

from .compiled import cache_directory, compiled
from .guest import EXPORTS, PAGE, U32, Refused, Trapped, guest, link, rejected, running
from .rejections import TABLE, Rejections, with_table
from .ticker import PERIOD, Ticker

__all__ = ["BEAT", "GRACE", "Context", "Image", "Machine", "machine"]

GRACE: Final = 0.1
"""Seconds between the deadline, at which the guest is asked to stop, and the trap that stops it."""
BEAT: Final = 10_000
"""Loop iterations and calls between two polls of the guest."""
STACK: Final = 5 << 20
"""Bytes of the native stack for the guest: about five thousand functions that call each other. QuickJS does not look at
its stack in WebAssembly, so a deeper recursion ends in a trap. The thread needs a larger stack than this."""
_HEADROOM: Final = 1 << 20
"""Bytes of memory beyond the script's limit, for the guest's copies of texts that cross."""
_EMPTY: Final = 2 << 20
_NEVER: Final = 1 << 40
_LONGEST: Final = 1e9
_OK, _THROWN = 0, 1
_SETTINGS: Final = "epochs, memory that stays"


@dataclass(frozen=True)
class Image:
    """The memory of a prepared context, and what the host has to know of it."""

    memory: bytes
    used: int
    stack_pointer: int
    places: tuple[int, int, int]
    reports_rejections: bool


_making = threading.Lock()
_made: Machine | None = None


def machine() -> Machine:
    """Return the machine of this process. It is made once: its compiled code is shared by all contexts."""
    global _made
    if _made is None:
        with _making:
            if _made is None:
                _made = Machine()
    return _made


def _after_fork() -> None:
    global _making
    _making = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


class Machine:
    """The engine, with the guest compiled and linked."""

    def __init__(self) -> None:
        config = wasmtime.Config()
        config.epoch_interruption = True
        config.parallel_compilation = False  # its threads would not live on in a child process after a fork
        ffi.wasmtime_config_async_stack_size_set(config.ptr(), STACK)  # never used, but never smaller than the next
        config.max_wasm_stack = STACK
        config.memory_may_move = False
        self.engine = wasmtime.Engine(config)
        wasm = with_table(guest())
        settings = ", ".join((_SETTINGS, _version_of_wasmtime(), platform.system(), platform.machine()))
        self.module = compiled(self.engine, wasm, settings, cache_directory())
        self._linked = link(self.engine, self.module)
        self.ticker = Ticker(self.engine.increment_epoch)

    def context(self, memory: int, image: Image | None = None) -> Context:
        """Return a new context whose scripts may use `memory` bytes, with a copy of an image or an empty heap.

        Raises `Trapped` if it cannot be made.
        """
        return Context(self, self._linked, memory, image)


def _version_of_wasmtime() -> str:
    """Return what tells the installed version of wasmtime: `importlib.metadata` takes longer than all the rest."""
    package = Path(wasmtime.__file__).parent
    found = sorted(each.name for each in package.parent.glob("wasmtime-*.dist-info"))
    return found[0] if found else str(package)


class Context:
    """One heap of JavaScript. For one thread at a time, and for one script."""

    def __init__(self, made_by: Machine, linked: wasmtime.InstancePre, memory: int, image: Image | None) -> None:
        self._machine = made_by
        self.dead = False
        self.ending: BaseException | None = None
        """What an import raised. It ended the script."""
        self.last_words = b""
        self.beats = 0
        self.max_beats = 1 << 62
        self.deadline = float("inf")
        self.host: Callable[[str], bytes] = _no_host
        """Answers the calls of the script. What it raises ends the script."""
        self.now: Callable[[], float] = time.time
        self.random: Callable[[int], bytes] = os.urandom
        self._began = time.monotonic()
        self.store = wasmtime.Store(made_by.engine)
        self._where = self.store._context()
        self._numbers = (ctypes.c_int64 * 16)()  # eight values of the C interface, 16 bytes each
        self._values = ctypes.cast(self._numbers, ctypes.POINTER(ffi.wasmtime_val_raw_t))
        self._trap = ctypes.POINTER(ffi.wasm_trap_t)()
        self._trap_place = ctypes.byref(self._trap)
        self._bound = 0
        self._set_limit((len(image.memory) if image is not None else _EMPTY) + memory)
        with self._entered():
            self.store.set_epoch_deadline(_NEVER)
            exports: Any = linked.instantiate(self.store).exports(self.store)
            self._memory = exports["memory"]
            self._place = ctypes.byref(self._memory._memory)
            # It never moves: 4 GiB of addresses are reserved for every memory, which also spares checks of bounds.
            self._data = ctypes.cast(ffi.wasmtime_memory_data(self._where, self._place), ctypes.c_void_p).value or 0
            self._pointer = exports["__stack_pointer"]
            self._functions = {name: ctypes.byref(exports[name]._func) for name in EXPORTS}
            self.rejections = Rejections(self, exports[TABLE], rejected)
            if image is None:
                self.call("set_memory_limit", memory)
                self._buffer, self._slots = self.call("qjs_alloc", PAGE), self.call("qjs_alloc", 8)
                self._undefined = self.call("new_undefined")
                self.reports_rejections = self.rejections.install()
                self._base = self._used()
            else:
                self._restore(image)
                self.call("set_memory_limit", memory + image.used)
                self._buffer, self._slots, self._undefined = image.places
                self.reports_rejections = image.reports_rejections
                self._base = image.used
        self._start = self.size()

    # -- its life

    @contextmanager
    def _entered(self) -> Iterator[None]:
        before = getattr(running, "context", None)
        running.context = self
        try:
            yield
        finally:
            running.context = before

    @contextmanager
    def script(self, deadline: float) -> Iterator[None]:
        """Run code of the script in the block, until `deadline` on the monotonic clock at the latest."""
        with self._entered(), self._machine.ticker.running():
            self.until(deadline)
            yield

    def until(self, deadline: float) -> None:
        """Set the deadline of the code in a `script` block."""
        ticks = int(min(deadline + GRACE - time.monotonic(), _LONGEST) / PERIOD) + 2
        self.deadline = deadline
        if not self.dead:
            self.store.set_epoch_deadline(max(1, min(ticks, _NEVER)))

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Stop the clock in the block, in which the script waits for the host, maybe for long."""
        with self._machine.ticker.paused():
            yield
        self.until(self.deadline)

    @contextmanager
    def called(self) -> Iterator[None]:
        """Run a function of the script in the block, while the script waits for the host."""
        with self._machine.ticker.running():
            self.until(self.deadline)
            yield

    def close(self) -> None:
        """Free the context."""
        self.dead = True
        self.host, self.now, self.random = _no_host, time.time, os.urandom
        self.store.close()

    def image(self) -> Image:
        """Return a copy of the memory, to make further contexts of."""
        with self._entered():
            used = self._used()
        memory = ctypes.string_at(self._data, self.size())
        pointer = int(self._pointer.value(self.store))
        places = self._buffer, self._slots, self._undefined
        return Image(memory, used, pointer, places, self.reports_rejections)

    def _restore(self, image: Image) -> None:
        missing = len(image.memory) - self.size()
        if missing > 0:
            self._memory.grow(self.store, missing // PAGE)
        ctypes.memmove(self._data, image.memory, len(image.memory))
        self._pointer.set_value(self.store, image.stack_pointer)

    # -- limits

    def over(self) -> bool:
        """Return whether the script has to stop: its time is over, or its number of loops and calls is used up."""
        return self.beats > self.max_beats or time.monotonic() >= self.deadline

    def clock(self, wall: bool) -> int:
        """Return milliseconds: of the wall clock, or since the context was made."""
        return int((self.now() if wall else time.monotonic() - self._began) * 1000)

    def limit(self, memory: int) -> None:
        """Let the script use `memory` bytes from now on."""
        self._set_limit(self._start + memory)
        with self._entered():
            self.call("set_memory_limit", self._base + memory)

    def _set_limit(self, size: int) -> None:
        self.store.set_limits(memory_size=size + _HEADROOM, table_elements=10_000, instances=1, tables=1, memories=1)

    def size(self) -> int:
        """Return the bytes of the context's memory, which never shrinks."""
        return int(ffi.wasmtime_memory_data_size(self._where, self._place))

    def grown(self) -> int:
        """Return by how many bytes the memory has grown."""
        return self.size() - self._start

    def room(self, size: int) -> bool:
        """Return whether the guest could get so many bytes at once. Callable while the script waits for the host."""
        place = self.call("qjs_alloc", size)
        if place:
            self.call("qjs_free", place, size)
        return place != 0

    def peak(self) -> int:
        """Return the most bytes that the script used: whole pages if the memory has grown, else what is used now."""
        grown = self.grown()
        return grown if grown > 0 or self.dead else max(0, self._used() - self._base)

    def _used(self) -> int:
        """Return the bytes that QuickJS has given out. The guest cannot tell while it waits for the host."""
        self.call("compute_memory_usage")
        (used,) = struct.unpack("<q", self._result()[:8])
        return int(used)

    # -- calls into the guest

    def call(self, name: str, *arguments: int) -> int:
        """Call an export. Raises `Trapped`, after which the context is dead."""
        if self.dead:
            raise Trapped("engine", "the context is dead")
        numbers = self._numbers
        place = 0
        for each in arguments:
            numbers[place] = each
            place += 2
        error = ffi.wasmtime_func_call_unchecked(self._where, self._functions[name], self._values, 8, self._trap_place)
        if error or self._trap:
            raise self._trapped(error)
        answer: int = numbers[0] & U32
        return answer - (1 << 32) if answer >> 31 else answer

    def _trapped(self, error: Any) -> Trapped:
        """Return why the guest was ended, and mark the context as dead."""
        self.dead = True
        code, message = None, ""
        if self._trap:
            trap = wasmtime.Trap._from_ptr(self._trap)
            code, message = trap.trap_code, trap.message
            self._trap = ctypes.POINTER(ffi.wasm_trap_t)()
            self._trap_place = ctypes.byref(self._trap)
        else:
            message = str(wasmtime.WasmtimeError._from_ptr(error))
        if isinstance(self.ending, Trapped):
            return self.ending
        if self.ending is not None:
            return Trapped("engine", f"{type(self.ending).__name__}: {self.ending}")
        if code is wasmtime.TrapCode.INTERRUPT:
            return Trapped("time")
        if code in (wasmtime.TrapCode.STACK_OVERFLOW, wasmtime.TrapCode.MEMORY_OUT_OF_BOUNDS):
            return Trapped("stack")  # the guest's own stack begins at address 0: beyond it there is no memory
        if b"memory allocation" in self.last_words:
            return Trapped("memory")
        return Trapped("engine", (message.splitlines() or [""])[-1].strip()[:200])

    def evaluate(self, source: str) -> int:
        """Return a handle of what a source evaluates to. Raises `Refused` or `Trapped`."""
        data = source.encode("utf-8")
        place = self._put(data)
        try:
            return self._outcome(self.call("eval_code", place, len(data), self._slots + 4))
        finally:
            self._let_go(place, data)

    def invoke(self, function: int, text: bytes | None = None, *, handle: int = 0) -> int:
        """Call a function of the guest with a text or another value, and return a handle of what it returns.

        Raises `Refused` or `Trapped`.
        """
        given = self.new_text(text) if text is not None else handle
        self.write(self._slots, struct.pack("<i", given))
        status = self.call("call_function", function, self._undefined, self._slots, 1 if given else 0, self._slots + 4)
        if text is not None and not self.dead:
            self.call("free_value", given)
        return self._outcome(status)

    def run_jobs(self) -> int:
        """Run the pending jobs of promises, at most a hundred thousand. Return how many have run."""
        return self.call("execute_pending_jobs")

    def function(self, name: str) -> int:
        """Return a handle of a function that calls `host`."""
        data = name.encode()
        self.write(self._buffer, data)
        return self.call("new_function", self._buffer, len(data))

    def text(self, handle: int) -> str:
        """Return a text of the guest.

        Raises ValueError if the value is none, and `Trapped` if the guest has no memory for a copy in UTF-8.
        """
        status = self.call("get_string", handle)
        if status == _THROWN:
            raise Trapped("memory")
        if status != _OK:
            raise ValueError("no text")
        return self._result().decode()

    def new_text(self, data: bytes) -> int:
        """Return a handle of a new text, given in UTF-8. Raises `Trapped` if there is no memory for it."""
        place = self._put(data)
        handle = self.call("new_string", place, len(data))
        self._let_go(place, data)
        if not handle:
            raise Trapped("memory")
        return handle

    def answer(self, handle: int) -> int:
        """Answer a call of the script: with bytes where it asks for them by "=", else with a text."""
        text = self.text(handle)
        data = self.host(text)
        return self.new_text(data) if text[0] != "=" else self._new_bytes(data)

    def _new_bytes(self, data: bytes) -> int:
        place = self._put(data)
        status = self.call("new_uint8array", place, len(data), self._slots + 4)
        self._let_go(place, data)
        if status != _OK:
            raise Trapped("memory")
        return self._slot()

    def rejection(self, values: Any) -> None:
        """Note what QuickJS tells of a promise."""
        self.rejections.note(values)

    def free(self, handle: int) -> None:
        """Free a handle."""
        self.call("free_value", handle)

    def _outcome(self, status: int) -> int:
        """Return the handle that a call left in the slot for answers."""
        if status == _OK:
            return self._slot()
        if status != _THROWN:
            raise Trapped("engine", f"the engine answered with status {status}")
        if self.call("last_exception", self._slots + 4) != _OK:
            raise Trapped("memory")  # there was none left for an error
        error = self._slot()
        raise Refused(self._shown(error, "message"), self._shown(error, "stack"))

    def _slot(self) -> int:
        (handle,) = struct.unpack("<i", self.read(self._slots + 4, 4))
        return int(handle)

    def _shown(self, error: int, name: str) -> str:
        """Return a text of an error, empty if it has none."""
        data = name.encode()
        self.write(self._buffer, data)
        if self.call("get_prop", error, self._buffer, len(data), self._slots + 4) != _OK:
            return ""
        with contextlib.suppress(ValueError, Trapped):  # half a character has no UTF-8 either
            return self.text(self._slot())
        return ""

    # -- memory of the guest

    def read(self, place: int, size: int) -> bytes:
        """Return bytes of the guest's memory. Raises ValueError beyond it."""
        self._check(place, size)
        return ctypes.string_at(self._data + place, size)

    def write(self, place: int, data: bytes) -> None:
        """Write bytes into the guest's memory. Raises ValueError beyond it."""
        self._check(place, len(data))
        ctypes.memmove(self._data + place, data, len(data))

    def _check(self, place: int, size: int) -> None:
        if place + size > self._bound:
            self._bound = self.size()
            if place < 0 or size < 0 or place + size > self._bound:
                raise ValueError(f"{size} bytes at {place} are outside of the guest's memory")

    def _result(self) -> bytes:
        size = self.call("qjs_last_len") & U32
        data = self.read(self.call("qjs_last_ptr") & U32, size)
        if size > PAGE:
            self.call("qjs_result_free")
        return data

    def _put(self, data: bytes) -> int:
        """Write input for a call into the guest's memory."""
        place = self._buffer
        if len(data) > PAGE:
            place = self.call("qjs_alloc", len(data)) & U32
            if not place:
                raise Trapped("memory")
        self.write(place, data)
        return place

    def _let_go(self, place: int, data: bytes) -> None:
        if place != self._buffer and not self.dead:
            self.call("qjs_free", place, len(data))


def _no_host(_text: str) -> bytes:
    raise Trapped("engine", "no script runs")
