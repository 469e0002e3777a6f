"""The globals Session, Artifact and State, on a real runtime."""

from __future__ import annotations

from typing import Any

import pytest

from greenroom.runtime import Runtime, ScriptError, Session


def test_create_returns_an_id_that_answers_fields_and_methods(lua: Any, runtime: Runtime) -> None:
    found = lua("""
      local s = Session.create { name = "x", description = "d", created_by = "me", tags = { "a" },
                                 metadata = { team = "t" }, config = { max_artifacts = 5 } }
      s:addTag("b")
      s:suspend()
      local suspended = s.status
      s:resume()
      return { type(s), s.id == s, s.name, s.created_by, suspended, s.status, s:getTags(), s.tags,
               s.custom_metadata.team, ("upper"):upper(), s:sub(9, 9), s }
    """)
    assert found[:11] == ["string", True, "x", "me", "suspended", "active", ["a", "b"], ["a", "b"], "t", "UPPER", "-"]
    assert runtime.session(found[11]).info().description == "d"


def test_a_string_that_is_no_session_id_answers_nothing_new(lua: Any) -> None:
    assert lua("return {(('x').id == nil), (('x').name == nil), (('x').suspend == nil)}") == [True, True, True]
    with pytest.raises(ScriptError) as caught:
        lua("local id = '00000000-0000-4000-8000-000000000000' return id.name")
    assert caught.value.cause == "SessionNotFound"


def test_functions_added_to_string_are_methods_of_strings(lua: Any) -> None:
    assert lua("function string.twice(s) return s .. s end return ('ab'):twice()") == "abab"


def test_rows_have_the_fields_of_session_info(lua: Any, runtime: Runtime) -> None:
    session = runtime.create_session(name="x", metadata={"n": 1, "l": [], "z": None})
    row = lua("return Session.get(...)", args=[session.id])
    expected = {key: value for key, value in session.info().to_dict().items() if value is not None}
    row.pop("duration"), expected.pop("duration")
    config = row.pop("config")
    assert row == expected
    assert config == lua("local id = ... return id.config", args=[session.id])
    assert config["max_artifacts"] == session.config.max_artifacts
    assert "max_duration" not in config


@pytest.mark.parametrize("given", ["'nonsense'", "'00000000-0000-4000-8000-000000000000'", "42", "nil"])
def test_get_of_an_unknown_or_malformed_id_raises(lua: Any, given: str) -> None:
    assert lua(f"return (pcall(Session.get, {given}))") is False


def test_life_cycle(lua: Any, runtime: Runtime) -> None:
    a, b = runtime.create_session(), runtime.create_session()
    lua("local a, b = ... a:complete() a:archive() Session.fail(b, 'why') b:save() b:load()", args=[a.id, b.id])
    assert (a.info().status, b.info().status, b.info().failure_reason) == ("archived", "failed", "why")
    error = lua(
        "local ok, e = pcall(Session.resume, ...) return { e.code, e.message, tostring(e), 'x' .. e, e .. 'x' }",
        args=[a.id],
    )
    assert error[0] == "InvalidStateTransition"
    assert error[2] == f"{error[0]}: {error[1]}"
    assert error[3:] == ["x" + error[2], error[2] + "x"]
    lua("Session.delete(...)", args=[a.id])
    assert not runtime.exists(a.id)


def test_list_and_count_take_queries(lua: Any, runtime: Runtime) -> None:
    for number in range(5):
        runtime.create_session(name=f"s{number}", tags=["even" if number % 2 == 0 else "odd"])
    runtime.create_session(name="done").complete()
    assert lua("""
      local names = {}
      for i, row in ipairs(Session.list { tags = { "even" }, sort_by = "name", descending = true, limit = 2 }) do
        names[i] = row.name
      end
      return { names, Session.count(), Session.count { status = "completed" }, Session.count { tags = { "odd" } },
               #Session.list { created_after = os.time() + 60 }, #Session.list { created_after = os.time() - 60 },
               #Session.list { created_before = "2020-01-01T00:00:00Z" } }
    """) == [["s4", "s2"], 5, 1, 2, 0, 5, 0]
    with pytest.raises(ScriptError) as caught:
        lua("Session.list { colour = 'red' }")
    assert caught.value.cause == "ValidationError"


