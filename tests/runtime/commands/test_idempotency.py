"""`idempotency_key` on every command: sent again, it answers what it answered and changes nothing."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Conflict, GreenroomError, HookCancelled, HookResult, Runtime, Session, ValidationError
from greenroom.runtime import messages as m
from greenroom.storage.codec.keys import session_bytes

from .test_expected_sequence import COMMANDS, filled, prepared, sent

TAKEN = [kind for kind in COMMANDS if kind is not m.DeleteSession]


def shown(reply: Any) -> Any:
    """A reply with all of its fields."""
    if isinstance(reply, list):
        return [shown(each) for each in reply]
    to_dict = getattr(reply, "to_dict", None)
    return to_dict() if to_dict is not None else reply


@pytest.mark.parametrize("kind", TAKEN, ids=lambda kind: kind.__name__)
def test_a_command_sent_again_answers_the_same_and_changes_nothing(tmp_path: Path, kind: type[Any]) -> None:
    with Runtime.open(tmp_path) as rt:
        s = filled(rt)
        rt.ask(s.id, m.StartMessage("assistant"))
        prepared(s, kind)
        first = sent(rt, s, kind, idempotency_key="i")
        info, events = s.info(), len(list(s.events()))
        assert [event.type for event in s.events()].count("command.answered") == 1
        assert shown(sent(rt, rt.session(s.id), kind, idempotency_key="i")) == shown(first)
        assert shown(sent(rt, s, kind, idempotency_key="i", expected_sequence=1)) == shown(first)
        assert (s.info(), len(list(s.events()))) == (info, events)
        assert rt.verify().problems == []
    with Runtime.open(tmp_path) as rt:
        s = rt.session(s.id)
        again = sent(rt, s, kind, idempotency_key="i")
        assert shown(again) == shown(first)
        assert type(again) is type(first)
        assert len(list(s.events())) == events


@pytest.mark.parametrize("wrong", ["", "x" * 256, 1, b"x", True, []], ids=repr)
def test_a_key_is_a_text(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        m.SetVariable("k", 1, idempotency_key=wrong)


def test_a_key_of_another_command_is_an_error_that_says_so(session: Session) -> None:
    session.set("k", 1, idempotency_key="i")
    before = session.info()
    with pytest.raises(ValidationError, match="SetVariable before and comes with AddTag"):
        session.add_tag("t", idempotency_key="i")
    assert session.info() == before


def test_a_key_belongs_to_one_session(runtime: Runtime, session: Session) -> None:
    other = runtime.create_session()
    session.set("k", 1, idempotency_key="i")
    other.set("k", 2, idempotency_key="i")
    assert (session.get("k"), other.get("k")) == (1, 2)
    scope = runtime.state_scope("user:7")
    scope.set("k", 3, idempotency_key="i")
    scope.set("k", 4, idempotency_key="i")
    assert scope.get("k") == 3


def test_what_changed_nothing_is_remembered_too(session: Session) -> None:
    assert session.delete_variable("k", idempotency_key="i") is False
    session.set("k", 1)
    assert session.delete_variable("k", idempotency_key="i") is False
    assert session.get("k") == 1


def test_errors_are_not_remembered(runtime: Runtime, session: Session) -> None:
    with pytest.raises(Conflict):
        session.set("k", 1, expected="other", idempotency_key="i")
    with pytest.raises(Conflict):
        session.set("k", 1, expected_sequence=99, idempotency_key="i")
    handle = runtime.hooks.register("BeforeStateWrite", lambda context: HookResult.cancel("no"))
    with pytest.raises(HookCancelled):
        session.set("k", 1, idempotency_key="i")
    handle.unregister()
    session.set("k", 2, idempotency_key="i")
    assert session.get("k") == 2


def test_a_past_answer_stays_what_it_was(runtime: Runtime, session: Session) -> None:
    turn = session.add_message("user", "first", idempotency_key="turn")
    large = session.add_message("user", "x" * 200_000, idempotency_key="large")
    artifact = session.store_artifact("log", "n", b"content", description="d", idempotency_key="artifact")
    info = session.add_tag("t", idempotency_key="info")
    session.edit_message(turn.sequence, content="second")
    session.delete_artifact("n")
    session.retract_message(large.sequence)
    session.complete()
    assert session.add_message("user", "first", idempotency_key="turn") == turn
    assert session.add_message("user", "x" * 200_000, idempotency_key="large").content == large.content
    again = session.store_artifact("log", "n", b"content", description="d", idempotency_key="artifact")
    assert (again, [*session.list_artifacts()]) == (artifact, [])
    assert session.add_tag("t", idempotency_key="info") == info
    assert runtime.verify().problems == []


def test_content_that_comes_again_is_not_stored_again(runtime: Runtime, session: Session) -> None:
    session.store_artifact("log", "n", b"x" * 300_000, idempotency_key="i")
    contents = runtime._store.contents.usage()
    for _ in range(2):
        session.store_artifact("log", "n", b"y" * 300_000, idempotency_key="i")
    assert runtime._store.contents.usage() == contents
    assert list(runtime._store.contents.pending_blobs()) == []


def test_keys_are_forgotten_after_a_day(tmp_path: Path, clock: Any) -> None:
    with Runtime.open(tmp_path, clock=clock) as rt:
        s = rt.create_session()
        s.set("k", 1, idempotency_key="i")
        clock.advance(23 * 3600)
        s.set("k", 2, idempotency_key="i")
        assert s.get("k") == 1
        clock.advance(2 * 3600)
        s.set("k", 3, idempotency_key="i")
        assert s.get("k") == 3
        s.set("k", 4, idempotency_key="i")
        assert s.get("k") == 3


def test_the_newest_256_keys_are_known(tmp_path: Path) -> None:
    with Runtime.open(tmp_path) as rt:
        s = rt.create_session()
        for number in range(257):
            s.set("k", number, idempotency_key=f"i{number}")
        s.save()
    with Runtime.open(tmp_path) as rt:
        s = rt.session(s.id)
        for number in (1, 256):
            s.set("k", "again", idempotency_key=f"i{number}")
        assert s.get("k") == 256
        s.set("k", "again", idempotency_key="i0")
        assert s.get("k") == "again"


def test_retention_forgets_the_keys_of_the_events_that_it_takes(tmp_path: Path, clock: Any) -> None:
    with Runtime.open(tmp_path, clock=clock) as rt:
        s = rt.create_session()
        s.set("k", 1, idempotency_key="i")
        clock.advance(3600)
        s.set("other", 1)
        rt.retention(max_journal_events=1, dry_run=False)
        s.set("k", 2, idempotency_key="i")
        assert s.get("k") == 2
        assert rt.verify().problems == []


def test_copies_begin_without_the_keys(runtime: Runtime, session: Session, tmp_path: Path) -> None:
    session.set("k", 1, idempotency_key="i")
    fork = session.fork()
    fork.set("k", 2, idempotency_key="i")
    assert fork.get("k") == 2
    session.export(tmp_path / "bundle")
    copy = runtime.import_session(tmp_path / "bundle", keep_ids=False)
    copy.set("k", 3, idempotency_key="i")
    assert copy.get("k") == 3
    assert runtime.verify().problems == []


def test_one_of_many_threads_makes_the_change(runtime: Runtime, session: Session) -> None:
    replies: list[Any] = []
    barrier = threading.Barrier(16)

    def work(number: int) -> None:
        barrier.wait()
        replies.extend((at, session.add_message("user", f"{number}", idempotency_key=f"i{at}")) for at in range(10))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(session.messages()) == 10
    for turn in range(10):
        assert len({shown_turn.sequence for at, shown_turn in replies if at == turn}) == 1


# -- sharing, saving, configuring


def test_what_was_shared_once_is_not_shared_again(runtime: Runtime, session: Session) -> None:
    other = runtime.create_session()
    info = session.store_artifact("log", "n", b"x")
    grant = session.share(info.id, other, "write", "2100-01-01T00:00:00+00:00", inherit=True, idempotency_key="a")
    share = session.share(other, "read", idempotency_key="b")
    scope = session.grant_scope("user:7", "write", idempotency_key="c")
    assert session.revoke(info.id, other, idempotency_key="d")
    assert session.revoke(other, idempotency_key="e")
    assert session.revoke_scope("user:7", idempotency_key="f")
    other.delete()
    session.delete_artifact(info.id)
    events = session.info().sequence
    again = session.share(info.id, other, "write", "2100-01-01T00:00:00+00:00", inherit=True, idempotency_key="a")
    assert again == grant
    assert session.share(other, "read", idempotency_key="b") == share
    assert session.grant_scope("user:7", "write", idempotency_key="c") == scope
    assert session.revoke(info.id, other, idempotency_key="d") is True
    assert session.revoke(other, idempotency_key="e") is True
    assert session.revoke_scope("user:7", idempotency_key="f") is True
    assert session.info().sequence == events
    assert (session.shares(), session.scopes()) == ([], [])


def test_artifacts_of_other_sessions_are_changed_once(tmp_path: Path) -> None:
    with Runtime.open(tmp_path) as rt:
        owner, other, third = rt.create_session(), rt.create_session(), rt.create_session()
        info = owner.store_artifact("log", "n", b"x")
        owner.share(info.id, other, "admin")
        large = b"y" * 300_000

        def send(other: Session) -> list[Any]:
            version = other.store_version(info.id, large, idempotency_key="a")
            grant = other.share(info.id, third, "read", idempotency_key="b")
            revoked = other.revoke(info.id, third, idempotency_key="c")
            return [version, grant, revoked]

        first = send(other)
        events = owner.info().sequence
        assert send(other) == first
        assert owner.info().sequence == events
        owner.set("k", 1, idempotency_key="a")  # its own key
        assert owner.get("k") == 1
        other.delete_artifact(info.id, idempotency_key="d")
        events = owner.info().sequence
        other.delete_artifact(info.id, idempotency_key="d")  # with the artifact the grant on it is gone
        assert owner.info().sequence == events
        assert list(rt._store.contents.pending_blobs()) == []
        assert rt.verify().problems == []


def test_an_artifact_with_a_parent_elsewhere_is_stored_once(runtime: Runtime, session: Session) -> None:
    other = runtime.create_session()
    parent = other.store_artifact("log", "p", b"x")
    other.share(parent.id, session, "read")
    infos = [session.store_artifact("log", "n", b"y", parent_artifact=parent.id, idempotency_key="i") for _ in range(2)]
    assert infos[0] == infos[1]
    assert len(session.list_artifacts()) == 1


def test_saving_once_writes_a_snapshot_in_every_status(runtime: Runtime, session: Session) -> None:
    first = session.save(idempotency_key="i")
    session.set("k", 1)
    assert session.save(idempotency_key="i") == first
    session.complete()
    first = session.save(idempotency_key="ended")
    assert session.save(idempotency_key="ended") == first
    snapshots = runtime._store.journal.snapshots(session_bytes(session.id))
    assert max(each.sequence for each in snapshots) == session.info().sequence


def test_loading_once_notes_it_once(tmp_path: Path) -> None:
    with Runtime.open(tmp_path) as rt:
        s = rt.create_session()
    with Runtime.open(tmp_path) as rt:
        s = rt.session(s.id)
        infos = [s.load(idempotency_key="i") for _ in range(2)]
        assert infos[0] == infos[1]
        assert [each.type for each in s.events()].count("session.restored") == 1


def test_a_limit_is_changed_once(runtime: Runtime, session: Session) -> None:
    first = session.update_config(max_artifacts=1, idempotency_key="i")
    session.update_config(max_artifacts=2)
    assert session.update_config(max_artifacts=1, idempotency_key="i") == first
    session.store_artifact("log", "a", b"x")
    session.store_artifact("log", "b", b"x")
    assert session.config.max_artifacts == 2


def test_many_records_are_deleted_once(session: Session) -> None:
    for part in range(2):
        session.records.put_many({f"k{part * 9000 + number:06}": 1 for number in range(9000)})
    assert session.records.delete_prefix("k", idempotency_key="i") == 18_000
    session.records.put("k", 1)
    assert session.records.delete_prefix("k", idempotency_key="i") == 18_000
    assert session.records.get("k") == 1


def test_events_are_published_and_linked_once(runtime: Runtime, session: Session) -> None:
    events = [runtime.events.publish("custom.x", {"n": n}, session, idempotency_key="i") for n in range(2)]
    assert events[0] == events[1]
    links = [
        runtime.events.link(events[0], f"{session.id}/1", "caused_by", expected_sequence=3, idempotency_key="j")
        for _ in range(2)
    ]
    assert links[0] == links[1]
    with pytest.raises(ValidationError, match="only a session keeps these"):
        runtime.events.publish("custom.x", {}, idempotency_key="i")


# -- batches


def test_a_batch_sent_again_answers_the_same(tmp_path: Path) -> None:
    def send(rt: Runtime, s: Session) -> list[Any]:
        with s.batch(idempotency_key="i") as b:
            b.set("k", 1)
            b.add_message("user", "hi")
            b.scope("user:7").set("n", 1)
            b.store_artifact("log", "n", b"x" * 300_000)
            b.scope("user:7").delete("n")
            b.scope("global").set("last", "x")
            b.records.put(b"r", 1)
            b.add_tag("t")
        return [shown(each) for each in b.replies]

    with Runtime.open(tmp_path) as rt:
        s = rt.create_session()
        first = send(rt, s)
        events, commits = len(list(s.events())), rt._store.commits
        assert send(rt, s) == first
        assert (len(list(s.events())), rt._store.commits) == (events, commits)
        assert list(rt._store.contents.pending_blobs()) == []
        assert rt.verify().problems == []
        with pytest.raises(ValidationError, match="Batch"):
            s.set("k", 1, idempotency_key="i")
    with Runtime.open(tmp_path) as rt:
        s = rt.session(s.id)
        assert send(rt, s) == first
        assert len(list(s.events())) == events
        assert s.info().operation_count == 6  # that it is remembered is no operation


def test_a_batch_over_scopes_is_done_once_by_many_threads(runtime: Runtime, session: Session) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(5):
                with session.batch(idempotency_key=f"i{turn}") as b:
                    b.add_message("user", f"{number}")
                    for name in ("user:1", "user:2"):
                        b.scope(name).set(f"t{turn}", number)
        except GreenroomError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    told = [int(str(turn.content)) for turn in session.messages()]
    assert len(told) == 5
    for name in ("user:1", "user:2"):
        assert sorted(runtime.state_scope(name).list().values(), key=str) == sorted(told, key=str)
