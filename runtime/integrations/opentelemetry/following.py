"""Follows the journals of a runtime on a thread, and tells of the spans in them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime
from os import PathLike
from types import TracebackType
from typing import Final, Self

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from greenroom.runtime import (
    AccessDenied,
    AsyncRuntime,
    GreenroomError,
    Runtime,
    Session,
    SessionNotFound,
    ValidationError,
    logger_of,
)

from ..opening import Opened
from .spans import Trace

__all__ = ["MAX_SESSIONS", "Following", "host_of"]

logger = logger_of("opentelemetry")
MAX_SESSIONS: Final = 10_000
"""The sessions whose open calls are remembered while journals are followed."""
_STOPPING: Final = 30.0
"""The seconds for reading what was journaled before following is stopped."""
_LAST: Final = {"session.completed", "session.failed"}


class Following:
    """Reads what sessions journal, on a thread of its own, and calls `_began` and `_ended` with its spans."""

    def __init__(
        self,
        runtime: Runtime,
        session: Session | str | None,
        after: datetime | str | float | None,
        content: bool,
        resource: Resource | None,
    ) -> None:
        self._runtime = runtime
        self._session = session
        self._stopping = False
        self._follow = runtime.follow(after=after, session=session, origin="runtime")
        self._content = content
        self._resource = resource
        self._traces: OrderedDict[str, Trace] = OrderedDict()
        self._thread = threading.Thread(target=self._run, name="greenroom-opentelemetry", daemon=True)
        self._thread.start()

    @property
    def cursor(self) -> str:
        """Where the next one goes on: give it to `follow_journals` as `after`."""
        cursor: str = self._follow.cursor
        return cursor

    def stop(self) -> None:
        """Read what was journaled until now, and stop."""
        self._stopping = True
        self._follow.subscription.close()
        self._thread.join(_STOPPING)
        self._follow.close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            self._read()
            if self._stopping and not self._runtime.closed:
                # What was journaled just before has perhaps not been signalled yet.
                self._follow = self._runtime.follow(
                    after=self.cursor, session=self._session, origin="runtime", timeout=0
                )
                self._read()
        except SessionNotFound:
            pass  # the only session was deleted
        except GreenroomError as error:
            logger.warning("following the journals has ended: %s: %s", error.code, error)

    def _read(self) -> None:
        for event in self._follow:
            if not event.session_id or event.sequence < 1:
                continue
            try:
                trace = self._trace(event.session_id)
                for span in trace.read(event):
                    self._ended(trace, span)
                begun = trace.begun(event)
                if begun is not None:
                    self._began(trace, begun)
            except GreenroomError:  # deleted meanwhile
                self._forget(event.session_id)
                continue
            if event.type in _LAST:
                self._ended(trace, trace.whole())
                self._forget(event.session_id)

    def _trace(self, session_id: str) -> Trace:
        trace = self._traces.get(session_id)
        if trace is None:
            trace = Trace(self._runtime.session(session_id), self._content, self._resource)
            self._traces[session_id] = trace
            if len(self._traces) > MAX_SESSIONS:
                self._forget(next(iter(self._traces)))
        else:
            self._traces.move_to_end(session_id)
        return trace

    def _forget(self, session_id: str) -> None:
        trace = self._traces.pop(session_id, None)
        if trace is not None:
            self._forgotten(trace)

    def _began(self, trace: Trace, told: ReadableSpan) -> None:
        """Take note of a span that begins, with what is known of it."""

    def _ended(self, trace: Trace, told: ReadableSpan) -> None:
        """Take a span that has ended."""
        raise NotImplementedError

    def _forgotten(self, trace: Trace) -> None:
        """Drop what is known of a session's spans."""


def host_of(runtime: Runtime | AsyncRuntime | str | PathLike[str]) -> Runtime:
    """Return the runtime. Raises AccessDenied for code that acts for a session, ValidationError for what is none."""
    if isinstance(runtime, str | PathLike):
        raise ValidationError("runtime: a Runtime or an AsyncRuntime is needed, not a path", field="runtime")
    here = Opened(runtime).runtime
    try:
        _ = here.templates  # for the host only, and does nothing
    except AccessDenied as error:
        raise AccessDenied("traces are exported by the host only, and this code acts for a session") from error
    return here
