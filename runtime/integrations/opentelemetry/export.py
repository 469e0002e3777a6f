"""Exports of journals: once, or while they grow."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime
from os import PathLike
from types import TracebackType
from typing import Final, Self

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from greenroom.runtime import (
    AccessDenied,
    AsyncRuntime,
    CallFailed,
    GreenroomError,
    Runtime,
    Session,
    SessionNotFound,
    ValidationError,
    logger_of,
)

from ..opening import Opened
from .spans import Trace

__all__ = ["LiveExport", "export_journal", "follow_journals", "spans_of"]

logger = logger_of("opentelemetry")
_BATCH: Final = 512
"""The spans of one request to an exporter."""
_MAX_SESSIONS: Final = 10_000
"""The sessions whose open calls are remembered while journals are followed."""
_STOPPING: Final = 30.0
"""The seconds for reading what was journaled before an export is stopped."""
_LAST: Final = {"session.completed", "session.failed"}


def spans_of(
    runtime: Runtime | AsyncRuntime, session: Session | str, *, content: bool = False, resource: Resource | None = None
) -> Iterator[ReadableSpan]:
    """Yield the spans of a session's journal as it is now, the one of the session last.

    All ids follow from the session's id and the places of events in the journal. content: with prompts, answers,
    arguments, results and error messages. Raises SessionNotFound, AccessDenied for code that acts for a session.
    """
    here = _host(runtime)
    known = here.session(session.id if isinstance(session, Session) else session)
    trace = Trace(known, content, resource)
    return _told(here, known, trace)


def export_journal(
    runtime: Runtime | AsyncRuntime,
    session: Session | str,
    to: SpanExporter | str,
    *,
    content: bool = False,
    resource: Resource | None = None,
) -> int:
    """Export the journal of a session as one trace, with the times that were recorded, and return the number of spans.

    `to` is an exporter, or the URL of an OTLP/HTTP endpoint. A second export has the same ids. Calls that have not
    returned are told as unfinished. Raises what `spans_of` raises, and CallFailed if the exporter fails; batches before
    that have been sent.
    """
    spans = spans_of(runtime, session, content=content, resource=resource)
    exporter, owned = _exporter(to)
    count = 0
    batch: list[ReadableSpan] = []
    try:
        for span in spans:
            batch.append(span)
            if len(batch) == _BATCH:
                count += _send(exporter, batch)
                batch = []
        return count + (_send(exporter, batch) if batch else 0)
    finally:
        if owned:
            exporter.shutdown()


def follow_journals(
    runtime: Runtime | AsyncRuntime,
    to: SpanExporter | str,
    *,
    session: Session | str | None = None,
    after: datetime | str | float | None = None,
    content: bool = False,
    resource: Resource | None = None,
) -> LiveExport:
    """Export what sessions journal from now on, or from a time or the `cursor` of an earlier export on, until `stop`.

    The spans have the ids that `export_journal` gives them. A call is exported when it returns, a session when it ends.
    Raises AccessDenied for code that acts for a session.
    """
    here = _host(runtime)
    exporter, _ = _exporter(to)
    return LiveExport(here, exporter, session, after, content, resource)


class LiveExport:
    """Exports what sessions journal, on a thread of its own: see `follow_journals`. Spans wait in the queue of a
    `BatchSpanProcessor`, which drops the oldest rather than slow anything down."""

    def __init__(
        self,
        runtime: Runtime,
        exporter: SpanExporter,
        session: Session | str | None,
        after: datetime | str | float | None,
        content: bool,
        resource: Resource | None,
    ) -> None:
        """Use `follow_journals`."""
        self._runtime = runtime
        self._session = session
        self._stopping = False
        self._follow = runtime.follow(after=after, session=session, origin="runtime")
        self._content = content
        self._resource = resource
        self._traces: OrderedDict[str, Trace] = OrderedDict()
        self._processor = BatchSpanProcessor(exporter)
        self._thread = threading.Thread(target=self._run, name="greenroom-opentelemetry", daemon=True)
        self._thread.start()

    @property
    def cursor(self) -> str:
        """Where the next export goes on: give it to `follow_journals` as `after`."""
        cursor: str = self._follow.cursor
        return cursor

    def stop(self) -> None:
        """Export what was journaled until now, stop following, and shut the exporter down. Call it before the
        runtime is closed."""
        self._stopping = True
        self._follow.subscription.close()
        self._thread.join(_STOPPING)
        self._follow.close()
        self._thread.join()
        self._processor.shutdown()  # type: ignore[no-untyped-call]

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
            logger.warning("the export of journals has ended: %s: %s", error.code, error)

    def _read(self) -> None:
        for event in self._follow:
            if not event.session_id or event.sequence < 1:
                continue
            try:
                trace = self._trace(event.session_id)
                for span in trace.read(event):
                    self._processor.on_end(span)
            except GreenroomError:  # deleted meanwhile
                self._traces.pop(event.session_id, None)
                continue
            if event.type in _LAST:
                self._processor.on_end(trace.whole())
                del self._traces[event.session_id]

    def _trace(self, session_id: str) -> Trace:
        trace = self._traces.get(session_id)
        if trace is None:
            trace = Trace(self._runtime.session(session_id), self._content, self._resource)
            self._traces[session_id] = trace
            if len(self._traces) > _MAX_SESSIONS:
                self._traces.popitem(last=False)
        else:
            self._traces.move_to_end(session_id)
        return trace


def _host(runtime: Runtime | AsyncRuntime | str | PathLike[str]) -> Runtime:
    """Return the runtime. Raises AccessDenied for code that acts for a session, ValidationError for what is none."""
    if isinstance(runtime, str | PathLike):
        raise ValidationError("runtime: a Runtime or an AsyncRuntime is needed, not a path", field="runtime")
    here = Opened(runtime).runtime
    try:
        _ = here.templates  # for the host only, and does nothing
    except AccessDenied as error:
        raise AccessDenied("traces are exported by the host only, and this code acts for a session") from error
    return here


def _told(runtime: Runtime, session: Session, trace: Trace) -> Iterator[ReadableSpan]:
    forked = runtime.events.query(session_id=session.id, type="session.forked", origin="runtime")
    after = max((event.sequence for event in forked), default=1) - 1  # what was before is in the original's trace
    for event in session.events(after=after):
        yield from trace.read(event)
    yield from trace.rest()


def _exporter(to: SpanExporter | str) -> tuple[SpanExporter, bool]:
    """Return the exporter to use, and whether it was made here."""
    if isinstance(to, SpanExporter):
        return to, False
    if isinstance(to, str) and to.startswith(("http://", "https://")):
        return OTLPSpanExporter(endpoint=to), True
    raise ValidationError("to: a SpanExporter, or the http(s) URL of an OTLP endpoint, is needed", field="to")


def _send(exporter: SpanExporter, batch: list[ReadableSpan]) -> int:
    try:
        result = exporter.export(batch)
    except Exception as error:
        raise CallFailed(f"export: the exporter raised {type(error).__name__}: {error}") from error
    if result is not SpanExportResult.SUCCESS:
        raise CallFailed(
            f"export: {type(exporter).__name__} could not export {len(batch)} spans: is the endpoint there?"
        )
    return len(batch)
