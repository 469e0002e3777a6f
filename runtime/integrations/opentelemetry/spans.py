"""The spans of one session's journal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from greenroom.runtime import (
    Event,
    Session,
    __version__,
)

__all__ = ["Trace", "context_of", "trace_id_of"]

_SCOPE: Final = InstrumentationScope("greenroom", __version__)
_MAX_OPEN: Final = 4096
"""The calls of one session that are waited for. Of more, the oldest are told as unfinished."""
_MAX_CONTENT: Final = 65_536
"""The characters of one attribute with content."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_ENDS: Final = {
    "tool.returned": "tool.called",
    "agent.returned": "agent.called",
    "script.finished": "script.started",
    "workflow.finished": "workflow.started",
    "message.finished": "message.started",
}
"""The events that end a span, and those that begin it."""
_STARTS: Final = frozenset(_ENDS.values())
_OPERATIONS: Final = {"tool": "execute_tool", "agent": "invoke_agent", "workflow": "invoke_workflow"}


def trace_id_of(session_id: str) -> str:
    """Return the id of the trace of a session, in hexadecimal digits, as backends show it."""
    return f"{_trace(session_id):032x}"


@dataclass(frozen=True, slots=True)
class _Begun:
    """A span that has begun: its first event, and the sequence of the span above it (0: the session)."""

    event: Event
    above: int