def test_tags_metadata_and_variables(lua: Any, runtime: Runtime) -> None:
    session = runtime.create_session()
    assert lua(
        """
      local s = ...
      s:setTags { "a", "b" } s:removeTag("a")
      s:updateMetadata { x = 1, y = { 1, 2 } } s:updateMetadata { x = JSON.null }
      s:setVariable("k", { deep = { 1, 2.5, "t", true, JSON.null } })
      s:setVariable("gone", 1) s:setVariable("gone", nil)
      return { s:getTags(), s:getMetadata(), s:getVariable("k"), s:getVariable("none", 7), s:listVariables() }
    """,
        args=[session.id],
    ) == [["b"], {"y": [1, 2]}, {"deep": [1, 2.5, "t", True, None]}, 7, {"k": {"deep": [1, 2.5, "t", True, None]}}]
    lua("Session.setTags(..., {})", args=[session.id])
    assert session.info().tags == ()


def test_records(lua: Any, runtime: Runtime) -> None:
    session = runtime.create_session()
    session.records.put(b"step/0", b"\x00\xff")
    assert lua(
        """
      local s = ...
      for n = 1, 5 do s:putRecord("step/" .. n, { n = n }) end
      s:putRecord("gone", "text") s:putRecord("gone", nil) s:putRecord("text", "text")
      local rows = s:scanRecords { prefix = "step/", reverse = true, after = "step/5", limit = 2 }
      local raw = s:getRecord("step/0")
      return { rows, s:getRecord("none", 7), s:getRecord("text"), #raw, raw == "\\0\\255", #s:scanRecords() }
    """,
        args=[session.id],
    ) == [[{"key": "step/4", "value": {"n": 4}}, {"key": "step/3", "value": {"n": 3}}], 7, "text", 2, True, 7]
    assert session.records.get("step/5") == {"n": 5}
    assert session.records.get("gone") is None


def test_children_and_parents(lua: Any, runtime: Runtime) -> None:
    parent = runtime.create_session()
    child, rows = lua(
        "local c = Session.create { parent_session_id = ... } return c, Session.children(...)", args=[parent.id]
    )
    assert [row["id"] for row in rows] == [child]
    assert rows[0]["parent_session_id"] == parent.id


def test_conversation(lua: Any, runtime: Runtime) -> None:
    session = runtime.create_session()
    rows = lua(
        """
      local s = ...
      s:addMessage("user", "hello")
      s:addMessage("assistant", nil, { tool_calls = { { id = "c", name = "f" } }, metadata = { n = 1 } })
      s:addMessage("tool", "result", { tool_call_id = "c", name = "f" })
      return { s:messages(), s:messages { limit = 1 }, #s:messages { before = s:messages()[2].sequence } }
    """,
        args=[session.id],
    )
    assert [row["role"] for row in rows[0]] == ["user", "assistant", "tool"]
    assert rows[0][1]["tool_calls"] == [{"id": "c", "name": "f"}]
    assert "content" not in rows[0][1]
    assert [row["content"] for row in rows[1]] == ["result"]
    assert rows[2] == 1
    assert len(session.messages()) == 3


def test_a_turn_is_added_once_and_only_if_nothing_came_between(lua: Any, runtime: Runtime) -> None:
    session = runtime.create_session()
    first, again, ok, code = lua(
        """
      local s = ...
      local first = s:addMessage("user", "x", { idempotency_key = "i", expected_sequence = 1 })
      local again = s:addMessage("user", "x", { idempotency_key = "i", expected_sequence = 1 })
      local ok, problem = pcall(s.addMessage, s, "user", "y", { expected_sequence = 1 })
      return { first.sequence, again.sequence, ok, problem.code }
    """,
        args=[session.id],
    )
    assert (first, again, ok, code) == (2, 2, False, "Conflict")
    assert [turn.content for turn in session.messages()] == ["x"]


