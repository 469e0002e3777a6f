"""One installed script at work: its sandbox, what it has printed, and how often it was made anew."""

from __future__ import annotations

import contextvars
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.scheduling.operation import CURRENT, Operation
from greenroom.runtime.model.script import ScriptResult
from greenroom.runtime.scripts.events import ScriptJournal, following
from greenroom.runtime.scripts.residence import Residence
from greenroom.runtime.scripts.scripts import ScriptEngine, ScriptRequest
from greenroom.runtime.scripts.sources import ScriptSource
from greenroom.storage.errors import GreenroomError, ScriptTimeout

from .definition import InstalledScript, ScriptStatus

if TYPE_CHECKING:
    from greenroom.runtime.core import RuntimeCore

__all__ = ["Resident"]

_MAX_TAIL: Final = 64 << 10
_GRACE: Final = 1.0


class Resident:
    """Runs the source of a definition, and keeps its sandbox. When a call exceeds a limit, another sandbox takes its
    place, at most `max_restarts` times within `restart_window`."""

    def __init__(
        self,
        core: RuntimeCore,
        definition: InstalledScript,
        engine: ScriptEngine,
        request: Callable[[Residence, Callable[[str], None]], ScriptRequest],
    ) -> None:
        """`request` makes the request of a run, from its residence and the receiver of printed lines."""
        self.definition = definition
        self.state = "starting"
        self.error: BaseException | None = None
        self.restarts = 0
        self._core = core
        self._engine = engine
        self._request = request
        self._residence: Residence | None = None
        self._abandon: Callable[[BaseException], object] | None = None
        self._made: deque[float] = deque(maxlen=max(1, core.config.max_restarts))
        self._tail: deque[str] = deque()
        self._tail_size = 0
        self._calls = self._failures = 0
        self._stopping = False

    def __repr__(self) -> str:
        return f"<Resident {self.definition.name} {self.state}>"

    # -- beginning

    def begin(self) -> Residence:
        """Start a sandbox, and return its residence, which is ready when the source has run to its end. Raises what
        `ScriptEngine.prepare` raises."""
        # Nothing of who asks for it goes with it: neither operation nor current session.
        return contextvars.Context().run(self._begin)

    def _begin(self) -> Residence:
        name, core = self.definition.name, self._core
        residence = Residence(name, self.definition.call_timeout, lambda: self._hangs(residence))
        request = self._request(residence, self._print)
        bound = self.definition.session_id
        operation = Operation(
            principal=bound, source=f"script:{name}", language=self._engine.language, realm=core.security
        )
        CURRENT.set(operation)
        journal = ScriptJournal(core, request, ScriptSource(request.source), self._engine.language, installed=name)
        CURRENT.set(following(operation, journal.started()))
        began = time.monotonic()

        def ended(result: ScriptResult) -> None:
            journal.finished(result, result.error, time.monotonic() - began)
            self._ended(residence, result.error)

        self._abandon = self._engine.stay(request, ended)
        self._take(residence)
        return residence

    def wait(self, residence: Residence, seconds: float | None = None) -> None:
        """Wait until a sandbox is ready. Raises what the source raises."""
        limit = self._core.config.script_timeout
        try:
            residence.ready.result(limit + _GRACE if seconds is None else seconds)
        except TimeoutError:
            self._hangs(residence)
            raise ScriptTimeout(
                f"{self.definition.name}: the script ran longer than {limit:g} s",
                timeout=limit,
                script=self.definition.name,
            ) from None
        self.state = "running"

    def failed(self, error: BaseException) -> None:
        """Record why the script does not run."""
        self.error, self.state = error, "failed"

    def _take(self, residence: Residence) -> None:
        before, self._residence = self._residence, residence
        if before is None:
            return
        self._calls += before.calls
        self._failures += before.failures
        # Until the next one has its own, the hooks of a sandbox that is no more fail, as hooks do that are required.
        residence.replaces(before)

    def _print(self, line: str) -> None:
        self._tail.append(line[-_MAX_TAIL:])
        self._tail_size += len(self._tail[-1])
        while self._tail_size > _MAX_TAIL:
            self._tail_size -= len(self._tail.popleft())

    # -- ending

    def _hangs(self, residence: Residence) -> None:
        """Give up a sandbox that its engine cannot end."""
        if residence is not self._residence:
            return
        error = ScriptTimeout(
            f"{self.definition.name}: a call ran longer than {residence.limit:g} s and cannot be ended",
            timeout=residence.limit,
            script=self.definition.name,
        )
        abandon = self._abandon
        if abandon is not None:
            abandon(error)
        self._ended(residence, error)

    def _ended(self, residence: Residence, error: BaseException | None) -> None:
        """A sandbox is no more. Begin another one, unless it was to end, or has failed too often."""
        if not residence.ended(error):
            return  # known already
        was_ready = self.state == "running"
        if self._stopping or error is None:
            residence.unregister()
            self.state = "stopped"
            return
        self.error = error
        now = time.monotonic()
        window, most = self._core.config.restart_window, self._core.config.max_restarts
        recent = len(self._made) >= most and (most == 0 or now - self._made[0] < window)
        if not was_ready or recent:
            self.state = "failed"
            return
        self._made.append(now)
        self.restarts += 1
        self.state = "starting"
        try:
            self._core.elastic.submit(self._again)
        except GreenroomError:  # no thread is free, or the runtime closes
            self.state = "failed"

    def _again(self) -> None:
        if self._stopping:
            return
        try:
            self.wait(self.begin())
        except GreenroomError as error:
            self.failed(error)

    def stop(self) -> None:
        """Have the script end after the call that it is in. Its hooks are unregistered at once."""
        self._stopping = True
        residence = self._residence
        if residence is not None:
            residence.unregister()
            residence.retire()

    def await_end(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for the end; then give the sandbox up."""
        residence = self._residence
        if residence is None:
            return
        if not residence.await_end(timeout):
            self._hangs(residence)
        self.state = "stopped"

    # -- figures

    def status(self) -> ScriptStatus:
        """Return how the script is doing."""
        residence, error = self._residence, self.error
        calls, failures = (residence.calls, residence.failures) if residence is not None else (0, 0)
        points: list[Any] = residence.points if residence is not None else []
        return ScriptStatus(
            name=self.definition.name,
            state=self.state,
            session_id=self.definition.session_id,
            error=(error.code if isinstance(error, GreenroomError) else type(error).__name__) if error else None,
            message=str(error)[:2000] if error is not None else None,
            restarts=self.restarts,
            calls=self._calls + calls,
            failures=self._failures + failures,
            hooks=tuple(points),
            output="".join(self._tail),
        )
