"""What the sessions of one creator may have together."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import (
    AccessDenied,
    GreenroomError,
    ResourceLimitExceeded,
    Runtime,
    SessionStatus,
    ValidationError,
)

from ...warm import run_warm


def has(rt: Runtime, creator: str) -> tuple[int, int]:
    """What a creator has by the count, which must be what there is."""
    quota = rt.quotas.get(creator)
    infos = rt.list_sessions(created_by=creator, status=list(SessionStatus), limit=1000)
    assert (quota.sessions, quota.storage_bytes) == (len(infos), sum(each.total_artifact_size for each in infos))
    return quota.sessions, quota.storage_bytes


def test_sessions_and_bytes_are_limited_by_creator(rt: Runtime) -> None:
    first = rt.create_session(created_by="ada")
    rt.quotas.set("ada", max_sessions=2, max_storage_bytes=100)
    second = rt.create_session(created_by="ada")
    for more in (lambda: rt.create_session(created_by="ada"), first.fork):
        with pytest.raises(ResourceLimitExceeded) as caught:
            more()
        assert caught.value.fields == {"resource": "creator_sessions", "limit": 2, "value": 3}
        assert "ada" in str(caught.value)
    rt.create_session(created_by="bob")
    rt.create_session()
    first.store_artifact("log", "a", b"x" * 60)
    second.store_artifact("log", "b", b"y" * 40)
    before = second.info().sequence
    for store in (
        lambda: second.store_artifact("log", "c", b"z"),
        lambda: second.store_many([{"type": "log", "name": "c", "content": "z"}]),
        lambda: second.store_artifact("log", "c", b"z" * 300_000),
    ):
        with pytest.raises(ResourceLimitExceeded) as caught:
            store()
        assert caught.value.fields["resource"] == "creator_storage_bytes"
    assert second.info().sequence == before
    second.set("k", 1)  # what needs no room goes on
    first.delete_artifact("a")
    second.store_artifact("log", "c", b"z" * 60)
    assert has(rt, "ada") == (2, 100)
    first.delete()
    rt.create_session(created_by="ada")
    assert has(rt, "ada") == (2, 100)
    assert rt.verify().problems == []


def test_the_default_holds_for_all_others(store_path: Path) -> None:
    with Runtime.open(store_path, config={"creator_max_sessions": 1}) as rt:
        rt.quotas.set("big", max_sessions=None)
        for creator in ("ada", "bob", "big", "big"):
            rt.create_session(created_by=creator)
        for creator in ("ada", "bob"):
            with pytest.raises(ResourceLimitExceeded):
                rt.create_session(created_by=creator)
        assert [each.created_by for each in rt.quotas.list()] == ["big"]
    with Runtime.open(store_path, config={"creator_max_sessions": 1}) as rt:  # it lasts
        rt.create_session(created_by="big")
        assert rt.quotas.delete("big") is True
        assert rt.quotas.delete("big") is False
        with pytest.raises(ResourceLimitExceeded):
            rt.create_session(created_by="big")
    with Runtime.open(store_path, read_only=True) as rt:
        assert has(rt, "big") == (3, 0)


def test_records_count_wherever_they_come_from(rt: Runtime, store_path: Path, tmp_path: Path) -> None:
    def used() -> int:
        return rt.quotas.get("ada").storage_bytes

    s = rt.create_session(created_by="ada")
    s.records.put("k", b"x" * 99)  # before there is a quota
    rt.quotas.set("ada", max_storage_bytes=50_000)
    assert used() == 100
    s.records.put_many({"k": b"x" * 9, "l": b"y" * 10_000})
    with s.batch() as b:
        b.store_artifact("log", "a", b"z" * 1000)
        b.records.put("m", b"m" * 99)
    assert used() == 10 + 10_001 + 1000 + 100
    for more in (lambda: s.records.put("n", b"n" * 40_000), lambda: s.store_artifact("log", "n", b"n" * 40_000)):
        with pytest.raises(ResourceLimitExceeded) as caught:
            more()
        assert caught.value.fields["resource"] == "creator_storage_bytes"
    fork = s.fork()
    assert used() == 2 * 11_111
    s.export(tmp_path / "bundle")
    copy = rt.import_session(tmp_path / "bundle", keep_ids=False)
    assert used() == 3 * 11_111
    copy.records.delete_prefix("")
    fork.delete()
    assert used() == 11_111 + 1000
    rt.retention(max_journal_events=1, dry_run=False)
    rt.gc()
    assert used() == 11_111 + 1000
    rt.quotas.set("ada", max_storage_bytes=50_000)  # which counts anew
    assert used() == 11_111 + 1000
    s.delete()
    copy.delete()
    assert used() == 0


def test_an_import_counts(rt: Runtime, tmp_path: Path) -> None:
    parent = rt.create_session(created_by="ada")
    rt.create_session(created_by="ada", parent=parent).store_artifact("log", "a", b"x" * 10)
    rt.export_session(parent.id, tmp_path / "tree", tree=True)
    rt.quotas.set("ada", max_sessions=3)
    with pytest.raises(ResourceLimitExceeded):
        rt.import_bundle(tmp_path / "tree", keep_ids=False)
    assert has(rt, "ada") == (2, 10)
    rt.quotas.set("ada", max_sessions=4)
    rt.import_bundle(tmp_path / "tree", keep_ids=False)
    assert has(rt, "ada") == (4, 20)
    assert rt.verify().problems == []


def test_what_sessions_create_is_of_their_creator(rt: Runtime) -> None:
    """A session escapes no quota by what it creates, and uses up nobody else's."""
    ada = rt.create_session(created_by="ada")
    with acting(principal=ada.id):
        assert rt.create_session(created_by="other").info().created_by == "other"  # while there are no quotas
    rt.quotas.set("ada", max_sessions=2)
    rt.quotas.set("bob", max_sessions=2)
    nobody = rt.create_session()
    with acting(principal=ada.id):
        child = rt.create_session()
        assert child.info().created_by == "ada"
        with pytest.raises(ResourceLimitExceeded):
            rt.create_session()
        with pytest.raises(AccessDenied):
            rt.create_session(created_by="other")
        with pytest.raises(AccessDenied):
            rt.quotas.set("ada")
        with pytest.raises(AccessDenied):
            rt.quotas.get("ada")
    with acting(principal=nobody.id), pytest.raises(AccessDenied):
        rt.create_session(created_by="bob")
    source = "return (pcall(Session.create, {}))"
    assert rt.run_script(source, session=ada).value is False


