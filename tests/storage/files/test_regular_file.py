"""Files of users: what is written appears whole or not at all, what is no regular file is neither read nor replaced."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from greenroom.runtime import GreenroomError, Runtime, Session, StorageError, ValidationError
from greenroom.runtime.config.settings import load_settings
from greenroom.runtime.tools.standard.file_operations import file_operations
from greenroom.storage.files.regular_file import file_path, open_regular, written_file

KINDS = ("device", "FIFO", "socket", "directory", "link to a device", "link to nothing", "link to a file")


def put(kind: str, path: Path) -> None:
    """Make something that is no regular file."""
    match kind:
        case "device":
            try:
                os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            except PermissionError:
                pytest.skip("making a device needs more rights")
        case "FIFO":
            os.mkfifo(path)
        case "socket":
            with (
                socket.socket(socket.AF_UNIX) as made,
                contextlib.chdir(path.parent),
            ):  # its address has 107 bytes at most
                made.bind(path.name)
        case "directory":
            path.mkdir()
        case "link to a device":
            put("device", path.with_name("a device"))  # not the system's: a fault here would take it from everybody
            path.symlink_to(path.with_name("a device"))
        case "link to nothing":
            path.symlink_to(path.with_name("elsewhere"))
        case "link to a file":
            path.with_name("a file").write_text("mine")
            path.symlink_to(path.with_name("a file"))


def writers(rt: Runtime, session: Session) -> dict[str, Callable[[Path], Any]]:
    """Everything that writes a file where its caller says."""

    def script(text: str) -> Callable[[Path], Any]:
        return lambda path: rt.run_script(
            text, args=[session.id, str(path)], profile="files", directories=[path.parent]
        )

    return {
        "export": session.export,
        "export_session": lambda path: rt.export_session(session.id, path),
        "save_artifact": lambda path: session.save_artifact("a", path),
        "events.export": rt.events.export,
        "file_operations": lambda path: file_operations([path.parent])("write", path.name, "text"),
        "Artifact.saveToFile": script("local s, p = ... return Artifact.saveToFile(s, 'a', p)"),
        "Session.export": script("local s, p = ... return Session.export(s, p)"),
        "io.open": script("local _, p = ... assert(io.open(p, 'w')):close()"),
    }


def readers(rt: Runtime, session: Session) -> dict[str, Callable[[Path], Any]]:
    """Everything that reads a file that its caller names."""

    def script(text: str) -> Callable[[Path], Any]:
        return lambda path: rt.run_script(text, args=[session.id, str(path)], profile="trusted")

    return {
        "store_file": session.store_file,
        "import_bundle": rt.import_bundle,
        "import_session": rt.import_session,
        "run_script": rt.run_script,
        "restore": lambda path: Runtime.restore(path, path.with_name("restored")),
        "settings": lambda path: load_settings(file=path, environ={}),
        "analytics_key_file": key_file,
        "file_operations": lambda path: file_operations([path.parent])("read", path.name),
        "Artifact.storeFile": script("local s, p = ... return Artifact.storeFile(s, p)"),
        "Session.import": script("local _, p = ... return Session.import(p)"),
    }


def key_file(path: Path) -> None:
    with Runtime.open(config={"analytics_key_file": path}) as runtime:
        runtime.analytics.aggregate(privacy=True)


@pytest.fixture
def session(rt: Runtime) -> Session:
    made = rt.create_session()
    made.store_artifact("t", "a", b"hello")
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_no_writer_replaces_what_is_no_regular_file(rt: Runtime, session: Session, tmp_path: Path, kind: str) -> None:
    for name, write in writers(rt, session).items():
        folder = tmp_path / name
        folder.mkdir()
        put(kind, folder / "target")
        before = os.lstat(folder / "target")
        if kind.startswith("link") and name in ("file_operations", "Artifact.saveToFile", "Session.export", "io.open"):
            # Links in granted directories are followed before anything else, so what they lead to counts.
            if kind == "link to a device":
                with pytest.raises(GreenroomError):
                    write(folder / "target")
            else:
                write(folder / "target")
        else:
            with pytest.raises(GreenroomError) as refused:
                write(folder / "target")
            assert refused.value.code in ("StorageError", "ScriptError"), name
            assert kind != "link to a file" or (folder / "a file").read_text() == "mine"
        after = os.lstat(folder / "target")
        assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino), name
        assert not list(folder.glob(".*")), name


@pytest.mark.parametrize("kind", ["device", "FIFO", "socket", "directory", "link to a device", "link to nothing"])
def test_no_reader_waits_for_what_is_no_regular_file(rt: Runtime, session: Session, tmp_path: Path, kind: str) -> None:
    for name, read in readers(rt, session).items():
        folder = tmp_path / name
        folder.mkdir()
        put(kind, folder / "source")
        with pytest.raises(GreenroomError) as refused:
            read(folder / "source")
        assert isinstance(refused.value, GreenroomError), name


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="this system has no such file")
def test_a_file_of_the_kernel_that_cannot_be_read(rt: Runtime, session: Session) -> None:
    for read in readers(rt, session).values():
        with pytest.raises(GreenroomError):
            read(Path("/proc/self/mem"))


def test_a_name_as_long_as_the_file_system_takes(rt: Runtime, session: Session, tmp_path: Path) -> None:
    for length in (250, 255):
        for name, write in writers(rt, session).items():
            folder = tmp_path / f"{name} {length}"
            folder.mkdir()
            write(folder / ("n" * length))
            assert [len(each.name) for each in folder.iterdir()] == [length]
    rt.backup(tmp_path / ("b" * 250))
    Runtime.restore(tmp_path / ("b" * 250), tmp_path / ("r" * 250))
    with pytest.raises(StorageError, match="name too long"):
        session.export(tmp_path / ("n" * 256))


@pytest.mark.parametrize("path", [5, None, b"bytes", "", "a\0b", "\ud800", ["x"], object()])
def test_what_can_be_no_path_is_said_to_be_none(rt: Runtime, session: Session, path: Any) -> None:
    for call in (
        session.export,
        session.store_file,
        rt.import_bundle,
        rt.backup,
        lambda given: session.save_artifact("a", given),
        lambda given: Runtime.restore(given, "x"),
        lambda given: Runtime.restore("x", given),
    ):
        with pytest.raises(ValidationError):
            call(path)
    if path is not None:
        with pytest.raises(ValidationError):
            file_path(path)


def test_two_writers_of_one_path_do_not_mix(session: Session, tmp_path: Path) -> None:
    contents = {"a": b"A" * 1_500_000, "b": b"B" * 2_500_000}
    for name, content in contents.items():
        session.store_artifact("t", name, content)
    target, seen, stop = tmp_path / "target", set[bytes](), threading.Event()

    def save(name: str) -> None:
        for _ in range(20):
            session.save_artifact(name, target)

    def look() -> None:
        while not stop.is_set():
            if target.exists():
                seen.add(target.read_bytes())

    threads = [threading.Thread(target=save, args=(name,)) for name in contents]
    watching = threading.Thread(target=look)
    for each in (*threads, watching):
        each.start()
    for each in threads:
        each.join()
    stop.set()
    watching.join()
    seen.add(target.read_bytes())
    assert seen <= set(contents.values())
    assert os.listdir(tmp_path) == ["target"]


def test_what_fails_halfway_leaves_nothing(session: Session, tmp_path: Path) -> None:
    class Enough(Exception):
        pass

    def stop(done: int, total: int | None) -> None:
        raise Enough

    (tmp_path / "there").write_text("before")
    for name in ("there", "new"):
        for write in (session.export, lambda path, **more: session.save_artifact("a", path, **more)):
            with pytest.raises(Enough):
                write(tmp_path / name, on_progress=stop)  # type: ignore[operator]
    assert os.listdir(tmp_path) == ["there"]
    assert (tmp_path / "there").read_text() == "before"


def test_a_disk_that_takes_no_more_is_a_typed_error_and_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with (
            pytest.raises(StorageError, match="cannot write it: File too large"),
            written_file(tmp_path / "f", "cannot write it") as file,
        ):
            file.write(bytes(1_000_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == []


def test_a_file_is_on_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def noted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            what = name
            if name == "fsync":
                what += " directory" if stat.S_ISDIR(os.fstat(args[0]).st_mode) else " file"
            done.append(what)
            return call(*args)

        return run

    monkeypatch.setattr(os, "fsync", noted("fsync", os.fsync))
    monkeypatch.setattr(os, "replace", noted("replace", os.replace))
    with written_file(tmp_path / "f", "cannot write it") as file:
        file.write(b"x")
    assert done == ["fsync file", "replace", "fsync directory"]


def test_a_replaced_file_keeps_its_permissions(session: Session, tmp_path: Path) -> None:
    target = tmp_path / "secret"
    target.touch()
    target.chmod(0o600)
    session.save_artifact("a", target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert target.read_bytes() == b"hello"


def test_a_file_in_a_directory_that_is_not_there(session: Session, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is no directory"):
        session.export(tmp_path / "nowhere" / "s.bundle")


def test_an_interrupted_writer_leaves_the_file_before(tmp_path: Path) -> None:
    """SIGINT in the middle of writing: the part file goes, what was there stays."""
    program = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from greenroom.storage.files.regular_file import written_file
with written_file(Path(sys.argv[1]), "cannot write it") as file:
    file.write(b"half")
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()
"""
    (tmp_path / "f").write_text("before")
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "f")], check=False, capture_output=True)
    assert b"KeyboardInterrupt" in done.stderr
    assert os.listdir(tmp_path) == ["f"]
    assert (tmp_path / "f").read_text() == "before"


def test_reading_and_writing_what_is_open(tmp_path: Path) -> None:
    path = tmp_path / "f"
    with open_regular(path, "cannot open it", os.O_WRONLY | os.O_CREAT) as file:
        file.write(b"one")
    with open_regular(path, "cannot open it", os.O_WRONLY | os.O_APPEND) as file:
        file.write(b" two")
    with open_regular(path, "cannot open it", os.O_RDWR) as file:
        assert file.read() == b"one two"
        file.seek(0)
        file.write(b"ONE")
    assert path.read_bytes() == b"ONE two"
