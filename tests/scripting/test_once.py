"""Functions of scripts that change a session take an idempotency key: called again, they change nothing."""

from __future__ import annotations

from typing import Any

import pytest

from greenroom.runtime import Runtime, ScriptError
from greenroom.runtime.agents import echo

CHANGES = [
    "Session.suspend(s, how)",
    "Session.complete(s, how)",
    "Session.fail(s, nil, how)",
    "Session.save(s, how)",
    "Session.load(s, how)",
    "Session.rename(s, 'x', how)",
    "Session.describe(s, 'x', how)",
    "Session.updateMetadata(s, { a = 1 }, how)",
    "Session.setTags(s, { 'a' }, how)",
    "Session.addTag(s, 't', how)",
    "Session.removeTag(s, 'old', how)",
    "Session.fork(s, nil, nil, how)",
    "Session.setVariable(s, 'k', 1, how)",
    "Session.setVariable(s, 'k', nil, how)",
    "Session.deleteVariable(s, 'k', how)",
    "Session.putRecord(s, 'k', 1, how)",
    "Session.addMessages(s, { { role = 'user', content = 'x' } }, how)",
    "Session.editMessage(s, 2, { content = 'y', idempotency_key = 'i' })",
    "Session.retractMessage(s, 2, how)",
    "Session.popMessage(s, how)",
    "Session.truncateMessages(s, 0, how)",
    "Session.clearMessages(s, how)",
    "Session.askHuman(s, 'Why?', how)",
    "Session.answerApproval(s .. '/3', 1, nil, how)",
    "Session.cancelApproval(s .. '/3', nil, how)",
    "Session.saveArtifact(s, 'a', 'x', nil, how)",
    "Session.share(s, other, 'read', how)",
    "Session.revoke(s, other, how)",
    "Session.grantScope(s, 'user:7', 'read', how)",
    "Session.revokeScope(s, 'user:7', how)",
    "Artifact.store(s, 'log', 'a', 'x', nil, how)",
    "Artifact.storeMany(s, { { type = 'log', name = 'a', content = 'x' } }, how)",
    "Artifact.storeVersion(s, 'n', 'y', nil, how)",
    "Artifact.share(s, 'n', other, 'read', how)",
    "Artifact.revoke(s, 'n', other, nil, how)",
    "Artifact.delete(s, 'n', nil, how)",
    "Artifact.deleteMany(s, { 'n' }, how)",
    "State.set('session:current', 'k', 1, how)",
    "State.delete('session:current', 'k', how)",
    "Event.publish('custom.x', {}, how)",
    "Tool.invoke('calculator', { expression = '1' }, how).result",
    "Agent.invoke('echo', 'x', how).text",
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.partition("(")[0])
def test_a_change_is_made_once(lua: Any, runtime: Runtime, change: str) -> None:
    runtime.agents.register("echo", echo)
    session, other = runtime.create_session(tags=["old"]), runtime.create_session()
    session.add_message("user", "x")
    session.ask_human("Which?")
    session.store_artifact("log", "n", b"content")
    first, again, events, later = lua(
        f"""
      local s, other = ...
      local how = {{ idempotency_key = "i" }}
      Session.setCurrent(s)
      local function events() return #s:events() end
      local first = {change}
      local before = events()
      local again = {change}
      return {{ first, again, before, events() }}
    """,
        args=[session.id, other.id],
    )
    assert first == again
    assert events == later
    assert [event.type for event in session.events()].count("command.answered") == 1


def test_a_session_is_deleted_once(lua: Any, runtime: Runtime) -> None:
    script = """
      local s = Session.create { name = "x" }
      local how = { idempotency_key = "i" }
      return { s:delete(how), Session.delete(s, how), (pcall(Session.delete, s)) }
    """
    assert lua(script) == [True, True, False]


def test_other_options_are_refused(lua: Any, runtime: Runtime) -> None:
    with pytest.raises(ScriptError, match="unknown option"):
        lua("Session.create{}:addTag('t', { idempotency = 'i' })")
