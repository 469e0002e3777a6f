"""What the engines of all languages share: a thread for each run, its output, its limits, and errors for the host."""

from __future__ import annotations

import codecs
import secrets
import threading
import time
import traceback
from collections.abc import Callable
from functools import cached_property, partial
from types import CodeType
from typing import Any, ClassVar, Final

from greenroom.runtime import (
    ConfigurationError,
    GreenroomError,
    ScriptError,
    ScriptMemoryExceeded,
    ScriptRequest,
    ScriptResult,
    ScriptTimeout,
)
from greenroom.runtime.scripts import CURRENT, Elastic, Lease, changed, timed
from greenroom.scripting.definition.callback import Stopped
from greenroom.scripting.definition.layout import Layout
from greenroom.scripting.definition.packing import pack
from greenroom.scripting.globals import layout_for, layout_of
from greenroom.scripting.globals.context import ScriptContext
from greenroom.scripting.globals.files import Files

from .host import Host
from .output import Output
from .pool import Pool
from .run_host import RunHost
from .sandbox import Job, Outcome, Sandbox
from .transcript import RecordingHost, ReplayHost

__all__ = ["PROFILES", "Engine", "threads"]

PROFILES: Final = ("sandboxed", "files", "trusted")
MAX_SOURCE: Final = 1 << 20
_GRACE: Final = 1.0
_MOST_CAUSES: Final = 16
_LARGE: Final = 8 << 20
"""Bytes of a sandbox that is closed at once, so that memory does not wait to be freed."""
_MAX_SCRIPTS: Final = 1024
"""Limit of scripts that run at once. Further ones are refused with ResourceLimitExceeded."""
_STACK: Final = 8 << 20
"""Stack size of a script's thread in bytes. Lua can nest 200 calls of C in each of MAX_NESTED waiting functions."""

threads: Final = Elastic(_MAX_SCRIPTS, "greenroom-script", _STACK)
"""The threads of all scripts."""


class Engine:
    """Runs the scripts of one language. Engines are found through the entry-point group `greenroom.script_engines`.

    A language gives its `language`, `suffixes` and `sandbox`::

        class LuaEngine(Engine):
            language = "lua"
            suffixes = (".lua",)

            def sandbox(self, layout: Layout) -> Sandbox:
                return LuaSandbox(layout)
    """

    language: str
    suffixes: tuple[str, ...]
    ready: ClassVar[int] = 4
    """How many sandboxes are kept ready for each profile."""

    def sandbox(self, layout: Layout) -> Sandbox:
        """Return a new sandbox with the globals of a layout."""
        raise NotImplementedError

    def sandbox_for(self, request: ScriptRequest, layout: Layout) -> Sandbox:
        """Return a sandbox for a request: one that was made ahead, unless a subclass has others."""
        return self.pool.take(request.runtime, layout)

    @cached_property
    def pool(self) -> Pool:
        """The sandboxes that were made ahead."""
        return Pool(self.sandbox, self.ready)

    def prepare(self, request: ScriptRequest) -> Callable[[], ScriptResult]:
        """Check the request and return a function that runs the script to its end or limit.

        Raises ConfigurationError for an unknown profile, ValidationError for arguments that cannot be converted, and
        ScriptError for a source that is too large. The result has the `error` of a script that failed: ScriptError
        with `script`, `line`, `traceback` and `cause` (the code of the uncaught error), ScriptTimeout or
        ScriptMemoryExceeded.
        """
        return partial(self._run, request, self.job(request))

    def stay(
        self, request: ScriptRequest, ended: Callable[[ScriptResult], object]
    ) -> Callable[[BaseException], object]:
        """Run a script and keep its sandbox in the request's residence; see `ScriptEngine.stay`."""
        run = Run(self, request, self.job(request))
        threads.submit(run.stay, ended)
        return run.abandon

    @staticmethod
    def job(request: ScriptRequest) -> Job:
        """Return what a sandbox has to know of a request. Raises as `prepare`."""
        if request.profile not in PROFILES:
            raise ConfigurationError(
                f"there is no script profile {request.profile[:100]!r}; there are: {', '.join(PROFILES)}"
            )
        source = request.source.removeprefix(_BOM)
        if len(source.encode("utf-8", "surrogatepass")) > MAX_SOURCE:
            raise ScriptError(f"{request.name} is larger than {MAX_SOURCE} bytes", script=request.name)
        return Job(
            source=source,
            name=request.name,
            arguments=pack([*request.args]),
            profile=request.profile,
            max_memory=request.max_memory,
            max_instructions=request.max_instructions,
            timeout=request.timeout,
            seed=request.replaying.seed if request.replaying is not None else secrets.randbits(63),
            told_time=request.replaying is not None or request.transcript is not None,
        )

    def _run(self, request: ScriptRequest, job: Job) -> ScriptResult:
        run = Run(self, request, job)
        future = threads.submit(run.execute)
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


