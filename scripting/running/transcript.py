"""Stands between a sandbox and its host: records what the script was answered, or answers from such a record.

A call is kept as [function, arguments, kind, answer, backs]: the name of the function; the arguments, packed unless
they are a few scalars, or the digest of many; whether the answer is a value, nothing, an error or a stop; and the
functions of the script that were called meanwhile, as [function, arguments, digest of what it returned]. The script's
functions are numbered in the order in which they were given to the host.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from hashlib import blake2b
from typing import Any, Final, NoReturn

import msgpack

from greenroom.runtime import GreenroomError
from greenroom.runtime.hooks import Hooks
from greenroom.runtime.scripts import ScriptDifference, ScriptReplaying, Transcript
from greenroom.scripting.definition.binding import CLOCK, FINISH, FIRST, NOW, WRITE
from greenroom.scripting.definition.callback import Callback, Stopped
from greenroom.scripting.definition.layout import Layout
from greenroom.scripting.definition.packing import pack
from greenroom.scripting.definition.values import UNDEFINED
from greenroom.scripting.globals.context import ScriptContext

from .host import Host
from .output import Output
from .run_host import RunHost

__all__ = ["RecordingHost", "ReplayHost"]

_VALUE, _NOTHING, _FAILED, _STOPPED = range(4)
_SHOWN_BYTES: Final = 512
"""Arguments of more bytes are kept as their digest."""
_DIGEST: Final = b"\xc1"
"""Begins a digest. No packed value begins so."""
_BATCH: Final = 256
_HEAVY: Final = 16
"""How many answers that are tables or long texts wait to be packed."""
_LONG_TEXT: Final = 1024
_SHORT_TEXT: Final = 64
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
_PASSED: Final = frozenset({CLOCK, WRITE})
_OWN: Final = {NOW: "clock", FINISH: "finish"}


def _name_of(layout: Layout, number: int) -> str:
    name = _OWN.get(number)
    if name is None:
        function = layout.functions[number - FIRST]
        name = f"{function.of}.{function.names[0]}"
    return name


def _canonical(value: Any) -> Any:
    """Return a value in the one form in which it is packed: the order of a table's keys says nothing."""
    kind = value.__class__
    if kind in _SCALARS or kind is bytes:
        return value
    if kind is dict:
        return {key: _canonical(value[key]) for key in sorted(value, key=repr)}
    if kind is list or kind is tuple:
        return [_canonical(each) for each in value]
    if isinstance(value, Callback):
        return msgpack.ExtType(1, b"")
    return msgpack.ExtType(2, b"")  # UNDEFINED


def _unpack(data: bytes) -> Any:
    return msgpack.unpackb(data, raw=False, strict_map_key=False, unicode_errors="surrogatepass")


def _plain(value: Any) -> Any:
    """Return an unpacked value as users see it."""
    if isinstance(value, msgpack.ExtType):
        return "(a function)" if value.code == 1 else None
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return value


class _Packer:
    """Packs arguments so that they can be compared, without secrets."""

    def __init__(self, clean: Callable[[Any], Any] | None) -> None:
        self.clean = clean
        self.redacted = False

    def value(self, value: Any) -> Any:
        if self.clean is None:
            return value
        cleaned = self.clean(value)
        self.redacted = self.redacted or cleaned != value
        return cleaned

    def arguments(self, values: Any) -> bytes:
        packed = pack(self.value(_canonical(values)))
        if len(packed) <= _SHOWN_BYTES:
            return packed
        return _DIGEST + blake2b(packed, digest_size=16).digest()

    def returned(self, value: Any) -> bytes:
        return blake2b(pack(self.value(_canonical(value))), digest_size=16).digest()


def _shown(arguments: bytes) -> Any:
    """Return what is known of packed arguments."""
    if arguments.startswith(_DIGEST):
        return f"(digest {arguments[1:].hex()})"
    return _plain(_unpack(arguments))


def _functions_in(value: Any) -> Iterator[Callback]:
    """Yield the functions in arguments, in one order."""
    if isinstance(value, Callback):
        yield value
    elif isinstance(value, Mapping):
        for key in sorted(value, key=repr):
            yield from _functions_in(value[key])
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _functions_in(each)


