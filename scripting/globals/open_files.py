"""The files that a script of the profile `files` has open, for a language's own functions for files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from greenroom.runtime import StorageError, ValidationError
from greenroom.runtime.scripts import files
from greenroom.scripting.definition.function import export
from greenroom.scripting.definition.types import Content
from greenroom.scripting.definition.values import UNDEFINED

from .context import ScriptContext

__all__ = ["MAX_READ", "WHENCE", "OpenFiles", "read_piece"]

_MAX_OPEN: Final = 64
MAX_READ: Final = 16 << 20
WHENCE: Final = {"set": os.SEEK_SET, "cur": os.SEEK_CUR, "end": os.SEEK_END}


def _failed(operation: str, error: OSError) -> StorageError:
    return StorageError(f"cannot {operation} the file: {error.strerror or error}")


@contextlib.contextmanager
def _reported(operation: str) -> Iterator[None]:
    """Convert an OSError of the code inside to a StorageError for the script."""
    try:
        yield
    except OSError as error:
        raise _failed(operation, error) from error


def read_piece(file: BinaryIO, what: Any, field: str) -> Any:
    """Read "l" (a line), "L" (a line with its end), or a number of bytes. Return UNDEFINED at the end. Raises
    ValidationError naming `field` for anything else."""
    if what in ("l", "L"):
        line = file.readline(MAX_READ)
        if not line:
            return UNDEFINED
        return line[:-1] if what == "l" and line.endswith(b"\n") else line
    if type(what) is int and 0 <= what <= MAX_READ:
        data = file.read(what)
        if what == 0:
            at_end = not file.read(1)
            if not at_end:
                file.seek(-1, os.SEEK_CUR)
            return UNDEFINED if at_end else b""
        return data or UNDEFINED
    raise ValidationError(f'read takes "a", "l", "L" or a number of bytes up to {MAX_READ}', field=field)


class OpenFiles:
    """The open files of a script of profile 'files', by number. Provides io.open and os.remove."""

    NAME = "files"

    def __init__(self, context: ScriptContext) -> None:
        self._files = context.files
        context.at_close(self.close_all)
        self._open: dict[int, BinaryIO] = {}
        self._last = 0

    def close_all(self) -> None:
        """Close all files. Raises StorageError if the last writes fail, after all are closed."""
        failures = []
        for file in self._open.values():
            try:
                file.close()
            except OSError as error:
                failures.append(error)
        self._open.clear()
        if failures:
            raise _failed("close", failures[0])

    def _file(self, number: Any) -> BinaryIO:
        file = self._open.get(number) if isinstance(number, int) else None
        if file is None:
            raise ValidationError("attempt to use a closed file", field="file")
        return file

    @export("open")
    def open(self, path: Any, mode: Any) -> int:
        mode = mode.replace("b", "") if isinstance(mode, str) else mode
        if not isinstance(mode, str) or mode not in files.FILE_MODES:
            raise ValidationError("mode: r, w, a, r+, w+ or a+ is needed", field="mode")
        if len(self._open) >= _MAX_OPEN:
            raise StorageError(f"a script may have at most {_MAX_OPEN} files open")
        file = self._files.open(self._files.path(path), mode)
        self._last += 1
        self._open[self._last] = file
        return self._last

    @export("read")
    def read(self, number: Any, what: Any) -> Any:
        """Read "a" (all), "l" (a line), "L" (a line with its end), or a number of bytes. Return nothing at the end."""
        file = self._file(number)
        with _reported("read"):
            return self._read(file, what)

    @staticmethod
    def _read(file: BinaryIO, what: Any) -> Any:
        if what == "a":
            data = file.read(MAX_READ + 1)
            if len(data) > MAX_READ:
                raise StorageError(f"the file has more than {MAX_READ} bytes left: read it in pieces")
            return data
        return read_piece(file, what, "format")

    @export("write")
    def write(self, number: Any, data: Content) -> bool:
        file = self._file(number)
        with _reported("write"):
            file.write(data)
        return True

    @export("seek")
    def seek(self, number: Any, whence: Any, offset: Any) -> int:
        origin = WHENCE.get(whence) if isinstance(whence, str) else None
        if origin is None or not isinstance(offset, int):
            raise ValidationError('seek takes "set", "cur" or "end" and a number of bytes', field="whence")
        file = self._file(number)
        with _reported("seek"):
            return file.seek(offset, origin)

    @export("flush")
    def flush(self, number: Any) -> bool:
        file = self._file(number)
        with _reported("flush"):
            file.flush()
        return True

    @export("close")
    def close(self, number: Any) -> bool:
        file = self._file(number)
        del self._open[number]
        with _reported("close"):
            file.close()
        return True

    @export("remove")
    def remove(self, path: Any) -> bool:
        target = self._files.path(path)
        try:
            target.unlink()
        except OSError as error:
            raise StorageError(f"cannot remove {target.name}: {error.strerror}", path=str(target)) from error
        return True
