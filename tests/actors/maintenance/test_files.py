"""Every file of a store removed, emptied, cut, zeroed in part, changed by one bit: all that was acknowledged is there,
or the damage is told and nothing touched; and repair brings back what was in the readable files.

All places are tried with GREENROOM_EVERY_DAMAGE=1; otherwise a sample of them that has every kind of file and damage.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom.runtime import ArtifactNotFound, GreenroomError, IntegrityError, Runtime, StorageError
from greenroom.storage.engine.engine import CF
from greenroom.storage.engine.rocks_files import family_names

from ...warm import run_warm

EVERYTHING = bool(os.environ.get("GREENROOM_EVERY_DAMAGE"))
COUNT = 12
HALF = COUNT // 2
_FILL = f"""
import os, sys
from greenroom.runtime import Runtime

runtime = Runtime.open(sys.argv[1], config={{"snapshot_every": 1000}})
for number in range({COUNT}):
    session = runtime.create_session(name=f"s{{number}}")
    session.set("k", number)
    session.add_message("user", f"message {{number}} " * 300)
    session.store_artifact("x", "a", f"artifact {{number}} " * 200)
    if number == {HALF} - 1:
        runtime._store.engine.flush()
if sys.argv[2] == "closed":
    runtime.close()
else:
    os.kill(os.getpid(), 9)
"""
CONFIG = {"artifact_cache_bytes": 0, "handle_signals": False}


@pytest.fixture(scope="module", params=["closed", "killed"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(request.param) / "store"
    command = [sys.executable, "-c", _FILL, str(path), request.param]
    done = run_warm(command)
    assert done.returncode == (0 if request.param == "closed" else -9), done.stderr
    return path


def contents(path: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in path.iterdir() if each.is_file()}


def kind_of(name: str) -> str:
    if name.endswith((".sst", ".log")):
        return name[-3:]
    return name.split("-", maxsplit=1)[0]


def damages(data: bytes) -> Iterator[tuple[str, bytes | None]]:
    yield "removed", None
    if data:
        yield "empty", b""
        for part in range(1, 11):
            yield "cut", data[: len(data) * part // 11]
        size = max(1, min(4096, len(data) // 3))
        for begin in (0, len(data) // 2, len(data) - size):
            yield "zeroed", data[:begin] + bytes(size) + data[begin + size :]
        for bit in (len(data) // 7 * 8, len(data) * 4 + 3, len(data) * 8 - 1):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            yield "one bit", bytes(changed)


def read(runtime: Runtime) -> list[str]:
    """What is missing, each as a line; [] if everything is there. Raises what reading raises."""
    missing = []
    found = {info.name: info.id for info in runtime.list_sessions(limit=100)}
    for number in range(COUNT):
        if f"s{number}" not in found:
            missing.append(f"session {number}")
            continue
        session = runtime.session(found[f"s{number}"])
        if session.get("k") != number:
            missing.append(f"variable {number}")
        if [message.content for message in session.messages()] != [f"message {number} " * 300]:
            missing.append(f"message {number}")
        if session.get_artifact("a").content != (f"artifact {number} " * 200).encode():
            missing.append(f"artifact {number}")
    return missing


def outcome(path: Path, *, read_only: bool) -> tuple[str, list[str]]:
    """Open a store and read all of it: how the damage showed, and what is missing."""
    before = contents(path)
    try:
        runtime = Runtime.open(path, config=CONFIG, read_only=read_only)
    except IntegrityError as error:
        if "verify --repair" not in str(error):
            raise
        assert contents(path) == before
        return "opening refused", []
    with runtime:
        try:
            missing = read(runtime)
        except IntegrityError:
            return "reading raises", []
        except ArtifactNotFound as error:
            missing = [str(error)]
        if not missing:
            return "whole", []
        return "verify tells" if not runtime.verify().ok else "silent", missing


def chosen(store: Path) -> list[tuple[str, str, bytes | None]]:
    """(file, damage, what is left of it)"""
    found = []
    dice = random.Random(7)
    by_kind: Counter[tuple[str, str]] = Counter()
    for name, data in sorted(contents(store).items()):
        for damage, left in damages(data):
            place = (kind_of(name), damage)
            by_kind[place] += 1
            often = 0.03 if place[0] in ("sst", "log", "MANIFEST") else 0
            if EVERYTHING or by_kind[place] == 1 or dice.random() < often:
                found.append((name, damage, left))
    return found


def repaired(path: Path, name: str, damage: str) -> None:
    """Salvage a store, and look for what must be there again: all but what only the damaged file had."""
    original = contents(path)
    try:
        report = Runtime.salvage(path)
    except StorageError as error:
        if "nothing of the store" not in str(error):
            raise
        assert contents(path) == original
        return
    assert contents(report.original).items() >= {n: d for n, d in original.items() if n != "LOCK"}.items()
    with Runtime.open(path, config=CONFIG) as runtime:
        assert runtime.verify().ok or not report.ok
        try:
            missing = read(runtime)
        except GreenroomError as error:
            missing = [str(error)]
    assert not (missing and report.ok), (name, damage, missing)
    if not name.endswith((".sst", ".log")):
        assert not missing, (name, damage, missing)


def test_no_damaged_file_loses_anything_in_silence(store: Path, tmp_path: Path) -> None:
    table: Counter[tuple[str, str, str]] = Counter()
    for number, (name, damage, left) in enumerate(chosen(store)):
        path = tmp_path / str(number)
        shutil.copytree(store, path)
        if left is None:
            (path / name).unlink()
        else:
            (path / name).write_bytes(left)
        told_reader, missing = outcome(path, read_only=True)
        assert told_reader != "silent", (name, damage, missing)
        shown, missing = outcome(path, read_only=False)
        table[kind_of(name), damage, shown] += 1
        assert shown != "silent", (name, damage, missing)
        if shown != "whole":
            repaired(path, name, damage)
        shutil.rmtree(path)
    kinds = {kind for kind, _, _ in table}
    assert kinds >= {"CURRENT", "MANIFEST", "OPTIONS", "IDENTITY", "LOCK", "LOG", "rocksdict", "sst", "log"}
    assert ("WITNESS" in kinds) == store.parent.name.startswith("killed")
    for row, times in sorted(table.items()):
        print(*row, times, sep="\t")


def test_a_copy_that_was_interrupted_anywhere_is_refused_or_whole(store: Path, tmp_path: Path) -> None:
    names = sorted(contents(store))
    for number in range(1, len(names)):
        path = tmp_path / str(number)
        path.mkdir()
        for name in names[:number]:
            if not name.startswith("LO"):  # what a backup has not
                shutil.copyfile(store / name, path / name)
        assert outcome(path, read_only=True)[0] in ("opening refused", "whole"), names[:number]
        assert outcome(path, read_only=False)[0] in ("opening refused", "whole"), names[:number]


def test_one_changed_bit_of_a_manifest_mistakes_no_column_family_for_another(store: Path, tmp_path: Path) -> None:
    path = tmp_path / "store"
    shutil.copytree(store, path)
    families = family_names(path, CF.NAMES)
    assert sorted(families.values()) == sorted(["default", *CF.NAMES])
    for manifest in path.glob("MANIFEST-*"):
        data = manifest.read_bytes()
        for bit in range(0, min(len(data), 4096) * 8, 31):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            manifest.write_bytes(changed)
            assert family_names(path, CF.NAMES) == families
        manifest.write_bytes(data)
