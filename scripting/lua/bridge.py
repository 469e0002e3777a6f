"""The only function that Lua can call. It finds the operation, converts values, and replies with a status.

No exception and no Python object gets into Lua. A reply is a tuple (status, value[, message]): `PLAIN` a scalar,
`PACKED` MessagePack, `FAILED` an error's class and message, `STOP` the reason to end the script.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgpack

from greenroom.runtime import GreenroomError, ScriptError, SessionInfo, ValidationError
from greenroom.runtime.scripts import metered
from greenroom.scripting.answer_meter import AnswerMeter
from greenroom.scripting.callback import Callback, Callbacks, Stopped
from greenroom.scripting.export import Export
from greenroom.scripting.script_context import ScriptContext
from greenroom.scripting.values import UNDEFINED

from .memory import Memory

__all__ = ["FIELDS", "FIRST", "Bridge", "pack", "unpack"]

PLAIN, PACKED, FAILED, STOP = 0, 1, 2, 3
_CLOCK, _PRINT, _FIELD, FIRST = 0, 1, 2, 3
_INTEGER: Final = 1 << 63
_now: Final = time.monotonic
_NULL: Final = b"\xc0"
_FUNCTION: Final = b"\xd6\x01"
_TOO_LARGE: Final = "an integer beyond 64 bits: scripts cannot hold it; give it as a text"
_SIMPLE: Final = (str, int, float, dict)

Reply = tuple[Any, ...]


def pack(value: Any) -> bytes:
    """Encode plain data as MessagePack. Raises ValidationError."""
    try:
        return _pack(value)
    except OverflowError:
        raise ValidationError(_TOO_LARGE, field="value") from None


def _pack(value: Any) -> bytes:
    try:
        data: bytes = msgpack.packb(value, use_bin_type=True, unicode_errors="surrogatepass")
    except (TypeError, ValueError) as error:
        if isinstance(error, OverflowError):
            raise
        raise ValidationError(f"a value that scripts cannot hold: {error}") from None
    return data


def unpack(data: bytes) -> Any:
    """Decode data that Lua packed: valid UTF-8 to str, other strings to bytes."""
    return msgpack.unpackb(data, raw=False, strict_map_key=False)


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


class Bridge:
    """Callable from Lua as host(operation, mask, ...). Holds no reference to the Lua state: no garbage collector would
    find that cycle."""

    def __init__(
        self,
        principal: ScriptContext,
        write: Callable[[bytes], bool],
        memory: Memory,
        callbacks: Callbacks,
    ) -> None:
        self._callbacks = callbacks
        self._principal = principal
        self._deadline = principal.deadline
        self._write = write
        self._memory = memory
        self.operations: Sequence[Export] = ()
        """The functions that Lua may call, numbered from `FIRST` on."""
        self.interrupt: BaseException | None = None

    def __call__(self, operation: int, mask: int = 0, *arguments: Any) -> Any:
        if operation == _CLOCK:
            return self._deadline - _now() if self.interrupt is None else -1.0
        reply = self._answer(operation, mask, arguments)
        value = reply[1]
        if reply[0] != STOP:
            if self._memory.room(len(value) if value.__class__ is bytes else 0):
                return reply
            reply = STOP, b"memory"
        self._memory.lift()
        return reply

    def _answer(self, operation: int, mask: int, arguments: tuple[Any, ...]) -> Reply:
        try:
            if self._deadline <= _now() or self.interrupt is not None:
                return STOP, b"time"
            reply = self._perform(operation, mask, arguments)
            return reply if _now() < self._deadline else (STOP, b"time")
        except GreenroomError as error:
            if self._deadline <= _now():
                return STOP, b"time"
            return FAILED, error.code.encode(), str(error)[:4096].encode("utf-8", "replace")
        except MemoryError:
            return STOP, b"memory"
        except Stopped as stopped:
            return STOP, stopped.reason.encode()
        except Exception as error:
            if operation == _PRINT:  # the host's echo failed: raise its error to the host
                self.interrupt = error
            else:
                self.interrupt = ScriptError(f"a global failed unexpectedly: {type(error).__name__}: {error}")
                self.interrupt.__cause__ = error
            return STOP, b"interrupted"
        except BaseException as error:  # KeyboardInterrupt and the like are raised again after the script has ended
            self.interrupt = error
            return STOP, b"interrupted"

    def _perform(self, operation: int, mask: int, arguments: tuple[Any, ...]) -> Reply:
        if operation == _PRINT:
            return PLAIN, self._write(arguments[0])
        if operation == _FIELD:
            return self._field(*arguments)
        export = self.operations[operation - FIRST]
        values: list[Any] = []
        for index, value in enumerate(arguments):
            if value is None:
                values.append(UNDEFINED)
            elif value.__class__ is bytes:
                if mask >> index & 1:
                    values.append(self._function(value) if export.callbacks else unpack(value))
                elif index in export.binary:
                    values.append(value)
                else:
                    values.append(_text(value))
            else:
                convert = export.numbers.get(index)
                values.append(value if convert is None else convert(value))
        while len(values) > export.most and values[-1] is UNDEFINED:
            values.pop()
        if export.on_session and not values:
            values.append(UNDEFINED)  # the current session
        if not export.least <= len(values) <= export.most:
            count = f"{export.least}" if export.least == export.most else f"{export.least} to {export.most}"
            raise ValidationError(f"{export.name} takes {count} arguments, not {len(values)}")
        if export.counted:
            return _reply(metered(AnswerMeter(self._memory.room), export.call, *values))
        return _reply(export.call(*values))

    def _function(self, data: bytes) -> Any:
        """Return an argument that may be a function. Functions arrive as an extension type, which no table of a script
        can imitate."""
        if len(data) == 6 and data[:2] == _FUNCTION:
            return Callback(self._callbacks, int.from_bytes(data[2:], "big"))
        return unpack(data)

    def _field(self, session_id: bytes, name: bytes) -> Reply:
        info = self._principal.session(session_id.decode()).info()
        field = name.decode()
        value = getattr(info, field)
        if value.__class__ not in _SIMPLE:
            value = info.to_dict()[field]
        return _reply(UNDEFINED if value is None else value)


def _reply(value: Any) -> Reply:
    kind = value.__class__
    if kind is str:
        return PLAIN, value.encode("utf-8", "surrogatepass")
    if kind is bytes or kind is bool or kind is float:
        return PLAIN, value
    if value is UNDEFINED:
        return PLAIN, None
    if kind is int:
        return (PLAIN, value) if -_INTEGER <= value < _INTEGER else (PACKED, pack(value))
    if value is None:
        return PACKED, _NULL
    return PACKED, pack(value)


FIELDS: Final = SessionInfo.FIELDS