class Trace:
    """Makes spans of the events of one session, read in order."""

    def __init__(self, session: Session, content: bool, resource: Resource | None) -> None:
        info = session.info()
        self._session = session
        self.session_id: Final = info.id
        self._content = content
        self._resource = resource if resource is not None else Resource.create({"service.name": "greenroom"})
        self._created = _time(info.created_at)
        self._latest = self._created
        self._parent = info.parent_session_id
        self._status = Status()
        self._open: dict[int, _Begun] = {}

    def read(self, event: Event) -> Iterator[ReadableSpan]:
        """Yield the spans that end with an event."""
        if event.origin != "runtime":
            return
        self._latest = max(self._latest, _time(event.timestamp))
        if event.type == "session.forked":
            self._open.clear()  # what was before is in the trace of the original
        elif event.type in _STARTS:
            self._open[event.sequence] = _Begun(event, self._above(event))
            if len(self._open) > _MAX_OPEN:
                yield self._unfinished(self._open.pop(next(iter(self._open))))
        elif event.type in _ENDS:
            yield self._ended(event)
        elif event.type == "message.added":
            yield self._turn(event, event, event.sequence)
        elif event.type == "workflow.stage":
            yield self._stage(event)
        elif event.type == "session.failed":
            self._status = Status(StatusCode.ERROR)
        elif event.type == "session.completed":
            self._status = Status(StatusCode.OK)

    def begun(self, event: Event) -> ReadableSpan | None:
        """Return the span that has begun with an event just read, with what is known of it; None if there is none."""
        begun = self._open.get(event.sequence)
        return self._told(begun) if begun is not None and begun.event is event else None

    def unfinished(self) -> Iterator[ReadableSpan]:
        """Yield the spans that have not ended, as they are now, and forget them."""
        while self._open:
            yield self._unfinished(self._open.pop(next(iter(self._open))))

    def rest(self) -> Iterator[ReadableSpan]:
        """Yield the spans that have not ended, as they are now, and then the one of the session."""
        yield from self.unfinished()
        yield self.whole()

    def whole(self) -> ReadableSpan:
        """Return the span of the session, up to the newest event that was read."""
        links = [Link(context_of(self._parent, 0))] if self._parent is not None else []
        return self._span("session", 0, None, self._created, self._latest, {}, self._status, links=links)

    def _above(self, event: Event) -> int:
        """Return the sequence of the span that an event belongs to: the one that caused it, if that is under way."""
        sequence = self._cause(event)
        return sequence if sequence in self._open else 0

    def _cause(self, event: Event) -> int:
        """Return the sequence of the event of this session that caused another; 0 if there is none."""
        session, _, place = (event.causation_id or "").rpartition("/")
        return int(place) if session == self.session_id and place.isdecimal() else 0

    def _ended(self, event: Event) -> ReadableSpan:
        data = event.data
        first = data.get("call", data.get("sequence") if event.type == "message.finished" else None)
        sequence = first if isinstance(first, int) else self._cause(event)
        begun = self._open.pop(sequence, None)
        if event.type == "message.finished":
            return self._turn(begun.event if begun is not None else event, event, sequence)
        end = _time(event.timestamp)
        start = _time(begun.event.timestamp) if begun is not None else _before(end, data.get("duration"))
        name, attributes = self._described(event.type, data)
        if begun is not None and self._content:
            attributes |= self._given(begun.event)
        if self._content:
            attributes |= self._results(event)
        above = begun.above if begun is not None else 0
        return self._span(
            name, sequence or event.sequence, above, start, end, attributes | _failure(data), self._outcome(data)
        )

    def _unfinished(self, begun: _Begun) -> ReadableSpan:
        return self._told(begun, {"greenroom.unfinished": True})

    def _told(self, begun: _Begun, more: Mapping[str, Any] | None = None) -> ReadableSpan:
        event = begun.event
        start = _time(event.timestamp)
        if event.type == "message.started":
            name, attributes = _turn_named(event.data)
        else:
            name, attributes = self._described(event.type, event.data)
        if self._content:
            attributes |= self._given(event)
        attributes |= more or {}
        return self._span(name, event.sequence, begun.above, start, max(start, self._latest), attributes, Status())

    def _described(self, type_: str, data: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the name and the attributes of the span of a call, a script or a workflow."""
        kind = type_.partition(".")[0]
        called = str(data.get("name") or data.get(kind) or kind)
        attributes: dict[str, Any] = {}
        if kind in _OPERATIONS:
            attributes["gen_ai.operation.name"] = _OPERATIONS[kind]
        if kind == "tool":
            attributes |= {"gen_ai.tool.name": called, "gen_ai.tool.type": "function"}
        elif kind == "agent":
            attributes["gen_ai.agent.name"] = called
            _put(attributes, "gen_ai.request.model", data.get("model"))
            _put(attributes, "gen_ai.provider.name", data.get("provider"))
            result = data.get("result")
            if isinstance(result, dict):
                _put(attributes, "gen_ai.response.model", result.get("model"))
            _use(attributes, data.get("usage"))
        elif kind == "workflow":
            attributes["gen_ai.workflow.name"] = called
            _put(attributes, "greenroom.workflow.run_id", data.get("run_id"))
        else:
            attributes["greenroom.script.name"] = called
            _put(attributes, "greenroom.script.language", data.get("language"))
        return f"{_OPERATIONS.get(kind, kind)} {called}", attributes

    def _outcome(self, data: Mapping[str, Any]) -> Status:
        if data.get("success") is not False:
            return Status()
        error = data.get("error")
        said = error.get("message") if isinstance(error, dict) else data.get("message")
        return Status(StatusCode.ERROR, str(said)[:_MAX_CONTENT] if self._content and said else _code(error))

    def _turn(self, first: Event, last: Event, sequence: int) -> ReadableSpan:
        """Return the span of a turn. One that was not streamed has no length."""
        data = {**first.data, **last.data}
        name, attributes = _turn_named(data)
        if self._content:
            if "content_hash" in data or "tool_calls_hash" in data:
                data |= self._large(sequence)
            said, calls = data.get("content"), data.get("tool_calls")
            parts = (
                [{"type": "text", "content": said}]
                if isinstance(said, str)
                else list(said)
                if isinstance(said, list)
                else []
            )
            kind = "output" if data.get("role") == "assistant" else "input"
            message = {
                "role": data.get("role", "assistant"),
                "parts": [*parts, *(calls if isinstance(calls, list) else [])],
            }
            attributes[f"gen_ai.{kind}.messages"] = _text([message])
        above = self._above(first)
        return self._span(name, sequence, above, _time(first.timestamp), _time(last.timestamp), attributes, Status())

    def _large(self, sequence: int) -> dict[str, Any]:
        """Return what the journal does not have of a large turn; nothing if the turn was retracted."""
        found = self._session.messages(1, sequence + 1)
        if not found or found[-1].sequence != sequence:
            return {}
        return {"content": found[-1].content, "tool_calls": found[-1].tool_calls}

    def _stage(self, event: Event) -> ReadableSpan:
        data = event.data
        end = _time(event.timestamp)
        attributes: dict[str, Any] = {"greenroom.workflow.stage": str(data.get("stage"))}
        _put(attributes, "gen_ai.workflow.name", data.get("workflow"))
        _put(attributes, "greenroom.workflow.run_id", data.get("run_id"))
        if self._content:
            attributes |= self._results(event)
        start = _before(end, data.get("duration"))
        name = f"stage {attributes['greenroom.workflow.stage']}"
        return self._span(
            name, event.sequence, self._above(event), start, end, attributes | _failure(data), self._outcome(data)
        )

    def _given(self, event: Event) -> dict[str, Any]:
        data = event.data
        if event.type == "tool.called":
            return {"gen_ai.tool.call.arguments": _text(data.get("input"))}
        if event.type == "agent.called":
            said = data.get("input")
            parts = [{"type": "text", "content": said if isinstance(said, str) else _text(said)}]
            return {"gen_ai.input.messages": _text([{"role": "user", "parts": parts}])}
        name = "source" if event.type == "script.started" else "input"
        return {f"greenroom.{name}": _text(data[name])} if data.get(name) is not None else {}

    def _results(self, event: Event) -> dict[str, Any]:
        data = event.data
        result = data.get("result")
        if event.type == "tool.returned":
            return {"gen_ai.tool.call.result": _text(result)} if result is not None else {}
        if event.type == "agent.returned":
            if not isinstance(result, dict):
                return {}
            parts = [{"type": "text", "content": result.get("text")}]
            return {"gen_ai.output.messages": _text([{"role": "assistant", "parts": parts}])}
        name = "value" if event.type == "script.finished" else "output"
        return {"greenroom.output": _text(data[name])} if data.get(name) is not None else {}

    def _span(
        self,
        name: str,
        sequence: int,
        above: int | None,
        start: int,
        end: int,
        attributes: dict[str, Any],
        status: Status,
        *,
        links: list[Link] | None = None,
    ) -> ReadableSpan:
        attributes = {"gen_ai.conversation.id": self.session_id, **attributes}
        if sequence:
            attributes["greenroom.event.id"] = f"{self.session_id}/{sequence}"
        if "gen_ai.tool.name" in attributes:
            attributes["gen_ai.tool.call.id"] = f"{self.session_id}/{sequence}"
        return ReadableSpan(
            name,
            context=context_of(self.session_id, sequence),
            parent=context_of(self.session_id, above) if above is not None else None,
            resource=self._resource,
            attributes=attributes,
            links=links or (),
            kind=SpanKind.INTERNAL,
            status=status,
            start_time=start,
            end_time=max(start, end),
            instrumentation_scope=_SCOPE,
        )


def _trace(session_id: str) -> int:
    return int.from_bytes(blake2b(session_id.encode(), digest_size=16, person=b"greenroom trace").digest())


def context_of(session_id: str, sequence: int) -> SpanContext:
    """Return the ids of the span that begins with an event; with sequence 0, of the session's."""
    place = f"{session_id}/{sequence}".encode()
    span = int.from_bytes(blake2b(place, digest_size=8, person=b"greenroom span").digest())
    return SpanContext(_trace(session_id), span, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _time(moment: datetime) -> int:
    """Return a time in nanoseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND * 1000


def _before(end: int, seconds: Any) -> int:
    """Return the time some seconds earlier."""
    return end - int(seconds * 1e9) if isinstance(seconds, int | float) and 0 <= seconds < end / 1e9 else end


def _put(attributes: dict[str, Any], name: str, value: Any) -> None:
    """Add an attribute if it has a text."""
    if isinstance(value, str) and value:
        attributes[name] = value[:_MAX_CONTENT]


def _use(attributes: dict[str, Any], usage: Any) -> None:
    """Add the numbers of tokens, as agents report them, or as OpenAI names them."""
    if not isinstance(usage, dict):
        return
    for kind, other in (("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens")):
        count = usage.get(kind, usage.get(other))
        if type(count) is int and 0 <= count < 2**63:
            attributes[f"gen_ai.usage.{kind}"] = count


def _turn_named(data: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name and the attributes of the span of a turn. A turn of the assistant is a `chat`; its model and its
    tokens are those of its metadata, if they have any."""
    role = str(data.get("role", "assistant"))
    attributes: dict[str, Any] = {"greenroom.message.role": role}
    if role != "assistant":
        return f"message {role}", attributes
    attributes["gen_ai.operation.name"] = "chat"
    _put(attributes, "gen_ai.agent.name", data.get("name"))
    metadata = data.get("metadata")
    if isinstance(metadata, dict):
        _put(attributes, "gen_ai.request.model", metadata.get("model"))
        _put(attributes, "gen_ai.provider.name", metadata.get("provider"))
        _use(attributes, metadata.get("usage"))
    model = attributes.get("gen_ai.request.model")
    return f"chat {model}" if model else "chat", attributes


def _failure(data: Mapping[str, Any]) -> dict[str, Any]:
    return {"error.type": _code(data.get("error"))} if data.get("success") is False else {}


def _code(error: Any) -> str:
    """Return the code of an error as events have it."""
    return str(error.get("code") if isinstance(error, dict) else error or "error")


def _text(value: Any) -> str:
    """Return content as an attribute: in JSON, cut if it is long."""
    text = json.dumps(value, ensure_ascii=False, default=lambda other: f"<{type(other).__name__}>")
    return text if len(text) <= _MAX_CONTENT else f"{text[: _MAX_CONTENT - 1]}…"
