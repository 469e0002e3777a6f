"""A sandbox for one JavaScript script: a heap with the library and the globals, and the limits around the script."""

from __future__ import annotations

import functools
import hashlib
import json
import re
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.resources import files
from typing import Any, Final

import msgpack

from greenroom.runtime import GreenroomError, ScriptError
from greenroom.scripting.definition.binding import CLOCK, FINISH, NOW, LayoutData
from greenroom.scripting.definition.callback import Callback, Callbacks, Stopped
from greenroom.scripting.definition.packing import unpack
from greenroom.scripting.definition.values import UNDEFINED
from greenroom.scripting.running.host import Host
from greenroom.scripting.running.sandbox import Ending, Job, Outcome

from .guest import Refused, Trapped
from .quickjs import BEAT, Machine, machine
from .values import decode, encode, weight

__all__ = ["JavaScriptSandbox", "in_process"]

_LIBRARY: Final = ("captured", "values", "calls", "dress", "shown", "files", "streaming", "console", "run")
_FUNCTIONS: Final = (
    *("start", "finish", "report", "rejected"),
    *("call_back", "called_back", "release"),
    *("enter", "show_piece", "names"),
)
_PREPARING: Final = 30.0
_PREPARED_MEMORY: Final = 16 << 20
_MARGIN: Final = 128 << 10
_LONG: Final = 64 << 10
_LONGEST_MESSAGE: Final = 4096
_FRAME: Final = re.compile(r"\s*at (?:(.*?) )?\(?(?:<input>:(\d+)(?::(\d+))?|native)\)?$")
_MAIN: Final = ("<eval>", "<anonymous>")
_NOTHING: Final = "-"
_WRAPPED: Final = "+"
_WRAPPER: Final = len("(async () => {")
_WAITING: Final = "~"
_FAILED: Final = "!"
_STOP: Final = "."
_EXIT: Final = "exit:"
_OUT_OF_MEMORY: Final = ("InternalError", "out of memory")
_UNTOLD: Final = ((None, "null"), (None, "[uninitialized]"), ("InternalError", ""))
"""What the engine throws where it has no memory left even for an error."""
_ENDINGS: Final[dict[str, Ending]] = {"time": "time", "memory": "memory"}


def _source() -> str:
    """Return the library, as one function of the host function."""
    library = files("greenroom.scripting.js") / "library"
    parts = [(library / f"{name}.js").read_text(encoding="utf-8") for name in _LIBRARY]
    return "".join(("(host => { 'use strict';\n", *parts, "\n})"))


class _Prepared:
    """A heap in which the library has built the globals of a layout, to be copied for each script."""

    def __init__(self, made_by: Machine, layout: dict[str, Any]) -> None:
        context = made_by.context(_PREPARED_MEMORY)
        try:
            with context.script(time.monotonic() + _PREPARING):
                kernel = context.invoke(context.evaluate(_source()), handle=context.function("host"))
                prepare = context.invoke(kernel, b"prepare")
                context.free(context.invoke(prepare, encode(layout, [])))
                self.functions = {name: context.invoke(kernel, name.encode()) for name in _FUNCTIONS}
            self.image = context.image()
        finally:
            context.close()


@functools.lru_cache(maxsize=16)
def _prepared(profile: str, packed: bytes) -> _Prepared:
    return _Prepared(machine(), unpack(packed) | {"profile": profile})


def in_process(profile: str, packed: bytes) -> JavaScriptSandbox:
    """Return a sandbox for processes that are forked from this one."""
    return JavaScriptSandbox(LayoutData(profile, packed))


