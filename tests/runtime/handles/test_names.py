"""Sessions get other names and descriptions."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenroom.runtime import Runtime, ValidationError, messages


def test_a_session_is_renamed_and_described(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        session = rt.create_session(name="old", description="of old")
        assert session.rename("new").name == "new"
        assert session.describe("of new").description == "of new"
        assert rt.ask(session.id, messages.RenameSession("newer")).name == "newer"
        assert [event.type for event in session.events()][1:] == [
            "session.renamed",
            "session.described",
            "session.renamed",
        ]
        assert [info.name for info in rt.list_sessions(search="newer")] == ["newer"]
        assert not rt.list_sessions(search="old")
        fork = session.fork(at_sequence=2)
        assert fork.info().name == "new"
    with Runtime.open(store_path) as rt:
        info = rt.session(session.id).info()
        assert (info.name, info.description) == ("newer", "of new")
        assert rt.session(session.id).rename(None).name is None
        assert rt.session(session.id).describe("").description == ""
        assert rt.verify().problems == []


def test_the_same_name_again_changes_nothing(rt: Runtime) -> None:
    session = rt.create_session(name="n")
    assert session.rename("n").sequence == 1
    assert session.describe(None).sequence == 1


@pytest.mark.parametrize("end", ["suspended", "completed", "failed", "archived"])
def test_a_session_in_any_status_is_renamed(rt: Runtime, end: str) -> None:
    session = rt.create_session()
    if end == "suspended":
        session.suspend()
    elif end == "failed":
        session.fail("x")
    else:
        session.complete()
    if end == "archived":
        session.archive()
    info = session.rename("n")
    assert (info.name, info.status) == ("n", end)
    assert session.describe("d").description == "d"
    assert rt.verify().problems == []


@pytest.mark.parametrize("name", ["", "x" * 256, 7])
def test_impossible_names_are_refused(rt: Runtime, name: str) -> None:
    session = rt.create_session(name="n")
    with pytest.raises(ValidationError):
        session.rename(name)
    assert session.info().sequence == 1


@pytest.mark.parametrize("history", [True, False])
def test_names_travel_in_bundles(rt: Runtime, tmp_path: Path, history: bool) -> None:
    session = rt.create_session(name="old")
    session.rename("new")
    session.describe("text")
    session.complete()
    session.rename("newer")
    session.export(tmp_path / "b", history=history)
    came = rt.import_session(tmp_path / "b", keep_ids=False).info()
    assert (came.name, came.description, came.status) == ("newer", "text", "completed")
    assert rt.verify().problems == []


def test_truncation_keeps_the_names(rt: Runtime) -> None:
    session = rt.create_session(name="old")
    for at in range(20):
        session.rename(f"n{at}")
    rt.retention(max_journal_events=3, dry_run=False)
    rt.core.supervisor.forget()
    assert session.info().name == "n19"
    assert rt.verify().problems == []


def test_scripts_rename(rt: Runtime) -> None:
    source = (
        "local s = Session.create { name = 'a' } s:rename('b') Session.describe(s, 'd') return s.name .. s.description"
    )
    assert rt.run_script(source).value == "bd"
