"""Exports of journals: once, or while they grow."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from greenroom.runtime import (
    AsyncRuntime,
    CallFailed,
    Runtime,
    Session,
    ValidationError,
    logger_of,
)

from .following import Following, host_of
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
    here = host_of(runtime)
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
    here = host_of(runtime)
    exporter, _ = _exporter(to)
    return LiveExport(here, exporter, session, after, content, resource)


class LiveExport(Following):
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
        self._processor = BatchSpanProcessor(exporter)
        super().__init__(runtime, session, after, content, resource)

    def stop(self) -> None:
        """Export what was journaled until now, stop following, and shut the exporter down. Call it before the
        runtime is closed."""
        super().stop()
        self._processor.shutdown()  # type: ignore[no-untyped-call]

    def _ended(self, trace: Trace, told: ReadableSpan) -> None:
        self._processor.on_end(told)


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
