"""The tool `file_operations`, which works within granted directories only."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from greenroom.actors.scheduling.operation import require_run
from greenroom.runtime.scripts.files import Files
from greenroom.storage.errors import StorageError, ValidationError
from greenroom.storage.files.regular_file import written_file

from .inputs import AnyText, any_case

__all__ = ["file_operations", "file_operations_on"]

_MAX_BYTES: Final = 1 << 20
_MAX_ENTRIES: Final = 10_000


Operation = Literal["read", "write", "append", "delete", "exists", "list", "info", "move", "copy", "create_dir"]
_SAME: Final = {
    "mkdir": "create_dir",
    "create_directory": "create_dir",
    "rename": "move",
    "remove": "delete",
    "metadata": "info",
    "stat": "info",
    "list_dir": "list",
    "list_directory": "list",
}
_TWO: Final = ("move", "copy")
"""The operations that take a second path."""
_PIECE: Final = 1 << 18


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

    def within(path: str) -> Path:
        return files.path(str(base / path) if base is not None and path and "\0" not in path else path)

    def run(
        operation: Annotated[Operation, any_case(_SAME)],
        path: str,
        input: AnyText | bytes | None = None,
        content: AnyText | bytes | None = None,
        to: str | None = None,
        destination: str | None = None,
    ) -> Any:
        """Read (at most 1 MiB), write, append to, delete, describe (info), move or copy a file, list or create
        (create_dir) a directory, or say whether something exists, within the granted directories.

        `input` is what to write, or where to move or copy to. `content`, `to` and `destination` are other names of it.
        Reading gives text where it is UTF-8, else bytes.
        """
        target = within(path)
        if operation in _PLAIN:
            return _PLAIN[operation](target)
        if operation == "read":
            return _read(files, target)
        given = next((each for each in (input, content, to, destination) if each is not None), None)
        if given is None:
            raise ValidationError(
                f"input: {operation} needs {'a path' if operation in _TWO else 'a text'}", field="input"
            )
        if operation in _TWO:
            other = within(given if isinstance(given, str) else given.decode("utf-8", "surrogateescape"))
            if other.is_dir():
                other = other / target.name
            _moved(target, other) if operation == "move" else _copied(files, target, other)
            return True
        data = given.encode("utf-8", "surrogatepass") if isinstance(given, str) else given
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
        raise _failed("list", target, error) from error
    return sorted(rows, key=lambda row: str(row["name"]))


def _described(target: Path) -> dict[str, Any]:
    with _reported("describe", target):
        facts = os.stat(target)
    kind = "directory" if stat.S_ISDIR(facts.st_mode) else "file" if stat.S_ISREG(facts.st_mode) else "other"
    modified = datetime.fromtimestamp(facts.st_mtime, UTC).isoformat().replace("+00:00", "Z")
    return {"name": target.name, "path": str(target), "type": kind, "size": facts.st_size, "modified": modified}


def _moved(target: Path, other: Path) -> None:
    require_run()
    with _reported("move", target):
        os.replace(target, other)


def _copied(files: Files, target: Path, other: Path) -> None:
    with (
        files.open_for_reading(target) as source,
        written_file(other, f"cannot copy to {other.name}", require_run) as copy,
    ):
        while piece := source.read(_PIECE):
            require_run()
            copy.write(piece)


def _created(target: Path) -> bool:
    require_run()
    with _reported("create the directory", target):
        os.makedirs(target, exist_ok=True)
    return True


def _deleted(target: Path) -> bool:
    try:
        target.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _failed("delete", target, error) from error
    return True


@contextlib.contextmanager
def _reported(operation: str, target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _failed(operation, target, error) from error


def _failed(operation: str, target: Path, error: OSError) -> StorageError:
    return StorageError(f"cannot {operation} {target.name}: {error.strerror}", path=str(target))


_PLAIN: Final[dict[str, Callable[[Path], Any]]] = {
    "exists": os.path.exists,  # an inaccessible path counts as missing
    "list": _listed,
    "delete": _deleted,
    "info": _described,
    "create_dir": _created,
}
"""The operations on one path that need nothing else."""