def test_a_conversation_is_changed(lua: Any, runtime: Runtime) -> None:
    session = runtime.create_session()
    rows = lua(
        """
      local s = ...
      local turns = s:addMessages { { role = "user", content = "a" }, { role = "assistant", content = "b" },
        { role = "user", content = "c" }, { role = "user", content = "d" }, { role = "user", content = "e" } }
      local edited = Session.editMessage(s, turns[1].sequence, { content = "A", metadata = { n = 1 } })
      local taken = s:retractMessage(turns[2].sequence)
      local popped = s:popMessage()
      local cut = s:truncateMessages(turns[3].sequence)
      local left = s:messages()
      local unknown = pcall(Session.editMessage, s, turns[1].sequence, { contents = "x" })
      return { edited, taken.content, popped.content, cut, #left, left[1].content, s:clearMessages(), unknown,
        pcall(Session.popMessage, s) }
    """,
        args=[session.id],
    )
    assert (rows[0]["content"], rows[0]["metadata"], "edited_at" in rows[0]) == ("A", {"n": 1}, True)
    assert rows[1:8] == ["b", "e", 1, 2, "A", 2, False]
    assert rows[8] is False
    assert session.messages() == []


def test_the_current_session_is_a_default(lua: Any, runtime: Runtime) -> None:
    session = runtime.create_session(name="mine")
    assert lua("return Session.getCurrent()") is None
    assert lua("return Session.getCurrent()", session=session) == session.id
    assert lua(
        """
      Session.setCurrent(...)
      Artifact.store("", "t", "n", "c")
      Artifact.store(nil, "t", "n", "c2")
      State.set("k", 1)
      local before = Session.current()
      Session.setCurrent(nil)
      State.set("k", 2)
      return { before, Session.current() == nil, State.get("k") }
    """,
        args=[session.id],
    ) == [session.id, True, 2]
    assert session.get("k") == 1
    assert session.get_artifact("n").content == b"c2"
    assert Session.current() is None


def test_artifacts_round_trip_binary_content(lua: Any, runtime: Runtime) -> None:
    session = runtime.create_session()
    blob = bytes(range(256)) * 3
    session.store_artifact("tool_result", "in.bin", blob)
    row, content, size = lua(
        """
      local s = ...
      local content = Artifact.getContent(s, "in.bin")
      local id = Artifact.store(s, "agent_output", "out.bin", content:reverse(), {
        mime_type = "application/x-thing", description = "d", tags = { "t" }, created_by = "me",
        parent_artifact = Artifact.getInfo(s, "in.bin").id, step = 3 })
      local got = Artifact.get(s, id)
      return got.metadata, got.content, #content
    """,
        args=[session.id],
    )
    stored = session.get_artifact("out.bin")
    assert content == stored.content == blob[::-1]
    assert size == len(blob)
    assert stored.info.custom == {"step": 3}
    assert (stored.info.mime_type, stored.info.description, stored.info.tags) == ("application/x-thing", "d", ("t",))
    assert row["id"] == {
        "content_hash": stored.info.id.content_hash,
        "session_id": session.id,
        "sequence": stored.info.id.sequence,
    }
    assert row["custom"] == {"step": 3}
    assert row["parent_artifact"]


def test_artifact_versions_list_and_delete(lua: Any, runtime: Runtime) -> None:
    session = runtime.create_session()
    assert lua(
        """
      local s = ...
      local one = Artifact.store(s, "t", "n", "one")
      Artifact.store(s, "t", "n", "two")
      local id = s:saveArtifact("m", "three", { type = "note", k = "v" })
      local loaded = s:loadArtifact(id)
      local texts = { Artifact.getContent(s, "n"), Artifact.getContent(s, "n", 1), Artifact.getContent(s, one) }
      local versions, all = #Artifact.versions(s, "n"), #Artifact.list(s)
      Artifact.delete(s, one)
      return { texts, versions, all, #s:listArtifacts(), loaded.content, loaded.metadata.artifact_type,
               loaded.metadata.custom.k, (pcall(Artifact.get, s, one)) }
    """,
        args=[session.id],
    ) == [["two", "one", "one"], 2, 3, 2, "three", "note", "v", False]


