"""The tool `file_operations`, which works within granted directories only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, Literal

from greenroom.actors.scheduling.operation import require_run
from greenroom.runtime.scripts.files import Files
from greenroom.storage.errors import StorageError, ValidationError
from greenroom.storage.files.regular_file import written_file

__all__ = ["file_operations", "file_operations_on"]

_MAX_BYTES: Final = 1 << 20
_MAX_ENTRIES: Final = 10_000


def file_operations(directories: Iterable[Path]) -> Callable[..., Any]:
    """Return the tool for these directories. Raises ValidationError for a path that is no directory."""
    roots = list(directories)
    for each in roots:
        if not each.is_dir():
            raise ValidationError(f"directories: {str(each)!r} is no directory", field="directories")
    if not roots:
        raise ValidationError("directories: at least one is needed", field="directories")
    return file_operations_on(Files(roots, "this tool"), roots[0])


def file_operations_on(files: Files, base: Path | None) -> Callable[..., Any]:
    """Return the tool for the paths that `files` allows. Relative paths begin at `base`, or the working directory."""

    def run(
        operation: Literal["read", "write", "append", "delete", "exists", "list"],
        path: str,
        input: str | bytes | None = None,
    ) -> Any:
        """Read (at most 1 MiB), write, append to, delete or look for a file, or list a directory, within the granted
        directories. Reading gives text where it is UTF-8, else bytes."""
        target = files.path(str(base / path) if base is not None and path and "\0" not in path else path)
        if operation == "exists":
            return os.path.exists(target)  # an inaccessible path counts as missing
        if operation == "list":
            return _listed(target)
        if operation == "read":
            return _read(files, target)
        if operation == "delete":
            return _deleted(target)
        if input is None:
            raise ValidationError("input: what to write is needed", field="input")
        data = input.encode("utf-8", "surrogatepass") if isinstance(input, str) else input
        if operation == "write":
            with written_file(target, f"cannot write {target.name}", require_run) as file:
                return file.write(data)
        with files.open(target, "a") as file:
            return file.write(data)

    return run


def _read(files: Files, target: Path) -> str | bytes:
    with files.open_for_reading(target) as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise StorageError(f"{target.name} has more than {_MAX_BYTES} bytes: store it as an artifact", path=str(target))
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _listed(target: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    try:
        with os.scandir(target) as entries:
            for entry in entries:
                if len(rows) >= _MAX_ENTRIES:
                    raise StorageError(f"{target.name} has more than {_MAX_ENTRIES} entries", path=str(target))
                kind = "link" if entry.is_symlink() else "directory" if entry.is_dir() else "file"
                size = entry.stat(follow_symlinks=False).st_size if kind == "file" else None
                rows.append({"name": entry.name, "type": kind, **({"size": size} if size is not None else {})})
    except OSError as error:
        raise StorageError(f"cannot list {target.name}: {error.strerror}", path=str(target)) from error
    return sorted(rows, key=lambda row: str(row["name"]))


def _deleted(target: Path) -> bool:
    try:
        target.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StorageError(f"cannot delete {target.name}: {error.strerror}", path=str(target)) from error
    return True
