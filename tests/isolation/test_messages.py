"""Every message, sent to another session by code that acts for one: denied, in the log, and nothing is learnt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from greenroom.actors.messages.artifacts import AboutArtifact
from greenroom.actors.messages.calls import (
    Call,
    RecallCall,
    RecordCall,
    Recorded,
    RecordReturn,
    RecordScript,
    RecordTape,
)
from greenroom.actors.messages.conversation import TurnCommand
from greenroom.actors.messages.events import RecordEvent
from greenroom.actors.messages.forking import RecordToolResult
from greenroom.actors.messages.internal import (
    GetConsumption,
    KeepTime,
    RecordHooks,
    RecordWorkflow,
    VariableKeys,
    VariableSchemas,
)
from greenroom.actors.messages.sharing import ForgetGrantee, GetPredecessor
from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import AccessDenied, messages
from greenroom.runtime import messages as m

from .conftest import NOBODY, SECRET, Two

ABSTRACT = {m.Message, m.Query, m.Command, TurnCommand, AboutArtifact, Call, Recorded}

MESSAGES: dict[type[Any], Callable[[Two], Any]] = {
    m.AcceptLosses: lambda two: m.AcceptLosses(),
    m.AddMessage: lambda two: m.AddMessage("user", "x"),
    m.AddMessages: lambda two: m.AddMessages([{"role": "user", "content": "x"}]),
    m.AddTag: lambda two: m.AddTag("t"),
    m.AnswerApproval: lambda two: m.AnswerApproval(2, 1),
    m.AskHuman: lambda two: m.AskHuman("Which?"),
    m.CancelApproval: lambda two: m.CancelApproval(2),
    m.GetApproval: lambda two: m.GetApproval(2),
    m.ListApprovals: lambda two: m.ListApprovals(),
    m.ArchiveSession: lambda two: m.ArchiveSession(),
    m.Batch: lambda two: m.Batch([m.SetVariable("k", 1)]),
    m.CallAgent: lambda two: m.CallAgent("echo", "x"),
    m.CallTool: lambda two: m.CallTool("noop", {}),
    m.CheckAccess: lambda two: m.CheckAccess("n"),
    m.ClearMessages: lambda two: m.ClearMessages(),
    m.CompleteSession: lambda two: m.CompleteSession(),
    m.ContinueMessage: lambda two: m.ContinueMessage(2, "x"),
    m.CountRecords: lambda two: m.CountRecords(),
    m.DeleteArtifact: lambda two: m.DeleteArtifact("n"),
    m.DeleteRecords: lambda two: m.DeleteRecords(["k"]),
    m.DeleteMany: lambda two: m.DeleteMany(["n"]),
    m.DeleteSession: lambda two: m.DeleteSession(),
    m.DeleteVariable: lambda two: m.DeleteVariable("k"),
    m.EditMessage: lambda two: m.EditMessage(2, content="x"),
    m.FailSession: lambda two: m.FailSession("x"),
    m.Finish: lambda two: m.Finish(),
    m.FinishMessage: lambda two: m.FinishMessage(2, "x"),
    m.ForkSession: lambda two: m.ForkSession(),
    m.GetArtifact: lambda two: m.GetArtifact("n"),
    m.GetArtifactInfo: lambda two: m.GetArtifactInfo("n"),
    m.GetArtifacts: lambda two: m.GetArtifacts(["n"]),
    m.GetConfig: lambda two: m.GetConfig(),
    m.GetEvents: lambda two: m.GetEvents(),
    m.GetInfo: lambda two: m.GetInfo(),
    m.GetMessages: lambda two: m.GetMessages(),
    m.GetRecord: lambda two: m.GetRecord("k"),
    m.GrantScope: lambda two: m.GrantScope("user:7", "write"),
    m.GetVariable: lambda two: m.GetVariable("k"),
    m.LinkEvents: lambda two: m.LinkEvents(f"{two.other.id}/1", f"{two.other.id}/2", "caused_by"),
    m.ListArtifactNames: lambda two: m.ListArtifactNames(),
    m.ListArtifacts: lambda two: m.ListArtifacts(),
    m.ListArtifactVersions: lambda two: m.ListArtifactVersions("n"),
    m.ListPermissions: lambda two: m.ListPermissions("n"),
    m.ListScopes: lambda two: m.ListScopes(),
    m.ListShares: lambda two: m.ListShares(),
    m.ListVariables: lambda two: m.ListVariables(),
    VariableKeys: lambda two: VariableKeys(),
    VariableSchemas: lambda two: VariableSchemas(),
    m.LoadSession: lambda two: m.LoadSession(),
    m.PopMessage: lambda two: m.PopMessage(),
    m.PublishEvent: lambda two: m.PublishEvent("custom.x", {}),
    m.PutRecords: lambda two: m.PutRecords({"k": 1}),
    m.QueryArtifacts: lambda two: m.QueryArtifacts(),
    m.DescribeSession: lambda two: m.DescribeSession("x"),
    m.RenameSession: lambda two: m.RenameSession("x"),
    m.RemoveTag: lambda two: m.RemoveTag(SECRET),
    m.ResumeSession: lambda two: m.ResumeSession(),
    m.RetractMessage: lambda two: m.RetractMessage(2),
    m.RevokeArtifact: lambda two: m.RevokeArtifact("n", two.mine.id),
    m.RevokeScope: lambda two: m.RevokeScope("user:7"),
    m.RevokeSession: lambda two: m.RevokeSession(two.mine.id),
    m.SaveSession: lambda two: m.SaveSession(),
    m.ScanRecords: lambda two: m.ScanRecords(),
    m.GetRecords: lambda two: m.GetRecords([b"k"]),
    m.SetTags: lambda two: m.SetTags([]),
    m.SetVariable: lambda two: m.SetVariable("k", 1),
    m.ShareArtifact: lambda two: m.ShareArtifact("n", two.mine.id),
    m.ShareSession: lambda two: m.ShareSession(two.mine.id, "write"),
    m.StartMessage: lambda two: m.StartMessage("user"),
    m.StoreArtifact: lambda two: m.StoreArtifact("log", "n", "y"),
    m.StoreMany: lambda two: m.StoreMany([{"type": "log", "name": "n", "content": "y"}]),
    m.SuspendSession: lambda two: m.SuspendSession(),
    m.TruncateMessages: lambda two: m.TruncateMessages(0),
    m.UpdateConfig: lambda two: m.UpdateConfig({"max_artifacts": None}),
    m.UpdateMetadata: lambda two: m.UpdateMetadata({"k": 1}),
    # what only the runtime sends
    ForgetGrantee: lambda two: ForgetGrantee(two.mine.id),
    GetConsumption: lambda two: GetConsumption(),
    GetPredecessor: lambda two: GetPredecessor("n"),
    KeepTime: lambda two: KeepTime(0, lambda *told: None),
    RecallCall: lambda two: RecallCall(m.CallTool("noop", {}, idempotency_key="i")),
    RecordCall: lambda two: RecordCall("tool", {}),
    RecordEvent: lambda two: RecordEvent("script.started", {}),
    RecordHooks: lambda two: RecordHooks([]),
    RecordReturn: lambda two: RecordReturn("tool", {}),
    RecordScript: lambda two: RecordScript("script.started", {}),
    RecordTape: lambda two: RecordTape("recording.started", {}),
    RecordToolResult: lambda two: RecordToolResult(1, "tool", 1),
    RecordWorkflow: lambda two: RecordWorkflow("workflow.started", {}),
}

BY_ID: dict[type[Any], Callable[[Two], Any]] = {
    m.CheckAccess: lambda two: m.CheckAccess(two.artifact.id),
    m.DeleteArtifact: lambda two: m.DeleteArtifact(two.artifact.id),
    m.GetArtifact: lambda two: m.GetArtifact(two.artifact.id),
    m.GetArtifactInfo: lambda two: m.GetArtifactInfo(str(two.artifact.id)),
    m.ListArtifactVersions: lambda two: m.ListArtifactVersions(two.artifact.id),
    m.ListPermissions: lambda two: m.ListPermissions(two.artifact.id),
    m.RevokeArtifact: lambda two: m.RevokeArtifact(two.artifact.id, two.mine.id),
    m.ShareArtifact: lambda two: m.ShareArtifact(two.artifact.id, two.mine.id),
    m.StoreArtifact: lambda two: m.StoreArtifact("log", "n", "y", version_of=two.artifact.id),
}
"""The same, of the artifact's id: these go on to its owner, from whichever session they are sent to."""