class RecordingHost(Host):
    """Passes calls on to the host of a run, and keeps what was called and answered."""

    def __init__(self, inner: RunHost, layout: Layout, transcript: Transcript, hooks: Hooks) -> None:
        self._inner = inner
        self._layout = layout
        self._transcript = transcript
        self._hooks = hooks
        self._packer = _Packer(transcript.clean)
        self._with_functions = layout.data["callbacks"]
        self._entries: list[list[Any]] = []
        self._names: dict[int, str] = {}
        self._heavy = 0
        self._functions = 0
        self._open: list[Any] | None = None
        self._recording = True

    @property
    def room(self) -> Callable[[int], bool]:
        return self._inner.room

    @room.setter
    def room(self, value: Callable[[int], bool]) -> None:
        self._inner.room = value

    @property
    def refill(self) -> Callable[[], object]:
        return self._inner.refill

    @refill.setter
    def refill(self, value: Callable[[], object]) -> None:
        self._inner.refill = value

    def call(self, number: int, values: list[Any]) -> Any:
        if number in _PASSED:
            return self._inner.call(number, values)
        if not self._recording:
            return _time(values) if number == NOW else self._inner.call(number, values)
        entry: list[Any]
        if number not in self._with_functions:
            entry = [number, tuple(values), _VALUE, None, None]
        else:
            # Packed at once: what is refused is not kept.
            entry = [number, self._packer.arguments(values), _VALUE, None, None]
            for each in _functions_in(values):
                each.recorded = partial(self._called_back, self._functions)
                self._functions += 1
        outer, self._open = self._open, entry
        self._entries.append(entry)
        try:
            answer = entry[3] = _time(values) if number == NOW else self._inner.call(number, values)
        except GreenroomError as error:
            entry[2:4] = _FAILED, [error.code, str(error)[:4096]]
            raise
        except Stopped:
            entry[2] = _STOPPED
            raise
        finally:
            self._open = outer
        kind = answer.__class__
        if kind not in _SCALARS or (answer.__class__ is str and len(str(answer)) > _LONG_TEXT):
            self._heavy += 1 if kind is not list else _HEAVY
        if outer is None and (len(self._entries) >= _BATCH or self._heavy >= _HEAVY):
            self.flush()
        return answer

    def _called_back(self, id: int, function: Callback, arguments: tuple[Any, ...]) -> Any:
        """Call a function of the script, and record that."""
        entry = self._open
        if entry is None or not self._recording:
            return function.call(*arguments)
        back: list[Any] = [id, pack(self._packer.value(_canonical(arguments))), b""]
        entry[4] = [*(entry[4] or ()), back]
        try:
            answer = function.call(*arguments)
        except GreenroomError as error:
            back[2] = self._packer.returned(["failed", error.code])
            raise
        back[2] = self._packer.returned(answer)
        if _is_context(arguments) and (not _leaves(answer) or self._hooks.has_shared):
            # It has seen what it, or another hook after it, may take out before anything is written.
            self._recording = False
            self._transcript.give_up("a hook of the script has seen what may not be kept")
            self._entries.clear()
        return answer

    def flush(self) -> None:
        """Pack what was recorded since the last time."""
        entries, self._entries, self._heavy = self._entries, [], 0
        if not self._recording or not entries:
            return
        try:
            piece = pack([self._packed(entry) for entry in entries])
        except Exception:  # what cannot be packed makes no script fail
            self._transcript.give_up("an answer of its host cannot be kept")
            self._recording = False
            return
        self._transcript.redacted = self._packer.redacted
        self._recording = self._transcript.add(piece)

    def _packed(self, entry: list[Any]) -> list[Any]:
        number, values, kind, answer, backs = entry
        name = self._names.get(number)
        if name is None:
            name = self._names[number] = _name_of(self._layout, number)
        if answer is UNDEFINED and kind == _VALUE:
            kind, answer = _NOTHING, None
        if self._packer.clean is not None:
            packed = values if values.__class__ is bytes else self._packer.arguments(values)
            return [name, packed, kind, self._packer.value(answer), backs]
        if values.__class__ is bytes:
            return [name, values, kind, answer, backs]
        for each in values:
            if each.__class__ not in _SCALARS or (each.__class__ is str and len(each) > _SHORT_TEXT):
                return [name, self._packer.arguments(values), kind, answer, backs]
        return [name, values, kind, answer, backs]


