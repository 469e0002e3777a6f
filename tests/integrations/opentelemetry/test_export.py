"""Journals as traces: checked with OpenTelemetry's exporter in memory, and over OTLP/HTTP against a small server."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from greenroom.runtime import (
    AccessDenied,
    CallFailed,
    Runtime,
    Session,
    SessionNotFound,
    Step,
    ValidationError,
    Workflow,
)
from greenroom.runtime.integrations.opentelemetry import export_journal, follow_journals, spans_of, trace_id_of


@pytest.fixture
def rt(tmp_path: Path) -> Iterator[Runtime]:
    with Runtime.open(tmp_path / "store") as runtime:
        runtime.tools.register("weather", weather)
        runtime.agents.register("acme", lambda _: {"text": "sunny", "usage": {"input_tokens": 5, "output_tokens": 7}})
        yield runtime


def weather(city: str) -> dict[str, str]:
    if city == "Atlantis":
        raise ValueError("secret: sunk")
    return {"city": city, "sky": "secret: blue"}


def work(rt: Runtime) -> Session:
    session = rt.create_session()
    session.add_message("user", "secret: what?")
    session.run_workflow(Workflow.sequential(Step("look", tool="weather", input={"city": "Berlin"}), name="flow"))
    with pytest.raises(CallFailed):
        session.call_tool("weather", {"city": "Atlantis"})
    session.call_agent("acme/large", "secret: hello")
    with session.stream_message("assistant", metadata={"model": "m-1", "usage": {"prompt_tokens": 3}}) as stream:
        stream.write("secret: sun")
    return session


def exported(rt: Runtime, session: Session | str, **options: Any) -> tuple[ReadableSpan, ...]:
    memory = InMemorySpanExporter()
    count = export_journal(rt, session, memory, **options)
    spans = memory.get_finished_spans()
    assert count == len(spans)
    return spans


def by_name(spans: tuple[ReadableSpan, ...]) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans}


def span_id(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


def above(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent is not None else None


def ids(spans: tuple[ReadableSpan, ...]) -> list[tuple[str, int, int | None]]:
    return [(span.name, span_id(span), above(span)) for span in spans]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_a_journal_is_one_trace_with_its_times_and_its_order(rt: Runtime) -> None:
    session = work(rt)
    spans = exported(rt, session)
    assert [span.name for span in spans] == [
        "message user",
        "execute_tool weather",
        "stage look",
        "invoke_workflow flow",
        "execute_tool weather",
        "invoke_agent acme/large",
        "chat m-1",
        "session",
    ]
    assert {f"{span.context.trace_id:032x}" for span in spans if span.context} == {trace_id_of(session.id)}
    assert len({span_id(span) for span in spans}) == len(spans)
    user, look, stage, flow, failed, agent, chat, whole = spans
    assert above(whole) is None
    assert [above(span) for span in (user, flow, failed, agent, chat)] == [span_id(whole)] * 5
    assert above(look) == above(stage) == span_id(flow)

    events = {event.id: event for event in session.events()}
    for span in spans[:-1]:
        begun = events[str(attributes(span)["greenroom.event.id"])]
        if span is not stage:
            assert span.start_time == int(begun.timestamp.timestamp() * 1e6 + 0.5) * 1000
        assert (span.start_time or 0) <= (span.end_time or 0)
    assert chat.end_time == whole.end_time


def test_attributes_are_those_of_the_semantic_conventions(rt: Runtime) -> None:
    session = work(rt)
    _, look, _, flow, failed, agent, chat, _ = spans = exported(rt, session)
    assert {attributes(span)["gen_ai.conversation.id"] for span in spans} == {session.id}
    assert attributes(look)["gen_ai.operation.name"] == "execute_tool"
    assert attributes(look)["gen_ai.tool.name"] == "weather"
    assert attributes(look)["gen_ai.tool.call.id"] == attributes(look)["greenroom.event.id"]
    assert attributes(flow)["gen_ai.workflow.name"] == "flow"
    assert attributes(failed)["error.type"] == "CallFailed"
    assert failed.status.status_code is StatusCode.ERROR
    assert {key: value for key, value in attributes(agent).items() if key.startswith("gen_ai.")} == {
        "gen_ai.conversation.id": session.id,
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "acme/large",
        "gen_ai.request.model": "acme/large",
        "gen_ai.response.model": "acme/large",
        "gen_ai.provider.name": "acme",
        "gen_ai.usage.input_tokens": 5,
        "gen_ai.usage.output_tokens": 7,
    }
    assert attributes(chat)["gen_ai.operation.name"] == "chat"
    assert attributes(chat)["gen_ai.request.model"] == "m-1"
    assert attributes(chat)["gen_ai.usage.input_tokens"] == 3


def test_content_is_exported_only_when_asked(rt: Runtime) -> None:
    session = work(rt)
    assert "secret" not in "".join(span.to_json() for span in exported(rt, session))
    told = exported(rt, session, content=True)
    assert "secret" in "".join(span.to_json() for span in told)
    named = by_name(told)
    (said,) = json.loads(attributes(named["chat m-1"])["gen_ai.output.messages"])
    assert said == {"role": "assistant", "parts": [{"type": "text", "content": "secret: sun"}]}
    assert "sunk" in str(named["execute_tool weather"].status.description)
    assert json.loads(attributes(told[1])["gen_ai.tool.call.arguments"]) == {"city": "Berlin"}
    assert json.loads(attributes(told[1])["gen_ai.tool.call.result"])["sky"] == "secret: blue"


def test_large_content_is_cut(rt: Runtime) -> None:
    session = rt.create_session()
    session.add_message("user", "x" * 1_000_000)
    (turn, _) = exported(rt, session, content=True)
    assert len(attributes(turn)["gen_ai.input.messages"]) == 65_536


def test_a_second_export_has_the_same_ids_also_after_a_restart(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "s") as rt:
        rt.tools.register("weather", weather)
        rt.agents.register("acme", lambda _: "sunny")
        session_id = work(rt).id
        first = exported(rt, session_id)
        assert ids(exported(rt, session_id)) == ids(first)
    with Runtime.open(tmp_path / "s") as rt:
        again = exported(rt, session_id)
    assert ids(again) == ids(first)
    assert [(span.start_time, span.end_time) for span in again] == [(span.start_time, span.end_time) for span in first]


def test_a_call_that_has_not_returned_is_unfinished_and_keeps_its_id(rt: Runtime) -> None:
    session = rt.create_session()
    during: list[tuple[ReadableSpan, ...]] = []
    called, go = threading.Event(), threading.Event()

    def wait() -> None:
        called.set()
        go.wait(60)

    rt.tools.register("wait", wait)
    thread = threading.Thread(target=session.call_tool, args=("wait", {}))
    thread.start()
    assert called.wait(60)
    during.append(exported(rt, session))
    go.set()
    thread.join()
    after = exported(rt, session)
    assert attributes(during[0][0])["greenroom.unfinished"] is True
    assert "greenroom.unfinished" not in attributes(after[0])
    assert ids(during[0]) == ids(after)


def test_a_fork_has_a_trace_of_its_own_that_is_linked_to_the_original(rt: Runtime) -> None:
    session = work(rt)
    fork = session.fork()
    fork.add_message("user", "and now?")
    spans = exported(rt, fork)
    assert [span.name for span in spans] == ["message user", "session"]
    (link,) = spans[-1].links
    assert f"{link.context.trace_id:032x}" == trace_id_of(session.id) != trace_id_of(fork.id)


def test_what_retention_has_left_of_a_journal_is_exported_with_the_same_ids(rt: Runtime) -> None:
    session = work(rt)
    for number in range(20):
        session.set("k", number)
    session.complete()
    before = exported(rt, session)
    assert rt.retention(max_journal_events=5, dry_run=False).journals
    after = exported(rt, session)
    assert {span_id(span) for span in after} <= {span_id(span) for span in before}
    named = by_name(after)
    assert {"message user", "invoke_agent acme/large", "session"} <= set(named)
    assert named["session"].start_time == before[-1].start_time


@pytest.mark.parametrize("session", ["", "nobody", "\x00", "a" * 10_000, None, 7])
def test_a_session_that_is_none_is_refused(rt: Runtime, session: Any) -> None:
    memory = InMemorySpanExporter()
    with pytest.raises((SessionNotFound, ValidationError)):
        export_journal(rt, session, memory)
    assert memory.get_finished_spans() == ()


def test_other_arguments_that_are_wrong_are_refused(rt: Runtime, tmp_path: Path) -> None:
    session = rt.create_session()
    wrong: Any
    for wrong in ("collector:4318", "", None, 7, object()):
        with pytest.raises(ValidationError):
            export_journal(rt, session, wrong)
        with pytest.raises(ValidationError):
            follow_journals(rt, wrong)
    for wrong in (str(tmp_path / "other"), tmp_path / "other", None, object()):
        with pytest.raises(ValidationError):
            export_journal(wrong, session, InMemorySpanExporter())
    assert not (tmp_path / "other").exists()


def test_a_session_that_is_deleted_meanwhile_ends_the_export(rt: Runtime) -> None:
    session = work(rt)
    spans = spans_of(rt, session)
    session.complete()
    session.archive()
    rt.delete_session(session.id)
    with pytest.raises(SessionNotFound):
        list(spans)
    with pytest.raises(SessionNotFound):
        spans_of(rt, session.id)


def test_code_that_acts_for_a_session_is_refused(rt: Runtime) -> None:
    memory = InMemorySpanExporter()
    session = rt.create_session()
    seen: list[str] = []

    def tool() -> None:
        doing: Callable[[], object]
        for doing in (
            lambda: export_journal(rt, session, memory),
            lambda: spans_of(rt, session),
            lambda: follow_journals(rt, memory),
        ):
            with pytest.raises(AccessDenied, match="host"):
                doing()
            seen.append("refused")

    rt.tools.register("tool", tool)
    session.call_tool("tool", {})
    assert seen == ["refused"] * 3
    assert memory.get_finished_spans() == ()


def test_published_events_are_not_taken_for_facts(rt: Runtime) -> None:
    session = rt.create_session()
    rt.events.publish("tool.called", {"name": "forged", "input": {}}, session=session)
    rt.events.publish("tool.returned", {"name": "forged", "call": 2, "success": True}, session=session)
    assert [span.name for span in exported(rt, session)] == ["session"]


class Failing(SpanExporter):
    def __init__(self, raises: bool) -> None:
        self._raises = raises

    def export(self, spans: Any) -> SpanExportResult:
        if self._raises:
            raise OSError("no route")
        return SpanExportResult.FAILURE


@pytest.mark.parametrize("raises", [True, False])
def test_an_exporter_that_fails_is_told_of(rt: Runtime, raises: bool) -> None:
    with pytest.raises(CallFailed, match="export"):
        export_journal(rt, rt.create_session(), Failing(raises))


class Collector:
    """An OTLP/HTTP endpoint that keeps what it gets."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                request = ExportTraceServiceRequest()
                request.ParseFromString(body)
                for resource in request.resource_spans:
                    for scope in resource.scope_spans:
                        collector.spans += scope.spans
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1/traces"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def test_a_journal_arrives_over_otlp(rt: Runtime, collector: Collector) -> None:
    session = work(rt)
    for place in range(600):  # more than one request
        session.add_message("user", str(place))
    count = export_journal(rt, session, collector.url)
    assert len(collector.spans) == count == 608
    assert {span.trace_id.hex() for span in collector.spans} == {trace_id_of(session.id)}
    expected = exported(rt, session)
    assert [(each.name, each.span_id) for each in collector.spans] == [
        (span.name, span_id(span).to_bytes(8)) for span in expected
    ]
    assert [(each.start_time_unix_nano, each.end_time_unix_nano) for each in collector.spans] == [
        (span.start_time, span.end_time) for span in expected
    ]
    (agent,) = [each for each in collector.spans if each.name == "invoke_agent acme/large"]
    told = {each.key: each.value for each in agent.attributes}
    assert told["gen_ai.usage.input_tokens"].int_value == 5
    assert told["gen_ai.provider.name"].string_value == "acme"


