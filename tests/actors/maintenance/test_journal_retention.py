from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.actors.session.deletion import deletion
from greenroom.actors.session.loading import load_state
from greenroom.runtime import IntegrityError, InvalidOperation, Runtime, Session
from greenroom.storage.codec.keys import sequence_key, session_bytes
from greenroom.storage.engine.engine import CF, Engine


@pytest.fixture(scope="module")
def shared() -> Iterator[Runtime]:
    with Runtime.open(config={"max_resident_sessions": 1}) as runtime:
        yield runtime


def passivate(rt: Runtime) -> None:
    """Have everything else leave memory: only one session may stay."""
    for _ in range(2):
        rt.create_session()


def seen(session: Session) -> dict[str, Any]:
    """All that a user sees of a session but its events."""
    artifacts = [(info, session.get_artifact(info.id).content) for info in session.list_artifacts()]
    return {
        "info": session.info(),
        "variables": session.variables(),
        "messages": session.messages(),
        "artifacts": artifacts,
        "found": session.query_artifacts(artifact_type="t", limit=100).total,
    }


def full(rt: Runtime) -> Session:
    """A session with something of everything, and long detours."""
    session = rt.create_session(name="s", tags=["a"], metadata={"m": 1})
    for number in range(40):
        session.set(f"k{number % 5}", number)
    session.delete_variable("k4")
    session.add_message("user", "hello")
    session.add_message("assistant", "a long answer " * 600)
    for number in range(4):
        session.store_artifact("t", "doc", f"version {number}", tags=["x"], metadata={"n": number})
    session.delete_artifact("doc", 4)
    session.delete_artifact("doc", 2)
    session.store_artifact("t", "gone", "all gone")
    session.delete_artifact("gone")
    session.share("doc", rt.create_session(), "write")
    session.update_metadata({"m": 2})
    session.set_tags(["b"])
    session.suspend()
    session.resume()
    for number in range(5):
        session.set("last", number)
    return session


def test_what_a_session_is_does_not_change(shared: Runtime) -> None:
    session = full(shared)
    before = seen(session)
    report = shared.retention(max_journal_events=3, dry_run=False)
    assert [cut.base for cut in report.journals if cut.session_id == session.id] == [before["info"].sequence - 3]
    assert seen(session) == before
    passivate(shared)
    assert seen(session) == before
    assert session.store_artifact("t", "doc", "again").version == 5
    assert session.store_artifact("t", "gone", "again").version == 2
    session.set("k1", "after")
    passivate(shared)
    assert (session.get("k0"), session.get("k1"), session.get("last")) == (35, "after", 4)
    assert shared.verify().problems == []
    assert shared.gc().repaired == ()
    kinds = [event.type for event in session.events()]
    assert kinds[:4] == ["session.created", "message.added", "message.added", "artifact.stored"]
    assert kinds.count("variable.set") == 4


def test_a_dry_run_tells_what_the_cut_then_does(shared: Runtime) -> None:
    session = full(shared)
    events, size = list(session.events()), shared.usage().sessions[session.id].journal_bytes
    planned = {cut.session_id: cut for cut in shared.retention(max_journal_events=10).journals}
    assert list(session.events()) == events
    done = {cut.session_id: cut for cut in shared.retention(max_journal_events=10, dry_run=False).journals}
    assert done == planned
    cut = done[session.id]
    assert len(list(session.events())) == len(events) - cut.events
    assert shared.usage().sessions[session.id].journal_bytes == size - cut.bytes
    assert [each for each in shared.retention(max_journal_events=10).journals if each.session_id == session.id] == []


def test_events_go_by_age(clock: Any) -> None:
    with Runtime.open(clock=clock) as rt:
        session = rt.create_session()
        for day in range(10):
            session.set("day", day)
            clock.advance(86_400)
        rt.retention(keep_journal_days=3.5, dry_run=False)
        assert [event.data.get("value") for event in session.events(after=1)] == [7, 8, 9]
        rt.retention(keep_journal_days=0, dry_run=False)
        assert [event.data.get("value") for event in session.events(after=1)] == [9]
        assert session.get("day") == 9
        assert rt.verify().problems == []


