"""Which ids events carry: set by the path itself, through queues, scripts, child sessions and restarts."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import AccessDenied, Event, Runtime, Session, SessionNotFound, ValidationError, messages
from greenroom.storage.codec.keys import after_prefix
from greenroom.storage.engine.engine import CF
from greenroom.storage.events.index import BY_ID
from greenroom.storage.events.pattern import EventPattern


def last(session: Session) -> Event:
    return list(session.events())[-1]


def ids(event: Event) -> tuple[Any, Any, Any]:
    return event.correlation_id, event.causation_id, event.root_id


# -- what events carry


def test_an_event_that_nothing_caused_is_its_own_root(shared_runtime: Runtime) -> None:
    session = shared_runtime.create_session()
    session.set("k", 1)
    event = last(session)
    assert ids(event) == (session.id, None, event.id)
    assert event.id == f"{session.id}/2"


def test_an_operation_marks_what_happens_in_it(shared_runtime: Runtime) -> None:
    session = shared_runtime.create_session()
    with shared_runtime.operation("request 7", source="api") as operation:
        session.set("k", 1)
        child = shared_runtime.create_session(parent=session)
    session.set("k", 2)
    assert operation.correlation_id == "request 7"
    inside, after = list(session.events())[1:]
    assert (inside.correlation_id, inside.source) == ("request 7", "api")
    assert (after.correlation_id, after.source) == (session.id, None)
    assert next(child.events()).correlation_id == "request 7"
    assert child.info().correlation_id == child.id  # that is the creator's to give


def test_an_operation_without_a_name_gets_one_of_its_own(shared_runtime: Runtime) -> None:
    session = shared_runtime.create_session()
    with shared_runtime.operation() as one:
        session.set("k", 1)
        with shared_runtime.operation() as inner:
            assert inner.correlation_id == one.correlation_id
    with shared_runtime.operation() as two:
        pass
    assert last(session).correlation_id == one.correlation_id
    assert one.correlation_id != two.correlation_id


def test_an_operation_takes_correlation_and_root_of_its_cause(shared_runtime: Runtime) -> None:
    first, second = shared_runtime.create_session(), shared_runtime.create_session()
    with shared_runtime.operation("c"):
        first.set("k", 1)
    cause = last(first)
    with shared_runtime.operation(causation_id=cause.id):
        second.set("k", 1)
    effect = last(second)
    assert ids(effect) == ("c", cause.id, cause.root_id)
    with shared_runtime.operation("other", causation_id=effect.id):
        first.set("k", 2)
    assert ids(last(first)) == ("other", effect.id, cause.root_id)


@pytest.mark.parametrize(
    "given",
    [
        {"correlation_id": ""},
        {"correlation_id": 7},
        {"correlation_id": "x" * 256},
        {"source": ""},
        {"causation_id": "nonsense"},
        {"causation_id": "00000000-0000-4000-8000-000000000000/1"},
    ],
)
def test_impossible_ids_are_refused(shared_runtime: Runtime, given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError), shared_runtime.operation(**given):
        pass


def test_a_sessions_own_correlation_is_on_every_event_from_the_first(shared_runtime: Runtime) -> None:
    session = shared_runtime.create_session(correlation_id="order 12")
    session.set("k", 1)
    assert {each.correlation_id for each in session.events()} == {"order 12"}
    with shared_runtime.operation("inner"):
        session.set("k", 2)
    assert last(session).correlation_id == "inner"
    found = shared_runtime.events.query(correlation_id="order 12")
    assert [each.type for each in found] == ["session.created", "variable.set"]


def test_it_goes_with_a_message_through_a_mailbox_and_a_passivation(tmp_path: Path) -> None:
    with Runtime.open(config={"max_resident_sessions": 1}) as runtime:
        session = runtime.create_session()
        with runtime.operation("queued", source="api"):
            actor = runtime._supervisor.table.actors[session.id]
            # So that the message has to wait in the mailbox.
            assert actor.do_in_turn(lambda: runtime.tell(session.id, messages.SetVariable("k", 1)))
        runtime.ask(session.id, messages.Finish())
        for _ in range(3):  # each takes the place of the one before
            runtime.create_session()
        assert session.id not in runtime._supervisor.table.actors
        event = last(session)
        assert (event.data["key"], event.correlation_id, event.source) == ("k", "queued", "api")


def test_it_is_there_after_a_restart(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "s") as runtime:
        session = runtime.create_session()
        with runtime.operation("kept"):
            session.set("k", 1)
    with Runtime.open(tmp_path / "s") as runtime:
        (found,) = runtime.events.query(correlation_id="kept")
        assert found.data["key"] == "k"


# -- scripts


def test_a_bound_script_is_journaled_and_causes_what_it_does(shared_runtime: Runtime) -> None:
    session = shared_runtime.create_session()
    child_id = shared_runtime.run_script(
        'State.set("k", 1) local c = Session.create { name = "child" } c:setVariable("x", 2) return c',
        session=session,
        name="work.lua",
    ).value
    created, started, setting, finished = session.events()
    assert [each.type for each in (created, started, setting, finished)] == [
        "session.created",
        "script.started",
        "variable.set",
        "script.finished",
    ]
    assert ids(started) == (session.id, None, started.id)
    facts = {"script": "work.lua", "language": "lua", "profile": "sandboxed"}
    assert started.data == {**facts, "source_hash": started.data["source_hash"]}
    child = shared_runtime.session(child_id)
    for event in (setting, finished, *child.events()):
        assert ids(event) == (session.id, started.id, started.id)
        assert (event.source, event.language) == ("script:work.lua", "lua")
    assert finished.data["success"] is True
    assert finished.data["error"] is None
    assert finished.data["duration"] >= 0
    assert finished.data["instructions"] > 0


def test_a_script_that_fails_is_journaled_as_such(shared_runtime: Runtime) -> None:
    session = shared_runtime.create_session()
    with pytest.raises(Exception, match="as planned"):
        shared_runtime.run_script('error("as planned: secret")', session=session)
    finished = last(session)
    assert (finished.type, finished.data["success"], finished.data["error"]) == (
        "script.finished",
        False,
        "ScriptError",
    )
    assert (finished.data["message"], finished.data["line"]) == ("script:1: as planned: secret", 1)


def test_a_script_inherits_the_operation_around_it(shared_runtime: Runtime) -> None:
    session = shared_runtime.create_session()
    with shared_runtime.operation("request 8"):
        shared_runtime.run_script('State.set("k", 1)', session=session)
    assert {each.correlation_id for each in list(session.events())[1:]} == {"request 8"}


@pytest.mark.parametrize("end", ["suspend", "complete", "delete"])
def test_a_script_may_end_its_session_and_run_in_one_that_has_ended(shared_runtime: Runtime, end: str) -> None:
    session = shared_runtime.create_session()
    assert shared_runtime.run_script(f"Session.{end}(Session.current()) return 1", session=session).value == 1
    if end == "delete":
        assert not shared_runtime.exists(session.id)
        return
    before = session.info().sequence
    assert shared_runtime.run_script("return Session.current().name or 'none'", session=session).value == "none"
    assert session.info().sequence == before


def test_what_an_unbound_script_does_belongs_together(shared_runtime: Runtime) -> None:
    session = shared_runtime.create_session()
    with shared_runtime.events.subscribe("script.*") as told:
        shared_runtime.run_script("for i = 1, 3 do (...):setVariable('k', i) end", args=[session.id])
        assert [told.receive(0).type for _ in range(2)] == ["script.started", "script.finished"]  # type: ignore[union-attr]
    events = list(session.events())[1:]
    assert len({each.correlation_id for each in events}) == 1
    assert {each.source for each in events} == {"script:script"}
    assert shared_runtime.events.query(correlation_id=events[0].correlation_id).total == 3


# -- asking


@pytest.fixture(scope="module")
def history(shared_runtime: Runtime) -> tuple[Session, Session]:
    """Two sessions with an operation across them."""
    first, second = shared_runtime.create_session(), shared_runtime.create_session()
    with shared_runtime.operation("history", source="one"):
        first.set("a", 1)
        shared_runtime.events.publish("custom.step", {"n": 1}, first, tags=["x", "y"])
    with shared_runtime.operation(causation_id=last(first).id, source="two"):
        second.set("b", 2)
        second.add_tag("t")
    return first, second


def test_queries_by_correlation_find_events_of_all_sessions(
    shared_runtime: Runtime, history: tuple[Session, Session]
) -> None:
    first, second = history
    found = shared_runtime.events.query(correlation_id="history")
    assert [(each.session_id, each.type) for each in found] == [
        (first.id, "variable.set"),
        (first.id, "custom.step"),
        (second.id, "variable.set"),
        (second.id, "tags.changed"),
    ]
    assert found.total == 4


def test_every_criterion_narrows(shared_runtime: Runtime, history: tuple[Session, Session]) -> None:
    first, second = history
    query = shared_runtime.events.query

    def types(**criteria: Any) -> list[str]:
        return [each.type for each in query(**criteria)]

    cause = query(session_id=first.id, type="custom.*")[0]
    both = ["variable.set", "tags.changed"]
    assert types(causation_id=cause.id) == both
    assert types(root_id=cause.id) == ["custom.step", *both]
    assert types(correlation_id="history", type="variable.*") == ["variable.set"] * 2
    assert types(correlation_id="history", source="two") == both
    assert types(correlation_id="history", session_id=second.id) == both
    assert types(correlation_id="history", tags=["y", "x"]) == ["custom.step"]
    assert types(correlation_id="history", tags=["y", "z"]) == []
    assert types(correlation_id="history", type="variable.*", source="two") == ["variable.set"]
    assert types(session_id=first.id) == ["session.created", "variable.set", "custom.step"]
    assert types(correlation_id="nobody") == []
    assert types(correlation_id=cause.id) == []  # its correlation is another
    assert types(source="one", type="custom.step") == ["custom.step"]  # with no id at all: every journal is read


def test_times_bound_a_query_on_every_way(clock: Any) -> None:
    with Runtime.open(clock=clock) as runtime:
        session = runtime.create_session(correlation_id="c")
        times = []
        for n in range(4):
            clock.advance(10)
            session.set("k", n)
            times.append(last(session).timestamp)
        for way in ({"session_id": session.id}, {"correlation_id": "c"}, {"type": "variable.set"}):
            found = runtime.events.query(**way, after=times[1], before=times[3])  # type: ignore[arg-type]
            assert [each.data["value"] for each in found] == [1, 2]
            found = runtime.events.query(**way, after=times[0] + timedelta(seconds=1))  # type: ignore[arg-type]
            assert [each.data["value"] for each in found] == [1, 2, 3]
            assert runtime.events.query(**way, after=times[3].timestamp() + 1).total == 0  # type: ignore[arg-type]


def test_pages_add_up(shared_runtime: Runtime, history: tuple[Session, Session]) -> None:
    whole = shared_runtime.events.query(correlation_id="history")
    pages = [shared_runtime.events.query(correlation_id="history", limit=3, offset=at) for at in (0, 3, 6)]
    assert [each for page in pages for each in page] == list(whole)
    assert [page.total for page in pages] == [4, 4, 4]
    assert [page.has_more for page in pages] == [True, False, False]


def test_impossible_queries_are_refused(shared_runtime: Runtime) -> None:
    for criteria in (
        {"session_id": "nonsense"},
        {"type": "a..b"},
        {"tags": "one"},
        {"limit": -1},
        {"colour": "red"},
        {"after": "yesterday"},
    ):
        with pytest.raises(ValidationError):
            shared_runtime.events.query(**criteria)
    with pytest.raises(SessionNotFound):
        shared_runtime.events.query(session_id="00000000-0000-4000-8000-000000000000")


def test_code_that_acts_for_a_session_finds_only_its_own(
    shared_runtime: Runtime, history: tuple[Session, Session]
) -> None:
    first, second = history
    with acting(principal=second.id):
        found = shared_runtime.events.query(correlation_id="history")
        assert {each.session_id for each in found} == {second.id}
        assert found.total == 2
        assert {each.session_id for each in shared_runtime.events.query(type="**")} == {second.id}
        newest = shared_runtime.events.query(type="**", descending=True, limit=1000)
        assert {each.session_id for each in newest} == {second.id}
        assert newest.total == len(newest)
        assert {row.event.session_id for row in shared_runtime.events.timeline("history")} == {second.id}
        foreign = list(second.events())[1].causation_id
        for denied in (
            lambda: shared_runtime.events.query(session_id=first.id),
            lambda: shared_runtime.events.get(str(foreign)),
            lambda: shared_runtime.events.links(str(foreign)),
            lambda: shared_runtime.events.link(f"{second.id}/1", str(foreign), "caused_by"),
            lambda: shared_runtime.events.export("/nowhere", session_id=first.id),
            lambda: shared_runtime.events.query(session_id="00000000-0000-4000-8000-000000000000"),
        ):
            with pytest.raises(AccessDenied):
                denied()


# -- against reading everything


@pytest.fixture(scope="module")
def mixed() -> Iterator[tuple[Runtime, list[Event]]]:
    """A store with events of many kinds in three sessions, and all of them."""
    with Runtime.open() as runtime:
        sessions = [runtime.create_session(correlation_id="own" if n == 0 else None) for n in range(3)]
        causes: list[str] = []
        for n in range(45):
            session = sessions[n % 3]
            with runtime.operation(
                f"c{n % 4}" if n % 5 else None,
                causation_id=causes[n % len(causes)] if causes and n % 3 else None,
                source=f"s{n % 2}" if n % 7 else None,
            ):
                runtime.events.publish(f"custom.{'a' if n % 2 else 'b'}.x", {}, session, tags=[f"t{n % 3}"])
            session.set("k", n)
            causes.append(last(session).id)
        runtime.events.link(causes[0], causes[1], "related_to")
        yield runtime, [event for each in sessions for event in each.events()]


@given(st.data())
def test_a_query_finds_what_reading_everything_finds(mixed: tuple[Runtime, list[Event]], data: Any) -> None:
    runtime, events = mixed
    one = data.draw(st.sampled_from(events))
    choices = {
        "session_id": one.session_id,
        "type": data.draw(st.sampled_from([one.type, "custom.**", "*.set", "**"])),
        "correlation_id": one.correlation_id,
        "causation_id": one.causation_id or one.id,
        "root_id": one.root_id,
        "source": one.source or "s0",
        "tags": list(one.tags),
        "after": one.timestamp,
        "before": data.draw(st.sampled_from(events)).timestamp,
    }
    criteria = {name: choices[name] for name in data.draw(st.sets(st.sampled_from(sorted(choices))))}
    fits = EventPattern(criteria.get("type", "**")).matches

    def wanted(event: Event) -> bool:
        same = all(
            getattr(event, name) == criteria[name]
            for name in ("session_id", "correlation_id", "causation_id", "root_id", "source")
            if name in criteria
        )
        late = "after" not in criteria or event.timestamp >= criteria["after"]
        early = "before" not in criteria or event.timestamp < criteria["before"]
        return same and late and early and fits(event.type) and set(criteria.get("tags", ())) <= set(event.tags)

    expected = sorted(filter(wanted, events), key=lambda each: (each.timestamp, each.session_id, each.sequence))
    found = runtime.events.query(**criteria)
    # within one microsecond, the journal's own nanoseconds decide
    assert sorted(found, key=lambda each: (each.timestamp, each.session_id, each.sequence)) == expected
    assert found.total == len(expected)
    text = io.StringIO()
    assert runtime.events.export(text, **criteria) == len(expected)


def test_code_that_acts_for_a_session_passes_for_nobody_else(shared_runtime: Runtime) -> None:
    mine, other = shared_runtime.create_session(), shared_runtime.create_session()
    with acting(principal=mine.id, source="tool:t"):
        with pytest.raises(ValidationError), shared_runtime.operation("c", source="host"):
            pass
        with pytest.raises(AccessDenied), shared_runtime.operation("c", root_id=last(other).id):
            pass
        with pytest.raises(AccessDenied):
            shared_runtime.ask(mine.id, messages.LinkEvents(last(mine).id, last(other).id, "caused_by"))
        made = shared_runtime.ask(mine.id, messages.PublishEvent("custom.x", source="host"))
    assert made.source == "tool:t"
    assert shared_runtime.ask(mine.id, messages.PublishEvent("custom.x", source="host")).source == "host"


def test_a_query_for_no_rows_still_counts(shared_runtime: Runtime, history: tuple[Session, Session]) -> None:
    first, _ = history
    everything = shared_runtime.events.query(session_id=first.id)
    none = shared_runtime.events.query(session_id=first.id, limit=0)
    assert (len(none), none.total) == (0, len(everything))


def test_the_events_of_a_session_are_found_by_its_correlation_id_without_an_index_entry(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        session, other = rt.create_session(), rt.create_session()
        for n in range(5):
            session.set("k", n)
            session.add_message("user", "hello")
        other.set("k", 1)
        index = rt._store.engine.count(CF.INDEX, BY_ID, after_prefix(BY_ID))
        assert index == 0
        correlation = session.info().correlation_id
        found = rt.events.query(correlation_id=correlation)
        assert [each.id for each in found] == [each.id for each in session.events()]
        assert found.total == 11
        assert {each.correlation_id for each in found} == {correlation}
        page = rt.events.query(correlation_id=correlation, type="variable.*", limit=2, offset=1)
        assert ([each.data["value"] for each in page], page.total) == ([1, 2], 5)
        assert [row.event.id for row in rt.events.timeline(correlation)] == [each.id for each in session.events()]
        with rt.operation(correlation):  # elsewhere too, when it is said
            other.set("k", 2)
        rows = [row.event for row in rt.events.timeline(correlation)]
        assert [(each.session_id, each.data.get("value")) for each in rows][-1] == (other.id, 2)
        assert len(rows) == 12
        assert rt.verify().ok
    with Runtime.open(store_path, read_only=True) as rt:
        assert rt.events.query(correlation_id=correlation).total == 12


def test_what_a_tool_does_is_found_by_the_correlation_of_its_session(shared_runtime: Runtime) -> None:
    session, other = shared_runtime.create_session(), shared_runtime.create_session()
    shared_runtime.tools.register("t", lambda context: context.session.set("k", 1), replace=True)
    session.call_tool("t")
    other.call_tool("t")
    found = shared_runtime.events.query(correlation_id=session.id)
    assert [each.type for each in found] == ["session.created", "tool.called", "variable.set", "tool.returned"]
    assert {each.session_id for each in found} == {session.id}


def test_a_correlation_id_that_was_given_is_found_as_before(shared_runtime: Runtime) -> None:
    session = shared_runtime.create_session(correlation_id="order 9")
    session.set("k", 1)
    assert [each.id for each in shared_runtime.events.query(correlation_id="order 9")] == [
        each.id for each in session.events()
    ]
    assert not shared_runtime.events.query(correlation_id=session.id)


def test_code_of_another_session_finds_nothing_by_it(shared_runtime: Runtime) -> None:
    session, other = shared_runtime.create_session(), shared_runtime.create_session()
    session.set("k", 1)
    with acting(principal=other.id):
        assert not shared_runtime.events.query(correlation_id=session.id)
