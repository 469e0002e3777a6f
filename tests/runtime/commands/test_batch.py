"""Batches: several changes in one write and one turn, all of them or none.

The file is long because every property of a batch is tested with the same few tools.
"""

# ruff: noqa: PT012 -- a batch is sent at the end of its block, so the block is what raises

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import (
    AccessDenied,
    ArtifactNotFound,
    Conflict,
    GreenroomError,
    InvalidOperation,
    InvalidSessionState,
    OperationTimeout,
    ResourceLimitExceeded,
    Runtime,
    Session,
    ValidationError,
    messages,
)

m = messages


def state_of(s: Session) -> tuple[Any, ...]:
    return s.info(), s.variables(), s.messages(), [*s.list_artifacts()], [event.id for event in s.events()]


def contents(rt: Runtime) -> int:
    return rt._store.contents.usage()[0]


def test_all_changes_of_a_batch_are_one_write(runtime: Runtime, session: Session) -> None:
    commits = runtime._store.commits
    with session.batch() as b:
        b.set("p", 1)
        b.add_message("user", "hi")
        b["q"] = 2
        b.store_artifact("log", "n", b"content")
        b.add_tag("t")
        assert session.get("p") is None, "nothing is sent before the end of the block"
    assert runtime._store.commits == commits + 1
    assert (session.get("p"), session["q"], session.messages()[0].content) == (1, 2, "hi")
    assert session.get_artifact("n").content == b"content"
    assert [event.type for event in session.events(after=1)] == [
        "variable.set",
        "message.added",
        "variable.set",
        "artifact.stored",
        "tags.changed",
    ]
    assert len({event.timestamp for event in session.events(after=1)}) == 1
    assert session.info().operation_count == 6


def test_a_batch_replies_what_its_commands_reply_by_themselves(runtime: Runtime, session: Session) -> None:
    commands: list[Callable[[], Any]] = [
        lambda: m.SetVariable("k", 1),
        lambda: m.AddMessage("user", "first"),
        lambda: m.AddMessages([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]),
        lambda: m.EditMessage(3, content="second"),
        m.PopMessage,
        lambda: m.StoreArtifact("log", "n", b"1"),
        lambda: m.StoreArtifact("log", "n", b"2"),
        lambda: m.StoreMany([{"type": "log", "name": "n", "content": b"3"}]),
        lambda: m.DeleteArtifact("n", 2),
        lambda: m.DeleteVariable("k"),
        lambda: m.DeleteVariable("k"),
        lambda: m.UpdateMetadata({"a": 1}),
        lambda: m.PublishEvent("custom.x", {"a": 1}),
        lambda: m.TruncateMessages(3),
        lambda: m.AddTag("t"),
        m.SuspendSession,
        m.ResumeSession,
    ]
    alone = runtime.create_session()
    expected = [runtime.ask(alone.id, make()) for make in commands]
    replies = runtime.ask(session.id, m.Batch([make() for make in commands]))

    def shape(reply: Any) -> str:
        return repr(reply).replace(alone.id, "ID").replace(session.id, "ID")

    assert [shape(reply) for reply in replies] == [shape(reply) for reply in expected]
    assert [(e.type, e.sequence) for e in session.events()] == [(e.type, e.sequence) for e in alone.events()]
    assert session.get_artifact("n").content == alone.get_artifact("n").content == b"3"
    assert [each.version for each in session.artifact_versions("n")] == [1, 3]
    assert [each.content for each in session.messages()] == [each.content for each in alone.messages()]
    assert runtime.verify().problems == []