_BOM: Final = codecs.BOM_UTF8.decode()


class Run:
    """One run of a script."""

    def __init__(self, engine: Engine, request: ScriptRequest, job: Job) -> None:
        self._engine = engine
        self._request = request
        self._job = job
        self._started = time.monotonic()
        self._residence = request.residence
        self._output = Output(request.echo, keep=request.residence is None)
        self._duration = 0.0
        self._outcome = Outcome()
        self._error: BaseException | None = None
        self._lease = Lease()
        self._frames = [Run._execute.__code__]
        self._thread: int | None = None
        self._context = ScriptContext(
            request.runtime,
            request.session,
            self._started + request.timeout,
            Files(request.profile, request.directories),
            self._output.write,
            request.residence,
        )
        self._seam: Host
        """What the sandbox calls: the host itself, or what stands before it."""
        if request.replaying is not None:
            self._layout = layout_of(request.profile, request.replaying.agents)
            self._host: RunHost | ReplayHost = ReplayHost(self._layout, self._context, self._output, request.replaying)
            self._seam = self._host
            return
        self._context.on_piece = request.on_piece
        self._layout = layout_for(request.profile, request.runtime)
        self._host = self._seam = host = RunHost(self._layout, self._context, self._output)
        if request.transcript is not None:
            request.transcript.seed = job.seed
            request.transcript.agents = bool(request.runtime.agents.available)
            self._seam = RecordingHost(host, self._layout, request.transcript, request.runtime.hooks)

    def abandon(self, error: BaseException) -> None:
        """Stop the script as soon as possible, and release its resources of the runtime at once. Its pending operations
        have no effect any more."""
        self._lease.over = True
        self._host.interrupt = self._host.interrupt or error
        self._context.release()
        if self._residence is not None:
            self._residence.retire()

    def result(self) -> ScriptResult:
        """Return the result, with the script's error. Raises any other error."""
        error, outcome = self._error, self._outcome
        if error is not None:
            self._lease.over = isinstance(error, ScriptTimeout)  # a tool may still be running
            if not isinstance(error, GreenroomError):
                raise error
        left = outcome.ending == "exit"
        return ScriptResult(
            None if left else outcome.value,
            self._output.text(),
            self._duration,
            outcome.instructions,
            outcome.memory_peak,
            error,
            exit_code=outcome.value & 0xFF if left else 0,  # as the system takes it
            calls=self._host.calls if isinstance(self._host, RunHost) else 0,
        )

    # -- on the script's thread

    def stay(self, ended: Callable[[ScriptResult], object]) -> None:
        """Run the script until its stay is over, and call `ended`."""
        assert self._residence is not None
        self._residence.lease = self._lease
        self.execute()
        if self._error is None and not self._residence.served:
            # A sandbox without functions that could be called need not say that it has come to its end.
            self._residence.serve(self._context.renew, self._context.handle_event)
        try:
            ended(self.result())
        except Exception as error:
            fault = ScriptError(f"{self._request.name}: {type(error).__name__}", script=self._request.name)
            ended(ScriptResult(None, self._output.text(), self._duration, 0, 0, fault))

    def execute(self) -> None:
        session = self._request.session
        try:
            CURRENT.set(changed(CURRENT.get(), {"run": self._lease}))  # the thread has a context of its own
            self._thread = threading.get_ident()
            timed(self._check_time)
            if session is not None:
                with session.as_current():
                    self._execute()
            else:
                self._execute()
        except BaseException as error:
            self._error = error
        finally:
            try:
                self._context.close()
            except GreenroomError as error:
                self._error = self._error or error
            if self._error is not None:
                _let_go(self._error, self._frames)
            self._duration = time.monotonic() - self._started
            self._thread = None

    def _check_time(self) -> None:
        """End a long read of the host for this script when the script's time is over. What the script has set going on
        other threads is not ended here."""
        if self._thread == threading.get_ident() and self._context.remaining() <= 0:
            raise Stopped("time")

    def _execute(self) -> None:
        sandbox = self._engine.sandbox_for(self._request, self._layout)
        self._frames.append(type(sandbox).run.__code__)
        try:
            self._outcome = sandbox.run(self._job, self._seam)
        finally:
            self._engine.pool.give_back(sandbox, self._outcome.memory_peak > _LARGE or self._host.interrupt is not None)
        if isinstance(self._host.interrupt, BaseException):
            raise self._host.interrupt
        self._close_record()
        error = self._failure(self._outcome)
        if error is not None:
            raise error

    def _close_record(self) -> None:
        """Complete what was recorded, or note what was not replayed."""
        request, ending = self._request, self._outcome.ending
        if isinstance(self._seam, RecordingHost) and request.transcript is not None:
            self._seam.flush()
            if ending not in (None, "error", "exit"):
                request.transcript.give_up("a limit ended it")
        if isinstance(self._host, ReplayHost) and ending in (None, "exit"):
            self._host.finish()

    # -- errors for the host

    def _failure(self, outcome: Outcome) -> GreenroomError | None:
        """Return the error of a script that did not run to its end."""
        request, ending = self._request, outcome.ending
        if ending is None or ending == "exit" or self._context.unwanted:
            return None
        if ending == "error":
            return self._script_error(outcome)
        where = f"{request.name}:{outcome.line}" if outcome.line else request.name
        facts = self._facts(outcome.line, f"{where}\n{outcome.traceback}" if outcome.traceback else None)
        if ending == "memory":
            message = f"{where}: the script needs more than {request.max_memory} bytes of memory"
            return ScriptMemoryExceeded(message, limit=request.max_memory, **facts)
        if ending == "instructions":
            message = f"{where}: the script executed more than {request.max_instructions} instructions"
            return ScriptTimeout(message, limit=request.max_instructions, **facts)
        return self.timeout(where, facts)

    def timeout(self, where: str | None = None, facts: dict[str, Any] | None = None) -> ScriptTimeout:
        request = self._request
        residence = self._residence
        limit = residence.limit if residence is not None and residence.served else request.timeout
        message = f"{where or request.name}: the script ran longer than {limit:g} s"
        return ScriptTimeout(message, timeout=limit, **(facts or self._facts(None, None)))

    def _facts(self, line: int | None, trace: str | None) -> dict[str, Any]:
        return {"script": self._request.name, "line": line, "traceback": trace, "output": self._output.text()}

    def _script_error(self, outcome: Outcome) -> ScriptError:
        name, text, line, code = self._request.name, outcome.message, outcome.line, outcome.code
        where = name.replace("\n", " ")[:50] + ":"
        if line is None and text.startswith(where):
            digits = text[len(where) :].split(":", 1)[0]
            line = int(digits) if digits.isdigit() else None
        if not text.startswith(where):
            prefix = f"{name}:{line}: " if line is not None else f"{name}: "
            text = prefix + (f"{code}: " if code is not None else "") + text
        trace = f"{text}\n{outcome.traceback}" if outcome.traceback else text
        return ScriptError(text, **self._facts(line, trace), cause=code)


def _let_go(error: BaseException | None, codes: list[CodeType]) -> None:
    """Clear the frames of an error that run these codes, so that keeping the error does not keep the sandbox."""
    for _ in range(_MOST_CAUSES):
        if error is None:
            return
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_code in codes:
                frame.clear()
        error = error.__cause__ or error.__context__
