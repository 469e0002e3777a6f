"""Damage on disk: found, reported, and never anybody else's trouble."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import (
    GreenroomError,
    IntegrityError,
    Runtime,
    RuntimeConfig,
    SchemaTooNew,
    Session,
    SessionNotFound,
    SessionStatus,
)
from greenroom.storage.codec.keys import sequence_key, session_bytes
from greenroom.storage.codec.records import seal
from greenroom.storage.engine.engine import CF, Engine

ALL = tuple(SessionStatus)
CONFIG = RuntimeConfig(artifact_cache_bytes=0, snapshot_every=1000)
OnDisk = Callable[[], AbstractContextManager[Engine]]


def fill(rt: Runtime, seed: int, *, parent: Session | None = None) -> Session:
    session = rt.create_session(name=f"s{seed}", tags=["t", f"tag {seed}"], metadata={"seed": seed}, parent=parent)
    session.set("k", {"seed": seed})
    session.set("other", [seed] * 5)
    session.save()
    session.add_message("user", f"short {seed}")
    session.add_message("user", f"long {seed} " * 1000)
    session.store_artifact("x", "a", f"small {seed}")
    session.store_artifact("x", "b", f"b {seed}")
    session.records.put_many({"r": seed, "large": f"record {seed} " * 1000})
    session.store_artifact("x", "large", random.Random(seed).randbytes(400_000))
    return session


READS: dict[str, Callable[[Session], Any]] = {
    "info": lambda s: s.info(),
    "get": lambda s: s.get("k"),
    "variables": lambda s: s.variables(),
    "messages": lambda s: s.messages(),
    "events": lambda s: list(s.events()),
    "artifacts": lambda s: list(s.list_artifacts()),
    "a": lambda s: s.get_artifact("a"),
    "b": lambda s: s.get_artifact("b"),
    "large": lambda s: s.get_artifact("large").content,
    "stream": lambda s: s.open_artifact("large").read(),
    "versions": lambda s: s.artifact_versions("a"),
    "children": lambda s: s.children(),
    "record": lambda s: s.records.get("r"),
    "records": lambda s: s.records.scan(),
    "keys of records": lambda s: s.records.keys(),
}


def read_everything(session: Session) -> dict[str, Any]:
    """What each way of reading gives: the answer, or the error."""
    found: dict[str, Any] = {}
    for name, read in READS.items():
        try:
            found[name] = read(session)
        except GreenroomError as error:
            found[name] = error
    return found


class Ward:
    """A store with a healthy session and one that gets hurt."""

    def __init__(self, rt: Runtime) -> None:
        self.rt = rt
        self.root = rt.create_session(name="root")
        self.healthy = fill(rt, 1, parent=self.root)
        self.ended = fill(rt, 3)
        self.ended.complete()
        before = {(cf, key) for cf in range(len(CF.NAMES)) for key, _ in self._all(cf)}
        self.victim = fill(rt, 2, parent=self.root)
        self._victims = {(cf, key) for cf in range(len(CF.NAMES)) for key, _ in self._all(cf)} - before
        self.well = {session.id: read_everything(session) for session in (self.healthy, self.victim, self.ended)}
        self.healthy_info = self.healthy.info()

    def _all(self, family: int) -> list[tuple[bytes, bytes]]:
        return self.rt._store.engine.scan(family, b"", b"\xff" * 80)

    def entries(self, family: int) -> list[tuple[bytes, bytes]]:
        """The records of the victim in this family."""
        return [(key, value) for key, value in self._all(family) if (family, key) in self._victims]

    def write(self, family: int, key: bytes, value: bytes | None) -> None:
        self.rt._store.engine.write([(family, key, value)])
        self.rt._supervisor.forget()

    def check_the_others(self) -> None:
        for session in (self.healthy, self.ended):
            assert read_everything(session) == self.well[session.id]
        listed = {info.id for info in self.rt.list_sessions(status=ALL)}
        assert {self.root.id, self.healthy.id, self.ended.id} == listed - {self.victim.id}
        for query in (
            {"limit": 10},
            {"tags": ["t"]},
            {"sort_by": "updated_at", "descending": True, "limit": 10},
            {"sort_by": "operation_count"},
            {"search": "s"},
            {"metadata": {"seed": 1}},
        ):
            assert self.healthy.id in [info.id for info in self.rt.list_sessions(**query)]
        assert self.healthy_info in self.root.children()
        assert self.healthy.id in [tree.info.id for tree in self.root.tree().children]
        assert self.healthy.parent() == self.root
        assert self.rt.cleanup() == 0


@pytest.fixture
def ward() -> Iterator[Ward]:
    with Runtime.open(config=CONFIG) as rt:
        yield Ward(rt)


def changed(value: bytes) -> list[bytes]:
    """Ways in which a record can be damaged: a byte flipped, cut, overwritten."""
    middle = bytearray(value)
    middle[len(value) // 2] ^= 0x10
    return [bytes(middle), value[: len(value) // 2], b"", b"garbage" * 3, bytes(len(value))]


@pytest.mark.parametrize("family", ["JOURNAL", "SNAPSHOTS", "SESSIONS", "ARTIFACTS", "CONTENTS", "CHUNKS", "MANIFESTS"])
def test_a_damaged_record_gives_an_error_or_the_right_answer_and_harms_nobody_else(ward: Ward, family: str) -> None:
    cf = getattr(CF, family)
    entries = ward.entries(cf)
    assert entries
    right = ward.well[ward.victim.id]
    for key, value in entries[:12]:
        for damaged in changed(value):
            ward.write(cf, key, damaged)
            for name, answer in read_everything(ward.victim).items():
                assert answer == right[name] or isinstance(answer, IntegrityError), (family, name, answer)
            ward.check_the_others()
            report = ward.rt.verify()
            assert not report.ok
            assert all(str(ward.healthy.id) not in problem.where for problem in report.problems)
            ward.rt.stats()
            ward.write(cf, key, value)
    assert read_everything(ward.victim) == right
    assert ward.rt.verify().ok


def test_one_damaged_session_does_not_keep_the_others_from_being_restored_and_saved(ward: Ward) -> None:
    for key, _ in ward.entries(CF.SNAPSHOTS):
        ward.write(CF.SNAPSHOTS, key, None)
    for key, value in ward.entries(CF.JOURNAL)[1:3]:
        ward.write(CF.JOURNAL, key, b"garbage" * 3)
        assert set(ward.rt.restore_recent(10)) == {ward.root, ward.healthy}
        ward.healthy.set("k", "again")
        assert ward.rt.save_all() >= 1
        ward.write(CF.JOURNAL, key, value)


@pytest.mark.parametrize("family", ["JOURNAL", "SESSIONS", "ARTIFACTS", "CONTENTS", "CHUNKS", "MANIFESTS"])
def test_a_lost_record_is_missed(ward: Ward, family: str) -> None:
    cf = getattr(CF, family)
    for key, value in ward.entries(cf)[:8]:
        ward.write(cf, key, None)
        ward.check_the_others()
        assert not ward.rt.verify().ok, (family, key)
        ward.write(cf, key, value)
    assert ward.rt.verify().ok


def test_a_name_never_leads_to_another_artifact(ward: Ward) -> None:
    engine = ward.rt._store.engine
    mine = session_bytes(ward.victim.id)
    names = engine.scan(CF.INDEX, b"v" + mine, b"v" + mine + b"\xff" * 30)
    right = ward.well[ward.victim.id]
    assert len(names) == 3
    for key, value in names:
        for damaged in (b"", None, (2).to_bytes(8, "big"), (9).to_bytes(8, "big"), b"\xff" * 8, b"x", b"long" * 10):
            if damaged == value:
                continue
            ward.write(CF.INDEX, key, damaged)
            for name, answer in read_everything(ward.victim).items():
                assert answer == right[name] or isinstance(answer, GreenroomError) or answer == [], (name, answer)
            assert not ward.rt.verify().ok
            ward.check_the_others()
            ward.write(CF.INDEX, key, value)


@pytest.mark.parametrize("lying", [True, False], ids=["with a valid checksum", "torn"])
def test_a_damaged_snapshot_is_skipped_and_the_state_is_right(
    store_path: Path, on_disk: OnDisk, *, lying: bool
) -> None:
    with Runtime.open(store_path, config=CONFIG) as rt:
        session = fill(rt, 1)
        session.save()
        session.set("after", 1)
        right = read_everything(session)
    with on_disk() as engine:
        prefix = session_bytes(session.id)
        ((key, record),) = engine.scan(CF.SNAPSHOTS, prefix, prefix + b"\xff" * 9)
        damaged = seal(key, [b"\x00" * 32, b"\x90", 0, 0]) if lying else record[:9]
        engine.write([(CF.SNAPSHOTS, key, damaged)])
    with Runtime.open(store_path, config=CONFIG) as rt:
        session = rt.session(session.id)
        assert read_everything(session) == right
        assert {problem.kind for problem in rt.verify().problems} == {"snapshot"}
        session.set("goes", "on")
        session.save()
        assert session.get("goes") == "on"
        session.delete()
        assert rt.verify().ok


@pytest.mark.parametrize("family", ["JOURNAL", "SNAPSHOTS", "SESSIONS", "ARTIFACTS", "CONTENTS", "CHUNKS", "MANIFESTS"])
def test_a_damaged_session_can_be_deleted(store_path: Path, on_disk: OnDisk, family: str) -> None:
    with Runtime.open(store_path, config=CONFIG) as rt:
        ward = Ward(rt)
        key, _ = ward.entries(getattr(CF, family))[-1]
    with on_disk() as engine:
        engine.write([(getattr(CF, family), key, b"garbage" * 3)])
    with Runtime.open(store_path, config=CONFIG) as rt:
        rt.delete_session(ward.victim.id)
        assert not rt.exists(ward.victim.id)
        with pytest.raises(SessionNotFound):
            rt.session(ward.victim.id)
        ward.rt = rt
        ward.root, ward.healthy, ward.ended = (
            rt.session(session.id) for session in (ward.root, ward.healthy, ward.ended)
        )
        ward.check_the_others()
        assert {info.id for info in rt.list_sessions(status=ALL)} == {ward.root.id, ward.healthy.id, ward.ended.id}
        assert [info.id for info in ward.root.children()] == [ward.healthy.id]
        leftovers = {"content", "reference", "blob", "chunk"}  # what deleting could not trace is for gc to find
        assert {problem.kind for problem in rt.verify().problems} <= leftovers


@pytest.mark.parametrize("family", ["CHUNKS", "MANIFESTS", "CONTENTS"])
def test_a_damaged_artifact_can_be_deleted_and_stored_again(ward: Ward, family: str) -> None:
    data = ward.well[ward.victim.id]["large"]
    cf = getattr(CF, family)
    for key, _ in ward.entries(cf):
        ward.write(cf, key, b"garbage" * 3)
    with pytest.raises(IntegrityError):
        ward.victim.get_artifact("large")
    ward.victim.delete_artifact("large")
    ward.victim.store_artifact("x", "large", data)
    assert ward.victim.get_artifact("large").content == data
    ward.check_the_others()


def test_a_damaged_session_restarts_nobody_and_answers_again_once_repaired(ward: Ward) -> None:
    mine = session_bytes(ward.victim.id)
    snapshots = ward.rt._store.engine.scan(CF.SNAPSHOTS, mine, mine + b"\xff" * 9)
    for key, _ in snapshots:
        ward.write(CF.SNAPSHOTS, key, None)
    key = sequence_key(mine, 3)
    value = ward.rt._store.engine.get(CF.JOURNAL, key)
    assert value is not None
    ward.write(CF.JOURNAL, key, None)
    for _ in range(5):
        with pytest.raises(IntegrityError, match=r"event 3 .*run verify") as caught:
            ward.victim.get("k")
        assert caught.value.fields["sequence"] == 3
        with pytest.raises(IntegrityError):
            ward.victim.set("k", 1)
    ward.check_the_others()
    ward.write(CF.JOURNAL, key, value)
    assert ward.victim.get("k") == {"seed": 2}
    ward.victim.set("k", 1)
    assert ward.victim.info().status == "active"


def test_a_record_of_a_newer_greenroom_is_refused_as_such(ward: Ward) -> None:
    from zlib import crc32

    mine = session_bytes(ward.victim.id)
    key = sequence_key(mine, ward.victim.info().sequence)
    body = b"\x63" + seal(key, ["anything"])[1:-4]
    ward.write(CF.JOURNAL, key, body + crc32(body, crc32(key)).to_bytes(4, "little"))
    with pytest.raises(SchemaTooNew) as caught:
        ward.victim.get("k")
    assert caught.value.fields["found"] == 0x63
    ward.check_the_others()
    assert not ward.rt.verify().ok


def test_a_report_never_carries_content(ward: Ward) -> None:
    secret = "hunter2 " * 3000
    ward.victim.set("password", "hunter2")
    ward.victim.add_message("user", secret)
    ward.victim.store_artifact("x", "secret", secret.encode())
    for family in (CF.JOURNAL, CF.SESSIONS, CF.ARTIFACTS, CF.CHUNKS):
        for key, value in ward.entries(family):
            ward.rt._store.engine.write([(family, key, value[:-1] + b"\x00")])
    ward.rt._supervisor.forget()
    report = ward.rt.verify()
    assert not report.ok
    for problem in report.problems:
        assert "hunter2" not in problem.detail + problem.where + problem.kind
    for error in read_everything(ward.victim).values():
        assert "hunter2" not in str(error)
