from __future__ import annotations

import subprocess
import tarfile
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from greenroom.runtime import (
    BundleError,
    IntegrityError,
    InvalidOperation,
    Runtime,
    Session,
    SessionAlreadyExists,
    SessionNotFound,
    SessionStatus,
    SessionTree,
    StorageError,
    messages,
)
from greenroom.storage.codec.keys import sequence_key, session_bytes
from greenroom.storage.engine.engine import CF, Engine

Everything = Callable[[Runtime], list[tuple[bytes, bytes]]]


def view(session: Session, *, sequences: bool = True) -> dict[str, Any]:
    """What a user sees of a session, without what an import must change."""
    info = session.info().to_dict()
    for name in ("id", "sequence", "updated_at", "duration", "parent_session_id", "correlation_id"):
        info.pop(name)
    artifacts = []
    for each in session.list_artifacts():
        row = each.to_dict()
        row["id"] = (each.id.content_hash, each.id.sequence)
        row["parent_artifact"] = each.parent_artifact and each.parent_artifact.rsplit(":", 1)[1]
        artifacts.append((row, session.get_artifact(each.id).content))
    messages = [message.to_dict() for message in session.messages()]
    for message in messages:
        message["sequence"] = message["sequence"] if sequences else 0
    return {
        "info": info,
        "variables": session.variables(),
        "records": session.records.scan(),
        "artifacts": artifacts,
        "messages": messages,
    }


def shape(tree: SessionTree) -> list[Any]:
    return [tree.info.name, tree.info.status, [shape(child) for child in tree.children]]


def line(session: Session) -> list[Session]:
    """A session, its only child, and so on."""
    found = [session]
    while children := found[-1].children():
        found.append(found[-1]._runtime.session(children[0].id))
    return found


@pytest.mark.parametrize("history", [True, False])
@pytest.mark.parametrize("keep_ids", [True, False])
def test_a_tree_comes_back_as_it_was(
    family: Session, other: Runtime, tmp_path: Path, history: bool, keep_ids: bool
) -> None:
    report = family.export(tmp_path / "s.bundle", tree=True, history=history)
    assert report.sessions == 3
    assert report.bytes == (tmp_path / "s.bundle").stat().st_size
    imported = other.import_bundle(tmp_path / "s.bundle", keep_ids=keep_ids)
    assert shape(imported[0].tree()) == shape(family.tree())
    for before, after in zip(line(family), imported, strict=True):
        assert (before.id == after.id) is keep_ids
        assert view(after, sequences=history) == view(before, sequences=history)
    # A reference to an artifact of a relative leads to the relative that came along.
    assert imported[1].get_artifact_info("shared").parent_artifact == str(imported[0].get_artifact_info("r.txt", 1).id)
    assert other.verify().problems == []
    assert [info.id for info in other.list_sessions(tags=["drei ü"], metadata={"team": "x"})] == [imported[0].id]
    assert other.count_sessions(status="archived") == 1


def test_the_journal_comes_along_and_tells_of_the_import(family: Session, other: Runtime, tmp_path: Path) -> None:
    report = family.export(tmp_path / "s.bundle")
    assert (report.sessions, report.events) == (1, family.info().sequence)
    session = other.import_session(tmp_path / "s.bundle")
    *before, imported = session.events()
    assert [each.to_dict() for each in before] == [each.to_dict() for each in family.events()]
    assert imported.type == "session.imported"
    assert imported.data == {
        "from_session": family.id,
        "events": report.events,
        "history": True,
        "bundle": report.checksum,
    }
    assert session.info().operation_count == family.info().operation_count


