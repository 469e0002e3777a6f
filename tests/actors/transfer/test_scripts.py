from __future__ import annotations

from pathlib import Path

import pytest

from greenroom.runtime import Runtime, ScriptError


def test_scripts_export_and_import(rt: Runtime, tmp_path: Path) -> None:
    parent = rt.create_session(name="parent")
    rt.create_session(name="child", parent=parent).set("k", 1)
    script = """
      local parent, path = ...
      local report = Session.export(parent, path, { tree = true, history = false })
      local copy = Session.import(path, { keep_ids = false })
      return { report.sessions, Session.get(copy).name, #Session.children(copy) }
    """
    arguments = (parent.id, str(tmp_path / "s.bundle"))
    result = rt.run_script(script, profile="files", directories=[tmp_path], args=arguments)
    assert result.value == [2, "parent", 1]


@pytest.mark.parametrize("profile", ["sandboxed", "files"])
def test_scripts_reach_only_the_files_they_were_given(rt: Runtime, tmp_path: Path, profile: str) -> None:
    session = rt.create_session()
    session.export(tmp_path / "s.bundle")
    (tmp_path / "granted").mkdir()
    for call in ("Session.export(..., '%s')", "Session.import('%s', {keep_ids = false})"):
        for path in (tmp_path / "s.bundle", tmp_path / "granted" / ".." / "s.bundle"):
            with pytest.raises(ScriptError, match=r"file|director"):
                rt.run_script(call % path, profile=profile, directories=[tmp_path / "granted"], args=[session.id])
    assert rt.count_sessions() == 1


def test_a_bound_script_exports_its_own_session_and_imports_none(rt: Runtime, tmp_path: Path) -> None:
    own, foreign = rt.create_session(), rt.create_session()
    target = str(tmp_path / "s.bundle")

    def run(source: str, *arguments: str) -> object:
        return rt.run_script(source, profile="files", directories=[tmp_path], session=own, args=arguments).value

    assert run("return Session.export(nil, ...).sessions", target) == 1
    with pytest.raises(ScriptError, match="may not access"):
        run("local id, path = ...; Session.export(id, path)", foreign.id, target)
    with pytest.raises(ScriptError, match="host"):
        run("Session.import(..., {keep_ids = false})", target)


def test_scripts_fork_with_changes(rt: Runtime) -> None:
    s = rt.create_session()
    asked = s.add_message("user", "hi").sequence
    s.add_message("assistant", "hello")
    script = """
      local id, asked = ...
      return Session.fork(id, asked, {
        system_prompt = "Be brief.", edit_messages = { [asked] = "ho" }, variables = { k = { 1, 2 } },
        add_messages = { { role = "user", content = "more" } }, tags = { "tried" },
      })
    """
    fork = rt.session(str(rt.run_script(script, args=(s.id, asked)).value))
    assert [(turn.role, turn.content) for turn in fork.messages()] == [
        ("user", "ho"), ("system", "Be brief."), ("user", "more")
    ]  # fmt: skip
    assert fork.get("k") == [1, 2]
    assert fork.info().tags == ("tried",)
    with pytest.raises(ScriptError, match="unknown option 'variable'"):
        rt.run_script("Session.fork(..., nil, { variable = 1 })", args=[s.id])
    with pytest.raises(ScriptError, match="no message 99"):
        rt.run_script("Session.fork(..., nil, { drop_messages = { 99 } })", args=[s.id])


def test_scripts_look_at_differences_and_contexts(rt: Runtime) -> None:
    s = rt.create_session()
    s.add_message("user", "hi")
    s.add_message("assistant", "hello")
    s.set("k", 1)
    script = """
      local id = ...
      local fork = Session.fork(id, 3, { variables = { k = 2 } })
      local change = Session.diff(id, 3).changes[1]
      local both = Session.compare(id, fork)
      local view = Session.context(id)
      return { change.kind, change.path[2], change.after, both.common, both.b.first.type, view.number, #view.messages }
    """
    assert rt.run_script(script, args=[s.id]).value == ["added", "k", 1, 3, "session.forked", 1, 1]
    with pytest.raises(ScriptError, match="events 1 to 4"):
        rt.run_script("Session.diff(..., 9)", args=[s.id])
