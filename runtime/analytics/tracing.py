"""OpenTelemetry: a span for each operation. Needs the extra `otel`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.messages.calls import Call
from greenroom.actors.scheduling.operation import CURRENT, acting
from greenroom.runtime import messages
from greenroom.storage.errors import ConfigurationError, GreenroomError

from .pseudonyms import Pseudonyms

try:
    from opentelemetry import trace as otel
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
except ImportError as error:  # pragma: no cover
    raise ConfigurationError(
        "traces need OpenTelemetry, which is not installed: pip install opentelemetry-api"
    ) from error

if TYPE_CHECKING:
    from greenroom.actors.scheduling.futures import TellReceipt
    from greenroom.runtime.core import RuntimeCore

__all__ = ["Noted", "TracerProvider", "Tracing"]

_SCOPE: Final = "greenroom"
_PUBLIC: Final = frozenset(getattr(messages, name) for name in messages.__all__)


class Noted:
    """Adds facts to the span of an operation while it runs."""

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
    """Creates a span for each operation: a message to a session, the creation of a session, a call of a tool or an
    agent, a script, a workflow. Operations that it causes get child spans, also on other threads.

    While tracing is on, it is the first stage of `Delivery`.
    """

    def __init__(self, core: RuntimeCore, provider: TracerProvider | None, pseudonyms: Pseudonyms | None) -> None:
        """Use `Runtime.trace`."""
        self._delivery = core.supervisor.delivery
        self._correlation_of: Callable[[str], str | None] = core.hooks.services.correlation_of
        self._tracer = otel.get_tracer(_SCOPE, tracer_provider=provider)
        self._pseudonyms = pseudonyms

    def stop(self) -> None:
        """Create no more spans. Open spans end with their operations."""
        if self._delivery.trace is self:
            self._delivery.trace = None

    def __enter__(self) -> Tracing:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- messages

    def ask(self, session_id: str, message: Any, timeout: float) -> Any:
        """Deliver a message within a span and return the reply."""
        if message.__class__ not in _PUBLIC:
            return self._delivery.admission.ask(
                session_id, message, timeout
            )  # belongs to another operation, which has the span
        with self.span(message.__class__.__name__, _called(message), session_id):
            return self._delivery.admission.ask(session_id, message, timeout)

    def tell(self, session_id: str, message: Any, receipt: TellReceipt | None = None) -> None:
        """Send a message within a span, which ends once the message is sent."""
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
        """Run the code inside as a span. Yield the object that adds facts to the span later.

        A new operation gets the id of its trace as correlation id, so that the journal and the trace name each other.
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
