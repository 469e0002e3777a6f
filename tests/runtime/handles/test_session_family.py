"""Tags, families, deletion, loading, messages and handles of sessions, as a host sees them."""

from __future__ import annotations

import contextvars
import threading
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime, Session, SessionNotFound, SessionStatus, ValidationError, messages
from greenroom.storage.engine.engine import CF

ALL = tuple(SessionStatus)


# -- tags and metadata


def test_tags_are_added_removed_and_replaced(rt: Runtime) -> None:
    session = rt.create_session()
    assert session.add_tag("b").tags == ("b",)
    assert session.add_tag("a").tags == ("b", "a")
    sequence = session.info().sequence
    assert session.add_tag("a").sequence == sequence
    assert session.remove_tag("b").tags == ("a",)
    assert session.remove_tag("b").tags == ("a",)
    assert session.set_tags(("x", "y", "x")).tags == ("x", "y")
    assert session.set_tags([]).tags == ()


def test_metadata_is_merged(rt: Runtime) -> None:
    session = rt.create_session(metadata={"a": 1, "b": {"c": 1}})
    assert session.update_metadata({"b": {"d": 2}, "e": [1]}).custom_metadata == {"a": 1, "b": {"d": 2}, "e": [1]}
    assert session.update_metadata({"a": None, "unknown": None}).custom_metadata == {"b": {"d": 2}, "e": [1]}
    with pytest.raises(ValidationError):
        session.update_metadata({"big": "x" * (64 << 10)})
    assert session.info().custom_metadata == {"b": {"d": 2}, "e": [1]}


# -- family


def test_a_family_is_found_from_both_ends(rt: Runtime) -> None:
    root = rt.create_session(name="root")
    first, second = rt.create_session(name="first", parent=root), rt.create_session(name="second", parent=root)
    grandchild = rt.create_session(name="grandchild", parent=first)
    second.complete()
    assert [info.name for info in root.children()] == ["first", "second"]
    assert root.parent() is None
    assert grandchild.parent() == first
    assert grandchild.children() == []
    tree = root.tree()
    assert tree.info.name == "root"
    assert [child.info.name for child in tree.children] == ["first", "second"]
    assert [child.info.name for child in tree.children[0].children] == ["grandchild"]
    assert tree.children[1].children == ()
    assert [info.id for info in rt.list_sessions(parent=root.id, status=ALL)] == [first.id, second.id]


def test_queries_take_a_handle_where_they_take_an_id(rt: Runtime) -> None:
    root = rt.create_session()
    child = rt.create_session(parent=root)
    child.store_artifact("user_input", "a", b"a")
    assert [info.id for info in rt.list_sessions(parent=root)] == [child.id]
    assert [info.id for info in rt.list_sessions({"parent": root})] == [child.id]
    assert [info.id for info in rt.iterate_sessions(parent=root)] == [child.id]
    assert rt.count_sessions(parent=root) == 1
    assert [info.name for info in rt.query_artifacts(session_id=child)] == ["a"]
    assert rt.events.query(session_id=child) == rt.events.query(session_id=child.id)
    rt.approvals.answer(child.ask_human("Send it?"), True)
    assert rt.approvals.list(None, session=child) == child.approvals()
    assert rt.approvals.list(None, session=root) == []


def test_children_outlive_their_parent(rt: Runtime) -> None:
    parent = rt.create_session()
    child = rt.create_session(parent=parent)
    parent.delete()
    assert child.parent() is None
    assert child.info().parent_session_id == parent.id
    assert rt.verify().ok
    with pytest.raises(SessionNotFound):
        parent.children()


def test_a_deep_family_is_a_tree(rt: Runtime) -> None:
    session = root = rt.create_session(name="0")
    for number in range(1, 1500):
        session = rt.create_session(name=str(number), parent=session)
    tree, depth = root.tree(), 1
    while tree.children:
        (tree,) = tree.children
        depth += 1
    assert depth == 1500


# -- deleting


def test_a_deleted_session_is_gone_from_everywhere(rt: Runtime) -> None:
    def entries() -> dict[str, list[tuple[bytes, bytes]]]:
        engine = rt._store.engine
        return {name: engine.scan(number, b"", b"\xff" * 80) for number, name in enumerate(CF.NAMES)}

    other = rt.create_session(tags=["t"], created_by="ann")
    other.store_artifact("x", "a", b"shared")
    before = entries()
    session = rt.create_session(name="n", tags=["t"], metadata={"k": 1}, created_by="ann", parent=other)
    session.set("k", "v")
    session.add_message("user", "short")
    session.add_message("user", "long " * 3000)
    session.store_artifact("x", "a", b"shared")
    session.store_artifact("x", "a", b"own")
    session.store_artifact("x", "large", bytes(range(256)) * 3000)
    session.delete_artifact("a", 2)
    session.save()
    rt.delete_session(session.id)
    assert entries() == before
    assert not rt.exists(session.id)
    assert rt.count_sessions(status=ALL) == 1
    for use in (session.info, lambda: session.set("k", 1), session.delete, session.messages):
        with pytest.raises(SessionNotFound) as caught:
            use()
        assert caught.value.fields["session_id"] == session.id
    assert other.get_artifact("a").content == b"shared"
    assert rt.verify().ok


