"""`idempotency_key` on what is more than one write: forks, deletions, and streamed messages."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import (
    AccessDenied,
    Conflict,
    InvalidOperation,
    Runtime,
    Session,
    SessionNotFound,
    ValidationError,
)
from greenroom.runtime import messages as m

# -- forks


def test_a_fork_is_made_once(tmp_path: Path) -> None:
    with Runtime.open(tmp_path) as rt:
        s = rt.create_session()
        s.set("k", 1)
        s.store_artifact("log", "n", b"x" * 300_000)
        fork = s.fork(idempotency_key="i")
        s.set("k", 2)
        assert s.fork(idempotency_key="i") == fork
        assert fork.get("k") == 1
        other = s.fork(2, idempotency_key="j")
        assert s.fork(idempotency_key="j") == other != fork
        assert [each.id for each in s.children()] == [fork.id, other.id]
        assert rt.verify().problems == []
    with Runtime.open(tmp_path) as rt:
        s = rt.session(s.id)
        assert s.fork(idempotency_key="i").id == fork.id
        rt.session(fork.id).delete()
        with pytest.raises(SessionNotFound):
            s.fork(idempotency_key="i")
        assert rt.ask(s.id, m.ForkSession(idempotency_key="i")) == fork.id
        assert len(s.children()) == 1


def test_an_ended_session_is_forked_once(session: Session) -> None:
    session.complete()
    assert session.fork(idempotency_key="i") == session.fork(idempotency_key="i")
    assert len(session.children()) == 1
    assert session.info().operation_count == 2


def test_a_fork_at_an_unexpected_sequence_is_not_remembered(session: Session) -> None:
    with pytest.raises(Conflict):
        session.fork(expected_sequence=99, idempotency_key="i")
    fork = session.fork(expected_sequence=session.info().sequence, idempotency_key="i")
    assert session.fork(expected_sequence=1, idempotency_key="i") == fork


def test_of_many_threads_one_makes_the_fork(runtime: Runtime, session: Session) -> None:
    session.store_artifact("log", "n", b"x" * 300_000)
    ids: list[str] = []
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        ids.extend(session.fork(idempotency_key=f"i{number}").id for number in range(3))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 24
    assert {each.id for each in session.children()} == set(ids)
    assert len(set(ids)) == 3
    assert list(runtime._store.staging) == []
    assert runtime.verify().problems == []


def test_a_fork_that_was_told_is_made_once(runtime: Runtime, session: Session) -> None:
    for _ in range(3):
        runtime.tell(session.id, m.ForkSession(idempotency_key="i"))
    session.info()
    runtime.ask(session.id, m.ForkSession(idempotency_key="i"))
    assert len(session.children()) == 1


def test_a_session_that_ends_in_the_middle_leaves_no_fork(runtime: Runtime, session: Session, monkeypatch: Any) -> None:
    from greenroom.actors.transfer import staged

    publish = staged.StagedSessions.publish

    def after_a_deletion(self: Any, *args: Any) -> None:
        session.delete()
        publish(self, *args)

    monkeypatch.setattr(staged.StagedSessions, "publish", after_a_deletion)
    with pytest.raises(SessionNotFound):
        session.fork(idempotency_key="i")
    assert list(runtime.list_sessions()) == []
    assert runtime.verify().problems == []


# -- deletions


def test_a_session_is_deleted_once(tmp_path: Path) -> None:
    with Runtime.open(tmp_path) as rt:
        s, other = rt.create_session(), rt.create_session()
        with pytest.raises(Conflict):
            s.delete(expected_sequence=99, idempotency_key="i")
        s.delete(expected_sequence=s.info().sequence, idempotency_key="i")
        s.delete(idempotency_key="i")
        rt.tell(s.id, m.DeleteSession(idempotency_key="i"))
        with pytest.raises(SessionNotFound):
            s.delete()
        with pytest.raises(SessionNotFound):
            rt.ask("no id", m.DeleteSession(idempotency_key="i"))
        assert [each.id for each in rt.list_sessions()] == [other.id]
    with Runtime.open(tmp_path) as rt:
        rt.ask(s.id, m.DeleteSession(idempotency_key="i"))
        assert rt.verify().problems == []


def test_a_key_tells_nobody_which_sessions_there_are(runtime: Runtime, session: Session) -> None:
    gone, other = runtime.create_session(), runtime.create_session()
    gone.delete()
    with acting(principal=session.id):
        for session_id in (gone.id, other.id):
            with pytest.raises(AccessDenied):
                runtime.ask(session_id, m.DeleteSession(idempotency_key="i"))


# -- streamed messages


def streamed(session: Session, *pieces: str, fail: bool = False) -> m.Turn:
    with session.stream_message("assistant", idempotency_key="i") as message:
        for piece in pieces:
            message.write(piece)
        if fail:
            raise ConnectionError
    return message.message


def test_a_message_is_streamed_once(tmp_path: Path) -> None:
    with Runtime.open(tmp_path) as rt:
        s = rt.create_session()
        first = streamed(s, "He", "llo")
        assert first.content == "Hello"
        s.edit_message(first.sequence, content="edited")
        events = s.info().sequence
        with s.stream_message("assistant", idempotency_key="i") as message:
            assert message.finished
            message.write("other")
            assert message.text == "Hello"
        assert message.message == first
        assert s.info().sequence == events
        assert len(s.messages()) == 1
    with Runtime.open(tmp_path) as rt:
        s = rt.session(s.id)
        assert streamed(s, "other") == first
        with pytest.raises(ConnectionError):
            streamed(s, fail=True)
        assert s.info().sequence == events
        with pytest.raises(ValidationError, match="FinishMessage before and comes with SetVariable"):
            s.set("k", 1, idempotency_key="i")


def test_a_broken_off_message_is_written_anew_in_its_place(runtime: Runtime, session: Session, tmp_path: Path) -> None:
    with pytest.raises(ConnectionError):
        streamed(session, "It bro", fail=True)
    session.add_message("user", "hm")
    heard: list[Any] = []
    with pytest.raises(ConnectionError):
        streamed(session, "Aga", fail=True)
    with session.stream_message("assistant", idempotency_key="i") as message:
        assert (message.finished, message.text, message.message.content) == (False, "", "Aga")
        message.write("Fresh")
        heard = [turn.content for turn in session.messages()]
        message.write(" text")
    assert heard == ["Fresh", "hm"]
    assert [(turn.content, turn.partial) for turn in session.messages()] == [("Fresh text", False), ("hm", False)]
    assert streamed(session, "other") == message.message
    assert session.info().operation_count == 3
    session.export(tmp_path / "bundle")
    copy = runtime.import_session(tmp_path / "bundle", keep_ids=False)
    assert [turn.content for turn in copy.messages()] == ["Fresh text", "hm"]
    assert [turn.content for turn in session.fork().messages()] == ["Fresh text", "hm"]
    runtime.retention(max_journal_events=1, dry_run=False)
    assert [turn.content for turn in session.messages()] == ["Fresh text", "hm"]
    assert runtime.verify().problems == []


def test_a_message_has_one_writer(session: Session) -> None:
    with session.stream_message("assistant", idempotency_key="i") as message:
        message.write("a")
        with pytest.raises(InvalidOperation, match="being written"):
            streamed(session, "b")
        message.write("b")
    assert message.message.content == "ab"
    forgotten = session.stream_message("assistant", idempotency_key="j")
    forgotten.__enter__()
    forgotten.write("x")
    del forgotten  # which nobody can write to any more
    with session.stream_message("assistant", idempotency_key="j") as message:
        message.write("y")
    assert [turn.content for turn in session.messages()] == ["ab", "y"]


def test_a_retracted_message_is_not_written_again(session: Session) -> None:
    with pytest.raises(ConnectionError):
        streamed(session, "It bro", fail=True)
    session.pop_message()
    with pytest.raises(InvalidOperation, match="was retracted"):
        streamed(session, "again")
