"""Keeps the machine code of a WebAssembly module in the user's cache directory: compiling takes half a second, reading
it ten milliseconds.

Machine code that is read is executed, so it is read only from a place that nobody but this user can write to: a regular
file with one name, in a directory of mode 0700, both owned by this user. Its checksum must fit, which finds damage.
Whoever can write there as this user can replace this library as well. Otherwise the module is compiled anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import wasmtime

__all__ = ["cache_directory", "compiled"]

_MAGIC: Final = b"greenroom compiled module 1\n"
_HEAD: Final = len(_MAGIC) + hashlib.blake2b().digest_size
_LARGEST: Final = 64 << 20
_PRIVATE: Final = 0o077


def cache_directory() -> Path | None:
    """Return the directory for compiled modules, None if this user has no home directory."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(given):
        return Path(given) / "greenroom" / "js"
    home = os.path.expanduser("~")
    if not os.path.isabs(home):
        return None
    return Path(home) / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "greenroom" / "js"


def compiled(engine: wasmtime.Engine, wasm: bytes, settings: str, directory: Path | None) -> wasmtime.Module:
    """Return the module, from the cache if it is there. `settings` names everything that the machine code depends on.

    Raises `wasmtime.WasmtimeError` if the module is not valid.
    """
    import wasmtime

    if directory is None:
        return wasmtime.Module(engine, wasm)
    name = hashlib.blake2b(settings.encode() + b"\0" + wasm, digest_size=16).hexdigest() + ".module"
    code = _read(directory, name)
    if code is not None:
        # wasmtime compares its version, its settings and the features of the processor.
        with contextlib.suppress(wasmtime.WasmtimeError):
            return wasmtime.Module.deserialize(engine, code)
    module = wasmtime.Module(engine, wasm)
    with contextlib.suppress(OSError):
        _write(directory, name, bytes(module.serialize()))
    return module


def _read(directory: Path, name: str) -> bytes | None:
    """Return the machine code in a file that only this user can have written, else None."""
    try:
        where = _open_private(directory)
        try:
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=where)
        finally:
            os.close(where)
        with open(file, "rb") as stream:
            facts = os.fstat(stream.fileno())
            if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1 or not _is_private(facts):
                return None
            data = stream.read(_LARGEST)
    except OSError:
        return None
    code = data[_HEAD:]
    return code if data[:_HEAD] == _MAGIC + hashlib.blake2b(code).digest() else None


def _write(directory: Path, name: str, code: bytes) -> None:
    """Store machine code for the next process. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    where = _open_private(directory)
    new = f"{name}.{secrets.token_hex(8)}"
    try:
        file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=where)
        try:
            with open(file, "wb") as stream:
                stream.write(_MAGIC + hashlib.blake2b(code).digest())
                stream.write(code)
            os.rename(new, name, src_dir_fd=where, dst_dir_fd=where)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(new, dir_fd=where)
            raise
    finally:
        os.close(where)


def _open_private(directory: Path) -> int:
    """Open a directory that only this user can write to. Raises OSError."""
    where = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not _is_private(os.fstat(where)):
        os.close(where)
        raise PermissionError(f"{directory} is not private")
    return where


def _is_private(facts: os.stat_result) -> bool:
    return facts.st_uid == os.geteuid() and not stat.S_IMODE(facts.st_mode) & _PRIVATE
