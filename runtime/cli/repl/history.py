"""What was typed in earlier sessions of the repl: a private file of the user, bounded."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

__all__ = ["MAX_ENTRIES", "HistoryFile", "history_path"]

MAX_ENTRIES: Final = 2000
_MAX_ENTRY: Final = 16_384
_MAX_BYTES: Final = 8 << 20


def history_path(language: str) -> Path:
    """Return where the history of a language is kept: in the user's directory for the state of programs."""
    base = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return Path(base) / "greenroom" / f"history-{language}"


class HistoryFile:
    """Entries, oldest first, each on lines that begin with "+", after an empty line.

    Only the user may read the file. Entries that begin with a space are not kept, as in a shell. A file that cannot be
    read or written is left alone: there is then no history.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.works = True

    def load(self) -> list[str]:
        """Return the newest entries, oldest first. A file with many more is cut to these."""
        entries = self._read()
        if len(entries) > MAX_ENTRIES:
            entries = entries[-MAX_ENTRIES:]
            self._replace(entries)
        return entries

    def add(self, entry: str) -> None:
        """Keep an entry."""
        if entry.startswith(" ") or not entry.strip() or len(entry) > _MAX_ENTRY:
            return
        with self._no_trouble():
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(self._open(os.O_APPEND), "a", encoding="utf-8", errors="surrogatepass") as file:
                file.write(_written(entry))

    def _read(self) -> list[str]:
        entries: list[list[str]] = []
        with self._no_trouble():
            with self._path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - _MAX_BYTES))
                text = file.read(_MAX_BYTES).decode("utf-8", "replace")
            fresh = True
            for line in text.split("\n"):
                if line.startswith("+"):
                    if fresh:
                        entries.append([])
                    entries[-1].append(line[1:])
                fresh = not line.startswith("+")
        return ["\n".join(lines) for lines in entries]

    def _replace(self, entries: Iterable[str]) -> None:
        with self._no_trouble():
            beside = self._path.with_name(f"{self._path.name}.{os.getpid()}")
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogatepass") as file:
                file.writelines(map(_written, entries))
            beside.replace(self._path)

    def _open(self, flags: int) -> int:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | flags, 0o600)
        os.fchmod(descriptor, 0o600)  # it may be older than this rule, or made by another program
        return descriptor

    @contextlib.contextmanager
    def _no_trouble(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            pass
        except OSError:
            self.works = False


def _written(entry: str) -> str:
    return "\n" + "".join(f"+{line}\n" for line in entry.split("\n"))
