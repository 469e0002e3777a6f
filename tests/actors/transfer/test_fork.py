from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.runtime import (
    AccessDenied,
    ArtifactNotFound,
    IntegrityError,
    InvalidOperation,
    Runtime,
    Session,
    SessionNotFound,
    ValidationError,
    messages,
)
from greenroom.storage.codec.keys import sequence_key, session_bytes
from greenroom.storage.engine.engine import CF, Engine


@pytest.fixture(scope="module")
def shared() -> Iterator[Runtime]:
    with Runtime.open() as runtime:
        yield runtime


def facts(session: Session, upto: int | None = None) -> list[tuple[Any, ...]]:
    return [(e.sequence, e.type, e.timestamp, e.data) for e in session.events(limit=upto)]


def test_a_fork_has_the_history_and_state_of_its_moment(shared: Runtime) -> None:
    origin = shared.create_session(name="x", tags=["a"], metadata={"m": 1})
    origin.set("k", 1)
    origin.add_message("user", "short")
    origin.add_message("user", "long " * 5000)
    stored = origin.store_artifact("t", "doc", "text " * 5000, tags=["q"])
    at = origin.info().sequence
    origin.set("k", 2)
    origin.add_tag("later")
    origin.add_message("user", "later")
    origin.store_artifact("t", "doc", "second")
    fork = origin.fork(at_sequence=at)
    assert facts(fork, at) == facts(origin, at)
    assert fork.get("k") == 1
    assert fork.info().tags == ("a",)
    assert fork.info().name == "x"
    assert [turn.content for turn in fork.messages()] == ["short", "long " * 5000]
    mine = fork.get_artifact("doc")
    assert (mine.info.version, mine.info.tags, mine.content) == (1, ("q",), b"text " * 5000)
    assert mine.info.id.session_id == fork.id
    assert mine.info.id.content_hash == stored.id.content_hash
    assert [info.id for info in fork.query_artifacts(tags=["q"])] == [mine.info.id]
    assert fork.parent() == origin
    assert fork.id in [info.id for info in origin.children()]
    own = next(iter(fork.events(after=at)))
    assert own.type == "session.forked"
    assert own.sequence == at + 1
    assert (own.data["from_session"], own.data["sequence"]) == (origin.id, at)
    assert shared.verify().problems == []


def test_a_fork_and_its_original_go_their_own_ways(shared: Runtime) -> None:
    origin = shared.create_session()
    origin.set("k", 1)
    origin.store_artifact("t", "doc", "both")
    before = origin.info().sequence
    fork = origin.fork()
    assert origin.info().sequence == before  # forking is only a reading of it
    fork.set("k", 2)
    assert fork.store_artifact("t", "doc", "only the fork").version == 2
    origin.set("k", 3)
    assert (origin.get("k"), fork.get("k")) == (3, 2)
    assert origin.get_artifact("doc").content == b"both"
    shared.delete_session(origin.id)
    assert fork.get_artifact("doc", version=1).content == b"both"
    assert fork.parent() is None
    assert shared.verify().problems == []


@pytest.mark.parametrize("end", ["suspend", "complete", "fail", "archive"])
def test_a_fork_of_any_session_is_active_and_young(clock: Any, end: str) -> None:
    with Runtime.open(clock=clock) as rt:
        origin = rt.create_session()
        if end == "archive":
            origin.complete()
        origin.fail("why") if end == "fail" else getattr(origin, end)()
        clock.advance(3600)
        fork = origin.fork()
        info = fork.info()
        assert (info.status, info.ended_at, info.failure_reason) == ("active", None, None)
        assert info.created_at == info.started_at == info.updated_at
        assert (info.created_at - origin.info().created_at).total_seconds() == 3600
        assert rt.list_sessions(status="active")[0].id == fork.id
        fork.set("k", 1)
        again = fork.fork(fork.info().sequence - 1)
        assert (again.get("k"), again.parent()) == (None, fork)


def test_content_is_shared_and_not_written_again(shared: Runtime) -> None:
    origin = shared.create_session()
    origin.store_artifact("t", "large", bytes(range(256)) * 4000)
    before = shared.stats()["artifacts"]
    forks = [origin.fork() for _ in range(3)]
    after = shared.stats()["artifacts"]
    assert after["count"] == before["count"] + 3
    assert {name: after[name] for name in ("contents", "unique_bytes", "stored_bytes")} == {
        name: before[name] for name in ("contents", "unique_bytes", "stored_bytes")
    }
    for each in (origin, *forks):
        each.delete()
    assert shared.stats()["artifacts"]["contents"] == before["contents"] - 1