def test_without_history_only_what_still_holds_is_in_the_bundle(rt: Runtime, other: Runtime, tmp_path: Path) -> None:
    session = rt.create_session(name="s", tags=["secret-tag"], metadata={"secret": "in metadata"})
    for value in ("secret one", "secret two", "in force"):
        session.set("k", value)
    session.set("gone", "secret variable")
    session.delete_variable("gone")
    session.set_tags(["public"])
    session.update_metadata({"secret": None, "open": 1})
    session.store_artifact("t", "a", "kept")
    session.store_artifact("t", "a", "secret version", description="secret description", metadata={"m": "secret"})
    session.delete_artifact("a", 2)
    report = session.export(tmp_path / "s.bundle", history=False)
    assert b"secret" not in (tmp_path / "s.bundle").read_bytes()
    assert report.events < session.info().sequence
    copy = other.import_session(tmp_path / "s.bundle")
    assert view(copy) == view(session)
    # Neither a version nor a number is ever given out twice, whatever has been left out.
    stored = copy.store_artifact("t", "a", "next")
    assert (stored.version, stored.id.sequence) == (3, 3)


@pytest.mark.parametrize("history", [True, False])
def test_an_imported_session_goes_on_and_travels_again(
    family: Session, other: Runtime, tmp_path: Path, history: bool
) -> None:
    family.export(tmp_path / "1.bundle", history=history)
    session = other.import_session(tmp_path / "1.bundle")
    assert session.store_artifact("t", "last", "again").version == 2
    session.set("more", 1)
    session.complete()
    session.export(tmp_path / "2.bundle", history=history)
    with Runtime.open() as third:
        again = third.import_session(tmp_path / "2.bundle")
        assert view(again) == view(session)
        assert again.info().status is SessionStatus.COMPLETED
        assert third.verify().problems == []


@pytest.mark.parametrize("end", ["none", "suspend", "complete", "fail", "archive"])
def test_every_status_comes_back_without_history(rt: Runtime, other: Runtime, tmp_path: Path, end: str) -> None:
    session = rt.create_session()
    session.suspend()
    session.resume()
    if end == "fail":
        session.fail("reason")
    elif end == "archive":
        session.complete()
        session.archive()
    elif end != "none":
        getattr(session, end)()
    session.export(tmp_path / "s.bundle", history=False)
    assert view(other.import_session(tmp_path / "s.bundle")) == view(session)


def test_ids_that_are_taken_are_refused_and_new_ones_are_not(
    family: Session, rt: Runtime, tmp_path: Path, everything: Everything
) -> None:
    family.export(tmp_path / "s.bundle", tree=True)
    before = everything(rt)
    with pytest.raises(SessionAlreadyExists):
        rt.import_bundle(tmp_path / "s.bundle")
    assert everything(rt) == before
    copies = rt.import_bundle(tmp_path / "s.bundle", keep_ids=False)
    assert rt.stats()["artifacts"]["contents"] == len({key for key, _ in rt._store.engine.scan(6, b"", b"\xff" * 33)})
    assert view(copies[0]) == view(family)
    for copy in reversed(copies):
        copy.delete()
    # What the copies shared with the originals is still there, and nothing else.
    assert view(family)["artifacts"]
    assert everything(rt) == before
    assert rt.verify().problems == []


def test_deleting_what_was_imported_leaves_nothing(
    family: Session, other: Runtime, tmp_path: Path, everything: Everything
) -> None:
    other.create_session().delete()
    before = everything(other)
    family.export(tmp_path / "s.bundle", tree=True)
    for session in reversed(other.import_bundle(tmp_path / "s.bundle")):
        session.delete()
    assert everything(other) == before


def test_a_child_finds_its_parent_if_that_is_there(
    family: Session, rt: Runtime, other: Runtime, tmp_path: Path
) -> None:
    child = line(family)[1]
    child.export(tmp_path / "child.bundle")
    orphan = other.import_session(tmp_path / "child.bundle")
    assert orphan.parent() is None
    assert orphan.info().parent_session_id is None
    sibling = rt.import_session(tmp_path / "child.bundle", keep_ids=False)
    assert sibling.parent() == family
    assert {info.id for info in family.children()} == {child.id, sibling.id}