def _is_context(arguments: tuple[Any, ...]) -> bool:
    """Return whether these are what a function gets that is a hook."""
    context = arguments[0] if arguments else None
    return isinstance(context, dict) and "point" in context and "component_id" in context


def _leaves(answer: Any) -> bool:
    """Return whether the answer of a hook leaves everything as it is."""
    return answer is UNDEFINED or answer is None or answer in ("continue", "skip", "skipped")


def _time(values: list[Any]) -> float:
    return time.process_time() if values and values[0] == 1 else time.time()


class _ReplayedError(GreenroomError):
    """An error that the recorded run got, known by its code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self._code = code

    @property
    def code(self) -> str:
        return self._code


class ReplayHost(Host):
    """Answers a script from a transcript. At the first difference the script ends: nothing reaches the runtime."""

    def __init__(self, layout: Layout, context: ScriptContext, output: Output, replaying: ScriptReplaying) -> None:
        self._layout = layout
        self._context = context
        self._output = output
        self._replaying = replaying
        self._packer = _Packer(replaying.clean)
        self._entries = (entry for piece in replaying.pieces for entry in _unpack(piece))
        self._functions: list[Callback] = []
        self._with_functions = layout.data["callbacks"]
        self.interrupt: BaseException | None = None

    def call(self, number: int, values: list[Any]) -> Any:
        if number == CLOCK:
            over = self.interrupt is not None or self._replaying.difference is not None
            return -1.0 if over else self._context.remaining()
        if self._replaying.difference is not None or self._context.remaining() <= 0 or self.interrupt is not None:
            raise Stopped("time")
        if number == WRITE:
            return self._output.write(values[0])
        name, given = _name_of(self._layout, number), self._packer.arguments(values)
        entry = next(self._entries, None)
        self._replaying.answered += 1
        if entry is None:
            self._differs("calls", name, None, {"function": name, "arguments": _shown(given)})
        recorded_name, recorded, kind, answer, backs = entry
        if recorded.__class__ is list:  # a few scalars
            recorded = pack(recorded)
        if name != recorded_name:
            self._differs("function", recorded_name, recorded_name, name)
        if given != recorded:
            self._differs("arguments", name, _shown(recorded), _shown(given))
        if number in self._with_functions:
            self._functions += _functions_in(values)
        for id, arguments, returned in backs or ():
            self._call_back(name, self._functions[id], _unpack(arguments), returned)
        if kind == _FAILED:
            raise _ReplayedError(*answer)
        if kind == _STOPPED:
            raise Stopped("interrupted")
        return UNDEFINED if kind == _NOTHING else answer

    def _call_back(self, name: str, function: Callback, arguments: list[Any], returned: bytes) -> None:
        """Call a function of the script as the recorded host did."""
        try:
            answer: Any = function(*[UNDEFINED if isinstance(each, msgpack.ExtType) else each for each in arguments])
        except GreenroomError as error:
            answer = ["failed", error.code]
        if self._packer.returned(answer) != returned:
            self._differs("callback", name, None, _plain(_unpack(pack(_canonical(answer)))))

    def finish(self) -> None:
        """Note a recorded call that was not made. Called when the script has ended by itself."""
        left = next(self._entries, None)
        if left is not None and self._replaying.difference is None:
            self._replaying.answered += 1
            given = left[1] if left[1].__class__ is list else _shown(left[1])
            self._note("calls", left[0], {"function": left[0], "arguments": given}, None)

    def _differs(self, kind: str, function: str, recorded: Any, replayed: Any) -> NoReturn:
        self._note(kind, function, recorded, replayed)
        raise Stopped("interrupted")

    def _note(self, kind: str, function: str, recorded: Any, replayed: Any) -> None:
        self._replaying.difference = ScriptDifference(
            kind, self._replaying.answered, function, recorded=recorded, replayed=replayed
        )
