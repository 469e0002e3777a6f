"""The Lua engine: one state for each run, on a thread of its own, under limits of time, instructions and memory."""

from __future__ import annotations

import codecs
import contextlib
import itertools
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from lupa import lua54

from greenroom.runtime import (
    ConfigurationError,
    GreenroomError,
    ScriptError,
    ScriptMemoryExceeded,
    ScriptRequest,
    ScriptResult,
    ScriptTimeout,
)
from greenroom.runtime.scripts import CURRENT, Elastic, Lease, changed
from greenroom.scripting.callback import Callbacks, Stopped
from greenroom.scripting.export import Export, exports_of
from greenroom.scripting.files import Files, OpenFiles
from greenroom.scripting.globals import make_globals
from greenroom.scripting.script_context import ScriptContext
from greenroom.scripting.values import UNDEFINED

from .bridge import FIELDS, FIRST, Bridge, pack, unpack
from .memory import Memory
from .prelude import load_kernel, new_runtime

__all__ = ["LuaEngine"]

PROFILES: Final = ("sandboxed", "files", "trusted")
MAX_SOURCE: Final = 1 << 20
MAX_OUTPUT: Final = 1 << 20
_GRACE: Final = 1.0
_MOST_CAUSES: Final = 16
_MAX_SCRIPTS: Final = 1024
"""Limit of scripts that run at once. Further ones are refused with ResourceLimitExceeded."""


class LuaEngine:
    """Runs Lua 5.4. Found through the entry-point group `greenroom.script_engines`."""

    language = "lua"
    suffixes: tuple[str, ...] = (".lua",)

    def prepare(self, request: ScriptRequest) -> Callable[[], ScriptResult]:
        """Check the request and return a function that runs the script to its end or limit.

        Raises ConfigurationError for an unknown profile, ValidationError for arguments that cannot be converted, and
        ScriptError for a source that is too large. The returned function raises ScriptError with `script`, `line`,
        `traceback` and `cause` (the code of the uncaught error), ScriptTimeout and ScriptMemoryExceeded.
        """
        if request.profile not in PROFILES:
            raise ConfigurationError(
                f"there is no script profile {request.profile[:100]!r}; there are: {', '.join(PROFILES)}"
            )
        source = request.source.encode("utf-8", "surrogatepass").removeprefix(codecs.BOM_UTF8)
        if len(source) > MAX_SOURCE:
            raise ScriptError(f"{request.name} is larger than {MAX_SOURCE} bytes", script=request.name)
        if source.startswith(b"#"):
            source = b"--" + source
        return partial(self._run, request, source, pack([*request.args]))

    def _run(self, request: ScriptRequest, source: bytes, arguments: bytes) -> ScriptResult:
        run = _Run(request, source, arguments)
        future = _threads.submit(run.execute)
        try:
            future.result(request.timeout + _GRACE)
        except TimeoutError:
            # In rare constructed cases one native operation can outlast the limit. The caller returns at once. The
            # thread ends with the operation, and until then has no access and holds no resources.
            run.abandon(ScriptTimeout("abandoned"))
            raise run.timeout() from None
        except BaseException as error:
            run.abandon(error)
            raise
        return run.result()


_FILES: Final = "files of the profile"
_layouts: Final[dict[tuple[str, ...], bytes]] = {}
"""The encoded layouts of the globals, cached by the names of the globals, because runs share a few layouts."""


def _layout_of(exported: dict[str, dict[str, Export]]) -> bytes:
    """Return the numbers of the bridge's functions by global and name, encoded for the kernel."""
    numbers = itertools.count(FIRST)
    layout = {name: {each: next(numbers) for each in exports} for name, exports in exported.items()}
    granted = layout.pop(_FILES, {})
    methods = [each for each, export in exported["Session"].items() if export.on_session]
    callbacks = {layout[name][each]: True for name in layout for each, it in exported[name].items() if it.callbacks}
    return pack({"globals": layout, "methods": methods, "fields": FIELDS, "files": granted, "callbacks": callbacks})


