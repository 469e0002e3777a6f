"""Every type of event that there is comes from somewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from greenroom.runtime import GreenroomError, HookResult, Runtime

JOURNALED = {
    "session.created", "session.suspended", "session.resumed", "session.completed", "session.failed",
    "session.archived", "session.saved", "session.restored", "session.forked", "session.imported",
    "session.renamed", "session.described",
    "variable.set",
    "variable.deleted", "metadata.updated", "tags.changed", "artifact.stored", "artifact.deleted", "artifact.shared",
    "artifact.revoked", "message.added", "tool.called", "tool.returned", "agent.called", "agent.returned",
    "tool.result_changed",
    "hook.executed", "policy.warning", "policy.violated", "script.started", "script.finished", "custom.own",
    "records.changed", "command.answered", "session.shared", "session.unshared", "scope.granted", "scope.revoked",
    "approval.requested", "approval.answered", "approval.expired", "approval.cancelled",
}  # fmt: skip
TOLD = {"session.started", "session.deleted", "artifact.retrieved"}


def test_every_type_is_produced_and_what_is_journaled_is_told_as_it_is(tmp_path: Path, clock: Any) -> None:
    with Runtime.open(tmp_path / "store", clock=clock) as rt:
        with rt.events.subscribe("**", capacity=10_000) as listening:
            everything(rt, clock, tmp_path)
            told = []
            while (event := listening.receive(0)) is not None:
                told.append(event)
        journaled = {
            each.id: each for info in rt.list_sessions(status=STATUSES) for each in rt.session(info.id).events()
        }
        types = {each.type for each in told if each.sequence}
        assert sorted(JOURNALED - types) == []
        assert sorted(TOLD - {each.type for each in told if not each.sequence}) == []
        for event in told:
            if event.id in journaled:
                assert journaled[event.id] == event
        assert rt.verify().problems == []


STATUSES = ["active", "suspended", "completed", "failed", "archived"]


def everything(rt: Runtime, clock: Any, tmp_path: Path) -> None:
    rt.tools.register("double", lambda n: 2 * n)
    rt.agents.register("mirror", lambda input, context: {"text": "reply"})
    rt.hooks.register("BeforeStateWrite", lambda context: HookResult.continue_(), name="watch", replayable=True)
    s, other = rt.create_session(config={"max_duration": 3600, "max_artifacts": 4}), rt.create_session()
    s.set("k", 1, idempotency_key="i")
    s.delete_variable("k")
    s.records.put(b"k", 1)
    s.update_metadata({"a": 1})
    rt.approvals.answer(s.ask_human("Which?"), 1)
    rt.approvals.cancel(s.ask_human("Which?"))
    s.ask_human("Which?", expires=1)
    clock.advance(2)
    s.ask_human("Which?")
    s.add_tag("t")
    s.add_message("user", "hello")
    s.edit_message(s.messages()[0].sequence, content="hallo")
    s.pop_message()
    with s.stream_message("assistant") as stream:
        stream.write("hello")
    s.call_tool("double", {"n": 2})
    s.call_agent("mirror", "hello")
    info = s.store_artifact("own", "a", "content")
    s.get_artifact("a")
    s.share(info.id, other, "read")
    s.revoke(info.id, other)
    s.share(other)
    s.revoke(other)
    s.grant_scope("user:7")
    s.revoke_scope("user:7")
    s.delete_artifact("a")
    rt.run_script("return 1", session=s)
    rt.events.publish("custom.own", {}, s)
    for n in range(10):  # past its thresholds, and past its limit
        try:
            s.store_artifact("own", f"n{n}", str(n))
        except GreenroomError:
            break
    s.rename("other")
    s.describe("text")
    called = next(each.sequence for each in s.events() if each.type == "tool.called")
    s.fork(changes={"tool_results": {called: 5}}).delete()
    s.export(tmp_path / "s.bundle")
    rt.import_bundle(tmp_path / "s.bundle", keep_ids=False)
    s.save()
    s.suspend()
    s.resume()
    rt._supervisor.forget()
    s.load()
    s.complete()
    s.archive()
    other.fail("out of luck")
