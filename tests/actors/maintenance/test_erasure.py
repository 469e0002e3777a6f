"""Everything of one creator is erased, and the report proves it."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from greenroom.actors.maintenance.erasure import remains
from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import AccessDenied, Runtime, Session, ValidationError
from greenroom.storage.codec.keys import session_bytes
from greenroom.storage.engine.engine import CF

from ...warm import run_warm

SECRET = b"Rosebud-7316"
TEXT = SECRET.decode()
WHO = "Qz-person-91"
LARGE = (SECRET + b" and more ") * 40_000


def person(rt: Runtime, name: str) -> list[Session]:
    """What one person has, with the secret wherever something can be."""
    rt.tools.register("echo", lambda text: text)
    parent = rt.create_session(f"{TEXT} chat", created_by=name, tags=[TEXT], metadata={"k": TEXT})
    parent.set("k", {"deep": TEXT})
    parent.add_message("user", TEXT)
    parent.add_message("user", TEXT * 2000)
    parent.store_artifact("log", f"{TEXT}.txt", LARGE, tags=[TEXT], metadata={"c": TEXT})
    parent.store_artifact("log", "small", SECRET)
    parent.call_tool("echo", {"text": TEXT * 100})
    parent.records.put(TEXT.encode(), SECRET * 2000)
    parent.update_config(max_artifacts=77)
    with rt.operation(correlation_id=TEXT):
        rt.events.publish("my.event", {"t": TEXT}, session=parent)
    parent.save()
    with acting(principal=parent.id):
        child = rt.create_session(f"child {TEXT}")
    child.set("k", TEXT)
    fork = parent.fork()
    ended = rt.create_session(created_by=name)
    ended.set("k", TEXT)
    ended.complete()
    ended.archive()
    return [parent, child, fork, ended]


def files_with(folder: Path, needle: bytes) -> list[str]:
    return sorted(each.name for each in folder.rglob("*") if each.is_file() and needle in each.read_bytes())


def test_everything_is_gone_from_the_store_and_from_its_files(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        other = rt.create_session("other", created_by="bob")
        other.set("k", "stays")
        mine = other.store_artifact("log", "a", b"stays too")
        hers = person(rt, WHO)
        rt.state_scope(f"user:{WHO}").set("name", TEXT)
        rt.quotas.set(WHO, max_sessions=100)
        other.share(hers[0], "write")
        other.share(mine.id, hers[1], "read")
        hers[0].share(other)
        found = rt.erase(WHO, scopes=[f"user:{WHO}"], needles=[SECRET], dry_run=True)
        assert (len(found.sessions), found.clean, hers[0].info().name) == (4, False, f"{TEXT} chat")
        report = rt.erase(WHO, scopes=[f"user:{WHO}", "user:nobody"], needles=[SECRET])
        assert report.clean, report
        assert sorted(report.sessions) == sorted(each.id for each in hers)
        assert (report.artifacts, report.scopes, report.compacted) == (found.artifacts, (f"user:{WHO}",), True)
        assert report.bytes == found.bytes > 2 * len(LARGE)
        assert report.revoked >= 2
        assert report.audit_entries > 0
        assert all("{" not in note for note in report.notes)
        assert (other.shares(), other.permissions(mine.id), other.shared_sessions()) == ([], [], [])
        assert (other.get("k"), other.get_artifact("a").content) == ("stays", b"stays too")
        assert rt.quotas.list() == []
        assert files_with(store_path, SECRET) == []
        assert rt.verify().problems == []
        again = rt.erase(WHO, needles=[SECRET, WHO.encode()])
        assert (again.sessions, again.left) == ((), ())
        assert again.needles == ()  # the name of the creator itself is nowhere either
        assert rt.state_scope(f"user:{WHO}").get("name") is None
    assert files_with(store_path, SECRET) == []


def test_content_that_others_hold_stays_with_them(rt: Runtime) -> None:
    hers, his = rt.create_session(created_by="ada"), rt.create_session(created_by="bob")
    for session in (hers, his):
        session.store_artifact("log", "same", b"the same content" * 1000)
    hers.store_artifact("log", "own", SECRET)
    report = rt.erase("ada", needles=[SECRET, b"the same content"])
    assert (report.contents_removed, report.contents_kept) == (1, 1)
    assert not report.clean
    assert report.left == ()
    assert [each for each in report.needles if each.startswith("content: ")] != []
    assert len(rt.erase("ada", needles=["the same content"]).needles) == len(report.needles)  # as text too
    assert rt.erase("ada", needles=[SECRET]).clean
    assert any("held by other sessions" in note for note in report.notes)
    assert his.get_artifact("same").content == b"the same content" * 1000


def test_a_veto_is_told_and_what_others_made_below_stays(rt: Runtime) -> None:
    hers = rt.create_session("hers", created_by="ada")
    his = rt.create_session("his", created_by="bob", parent=hers)
    kept = rt.create_session("kept", created_by="ada")
    handle = rt.hooks.register("BeforeSessionDeleted", lambda c: "cancel" if c.session_id == kept.id else None)
    report = rt.erase("ada")
    assert report.refused == (f"{kept.id}: HookCancelled",)
    assert (report.kept, report.sessions, report.clean) == ((his.id,), (hers.id,), False)
    handle.unregister()
    assert rt.erase("ada").clean
    assert his.info().name == "his"


def test_a_search_finds_what_is_left(rt: Runtime) -> None:
    """The proof would fail if a row or an entry were left."""
    other = rt.create_session(created_by="bob")
    hers = rt.create_session(
        created_by="ada", key="ada/1", tags=["t"], metadata={"a": 1}, config={"retention_days": 1, "max_duration": 99}
    )
    hers.store_artifact("log", "a", b"x" * 300_000, tags=["t"], metadata={"k": "v"}, label="first")
    hers.store_artifact("log", "b", b"y", parent_artifact=hers.get_artifact_info("a").id)
    hers.records.put(b"k", b"z" * 9000)
    hers.add_message("user", "hi", idempotency_key="i")
    hers.add_message("user", "long " * 9000)
    hers.grant_scope("user:7")
    hers.share(other)
    with rt.operation(correlation_id="c"):
        rt.events.publish("my.event", {}, session=hers)
    rt.events.link(f"{hers.id}/1", f"{other.id}/1", "related_to")
    rt.events.link(f"{other.id}/1", f"{hers.id}/1", "related_to")  # this one is the other's, and stays
    hers.save()
    left, _ = remains(rt._store, {session_bytes(hers.id)})
    families = {each.partition(":")[0] for each in left}
    assert families >= {"journal", "sessions", "artifacts", "index", "references"}
    engine = rt._store.engine
    held = {(cf, key) for cf in range(10) for key, _ in engine.scan(cf, b"", b"\xff" * 200)}
    hers.delete()
    gone = held - {(cf, key) for cf in range(10) for key, _ in engine.scan(cf, b"", b"\xff" * 200)}
    own = {
        f"{CF.NAMES[cf]}: {key.hex()}"
        for cf, key in gone
        if cf not in (CF.CONTENTS, CF.CHUNKS, CF.MANIFESTS) and not (cf == CF.REFERENCES and key[:1] != b"c")
    }
    assert own == set(left)


_KILLED = """
import os, signal, sys
from greenroom.runtime import Runtime
rt = Runtime.open(sys.argv[1])
parent = rt.create_session(created_by="ada")
for n in range(3):
    rt.create_session(parent=parent).set("k", sys.argv[2])
    rt.create_session(created_by="ada").set("k", sys.argv[2])