# -- saving, loading, cleaning up


def test_save_writes_a_snapshot_and_load_brings_back(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        session = rt.create_session()
        session.set("k", 1)
        info = session.save()
        assert [event.type for event in session.events()][-1] == "session.saved"
        assert info.sequence == 3
        assert rt.verify().checked["snapshots"] == 1
    with Runtime.open(store_path) as rt:
        session = rt.session(session.id)
        assert rt.stats()["resident"] == 0
        assert session.load().status == "active"
        assert rt.stats()["resident"] == 1
        assert session.get("k") == 1
        assert [event.type for event in session.events()][-1] == "session.restored"
        sequence = session.info().sequence
        assert session.load().sequence == sequence


def test_save_all_saves_what_has_changed(rt: Runtime) -> None:
    sessions = [rt.create_session() for _ in range(5)]
    assert rt.save_all() == 5
    assert rt.save_all() == 0
    sessions[2].set("k", 1)
    assert rt.save_all() == 1
    assert rt.verify().checked["snapshots"] >= 5
    assert rt.verify().ok


def test_restore_recent_brings_the_last_used_into_memory(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        sessions = [rt.create_session(name=str(number)) for number in range(6)]
        for number in (3, 0, 5):
            sessions[number].set("k", 1)
        sessions[5].complete()
        sessions[0].suspend()
    with Runtime.open(store_path) as rt:
        restored = rt.restore_recent(2)
        assert [session.info().name for session in restored] == ["0", "3"]
        assert rt.stats()["resident"] == 2
        assert len(rt.restore_recent(100)) == 5
        assert rt.restore_recent(0) == []
        with pytest.raises(ValidationError):
            rt.restore_recent(-1)


def test_cleanup_deletes_what_ended_long_ago(clock: Any) -> None:
    day = 86_400.0
    with Runtime.open(clock=clock) as rt:
        sessions = {
            "open": rt.create_session(),
            "suspended": rt.create_session(),
            "completed": rt.create_session(),
            "archived": rt.create_session(),
            "brief": rt.create_session(config={"retention_days": 1}),
            "month": rt.create_session(config={"retention_days": 30}),
            "long": rt.create_session(config={"retention_days": 365}),
        }
        sessions["suspended"].suspend()
        for name in ("completed", "archived", "brief", "month", "long"):
            sessions[name].complete()
        sessions["archived"].archive()

        def left() -> set[str]:
            return {name for name, session in sessions.items() if rt.exists(session.id)}

        assert rt.cleanup() == 0
        clock.advance(1 * day)
        assert rt.cleanup() == 1
        assert left() == sessions.keys() - {"brief"}
        clock.advance(29 * day - 1)
        assert rt.cleanup() == 0
        clock.advance(1)
        assert rt.cleanup() == 1
        assert left() == sessions.keys() - {"brief", "month"}
        clock.advance(1000 * day)
        assert rt.cleanup(retention_days=5000) == 0
        assert rt.cleanup() == 1
        assert left() == {"open", "suspended", "completed", "archived"}, "without retention_days it stays"
        assert rt.cleanup(retention_days=0) == 2
        assert left() == {"open", "suspended"}
        for bad in (-1, float("nan"), "x"):
            with pytest.raises(ValidationError) as caught:
                rt.cleanup(bad)  # type: ignore[arg-type]
            assert caught.value.fields["field"] == "retention_days"
        assert rt.verify().ok


def test_a_clock_set_back_does_not_turn_the_journal_around(clock: Any) -> None:
    with Runtime.open(clock=clock) as rt:
        session = rt.create_session()
        session.set("k", 1)
        clock.advance(-3600)
        session.set("k", 2)
        session.complete()
        times = [event.timestamp for event in session.events()]
        assert times == sorted(times)
        assert session.info().duration >= 0
        assert rt.list_sessions(status="completed", sort_by="updated_at").total == 1
        assert rt.verify().ok


# -- messages


def test_everything_can_be_done_by_message(rt: Runtime) -> None:
    session = rt.create_session()
    assert rt.ask(session.id, messages.SetVariable("k", 1), timeout=1.0) is None
    assert rt.ask(session.id, messages.GetVariable("k"), timeout=1.0) == 1
    assert rt.ask(session.id, messages.GetVariable("none", 7)) == 7
    assert rt.ask(session.id, messages.DeleteVariable("k")) is True
    assert rt.ask(session.id, messages.AddTag("t")).tags == ("t",)
    assert rt.ask(session.id, messages.AddMessage("user", "hi")).content == "hi"
    assert rt.ask(session.id, messages.StoreArtifact("x", "a", b"1")).version == 1
    assert rt.ask(session.id, messages.GetArtifact("a")).content == b"1"
    assert rt.ask(session.id, messages.ListArtifacts()).total == 1
    assert len(rt.ask(session.id, messages.GetEvents())) == session.info().sequence
    assert rt.ask(session.id, messages.SuspendSession()).status == "suspended"
    assert rt.ask(session.id, messages.SaveSession()).status == "suspended"
    assert rt.ask(session.id, messages.DeleteSession()) is None
    with pytest.raises(SessionNotFound):
        rt.ask(session.id, messages.GetInfo())


def test_a_message_may_be_sent_again_and_to_others(rt: Runtime) -> None:
    one, other = rt.create_session(), rt.create_session()
    for message in (
        messages.SetVariable("k", [1]),
        messages.AddMessage("user", "long " * 3000),
        messages.StoreArtifact("x", "small", b"content"),
        messages.StoreArtifact("x", "large", b"content" * 50_000),
    ):
        for session in (one, other, one):
            rt.ask(session.id, message)
            rt.tell(session.id, message)
    for session, times in ((one, 4), (other, 2)):
        rt.ask(session.id, messages.Finish())
        assert session.get("k") == [1]
        assert [message.content for message in session.messages()] == ["long " * 3000] * times
        assert [info.version for info in session.artifact_versions("large")] == list(range(1, times + 1))
        assert session.get_artifact("small", times).content == b"content"
    assert rt.verify().ok


def test_told_messages_are_handled_in_order(rt: Runtime) -> None:
    session = rt.create_session()
    for number in range(300):
        rt.tell(session.id, messages.SetVariable("k", number))
    rt.ask(session.id, messages.Finish())
    assert session.get("k") == 299
    assert [event.data["value"] for event in session.events(after=1)] == list(range(300))


def test_a_told_message_that_is_refused_is_logged(rt: Runtime, caplog: pytest.LogCaptureFixture) -> None:
    session = rt.create_session()
    session.suspend()
    rt.tell(session.id, messages.SetVariable("password", "hunter2"))
    rt.ask(session.id, messages.Finish())
    assert "SetVariable" in caplog.text
    assert session.id in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "soon"])
