"""Every message, sent to a session that is shared as a whole: what a share covers is allowed, all else denied."""

from __future__ import annotations

from typing import Any

import pytest

from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import AccessDenied, GreenroomError
from greenroom.runtime import messages as m

from .conftest import SECRET, Two
from .test_messages import MESSAGES

ROLES = ("own", "parent", "reads", "writes", "expired", "revoked")
READ, WRITE = 1, 2
INNER = {each for each in MESSAGES if each.__name__ not in m.__all__}
COVERED = {
    READ: {
        m.GetInfo, m.GetVariable, m.ListVariables, m.GetMessages, m.GetEvents, m.GetArtifact, m.GetArtifactInfo,
        m.GetArtifacts, m.QueryArtifacts, m.ListArtifacts, m.ListArtifactVersions, m.GetConfig, m.Finish,
        m.GetRecord, m.ScanRecords, m.CountRecords,
    },
    WRITE: {
        m.SetVariable, m.DeleteVariable, m.AddMessage, m.AddMessages, m.EditMessage, m.RetractMessage, m.PopMessage,
        m.TruncateMessages, m.ClearMessages, m.StoreArtifact, m.StoreMany, m.PublishEvent, m.AddTag, m.RemoveTag,
        m.SetTags, m.UpdateMetadata, m.PutRecords, m.DeleteRecords,
    },
}  # fmt: skip
"""The messages that a permission on a whole session must cover at least, whatever messages there will be."""
NEVER = {
    m.DeleteSession, m.ShareSession, m.RevokeSession, m.ListShares, m.ShareArtifact, m.RevokeArtifact, m.CallTool,
    m.CallAgent, m.SuspendSession, m.ResumeSession, m.CompleteSession, m.FailSession, m.ArchiveSession, m.ForkSession,
    m.UpdateConfig, m.GrantScope, m.RevokeScope, m.ListScopes, m.DeleteArtifact, m.AcceptLosses, m.SaveSession,
    m.LoadSession, m.LinkEvents, m.ListPermissions, m.CheckAccess,
}  # fmt: skip


def test_what_a_share_covers() -> None:
    for level, kinds in COVERED.items():
        assert {each for each in MESSAGES if each in kinds and each.whole != level} == set()
    assert {each for each in MESSAGES if each in NEVER and each.whole} == set()


@pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("role", ROLES)
def test_a_share_covers_its_messages_and_no_others(two: Two, kind: type[Any], role: str) -> None:
    if kind in INNER and role in ("own", "parent"):
        return  # what the runtime sends to a session itself
    mine = two.rt.create_session("mine")
    other = two.rt.create_session("other", tags=[SECRET], parent=mine if role == "parent" else None)
    other.set("k", SECRET)
    other.add_message("user", SECRET)
    artifact = other.store_artifact("log", "n", SECRET)
    this = Two(two.rt, mine, other, artifact, two.folder)
    if role == "expired":
        other.share(mine, "write", expires_at="2001-01-01T00:00:00Z")
    elif role == "revoked":
        other.share(mine, "write")
        assert other.revoke(mine)
    elif role in ("reads", "writes"):
        other.share(mine, "write" if role == "writes" else "read")
    has = {"reads": READ, "writes": WRITE}.get(role, 0)
    allowed = role in ("own", "parent") or 0 < kind.whole <= has
    before = this.sequence()
    with acting(principal=other.id if role == "own" else mine.id):
        try:
            two.rt.ask(other.id, MESSAGES[kind](this), timeout=20)
            denied = False
        except AccessDenied:
            denied = True
        except GreenroomError:
            denied = False  # the session itself has refused it
    assert denied == (not allowed or kind.host_only)
    record = next(iter(two.rt.audit(session=mine, limit=1)), None)
    if role not in ("own", "parent"):
        assert record is not None
        assert (record.granted, record.owner) == (not denied, other.id)
        assert record.operation == kind.__name__
    if denied:
        assert this.sequence() == before


def test_a_share_is_no_way_to_a_third_session(two: Two) -> None:
    """What another session may use is not for those who may use that session."""
    mine, other, third = (two.rt.create_session() for _ in range(3))
    artifact = third.store_artifact("log", "n", SECRET).id
    third.share(artifact, other, "write")
    third.share(other, "write")
    other.share(mine, "write")
    with acting(principal=other.id):
        assert other.get_artifact(artifact).content == SECRET.encode()
    with acting(principal=mine.id):
        for attempt in (
            lambda: other.get_artifact(artifact),
            lambda: other.get_many([artifact]),
            lambda: two.rt.ask(other.id, m.StoreArtifact("log", "n", "y", version_of=artifact)),
            lambda: third.get("k"),
            other.shared_with_me,
            other.shared_sessions,
            other.children,
            other.tree,
            lambda: two.rt.create_session(parent=other),
            lambda: other.export(two.folder / "x.bundle"),
            lambda: two.rt.run_script("return 1", session=other),
        ):
            with pytest.raises(AccessDenied):
                attempt()
        assert mine.shared_sessions()[0].session_id == other.id
    with acting(principal=two.rt.create_session(parent=mine).id), pytest.raises(AccessDenied):
        other.get("k")  # a share is not inherited
