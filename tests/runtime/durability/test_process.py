"""What a store and its runtime do when processes, the system and the disk misbehave."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import Runtime, RuntimeClosed, StorageFull, StoreLocked

from ...warm import WarmPopen, run_warm

BOUND = 60.0
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
NOBODY = 65534


def python(code: str, *arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run code in another process."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return run_warm(command, timeout=BOUND, **options)


# -- several processes, one store


def test_a_second_runtime_is_refused_and_the_first_goes_on(store_path: Path) -> None:
    with Runtime.open(store_path) as first:
        session = first.create_session()
        with pytest.raises(StoreLocked, match="read_only"):
            Runtime.open(store_path)
        session.set("k", 1)
        assert session.get("k") == 1
        assert first.verify().ok


@pytest.mark.parametrize("spelling", ["link", "roundabout", "relative"])
def test_another_spelling_of_the_path_is_the_same_store(
    store_path: Path, spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store_path.parent)
    with Runtime.open(store_path) as first:
        session = first.create_session()
        (store_path.parent / "link").symlink_to(store_path)
        paths = {"link": "link", "roundabout": f"{store_path.name}/../{store_path.name}", "relative": store_path.name}
        with pytest.raises(StoreLocked):
            Runtime.open(paths[spelling])
        session.set("k", 1)
    with Runtime.open(store_path) as again:
        assert again.session(session.id).get("k") == 1


def test_a_second_process_is_refused_and_the_first_goes_on(store_path: Path) -> None:
    code = """
import sys

from greenroom.runtime import Runtime, StoreLocked
try:
    Runtime.open(sys.argv[1])
except StoreLocked as error:
    print(error.code)
"""
    with Runtime.open(store_path) as first:
        session = first.create_session()
        assert python(code, store_path).stdout == "StoreLocked\n"
        session.set("k", 1)
        assert first.verify().ok
    with Runtime.open(store_path) as again:
        assert again.session(session.id).get("k") == 1


def test_another_process_reads_beside_the_writer_and_catches_up(store_path: Path) -> None:
    code = """
import sys
from greenroom.runtime import InvalidOperation, Runtime
with Runtime.open(sys.argv[1], read_only=True) as follower:
    session = follower.session(sys.argv[2])
    print(session.get("k"), session.get_artifact("a").content == b"x" * 500_000, flush=True)
    sys.stdin.readline()
    follower.refresh()
    print(session.get("k"), follower.count_sessions(), flush=True)
    try:
        session.set("k", 3)
    except InvalidOperation:
        print("refused", flush=True)
"""
    with Runtime.open(store_path) as writer:
        session = writer.create_session()
        session.set("k", 1)
        session.store_artifact("user_input", "a", b"x" * 500_000)
        follower = WarmPopen(
            [sys.executable, "-c", code, str(store_path), session.id],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert follower.stdout is not None
            assert follower.stdin is not None
            assert follower.stdout.readline() == "1 True\n"
            session.set("k", 2)
            writer.create_session()
            follower.stdin.write("go on\n")
            follower.stdin.flush()
            assert follower.stdout.readline() == "2 2\n"
            assert follower.stdout.readline() == "refused\n"
            follower.communicate(timeout=BOUND)
            assert follower.returncode == 0
        finally:
            follower.kill()
            follower.wait()
        session.set("k", 4)
        assert writer.verify().ok


_FORKS = """
import gc, multiprocessing, os, sys, threading
from greenroom.runtime import Runtime, RuntimeClosed
path, read_only = sys.argv[1], sys.argv[2] == "read only"
with Runtime.open(path) as before:
    before.create_session(name="s").set("k", 1)
    before.compact()
runtime = Runtime.open(path, read_only=read_only)
session = runtime.list_sessions()[0]
session = runtime.session(session.id)
session.get("k")
going = True
def busy():
    while going:
        session.get("k") if read_only else session.set("n", 1)
threads = [threading.Thread(target=busy) for _ in range(2)]
[thread.start() for thread in threads]

def told(use):
    try:
        use()
    except RuntimeClosed as error:
        assert str(os.getppid()) in str(error) and "forked" in str(error) and "spawn" in str(error), error
        return
    raise SystemExit("not refused")

def used():
    for use in (
        lambda: session.get("k"),
        lambda: session.info(),
        lambda: session.set("k", 2),
        lambda: runtime.list_sessions(),
        lambda: runtime.create_session(),
        lambda: runtime.stats(),
        lambda: runtime.events.subscribe("*"),
        lambda: runtime.run_script("return 1"),
    ):
        told(use)