REFUSED: list[tuple[Callable[[Session], Any], type[GreenroomError]]] = [
    (lambda s: m.DeleteArtifact("none"), ArtifactNotFound),
    (lambda s: m.SetVariable("k", 1, expected="other"), Conflict),
    (lambda s: m.SetVariable("k", 1, expected_sequence=99), Conflict),
    (lambda s: m.ArchiveSession(), GreenroomError),
    (lambda s: m.EditMessage(1, content="x"), ValidationError),
    (lambda s: m.SetTags([str(n) for n in range(70)]), ValidationError),
]


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("number", range(5))
def test_nothing_has_happened_if_one_is_refused(runtime: Runtime, session: Session, at: int, number: int) -> None:
    session.set("k", 0)
    session.add_message("user", "old")
    session.store_artifact("log", "old", b"old")
    refused, error = REFUSED[number]
    commands: list[Any] = [
        m.SetVariable("k", 1),
        m.AddMessage("user", "x" * 100_000),
        m.StoreArtifact("log", "n", b"y" * 300_000),
        m.RemoveTag("t"),
    ]
    commands.insert(at, refused(session))
    before, usage = state_of(session), contents(runtime)
    with pytest.raises(error) as caught:
        runtime.ask(session.id, m.Batch(commands))
    assert caught.value.fields["index"] == at
    assert state_of(session) == before
    assert contents(runtime) == usage
    assert runtime.verify().problems == []
    session.set("k", 2)  # goes on


def test_a_later_command_sees_what_those_before_it_did(runtime: Runtime, session: Session) -> None:
    with session.batch() as b:
        b.set("k", 1)
        b.set("k", 2, expected=1)
        b.add_message("user", "x")
        b.pop_message()
        b.store_artifact("log", "n", b"1")
        b.store_artifact("log", "n", b"2")
        b.delete_artifact("n")
        b.store_artifact("log", "n", b"3")
        b.complete()
    assert session.get("k") == 2
    assert session.messages() == []
    assert [(info.version, info.size) for info in session.artifact_versions("n")] == [(1, 1), (3, 1)]
    with pytest.raises(InvalidSessionState), session.batch() as b:
        b.set("k", 3)
    assert runtime.verify().problems == []


@pytest.mark.parametrize("size", [10, 5000, 400_000])
def test_content_that_a_batch_stores_and_drops_was_never_there(runtime: Runtime, session: Session, size: int) -> None:
    content = bytes(number % 251 for number in range(size))
    with session.batch() as b:
        b.store_artifact("log", "n", content)
        b.delete_artifact("n")
    assert contents(runtime) == 0
    kept = session.store_artifact("log", "kept", content)
    with session.batch() as b:  # the last use goes, and another one comes
        b.delete_artifact("kept")
        b.store_artifact("log", "again", content)
        b.store_artifact("log", "third", content)
        b.delete_artifact("third")
    assert session.get_artifact("again").content == content
    assert runtime.verify().problems == []
    assert kept.id.content_hash == session.get_artifact_info("again").id.content_hash


def test_a_question_may_be_asked_and_cancelled_in_a_batch(runtime: Runtime, session: Session) -> None:
    asked, cancelled = runtime.ask(session.id, m.Batch([m.AskHuman("Which?"), m.CancelApproval(2)]))
    assert (asked, cancelled.status) == (f"{session.id}/2", "cancelled")
    with pytest.raises(ValidationError):
        runtime.ask(session.id, m.Batch([m.AskHuman("Which?"), m.CancelApproval(5)]))
    assert session.info().sequence == 3


def test_records_belong_to_a_batch(runtime: Runtime, session: Session) -> None:
    large = b"l" * 100_000
    session.records.put(b"old", b"o" * 50_000)
    commits = runtime._store.commits
    with session.batch() as b:
        b.records.put(b"r", b"1")
        b.records.put(b"r", b"2")
        b.records.put(b"l", large)
        b.records.put(b"l", large + b"!")
        b.records.put_if_absent(b"l", b"")
        b.records.put_many({b"a/1": 1, b"a/2": 2})
        b.records.delete_prefix(b"a/")
        b.records.delete(b"old")
        b.set("k", 1)
    assert runtime._store.commits == commits + 1
    assert b.replies == [True, True, True, True, False, True, 2, 1, None]
    assert session.records.scan() == [(b"l", large + b"!"), (b"r", b"2")]
    assert session.records.count() == 2
    before = [event.type for event in session.events()]
    with pytest.raises(Conflict), session.batch() as b:
        b.records.put(b"r", large)
        b.records.delete(b"l")
        b.set("k", 2, expected=9)
    assert session.records.scan() == [(b"l", large + b"!"), (b"r", b"2")]
    assert [event.type for event in session.events()] == before
    assert runtime.verify().problems == []


