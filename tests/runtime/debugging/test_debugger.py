"""The debugger shows every moment as it was, and what was exported shows the same without the store."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.runtime import (
    AccessDenied,
    Breakpoint,
    Debugger,
    GreenroomError,
    IntegrityError,
    ReplayConfig,
    ReplayError,
    Runtime,
    Session,
    SessionNotFound,
    StorageError,
    ValidationError,
)
from greenroom.runtime.cli.past.words import failure
from greenroom.storage.codec.keys import sequence_key, session_bytes
from greenroom.storage.engine.engine import CF, Engine

from .conftest import record


def test_it_shows_every_moment_as_session_at_does(run: Session) -> None:
    debugger = run.debugger()
    assert (debugger.first, debugger.last, debugger.position) == (1, run.info().sequence, run.info().sequence)
    for sequence in [*range(1, debugger.last + 1), *range(debugger.last, 0, -1)]:
        assert debugger.goto(sequence).sequence == sequence
        assert debugger.state() == run.at(sequence=sequence).to_dict()


def test_it_steps_by_events_and_by_types(run: Session) -> None:
    debugger = run.debugger()
    assert debugger.next() is None
    assert debugger.position == debugger.last
    debugger.goto(1)
    assert debugger.previous() is None
    assert debugger.previous(type="**") is None
    found = [event.sequence for event in iter(lambda: debugger.next(type="tool.*"), None)]
    assert found == [event.sequence for event in run.events() if event.type.startswith("tool.")]
    assert debugger.next(type="no.such") is None
    assert debugger.position == found[-1]
    back = debugger.previous(type="agent.called")
    assert back is not None
    assert (back.type, back.sequence < found[-1]) == ("agent.called", True)
    far = debugger.next(1000)
    assert far is not None
    assert far.sequence == debugger.last
    assert debugger.goto(time=next(iter(run.events())).timestamp).sequence == 1


def test_the_default_diff_is_what_the_event_changed(run: Session) -> None:
    debugger = run.debugger()
    debugger.goto(2)
    assert [(each.place, each.kind, each.after) for each in debugger.diff().changes] == [
        ("variables.model", "added", "small")
    ]
    debugger.goto(1)
    assert not debugger.diff()
    for sequence in range(1, debugger.last + 1):
        assert not debugger.diff(sequence, sequence)


def test_it_finds_texts_and_types(run: Session) -> None:
    debugger = run.debugger()
    assert {event.type for event in debugger.search("BERN")} == {"tool.called"}
    assert [event.type for event in debugger.search(type="agent.called", limit=1)] == ["agent.called"]
    assert debugger.search("small", type="tool.*") == []
    assert {event.type for event in debugger.search("large large")} == {"custom.large"}
    assert debugger.search("bern", after=debugger.last) == []


def test_errors_are_counted_and_placed(run: Session) -> None:
    found = run.debugger().errors()
    assert (found.total, found.failed, found.attempts) == (1, 1, 4)
    assert found.by_type == {"CallFailed": 1}
    assert found.by_source == {"tool:broken": 1}
    assert found.rate == 0.25
    first = found.first
    assert first is not None
    assert run.debugger().event(first.sequence).type == "tool.returned"
    assert run.debugger().event(first.call).type == "tool.called"


def test_what_is_exported_shows_the_same_without_the_store(run: Session, tmp_path: Path) -> None:
    debugger = run.debugger()
    debugger.goto(9)
    debugger.note("here it went wrong")
    debugger.breakpoints.append({"kind": "type", "type": "tool.returned"})
    debugger.compare({"identical": True, "digest": "x"})
    assert debugger.export(tmp_path / "d.json") == (tmp_path / "d.json").stat().st_size
    told = json.loads((tmp_path / "d.json").read_text())
    assert told["state"]["variables"]["model"] == "small"
    loaded = Debugger.load(tmp_path / "d.json")
    assert (loaded.session_id, loaded.position, loaded.first, loaded.last) == (run.id, 9, 1, debugger.last)
    assert loaded.notes == {9: "here it went wrong"}
    assert loaded.breakpoints == debugger.breakpoints
    assert loaded.comparisons == [{"identical": True, "digest": "x", "score": 1.0}]
    assert list(loaded.events()) == list(debugger.events())
    for sequence in range(1, loaded.last + 1):
        assert loaded.state(sequence) == debugger.state(sequence)
    assert loaded.errors() == debugger.errors()
    assert loaded.context(number=2) == debugger.context(number=2)
    assert loaded.diff(1, loaded.last) == debugger.diff(1, debugger.last)
    loaded.export(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "d.json").read_bytes()


def test_an_export_that_cannot_be_written_leaves_no_file(run: Session, tmp_path: Path) -> None:
    debugger = run.debugger()
    with pytest.raises(ZeroDivisionError):
        debugger.export(tmp_path / "d.json", on_progress=lambda done, total: 1 // 0)
    debugger.breakpoints.append({"x": object()})  # type: ignore[dict-item]
    with pytest.raises(ValidationError):
        debugger.export(tmp_path / "d.json")
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_journal_is_exported_too(rt: Runtime, tmp_path: Path) -> None:
    s = rt.create_session()
    for number in range(20):
        s.add_message("user", str(number))
        s.set("k", number)
    s.complete()
    assert rt.retention(max_journal_events=5, dry_run=False).journals
    debugger = s.debugger()
    assert debugger.first > 1
    debugger.export(tmp_path / "d.json")
    loaded = Debugger.load(tmp_path / "d.json")
    assert loaded.first == debugger.first
    for sequence in range(loaded.first, loaded.last + 1):
        assert loaded.state(sequence) == debugger.state(sequence)
    with pytest.raises(ReplayError):
        loaded.goto(1)


@pytest.mark.parametrize(
    "call",
    [
        lambda d: d.goto(0),
        lambda d: d.goto(10_000),
        lambda d: d.goto(-1),
        lambda d: d.goto(True),
        lambda d: d.goto(1, time="2026-01-01T00:00:00Z"),
        lambda d: d.goto(),
        lambda d: d.goto(time="1999-01-01T00:00:00Z"),
        lambda d: d.next(0),
        lambda d: d.next(type="a..b"),
        lambda d: d.previous(-1),
        lambda d: d.search(),
        lambda d: d.search("x" * 5000),
        lambda d: d.search("x", limit=-1),
        lambda d: d.state(part="everything"),
        lambda d: d.diff(0, 1),
        lambda d: d.context(2),
        lambda d: d.context(number=0),
        lambda d: d.context(1, number=1),
        lambda d: d.note("x" * 5000),
        lambda d: d.note("x", 10_000),
    ],
)
def test_what_is_not_there_is_a_typed_error_and_moves_nothing(run: Session, call: Any) -> None:
    debugger = run.debugger()
    debugger.goto(5)
    with pytest.raises((ReplayError, ValidationError)):
        call(debugger)
    assert debugger.position == 5


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"format": "greenroom debugging data"}',
        '{"format": "greenroom debugging data", "version": 9}',
        "[" * 100_000,
        '{"format": "greenroom debugging data", "version": 1, "session_id": "x"}',
    ],
)
def test_a_file_that_is_no_export_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "d.json").write_text(content)
    with pytest.raises(ReplayError):
        Debugger.load(tmp_path / "d.json")
    with pytest.raises(StorageError):
        Debugger.load(tmp_path / "none.json")


@settings(max_examples=60)
@given(st.data())
def test_a_changed_export_is_refused_or_read_and_nothing_else(
    shared: Runtime, tmp_path_factory: pytest.TempPathFactory, data: Any
) -> None:
    global _exported
    path = tmp_path_factory.getbasetemp() / "changed.json"
    if not _exported:
        record(shared).debugger().export(path)
        _exported = path.read_text()
    whole = json.loads(_exported)
    target = whole if data.draw(st.booleans()) else data.draw(st.sampled_from(whole["events"]))
    name = data.draw(st.sampled_from(sorted(target)))
    odd = st.sampled_from([None, 5, "x", [], {}, -1, {"$bytes": "?"}, {"$object": 1}, [1], 1 << 70])
    target[name] = data.draw(odd)
    path.write_text(json.dumps(whole))
    try:
        loaded = Debugger.load(path)
        for sequence in range(loaded.first, loaded.last + 1):
            loaded.goto(sequence)
            loaded.state()
    except GreenroomError:
        pass


_exported = ""


def test_only_who_may_read_a_session_debugs_it(rt: Runtime) -> None:
    mine, other = rt.create_session(), rt.create_session()
    other.set("secret", 1)
    kept = other.debugger()

    def tool(context: Any) -> None:
        assert context.session.debugger().state()["variables"] == {}
        for call in (
            lambda: rt.session(other.id),
            kept.state,
            kept.event,
            lambda: list(kept.events()),
            kept.errors,
            lambda: kept.search("secret"),
            lambda: rt.compare(mine, other),
            lambda: mine.fork().debugger() and rt.compare(other, mine),
        ):
            with pytest.raises(AccessDenied):
                call()

    rt.tools.register("look", tool)
    mine.call_tool("look")


def test_a_deleted_session_is_not_found(rt: Runtime) -> None:
    s = rt.create_session()
    debugger = s.debugger()
    s.delete()
    for call in (debugger.event, debugger.state, debugger.errors, debugger.refresh):
        with pytest.raises(SessionNotFound):
            call()


def test_new_events_are_seen_after_refresh(rt: Runtime) -> None:
    s = rt.create_session()
    debugger = s.debugger()
    s.set("k", 1)
    assert debugger.next() is None
    assert debugger.refresh() == 2
    found = debugger.next()
    assert found is not None
    assert found.type == "variable.set"
    assert debugger.state(part="variables") == {"k": 1}


def test_replays_are_kept_with_how_similar_they_are(run: Session, shared: Runtime, tmp_path: Path) -> None:
    debugger = run.debugger()
    same = debugger.compare(shared.replay(run))
    assert (same["identical"], same["score"]) == (True, 1.0)
    changed = ReplayConfig(mode="modified", modifications={"variables.model": "small!"})
    near = debugger.compare(shared.replay(run, changed))
    assert near["identical"] is False
    assert 0.5 < near["score"] < 1.0
    assert [each["path"] for each in near["divergence"]["differences"]] == ["data.value"]
    debugger.export(tmp_path / "d.json")
    kept = Debugger.load(tmp_path / "d.json").comparisons
    assert [each["score"] for each in kept] == [1.0, near["score"]]


def test_failed_tools_of_an_ingested_conversation_are_errors(rt: Runtime) -> None:
    s = rt.create_session()
    s.add_message("tool", "no such file", tool_call_id="c1", metadata={"is_error": True})
    s.add_message("user", [{"type": "tool_result", "is_error": True, "content": "broken"}])
    s.add_message("user", [{"type": "tool_result", "is_error": False, "content": "is_error"}])
    found = s.debugger().errors()
    assert (found.total, found.failed, found.by_type) == (2, 0, {"is_error": 2})
    assert found.timeline[0].message == "no such file"
    # A replay pauses at the same events, and the timeline marks them.
    marked = [event.sequence for event in s.events() if failure(event) is not None]
    with rt.replays.start(s, breakpoints=[Breakpoint(error=True)]) as replay:
        paused = []
        while (pause := replay.wait_paused(60)) is not None:
            paused.append(pause.sequence)
            replay.resume()
    assert paused == marked == [each.sequence for each in found.timeline] == [2, 3]


def test_what_is_before_damage_is_shown(
    store_path: Path, on_disk: Callable[[], AbstractContextManager[Engine]]
) -> None:
    with Runtime.open(store_path) as rt:
        s = rt.create_session()
        for number in range(20):
            s.set("k", number)
    with on_disk() as engine:
        key = sequence_key(session_bytes(s.id), 12)
        record = engine.get(CF.JOURNAL, key)
        assert record is not None
        engine.write([(CF.JOURNAL, key, record[:-1] + bytes([record[-1] ^ 1]))])
    with Runtime.open(store_path) as rt:
        debugger = rt.session(s.id).debugger()
        debugger.goto(11)
        assert debugger.state(part="variables") == {"k": 9}
        assert [each.place for each in debugger.diff().changes] == ["variables.k"]
        for call in (lambda: debugger.at(15).variables, debugger.errors, lambda: debugger.event(12)):
            with pytest.raises(IntegrityError) as damaged:
                call()
            assert damaged.value.fields["sequence"] == 12