def test_families_never_become_cycles(rt: Runtime, other: Runtime, tmp_path: Path) -> None:
    top = rt.create_session(name="top")
    below = rt.create_session(name="below", parent=top)
    top.export(tmp_path / "top.bundle")
    below.export(tmp_path / "below.bundle")
    # In the other store `below` loses its link, so `top` can come later without a circle of any length.
    first = other.import_session(tmp_path / "below.bundle")
    second = other.import_session(tmp_path / "top.bundle")
    assert first.parent() is None
    assert shape(second.tree()) == ["top", "active", []]


def test_a_bundle_is_of_one_moment_while_others_write(rt: Runtime, other: Runtime, tmp_path: Path) -> None:
    session = rt.create_session()
    child = rt.create_session(parent=session)
    stop = threading.Event()
    started = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            session.set("n", number)
            session.store_artifact("t", "a", b"%d" % number * 50)
            if number > 3:
                session.delete_artifact("a", number - 3)
            child.set("n", number)
            if number == 5:
                started.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert started.wait(30)
        for history in (True, False):
            session.export(tmp_path / "s.bundle", tree=True, history=history)
            copies = other.import_bundle(tmp_path / "s.bundle", keep_ids=False)
            # The child is written last, so it can be one behind, and never ahead.
            assert copies[0].get("n") - copies[1].get("n", 0) in (0, 1)
    finally:
        stop.set()
        writer.join()
    assert other.verify().problems == []


def test_a_follower_exports_too(store_path: Path, other: Runtime, tmp_path: Path) -> None:
    with Runtime.open(store_path) as writer:
        session = writer.create_session(name="s")
        session.store_artifact("t", "a", b"x" * 300_000)
        with Runtime.open(store_path, read_only=True) as follower:
            follower.export_session(session.id, tmp_path / "s.bundle")
            with pytest.raises(InvalidOperation):
                follower.import_bundle(tmp_path / "s.bundle")
        assert view(other.import_session(tmp_path / "s.bundle")) == view(session)


def test_tar_and_a_hash_tool_can_read_it(family: Session, tmp_path: Path) -> None:
    family.export(tmp_path / "s.bundle")
    with tarfile.open(tmp_path / "s.bundle") as tar:
        names = tar.getnames()
        for name in names:
            file = tar.extractfile(name)
            assert file is not None
            if name.startswith("contents/"):
                assert blake3(file.read()).hexdigest() == name.removeprefix("contents/")
    listed = subprocess.run(["tar", "tf", tmp_path / "s.bundle"], capture_output=True, text=True, check=True)
    assert listed.stdout.split() == names
    assert listed.stderr == ""


def test_errors_of_the_caller(rt: Runtime, tmp_path: Path) -> None:
    with pytest.raises(SessionNotFound):
        rt.export_session("not-an-id", tmp_path / "s.bundle")
    session = rt.create_session()
    with pytest.raises(StorageError):
        session.export(tmp_path / "missing" / "s.bundle")
    with pytest.raises(StorageError):
        rt.import_bundle(tmp_path / "missing.bundle")
    assert list(tmp_path.iterdir()) == []


def test_progress_reaches_its_end(family: Session, other: Runtime, tmp_path: Path) -> None:
    for work in (
        lambda show: family.export(tmp_path / "s.bundle", tree=True, on_progress=show),
        lambda show: other.import_bundle(tmp_path / "s.bundle", on_progress=show),
    ):
        seen: list[tuple[int, int]] = []
        work(lambda done, total, seen=seen: seen.append((done, total)))
        assert seen == sorted(seen)
        assert seen[-1][0] == seen[-1][1] > 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_import_that_is_interrupted_anywhere_leaves_nothing(
    family: Session, other: Runtime, tmp_path: Path, everything: Everything, error: type[BaseException]
) -> None:
    family.export(tmp_path / "s.bundle", tree=True)
    steps: list[int] = []
    with Runtime.open() as probe:
        probe.import_bundle(tmp_path / "s.bundle", on_progress=lambda done, total: steps.append(done))
    before = everything(other)
    for stop_at in range(len(steps) - 1):  # the last one comes when all is done

        def show(done: int, total: int, left: list[int] = [stop_at]) -> None:  # noqa: B006
            if left[0] == 0:
                raise error
            left[0] -= 1

        with pytest.raises((error, StorageError)):
            other.import_bundle(tmp_path / "s.bundle", on_progress=show)
        assert everything(other) == before
        assert not other.exists(family.id)
    assert view(other.import_session(tmp_path / "s.bundle")) == view(family)