def drop():
    global runtime, session
    del runtime, session
    gc.collect()
    sys.exit(3)

def fail():
    sys.stderr = open(os.devnull, "w")
    raise KeyError

def close():
    runtime.close()
    sys.exit(3)

def thread():
    threading.Thread(target=lambda: None).start()
    sys.exit(3)

def fork_again():
    child = os.fork()
    if child == 0:
        sys.exit(4)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) - 1)

def killed():
    os.kill(os.getpid(), 15)

ends = {"exit": lambda: sys.exit(3), "_exit": lambda: os._exit(3), "raise": fail, "drop": drop, "close": close,
        "thread": thread, "fork": fork_again, "return": lambda: None, "killed": killed}
child = None
for name, end in ends.items():
    child = os.fork()
    if child == 0:
        break
    print(name, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
if child == 0:
    used()
    end()
else:
    worker = multiprocessing.get_context("fork").Process(target=used)
    worker.start()
    worker.join()
    print("multiprocessing", worker.exitcode)
    going = False
    [thread.join() for thread in threads]
    print(session.get("k"))
    runtime.close()
"""


@pytest.mark.parametrize("way", ["read only", "writing"])
def test_a_forked_child_is_told_so_and_may_end_in_any_way(store_path: Path, way: str) -> None:
    done = python(_FORKS, store_path, way)
    assert done.stdout.split("\n")[:-1] == [
        "exit 3",
        "_exit 3",
        "raise 1",
        "drop 3",
        "close 3",
        "thread 3",
        "fork 3",
        "return 0",
        "killed -15",
        "multiprocessing 0",
        "1",
    ], done.stderr


def test_a_forked_child_cannot_open_a_store_and_one_forked_before_the_first_store_can(tmp_path: Path) -> None:
    code = """
import os, sys
from greenroom.runtime import InvalidOperation, Runtime
def child_opens():
    child = os.fork()
    if child == 0:
        try:
            with Runtime.open(f"{sys.argv[1]}/child-{os.getpid()}") as runtime:
                runtime.create_session()
                runtime.compact()
        except InvalidOperation as error:
            sys.exit(5 if "spawn" in str(error) else 6)
        sys.exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(child_opens(), flush=True)
Runtime.open(f"{sys.argv[1]}/own").close()
print(child_opens(), flush=True)
"""
    done = python(code, tmp_path)
    assert done.stdout == "0\n5\n", done.stderr


def test_a_forked_child_is_refused_and_the_parent_goes_on(store_path: Path) -> None:
    code = """
import os, sys
from greenroom.runtime import Runtime, RuntimeClosed
with Runtime.open(sys.argv[1]) as runtime:
    session = runtime.create_session()
    child = os.fork()
    if child == 0:
        try:
            session.set("k", 1)
        except RuntimeClosed:
            os._exit(7)
        os._exit(8)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    session.set("k", 2)
    print(session.get("k"), runtime.verify().ok)
"""
    done = python(code, store_path)
    assert done.stdout == "7\n2 True\n", done.stderr


# -- permissions


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory whose path every user may walk, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="greenroom-test-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path
        path.chmod(0o755)


def _as_nobody(code: str, path: Path) -> str:
    """Run code as a user who owns nothing; root, who may write everywhere, becomes that user once all is imported."""
    become = f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})" if ROOT else ""
    imported = "import os, pickle, sqlite3, sys, tempfile\nfrom greenroom.runtime import *"
    done = python(f"{imported}\n{become}\n{code}", path)
    return done.stdout or done.stderr


OPEN = """
try:
    Runtime.open(sys.argv[1]).close()
except GreenroomError as error:
    print(error.code, "permission" in str(error) or str(error))
"""


def test_a_store_that_may_not_be_written_says_so(open_directory: Path) -> None:
    with Runtime.open(open_directory / "store") as runtime:
        session_id = runtime.create_session().id
    for entry in [*(open_directory / "store").iterdir(), open_directory / "store"]:
        entry.chmod(0o555 if entry.is_dir() else 0o444)
    try:
        assert _as_nobody(OPEN, open_directory / "store") == "StorageError True\n"
    finally:
        (open_directory / "store").chmod(0o755)
        for entry in (open_directory / "store").iterdir():
            entry.chmod(0o644)
    with Runtime.open(open_directory / "store") as runtime:
        assert runtime.session(session_id).info().status == "active"


def test_a_place_where_no_store_can_be_made_says_so(open_directory: Path) -> None:
    open_directory.chmod(0o555)
    assert _as_nobody(OPEN, open_directory / "store") == "StorageError True\n"


def test_a_directory_that_becomes_read_only_refuses_writes_serves_reads_and_recovers(open_directory: Path) -> None:
    code = """
import time
path = sys.argv[1] + "/store"
with Runtime.open(path, config={"write_buffer_bytes": 4 << 20}) as runtime:
    session = runtime.create_session()
    os.chmod(path, 0o555)
    count = 0
    try:
        while count < 10_000:
            session.set(f"k{count % 100}", os.urandom(10_000).hex())
            count += 1
    except StorageError as error:
        print(error.code, "permission" in str(error))
    print(len(session.variables()) == min(count, 100), session.info().sequence == count + 1)
    os.chmod(path, 0o755)
    deadline = time.monotonic() + 30
    while True:
        try:
            session.set("after", 1)
            break
        except StorageError:
            if time.monotonic() > deadline:
                print("writing does not resume")
                break
            time.sleep(0.05)
    print(session.get("after"), runtime.verify().problems)
with Runtime.open(path) as runtime:
    print(runtime.session(session.id).get("after"), runtime.verify().problems)
"""
    open_directory.chmod(0o777)
    assert _as_nobody(code, open_directory) == "StorageError True\nTrue True\n1 []\n1 []\n"


# -- a full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128m", "tmpfs", str(path)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("only root may mount a small file system")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.mark.parametrize("durability", ["wal", "fsync", "memory"])
def test_a_full_disk_refuses_writes_serves_reads_and_recovers(small_disk: Path, durability: str) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(110 << 20))
    config = {"durability": durability, "write_buffer_bytes": 4 << 20}
    acknowledged: dict[str, str] = {}
    with Runtime.open(small_disk / "store", config=config) as runtime:
        session = runtime.create_session()
        other = runtime.create_session()
        other.set("before", 1)
        kept = os.urandom(200_000)
        other.store_artifact("user_input", "kept", kept)

        def fill() -> None:
            while True:
                key, value = f"k{len(acknowledged)}", os.urandom(10_000).hex()
                session.set(key, value)
                acknowledged[key] = value

        with pytest.raises(StorageFull, match="full"):
            fill()
        assert session.get("k0") == acknowledged["k0"]
        assert other.get("before") == 1
        with pytest.raises(StorageFull):
            other.store_artifact("user_input", "too large", os.urandom(60 << 20))
        assert session.variables() == acknowledged
        assert other.get("before") == 1
        assert other.get_artifact("kept").content == kept
        assert runtime.list_sessions().total == 2

        ballast.unlink()
        # RocksDB looks every few seconds whether there is space again.
        deadline = time.monotonic() + BOUND
        while True:
            try:
                other.set("after", 2)
                break
            except StorageFull:
                assert time.monotonic() < deadline, "writing does not resume"
                time.sleep(0.05)
        session.set("last", 3)
        assert runtime.verify().problems == []
    with Runtime.open(small_disk / "store") as runtime:
        assert runtime.session(session.id).variables() == {**acknowledged, "last": 3}
        assert runtime.session(other.id).variables() == {"before": 1, "after": 2}
        assert [each.name for each in runtime.session(other.id).list_artifacts()] == ["kept"]
        assert runtime.session(other.id).get_artifact("kept").content == kept
        assert runtime.verify().problems == []


def test_closing_on_a_full_disk_ends_and_loses_nothing(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(110 << 20))
    acknowledged: dict[str, str] = {}
    runtime = Runtime.open(small_disk / "store")
    session = runtime.create_session()
    with pytest.raises(StorageFull):  # noqa: PT012 - which of the writes meets the full disk is the disk's choice
        while True:
            key, value = f"k{len(acknowledged)}", os.urandom(10_000).hex()
            session.set(key, value)
            acknowledged[key] = value
    runtime.close()
    assert runtime.closed
    with pytest.raises(RuntimeClosed):
        session.set("k", 1)
    ballast.unlink()
    with Runtime.open(small_disk / "store") as runtime:
        assert runtime.session(session.id).variables() == acknowledged
        assert runtime.verify().problems == []