def test_limits_hold_for_all_commands_together(runtime: Runtime) -> None:
    s = runtime.create_session(config={"max_artifacts": 2, "max_operations": 10})
    with pytest.raises(ResourceLimitExceeded) as caught, s.batch() as b:
        for number in range(3):
            b.store_artifact("log", f"n{number}", b"x")
    assert caught.value.fields["resource"] == "artifacts"
    assert caught.value.fields["index"] == 2
    with pytest.raises(ResourceLimitExceeded), s.batch() as b:
        for number in range(10):
            b.set("k", number)
    assert s.info().operation_count == 1
    with s.batch() as b:
        for number in range(9):
            b.set("k", number)
    assert s.info().operation_count == 10
    assert any(event.type in {"policy.warning", "policy.violated"} for event in s.events())


def test_an_exception_in_the_block_sends_nothing(session: Session) -> None:
    before = state_of(session)
    with pytest.raises(KeyError), session.batch() as b:
        b.set("k", 1)
        raise KeyError
    assert state_of(session) == before
    with pytest.raises(InvalidOperation, match="over"):
        b.set("k", 1)
    with pytest.raises(InvalidOperation, match="replies"):
        assert b.replies


def test_an_empty_batch_sends_no_message(runtime: Runtime, session: Session) -> None:
    session.complete()
    with session.batch() as b:
        pass
    assert b.replies == []
    assert runtime.ask(session.id, m.Batch([])) == []


def test_a_batch_takes_changes_only_within_its_block(session: Session) -> None:
    before = state_of(session)
    batch = session.batch()
    with pytest.raises(InvalidOperation, match=r"within its block: with session\.batch"):
        batch.set("k", 1)
    assert state_of(session) == before
    with batch:
        batch.set("k", 2)
    with pytest.raises(InvalidOperation, match="over"):
        batch.set("k", 3)
    with pytest.raises(InvalidOperation, match="over"), batch:
        raise AssertionError
    assert session.get("k") == 2


READING: dict[str, Callable[[Session], Any]] = {
    "get": lambda b: b.get("k"),
    "info": lambda b: b.info(),
    "messages": lambda b: b.messages(),
    "events": lambda b: next(b.events()),
    "contains": lambda b: "k" in b,
    "children": lambda b: b.children(),
    "config": lambda b: b.config,
    "export": lambda b: b.export("x"),
    "follow": lambda b: b.follow(),
    "open": lambda b: b.open_artifact("n"),
    "version": lambda b: b.store_version("n", "x"),
    "shared": lambda b: b.shared_with_me(),
    "tool": lambda b: b.call_tool("noop"),
    "agent": lambda b: b.call_agent("echo", "x"),
    "workflow": lambda b: b.run_workflow(None),  # type: ignore[arg-type]
    "fork": lambda b: b.fork(),
    "delete": lambda b: b.delete(),
    "save": lambda b: b.save(),
    "configure": lambda b: b.update_config(max_artifacts=1),
    "share": lambda b: b.share("n", b.id),
    "batch": lambda b: b.batch(),
    "reply": lambda b: b.add_message("user", "x").sequence,
}


@pytest.mark.parametrize("name", READING)
def test_what_is_no_single_change_of_the_session_is_refused(session: Session, name: str) -> None:
    before = state_of(session)
    with pytest.raises(GreenroomError) as caught, session.batch() as b:
        b.set("k", 1)
        READING[name](b)
    assert isinstance(caught.value, (InvalidOperation, ValidationError))
    assert state_of(session) == before


@pytest.mark.parametrize("name", ["fork", "delete", "save", "share"])
def test_a_command_that_no_batch_takes_is_named_where_it_is_called(session: Session, name: str) -> None:
    with pytest.raises(InvalidOperation, match=f"a batch takes no {name.title()}") as caught, session.batch() as b:
        b.set("k", 1)
        READING[name](b)
    assert caught.value.index == 1


def test_files_are_read_before_they_are_closed(session: Session, tmp_path: Path) -> None:
    file = tmp_path / "file.txt"
    file.write_bytes(b"z" * 300_000)
    with session.batch() as b:
        b.store_file(file)
        with file.open("rb") as opened:
            b.store_many([{"type": "log", "name": "n", "content": opened}])
    assert session.get_artifact("file.txt").content == session.get_artifact("n").content == file.read_bytes()