def test_the_states_of_scopes_are_cut_too(shared: Runtime) -> None:
    scope = shared.state_scope("global")
    for number in range(30):
        scope.set("counter", number)
    shared.retention(max_journal_events=1, dry_run=False)
    passivate(shared)
    assert shared.state_scope("global").get("counter") == 29
    assert shared.verify().problems == []


def test_forks_begin_at_the_cut_or_later(shared: Runtime) -> None:
    session = full(shared)
    now = session.info().sequence
    shared.retention(max_journal_events=5, dry_run=False)
    with pytest.raises(InvalidOperation):
        session.fork(now - 6)
    for at, last in ((now - 5, None), (now - 2, 2), (now, 4)):
        fork = session.fork(at)
        assert (fork.get("last"), fork.get("k0"), fork.get("k4")) == (last, 35, None)
        assert [turn.content for turn in fork.messages()] == [turn.content for turn in session.messages()]
        assert [a.version for a in fork.list_artifacts()] == [1, 3]
        assert fork.info().tags == ("b",)
        passivate(shared)
        assert fork.get("k0") == 35
    assert shared.verify().problems == []


@pytest.mark.parametrize("status", ["active", "suspended", "completed"])
@pytest.mark.parametrize("history", [True, False])
def test_bundles_carry_what_still_holds(shared: Runtime, tmp_path: Path, history: bool, status: str) -> None:
    session = full(shared)
    if status == "suspended":
        session.suspend()
        session.save()
    elif status == "completed":
        session.complete()
        session.archive()
    before = seen(session)
    shared.retention(max_journal_events=1, dry_run=False)
    session.export(tmp_path / "bundle", history=history)
    with Runtime.open() as other:
        copy = other.import_session(tmp_path / "bundle")
        after = seen(copy)
        for name in ("variables", "artifacts", "found"):
            assert after[name] == before[name]
        assert [turn.content for turn in after["messages"]] == [turn.content for turn in before["messages"]]
        for name in ("status", "tags", "custom_metadata", "created_at", "ended_at", "artifact_count"):
            assert getattr(after["info"], name) == getattr(before["info"], name)
        assert other.verify().problems == []


def test_a_cut_session_is_deleted_as_a_whole(shared: Runtime) -> None:
    session = full(shared)
    shared.retention(max_journal_events=1, dry_run=False)
    session.delete()
    engine = shared._store.engine
    raw = session_bytes(session.id)
    # What was done to it stays in the audit log, in `meta`.
    assert [cf for cf in range(1, len(CF.NAMES)) for key, _ in engine.scan(cf, b"", b"\xff" * 200) if raw in key] == []


@pytest.mark.parametrize("saved", [True, False])
def test_a_damaged_base_is_found_and_repaired_as_far_as_that_goes(
    store_path: Path, on_disk: Callable[[], AbstractContextManager[Engine]], saved: bool
) -> None:
    with Runtime.open(store_path) as rt:
        session = full(rt)
        rt.retention(max_journal_events=3, dry_run=False)
        if saved:
            session.save()
        expected = seen(session)
    with on_disk() as engine:
        key = sequence_key(session_bytes(session.id), 0)
        record = engine.get(CF.SNAPSHOTS, key)
        assert record is not None
        engine.write([(CF.SNAPSHOTS, key, record[:40] + bytes([record[40] ^ 4]) + record[41:])])
        if not saved:  # closing has left a snapshot
            raw = session_bytes(session.id)
            engine.write(
                [
                    (CF.SNAPSHOTS, key, None)
                    for key, _ in engine.scan(CF.SNAPSHOTS, raw + b"\0" * 7 + b"\1", raw + b"\xff" * 8)
                ]
            )
    with Runtime.open(store_path) as rt:
        damaged = rt.session(session.id)
        if not saved:
            with pytest.raises(IntegrityError):
                damaged.get("k0")
        assert not rt.verify().ok
        assert rt.verify(repair=True).ok
        assert rt.verify().problems == []
        if saved:
            assert seen(damaged) == {**expected, "info": damaged.info()}
        else:
            with pytest.raises(IntegrityError):
                damaged.get("k0")
            assert damaged.get("last") == 4
            assert [a.version for a in damaged.list_artifacts()] == [1, 3]
            assert len(damaged.messages()) == 2