rt.state_scope("user:ada").set("k", sys.argv[2])
seen = []
def die(context):
    seen.append(1)
    if len(seen) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
rt.hooks.register("BeforeSessionDeleted", die)
rt.erase("ada", scopes=["user:ada"])
"""


@pytest.mark.parametrize("at", [1, 3, 7])
def test_an_interrupted_erasure_is_finished_by_running_again(store_path: Path, at: int) -> None:
    run = run_warm([sys.executable, "-c", _KILLED, str(store_path), TEXT, str(at)])
    assert run.returncode == -signal.SIGKILL
    with Runtime.open(store_path) as rt:
        report = rt.erase("ada", scopes=["user:ada"], needles=[SECRET])
        assert report.clean, report
        assert (len(report.sessions), rt.count_sessions()) == (7 - (at - 1), 0)
        assert rt.verify().problems == []
    assert files_with(store_path, SECRET) == []


@pytest.mark.parametrize(
    "wrong", [{"created_by": ""}, {"scopes": ["session:x"]}, {"scopes": "user:7"}, {"needles": [b""]}, {"needles": [7]}]
)
def test_what_cannot_be_erased_is_refused(rt: Runtime, wrong: dict[str, Any]) -> None:
    rt.create_session(created_by="ada")
    with pytest.raises(ValidationError):
        rt.erase(**{"created_by": "ada", **wrong})
    assert rt.count_sessions() == 1


def test_it_is_the_hosts(rt: Runtime) -> None:
    session = rt.create_session(created_by="ada")
    with acting(principal=session.id), pytest.raises(AccessDenied):
        rt.erase("ada")
    assert rt.count_sessions() == 1


def test_a_session_that_is_made_meanwhile_is_erased_or_said_to_be_left(rt: Runtime) -> None:
    rt.create_session(created_by="ada")
    made: list[str] = []

    def make_another(step: str, _: int) -> None:
        if step == "sessions" and len(made) < 100:
            made.append(rt.create_session(created_by="ada").id)

    report = rt.erase("ada", on_progress=make_another)
    there = {info.id for info in rt.list_sessions(created_by="ada", status="all")}
    assert there
    assert not report.clean
    assert all(any(each.replace("-", "") in line for line in report.left) for each in there)
    assert rt.erase("ada").clean
