"""Spans while sessions work, by the SDK's own TracerProvider, sampler and processors."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace as otel
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import StatusCode

from greenroom.runtime import (
    AccessDenied,
    AsyncRuntime,
    CallFailed,
    GreenroomError,
    Runtime,
    Session,
    Step,
    ValidationError,
    Workflow,
)
from greenroom.runtime.integrations.opentelemetry import export_journal, instrument, trace_id_of


@pytest.fixture
def rt(tmp_path: Path) -> Iterator[Runtime]:
    with Runtime.open(tmp_path / "store") as runtime:
        yield runtime


class Told:
    """A provider, and what it has told."""

    def __init__(self, **options: Any) -> None:
        self.memory = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False, **options)
        self.provider.add_span_processor(SimpleSpanProcessor(self.memory))

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.memory.get_finished_spans()

    def named(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.spans if span.name == name]
        return found


def span_id(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


def facts(span: ReadableSpan) -> tuple[Any, ...]:
    assert span.context is not None
    above = span.parent.span_id if span.parent is not None else None
    return (
        span.name,
        span.context.trace_id,
        span.context.span_id,
        above,
        span.start_time,
        span.end_time,
        dict(span.attributes or {}),
        span.status.status_code,
        span.status.description,
    )


def work(rt: Runtime) -> Session:
    rt.tools.register("weather", lambda city: {"city": city}, replace=True)
    rt.tools.register("broken", lambda: 1 // 0, replace=True)
    rt.agents.register("acme", lambda _: {"text": "sunny", "usage": {"input_tokens": 5, "output_tokens": 7}})
    session = rt.create_session()
    session.add_message("user", "what?")
    session.run_workflow(Workflow.sequential(Step("look", tool="weather", input={"city": "Berlin"}), name="flow"))
    with pytest.raises(CallFailed):
        session.call_tool("broken", {})
    session.call_agent("acme/large", "hello")
    with session.stream_message("assistant", metadata={"model": "m-1"}) as stream:
        stream.write("sun")
    rt.run_script("return 1", session=session, name="plan")
    session.complete()
    return session


@pytest.mark.parametrize("content", [False, True])
def test_live_spans_are_those_of_the_export(rt: Runtime, content: bool) -> None:
    told = Told(resource=Resource.create({"service.name": "shop"}))
    with instrument(rt, told.provider, content=content):
        session = work(rt)
    past = InMemorySpanExporter()
    export_journal(rt, session, past, content=content)
    assert sorted(map(facts, told.spans), key=str) == sorted(map(facts, past.get_finished_spans()), key=str)
    assert {f"{span.context.trace_id:032x}" for span in told.spans if span.context} == {trace_id_of(session.id)}
    assert {span.resource.attributes["service.name"] for span in told.spans} == {"shop"}
    assert told.named("execute_tool broken").status.status_code is StatusCode.ERROR


def test_a_call_is_a_span_while_it_is_at_work_and_what_it_begins_is_below(rt: Runtime) -> None:
    begun = threading.Event()
    told = Told()

    class Beginnings(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            if span.name == "execute_tool fetch":
                begun.set()

    told.provider.add_span_processor(Beginnings())
    tracer = told.provider.get_tracer("http client")

    def fetch() -> str:
        assert begun.wait(30)
        with tracer.start_as_current_span("GET"):
            return "page"

    rt.tools.register("fetch", fetch)
    rt.tools.register("quick", fetch, quick=True)
    session = rt.create_session()
    with instrument(rt, told.provider), tracer.start_as_current_span("request"):
        assert session.call_tool("fetch", {}) == "page"
        assert otel.get_current_span().get_span_context().trace_id != int(trace_id_of(session.id), 16)
        assert session.call_tool("quick", {}) == "page"
    first, second = (span for span in told.spans if span.name == "GET")
    for got, name in ((first, "execute_tool fetch"), (second, "execute_tool quick")):
        call = told.named(name)
        assert got.parent is not None
        assert got.context is not None
        assert got.parent.span_id == span_id(call)
        assert f"{got.context.trace_id:032x}" == trace_id_of(session.id)
        assert got.context.span_id != got.parent.span_id
    session.call_tool("fetch", {})
    assert told.spans[-1].parent is None  # nothing is left behind by an instrument that was stopped


def test_what_is_under_way_ends_when_instrumenting_stops(rt: Runtime) -> None:
    begun, go_on, told = threading.Event(), threading.Event(), Told()

    class Beginnings(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            begun.set()

    def wait() -> bool:
        return go_on.wait(30)

    told.provider.add_span_processor(Beginnings())
    rt.tools.register("wait", wait)
    session = rt.create_session()
    caller = threading.Thread(target=session.call_tool, args=("wait", {}))
    try:
        with instrument(rt, told.provider):
            caller.start()
            assert begun.wait(30)
        span = told.named("execute_tool wait")
        assert span.attributes is not None
        assert span.attributes["greenroom.unfinished"] is True
        assert span.start_time is not None
        assert span.end_time is not None
        assert span.end_time >= span.start_time
    finally:
        go_on.set()
        caller.join(30)
    assert len(told.spans) == 1  # a stopped instrument makes no further ones


@pytest.mark.parametrize("end", [Session.complete, Session.delete], ids=["complete", "delete"])
def test_a_call_that_outlives_its_session_has_ended_by_then(rt: Runtime, end: Any) -> None:
    begun, go_on, told = threading.Event(), threading.Event(), Told()

    class Beginnings(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            begun.set()

    rt.tools.register("wait", lambda: go_on.wait(30))
    session = rt.create_session()

    def call() -> None:
        with contextlib.suppress(GreenroomError):  # its session has ended
            session.call_tool("wait", {})

    told.provider.add_span_processor(Beginnings())
    caller = threading.Thread(target=call)
    try:
        with instrument(rt, told.provider):
            caller.start()
            assert begun.wait(30)
            end(session)
        span = told.named("execute_tool wait")
        assert span.attributes is not None
        assert span.attributes["greenroom.unfinished"] is True
    finally:
        go_on.set()
        caller.join(30)


def test_coroutine_tools_have_the_span_of_their_call(tmp_path: Path) -> None:
    told = Told()
    seen: list[int] = []

    async def look() -> int:
        await asyncio.sleep(0)
        seen.append(otel.get_current_span().get_span_context().span_id)
        return 1

    async def main() -> None:
        async with await AsyncRuntime.open(tmp_path / "store") as rt:
            await rt.tools.register("look", look)
            session = await rt.create_session()
            live = instrument(rt, told.provider)
            await session.call_tool("look", {})
            live.stop()

    asyncio.run(main())
    assert seen == [span_id(told.named("execute_tool look"))]


def test_the_sampler_decides_for_a_whole_session(rt: Runtime) -> None:
    told = Told(sampler=ParentBased(ALWAYS_OFF))
    inner: list[bool] = []
    tracer = told.provider.get_tracer("inner")

    def look() -> int:
        with tracer.start_as_current_span("GET") as span:
            inner.append(span.is_recording())
        return 1

    rt.tools.register("look", look)
    with instrument(rt, told.provider):
        session = rt.create_session()
        session.call_tool("look", {})
        session.complete()
    assert told.spans == ()
    assert inner == [False]


def test_one_session_alone_can_be_told(rt: Runtime) -> None:
    told = Told()
    mine, other = rt.create_session(), rt.create_session()
    with instrument(rt, told.provider, session=mine):
        other.add_message("user", "a")
        mine.add_message("assistant", "b")
    assert [span.name for span in told.spans] == ["chat"]


def test_what_cannot_make_spans_is_refused(rt: Runtime) -> None:
    with pytest.raises(ValidationError, match=r"opentelemetry\.sdk"):
        instrument(rt, otel.NoOpTracerProvider())
    with pytest.raises(ValidationError, match="path"):
        instrument("data", Told().provider)  # type: ignore[arg-type]
    told = Told()
    rt.tools.register("inside", lambda: instrument(rt, told.provider), quick=True)
    with pytest.raises(AccessDenied):
        rt.create_session().call_tool("inside", {})
