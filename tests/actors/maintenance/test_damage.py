"""Flipped bits: every reading is right or raises, verify names the damage, repair keeps all the rest."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import IntegrityError, Runtime, Session, SessionStatus, StorageError
from greenroom.storage.codec.keys import after_prefix, session_bytes
from greenroom.storage.codec.records import seal
from greenroom.storage.common.session_ids import scope_bytes
from greenroom.storage.engine.engine import CF, Durability, Engine, EngineOptions
from greenroom.storage.events.journal import Journal

EVERYTHING = bool(os.environ.get("GREENROOM_EVERY_DAMAGE"))
"""Whether many more bits are flipped than in each run: see test_files.py."""
Store = Any
"""What the fixture `closed` gives: conftest.py."""


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def assert_no_wrong_reading(store: Store, path: Path) -> set[str]:
    """Read everything; the names of the readings that raised."""
    with store.open(path) as runtime:
        found = store.read(runtime)
    for name, value in found.values.items():
        assert value == store.truth[name], name
    return found.failed


def repaired(store: Store, path: Path) -> None:
    """Repair a store as the command line does."""
    try:
        with store.open(path) as runtime:
            report = runtime.verify(repair=True)
            if not report.needs_salvage:
                assert report.ok, report.problems
                return
    except StorageError:
        pass
    salvaged = Runtime.salvage(path)
    assert salvaged.repair.ok or salvaged.unreadable
    assert salvaged.ok or salvaged.lost or salvaged.unreadable


def lost_after_repair(store: Store, path: Path) -> set[str]:
    """Repair, and read everything: nothing may be wrong, but what history says of its own damage."""
    repaired(store, path)
    with store.open(path) as runtime:
        assert (again := runtime.verify()).ok, again.problems
        found = store.read(runtime)
    differing = {name for name, value in found.values.items() if value != store.truth[name]}
    # The journal tells of the loss, a lost message is missing; nothing else may differ.
    assert not {name for name in differing if name.split()[-1] not in ("events", "messages", "info")}, differing
    for name in differing:
        if name.endswith("messages"):
            assert all(turn in store.truth[name] for turn in found.values[name])
        if name.endswith("info"):
            assert found.values[name]["operation_count"] >= store.truth[name]["operation_count"]
    return found.failed | differing


@pytest.mark.parametrize("seed", range(50 if EVERYTHING else 2))
def test_a_flipped_bit_in_any_file_never_gives_a_wrong_reading_and_is_repaired(closed: Store, seed: int) -> None:
    dice = random.Random(seed)
    files = [each for each in sorted(closed.path.iterdir()) if each.stat().st_size and not each.name.startswith("LOG")]
    for file in files:
        path = closed.copy()
        data = file.read_bytes()
        (path / file.name).write_bytes(flip(data, dice.randrange(len(data) * 8)))
        try:
            runtime = closed.open(path)
        except StorageError:
            pass  # refused as a whole: nothing wrong can be read
        else:
            with runtime:
                report = runtime.verify()
            failed = assert_no_wrong_reading(closed, path)
            assert not failed or not report.ok, (file.name, failed)
        lost = lost_after_repair(closed, path)
        # One damaged block holds a part of one family: most of everything must be there.
        assert len(lost) <= len(closed.truth) * 2 / 3, (file.name, lost)


@pytest.mark.parametrize("seed", range(60 if EVERYTHING else 3))
def test_flipped_bits_in_records_never_give_a_wrong_reading_and_are_repaired(closed: Store, seed: int) -> None:
    dice = random.Random(seed)
    for cf, name in enumerate(CF.NAMES):
        path = closed.copy()
        engine = closed.bytes_of(path)
        there = [each for each in closed.entries(engine) if each[0] == cf and each[2]]
        if name == "meta":
            # Opening reads these: it refuses a damaged format, counts anew where counts are damaged, and
            # lists the artifacts by their words anew where it cannot tell by which rules they are listed.
            there = [each for each in there if each[1] not in (b"format", b"counts", b"content totals", b"words")]
        if not there:
            engine.close()
            continue
        _, key, value = dice.choice(there)
        engine.write([(cf, key, flip(value, dice.randrange(len(value) * 8)))])
        engine.close()
        with closed.open(path) as runtime:
            report = runtime.verify()
        assert not report.ok, (name, key)
        assert_no_wrong_reading(closed, path)
        lost = lost_after_repair(closed, path)
        # What can be told from the rest of the store comes back whole.
        if name in ("meta", "sessions", "index", "snapshots", "references", "artifacts", "contents"):
            assert not lost, (name, lost)


def test_hundreds_of_flipped_bits_at_once_never_give_a_wrong_reading(closed: Store) -> None:
    dice = random.Random(99)
    path = closed.copy()
    engine = closed.bytes_of(path)
    there = [each for each in closed.entries(engine) if each[2] and each[1] != b"format"]
    damaged = [
        (cf, key, flip(value, dice.randrange(len(value) * 8)))
        for cf, key, value in dice.sample(there, len(there) * 2 // 3)
    ]
    assert len(damaged) > 200
    engine.write(damaged)
    engine.close()
    assert assert_no_wrong_reading(closed, path)
    with closed.open(path) as runtime:
        assert not runtime.verify().ok
        runtime.verify(repair=True)
    with closed.open(path) as runtime:
        found = closed.read(runtime)
        for name, value in found.values.items():
            if name.split()[-1] not in ("events", "messages", "info", "artifacts", "versions", "counts", "notes", "1"):
                assert value == closed.truth[name], name
        for name in [name for name in found.values if name.endswith(("notes 1", "big", "shared"))]:
            assert found.values[name] == closed.truth[name]


def test_a_lost_variable_is_refused_until_it_is_set_anew_or_the_loss_is_accepted(closed: Store) -> None:
    path = closed.copy()
    with closed.open(path) as runtime:
        s = runtime.create_session()
        for key in ("a", "b", "c"):
            s.set(key, f"first {key}")
        s.set("a", "second a")
        s.set("b", "second b")
        s.store_artifact("tool_result", "kept.txt", b"kept")
        events = [event.sequence for event in s.events() if event.data.get("key") == "a"]
    engine = closed.bytes_of(path)
    key = bytes.fromhex(s.id.replace("-", "")) + events[-1].to_bytes(8, "big")
    record = engine.get(CF.JOURNAL, key)
    assert record is not None
    engine.write([(CF.JOURNAL, key, flip(record, 100))])
    for snapshot, _ in engine.scan(CF.SNAPSHOTS, key[:16], key[:16] + b"\xff" * 9):
        engine.write([(CF.SNAPSHOTS, snapshot, None)])
    engine.close()
    with closed.open(path) as runtime:
        assert runtime.verify(repair=True).ok
        again = Session(runtime, s.id)
        with pytest.raises(IntegrityError, match="lost"):
            again.get("a")
        with pytest.raises(IntegrityError):
            again.get("c")
        with pytest.raises(IntegrityError):
            again.variables()
        assert again.get("b") == "second b"
        assert again.get_artifact("kept.txt").content == b"kept"
        again.set("a", "third a")
        assert again.get("a") == "third a"
        again.save()
    with closed.open(path) as runtime:
        again = Session(runtime, s.id)
        assert again.get("a") == "third a"
        with pytest.raises(IntegrityError):
            again.get("c")
        again.accept_losses()
        assert again.variables() == {"a": "third a", "b": "second b", "c": "first c"}
        assert runtime.verify().ok


def test_a_session_in_memory_is_saved_before_its_damaged_journal_is_mended(closed: Store) -> None:
    path = closed.copy()
    with closed.open(path) as runtime:
        s = Session(runtime, closed.ids[0])
        assert s.get("k5") == closed.truth[f"{s.id} k5"]
        key = bytes.fromhex(s.id.replace("-", "")) + (5).to_bytes(8, "big")
        engine = runtime._store.engine
        record = engine.get(CF.JOURNAL, key)
        assert record is not None
        engine.write([(CF.JOURNAL, key, flip(record, 90))])
        assert runtime.verify(repair=True).ok
        assert s.variables() == closed.truth[f"{s.id} variables"]
        assert runtime.verify().ok


def test_damaged_content_stays_listed_is_refused_and_heals_when_it_is_stored_again(closed: Store) -> None:
    path = closed.copy()
    engine = closed.bytes_of(path)
    for cf, key, value in closed.entries(engine):
        if cf == CF.CHUNKS:
            engine.write([(cf, key, flip(value, len(value) * 8 - 5))])
    engine.close()
    with closed.open(path) as runtime:
        report = runtime.verify()
        assert not report.ok
        assert {problem.kind for problem in report.problems} == {"content"}
        assert runtime.verify(repair=True).ok
        assert (after := runtime.verify()).ok
        assert len(after.quarantined) == len(report.problems)
        s = Session(runtime, closed.ids[0])
        assert [info.to_dict() for info in s.list_artifacts()] == closed.truth[f"{s.id} artifacts"]
        for name in ("notes.txt", "big.txt", "shared.txt"):
            with pytest.raises(IntegrityError):
                s.get_artifact(name)
        other = runtime.create_session()
        for name, label in (("notes.txt", "notes"), ("big.txt", "big"), ("shared.txt", "shared")):
            content = closed.truth[f"{s.id} {label}"]
            other.store_artifact("user_input", "again", content)
            assert s.get_artifact(name).content == content
            assert other.get_artifact("again").content == content
        assert (healed := runtime.verify()).ok
        assert len(healed.quarantined) == len(report.problems) - 3
        for each in closed.ids:
            Session(runtime, each).delete()
        other.delete()
        assert runtime.gc().remaining == ()
        assert runtime.stats()["artifacts"]["contents"] == 0
        assert runtime._store.engine.scan(CF.CHUNKS, b"", b"\xff" * 40) == []


def test_a_store_without_its_manifest_or_its_current_file_is_salvaged_whole(closed: Store) -> None:
    for name in ("CURRENT", next(each.name for each in closed.path.iterdir() if each.name.startswith("MANIFEST"))):
        path = closed.copy()
        (path / name).write_bytes(b"\x00" * 16)
        with pytest.raises(StorageError):
            Runtime.open(path)
        report = Runtime.salvage(path)
        assert report.ok
        assert not report.lost
        assert (report.original / name).read_bytes() == b"\x00" * 16
        assert assert_no_wrong_reading(closed, path) == set()


def test_salvage_refuses_a_store_that_is_open(closed: Store) -> None:
    path = closed.copy()
    with closed.open(path), pytest.raises(StorageError):
        Runtime.salvage(path)
    assert assert_no_wrong_reading(closed, path) == set()


def test_a_flipped_bit_in_the_log_of_a_killed_store_is_refused_and_salvage_says_what_may_be_missing(
    closed: Store, tmp_path: Path
) -> None:
    dice = random.Random(3)
    image = tmp_path / "image"
    with Runtime.open(tmp_path / "live", config=closed.CONFIG) as runtime:
        ids = closed.fill(runtime)
        # What a kill would leave: everything is in the log.
        shutil.copytree(runtime.path, image)
    log = next(each for each in image.iterdir() if each.suffix == ".log" and each.stat().st_size)
    data = log.read_bytes()
    for number in range(30):
        path = tmp_path / f"{number}"
        shutil.copytree(image, path)
        (path / log.name).write_bytes(flip(data, dice.randrange(len(data) * 8)))
        with pytest.raises(IntegrityError):
            closed.open(path)
        if number < 5:
            assert Runtime.salvage(path).log_damaged
            with closed.open(path) as runtime:
                assert set(ids) & {info.id for info in runtime.list_sessions()}
        shutil.rmtree(path)
    with closed.open(image) as runtime:
        assert runtime.verify().ok


def test_counts_that_are_wrong_are_found_and_mended(closed: Store) -> None:
    path = closed.copy()
    limited = {"max_store_bytes": 1 << 30}
    with closed.open(path, **limited) as runtime:
        right = runtime.list_sessions(limit=100, status=list(SessionStatus))
        by_status = runtime.stats()["sessions"]
        used = runtime._store.quota.used
    engine = Engine(path, Durability.WAL, EngineOptions())
    victim = next(info for info in right if info.artifact_count > 1)
    last = Journal(engine).last(session_bytes(victim.id))
    assert last is not None
    wrong = last[1]._replace(artifact_count=77, artifact_bytes=7777)
    engine.write(
        [
            Journal.append(session_bytes(victim.id), last[0], wrong),
            (CF.META, b"counts", seal(b"counts", [9, 9, 9, 9, 9])),
            (CF.META, b"content bytes", seal(b"content bytes", [12345])),
        ]
    )
    for key, _ in engine.scan(CF.SNAPSHOTS, session_bytes(victim.id), after_prefix(session_bytes(victim.id))):
        engine.write([(CF.SNAPSHOTS, key, None)])
    engine.close()
    with closed.open(path, **limited) as runtime:
        assert {problem.kind for problem in runtime.verify().problems} >= {"count", "session"}
        assert runtime.verify(repair=True).ok
        assert runtime.verify().problems == []
        assert runtime.list_sessions(limit=100, status=list(SessionStatus)) == right
        assert runtime.stats()["sessions"] == by_status
        assert runtime._store.quota.used == used


def test_damage_to_what_is_kept_of_installed_scripts_does_not_keep_a_store_from_opening(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with Runtime.open(path, config={"handle_signals": False}) as runtime:
        runtime.scripts.install("one", "return 1")
        session = runtime.create_session()
        session.set("k", 1)
    engine = Engine(path, Durability.WAL, EngineOptions())
    scripts = scope_bytes("greenroom:scripts")
    kept = [key for key, _ in engine.scan(CF.JOURNAL, scripts, after_prefix(scripts))]
    assert kept
    engine.write([(CF.JOURNAL, key, b"damaged") for key in kept])
    engine.close()
    with Runtime.open(path, config={"handle_signals": False}) as runtime:
        assert runtime.session(session.id).get("k") == 1
        assert not runtime.verify().ok
    Runtime.salvage(path)  # nothing holds the store