def test_cutting_while_the_session_works(shared: Runtime) -> None:
    session = shared.create_session(config={"max_operations": 10**6})
    session.set("n", 0)
    done = threading.Event()
    last = 0

    def write() -> None:
        nonlocal last
        while not done.is_set():
            last += 1
            session.set("n", last)
            session.store_artifact("t", "a", f"{last}")
            session.delete_artifact("a")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            shared.retention(max_journal_events=3, dry_run=False)
            fork = session.fork()
            passivate(shared)
            assert fork.get("n") >= 0
    finally:
        done.set()
        writer.join(30)
    assert session.get("n") == last
    shared.retention(max_journal_events=3, dry_run=False)
    passivate(shared)
    assert session.get("n") == last
    assert session.info().sequence > 3 * last
    assert shared.verify().problems == []


STEP = st.one_of(
    st.tuples(st.just("set"), st.sampled_from("abc"), st.integers(0, 9)),
    st.tuples(st.just("unset"), st.sampled_from("abc")),
    st.tuples(st.just("store"), st.sampled_from(["x", "y"]), st.sampled_from(["1", "22"])),
    st.tuples(st.just("drop"), st.sampled_from(["x", "y"])),
    st.tuples(st.just("say")),
    st.tuples(st.just("cycle")),
    st.tuples(st.just("save")),
    st.tuples(st.just("cut"), st.integers(1, 6)),
    st.tuples(st.just("passivate")),
)


def perform(session: Session, step: tuple[Any, ...]) -> None:
    rt = session._runtime
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
        case ("say",):
            session.add_message("user", "x")
        case ("cycle",):
            session.suspend()
            session.resume()
        case ("save",):
            session.save()
        case ("cut", number):
            before = seen(session)
            rt.retention(max_journal_events=number, dry_run=False)
            assert seen(session) == before
        case ("passivate",):
            passivate(rt)


def test_nothing_is_left_of_a_session_that_is_cut_while_it_is_deleted(shared: Runtime) -> None:
    session = full(shared)
    passivate(shared)
    batch = deletion(shared._store, load_state(shared._store, session.id)[0], cataloged=True)
    shared.retention(max_journal_events=1, dry_run=False)
    shared._store.commit(batch, 10)
    assert not shared.exists(session.id)
    assert shared.verify().problems == []


def test_the_loss_of_all_events_after_a_cut_is_found(
    store_path: Path, on_disk: Callable[[], AbstractContextManager[Engine]]
) -> None:
    with Runtime.open(store_path) as rt:
        session = full(rt)
        rt.retention(max_journal_events=1, dry_run=False)
    with on_disk() as engine:
        prefix = session_bytes(session.id)
        keys = engine.keys(CF.JOURNAL, prefix, prefix + b"\xff" * 9, limit=1000)
        engine.write([(CF.JOURNAL, key, None) for key in keys])
    with Runtime.open(store_path) as rt:
        assert ("event", session.id) in {(problem.kind, problem.where) for problem in rt.verify().problems}
        assert rt.verify(repair=True).ok
        assert rt.verify().problems == []


@settings(max_examples=30)
@given(steps=st.lists(STEP, max_size=25))
def test_a_session_that_is_cut_lives_like_one_that_is_not(steps: list[Any]) -> None:
    with Runtime.open(config={"max_resident_sessions": 1, "snapshot_every": 4}) as rt:
        cut, whole = rt.create_session(), rt.create_session()
        for step in steps:
            perform(cut, step)
            if step[0] not in ("cut", "passivate"):
                perform(whole, step)
        one, other = seen(cut), seen(whole)
        assert one["variables"] == other["variables"]
        assert one["info"].to_dict().keys() == other["info"].to_dict().keys()
        for name in ("status", "artifact_count", "total_artifact_size", "operation_count", "sequence"):
            assert getattr(one["info"], name) == getattr(other["info"], name)
        assert [(info.name, info.version, info.id.sequence, c) for info, c in one["artifacts"]] == [
            (info.name, info.version, info.id.sequence, c) for info, c in other["artifacts"]
        ]
        assert one["found"] == other["found"]
        assert [turn.sequence for turn in one["messages"]] == [turn.sequence for turn in other["messages"]]
        assert rt.verify().problems == []