def test_journals_that_are_followed_are_exported_with_the_same_ids(rt: Runtime, collector: Collector) -> None:
    old = rt.create_session()
    old.set("before", 1)
    with follow_journals(rt, collector.url):
        session = work(rt)
        session.complete()
        old.call_tool("weather", {"city": "Berlin"})
    assert {span.trace_id.hex() for span in collector.spans} == {trace_id_of(session.id), trace_id_of(old.id)}
    live = {span.span_id: span.name for span in collector.spans if span.trace_id.hex() == trace_id_of(session.id)}
    assert live == {span_id(span).to_bytes(8): span.name for span in exported(rt, session)}


def test_following_goes_on_from_a_cursor(rt: Runtime) -> None:
    session = rt.create_session()
    first, second = InMemorySpanExporter(), InMemorySpanExporter()
    live = follow_journals(rt, first, session=session)
    session.add_message("user", "one")
    live.stop()
    live.stop()
    session.add_message("user", "two")
    rt.create_session().add_message("user", "of another session")
    with follow_journals(rt, second, session=session, after=live.cursor):
        session.add_message("user", "three")
    everything = [span_id(span) for span in exported(rt, session)][:-1]
    assert [span_id(each) for each in (*first.get_finished_spans(), *second.get_finished_spans())] == everything


def test_following_survives_deleted_sessions_and_ends_with_the_runtime(tmp_path: Path) -> None:
    memory = InMemorySpanExporter()
    with Runtime.open(tmp_path / "s") as rt:
        live = follow_journals(rt, memory)
        gone = rt.create_session()
        gone.complete()
        gone.archive()
        rt.delete_session(gone.id)
        rt.create_session().add_message("user", "still there")
    live.stop()
    assert all(span.name in ("message user", "session") for span in memory.get_finished_spans())