def test_state_has_scopes(lua: Any, runtime: Runtime) -> None:
    session = runtime.create_session()
    found = lua(
        """
      local s = ...
      State.set("k", "global by default")
      State.set("user:7", "k", "user")
      State.set("session:" .. s, "k", "by scope")
      State.set("session:" .. s .. ":other", "by key")
      State.set("custom:x", "a:1", 1) State.set("custom:x", "a:2", 2) State.set("custom:x", "b", 3)
      State.delete("custom:x", "b")
      return { State.get("k"), State.get("user:7", "k"), State.get("session:" .. s, "k"),
               State.get("session:" .. s .. ":other"), State.get("none", 5), State.get("user:7", "none", 6),
               State.list("custom:x", "a:"), State.list("custom:x"), State.clear("custom:x"), State.list("custom:x"),
               State.get("global", "k") }
    """,
        args=[session.id],
    )
    both = {"a:1": 1, "a:2": 2}
    assert found == [
        "global by default", "user", "by scope", "by key", 5, 6, both, both, 2, {}, "global by default",
    ]  # fmt: skip
    assert session.variables() == {"k": "by scope", "other": "by key"}
    assert runtime.state_scope("user:7").get("k") == "user"


def test_values_keep_their_types(lua: Any, runtime: Runtime) -> None:
    session = runtime.create_session()
    values = {
        "int": 2**62, "negative": -5, "float": 2.0, "text": "ünï", "empty": "", "yes": True, "list": [1, [], {}],
        "object": {"1": "a", "": "b"}, "null": None, "bytes": b"\xff\x00", "nested": {"l": [None, None]},
    }  # fmt: skip
    for key, value in values.items():
        session.set(key, value)
    assert lua("for k, v in pairs(State.list()) do State.set('copy-' .. k, v) end", session=session) is None
    for key, value in values.items():
        copied = session.get(f"copy-{key}")
        assert (copied, type(copied)) == (value, type(value))
    assert lua("return { State.get('null') == JSON.null, math.type(State.get('float')) }", session=session) == [
        True,
        "float",
    ]


def test_returned_values(lua: Any) -> None:
    assert lua("return nil") is None
    assert lua("return 1, nil, 'x'") == [1, None, "x"]
    assert lua("return {}") == {}
    assert lua("return JSON.array {}") == []
    assert lua("return { 1, 2, x = 3 }") == {"1": 1, "2": 2, "x": 3}
    assert lua("return { [2] = 'b' }") == {"2": "b"}
    assert lua("return '\\xff'") == b"\xff"
    for source in ("return print", "return coroutine.create(print)", "return { [{}] = 1 }"):
        with pytest.raises(ScriptError) as caught:
            lua(source)
        assert caught.value.cause == "ValidationError"


def test_arguments_arrive_as_varargs_and_arg(lua: Any) -> None:
    assert lua("local a, b = ... return { a, b.x, #arg, arg[3] }", args=["p", {"x": [1]}, 2]) == ["p", [1], 3, 2]


def test_host_calls_check_their_arguments(lua: Any) -> None:
    for call in ("Session.addTag()", "Session.suspend(1, 2, 3)", "State.set()", "Artifact.get('x')", "State.get({})"):
        error = lua(f"local ok, e = pcall(function() {call} end) return e.code")
        assert error in ("ValidationError", "SessionNotFound"), call


def test_save_all_and_restore_recent(lua: Any, runtime: Runtime) -> None:
    session = runtime.create_session()
    assert lua("return { Session.saveAll(), Session.restoreRecent(5) }") == [1, [session.id]]


