"""The cache of compiled code: nothing is executed that another user could have written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from greenroom.scripting.js import compiled as compiled_module
from greenroom.scripting.js.compiled import cache_directory, compiled

WASM = b"\0asm\1\0\0\0"


@pytest.fixture
def engine() -> Any:
    import wasmtime

    return wasmtime.Engine()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was deserialized."""
    import wasmtime

    found: list[bytes] = []
    original = wasmtime.Module.deserialize
    monkeypatch.setattr(wasmtime.Module, "deserialize", lambda *given: (found.append(given[-1]), original(*given))[1])
    return found


def _entry(directory: Path) -> Path:
    (entry,) = directory.iterdir()
    return entry


def test_code_is_compiled_once(engine: Any, tmp_path: Path, read: list[bytes]) -> None:
    directory = tmp_path / "cache" / "js"
    compiled(engine, WASM, "a", directory)
    assert read == []
    assert _entry(directory).stat().st_mode & 0o777 == 0o600
    assert directory.stat().st_mode & 0o777 == 0o700
    compiled(engine, WASM, "a", directory)
    assert len(read) == 1
    compiled(engine, WASM, "b", directory)
    assert len(read) == 1


def test_damaged_code_is_not_executed_but_replaced(engine: Any, tmp_path: Path, read: list[bytes]) -> None:
    directory = tmp_path / "js"
    compiled(engine, WASM, "a", directory)
    entry = _entry(directory)
    whole = entry.read_bytes()
    for damaged in (
        whole[:-1],
        whole[:100] + bytes([whole[100] ^ 1]) + whole[101:],
        b"",
        whole + b"\0",
        b"x" + whole[1:],
    ):
        entry.write_bytes(damaged)
        entry.chmod(0o600)
        compiled(engine, WASM, "a", directory)
        assert read == []
        assert _entry(directory).read_bytes() == whole


def test_code_that_others_could_have_written_is_not_executed(engine: Any, tmp_path: Path, read: list[bytes]) -> None:
    directory = tmp_path / "js"
    compiled(engine, WASM, "a", directory)
    entry = _entry(directory)
    for path, mode in ((entry, 0o666), (directory, 0o777), (directory, 0o750)):
        before = path.stat().st_mode & 0o777
        path.chmod(mode)
        compiled(engine, WASM, "a", directory)
        assert read == []
        path.chmod(before)
    if _entry(directory).exists():
        second = tmp_path / "second name"
        os.link(_entry(directory), second)
        compiled(engine, WASM, "a", directory)
        assert read == []


def test_links_and_pipes_are_not_followed(engine: Any, tmp_path: Path, read: list[bytes]) -> None:
    directory = tmp_path / "js"
    compiled(engine, WASM, "a", directory)
    entry = _entry(directory)
    elsewhere = tmp_path / "elsewhere"
    entry.rename(elsewhere)
    entry.symlink_to(elsewhere)
    compiled(engine, WASM, "a", directory)
    assert read == []
    entry.unlink()
    os.mkfifo(entry, 0o600)
    compiled(engine, WASM, "a", directory)
    assert read == []
    linked = tmp_path / "linked"
    linked.symlink_to(directory, target_is_directory=True)
    compiled(engine, WASM, "a", linked)
    assert read == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_code_of_another_user_is_not_executed(engine: Any, tmp_path: Path, read: list[bytes]) -> None:
    directory = tmp_path / "js"
    compiled(engine, WASM, "a", directory)
    os.chown(_entry(directory), 12345, 12345)
    compiled(engine, WASM, "a", directory)
    assert read == []
    os.chown(directory, 12345, 12345)
    compiled(engine, WASM, "a", directory)
    assert read == []


def test_without_a_place_code_is_compiled_each_time(engine: Any, tmp_path: Path, read: list[bytes]) -> None:
    (tmp_path / "file").write_text("")
    for directory in (None, tmp_path / "file" / "js", Path("/proc/none")):
        assert compiled(engine, WASM, "a", directory) is not None
    assert read == []


def test_the_place_is_the_users_cache_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_directory() == Path("/somewhere/greenroom/js")
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_directory() in (Path("/home/me/.cache/greenroom/js"), Path("/home/me/Library/Caches/greenroom/js"))
    assert compiled_module.cache_directory is cache_directory
