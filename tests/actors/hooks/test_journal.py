"""What the journal keeps of hooks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Event, HookCancelled, HookResult, InvalidStateTransition, Runtime, Session, messages


def executions(session: Session) -> list[Event]:
    return [event for event in session.events() if event.type == "hook.executed"]


def test_a_replayable_hook_is_journaled_with_its_data_and_result(rt: Runtime, session: Session) -> None:
    rt.hooks.register(
        "BeforeStateWrite", lambda context: HookResult.modified({"value": 2}), name="double", replayable=True
    )
    session.set("k", 1)
    (event,) = executions(session)
    facts = {key: value for key, value in event.data.items() if key not in ("duration", "hook_id")}
    assert facts == {
        "hook": "double",
        "point": "BeforeStateWrite",
        "operation": "SetVariable",
        "attempt": 1,
        "replayable": True,
        "error": None,
        "data": {"key": "k", "value": 1},
        "result": {"type": "modified", "data": {"value": 2}},
    }
    assert event.data["duration"] >= 0  # type: ignore[operator]


def test_other_hooks_that_answer_well_are_not_journaled(rt: Runtime, session: Session) -> None:
    rt.hooks.register("BeforeStateWrite", lambda context: HookResult.modified({"value": 2}))
    session.set("k", 1)
    assert executions(session) == []


def test_a_hook_before_a_change_is_journaled_in_one_commit_with_it(rt: Runtime, session: Session) -> None:
    for name in ("first", "second"):
        rt.hooks.register("BeforeArtifactStore", lambda context: None, name=name, replayable=True)
    commits, operations = rt.stats()["commits"], session.info().operation_count
    info = session.store_artifact("x", "a", "content")
    assert rt.stats()["commits"] == commits + 1
    assert [event.data.get("hook", event.type) for event in session.events(after=1)] == [
        "first",
        "second",
        "artifact.stored",
    ]
    assert session.info().operation_count == operations + 1
    assert session.get_artifact(info.id).content == b"content"
    assert rt.verify().ok


def test_the_conversation_and_batches_keep_their_order_with_journaled_hooks(rt: Runtime, session: Session) -> None:
    rt.middleware.use("update", lambda context: None, replayable=True)
    turn = session.add_message("user", "hello " * 2000)
    assert session.messages() == [turn]
    stored = session.store_many([{"type": "x", "name": name, "content": name} for name in "abc"])
    assert [session.get_artifact(info.id).content for info in stored] == [b"a", b"b", b"c"]
    session.suspend()
    session.resume()
    assert session.info().status == "active"
    assert rt.verify().ok


def test_a_refused_operation_journals_nothing_but_its_veto(rt: Runtime, session: Session) -> None:
    rt.hooks.register("BeforeSessionResumed", lambda context: None, replayable=True)
    before = list(session.events())
    with pytest.raises(InvalidStateTransition):
        session.resume()
    assert list(session.events()) == before
    rt.hooks.register("BeforeStateWrite", lambda context: HookResult.cancel("no"), replayable=True)
    with pytest.raises(HookCancelled):
        session.set("k", 1)
    assert [event.data["result"] for event in executions(session)] == [{"type": "cancel", "reason": "no"}]


def test_journaling_hooks_counts_as_no_operation(rt: Runtime) -> None:
    session = rt.create_session(config={"max_operations": 2})
    rt.hooks.register("AfterStateRead", lambda context: None, replayable=True)
    for _ in range(5):
        session.get("k")
    assert len(executions(session)) == 5
    session.set("k", 1)
    assert session.info().operation_count == 2


def test_large_data_is_cut_and_it_is_said_so(rt: Runtime, session: Session) -> None:
    rt.hooks.register("BeforeArtifactStore", lambda context: None, replayable=True)
    session.store_artifact("x", "large", b"\x00\xff" * 500_000)
    session.store_artifact("x", "small", b"\x00\xff")
    large, small = executions(session)
    assert large.data["cut"] is True
    assert 0 < len(large.data["data"]["content"]) <= 16 << 10  # type: ignore[index,arg-type,call-overload]
    assert "cut" not in small.data
    assert small.data["data"]["content"] == b"\x00\xff"  # type: ignore[index,call-overload]


def test_values_that_json_does_not_know_are_journaled_by_what_they_are(rt: Runtime, session: Session) -> None:
    rt.hooks.register("custom:x", lambda context: HookResult.replace(float("inf")), replayable=True)
    data: dict[str, Any] = {"object": object(), "set": {1}, "big": 1 << 70, "session": session}
    rt.hooks.fire("custom:x", data, session_id=session.id)
    (event,) = executions(session)
    assert event.data["data"] == {"object": "<object>", "set": [1], "big": str(1 << 70), "session": session.id}


def test_the_hooks_of_an_ended_or_deleted_session_are_not_journaled(rt: Runtime, session: Session) -> None:
    rt.hooks.register("AfterStateRead", lambda context: None, replayable=True)
    rt.hooks.register("BeforeSessionDeleted", lambda context: None, replayable=True)
    rt.hooks.register("SessionDeleted", lambda context: None, replayable=True)
    session.complete()
    before = list(session.events())
    session.get("k")
    assert list(session.events()) == before
    session.delete()
    assert not rt.exists(session.id)


def test_hooks_before_a_creation_are_journaled_in_the_new_session(rt: Runtime) -> None:
    rt.hooks.register("BeforeSessionCreated", lambda context: None, name="before", replayable=True)
    rt.hooks.register("SessionCreated", lambda context: None, name="after", replayable=True)
    session = rt.create_session(name="new")
    assert [event.data["hook"] for event in executions(session)] == ["before", "after"]


def test_executions_survive_a_restart_and_fold_to_the_same_state(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        session = rt.create_session()
        rt.hooks.register("BeforeStateWrite", lambda context: HookResult.modified({"value": 2}), replayable=True)
        session.set("k", 1)
        rt.tell(session.id, messages.SetVariable("t", 1))
        assert session.get("t") == 2
        recorded = executions(session)
    with Runtime.open(store_path) as rt:
        again = rt.session(session.id)
        assert again.variables() == {"k": 2, "t": 2}
        assert executions(again) == recorded
        assert len(recorded) == 2
        assert rt.verify().ok


def test_executions_travel_in_bundles(rt: Runtime, session: Session, tmp_path: Path) -> None:
    rt.hooks.register("BeforeStateWrite", lambda context: HookResult.modified({"value": b"\x00"}), replayable=True)
    rt.hooks.register("AfterStateWrite", lambda context: 1 / 0, name="fragile")
    session.set("k", 1)
    rt.export_session(session.id, tmp_path / "s.bundle")
    for each in (rt.import_session(tmp_path / "s.bundle", keep_ids=False), session.fork()):
        assert [event.data for event in executions(each)] == [event.data for event in executions(session)]
        assert each.get("k") == b"\x00"
    assert rt.verify().ok


def test_hooks_that_answer_for_all_of_a_told_batch_are_journaled(rt: Runtime, session: Session) -> None:
    rt.hooks.register("BeforeArtifactStore", lambda context: HookResult.replace(None), replayable=True)
    rt.tell(session.id, messages.StoreMany([messages.StoreArtifact("t", "a", "content")]))
    assert [event.data["result"] for event in executions(session)] == [{"type": "replace", "value": None}]


def test_garbage_without_end_is_journaled_in_bounded_time(rt: Runtime, session: Session) -> None:
    garbage: list[Any] = []
    for _ in range(40):
        garbage = [garbage, garbage]
    rt.hooks.register("BeforeStateRead", lambda context: HookResult.replace(garbage), replayable=True)
    assert session.get("k") is garbage
    assert executions(session)[0].data["cut"]
