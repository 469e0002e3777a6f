"""OpenTelemetry: one operation is one span. Needs the extra `otel`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.messages.calls import Call
from greenroom.actors.scheduling.operation import CURRENT, acting
from greenroom.runtime import messages
from greenroom.storage.errors import ConfigurationError, GreenroomError, ValidationError

from .pseudonyms import Pseudonyms

try:
    from opentelemetry import trace as otel
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode
except ImportError as error:  # pragma: no cover
    raise ConfigurationError(
        "traces need OpenTelemetry, which is not installed: pip install opentelemetry-api"
    ) from error

if TYPE_CHECKING:
    from greenroom.actors.scheduling.futures import TellReceipt
    from greenroom.runtime.core import RuntimeCore

__all__ = ["Noted", "Tracing"]

_SCOPE: Final = "greenroom"
_PUBLIC: Final = frozenset(getattr(messages, name) for name in messages.__all__)


class Noted:
    """What becomes known of an operation while it runs, for its span."""

    def __init__(self, span: Span, pseudonyms: Pseudonyms | None) -> None:
        self._span = span
        self._pseudonyms = pseudonyms

    def session(self, session_id: str) -> None:
        """Note the session that it concerns."""
        shown = self._pseudonyms.session(session_id) if self._pseudonyms is not None else session_id
        self._span.set_attribute("greenroom.session_id", shown)

    def failure(self, code: str) -> None:
        """Note that it has failed. Only the code is told: the words may name what only the host should see."""
        self._span.set_attribute("greenroom.error", code)
        self._span.set_status(Status(StatusCode.ERROR, code))


class Tracing:
    """Makes a span of each operation: a message to a session, the creation of a session, a call of a tool or an agent,
    a script, a workflow. What an operation causes is below its span, also on other threads.

    The way of a message while this is switched on: it is the first stage of `Delivery`.
    """

    def __init__(self, core: RuntimeCore, provider: otel.TracerProvider | None, pseudonyms: Pseudonyms | None) -> None:
        """Use `Runtime.trace`."""
        if provider is not None and not hasattr(type(provider), "get_tracer"):
            raise ValidationError(
                "tracer_provider: a TracerProvider of OpenTelemetry is needed", field="tracer_provider"
            )
        self._delivery = core.supervisor.delivery
        self._correlation_of: Callable[[str], str | None] = core.hooks.services.correlation_of
        self._tracer = otel.get_tracer(_SCOPE, tracer_provider=provider)
        self._pseudonyms = pseudonyms

    def stop(self) -> None:
        """Make no more spans. Those that are open end with their operations."""
        if self._delivery.trace is self:
            self._delivery.trace = None

    def __enter__(self) -> Tracing:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- messages

    def ask(self, session_id: str, message: Any, timeout: float) -> Any:
        """Take a message on its way, within a span."""
        if message.__class__ not in _PUBLIC:
            return self._delivery.admission.ask(session_id, message, timeout)  # part of some other operation
        with self.span(message.__class__.__name__, _called(message), session_id):
            return self._delivery.admission.ask(session_id, message, timeout)

    def tell(self, session_id: str, message: Any, receipt: TellReceipt | None = None) -> None:
        """Send a message, within a span that ends when it is sent."""
        if message.__class__ not in _PUBLIC:
            self._delivery.admission.tell(session_id, message, receipt)
            return
        with self.span(message.__class__.__name__, _called(message), session_id, kind=SpanKind.PRODUCER):
            self._delivery.admission.tell(session_id, message, receipt)

    # -- any operation

    @contextlib.contextmanager
    def span(
        self,
        operation: str,
        name: str | None = None,
        session_id: str | None = None,
        correlation_id: str | None = None,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
    ) -> Iterator[Noted]:
        """Run the code inside as a span; gives what takes notes of what is known later.

        An operation that belongs to nothing yet gets the id of its trace as correlation id, so that the journal and
        the trace name each other.
        """
        title = f"{operation} {self._text(name)}" if name is not None else operation
        with self._tracer.start_as_current_span(
            title, kind=kind, record_exception=False, set_status_on_exception=False
        ) as span:
            current = CURRENT.get()
            known = (current.correlation_id if current is not None else None) or correlation_id
            if known is None and session_id is not None:
                with contextlib.suppress(GreenroomError):
                    known = self._correlation_of(session_id)
            traced = span.get_span_context()
            mine = known or (otel.format_trace_id(traced.trace_id) if traced.is_valid else None)
            span.set_attribute("greenroom.operation", operation)
            if name is not None:
                span.set_attribute("greenroom.name", self._text(name))
            if mine is not None:
                span.set_attribute("greenroom.correlation_id", self._text(mine))
            noted = Noted(span, self._pseudonyms)
            if session_id is not None:
                noted.session(session_id)
            with acting(correlation_id=mine) if known is None and mine is not None else contextlib.nullcontext():
                try:
                    yield noted
                except BaseException as error:
                    noted.failure(error.code if isinstance(error, GreenroomError) else type(error).__name__)
                    raise

    def _text(self, text: str) -> str:
        return self._pseudonyms.text(text) if self._pseudonyms is not None else text


def _called(message: Any) -> str | None:
    """Return the name of the tool or agent that a message calls."""
    return message.name if isinstance(message, Call) else None
