from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, format_trace_id

from greenroom.runtime import (
    AccessDenied,
    CallFailed,
    HookCancelled,
    HookResult,
    InvalidSessionState,
    Runtime,
    ScriptError,
    SessionNotFound,
    Step,
    ValidationError,
    Workflow,
    messages,
)


class Traced:
    """What a runtime has told of its operations."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.spans if span.name == name]
        return found

    def family(self) -> dict[str, str | None]:
        """Each span's name → the name of the one above it."""
        names = {span.context.span_id: span.name for span in self.spans}
        return {span.name: names[span.parent.span_id] if span.parent is not None else None for span in self.spans}

    def forget(self) -> None:
        self._exporter.clear()


@pytest.fixture
def traced() -> Iterator[Traced]:
    made = Traced()
    yield made
    made.provider.shutdown()


def fact(span: ReadableSpan, name: str) -> Any:
    return (span.attributes or {}).get(f"greenroom.{name}")


def test_one_operation_is_one_span(rt: Runtime, traced: Traced) -> None:
    rt.trace(traced.provider)
    s = rt.create_session(name="traced")
    s.set("k", 1)
    s.get("k")
    s.store_artifact("x", "a", b"content")
    s.fork()
    s.complete()
    assert [span.name for span in traced.spans] == [
        "create_session",
        "SetVariable",
        "GetVariable",
        "StoreArtifact",
        "ForkSession",
        "CompleteSession",
    ]
    assert {fact(span, "session_id") for span in traced.spans} == {s.id}
    assert [fact(span, "operation") for span in traced.spans] == [span.name for span in traced.spans]
    assert all(span.parent is None and span.status.status_code is StatusCode.UNSET for span in traced.spans)


def test_a_told_message_is_a_span(rt: Runtime, traced: Traced) -> None:
    s = rt.create_session()
    rt.trace(traced.provider)
    rt.tell(s.id, messages.SetVariable("k", 1))
    assert s.get("k") == 1
    assert [span.name for span in traced.spans] == ["SetVariable", "GetVariable"]


def test_handles_that_were_made_before_are_traced_and_stop_ends_it(rt: Runtime, traced: Traced) -> None:
    s = rt.create_session()
    s.set("k", 1)
    with rt.trace(traced.provider):
        s.set("k", 2)
    s.set("k", 3)
    rt.create_session()
    assert [span.name for span in traced.spans] == ["SetVariable"]


def test_what_a_script_and_its_tools_cause_is_below_them(rt: Runtime, traced: Traced) -> None:
    rt.tools.collector = None
    rt.tools.register("remember", lambda context: context.session.set("seen", 1))
    s = rt.create_session()
    rt.trace(traced.provider)
    rt.run_script("Tool.invoke('remember', {})", session=s, name="plan")
    assert traced.family() == {
        "run_script plan": None,
        "CallTool remember": "run_script plan",
        "SetVariable": "CallTool remember",
    }
    assert len({format_trace_id(span.context.trace_id) for span in traced.spans}) == 1
    assert len({fact(span, "correlation_id") for span in traced.spans}) == 1


def test_what_a_workflow_calls_is_below_it(rt: Runtime, traced: Traced) -> None:
    rt.tools.register("one", lambda: 1)
    rt.tools.register("bad", lambda: 1 / 0)
    rt.tools.collector = None
    s = rt.create_session()
    rt.trace(traced.provider)
    s.run_workflow(Workflow.sequential(Step("first", tool="one", input={}), name="plan"))
    assert traced.family() == {"run_workflow plan": None, "CallTool one": "run_workflow plan"}
    traced.forget()
    s.run_workflow(Workflow.sequential(Step("first", tool="bad", input={}), name="plan"))
    assert {fact(span, "error") for span in traced.spans} == {"CallFailed"}


def test_calls_outside_of_sessions_are_spans_without_one(rt: Runtime, traced: Traced) -> None:
    rt.tools.register("one", lambda: 1)
    rt.agents.register("echo", lambda input: "hi")
    rt.trace(traced.provider)
    rt.tools.call("one", {})
    rt.agents.call("echo", "x")
    assert [span.name for span in traced.spans] == ["CallTool one", "CallAgent echo"]
    assert {fact(span, "session_id") for span in traced.spans} == {None}


def test_spans_are_below_the_span_of_the_host(rt: Runtime, traced: Traced) -> None:
    s = rt.create_session()
    rt.trace(traced.provider)
    with traced.provider.get_tracer("host").start_as_current_span("request"):
        s.set("a", 1)
        s.set("b", 2)
    assert traced.family() == {"SetVariable": "request", "request": None}
    trace_id = format_trace_id(traced.named("request").context.trace_id)
    found = rt.events.query(correlation_id=trace_id).items
    assert [event.type for event in found] == ["variable.set", "variable.set"]