def kinds(base: type[Any]) -> Iterator[type[Any]]:
    for each in base.__subclasses__():
        if each.__module__.startswith("greenroom"):
            yield each
            yield from kinds(each)


def test_every_message_is_in_the_matrix() -> None:
    assert {*kinds(m.Message)} - ABSTRACT == MESSAGES.keys()
    public = [getattr(messages, name) for name in messages.__all__]
    assert {each for each in public if isinstance(each, type) and issubclass(each, m.Message)} <= {*MESSAGES} | ABSTRACT


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("how", ["ask", "tell"])
def test_no_message_reaches_another_session(two: Two, kind: type[Any], how: str) -> None:
    before = two.sequence()
    texts = []
    for target in (two.other.id, NOBODY):
        with acting(principal=two.mine.id), pytest.raises(AccessDenied) as caught:
            getattr(two.rt, how)(target, MESSAGES[kind](two))
        texts.append(str(caught.value).replace(target, "ID"))
        record = two.rt.audit(session=two.mine, limit=1)[0]
        assert (record.operation, record.granted, record.owner) == (kind.__name__, False, target)
    assert texts[0] == texts[1]  # whether there is such a session is not to be learnt
    assert SECRET not in texts[0]
    assert two.sequence() == before


@pytest.mark.parametrize("kind", BY_ID, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("at", ["mine", "other"])
@pytest.mark.parametrize("as_whom", ["the host", "the session"])
def test_the_id_of_an_artifact_opens_nothing(two: Two, kind: type[Any], at: str, as_whom: str) -> None:
    if as_whom == "the host" and at == "other":
        return  # the host asks the owner itself
    before = two.sequence()
    with acting(principal=two.mine.id if as_whom == "the session" else None):
        if kind is m.CheckAccess:
            assert two.rt.ask(getattr(two, at).id, BY_ID[kind](two)) is False
            return
        with pytest.raises(AccessDenied) as caught:
            two.rt.ask(getattr(two, at).id, BY_ID[kind](two))
    record = two.rt.audit(session=two.mine, limit=1)[0]
    assert (record.operation, record.artifact) == (kind.__name__, str(two.artifact.id))
    assert record.granted is False
    assert SECRET not in str(caught.value)
    assert two.sequence() == before


def test_what_acts_for_a_session_cannot_claim_to_act_for_another(two: Two) -> None:
    from greenroom.actors.session.delegated import DelegatedMessage
    from greenroom.runtime import InvalidOperation

    forged: Any = DelegatedMessage(two.other.id, m.GetArtifact(two.artifact.id), family=True)
    with acting(principal=two.mine.id):
        for send in (two.rt.ask, two.rt.tell):
            with pytest.raises(InvalidOperation):
                send(two.mine.id, forged)


def test_a_session_reaches_those_below_it_and_not_those_above(two: Two) -> None:
    child = two.rt.create_session(parent=two.mine)
    grandchild = two.rt.create_session(parent=child)
    with acting(principal=two.mine.id):
        assert two.rt.ask(grandchild.id, m.GetInfo()).id == grandchild.id
    with acting(principal=grandchild.id):
        for above in (child, two.mine):
            with pytest.raises(AccessDenied):
                two.rt.ask(above.id, m.GetInfo())