def test_nothing_of_an_import_is_seen_before_all_of_it(family: Session, other: Runtime, tmp_path: Path) -> None:
    family.export(tmp_path / "s.bundle", tree=True)
    mine = other.create_session(name="mine")
    mine.store_artifact("t", "a", "first")  # a content that is in the bundle, too
    looks = []

    def look(done: int, total: int) -> None:
        if done == total:
            return
        looks.append(done)
        assert [info.id for info in other.list_sessions(status=list(SessionStatus))] == [mine.id]
        assert other.count_sessions(limit=5) == 1
        assert not other.exists(family.id)
        with pytest.raises(SessionNotFound):
            other.ask(family.id, messages.GetInfo())
        with pytest.raises(SessionNotFound):
            other.delete_session(family.id)
        for query in ({}, {"text": "r.txt"}, {"artifact_type": "tool_result", "limit": 5}):
            assert other.query_artifacts(**query).total <= 1
        # Whoever takes care of the store meanwhile finds nothing wrong and removes nothing.
        assert other.verify(repair=True).problems == []
        other.gc()
        if done > total // 2:  # all has been checked, and the ids are taken
            with pytest.raises(SessionAlreadyExists):
                other.import_bundle(tmp_path / "s.bundle")
        mine.store_artifact("t", "a", f"{done}")
        mine.delete_artifact("a")

    imported = other.import_bundle(tmp_path / "s.bundle", on_progress=look)
    assert len(looks) > 10
    assert view(imported[0]) == view(family)
    assert other.verify().problems == []


def test_of_two_imports_of_the_same_ids_one_wins(family: Session, other: Runtime, tmp_path: Path) -> None:
    family.export(tmp_path / "s.bundle", tree=True)
    for _ in range(5):
        outcomes: list[object] = []
        start = threading.Barrier(4)

        def bring(start: threading.Barrier = start, outcomes: list[object] = outcomes) -> None:
            start.wait(30)
            try:
                outcomes.append(other.import_bundle(tmp_path / "s.bundle"))
            except SessionAlreadyExists as error:
                outcomes.append(type(error))

        threads = [threading.Thread(target=bring) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes.count(SessionAlreadyExists) == 3
        assert view(other.session(family.id)) == view(family)
        assert other.verify().problems == []
        for session in reversed(line(other.session(family.id))):
            session.delete()


def test_a_session_that_has_lost_events_is_not_exported(
    store_path: Path, tmp_path: Path, on_disk: Callable[[], AbstractContextManager[Engine]]
) -> None:
    with Runtime.open(store_path) as runtime:
        session = runtime.create_session()
        for value in range(5):
            session.set("k", value)
    with on_disk() as engine:
        engine.write([(CF.JOURNAL, sequence_key(session_bytes(session.id), 3), b"damaged")])
    with Runtime.open(store_path) as runtime:
        for history in (True, False):
            with pytest.raises(IntegrityError):
                runtime.export_session(session.id, tmp_path / "s.bundle", history=history)
        assert runtime.verify(repair=True).problems
        for history in (True, False):
            with pytest.raises(BundleError, match="lost"):
                runtime.export_session(session.id, tmp_path / "s.bundle", history=history)
    assert [each.name for each in tmp_path.iterdir()] == ["store"]