def test_the_correlation_id_is_that_of_the_journal(rt: Runtime, traced: Traced) -> None:
    plain, own = rt.create_session(), rt.create_session(correlation_id="order-7")
    rt.trace(traced.provider)
    plain.set("k", 1)
    own.set("k", 1)
    with rt.operation("request-3"):
        plain.set("k", 2)
    told = [fact(span, "correlation_id") for span in traced.spans]
    assert told[1:] == ["order-7", "request-3"]
    journaled = [list(plain.events())[1], list(own.events())[1], list(plain.events())[2]]
    assert told == [event.correlation_id for event in journaled]
    traced.forget()
    made = rt.create_session(correlation_id="order-8")
    assert fact(traced.named("create_session"), "correlation_id") == "order-8"
    assert next(iter(made.events())).correlation_id == "order-8"


def test_failures_are_told_by_their_codes_alone(rt: Runtime, traced: Traced) -> None:
    s = rt.create_session()
    rt.tools.register("bad", lambda: 1 / 0)
    rt.hooks.register("BeforeSessionCompleted", lambda context: HookResult.cancel("because of secret words"))
    rt.trace(traced.provider)
    with pytest.raises(CallFailed):
        s.call_tool("bad", {})
    with pytest.raises(HookCancelled):
        s.complete()
    with pytest.raises(ScriptError):
        rt.run_script("error('secret words')")
    with pytest.raises(ValidationError):
        rt.create_session(name="secret words" * 100)
    s.suspend()
    with pytest.raises(InvalidSessionState):
        s.set("k", "secret words")
    with pytest.raises(SessionNotFound):
        rt.ask("00000000-0000-4000-8000-000000000000", messages.GetInfo())
    failed = {span.name: fact(span, "error") for span in traced.spans if span.status.status_code is StatusCode.ERROR}
    assert failed == {
        "CallTool bad": "CallFailed",
        "CompleteSession": "HookCancelled",
        "run_script script": "ScriptError",
        "create_session": "ValidationError",
        "SetVariable": "InvalidSessionState",
        "GetInfo": "SessionNotFound",
    }
    assert "secret" not in "".join(span.to_json() for span in traced.spans)


def test_a_denied_operation_is_a_failed_span_below_who_tried(rt: Runtime, traced: Traced) -> None:
    s, other = rt.create_session(), rt.create_session()
    rt.tools.register("thief", other.suspend)
    rt.trace(traced.provider)
    with pytest.raises(AccessDenied):
        s.call_tool("thief", {})
    assert fact(traced.named("SuspendSession"), "error") == "AccessDenied"
    assert traced.family()["SuspendSession"] == "CallTool thief"


def test_hooks_keep_their_effect_while_operations_are_traced(rt: Runtime, traced: Traced) -> None:
    s = rt.create_session()
    rt.hooks.register("BeforeStateWrite", lambda context: HookResult.modified({"value": 2}))
    rt.hooks.register("BeforeSessionCreated", lambda context: HookResult.modified({"name": "renamed"}))
    rt.trace(traced.provider)
    s.set("k", 1)
    assert s.get("k") == 2
    assert rt.create_session(name="given").info().name == "renamed"


def test_in_privacy_mode_no_id_is_told(rt: Runtime, traced: Traced) -> None:
    rt.tools.register("remember", lambda context: context.session.set("seen", 1))
    s = rt.create_session()
    with rt.trace(traced.provider, privacy=True):
        s.call_tool("remember", {})
        with rt.operation(f"about {s.id}"):
            s.get("k")
    text = "".join(span.to_json() for span in traced.spans)
    assert s.id not in text
    assert {fact(span, "session_id") for span in traced.spans} == {rt.analytics.session(s, privacy=True).session_id}


def test_without_a_provider_that_records_operations_work_and_journal_nothing_more(rt: Runtime) -> None:
    rt.trace()
    s = rt.create_session()
    s.set("k", 1)
    event = list(s.events())[1]
    assert (s.get("k"), event.correlation_id) == (1, s.id)


def test_a_stopped_trace_does_not_stop_the_one_after_it(rt: Runtime, traced: Traced) -> None:
    first = rt.trace(traced.provider)
    second = rt.trace(traced.provider)
    first.stop()
    rt.create_session()
    second.stop()
    rt.create_session()
    assert [span.name for span in traced.spans] == ["create_session"]
    assert json.loads(traced.spans[0].to_json())["kind"] == "SpanKind.INTERNAL"
