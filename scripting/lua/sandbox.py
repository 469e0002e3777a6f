"""A sandbox for one Lua script: a state with its library and globals, and the limits around the script."""

from __future__ import annotations

import contextlib
import threading
from typing import Any, Final

from lupa import lua54

from greenroom.runtime import ScriptError
from greenroom.scripting.definition.binding import CLOCK, LayoutData
from greenroom.scripting.definition.callback import Callbacks, Stopped
from greenroom.scripting.definition.packing import pack, unpack
from greenroom.scripting.definition.values import UNDEFINED
from greenroom.scripting.running.host import Host
from greenroom.scripting.running.sandbox import Ending, Job, Outcome

from .bridge import Bridge
from .memory import Memory
from .prelude import load_kernel, load_layout, new_runtime

__all__ = ["LuaSandbox", "in_process"]

_ENDINGS: Final[dict[str, Ending]] = {
    "time": "time",
    "instructions": "instructions",
    "memory": "memory",
    "interrupted": "interrupted",
}


class LuaSandbox:
    """One Lua state. All its data ends with it."""

    def __init__(self, layout: LayoutData) -> None:
        self._memory = Memory()
        self._callbacks = Callbacks()
        self._bridge = Bridge(layout, self._memory, self._callbacks)
        self._host: Host | None = None
        self._name = ""
        # What is of Lua stands in attributes alone: a frame that an error keeps must not keep the state.
        self._lua: Any = new_runtime()
        self._memory.attach(self._lua)
        natives = self._lua.globals()
        self._pcall: Any = natives[b"pcall"]
        self._set_hook: Any = natives[b"debug"][b"sethook"]
        self._set_seed: Any = natives[b"math"][b"randomseed"]
        self._kernel: Any = load_kernel(self._lua, self._bridge)
        self._main: Any = self._kernel[b"main"]
        self._report: Any = self._kernel[b"report"]
        self._call_back: Any = self._kernel[b"call_back"]
        self._release: Any = self._kernel[b"release"]
        self._kernel[b"prepare"](layout.profile.encode(), load_layout(self._lua, layout))

    def close(self) -> None:
        # Break a cycle that is never collected: the Lua state holds the bridge.
        self._callbacks.close()
        self._memory.close()
        self._bridge.host = self._host = None
        self._lua = self._kernel = self._pcall = self._set_hook = self._set_seed = None
        self._main = self._report = self._call_back = self._release = None

    def forked(self) -> None:
        """Do nothing: a Lua state has no thread."""

    def run(self, job: Job, host: Host) -> Outcome:
        if len(job.arguments) > job.max_memory:
            return Outcome(ending="memory")
        source = job.source.encode("utf-8", "surrogatepass")
        if source.startswith(b"#"):
            source = b"--" + source
        self._attach(job, host)
        name = job.name.encode("utf-8", "replace").replace(b"\n", b" ")[:50]
        self._kernel[b"take"](source, name, job.arguments)
        return self._limited(job.max_memory - len(job.arguments), job.max_instructions)

    def _attach(self, job: Job, host: Host) -> None:
        """Let the state call the host, and the host call the state."""
        self._name = job.name
        self._host = self._bridge.host = host
        host.room = self._memory.room
        host.refill = self._refill
        self._callbacks.thread = threading.get_ident()
        self._callbacks.invoke = self._invoke
        self._callbacks.release = self._forget
        self._kernel[b"max_bytes"] = job.max_memory
        self._kernel[b"told_time"] = job.told_time
        self._set_seed(job.seed)

    def _limited(self, memory: int, max_instructions: int, *given: bytes) -> Outcome:
        """Call what runs code of the script, under its limits."""
        self._kernel[b"start"](max_instructions, memory // 1024)
        self._memory.limit(memory)
        ended: Any
        try:
            # pcall is called from here, not by Lua code: once a limit is hit, no Lua instruction runs any more.
            ended = self._pcall(self._main, *given)
        except (lua54.LuaError, MemoryError) as error:
            ended = (False, str(error).encode())
        self._memory.lift()
        killed = line = trace = None
        instructions = peak = 0
        for _ in range(3):
            try:
                self._set_hook()
                killed, instructions, peak, line, trace = self._report()
                break
            except (lua54.LuaError, MemoryError):
                continue
        if killed == b"exit":
            return Outcome(self._kernel[b"exit_code"], "exit", instructions=instructions, memory_peak=peak)
        return _outcome(ended, killed.decode() if killed else None, line, trace, instructions, peak)

    def _invoke(self, number: int, arguments: list[Any]) -> Any:
        """Call a function of the script while the script waits for a call into the host."""
        if self._host is None or self._host.call(CLOCK, []) <= 0:
            raise Stopped("time")
        data = pack(arguments)
        if not self._memory.room(len(data)):
            raise Stopped("memory")
        try:
            outcome = self._call_back(number, data)
        except (lua54.LuaError, MemoryError) as error:
            # A limit was hit: no Lua instruction of the script runs any more. Lua knows which, except for memory.
            full = isinstance(error, MemoryError) or "not enough memory" in str(error)
            raise Stopped("memory" if full else "interrupted") from None
        if outcome[0] == b"ok":
            return UNDEFINED if len(outcome) < 2 or outcome[1] is None else unpack(outcome[1])
        code, message = (each.decode("utf-8", "replace") if each is not None else None for each in outcome[1:3])
        raise ScriptError(f"{code}: {message}" if code is not None else message or "", script=self._name, cause=code)

    def _refill(self) -> None:
        """Count the instructions of a script that stays from 0 on."""
        with contextlib.suppress(lua54.LuaError, MemoryError):
            self._kernel[b"refill"]()

    def _forget(self, number: int) -> None:
        """Let the script forget a function. If that fails, the script itself hits the limit next."""
        with contextlib.suppress(lua54.LuaError, MemoryError):
            self._release(number)


def in_process(profile: str, packed: bytes) -> LuaSandbox:
    """Return a sandbox for processes that are forked from this one."""
    return LuaSandbox(LayoutData(profile, packed))


def _outcome(
    ended: Any, killed: str | None, line: int | None, trace: bytes | None, instructions: int, peak: int
) -> Outcome:
    """Return how the script ended, from what `main` returned or raised, and from what the kernel reports."""
    used: dict[str, Any] = {"instructions": instructions, "memory_peak": peak}
    if killed is None and b"not enough memory" in _bytes(ended, 1):
        killed = "memory"
    if killed is not None:
        return Outcome(ending=_ENDINGS[killed], line=line, traceback=_stack(trace), **used)
    if not (isinstance(ended, tuple) and ended[0] is True):
        return Outcome(
            ending="error",
            message=_bytes(ended, 1).decode("utf-8", "replace")[:500],
            line=line,
            traceback=_stack(trace),
            **used,
        )
    if ended[1] == b"ok":
        return Outcome(unpack(ended[2]) if len(ended) > 2 and ended[2] is not None else None, **used)
    code, message, line, trace = [*ended[2:6], None, None][:4]
    return Outcome(
        ending="error",
        code=code.decode("utf-8", "replace") if code is not None else None,
        message=message.decode("utf-8", "replace"),
        line=line,
        traceback=_stack(trace),
        **used,
    )


def _bytes(ended: Any, index: int) -> bytes:
    value = ended[index] if isinstance(ended, tuple) and len(ended) > index else b""
    return value if isinstance(value, bytes) else b""


def _stack(trace: bytes | None) -> str | None:
    """Return the lines of the script's stack, without the frames of the engine."""
    lines = (trace or b"").decode("utf-8", "replace").split("\n")
    kept = [each for each in lines[1:] if each.strip() and not each.startswith("\t?: in")]
    while kept and kept[-1].startswith("\t[C]: in"):
        kept.pop()
    return "\n".join(kept) or None