def test_rows_of_sessions_answer_the_same_methods_as_ids(lua: Any) -> None:
    assert lua("""
      local parent = Session.create { name = "parent" }
      local child = Session.create { name = "child", parent = parent, tags = { "t" } }
      local row = Session.get(child)
      row:addTag("u") row:setVariable("k", 1)
      local tree = parent:tree()
      return { row.name, row:getTags(), row:hasTag("u"), row.nothing == nil, row:deleteVariable("k"),
               row:deleteVariable("k"), row:parent() == parent, parent:parent() == nil,
               Session.list { tags = { "u" } }[1]:getVariable("k", "none"), parent:children()[1]:hasTag("t"),
               tree.children[1].name, #Session.children(tree.children[1]), #row:events { after = 1 } }
    """) == ["child", ["t", "u"], True, True, True, False, True, True, "none", True, "child", 0, 3]


def test_rows_of_artifacts(lua: Any) -> None:
    assert lua("""
      local s = Session.create {}
      local id = Artifact.store(s, "report", "a", "one", { tags = { "t" }, step = 3 })
      local row = Artifact.getInfo(s, id)
      local own = Artifact.getInfo(s, Artifact.store(s, "report", "b", "x", { custom = 1, tags = { "u" } }))
      return { tostring(id) == id.content_hash .. ":" .. s .. ":1", tostring(row.id) == tostring(id),
               row.metadata.tags, row.metadata.custom.step, row.original_size, row.custom.tags, own.custom.custom,
               Artifact.get(s, tostring(id)).metadata.metadata.name, Artifact.list(s)[2].metadata.name,
               s:listArtifacts()[1].original_size, JSON.parse(JSON.stringify(row)).metadata == nil }
    """) == [True, True, ["t"], 3, 3, ["t"], 1, "a", "b", 3, True]


def test_cleanup_deletes_what_has_ended(lua: Any, runtime: Runtime) -> None:
    ended, going = runtime.create_session(), runtime.create_session()
    ended.complete()
    assert lua(
        "return { Session.cleanup(), Session.cleanup(1), Session.cleanup(0), Session.count { status = 'all' } }"
    ) == [*(0, 0, 1, 1)]
    assert runtime.exists(going.id)


def test_many_artifacts_at_once(lua: Any) -> None:
    assert lua("""
      local s = Session.create {}
      local ids = Artifact.storeMany(s, {
        { type = "log", name = "a", content = "one\\n", metadata = { tags = { "t" } } },
        { artifact_type = "log", name = "b", content = "\\0\\255" } })
      Artifact.update(s, ids[1], "two\\n")
      local found = Artifact.getMany(s, { ids[1], "b", "none" })
      local ok, e = pcall(Artifact.storeMany, s, { { type = "log", name = "c", content = "x" }, { type = "log" } })
      return { #ids, #found.found, found.found[1].content, found.found[2].content == "\\0\\255",
               found.failures[1].artifact, found.failures[1].code, tostring(found.found[1].id) == tostring(ids[1]),
               Artifact.diff(s, "a", 1), ok, e.code, #Artifact.list(s), #Artifact.getMany(s, {}).found }
    """) == [
        *(2, 2, "one\n", True, "none", "ArtifactNotFound", True),
        "--- a (version 1)\n+++ a (version 2)\n@@ -1 +1 @@\n-one\n+two\n",
        *(False, "ValidationError", 3, 0),
    ]


def test_check_access_takes_session_and_permission_in_either_order(lua: Any) -> None:
    assert lua("""
      local s, o = Session.create {}, Session.create {}
      Artifact.store(s, "log", "a", "x")
      Artifact.share(s, "a", o)
      return { Artifact.checkAccess(s, "a", o, "read"), Artifact.checkAccess(s, "a", "read", o),
               Artifact.checkAccess(s, "a", o, "write"), Artifact.checkAccess(s, "a", "write", o),
               Artifact.checkAccess(s, "a", o), Artifact.checkAccess(s, "a", "admin"), Artifact.checkAccess(s, "a") }
    """) == [True, True, False, False, True, True, True]
