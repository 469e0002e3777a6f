"""A conversation with a sandbox that stays, for any language: its thread, and limits for each piece."""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from greenroom.runtime import GreenroomError, ScriptError, ScriptRequest, ScriptResult, ScriptTimeout
from greenroom.runtime.scripts import CURRENT, Lease, Promise, changed
from greenroom.runtime.scripts.console import Around, FunctionHelp, Reply
from greenroom.scripting.definition.layout import Layout
from greenroom.scripting.definition.signatures import option_types, signature_of
from greenroom.scripting.globals import known_globals

from .engine import Engine, Run, threads
from .output import Output
from .run_host import RunHost
from .sandbox import ConsoleSandbox, Job, Outcome

__all__ = ["Conversation"]

_GRACE: Final = 1.0
_SOON: Final = 5.0
"""Seconds for what runs no code of the script."""
_T = TypeVar("_T")


class Conversation:
    """A console: see `runtime.scripts.console.Console`. Where a sandbox dies, it goes on with a new one."""

    def __init__(
        self, engine: Engine, make: Callable[[Layout], ConsoleSandbox], request: ScriptRequest, around: Around
    ) -> None:
        self.language = engine.language
        self.functions: Sequence[FunctionHelp] = _functions()
        self._begin: Callable[[], _Stay] = partial(_Stay, engine, make, request, engine.job(request), around)
        self._stay = self._begin()

    @property
    def current(self) -> str | None:
        return self._stay.current

    def set_current(self, session: str | None) -> None:
        self._stay.ask(lambda _: self._stay.set_current(session))

    def unfinished(self, text: str) -> bool:
        return self._stay.ask(lambda sandbox: sandbox.unfinished(text))

    def names(self, path: Sequence[str]) -> list[str]:
        return self._stay.ask(lambda sandbox: sandbox.names(path))

    def enter(self, text: str) -> Reply:
        try:
            outcome = self._stay.enter(text)
            if outcome.ending == "exit":
                return Reply(exit_code=outcome.value & 0xFF)
            return Reply(str(outcome.value or ""))
        except ScriptError as error:
            return Reply(error=error, restarted=self._renewed())
        except KeyboardInterrupt:
            self._renewed()
            raise

    def _renewed(self) -> bool:
        """Make a new sandbox if this one is dead, and return whether it was."""
        if not self._stay.dead:
            return False
        current = self._stay.current
        self._stay.end()
        self._stay = self._begin()
        with contextlib.suppress(GreenroomError):
            self.set_current(current)
        return True

    def close(self) -> None:
        self._stay.end()


class _Host(RunHost):
    """A host whose time begins anew with each piece."""

    def begin(self, deadline: float) -> None:
        self._deadline = self._context.deadline = deadline
        self.interrupt = None


class _Stay(Run):
    """The run in which one sandbox stays. Its thread does what it is asked, until it is told to end."""

    def __init__(
        self,
        engine: Engine,
        make: Callable[[Layout], ConsoleSandbox],
        request: ScriptRequest,
        job: Job,
        around: Around,
    ) -> None:
        super().__init__(engine, request, job)
        self._output = Output(request.echo, keep=False)
        self._context.write = self._output.write
        self._asked: queue.SimpleQueue[Callable[[ConsoleSandbox], None] | None] = queue.SimpleQueue()
        self._sandbox = make(self._layout)
        self._own_host = _Host(self._layout, self._context, self._output)
        self._host = self._own_host
        self._stuck = False
        self._ended = threads.submit(lambda: around(self._stayed))
        self.ask(lambda sandbox: sandbox.stay(job, self._own_host))

    @property
    def dead(self) -> bool:
        """Whether the sandbox runs nothing any more."""
        return self._stuck or self._sandbox.dead

    @property
    def current(self) -> str | None:
        return self._context.current_id

    def set_current(self, session: str | None) -> None:
        self._own_host.begin(time.monotonic() + _SOON)
        self._context.set_current(session)

    def ask(self, work: Callable[[ConsoleSandbox], _T]) -> _T:
        """Do something that runs no code of the script on the sandbox's thread, and return what it returns."""
        return self._wait(self._submit(work), _SOON)

    def enter(self, text: str) -> Outcome:
        """Run a piece and return its outcome. Raises ScriptError, ScriptTimeout, ScriptMemoryExceeded, and
        KeyboardInterrupt once the piece has ended or has been given up."""
        timeout = self._request.timeout
        asked = self._submit(lambda sandbox: self._enter(sandbox, text))
        try:
            return self._wait(asked, timeout + _GRACE)
        except KeyboardInterrupt as interrupt:
            self._own_host.interrupt = interrupt
            with contextlib.suppress(GreenroomError, KeyboardInterrupt):
                self._wait(asked, _GRACE)
            raise

    def end(self) -> None:
        """End the sandbox, and wait a moment for it."""
        self._lease.over = True
        self._asked.put(None)
        with contextlib.suppress(TimeoutError, GreenroomError):
            self._ended.result(_GRACE)
        self._context.release()

    def _submit(self, work: Callable[[ConsoleSandbox], _T]) -> Promise[_T]:
        promise: Promise[_T] = Promise()

        def do(sandbox: ConsoleSandbox) -> None:
            try:
                value = work(sandbox)
            except BaseException as error:
                promise.settle(error=error)
            else:
                promise.settle(value)

        self._asked.put(do)
        return promise

    def _wait(self, promise: Promise[_T], seconds: float) -> _T:
        try:
            return promise.result(seconds)
        except TimeoutError:
            # One native operation outlasts its limit. The thread ends with it, and until then has no access.
            self._stuck = True
            self.abandon(ScriptTimeout("abandoned"))
            raise self.timeout() from None

    # -- on the sandbox's thread

    def _stayed(self) -> ScriptResult:
        self.execute()
        return ScriptResult(None, "", self._duration, 0, 0)

    def _execute(self) -> None:
        try:
            while not self._stuck and (work := self._asked.get()) is not None:
                self._lease = Lease()
                CURRENT.set(changed(CURRENT.get(), {"run": self._lease}))
                work(self._sandbox)
        finally:
            self._sandbox.close()

    def _enter(self, sandbox: ConsoleSandbox, text: str) -> Outcome:
        self._own_host.begin(time.monotonic() + self._request.timeout)
        outcome = sandbox.enter(text)
        if isinstance(self._own_host.interrupt, BaseException):
            raise self._own_host.interrupt
        error = self._failure(outcome)
        if error is not None:
            self._lease.over = isinstance(error, ScriptTimeout)
            raise error
        return outcome


def _functions() -> list[FunctionHelp]:
    """Return what there is to say about each function of the globals, under each of its names."""
    return [
        FunctionHelp(f"{of}.{name}" if of else name, signature_of(each, name), each.summary, option_types(each))
        for of, every in known_globals().items()
        for each in every.functions
        if not each.hidden
        for name in each.names
    ]
