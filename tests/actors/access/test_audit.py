"""The audit log: what is in it, how it is found, how long it stays, and what no flood can do to it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from greenroom.actors.access.audit_trail import BURST
from greenroom.actors.scheduling.operation import acting
from greenroom.runtime import AccessDenied, ResourceLimitExceeded, Runtime, Session, ValidationError
from greenroom.storage.audit import AUDIT, AUDIT_INDEX
from greenroom.storage.engine.engine import CF, Engine


def knock(rt: Runtime, who: Session, at: Session, times: int = 1) -> None:
    with acting(principal=who.id):
        for _ in range(times):
            with pytest.raises(AccessDenied):
                at.info()


def test_a_record_says_who_tried_what_when_and_how_it_went(shared_rt: Runtime, time: Any) -> None:
    owner, other = shared_rt.create_session(), shared_rt.create_session()
    time.advance(1)
    with acting(principal=other.id, source="tool:probe", correlation_id="c-1"), pytest.raises(AccessDenied):
        owner.set("k", "a secret")
    (record,) = shared_rt.audit(session=other)
    assert record.to_dict() == {
        "time": record.to_dict()["time"],
        "session": other.id,
        "owner": owner.id,
        "artifact": None,
        "access": "write",
        "granted": False,
        "reason": "out of reach",
        "operation": "SetVariable",
        "source": "tool:probe",
        "correlation_id": "c-1",
        "times": 1,
    }
    assert abs(record.time.timestamp() - time.time_ns() / 1e9) < 1e-3
    assert "secret" not in repr(record)
    assert shared_rt.audit(session=owner).items == (record,)


def test_the_owners_own_changes_of_permissions_are_in_it(shared_rt: Runtime) -> None:
    owner, other = shared_rt.create_session(), shared_rt.create_session()
    info = owner.store_artifact("log", "n", "x")
    owner.share("n", other)
    owner.revoke("n", other)
    owner.revoke("n", other)
    log = shared_rt.audit(artifact=info.id)
    assert [(record.access, record.session, record.reason) for record in log] == [
        ("change_permissions", owner.id, "the owner"),
        ("change_permissions", owner.id, "the owner"),
        ("share", owner.id, "the owner"),
    ]


def test_a_change_and_its_record_are_one_write(shared_rt: Runtime) -> None:
    owner, other = shared_rt.create_session(), shared_rt.create_session()
    info = owner.store_artifact("log", "n", "x")
    commits = shared_rt._store.commits
    owner.share("n", other, "admin")
    other.delete_artifact(info.id)
    assert shared_rt._store.commits == commits + 2


def test_it_is_found_by_every_field_newest_first_and_in_pages(shared_rt: Runtime, time: Any) -> None:
    owner, one, two = (shared_rt.create_session() for _ in range(3))
    info = owner.store_artifact("log", "n", "x")
    begin = time.time_ns() / 1e9
    owner.share("n", one)
    for who in (one, two):
        for _ in range(3):
            time.advance(1)
            who.get_many([info.id])
    audit = shared_rt.audit
    assert [record.session for record in audit(artifact=info.id)] == [two.id] * 3 + [one.id] * 3 + [owner.id]
    assert [record.granted for record in audit(artifact=info.id, access="read")] == [False] * 3 + [True] * 3
    assert audit(artifact=info.id, granted=True).total == 4
    assert audit(artifact=info.id, session=two).total == 3
    assert audit(session=one).total == 4 - 1
    assert audit(session=owner).total == 7
    assert audit(session=owner, after=begin + 3, before=begin + 5).total == 2
    assert audit(session=owner, before=begin).total == 0
    page = audit(session=owner, limit=2, offset=1)
    assert (len(page), page.total, page.has_more) == (2, 7, True)
    assert page.items == audit(session=owner).items[1:3]
    assert audit(limit=1).items == audit(session=owner, limit=1).items
    for wrong in ({"access": "look"}, {"session": "nobody"}, {"artifact": "n"}, {"after": "noon"}, {"limit": -1}):
        with pytest.raises(ValidationError):
            audit(**wrong)


def test_records_outlive_the_sessions_they_name_and_the_process(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        owner, other = rt.create_session(), rt.create_session()
        info = owner.store_artifact("log", "n", "x")
        owner.share("n", other)
        other.get_artifact(info.id)
        owner.delete()
        other.delete()
        before = rt.audit()
        assert len(before) == 2
        rt.gc()
    with Runtime.open(store_path) as rt:
        assert rt.audit() == before
        assert rt.audit(artifact=info.id) == before
        assert rt.verify().problems == []


def test_what_a_session_finds_shared_with_it_is_an_access_to_it(shared_rt: Runtime) -> None:
    owner, other = shared_rt.create_session(), shared_rt.create_session()
    owner.store_artifact("log", "n", "x")
    assert other.shared_with_me() == []
    owner.share("n", other)
    assert len(other.shared_with_me()) == 1
    (record,) = shared_rt.audit(session=other, access="list")
    assert (record.owner, record.granted) == (owner.id, True)


def test_a_child_that_is_copied_is_an_access_to_it(shared_rt: Runtime, tmp_path: Path) -> None:
    parent = shared_rt.create_session()
    with acting(principal=parent.id):
        child = shared_rt.create_session()
        child.fork()
        child.export(tmp_path / "bundle")
        parent.export(tmp_path / "bundle")
    log = shared_rt.audit(session=child)
    assert [(record.operation, record.access, record.reason) for record in log] == [
        ("export_session", "read", "above the owner"),
        ("ForkSession", "read", "above the owner"),
    ]


def test_they_are_in_a_backup_and_not_in_a_bundle(tmp_path: Path) -> None:
    with Runtime.open(tmp_path / "one") as rt:
        owner, other = rt.create_session(), rt.create_session()
        knock(rt, other, owner)
        rt.backup(tmp_path / "backup")
        owner.export(tmp_path / "bundle")
    with Runtime.open(tmp_path / "backup", read_only=True) as rt:
        assert rt.audit(session=owner.id).total == 1
    with Runtime.open() as rt:
        rt.import_session(tmp_path / "bundle")
        assert rt.audit().total == 0


def test_what_is_too_old_or_too_much_goes_oldest_first(clock: Any) -> None:
    with Runtime.open(clock=clock, config={"audit_max_records": 5, "audit_retention_days": 1}) as rt:
        owner, other = rt.create_session(), rt.create_session()
        for _ in range(8):
            clock.advance(1)
            knock(rt, other, owner)
        rt.core.trail.tidy()
        left = rt.audit()
        assert left.total == 5
        assert left[0].time.timestamp() == pytest.approx(clock.time_ns() / 1e9)
        assert rt.audit(session=owner) == left
        clock.advance(86_400 - 2)
        rt.core.trail.tidy()
        assert rt.audit().total == 3
        assert len(rt._store.engine.scan(CF.META, AUDIT_INDEX, AUDIT_INDEX + b"\xff")) == 6
        clock.advance(10)
        rt.core.trail.tidy()
        assert rt.audit().total == 0
        assert rt.verify().problems == []


def test_a_flood_is_counted_and_not_listed(clock: Any) -> None:
    with Runtime.open(clock=clock) as rt:
        owner, quiet, flood = (rt.create_session() for _ in range(3))
        commits = rt._store.commits
        knock(rt, flood, owner, BURST + 500)
        assert rt._store.commits == commits + BURST
        knock(rt, quiet, owner)  # what others do is recorded as ever
        assert rt._store.commits == commits + BURST + 1
        log = rt.audit(session=flood)
        assert (log.total, sum(record.times for record in log)) == (BURST + 1, BURST + 500)
        with acting(principal=flood.id):
            for number in range(500):
                with pytest.raises(AccessDenied):
                    rt.session(f"00000000-0000-4000-8000-{number:012x}")
        log = rt.audit(session=flood)
        assert sum(record.times for record in log) == BURST + 1000
        assert log.total < BURST + 100
        clock.advance(1)
        knock(rt, flood, owner)
        assert rt.audit(session=flood)[0].times == 1


def test_who_makes_children_has_no_more_to_flood_with(clock: Any) -> None:
    with Runtime.open(clock=clock) as rt:
        owner, flood = rt.create_session(), rt.create_session()
        commits = rt._store.commits
        for _ in range(4):
            child = rt.create_session(parent=flood)
            knock(rt, child, owner, BURST // 2)
        assert rt._store.commits == commits + 4 + BURST
        assert sum(record.times for record in rt.audit(session=owner)) == 2 * BURST


def test_sessions_that_are_cut_off_from_their_family_flood_no_more_than_it(clock: Any) -> None:
    with Runtime.open(clock=clock) as rt:
        owner, flood = rt.create_session(), rt.create_session()
        info = owner.store_artifact("log", "n", "x")
        with acting(principal=flood.id):
            for _ in range(3):
                child = rt.create_session()
                with acting(principal=child.id):
                    grandchild = rt.create_session()
                grandchild.get_many([])
                child.delete()
                commits = rt._store.commits
                for _ in range(BURST // 2):
                    with pytest.raises(AccessDenied):
                        grandchild.get_many([info.id])
        assert rt._store.commits == commits, "the third has no allowance of its own"


def test_what_a_flooding_session_changes_is_counted_too(clock: Any) -> None:
    with Runtime.open(clock=clock) as rt:
        owner, other = rt.create_session(), rt.create_session()
        owner.store_artifact("log", "n", "x")
        knock(rt, owner, other, BURST)
        with acting(principal=owner.id):
            for _ in range(3):
                owner.share("n", other)
                owner.revoke("n", other)
        assert [event.type for event in owner.events()].count("artifact.shared") == 3
        log = rt.audit(artifact=owner.get_artifact_info("n").id)
        assert {(each.operation, each.granted, each.times) for each in log} == {
            ("ShareArtifact", True, 3),
            ("RevokeArtifact", True, 3),
        }
        owner.share("n", other)
        assert rt.audit(limit=1)[0].times == 1, "the host's changes are no flood"


def test_sharing_by_a_session_ends_with_its_operations(shared_rt: Runtime) -> None:
    owner, other = shared_rt.create_session(config={"max_operations": 3}), shared_rt.create_session()
    owner.store_artifact("log", "n", "x")
    with acting(principal=owner.id):
        owner.share("n", other)
        with pytest.raises(ResourceLimitExceeded):
            owner.share("n", other, "write")
        assert owner.revoke("n", other) is True
    assert owner.share("n", other).permission == "read"


def test_reading_the_log_writes_no_records_for_a_session_beyond_its_allowance(clock: Any) -> None:
    with Runtime.open(clock=clock) as rt:
        owner, other = rt.create_session(), rt.create_session()
        knock(rt, other, owner, BURST)
        commits = rt._store.commits
        for _ in range(3):
            knock(rt, other, owner)
            with acting(principal=other.id):
                assert rt.audit().total == BURST
        assert rt._store.commits == commits
        knock(rt, owner, other, BURST + 1)
        with acting(source="tool:reader", correlation_id="c"):
            counted = rt.audit(limit=2)
        assert sorted((each.times, each.source, each.correlation_id) for each in counted) == [
            (1, None, None),
            (3, None, None),
        ], "they are not put down to who reads them"


def test_what_was_counted_is_written_at_the_end(store_path: Path, clock: Any) -> None:
    with Runtime.open(store_path, clock=clock) as rt:
        owner, other = rt.create_session(), rt.create_session()
        knock(rt, other, owner, BURST + 7)
    with Runtime.open(store_path, clock=clock) as rt:
        assert rt.audit(session=other)[0].times == 7


def test_a_clock_that_stands_still_or_goes_back_keeps_the_order(clock: Any) -> None:
    with Runtime.open(clock=clock) as rt:
        owner, other = rt.create_session(), rt.create_session()
        knock(rt, other, owner, 3)
        clock.advance(-3600)
        with acting(principal=other.id), pytest.raises(AccessDenied):
            rt.stats()
        log = rt.audit()
        assert log.total == 4
        assert log[0].operation == "stats"


def test_a_session_sees_its_own_part_of_it(shared_rt: Runtime) -> None:
    owner, other, third = (shared_rt.create_session() for _ in range(3))
    knock(shared_rt, other, owner)
    with acting(principal=owner.id):
        assert [record.session for record in shared_rt.audit()] == [other.id]
        assert shared_rt.audit(session=owner).total == 1
        for session in (other, third):
            with pytest.raises(AccessDenied):
                shared_rt.audit(session=session)
        with pytest.raises(AccessDenied):
            shared_rt.audit(session="nobody")


def test_a_reader_beside_the_writer_records_nothing(store_path: Path) -> None:
    with Runtime.open(store_path) as rt:
        owner, other = rt.create_session(), rt.create_session()
        with Runtime.open(store_path, read_only=True) as reader:
            with acting(principal=other.id), pytest.raises(AccessDenied):
                reader.session(owner.id)
            assert reader.audit().total == 0
        assert rt.audit().total == 0


def test_verify_names_what_is_damaged_and_repair_keeps_the_rest(
    store_path: Path, on_disk: Callable[[], AbstractContextManager[Engine]]
) -> None:
    with Runtime.open(store_path) as rt:
        owner, other = rt.create_session(), rt.create_session()
        knock(rt, other, owner, 4)
    with on_disk() as engine:
        records = [key for key, _ in engine.scan(CF.META, AUDIT, AUDIT + b"\xff" * 9)]
        entries = [key for key, _ in engine.scan(CF.META, AUDIT_INDEX, AUDIT_INDEX + b"\xff")]
        engine.write(
            [
                (CF.META, records[0], b"\x01nonsense"),
                (CF.META, next(key for key in entries if key[-8:] == records[1][-8:]), None),
                (CF.META, entries[0][:-8] + b"\x00" * 8, b""),
            ]
        )
    with Runtime.open(store_path) as rt:
        assert {problem.kind for problem in rt.verify().problems} == {"audit"}
        assert rt.verify(repair=True).ok
        assert rt.verify().problems == []
        assert rt.audit(session=owner.id).total == rt.audit().total == 3


def test_the_command_line_shows_it(store_path: Path, capsys: Any) -> None:
    from greenroom.runtime.cli.app import app

    def run(*arguments: str) -> str:
        app(["--data", str(store_path), *arguments], standalone_mode=False)
        return str(capsys.readouterr().out)

    with Runtime.open(store_path) as rt:
        owner, other = rt.create_session(), rt.create_session()
        info = owner.store_artifact("log", "n", "x")
        knock(rt, other, owner)
    run("artifacts", "share", owner.id, "n", "--with", other.id[:8], "--permission", "admin", "--inherit")
    assert "admin" in run("artifacts", "permissions", owner.id, "n")
    assert str(info.id) in run("artifacts", "shared", other.id, "--json")
    assert run("artifacts", "get", other.id, str(info.id)) == "x"
    assert '"granted": false' in run("audit", "--denied", "--json")
    assert run("audit", owner.id, "--access", "share").count("ShareArtifact") == 1
    assert "revoked" in run("artifacts", "unshare", owner.id, "n", "--with", other.id)
    assert run("artifacts", "permissions", owner.id, "n", "--json").strip() == "[]"
