"""Spans of what sessions do, made by a program's own TracerProvider while it happens."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from contextvars import ContextVar
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Tracer, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, TraceFlags

from greenroom.runtime import AsyncRuntime, GreenroomError, Runtime, Session, ValidationError, __version__

from .following import MAX_SESSIONS, Following, host_of
from .spans import Trace, context_of

__all__ = ["Instrumented", "instrument"]

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_DROPPED: Final = TraceFlags(TraceFlags.DEFAULT)
_given: ContextVar[SpanContext | None] = ContextVar("greenroom_span_ids", default=None)


def instrument(
    runtime: Runtime | AsyncRuntime,
    tracer_provider: otel.TracerProvider | None = None,
    *,
    session: Session | str | None = None,
    content: bool = False,
) -> Instrumented:
    """Have a TracerProvider make spans of what sessions do from now on, until `stop`. The default is the global one.

    The spans go through its sampler, limits and processors, and have the ids that `export_journal` gives them: one
    trace for each session. A call's span begins and ends with the call, a session's is made when the session ends.
    Spans that a tool or an agent begins, by instrumented HTTP clients for example, are below the span of the call.
    Raises AccessDenied for code that acts for a session, ValidationError for a provider that is not the SDK's.
    """
    provider = tracer_provider if tracer_provider is not None else otel.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        raise ValidationError(
            "tracer_provider: a TracerProvider of opentelemetry.sdk is needed, because the ids of the spans are given: "
            "make one, or set one by opentelemetry.trace.set_tracer_provider",
            field="tracer_provider",
        )
    return Instrumented(host_of(runtime), provider, session, content)


class Instrumented(Following):
    """Makes spans of what sessions do, on a thread of its own: see `instrument`."""

    def __init__(
        self, runtime: Runtime, provider: TracerProvider, session: Session | str | None, content: bool
    ) -> None:
        """Use `instrument`."""
        self._provider = provider
        self._tracer = provider.get_tracer("greenroom", __version__)
        if isinstance(self._tracer, Tracer) and not isinstance(self._tracer.id_generator, _Ids):
            self._tracer.id_generator = _Ids(self._tracer.id_generator)
        self._open: dict[Trace, dict[int, Span]] = {}
        """The spans under way, by their ids."""
        self._flags: OrderedDict[str, TraceFlags] = OrderedDict()
        """Whether the sampler takes the trace of a session."""
        self._deciding = threading.Lock()
        self._end_before = runtime.before_calls(self._enter)
        super().__init__(runtime, session, None, content, provider.resource)

    def stop(self) -> None:
        """Make spans of what was journaled until now, and no more. Call it before the runtime is closed. The provider
        stays open. What is under way ends in its trace, marked as `greenroom.unfinished`."""
        self._end_before()
        super().stop()
        for trace in [*self._open]:
            self._forgotten(trace)

    def _began(self, trace: Trace, told: ReadableSpan) -> None:
        self._open.setdefault(trace, {})[told.context.span_id] = self._start(trace, told)

    def _ended(self, trace: Trace, told: ReadableSpan) -> None:
        span = self._open.get(trace, {}).pop(told.context.span_id, None) or self._start(trace, told)
        span.update_name(told.name)
        span.set_attributes(told.attributes or {})
        span.set_status(told.status)
        span.end(told.end_time)

    def _forgotten(self, trace: Trace) -> None:
        with contextlib.suppress(GreenroomError):  # of a deleted session, nothing can be read any more
            for told in trace.unfinished():
                self._ended(trace, told)
        for span in self._open.pop(trace, {}).values():
            span.set_attribute("greenroom.unfinished", True)
            span.end()

    def _start(self, trace: Trace, told: ReadableSpan) -> Span:
        above = Context()
        if told.parent is not None:
            parent = self._open.get(trace, {}).get(told.parent.span_id)
            above = otel.set_span_in_context(parent or self._remembered(trace.session_id, told.parent), above)
        token = _given.set(told.context)
        try:
            return self._tracer.start_span(
                told.name, above, told.kind, told.attributes, told.links, told.start_time, record_exception=False
            )
        finally:
            _given.reset(token)

    def _enter(self, call_id: str) -> None:
        """Make the span of a call the current one, below which the spans of a tool or an agent are."""
        session_id, _, sequence = call_id.rpartition("/")
        called = self._remembered(session_id, context_of(session_id, int(sequence)))
        otel_context.attach(otel.set_span_in_context(called))

    def _remembered(self, session_id: str, known: SpanContext) -> NonRecordingSpan:
        """Return a span known by its ids only, with what the sampler decided for its session."""
        with self._deciding:
            flags = self._flags.get(session_id)
            if flags is None:
                about: dict[str, Any] = {"gen_ai.conversation.id": session_id}
                decided = self._provider.sampler.should_sample(None, known.trace_id, "session", attributes=about)
                flags = self._flags[session_id] = (
                    _SAMPLED if decided.decision is Decision.RECORD_AND_SAMPLE else _DROPPED
                )
                if len(self._flags) > MAX_SESSIONS:
                    self._flags.popitem(last=False)
        return NonRecordingSpan(SpanContext(known.trace_id, known.span_id, is_remote=False, trace_flags=flags))


class _Ids(IdGenerator):
    """Gives the ids that are wanted for the span that begins, and otherwise those of another generator."""

    def __init__(self, other: IdGenerator) -> None:
        self._other = other

    def generate_trace_id(self) -> int:
        given = _given.get()
        return given.trace_id if given is not None else self._other.generate_trace_id()

    def generate_span_id(self) -> int:
        given = _given.get()
        return given.span_id if given is not None else self._other.generate_span_id()