def test_references_between_artifacts_lead_to_the_forks_own(shared: Runtime) -> None:
    origin = shared.create_session()
    other = shared.create_session()
    elsewhere = other.store_artifact("t", "e", "elsewhere")
    other.share(elsewhere.id, origin)
    first = origin.store_artifact("t", "a", "first")
    origin.store_artifact("t", "b", "second", parent_artifact=first.id)
    origin.store_artifact("t", "c", "third", parent_artifact=elsewhere.id)
    origin.store_artifact("t", "d", "fourth", parent_artifact="a")
    fork = origin.fork()
    assert fork.get_artifact_info("d").parent_artifact == str(fork.get_artifact_info("a").id)
    assert fork.get_artifact_info("b").parent_artifact == str(fork.get_artifact_info("a").id)
    assert fork.get_artifact_info("c").parent_artifact == str(elsewhere.id)


def test_what_was_deleted_since_comes_along_while_its_content_is_there(shared: Runtime) -> None:
    origin = shared.create_session()
    origin.store_artifact("t", "kept elsewhere", "shared content")
    origin.store_artifact("t", "gone", "only here")
    shared.create_session().store_artifact("t", "x", "shared content")
    at = origin.info().sequence
    origin.delete_artifact("kept elsewhere")
    origin.delete_artifact("gone")
    fork = origin.fork(at)
    assert fork.get_artifact("kept elsewhere").content == b"shared content"
    with pytest.raises(ArtifactNotFound):
        fork.get_artifact("gone")
    info = fork.info()
    assert (info.artifact_count, info.total_artifact_size) == (1, len("shared content"))
    assert [(e.type, e.data.get("missing"), e.data.get("name")) for e in fork.events(after=at)] == [
        ("session.forked", 1, None),
        ("artifact.deleted", None, "gone"),
    ]
    assert fork.store_artifact("t", "gone", "anew").version == 2
    assert fork.query_artifacts(artifact_type="t", limit=10).total == 2
    assert shared.verify().problems == []


def test_events_that_are_not_there_cannot_be_forked_at(shared: Runtime) -> None:
    origin = shared.create_session()
    for wrong in (0, 2, -1, "1", 1.0, True):
        with pytest.raises(ValidationError):
            origin.fork(wrong)  # type: ignore[arg-type]
    with pytest.raises(SessionNotFound):
        Session(shared, "00000000-0000-4000-8000-000000000000").fork()
    with pytest.raises(InvalidOperation):
        shared.ask(shared._supervisor.table.scope("global"), messages.ForkSession())
    assert origin.children() == []


def test_a_damaged_journal_is_not_forked(
    store_path: Path, on_disk: Callable[[], AbstractContextManager[Engine]]
) -> None:
    with Runtime.open(store_path) as rt:
        origin = rt.create_session()
        for value in range(6):
            origin.set("k", value)
        rt.session(origin.id).save()
    with on_disk() as engine:
        key = sequence_key(session_bytes(origin.id), 4)
        record = engine.get(CF.JOURNAL, key)
        assert record is not None
        engine.write([(CF.JOURNAL, key, record[:-1] + bytes([record[-1] ^ 1]))])
    with Runtime.open(store_path) as rt:
        damaged = rt.session(origin.id)
        with pytest.raises(IntegrityError):
            damaged.fork()
        assert damaged.fork(3).get("k") == 1
        assert rt.count_sessions() == 2
        rt.verify(repair=True)
        with pytest.raises(IntegrityError):
            damaged.fork()
        assert rt.verify().problems == []


def test_a_script_forks_what_it_reaches(shared: Runtime) -> None:
    own, other = shared.create_session(), shared.create_session()
    own.set("k", 1)
    source = "local f = Session.fork(...) Session.setVariable(f, 'k', 2) return { f, f:fork(2).id }"
    forks = shared.run_script(source, session=own, args=[own.id]).value
    assert shared.session(forks[0]).parent() == own
    assert (own.get("k"), shared.session(forks[0]).get("k"), shared.session(forks[1]).get("k")) == (1, 2, 1)
    refused = shared.run_script("return { pcall(Session.fork, ...) }", session=own, args=[other.id]).value
    assert refused[1]["code"] == AccessDenied.__name__ if isinstance(refused[1], dict) else not refused[0]
    assert other.children() == []


def test_a_fork_can_be_told_to_happen(shared: Runtime) -> None:
    origin = shared.create_session()
    shared.tell(origin.id, messages.ForkSession())
    shared.ask(origin.id, messages.Finish())
    assert len(origin.children()) == 1


