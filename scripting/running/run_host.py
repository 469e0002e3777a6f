"""The host of a run in the process of its runtime: it calls the functions of the globals."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from greenroom.runtime import GreenroomError, ScriptError
from greenroom.runtime.scripts import metered
from greenroom.scripting.definition.binding import CLOCK, FINISH, FIRST, WRITE
from greenroom.scripting.definition.callback import Stopped
from greenroom.scripting.definition.function import Function, export, functions_of
from greenroom.scripting.definition.layout import Layout
from greenroom.scripting.definition.types import Json
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.streams import ConsumerFailed

from .answer_meter import AnswerMeter
from .host import Host
from .output import Output

__all__ = ["RunHost"]

_now: Final = time.monotonic
_Bound: TypeAlias = tuple[Function, Callable[..., Any]]


class RunHost(Host):
    """The host of one run in the process of its runtime."""

    def __init__(self, layout: Layout, context: ScriptContext, output: Output) -> None:
        self._layout = layout
        self._context = context
        self._deadline = context.deadline
        self._owners: dict[type, Any] = {}
        self._bound: list[_Bound | None] = [None] * (FIRST + len(layout.functions))
        self._bound[WRITE] = _WRITE, output.write
        self._bound[FINISH] = _FINISH, context.finish
        self.calls = 0
        """How often the script has called a function."""
        context.renew = self._renew
        self.interrupt: BaseException | None = None
        """Why the run was ended from outside, or by a fault of the host. Raised after the script has ended."""

    def call(self, number: int, values: list[Any]) -> Any:
        if number < FIRST and number == CLOCK:
            return self._deadline - _now() if self.interrupt is None else -1.0
        if self._deadline <= _now() or self.interrupt is not None:
            raise Stopped("time")
        self.calls += 1
        try:
            bound = self._bound[number] or self._bind(number)
            function = bound[0]
            if function.reads:
                values = function.read(values)
            if not function.least <= len(values) <= function.most or not values:
                values = function.fit(values)
            call = bound[1]
            answer = call(*values) if not function.counted else metered(AnswerMeter(self.room), call, *values)
        except GreenroomError:
            if self._deadline <= _now():
                raise Stopped("time") from None
            raise
        except Stopped:
            raise
        except MemoryError:
            raise Stopped("memory") from None
        except Exception as error:
            self._fail(number, error)
            raise Stopped from None
        except BaseException as error:  # KeyboardInterrupt and the like are raised again after the script has ended
            self.interrupt = error
            raise Stopped from None
        if self._deadline <= _now():
            raise Stopped("time")
        return answer

    def _renew(self, seconds: float) -> None:
        """Give a script that stays this many seconds from now on, and the other limits of a run."""
        self._deadline = self._context.deadline = _now() + seconds
        self.refill()

    def _bind(self, number: int) -> _Bound:
        """Return a function with the method that it calls, from its first call on."""
        function = self._layout.functions[number - FIRST]
        owner = self._owners.get(function.owner)
        if owner is None:
            owner = self._owners[function.owner] = function.owner(self._context)
        found = self._bound[number] = function, getattr(owner, function.attribute)
        return found

    def _fail(self, number: int, error: Exception) -> None:
        """End the run because the host itself has failed."""
        if number == WRITE:  # the host's echo: its own error is raised to it
            self.interrupt = error
            return
        if isinstance(error, ConsumerFailed):
            self.interrupt = error.__cause__
            return
        self.interrupt = ScriptError(f"a global failed unexpectedly: {type(error).__name__}: {error}")
        self.interrupt.__cause__ = error


class _Own:
    """The functions of the host itself."""

    NAME = ""

    @export("write")
    def write(self, line: Json) -> None: ...

    @export("finish")
    def finish(self) -> None: ...


_WRITE, _FINISH = functions_of(_Own)