class _Run:
    """One run. All its data ends with its Lua state."""

    def __init__(self, request: ScriptRequest, source: bytes, arguments: bytes) -> None:
        self._request = request
        self._source = source
        self._arguments = arguments
        self._started = time.monotonic()
        self._output: list[bytes] = []
        self._written = 0
        self._memory = Memory()
        self._duration = 0.0
        self._instructions = 0
        self._peak = 0
        self._value: Any = None
        self._error: BaseException | None = None
        self._principal = ScriptContext(request.runtime, request.session, self._started + request.timeout)
        self._lease = Lease()
        self._callbacks = Callbacks()
        self._bridge = Bridge(self._principal, self._write, self._memory, self._callbacks)

    def abandon(self, error: BaseException) -> None:
        """Stop the script as soon as possible, and release its resources of the runtime at once. Its pending operations
        have no effect any more."""
        self._lease.over = True
        self._bridge.interrupt = self._bridge.interrupt or error
        self._principal.release()

    def timeout(self, where: str | None = None, facts: dict[str, Any] | None = None) -> ScriptTimeout:
        request = self._request
        if facts is None:
            facts = {"script": request.name, "line": None, "traceback": None, "output": self._text()}
        message = f"{where or request.name}: the script ran longer than {request.timeout:g} s"
        return ScriptTimeout(message, timeout=request.timeout, **facts)

    def _out_of_memory(self, where: str, facts: dict[str, Any]) -> ScriptMemoryExceeded:
        limit = self._request.max_memory
        message = f"{where}: the script needs more than {limit} bytes of memory"
        return ScriptMemoryExceeded(
            message, limit=limit, **{"script": self._request.name, "output": self._text()} | facts
        )

    def result(self) -> ScriptResult:
        if self._error is not None:
            self._lease.over = isinstance(self._error, ScriptTimeout)  # a tool may still be running
            raise self._error
        return ScriptResult(self._value, self._text(), self._duration, self._instructions, self._peak)

    # -- operations that Lua calls

    def _write(self, line: bytes) -> bool:
        """Add a line of output. Return False once there is no room for more."""
        room = MAX_OUTPUT - self._written
        if len(line) > room:
            cut = line[:room]
            line = cut + b"\n[output truncated at 1 MiB]\n"
            self._written = MAX_OUTPUT
        else:
            cut = line
            self._written += len(line)
        self._output.append(line)
        if self._request.echo is not None:
            self._request.echo(line.decode("utf-8", "replace"))
        return cut is line

    def _text(self) -> str:
        return b"".join(self._output).decode("utf-8", "replace")

    # -- the run itself, on the script's thread

    def execute(self) -> None:
        request = self._request
        files = Files(request.profile, request.directories)
        opened = OpenFiles(files)
        try:
            CURRENT.set(changed(CURRENT.get(), {"run": self._lease}))  # the thread has a context of its own
            if request.session is not None:
                with request.session.as_current():
                    self._run(files, opened)
            else:
                self._run(files, opened)
        except BaseException as error:
            self._error = error
        finally:
            # Break a cycle that is never collected: the Lua state holds the bridge.
            self._callbacks.close()
            self._memory.close()
            self._principal.close()
            try:
                opened.close_all()
            except GreenroomError as error:
                self._error = self._error or error
            if self._error is not None:
                _let_go(self._error)
            self._duration = time.monotonic() - self._started

    def _run(self, files: Files, opened: OpenFiles) -> None:
        request = self._request
        source, arguments = self._source, self._arguments
        self._source = self._arguments = b""
        if len(arguments) > request.max_memory:
            raise self._out_of_memory(request.name, {"line": None, "traceback": None})
        lua = new_runtime()
        self._memory.attach(lua)
        protected, set_hook = lua.globals()[b"pcall"], lua.globals()[b"debug"][b"sethook"]
        kernel = load_kernel(lua, self._bridge)
        self._callbacks.thread = threading.get_ident()
        self._callbacks.invoke = self._call_back(kernel[b"call_back"])
        self._callbacks.release = _quietly(kernel[b"release"])
        kernel[b"max_bytes"] = request.max_memory
        kernel[b"prepare"](request.profile.encode(), self._layout(files, opened))
        name = request.name.encode("utf-8", "replace").replace(b"\n", b" ")[:50]
        kernel[b"take"](source, name, arguments)
        main, report = kernel[b"main"], kernel[b"report"]
        left = request.max_memory - len(arguments)
        kernel[b"start"](request.max_instructions, left // 1024)
        self._memory.limit(left)
        outcome: Any
        try:
            # pcall is called from here, not by Lua code: once a limit is hit, no Lua instruction runs any more.
            outcome = protected(main)
        except (lua54.LuaError, MemoryError) as error:
            outcome = (False, str(error).encode())
        self._memory.lift()
        killed = line = trace = None
        for _ in range(3):
            try:
                set_hook()
                killed, self._instructions, self._peak, line, trace = report()
                break
            except (lua54.LuaError, MemoryError):
                continue
        self._finish(outcome, killed.decode() if killed else None, line, trace)

    def _layout(self, files: Files, opened: OpenFiles) -> bytes:
        """Give all functions to the bridge, and return their encoded numbers by global and name."""
        exported = make_globals(self._principal, files)
        if self._request.profile == "files":
            exported[_FILES] = exports_of(opened)
        self._bridge.operations = [export for exports in exported.values() for export in exports.values()]
        names = tuple(exported)
        if names not in _layouts:
            _layouts[names] = _layout_of(exported)
        return _layouts[names]

    def _call_back(self, call: Any) -> Callable[[int, Any], Any]:
        """Return the function that calls the script's functions while the script waits for a call into the host."""

        def invoke(number: int, argument: Any) -> Any:
            if self._principal.remaining() <= 0:
                raise Stopped("time")
            data = pack(argument)
            if not self._memory.room(len(data)):
                raise Stopped("memory")
            try:
                outcome = call(number, data)
            except (lua54.LuaError, MemoryError) as error:
                # A limit was hit: no Lua instruction of the script runs any more. Lua knows which, except for memory.
                full = isinstance(error, MemoryError) or "not enough memory" in str(error)
                raise Stopped("memory" if full else "interrupted") from None
            if outcome[0] == b"ok":
                return UNDEFINED if len(outcome) < 2 or outcome[1] is None else unpack(outcome[1])
            code, message = (each.decode("utf-8", "replace") if each is not None else None for each in outcome[1:3])
            raise ScriptError(f"{code}: {message}" if code is not None else message or "", script=self._request.name)

        return invoke

    def _finish(self, outcome: Any, killed: str | None, line: int | None, trace: bytes | None) -> None:
        request = self._request
        where = f"{request.name}:{line}" if killed and line else request.name
        facts: dict[str, Any] = {"script": request.name, "line": line, "output": self._text()}
        facts["traceback"] = _traceback(where, trace) if trace else None
        if isinstance(self._bridge.interrupt, BaseException):
            raise self._bridge.interrupt
        if killed == "exit":
            return
        if killed == "memory" or (killed is None and b"not enough memory" in _bytes(outcome, 1)):
            raise self._out_of_memory(where, facts)
        if killed == "instructions":
            raise ScriptTimeout(
                f"{where}: the script executed more than {request.max_instructions} instructions",
                limit=request.max_instructions,
                **facts,
            )
        if killed is not None:
            raise self.timeout(where, facts)
        if not (isinstance(outcome, tuple) and outcome[0] is True):
            raise ScriptError(f"{request.name}: {_bytes(outcome, 1).decode('utf-8', 'replace')[:500]}", **facts)
        if outcome[1] == b"ok":
            self._value = unpack(outcome[2]) if len(outcome) > 2 and outcome[2] is not None else None
            return
        raise self._script_error(facts, *outcome[2:])

    def _script_error(
        self,
        facts: dict[str, Any],
        cause: bytes | None,
        message: bytes,
        line: int | None = None,
        trace: bytes | None = None,
    ) -> GreenroomError:
        name, text = self._request.name, message.decode("utf-8", "replace")
        where = self._request.name.replace("\n", " ")[:50] + ":"
        if line is None and text.startswith(where):
            digits = text[len(where) :].split(":", 1)[0]
            line = int(digits) if digits.isdigit() else None
        code = cause.decode("utf-8", "replace") if cause is not None else None
        if not text.startswith(where):
            prefix = f"{name}:{line}: " if line is not None else f"{name}: "
            text = prefix + (f"{code}: " if code is not None else "") + text
        facts |= {"line": line, "traceback": _traceback(text, trace), "cause": code}
        return ScriptError(text, **facts)


def _let_go(error: BaseException | None) -> None:
    """Clear the frames of an error, so that keeping the error does not keep the Lua state."""
    for _ in range(_MOST_CAUSES):
        if error is None:
            return
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_code is _Run._run.__code__:
                frame.clear()
        error = error.__cause__ or error.__context__


def _quietly(call: Any) -> Callable[[int], None]:
    """Return the function without its Stopped: the script itself hits the limit next."""

    def quiet(number: int) -> None:
        with contextlib.suppress(lua54.LuaError, MemoryError):
            call(number)

    return quiet


def _bytes(outcome: Any, index: int) -> bytes:
    value = outcome[index] if isinstance(outcome, tuple) and len(outcome) > index else b""
    return value if isinstance(value, bytes) else b""


def _traceback(message: str, trace: bytes | None) -> str:
    """Return the traceback of the script, without the frames of the engine."""
    lines = (trace or b"").decode("utf-8", "replace").split("\n")
    kept = [each for each in lines[1:] if each.strip() and not each.startswith("\t?: in")]
    while kept and kept[-1].startswith("\t[C]: in"):
        kept.pop()
    return "\n".join([message, *kept])


_STACK: Final = 8 << 20
"""Stack size of a script's thread in bytes. Lua can nest 200 calls of C in each of MAX_NESTED waiting functions."""

_threads: Final = Elastic(_MAX_SCRIPTS, "greenroom-script", _STACK)
