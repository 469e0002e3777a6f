"""Labels of versions, checked parents and MIME types, and changes to many artifacts at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import (
    AccessDenied,
    ArtifactId,
    ArtifactNotFound,
    GreenroomError,
    HookCancelled,
    HookResult,
    InvalidOperation,
    Runtime,
    Session,
    ValidationError,
)


def test_a_label_stands_wherever_a_version_does(rt: Runtime, session: Session, tmp_path: Path) -> None:
    session.store_artifact("tool_result", "r.json", "one", label="1.0.0")
    second = session.store_artifact("tool_result", "r.json", "two", label="1.2.0")
    session.store_artifact("tool_result", "r.json", "three")
    session.store_artifact("tool_result", "other", "x", label="1.2.0")
    assert session.get_artifact("r.json", version="1.2.0").content == b"two"
    assert session.get_artifact_info("r.json", "1.2.0") == second
    assert second.label == second.to_dict()["label"] == "1.2.0"
    assert session.get_artifact_info("r.json").label is None
    with session.open_artifact("r.json", "1.0.0") as stream:
        assert stream.read() == b"one"
    assert session.save_artifact("r.json", tmp_path / "out", "1.0.0") == 3
    assert "-one" in session.diff_artifact("r.json", "1.0.0", "1.2.0")
    with pytest.raises(ArtifactNotFound, match="with the label 'nine'"):
        session.get_artifact("r.json", version="nine")
    session.delete_artifact("r.json", "1.2.0")
    with pytest.raises(ArtifactNotFound):
        session.get_artifact("r.json", version="1.2.0")
    assert [event.data.get("label") for event in session.events() if event.type == "artifact.stored"] == [
        "1.0.0",
        "1.2.0",
        None,
        "1.2.0",
    ]
    assert rt.verify().ok


def test_a_label_names_one_version_of_a_name(session: Session) -> None:
    session.store_artifact("t", "a", "1", label="first")
    with pytest.raises(InvalidOperation, match="has the label 'first' already"):
        session.store_artifact("t", "a", "2", label="first")
    with pytest.raises(InvalidOperation):
        session.store_many([{"type": "t", "name": "b", "content": "", "label": "x"}] * 2)
    assert session.artifact_names() == ["a"]
    session.delete_artifact("a")
    assert session.store_artifact("t", "a", "2", label="first").version == 2


@pytest.mark.parametrize(
    "label", ["", "1", " 2 ", "-3", "1.0", "1e3", "latest", "Latest", "a\nb", "x" * 256, 1, b"x", "nan", "\u0663"]
)
def test_a_label_that_could_mean_something_else_is_refused(session: Session, label: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        session.store_artifact("t", "a", "1", label=label)
    assert caught.value.fields["field"] == "label"
    assert session.artifact_names() == []


@pytest.mark.parametrize("version", ["1", "0", 0, -1, 1.0, True, b"x"])
def test_a_version_is_a_number_or_a_label(session: Session, version: Any) -> None:
    session.store_artifact("t", "a", "1")
    with pytest.raises(GreenroomError) as caught:
        session.get_artifact("a", version=version)
    assert isinstance(caught.value, (ValidationError, ArtifactNotFound))


def test_labels_survive_reopening_export_and_fork(store_path: Path, tmp_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        session = rt.create_session()
        session.store_artifact("t", "a", "1", label="first")
        session.store_artifact("t", "a", "2", label="second")
        session.delete_artifact("a", "second")
        session.store_artifact("t", "a", "3", label="second")
        session.export(tmp_path / "whole")
        session.export(tmp_path / "present", history=False)
    with Runtime.open(store_path) as rt, Runtime.open() as other:
        session = rt.session(session.id)
        copies = [session, session.fork()]
        copies += [other.import_session(tmp_path / name, keep_ids=False) for name in ("whole", "present")]
        for each in copies:
            assert each.get_artifact("a", "second").content == b"3"
            assert each.get_artifact("a", "first").content == b"1"
            with pytest.raises(InvalidOperation):
                each.store_artifact("t", "a", "4", label="first")
        assert rt.verify().ok
        assert other.verify().ok


# -- parents


def test_a_parent_is_an_artifact_that_the_session_may_read(rt: Runtime, session: Session) -> None:
    other = rt.create_session()
    theirs = other.store_artifact("t", "theirs", "x").id
    mine = session.store_artifact("t", "mine", "x").id
    assert session.store_artifact("t", "a", "1", parent_artifact=mine).parent_artifact == str(mine)
    assert session.store_artifact("t", "a", "2", parent_artifact="mine").parent_artifact == str(mine)
    before = session.info().sequence
    for parent in ("nothing", ArtifactId("0" * 64, session.id, 1), ArtifactId(mine.content_hash, session.id, 7)):
        with pytest.raises(ArtifactNotFound):
            session.store_artifact("t", "a", "3", parent_artifact=parent)
    strangers = (theirs, ArtifactId("0" * 64, "00000000-0000-4000-8000-000000000000", 1))
    for stranger in strangers:
        with pytest.raises(AccessDenied):
            session.store_artifact("t", "a", "3", parent_artifact=stranger)
        with pytest.raises(AccessDenied):
            session.store_many([{"type": "t", "name": "a", "content": "3", "parent_artifact": stranger}])
    assert session.info().sequence == before
    other.share(theirs, session)
    child = session.store_artifact("t", "a", "3", parent_artifact=theirs)
    assert [info.id for info in session.query_artifacts(parent_artifact=theirs)] == [child.id]
    assert [info.id for info in rt.query_artifacts(parent_artifact=str(theirs))] == [child.id]
    assert session.count_artifacts(parent_artifact=mine) == 2
    assert rt.verify().ok


def test_a_parent_may_come_in_the_same_batch(session: Session) -> None:
    first, second = session.store_many(
        [
            {"type": "t", "name": "first", "content": "1"},
            {"type": "t", "name": "second", "content": "2", "parent_artifact": "first"},
        ]
    )
    assert second.parent_artifact == str(first.id)


def test_a_version_for_another_session_tells_nothing_of_its_artifacts(rt: Runtime, session: Session) -> None:
    other = rt.create_session()
    shared = other.store_artifact("t", "shared", "x").id
    secret = other.store_artifact("t", "secret", "x").id
    other.share(shared, session, "write")
    mine = session.store_artifact("t", "mine", "x").id
    assert session.store_version(shared, "y", parent_artifact=mine).parent_artifact == str(mine)
    assert session.store_version(shared, "y", parent_artifact=shared).parent_artifact == str(shared)
    with pytest.raises(AccessDenied):
        session.store_version(shared, "z", parent_artifact=secret)
    with pytest.raises(ValidationError, match="by its id"):
        session.store_version(shared, "z", parent_artifact="secret")
    with pytest.raises(ArtifactNotFound):
        session.store_version(shared, "z", parent_artifact=ArtifactId("0" * 64, session.id, 1))
    assert [info.version for info in other.artifact_versions("shared")] == [1, 2, 3]


# -- MIME types


@pytest.mark.parametrize(
    "mime_type", ["text", "text/", "/plain", "text/pl ain", "a/b/c", "text/plain\n", "tëxt/plain", ""]
)
def test_a_mime_type_is_type_and_subtype(session: Session, mime_type: str) -> None:
    with pytest.raises(ValidationError) as caught:
        session.store_artifact("t", "a", "1", mime_type=mime_type)
    assert caught.value.fields["field"] == "mime_type"


@pytest.mark.parametrize("mime_type", ["text/plain", "application/vnd.a+json", "text/html; charset=utf-8"])
def test_a_mime_type_is_kept_as_given(session: Session, mime_type: str) -> None:
    assert session.store_artifact("t", "a.json", "1", mime_type=mime_type).mime_type == mime_type


# -- many at once


def test_many_are_deleted_in_one_write(rt: Runtime, session: Session) -> None:
    other = rt.create_session()
    theirs = other.store_artifact("t", "theirs", "x").id
    infos = session.store_many([{"type": "t", "name": f"n{n}", "content": f"{n}"} for n in range(6)])
    session.store_artifact("t", "n0", "again")
    session.share(infos[2].id, other)
    before = session.info()
    report = session.delete_many([infos[1].id, str(infos[2].id), infos[1].id, "n0", "none"])
    after = session.info()
    assert [each.sequence for each in report.deleted] == [2, 3, 7]
    assert report.missing == ("none",)
    assert after.operation_count == before.operation_count + 1
    assert session.artifact_names() == ["n0", "n3", "n4", "n5"]
    assert session.get_artifact("n0").content == b"0"
    assert other.shared_with_me() == []
    assert other.get_artifact("theirs").content == b"x"
    assert session.delete_many([]).deleted == ()
    with pytest.raises(ValidationError, match="another session"):
        session.delete_many(["n0", theirs])
    assert session.artifact_names() == ["n0", "n3", "n4", "n5"]
    assert rt.verify().ok


def test_a_hook_may_refuse_to_delete_many(rt: Runtime, session: Session) -> None:
    session.store_artifact("t", "a", "1")
    handle = rt.hooks.register("BeforeArtifactDelete", lambda context: HookResult.cancel("no"))
    with pytest.raises(HookCancelled):
        session.delete_many(["a"])
    handle.unregister()
    assert session.artifact_names() == ["a"]


def test_names_begin_with_a_prefix(session: Session) -> None:
    for name in ("b", "a/2", "a/1", "a/1", "ä", "gone"):
        session.store_artifact("t", name, "x")
    session.delete_artifact("gone")
    assert session.artifact_names() == ["a/1", "a/2", "b", "ä"]
    assert session.artifact_names("a/") == ["a/1", "a/2"]
    assert session.artifact_names("zzz") == []


def test_the_progress_of_many_reads_is_told(rt: Runtime, session: Session) -> None:
    session.store_many([{"type": "t", "name": f"n{n}", "content": f"{n}"} for n in range(40)])
    refs = [*(f"n{n}" for n in range(40)), "none"]
    told: list[tuple[int, int | None]] = []
    found = session.get_many(refs, on_progress=lambda done, total: told.append((done, total)))
    assert list(found.results) == refs[:-1]
    assert list(found.errors) == ["none"]
    assert told[-1] == (41, 41)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    ids = [info.id for info in session.list_artifacts()]
    assert len(rt.get_many(ids, on_progress=lambda done, total: told.append((done, total))).results) == 40

    def stop(done: int, total: int | None) -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError):
        session.get_many(refs, on_progress=stop)


# -- for reading only


def test_what_the_system_generated_is_shared_for_reading_only(rt: Runtime, session: Session) -> None:
    other = rt.create_session()
    info = session.store_artifact("system_generated", "summary", "x")
    for permission in ("write", "admin"):
        for inherit in (False, True):
            with pytest.raises(InvalidOperation, match="for reading only"):
                session.share(info.id, other, permission, inherit=inherit)
    assert session.permissions(info.id) == []
    session.share(info.id, other, "read")
    assert other.get_artifact(info.id).content == b"x"
    with pytest.raises(AccessDenied):
        other.store_version(info.id, "y")
    with pytest.raises(AccessDenied):
        other.delete_artifact(info.id)


def test_a_version_that_becomes_system_generated_is_not_writable(rt: Runtime, session: Session) -> None:
    other = rt.create_session()
    info = session.store_artifact("t", "a", "x")
    session.share(info.id, other, "admin")
    version = other.store_version(info.id, "y", type="system_generated")
    assert [grant.permission for grant in session.permissions(version.id)] == ["read"]
    assert other.check_access(version.id, "read")
    assert not other.check_access(version.id, "write")
    with pytest.raises(AccessDenied):
        other.store_version(version.id, "z")
