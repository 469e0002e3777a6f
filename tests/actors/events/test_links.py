"""Links between events, and timelines: a cause always stands before what it caused."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.runtime import Event, InvalidSessionState, Runtime, Session, StorageError, ValidationError
from greenroom.runtime.handles.reading.timeline import causal_order

KINDS = ("caused_by", "part_of", "related_to", "response_to", "follows_from", "concurrent_with")


@pytest.fixture
def pair(shared_runtime: Runtime) -> tuple[Session, Session]:
    return shared_runtime.create_session(), shared_runtime.create_session()


@pytest.mark.parametrize("kind", KINDS)
def test_a_link_is_found_from_both_ends(shared_runtime: Runtime, pair: tuple[Session, Session], kind: str) -> None:
    a, b = next(pair[0].events()), next(pair[1].events())
    link = shared_runtime.events.link(a, b.id, kind)
    assert (link.from_id, link.to_id, link.kind) == (a.id, b.id, kind)
    assert shared_runtime.events.links(a) == shared_runtime.events.links(b.id) == [link]
    fact = shared_runtime.events.get(link.event_id or "")
    assert fact.session_id == pair[0].id
    assert (fact.type, fact.data) == ("event.linked", {"from": a.id, "to": b.id, "kind": kind})
    assert pair[1].info().sequence == 1


def test_linking_the_same_twice_changes_nothing(shared_runtime: Runtime, pair: tuple[Session, Session]) -> None:
    a, b = (next(each.events()) for each in pair)
    link = shared_runtime.events.link(a, b, "related_to")
    assert shared_runtime.events.link(a, b, "related_to") == link
    assert pair[0].info().sequence == 2
    assert shared_runtime.events.link(b, a, "related_to") != link


def test_what_events_tell_themselves_is_a_link_too(shared_runtime: Runtime) -> None:
    session = shared_runtime.create_session()
    child = shared_runtime.run_script('return Session.create { name = "c" }', session=session).value
    created = next(shared_runtime.session(child).events())
    started = list(session.events())[1]
    assert [(each.kind, each.from_id, each.to_id) for each in shared_runtime.events.links(created)] == [
        ("caused_by", created.id, started.id),
        ("part_of", created.id, started.id),
    ]
    from_the_cause = {(each.kind, each.from_id) for each in shared_runtime.events.links(started)}
    assert {("caused_by", created.id), ("part_of", created.id)} <= from_the_cause


def test_links_that_cannot_be_are_refused(shared_runtime: Runtime, pair: tuple[Session, Session]) -> None:
    a, b = (next(each.events()) for each in pair)
    told = shared_runtime.events.publish("custom.told")
    nobody = "00000000-0000-4000-8000-000000000000/1"
    for left, right, kind in (
        (a, b, "loves"),
        (a, a, "caused_by"),
        (a, f"{b.session_id}/99", "caused_by"),
        (f"{a.session_id}/99", b, "caused_by"),
        (a, nobody, "caused_by"),
        (a, told, "caused_by"),
        (a, "nonsense", "caused_by"),
        (a, 7, "caused_by"),
    ):
        with pytest.raises(ValidationError):
            shared_runtime.events.link(left, right, kind)  # type: ignore[arg-type]
    assert pair[0].info().sequence == 1
    pair[0].complete()
    with pytest.raises(InvalidSessionState):
        shared_runtime.events.link(a, b, "caused_by")


def test_links_go_with_their_session_and_leave_the_store_whole(store_path: Path) -> None:
    with Runtime.open(store_path) as runtime:
        one, two, three = (runtime.create_session() for _ in range(3))
        a, b, c = (next(each.events()) for each in (one, two, three))
        with runtime.operation("linked"):
            runtime.events.link(a, b, "response_to")
            runtime.events.link(b, c, "follows_from")
            runtime.events.publish("custom.x", {"k": 1 << 70}, two)
        runtime.run_script("State.set('k', 1) Session.create {}", session=three)
        assert runtime.verify().problems == []
        one.delete()
        assert [each.kind for each in runtime.events.links(b)] == ["follows_from"]
        assert runtime.events.query(correlation_id="linked").total == 2
        three.delete()
        # that b follows c is still a fact of b's session
        assert [each.to_id for each in runtime.events.links(b)] == [c.id]
        two.delete()
        assert runtime.events.query(correlation_id="linked").total == 0
        assert runtime.verify().problems == []
    with Runtime.open(store_path) as runtime:
        assert runtime.verify().ok


def test_verify_finds_and_mends_the_entries_of_events(store_path: Path, on_disk: Any) -> None:
    with Runtime.open(store_path) as runtime:
        one, two = runtime.create_session(correlation_id="c"), runtime.create_session()
        link = runtime.events.link(next(one.events()), next(two.events()), "related_to")
    with on_disk() as engine:
        entries = [key for key, _ in engine.scan(5, b"\x00", b"\xff") if key[:1] in b"el"]
        assert len(entries) == 4  # two events with the correlation, two ends of the link
        engine.write([(5, entries[0], None), (5, entries[-1], None), (5, b"e" + b"\x07" * 40, b"")])
    with Runtime.open(store_path) as runtime:
        assert len(runtime.verify().problems) == 3
        runtime.gc()
        assert runtime.verify().problems == []
        assert runtime.events.query(correlation_id="c").total == 2
        assert runtime.events.links(f"{two.id}/1") == [link]


def test_links_and_ids_travel_in_a_bundle(shared_runtime: Runtime, tmp_path: Path) -> None:
    session = shared_runtime.create_session()
    shared_runtime.run_script('Session.create { name = "child" }', session=session)
    child = shared_runtime.session(session.children()[0].id)
    shared_runtime.events.link(next(child.events()), next(session.events()), "part_of")
    shared_runtime.events.publish("custom.x", {"n": 1 << 80}, child)
    session.export(tmp_path / "s.bundle", tree=True)
    copy, copied_child = shared_runtime.import_bundle(tmp_path / "s.bundle", keep_ids=False)
    started = list(copy.events())[1]
    created = next(copied_child.events())
    assert created.causation_id == started.id
    (link,) = [each for each in shared_runtime.events.links(created) if each.event_id is not None]
    assert (link.from_id, link.to_id) == (f"{copied_child.id}/1", f"{copy.id}/1")
    assert {each.session_id for each in shared_runtime.events.query(root_id=started.id)} == {copy.id, copied_child.id}
    assert next(each for each in copied_child.events() if each.type == "custom.x").data == {"n": 1 << 80}
    without = tmp_path / "without.bundle"
    session.export(without, tree=True, history=False)
    for each in shared_runtime.import_bundle(without, keep_ids=False):
        for event in each.events():
            # what is counted anew cannot be named by its old number
            assert event.causation_id is None
            assert event.root_id == event.id
    for each in (session, copy):
        shared_runtime.session(each.children()[0].id).delete()
        each.delete()
    assert shared_runtime.verify().ok


# -- timelines


def test_a_timeline_across_sessions_shows_causes_and_depth(shared_runtime: Runtime) -> None:
    session = shared_runtime.create_session(correlation_id="line")
    shared_runtime.run_script('local c = Session.create {} c:setVariable("k", 1)', session=session)
    rows = shared_runtime.events.timeline("line")
    started = rows[1]
    assert [(row.event.type, row.depth) for row in rows] == [
        ("session.created", 0),
        ("script.started", 0),
        ("session.created", 1),
        ("variable.set", 1),
        ("script.finished", 1),
    ]
    assert [row.cause for row in rows][2:] == [started.event.id] * 3
    assert rows.total == 5
    shorter = shared_runtime.events.timeline("line", limit=2)
    assert (len(shorter), shorter.total, shorter.has_more) == (2, 5, True)
    assert [row.event for row in session.timeline()] == list(session.events())
    assert [row.depth for row in session.timeline()] == [0, 0, 1]


def test_the_id_of_an_event_stands_for_what_it_began(shared_runtime: Runtime) -> None:
    session = shared_runtime.create_session()
    shared_runtime.run_script('State.set("k", 1)', session=session)
    started = list(session.events())[1]
    rows = shared_runtime.events.timeline(started.id)
    assert [row.event.type for row in rows] == ["script.started", "variable.set", "script.finished"]


def test_a_cause_comes_first_even_where_clocks_disagree(clock: Any) -> None:
    with Runtime.open(clock=clock) as runtime:
        cause, effect = runtime.create_session(), runtime.create_session()
        with runtime.operation("c"):
            cause.set("k", 1)
        with runtime.operation(causation_id=f"{cause.id}/2"):
            clock.now_ns -= 10**9  # set back: the effect's session sees an earlier time
            other = runtime.create_session(parent=effect)
        with runtime.operation("c"):
            runtime.events.link(f"{cause.id}/2", f"{effect.id}/1", "follows_from")
        rows = runtime.events.timeline("c")
        assert rows[1].event.timestamp < rows[0].event.timestamp
        assert [row.event.session_id for row in rows][:2] == [cause.id, other.id]


_EVENTS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 20), st.integers(0, 30) | st.none(), st.integers(0, 30) | st.none()),
    min_size=1,
    max_size=30,
)


def _history(drawn: list[tuple[int, int, int | None, int | None]]) -> list[Event]:
    """Events of a few sessions, each caused by any other one, at times that prove nothing."""
    names: list[str] = []
    counts: dict[int, int] = {}
    for session, *_ in drawn:
        counts[session] = counts.get(session, 0) + 1
        names.append(f"s{session}/{counts[session]}")
    start = datetime(2030, 1, 1, tzinfo=UTC)
    events = []
    for name, (session, second, cause, root) in zip(names, drawn, strict=True):
        events.append(
            Event(
                id=name,
                type="custom.x",
                session_id=f"s{session}",
                sequence=int(name.partition("/")[2]),
                timestamp=start + timedelta(seconds=second),
                causation_id=names[cause % len(names)] if cause is not None else None,
                root_id=names[root % len(names)] if root is not None else name,
            )
        )
    return events


@given(_EVENTS)
def test_a_cause_never_stands_after_its_effect(drawn: list[tuple[int, int, int | None, int | None]]) -> None:
    # causes that were journaled before, as real ones are
    drawn = [
        (session, second, cause % at if cause is not None and at else None, None)
        for at, (session, second, cause, _) in enumerate(drawn)
    ]
    events = _history(drawn)
    rows = causal_order(events)
    position = {row.event.id: at for at, row in enumerate(rows)}
    assert sorted(position) == sorted(each.id for each in events)
    for event in events:
        if event.causation_id is not None:
            assert position[event.causation_id] < position[event.id]
            row = rows[position[event.id]]
            assert row.cause == event.causation_id
            assert row.depth == rows[position[event.causation_id]].depth + 1
        if event.sequence > 1:
            assert position[f"{event.session_id}/{event.sequence - 1}"] < position[event.id]


@given(_EVENTS)
def test_contradictions_lose_no_event(drawn: list[tuple[int, int, int | None, int | None]]) -> None:
    events = _history(drawn)
    rows = causal_order(events, [(each.id, events[0].id) for each in events])
    assert sorted(row.event.id for row in rows) == sorted(each.id for each in events)
    assert rows == causal_order(list(reversed(events)), [(each.id, events[0].id) for each in events])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20)), min_size=1, max_size=30))
def test_without_causes_time_decides(drawn: list[tuple[int, int]]) -> None:
    times = sorted(second for _, second in drawn)
    events = _history([(session, second, None, None) for (session, _), second in zip(drawn, times, strict=True)])
    found = [row.event for row in causal_order(reversed(events))]
    assert found == sorted(events, key=lambda each: (each.timestamp, each.session_id, each.sequence))


# -- export


def test_export_writes_one_json_object_a_line(shared_runtime: Runtime, tmp_path: Path) -> None:
    session = shared_runtime.create_session(correlation_id="export")
    session.set("bytes", b"\xff\x00")
    session.store_artifact("t", "n", "content")
    path = tmp_path / "events.jsonl"
    assert shared_runtime.events.export(path, correlation_id="export") == 3
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["type"] for row in rows] == ["session.created", "variable.set", "artifact.stored"]
    assert rows[1]["data"]["value"] == {"base64": "/wA="}
    assert list(rows[0]) == [
        "id", "type", "session_id", "sequence", "timestamp", "data", "correlation_id", "causation_id", "root_id",
        "source", "target", "tags", "language", "schema_version", "origin",
    ]  # fmt: skip
    text = io.StringIO()
    assert shared_runtime.events.export(text, session_id=session.id, type="variable.*") == 1
    assert json.loads(text.getvalue()) == rows[1]
    everything = io.StringIO()
    count = shared_runtime.events.export(everything)
    assert count == len(everything.getvalue().splitlines())
    assert {row["id"] for row in rows} <= {json.loads(line)["id"] for line in everything.getvalue().splitlines()}


def test_an_export_that_fails_leaves_nothing(shared_runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        shared_runtime.events.export(tmp_path / "no" / "where.jsonl")
    path = tmp_path / "events.jsonl"
    path.write_text("as it was")
    with pytest.raises(ValidationError):
        shared_runtime.events.export(path, type="a..b")
    assert path.read_text() == "as it was"
    assert list(tmp_path.iterdir()) == [path]