def test_no_two_writers_share_the_last_place(rt: Runtime) -> None:
    rt.quotas.set("ada", max_sessions=20, max_storage_bytes=500)
    sessions = [rt.create_session(created_by="ada") for _ in range(5)]

    def work(number: int) -> int:
        done = 0
        for each in range(10):
            try:
                if number % 2:
                    rt.create_session(created_by="ada")
                else:
                    sessions[number % 5].store_artifact("log", f"{number}-{each}", b"x" * 25)
                done += 1
            except ResourceLimitExceeded:
                pass
        return done

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(work, range(8)))
    assert (sum(done[1::2]), sum(done[::2])) == (15, 20)
    assert has(rt, "ada") == (20, 500)


_KILLED = """
import os, signal, sys
from greenroom.runtime import Runtime
rt = Runtime.open(sys.argv[1])
rt.quotas.set("ada", max_sessions=3)
for n in range(3):
    rt.create_session(created_by="ada").store_artifact("log", "a", b"x" * 10)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_quotas_and_counts_hold_after_kill_9(store_path: Path) -> None:
    run = run_warm([sys.executable, "-c", _KILLED, str(store_path)])
    assert run.returncode == -signal.SIGKILL
    with Runtime.open(store_path) as rt:
        with pytest.raises(ResourceLimitExceeded):
            rt.create_session(created_by="ada")
        assert has(rt, "ada") == (3, 30)


@pytest.mark.parametrize(
    "wrong", [{"max_sessions": -1}, {"max_sessions": "many"}, {"max_storage_bytes": 1.5}, {"created_by": ""}]
)
def test_what_is_no_quota_is_refused(rt: Runtime, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rt.quotas.set(**{"created_by": "ada", **wrong})
    assert rt.quotas.list() == []


@pytest.fixture(scope="module")
def shared_rt() -> Iterator[Runtime]:
    with Runtime.open() as runtime:
        yield runtime


_STEP = st.tuples(st.sampled_from(["create", "store", "unstore", "delete", "fork", "quota", "free"]), st.integers(0, 5))


@settings(max_examples=30)
@given(steps=st.lists(_STEP, max_size=30))
def test_the_count_is_what_there_is_after_any_history(shared_rt: Runtime, steps: list[tuple[str, int]]) -> None:
    rt = shared_rt
    sessions: list[Any] = []
    for step, n in steps:
        session = sessions[n % len(sessions)] if sessions else None
        try:
            if step == "create":
                sessions.append(rt.create_session(created_by="ada"))
            elif step == "quota":
                rt.quotas.set("ada", max_sessions=n, max_storage_bytes=n * 10)
            elif step == "free":
                rt.quotas.delete("ada")
            elif session is not None and step == "store":
                session.store_artifact("log", f"{n}", b"x" * n)
            elif session is not None and step == "unstore":
                session.delete_artifact(f"{n}")
            elif session is not None and step == "delete":
                session.delete()
                sessions.remove(session)
            elif session is not None and step == "fork":
                sessions.append(session.fork())
        except GreenroomError:
            continue
        has(rt, "ada")
    for each in sessions:
        each.delete()
    rt.quotas.delete("ada")


def test_quotas_hold_before_anybody_asks_for_them(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        rt.quotas.set("ada", max_sessions=1)
        rt.create_session(created_by="ada")
    with Runtime.open(store_path) as rt, pytest.raises(ResourceLimitExceeded):
        rt.create_session(created_by="ada")
    with Runtime.open(config={"creator_max_sessions": 1}) as rt:
        rt.create_session(created_by="bob")
        with pytest.raises(ResourceLimitExceeded):
            rt.create_session(created_by="bob")
