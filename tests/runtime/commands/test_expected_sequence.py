"""`expected_sequence` on every command: it is performed if nothing came between, and otherwise changes nothing."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from typing import Any

import pytest

from greenroom.runtime import Conflict, InvalidOperation, Runtime, Session, SessionNotFound, ValidationError, messages
from greenroom.runtime.agents import echo

m = messages
COMMANDS: dict[type[Any], Callable[..., Any]] = {
    m.AcceptLosses: m.AcceptLosses,
    m.AddMessage: lambda **how: m.AddMessage("user", "x", **how),
    m.AddMessages: lambda **how: m.AddMessages([{"role": "user", "content": "x"}], **how),
    m.AddTag: lambda **how: m.AddTag("t", **how),
    m.AnswerApproval: lambda **how: m.AnswerApproval(6, "this", **how),
    m.ArchiveSession: m.ArchiveSession,
    m.AskHuman: lambda **how: m.AskHuman("Why?", **how),
    m.Batch: lambda **how: m.Batch([m.SetVariable("k", 2), m.AddTag("t")], **how),
    m.CallAgent: lambda **how: m.CallAgent("echo", "x", **how),
    m.CallTool: lambda **how: m.CallTool("noop", {}, **how),
    m.CancelApproval: lambda **how: m.CancelApproval(6, **how),
    m.ClearMessages: m.ClearMessages,
    m.CompleteSession: m.CompleteSession,
    m.ContinueMessage: lambda **how: m.ContinueMessage(5, "x", **how),
    m.DeleteArtifact: lambda **how: m.DeleteArtifact("n", **how),
    m.DeleteMany: lambda **how: m.DeleteMany(["n"], **how),
    m.DeleteSession: m.DeleteSession,
    m.DeleteVariable: lambda **how: m.DeleteVariable("k", **how),
    m.EditMessage: lambda **how: m.EditMessage(4, content="y", **how),
    m.FailSession: lambda **how: m.FailSession("x", **how),
    m.FinishMessage: lambda **how: m.FinishMessage(5, "x", **how),
    m.ForkSession: m.ForkSession,
    m.GrantScope: lambda **how: m.GrantScope("user:7", "read", **how),
    m.LinkEvents: lambda **how: m.LinkEvents("", "", "caused_by", **how),
    m.LoadSession: m.LoadSession,
    m.PopMessage: m.PopMessage,
    m.PublishEvent: lambda **how: m.PublishEvent("custom.x", {}, **how),
    m.RemoveTag: lambda **how: m.RemoveTag("old", **how),
    m.ResumeSession: m.ResumeSession,
    m.RetractMessage: lambda **how: m.RetractMessage(4, **how),
    m.RevokeArtifact: lambda **how: m.RevokeArtifact("n", "", **how),
    m.RevokeScope: lambda **how: m.RevokeScope("user:7", **how),
    m.RevokeSession: lambda **how: m.RevokeSession("", **how),
    m.PutRecords: lambda **how: m.PutRecords({b"r": 1}, **how),
    m.DeleteRecords: lambda **how: m.DeleteRecords([b"r"], **how),
    m.DescribeSession: lambda **how: m.DescribeSession("x", **how),
    m.RenameSession: lambda **how: m.RenameSession("x", **how),
    m.SaveSession: m.SaveSession,
    m.SetTags: lambda **how: m.SetTags(["a"], **how),
    m.SetVariable: lambda **how: m.SetVariable("k", 2, **how),
    m.ShareArtifact: lambda **how: m.ShareArtifact("n", "", **how),
    m.ShareSession: lambda **how: m.ShareSession("", **how),
    m.StartMessage: lambda **how: m.StartMessage("user", **how),
    m.StoreArtifact: lambda **how: m.StoreArtifact("log", "n", b"x", **how),
    m.StoreMany: lambda **how: m.StoreMany([{"type": "log", "name": "n", "content": b"x"}], **how),
    m.SuspendSession: m.SuspendSession,
    m.TruncateMessages: lambda **how: m.TruncateMessages(0, **how),
    m.UpdateConfig: lambda **how: m.UpdateConfig({"max_artifacts": 9}, **how),
    m.UpdateMetadata: lambda **how: m.UpdateMetadata({"a": 1}, **how),
}
FROM = {m.ArchiveSession: "completed", m.ResumeSession: "suspended"}
FINISHED_LATER = (m.LinkEvents, m.RevokeArtifact, m.RevokeSession, m.ShareArtifact, m.ShareSession)


def public_commands() -> set[type[Any]]:
    named = {getattr(m, name) for name in m.__all__}
    return {each for each in named if inspect.isclass(each) and issubclass(each, m.Command)} - {m.Command}


def filled(rt: Runtime) -> Session:
    s = rt.create_session(tags=["old"])
    s.set("k", 1)
    s.store_artifact("log", "n", b"content")
    s.add_message("user", "hello")
    rt.ask(s.id, m.StartMessage("assistant"))
    s.ask_human("Which?")
    rt.tools.register("noop", lambda: None, replace=True)
    if not any(each == "echo" for each in rt.agents.models()):
        rt.agents.register("echo", echo)
    return s


def prepared(s: Session, kind: type[Any]) -> None:
    """Bring a session into the status that a command begins from."""
    if FROM.get(kind) == "completed":
        s.complete()
    elif FROM.get(kind) == "suspended":
        s.suspend()


def sent(rt: Runtime, s: Session, kind: type[Any], **how: Any) -> Any:
    """Send a sample of a class of commands, with ids that exist."""
    message = COMMANDS[kind](**how) if kind not in FINISHED_LATER else None
    other = rt.create_session().id if message is None else ""
    if kind is m.LinkEvents:
        message = m.LinkEvents(f"{s.id}/1", f"{s.id}/2", "caused_by", **how)
    elif kind is m.ShareArtifact:
        message = m.ShareArtifact("n", other, "read", **how)
    elif kind is m.RevokeArtifact:
        message = m.RevokeArtifact("n", other, "read", **how)
    elif kind in (m.ShareSession, m.RevokeSession):
        message = kind(other, **how)
    return rt.ask(s.id, message, timeout=30)


def test_every_public_command_is_here() -> None:
    assert set(COMMANDS) == public_commands()


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.__name__)
def test_a_command_for_another_sequence_changes_nothing(runtime: Runtime, kind: type[Any]) -> None:
    s = filled(runtime)
    prepared(s, kind)
    before, events = s.info(), len(list(s.events()))
    for wrong in (before.sequence - 1, before.sequence + 1, 0, 1 << 62):
        with pytest.raises(Conflict) as caught:
            sent(runtime, s, kind, expected_sequence=wrong)
        fields = caught.value.fields
        assert (fields["expected_sequence"], fields["sequence"]) == (wrong, before.sequence)
        assert isinstance(caught.value, InvalidOperation)
    assert s.info() == before
    assert len(list(s.events())) == events
    sent(runtime, s, kind, expected_sequence=before.sequence)
    if kind is m.DeleteSession:
        with pytest.raises(SessionNotFound):
            s.info()


@pytest.mark.parametrize("wrong", [-1, 1.5, "1", True, []], ids=repr)
def test_what_is_no_sequence_is_refused(session: Session, wrong: Any) -> None:
    with pytest.raises(ValidationError, match="expected_sequence"):
        session.set("k", 1, expected_sequence=wrong)


def test_of_many_threads_one_wins_each_round(runtime: Runtime) -> None:
    s = runtime.create_session()
    s.set("count", 0)
    won: list[int] = []

    def count() -> None:
        for _ in range(50):
            sequence = s.info().sequence
            value = s.get("count")
            try:
                s.set("count", value + 1, expected_sequence=sequence)
            except Conflict:
                continue
            won.append(1)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert s.get("count") == len(won) > 0


def test_hooks_that_change_a_command_leave_its_condition(runtime: Runtime) -> None:
    from greenroom.runtime import HookResult

    s = runtime.create_session()
    runtime.hooks.register("BeforeStateWrite", lambda c: HookResult.modified({**c.data, "value": 7}))
    with pytest.raises(Conflict):
        s.set("k", 1, expected_sequence=99)
    s.set("k", 1, expected_sequence=s.info().sequence)
    assert s.get("k") == 7


def test_artifacts_of_other_sessions_know_no_condition(runtime: Runtime) -> None:
    owner, other = runtime.create_session(), runtime.create_session()
    info = owner.store_artifact("log", "n", b"x")
    owner.share(info.id, other, "admin")
    with pytest.raises(ValidationError, match="another session"):
        other.delete_artifact(info.id, expected_sequence=1)
    other.delete_artifact(info.id)