class JavaScriptSandbox:
    """One heap of JavaScript. All that a script leaves ends with it."""

    def __init__(self, layout: LayoutData) -> None:
        prepared = _prepared(layout.profile, layout.packed)
        self._functions = prepared.functions
        self._with_functions = layout.data["callbacks"]
        self._context = machine().context(_PREPARED_MEMORY, prepared.image)
        self._callbacks = Callbacks()
        self._held: dict[int, bytes] = {}
        self._last_held = 0
        self._host: Host | None = None
        self._most = 0
        self._name = ""
        self._trapped: Trapped | None = None
        """The first trap. Later ones only say that the heap is dead."""
        self._stopped: Stopped | None = None
        self._place = ""
        self._shift = 0
        self._lines = 1

    def close(self) -> None:
        self._callbacks.close()
        self._host = None
        self._context.close()

    def forked(self) -> None:
        """Start the clock in the process of a script, which can start no thread later."""
        machine().ticker.keep()

    # -- the run

    def run(self, job: Job, host: Host) -> Outcome:
        if len(job.arguments) > job.max_memory:
            return Outcome(ending="memory")
        self._attach(job, host)
        self._lines = len(job.source.splitlines())
        outcome = self._within(min(job.timeout, max(0.0, host.call(CLOCK, []))), lambda: self._run(job))
        self._callbacks.close()
        return outcome

    def _attach(self, job: Job, host: Host) -> None:
        """Let the heap call the host, and the host call the heap."""
        self._host, self._most, self._name = host, job.max_memory, job.name
        host.room = self._room
        host.refill = self._refill
        self._callbacks.thread = threading.get_ident()
        self._callbacks.invoke = self._invoke
        self._callbacks.release = self._release
        self._context.host = self._answer
        if job.told_time:
            self._context.now = self._told_time
        self._context.limit(job.max_memory)
        self._context.max_beats = max(1, job.max_instructions // BEAT)

    def _within(self, seconds: float, work: Callable[[], Outcome]) -> Outcome:
        """Do what runs code of the script, under its limits."""
        context = self._context
        with context.script(time.monotonic() + seconds):
            try:
                outcome = work()
            except Refused as refused:
                outcome = self._refused(refused)
            except Trapped as trapped:
                outcome = self._ended(self._trapped or trapped)
            return replace(outcome, instructions=(context.beats + 1) * BEAT, memory_peak=context.peak())

    def _told_time(self) -> float:
        """Return the time of the day as the host tells it. A script that may not run on learns that at its next
        call."""
        try:
            told: float = self._host.call(NOW, [0]) if self._host is not None else 0.0
        except (GreenroomError, Stopped):
            return 0.0
        return told

    def _run(self, job: Job) -> Outcome:
        values = self._text(msgpack.unpackb(job.arguments, strict_map_key=False, unicode_errors="surrogatepass"))
        seed = struct.unpack("<4I", hashlib.blake2b(str(job.seed).encode(), digest_size=16).digest())
        facts = {"source": job.source, "name": job.name, "values": values.decode(), "seed": seed}
        self._shift = _WRAPPER if self._ask("start", json.dumps(facts).encode()) == _WRAPPED else 0
        return self._come_to_end("report")

    def _come_to_end(self, report: str) -> Outcome:
        """Run what is pending, and return how it all ended: a value that the function `report` tells, or an error."""
        self._run_jobs()
        waiting = self._ask("finish") == _WAITING
        self._run_jobs()
        reply = self._ask(report) if not waiting else _WAITING
        unhandled = self._context.rejections.first()
        if unhandled and reply[0] != _FAILED:
            reply = self._ask("rejected", handle=unhandled)
        if reply == _WAITING:
            return Outcome(ending="error", message="the script waits for a promise that nothing settles")
        if self._is_heavy(reply):
            return Outcome(ending="memory")
        if reply[0] == _FAILED:
            return self._failed(*json.loads(reply[1:]))
        return Outcome(decode(reply[1:]) if reply != _NOTHING else None)

    def _run_jobs(self) -> int:
        """Run what promises and finalizers have pending, to the end. Raises Refused when the script has to stop."""
        total = 0
        while ran := self._context.run_jobs():
            total += ran
            if self._context.over():
                break
        if self._context.over():
            raise Refused("interrupted")
        return total

    def _ask(self, function: str, text: bytes | None = None, *, handle: int = 0) -> str:
        """Return what a function of the library answers."""
        try:
            handle = self._context.invoke(self._functions[function], text, handle=handle)
            answer = self._context.text(handle)
            self._context.free(handle)
        except Trapped as trapped:
            self._trapped = self._trapped or trapped
            raise
        return answer

    # -- calls of the script

    def _answer(self, text: str) -> bytes:
        """Answer a call of the library.

        The text begins with the number of a function of the host, with "=" for the bytes of an earlier answer, or with
        "." for the place where the script was when it had to end.
        """
        first = text[0]
        if first == "=":
            return self._held.pop(int(text[1:]))
        if first == _STOP:
            self._place = text[1:]
            raise Trapped("exit" if self._place.startswith(_EXIT) else "stopped")
        reply = self._reply(text)
        if self._callbacks.dropped:
            self._callbacks.sweep()
        return reply

    def _reply(self, text: str) -> bytes:
        host = self._host
        assert host is not None
        at = text.index("[")
        number = int(text[:at])
        try:
            if self._is_heavy(text):
                raise Stopped("memory")
            values = decode(text[at:], self._function if number in self._with_functions else None)
            if number == FINISH:  # a script that stays waits there for calls
                with self._context.waiting():
                    value = host.call(number, values)
            else:
                value = host.call(number, values)
            if value is UNDEFINED:
                return b"-"
            return b"=" + self._text(value, readable=True)
        except GreenroomError as error:
            return b"!" + json.dumps([error.code, str(error)[:_LONGEST_MESSAGE]]).encode()
        except Stopped as stopped:
            self._stopped = self._stopped or stopped
        except MemoryError:
            self._stopped = self._stopped or Stopped("memory")
        return _STOP.encode()

    def _is_heavy(self, text: str) -> bool:
        """Return whether the values of a text would take more memory in the host than the script may use."""
        return len(text) > _LONG and weight(text) > self._most

    def _text(self, value: Any, *, readable: bool = False) -> bytes:
        """Return the text of a value for the script, and keep the bytes in it until the script asks for them.

        With `readable`, bytes that are a text become one. Raises Stopped if there is no memory for them.
        """
        held: list[bytes] = []
        text = encode(value, held, self._last_held, readable=readable)
        if not self._room(len(text) + sum(map(len, held))):
            raise Stopped("memory")
        for each in held:
            self._held[self._last_held] = each
            self._last_held += 1
        return text

    def _function(self, number: int) -> Callback:
        return Callback(self._callbacks, number)

    def _room(self, size: int) -> bool:
        """Return whether so many more bytes fit into the script's memory."""
        size += _MARGIN
        if self._context.grown() + size <= self._most:
            return True
        return size <= self._most and self._context.room(size)

    # -- calls of the host

    def _invoke(self, number: int, arguments: list[Any]) -> Any:
        """Call a function of the script while the script waits for a call into the host."""
        assert self._host is not None
        if self._host.call(CLOCK, []) <= 0:
            raise Stopped("time")
        text = self._text(arguments, readable=True)
        try:
            with self._context.called():
                reply = self._ask("call_back", f"{number}".encode() + text)
                while reply == _WAITING:
                    ran = self._run_jobs()
                    reply = self._ask("called_back", b"." if ran else b"?")
                    if reply == _WAITING and not ran:
                        raise ScriptError("the function waits for a promise that nothing settles", script=self._name)
        except Refused as refused:
            self._place = refused.stack
            raise Stopped(self._reason(refused)) from None
        except Trapped as trapped:
            raise Stopped(trapped.reason) from None
        if self._is_heavy(reply):
            raise Stopped("memory")
        if reply[0] == _FAILED:
            code, message, stack = json.loads(reply[1:])
            if (code, message) == _OUT_OF_MEMORY:
                self._place = stack or ""
                raise Stopped("memory")
            shown = f"{code}: {message}" if code is not None else message
            raise ScriptError(shown, script=self._name, cause=code)
        return UNDEFINED if reply == _NOTHING else decode(reply[1:], self._function)

    def _refill(self) -> None:
        """Give a script that stays the limits of a whole run again."""
        if self._host is not None:
            self._context.beats = 0
            self._context.until(time.monotonic() + self._host.call(CLOCK, []))

    def _release(self, number: int) -> None:
        """Let the script forget a function."""
        if not self._context.dead:
            self._ask("release", str(number).encode())

    # -- how it ended

    def _reason(self, refused: Refused) -> str:
        """Return why an error came out of the library that no code of the script could catch."""
        context = self._context
        if context.beats > context.max_beats:
            return "instructions"
        if context.over():
            return "time"
        return "memory" if refused.thrown in ("", "out of memory") else "error"

    def _refused(self, refused: Refused) -> Outcome:
        reason = self._reason(refused)
        if reason == "error":
            return self._failed(None, refused.thrown, refused.stack)
        return self._limited("instructions" if reason == "instructions" else _ENDINGS[reason], refused.stack)

    def _ended(self, trapped: Trapped) -> Outcome:
        """Return how a script ended whose heap a trap has left dead."""
        reason = trapped.reason
        if reason == "stopped" and self._stopped is not None:
            reason = self._stopped.reason
        if reason == "instructions":
            return self._limited("instructions", self._place)
        if reason == "exit":
            return Outcome(int(self._place.removeprefix(_EXIT)), "exit")
        if reason in _ENDINGS:
            return self._limited(_ENDINGS[reason], self._place)
        if reason == "stack":
            return Outcome(
                ending="error", code="RangeError", message="stack overflow: functions call each other too deep"
            )
        if reason == "stopped":
            return Outcome(ending="interrupted")
        return Outcome(ending="error", code="InternalError", message=f"the JavaScript engine failed: {trapped}")

    def _limited(self, ending: Ending, stack: str) -> Outcome:
        return Outcome(ending=ending, line=self._line(stack), traceback=self._traceback(stack))

    def _failed(self, code: str | None, message: str, stack: str | None) -> Outcome:
        """Return the outcome of a script that did not catch an error."""
        full = 2 * self._context.grown() >= self._most
        if (code, message) == _OUT_OF_MEMORY or (full and (code, message) in _UNTOLD):
            return self._limited("memory", stack or "")
        return Outcome(
            ending="error",
            code=code,
            message=message,
            line=self._line(stack or ""),
            traceback=self._traceback(stack or ""),
        )

    def _frames(self, stack: str) -> Iterator[tuple[str | None, int, int]]:
        """Yield the function, line and column of each frame of the script, without those of the library. Line 0 is a
        place in the engine, line -1 an unknown one."""
        for each in stack.splitlines():
            found = _FRAME.match(each)
            if found is None or (found[1] == "apply" and found[2] is None):
                continue
            function = None if found[1] in _MAIN else found[1]
            line, column = int(found[2] or 0), int(found[3] or 0)
            if line == 1 and column:
                column -= self._shift
                if function is None and column <= 1 and self._lines > 1:
                    line = -1  # the engine knows no place yet, and names the beginning
            yield function, line, max(1, column)

    def _line(self, stack: str) -> int | None:
        """Return the line where the innermost function of the script was, if it is known."""
        first = next((line for _, line, _ in self._frames(stack) if line), -1)
        return first if first > 0 else None

    def _traceback(self, stack: str) -> str | None:
        """Return the frames of the script as text."""
        frames: list[str] = []
        for function, line, column in self._frames(stack):
            place = f"{self._name}:{line}:{column}" if line > 0 else self._name if line else "native"
            frames.append(f"    at {function} ({place})" if function else f"    at {place}")
        while frames and frames[-1].endswith("(native)"):
            frames.pop()
        return "\n".join(frames) or None
