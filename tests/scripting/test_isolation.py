"""A script bound to a session reaches that session and its children, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from greenroom.runtime import Runtime

OTHERS = [
    "Session.get(other)",
    "other:suspend()",
    "return other.name",
    "Session.addMessage(other, 'user', 'x')",
    "Session.messages(other)",
    "Session.setVariable(other, 'k', 1)",
    "Session.delete(other)",
    "Session.children(other)",
    "Session.setCurrent(other)",
    "Session.create { parent_session_id = other }",
    "Session.list { parent = other }",
    "Session.saveAll()",
    "Session.restoreRecent(1)",
    "Artifact.store(other, 't', 'n', 'c')",
    "Artifact.getContent(other, 'n')",
    "Artifact.get(Session.current(), artifact)",
    "Artifact.get(Session.current(), { content_hash = hash, session_id = other, sequence = 1 })",
    "Artifact.list(other)",
    "Artifact.delete(other, 'n')",
    "State.get('session:' .. other, 'k')",
    "State.get('session:' .. other .. ':k')",
    "State.set('session:' .. other .. ':k', 1)",
    "State.set('global', 'k', 1)",
    "State.get('user:7', 'k')",
    "State.list('custom:x')",
    "State.clear('global')",
]


@pytest.mark.parametrize("source", OTHERS)
def test_a_bound_script_cannot_reach_another_session(lua: Any, runtime: Runtime, source: str) -> None:
    mine, other = runtime.create_session(), runtime.create_session(name="secret")
    info = other.store_artifact("t", "n", "c")
    before = other.info().sequence
    code = lua(
        "local other, artifact, hash = ... local ok, e = pcall(function() " + source + " end) return not ok and e.code",
        session=mine,
        args=[other.id, str(info.id), info.id.content_hash],
    )
    assert code == "AccessDenied"
    assert other.info().sequence == before


def test_it_cannot_tell_whether_another_session_exists(lua: Any, runtime: Runtime) -> None:
    mine, other = runtime.create_session(), runtime.create_session()
    source = "return select(2, pcall(Session.get, ...)).message"
    unknown = "00000000-0000-4000-8000-000000000000"
    existing = lua(source, session=mine, args=[other.id])
    assert existing.replace(other.id, unknown) == lua(source, session=mine, args=[unknown])


def test_it_reaches_itself_and_the_children_that_it_makes(lua: Any, runtime: Runtime) -> None:
    mine = runtime.create_session(name="mine")
    runtime.create_session(name="other")
    child, grandchild, names, count = lua(
        """
      local me = Session.current()
      me:addTag("t")
      local child = Session.create { name = "child" }
      local grandchild = Session.create { name = "grandchild", parent_session_id = child }
      grandchild:setVariable("k", 1)
      Artifact.store(child, "t", "n", "c")
      local names = {}
      for i, row in ipairs(Session.list { sort_by = "name" }) do names[i] = row.name end
      return child, grandchild, names, Session.count()
    """,
        session=mine,
    )
    assert names == ["child", "grandchild", "mine"]
    assert count == 3
    assert [each.id for each in mine.children()] == [child]
    assert runtime.session(grandchild).get("k") == 1
    # and in a later run of its own
    assert lua("return (...):getVariable('k')", session=mine, args=[grandchild]) == 1
    assert lua("return Session.list { search = 'grand', limit = 5 }[1].id", session=mine) == grandchild
    assert lua("return #Session.list { limit = 1, offset = 2 }", session=mine) == 1
    assert lua("return Session.count { created_after = os.time() + 60 }", session=mine) == 0


def test_its_child_does_not_reach_it(lua: Any, runtime: Runtime) -> None:
    parent = runtime.create_session()
    child = runtime.create_session(parent=parent)
    assert lua("return select(2, pcall(Session.get, ...)).code", session=child, args=[parent.id]) == "AccessDenied"


def test_the_hosts_script_reaches_every_session(lua: Any, runtime: Runtime) -> None:
    session = runtime.create_session(name="any")
    assert lua("return (...).name", args=[session.id]) == "any"


def test_being_current_gives_no_authority(lua: Any, runtime: Runtime) -> None:
    mine, other = runtime.create_session(), runtime.create_session()
    with other.as_current():
        assert lua("return Session.current()", session=mine) == mine.id
        assert lua("return Session.current()") == other.id