@pytest.mark.parametrize(
    "wrong",
    [None, [1], [m.GetInfo()], [m.SetVariable("k", 1, durability="fsync")], [(1, m.SetVariable("k", 1))], ["x"], 1],
    ids=repr,
)
def test_what_is_no_list_of_commands_is_a_validation_error(wrong: Any) -> None:
    with pytest.raises(ValidationError):
        m.Batch(wrong)


def test_commands_about_other_sessions_artifacts_are_refused(runtime: Runtime, session: Session) -> None:
    other = runtime.create_session()
    info = other.store_artifact("log", "n", b"x")
    other.share(info.id, session, "admin")
    for command in (m.DeleteArtifact(info.id), m.StoreArtifact("log", "n", b"y", version_of=info.id)):
        with pytest.raises(InvalidOperation) as caught:
            runtime.ask(session.id, m.Batch([m.SetVariable("k", 1), command]))
        assert caught.value.fields["index"] == 1
    assert session.get("k") is None


def test_a_batch_may_be_told(runtime: Runtime, session: Session) -> None:
    runtime.tell(session.id, m.Batch([m.SetVariable("k", 1), m.StoreArtifact("log", "n", b"x" * 200_000)]))
    runtime.ask(session.id, m.Finish())
    assert (session.get("k"), session.get_artifact("n").info.size) == (1, 200_000)


def test_batches_of_many_threads_never_mix(runtime: Runtime, session: Session) -> None:
    def publish(number: int) -> None:
        for turn in range(20):
            runtime.ask(session.id, m.Batch([m.PublishEvent("custom.n", {"n": number, "turn": turn})] * 5))

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = [(event.data["n"], event.data["turn"]) for event in session.events() if event.type == "custom.n"]
    groups = [told[at : at + 5] for at in range(0, len(told), 5)]
    assert len(groups) == 160
    assert all(len({*group}) == 1 for group in groups)


# -- scopes


def test_a_batch_over_scopes_is_one_write(runtime: Runtime, session: Session) -> None:
    user, everybody = runtime.state_scope("user:7"), runtime.state_scope("global")
    commits = runtime._store.commits
    with session.batch() as b:
        b.set("k", 1)
        b.scope("user:7").set("seen", True)
        b.scope("global")["n"] = 1
        b.scope("user:7").delete("none")
        b.scope("global").set("m", 2)
    assert runtime._store.commits == commits + 1
    assert b.replies == [None, None, None, False, None]
    assert (session.get("k"), user.list(), everybody.list()) == (1, {"seen": True}, {"m": 2, "n": 1})
    assert runtime.verify().problems == []


def test_no_scope_has_changed_if_one_command_is_refused(runtime: Runtime, session: Session) -> None:
    names = [f"user:{number}" for number in range(6)]
    for name in names:
        runtime.state_scope(name).set("k", 0)
    for refusing in range(7):
        with pytest.raises(Conflict) as caught, session.batch() as b:
            for number, name in enumerate(names):
                b.scope(name).set("k", 1, **({"expected_sequence": 99} if number == refusing else {}))
            if refusing == 6:
                b.set("k", 1, expected="other")
        assert caught.value.fields["index"] == refusing
        assert [runtime.state_scope(name).get("k") for name in names] == [0] * 6
    with session.batch() as b:
        for name in names:
            b.scope(name).set("k", 1, expected_sequence=2)
    assert [runtime.state_scope(name).get("k") for name in names] == [1] * 6


def test_batches_over_the_same_scopes_wait_for_each_other(runtime: Runtime) -> None:
    names = [f"user:{number}" for number in range(4)]
    sessions = [runtime.create_session() for _ in range(6)]
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(20):
                with sessions[number].batch() as b:
                    b.set("turn", turn)
                    for name in names if number % 2 else reversed(names):
                        b.scope(name).set("last", [number, turn])
                runtime.state_scope(names[turn % 4]).set(f"own{number}", turn)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    lasts = {tuple(runtime.state_scope(name).get("last")) for name in names}
    assert len(lasts) == 1, "all scopes have what one batch has set"
    assert runtime.verify().problems == []


