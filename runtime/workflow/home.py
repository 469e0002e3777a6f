"""Runs the functions of workflows: those of a script on the script's thread, all others where their step runs."""

from __future__ import annotations

import contextlib
import inspect
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from greenroom.actors.scheduling.callables import signature_of
from greenroom.runtime.model.workflow import Step
from greenroom.storage.codec.plain import plain_result
from greenroom.storage.codec.records import Value
from greenroom.storage.concurrency.waiting import Bell, Promise
from greenroom.storage.errors import CallFailed, GreenroomError, InvalidOperation, OperationTimeout, ValidationError

__all__ = ["Home", "called"]

T = TypeVar("T")

_GRACE: Final = 5.0
_MAX_TEXT: Final = 1000


class Home:
    """The thread that runs a workflow. Steps that run on other threads ask it to call functions that have a `thread`
    of their own, while it waits for these steps."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._asked: list[tuple[Callable[[], Any], Promise[Any]]] = []
        self._bell: Bell | None = None

    @contextlib.contextmanager
    def served(self, bell: Bell) -> Iterator[list[Any]]:
        """Yield the list of what other threads have asked for; `bell` rings when something comes in. On another thread
        the list stays empty."""
        if threading.get_ident() != self._thread:
            yield []
            return
        before, self._bell = self._bell, bell
        try:
            yield self._asked
        finally:
            self._bell = before
            while before is None and self._asked:
                self._asked.pop()[1].settle(error=InvalidOperation("the workflow has ended"))

    def serve(self) -> None:
        """Make the calls that other threads have asked for."""
        while threading.get_ident() == self._thread and self._asked:
            call, promise = self._asked.pop(0)
            try:
                promise.settle(call())
            except Exception as error:
                promise.settle(error=error)
            except BaseException:
                promise.settle(error=InvalidOperation("the script that called the workflow was stopped"))
                raise

    def call(self, function: Callable[..., Any], call: Callable[[], T], deadline: float) -> T:
        """Return what `call` returns, made on the thread of the function that it calls, if that has one."""
        thread = getattr(function, "thread", None)
        if type(thread) is not int or thread == threading.get_ident():
            return call()
        if thread != self._thread:
            raise InvalidOperation("a function of a script can be called only by a workflow of the same script")
        promise: Promise[T] = Promise()
        self._asked.append((call, promise))
        if self._bell is not None:
            self._bell.ring()
        try:
            return promise.result(min(max(0.0, deadline - time.monotonic()) + _GRACE, threading.TIMEOUT_MAX))
        except TimeoutError:
            raise OperationTimeout(
                "a function of a workflow was not called in time: its thread is busy", timeout=0.0, started=False
            ) from None


def called(step: Step, input: Value, outputs: Mapping[str, Value]) -> Value:
    """Call the function of a step with its input and, if it takes two arguments, the outputs by step; return its result
    as JSON values or bytes. Raises CallFailed with what it raised as its cause, and any GreenroomError that it
    raises."""
    function = step.function
    assert function is not None
    try:
        value = function(*(input, dict(outputs))[: _arguments_of(function)])
        if inspect.isawaitable(value):
            if inspect.iscoroutine(value):
                value.close()
            raise ValidationError("it is async: register it as a tool", field="function")
        return plain_result(value)
    except ValidationError as error:
        raise CallFailed(
            f"the function of step {step.name!r} failed: {error}", kind="function", name=step.name, error=error.code
        ) from error
    except GreenroomError:
        raise
    except Exception as error:
        name, text = type(error).__name__, str(error)[:_MAX_TEXT]
        raise CallFailed(
            f"the function of step {step.name!r} failed: {name}{': ' + text if text else ''}",
            kind="function",
            name=step.name,
            error=name,
        ) from error


def _arguments_of(function: Callable[..., Any]) -> int:
    """Return how many of two arguments a function takes."""
    signature = signature_of(function)
    if signature is None:
        return 1
    for count in (2, 1, 0):
        with contextlib.suppress(TypeError):
            signature.bind(*(None,) * count)
            return count
    return 1
