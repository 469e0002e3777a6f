"""The only function that Lua can call. It converts values, calls the host, and replies with a status.

No exception and no Python object gets into Lua. A reply is a tuple (status, value[, message]): `PLAIN` a scalar,
`PACKED` MessagePack, `FAILED` an error's class and message, `STOP` the reason to end the script.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from greenroom.runtime import GreenroomError
from greenroom.scripting.definition.binding import CLOCK, LayoutData
from greenroom.scripting.definition.callback import Callback, Callbacks, Stopped
from greenroom.scripting.definition.packing import pack, unpack
from greenroom.scripting.definition.values import UNDEFINED
from greenroom.scripting.running.host import Host

from .memory import Memory

__all__ = ["Bridge"]

PLAIN, PACKED, FAILED, STOP = 0, 1, 2, 3
_INTEGER: Final = 1 << 63
_NULL: Final = b"\xc0"
_NONE: Final[Collection[int]] = ()

Reply = tuple[Any, ...]


class Bridge:
    """Callable from Lua as host(number, mask, ...). Holds no reference to the Lua state: no garbage collector would
    find that cycle."""

    def __init__(self, layout: LayoutData, memory: Memory, callbacks: Callbacks) -> None:
        self._memory = memory
        self._callbacks = callbacks
        self._with_functions: Collection[int] = layout.data["callbacks"]
        self._binary: dict[int, list[int]] = layout.data["binary"]
        self.host: Host | None = None
        """Set while a script runs."""

    def __call__(self, number: int, mask: int = 0, *arguments: Any) -> Any:
        host = self.host
        if host is None:
            return STOP, b"interrupted"
        if number == CLOCK:
            return host.call(CLOCK, [])
        reply = self._answer(host, number, mask, arguments)
        if self._callbacks.dropped:
            self._callbacks.sweep()
        value = reply[1]
        if reply[0] != STOP:
            if self._memory.room(len(value) if value.__class__ is bytes else 0):
                return reply
            reply = STOP, b"memory"
        self._memory.lift()
        return reply

    def _answer(self, host: Host, number: int, mask: int, arguments: tuple[Any, ...]) -> Reply:
        try:
            values: list[Any] = []
            for value in arguments:
                if value is None:
                    value = UNDEFINED
                elif value.__class__ is bytes:
                    at = len(values)
                    if mask >> at & 1:
                        value = unpack(value, self._function if number in self._with_functions else None)
                    elif number not in self._binary or at not in self._binary[number]:
                        value = _text(value)
                values.append(value)
            return _reply(host.call(number, values))
        except GreenroomError as error:
            return FAILED, error.code.encode(), str(error)[:4096].encode("utf-8", "replace")
        except Stopped as stopped:
            return STOP, stopped.reason.encode()
        except MemoryError:
            return STOP, b"memory"

    def _function(self, number: int) -> Callback:
        return Callback(self._callbacks, number)


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


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