def test_a_batch_that_waits_too_long_for_a_scope_changes_nothing(runtime: Runtime, session: Session) -> None:
    scope = runtime.state_scope("user:7")
    scope.set("k", 0)
    actor = runtime._supervisor.table.actor(scope._id)
    held, go = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: actor.do_in_turn(lambda: (held.set(), go.wait(60))))
    thread.start()
    held.wait(60)
    try:
        with pytest.raises(OperationTimeout), session.with_timeout(0.05).batch() as b:
            b.set("k", 1)
            b.scope("user:7").set("k", 1)
    finally:
        go.set()
        thread.join()
    assert (session.get("k"), scope.get("k")) == (None, 0)


def test_a_batch_over_scopes_is_asked_and_not_told(runtime: Runtime, session: Session) -> None:
    scope = runtime.state_scope("global")
    with pytest.raises(InvalidOperation):
        runtime.tell(session.id, m.Batch([(scope._id, m.SetVariable("k", 1))]))


def test_passivated_sessions_and_scopes_come_back_for_a_batch(tmp_path: Path) -> None:
    with Runtime.open(tmp_path, config={"max_resident_sessions": 2}) as rt:
        sessions = [rt.create_session() for _ in range(6)]
        for number in range(30):
            with sessions[number % 6].batch() as b:
                b.set("k", number)
                for name in range(4):
                    b.scope(f"user:{name}").set("k", number)
        assert [rt.state_scope(f"user:{name}").get("k") for name in range(4)] == [29] * 4


# -- code that acts for a session


def test_a_session_reaches_the_scopes_that_it_was_granted(runtime: Runtime, session: Session) -> None:
    scope = runtime.state_scope("user:7")
    scope.set("k", 0)

    def attempt() -> None:
        with acting(principal=session.id, realm=runtime.core.security), session.batch() as b:
            b.set("k", 1)
            b.scope("user:7").set("k", 1)

    for permission in (None, "read"):
        if permission is not None:
            session.grant_scope("user:7", permission)
        with pytest.raises(AccessDenied):
            attempt()
        assert (session.get("k"), scope.get("k")) == (None, 0)
    session.grant_scope("user:7", "write")
    attempt()
    assert (session.get("k"), scope.get("k")) == (1, 1)
    record = runtime.audit(session=session, limit=1)[0]
    assert (record.granted, record.owner, record.operation) == (True, scope._id, "Batch")
    session.revoke_scope("user:7")
    scope_id = scope._id
    with acting(principal=session.id, realm=runtime.core.security), pytest.raises(AccessDenied):
        runtime.ask(session.id, m.Batch([m.SetVariable("k", 2), (scope_id, m.SetVariable("k", 2))]))
    assert (session.get("k"), scope.get("k")) == (1, 1)


def test_a_permission_is_looked_at_again_in_the_turn(runtime: Runtime, session: Session) -> None:
    session.grant_scope("user:7", "write")
    scope = runtime.state_scope("user:7")
    other = runtime.create_session()
    message = m.Batch([m.StoreArtifact("log", "n", _Revoking(session)), (scope._id, m.SetVariable("k", 1))])
    with acting(principal=session.id, realm=runtime.core.security), pytest.raises(AccessDenied):
        runtime.ask(session.id, message)
    assert (scope.get("k"), [*session.list_artifacts()]) == (None, [])
    assert other.info().sequence == 1


class _Revoking(io.BytesIO):
    """A file that takes the permission back while it is read, which is after the batch was admitted."""

    def __init__(self, session: Session) -> None:
        super().__init__(b"x" * 300_000)
        self._session = session

    def read(self, size: int | None = -1) -> bytes:
        with acting(principal=None):
            self._session.revoke_scope("user:7")
        return super().read(size)


def test_a_batch_for_a_shared_session_needs_write(runtime: Runtime, session: Session) -> None:
    owner = runtime.create_session()
    batch = m.Batch([m.SetVariable("k", 1), m.StoreArtifact("log", "n", b"x" * 300_000)])

    def attempt() -> None:
        with acting(principal=session.id, realm=runtime.core.security):
            runtime.ask(owner.id, batch)

    for permission in (None, "read"):
        if permission is not None:
            owner.share(session, permission)
        with pytest.raises(AccessDenied):
            attempt()
        assert owner.get("k") is None
    owner.share(session, "write")
    attempt()
    assert (owner.get("k"), owner.get_artifact("n").info.size) == (1, 300_000)
    assert runtime.verify().problems == []