def test_a_timeout_that_makes_no_sense_is_refused(rt: Runtime, timeout: Any) -> None:
    session = rt.create_session()
    with pytest.raises(ValidationError) as caught:
        rt.ask(session.id, messages.GetInfo(), timeout=timeout)
    assert caught.value.fields["field"] == "timeout"


@pytest.mark.parametrize("message", ["text", None, {"type": "SetVariable"}, messages.SetVariable, 7])
def test_only_messages_can_be_sent(rt: Runtime, message: Any) -> None:
    from greenroom.runtime import InvalidOperation

    session = rt.create_session()
    for send in (rt.ask, rt.tell):
        with pytest.raises(InvalidOperation):
            send(session.id, message)


def test_unknown_messages_are_refused(rt: Runtime) -> None:
    from greenroom.runtime import InvalidOperation

    class Sing(messages.Query):
        pass

    class Dance(messages.Command):
        pass

    session = rt.create_session()
    for message in (Sing(), Dance(), messages.Query(), messages.Command(), messages.Message()):
        with pytest.raises(InvalidOperation):
            rt.ask(session.id, message)
    assert session.info().sequence == 1


# -- handles


def test_handles_are_interchangeable(rt: Runtime) -> None:
    session = rt.create_session()
    same = rt.session(session.id)
    assert same == session
    assert hash(same) == hash(session)
    assert same != rt.create_session()
    assert session.id in repr(session)
    same.set("k", 1)
    assert session.get("k") == 1


def test_one_handle_serves_many_threads(rt: Runtime) -> None:
    session = rt.create_session()
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(50):
                session.set(f"{number}", turn)
                assert session.get(f"{number}") == turn
                session.add_message("user", f"{number}/{turn}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert session.info().sequence == 1 + 8 * 50 * 2
    contents = [message.content for message in session.messages()]
    for number in range(8):
        own = [content for content in contents if str(content).startswith(f"{number}/")]
        assert own == [f"{number}/{turn}" for turn in range(50)]


# -- the current session


def test_the_current_session_is_that_of_the_innermost_block(rt: Runtime) -> None:
    one, other = rt.create_session(), rt.create_session()
    assert Session.current() is None
    with one.as_current() as entered:
        assert entered == one
        assert Session.current() == one
        with other.as_current():
            assert Session.current() == other
        assert Session.current() == one
        with pytest.raises(RuntimeError), other.as_current():
            raise RuntimeError
        assert Session.current() == one
    assert Session.current() is None


def test_the_current_session_belongs_to_its_context(rt: Runtime) -> None:
    one = rt.create_session()
    seen: list[Session | None] = []
    with one.as_current():
        context = contextvars.copy_context()
        thread = threading.Thread(target=lambda: seen.append(Session.current()))
        thread.start()
        thread.join()
    assert seen == [None]
    assert Session.current() is None
    assert context.run(Session.current) == one