@pytest.mark.parametrize("history", [True, False])
@pytest.mark.parametrize("keep_ids", [True, False])
def test_forks_travel_in_bundles(shared: Runtime, tmp_path: Path, history: bool, keep_ids: bool) -> None:
    origin = shared.create_session(name="o", metadata={"a": 1})
    origin.set("k", 1)
    origin.add_message("user", "hello")
    origin.store_artifact("t", "gone", "x")
    at = origin.info().sequence
    origin.delete_artifact("gone")
    origin.complete()
    fork = origin.fork(at)
    late = origin.fork()
    late.set("k", 5)
    origin.export(tmp_path / "tree", tree=True, history=history)
    late.export(tmp_path / "one", history=history)
    with Runtime.open() as other:
        top = other.import_bundle(tmp_path / "tree", keep_ids=keep_ids)[0]
        assert [other.session(info.id).get("k") for info in top.children()] == [1, 5]
        assert [info.status for info in top.children()] == ["active", "active"]
        assert other.verify().problems == []
    with Runtime.open() as other:
        alone = other.import_session(tmp_path / "one", keep_ids=keep_ids)
        assert (alone.get("k"), alone.parent()) == (5, None)
        alone.set("k", 6)
        assert other.verify().problems == []
    assert fork.info().artifact_count == 0


def test_forking_while_the_original_is_written_to(shared: Runtime) -> None:
    origin = shared.create_session(config={"max_artifacts": 10_000})
    done = threading.Event()

    def write() -> None:
        number = 0
        while not done.is_set():
            number += 1
            origin.store_many([{"type": "t", "name": f"a{number % 5}", "content": f"{number}"}] * 2)
            origin.delete_artifact(f"a{number % 5}", "latest")
            origin.set("n", number)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        forks = [origin.fork() for _ in range(6)]
    finally:
        done.set()
        writer.join(30)
    for fork in forks:
        at = next(e.data["sequence"] for e in fork.events() if e.type == "session.forked")
        assert facts(fork, at) == facts(origin, at)
        for info in fork.list_artifacts():
            assert fork.get_artifact(info.id).info == info
    assert shared.verify().problems == []


def test_a_fork_of_a_session_that_goes_away_is_whole_or_not_at_all(shared: Runtime) -> None:
    for _ in range(5):
        origin = shared.create_session()
        origin.store_many([{"type": "t", "name": f"n{n}", "content": f"{origin.id} {n}"} for n in range(40)])
        deleter = threading.Thread(target=origin.delete)
        deleter.start()
        try:
            fork = origin.fork()
        except SessionNotFound:
            continue
        finally:
            deleter.join(30)
        assert len([fork.get_artifact(info.id) for info in fork.list_artifacts()]) == 40
    assert shared.verify().problems == []


STEP = st.one_of(
    st.tuples(st.just("set"), st.sampled_from("abc"), st.integers(0, 9)),
    st.tuples(st.just("unset"), st.sampled_from("abc")),
    st.tuples(st.just("store"), st.sampled_from(["x", "y"]), st.sampled_from(["1", "22", "333"])),
    st.tuples(st.just("drop"), st.sampled_from(["x", "y"])),
    st.tuples(st.just("tag"), st.sampled_from("pq")),
    st.tuples(st.just("cycle")),
)


def perform(session: Session, step: tuple[Any, ...]) -> None:
    match step:
        case ("set", key, value):
            session.set(key, value)
        case ("unset", key):
            session.delete_variable(key)
        case ("store", name, content):
            session.store_artifact("t", name, content)
        case ("drop", name):
            if session.artifact_versions(name):
                session.delete_artifact(name)
        case ("tag", tag):
            session.add_tag(tag)
        case ("cycle",):
            session.suspend()
            session.resume()


def seen(session: Session) -> dict[str, Any]:
    info = session.info()
    artifacts = [
        (a.name, a.version, a.id.content_hash, a.id.sequence, a.previous_hash) for a in session.list_artifacts()
    ]
    return {
        "variables": session.variables(),
        "tags": info.tags,
        "artifacts": artifacts,
        "totals": (info.artifact_count, info.total_artifact_size),
    }


@settings(max_examples=25)
@given(before=st.lists(STEP, max_size=12), after=st.lists(STEP, max_size=8))
def test_a_fork_is_what_the_session_was(shared: Runtime, before: list[Any], after: list[Any]) -> None:
    # So that no content goes.
    shared.create_session().store_many([{"type": "t", "name": c, "content": c} for c in ("1", "22", "333")])
    origin = shared.create_session()
    for step in before:
        perform(origin, step)
    then, at = seen(origin), origin.info().sequence
    for step in after:
        perform(origin, step)
    assert seen(origin.fork(at)) == then
    assert seen(origin.fork(1))["variables"] == {}
