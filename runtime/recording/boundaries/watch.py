"""Watch a program for what can make it run differently and that no recording holds: files, listings of directories,
connections, processes, threads, the environment as a whole; and for what it prints where. Runs within the program, as
an audit hook."""

from __future__ import annotations

import atexit
import io
import json
import os
import sys
import threading
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final

from greenroom.runtime.recording.boundaries.standard.concurrency import watch_threads
from greenroom.runtime.recording.boundaries.standard.environment import watch_copies
from greenroom.runtime.recording.tape import sites
from greenroom.runtime.recording.tape.reels import active

__all__ = ["Watched", "read_watched", "watch"]

_WATCHED: Final = {
    "open": "file",
    "os.listdir": "listing",
    "os.scandir": "listing",
    "socket.connect": "network",
    "sqlite3.connect": "database",
    "subprocess.Popen": "process",
}
"""Audit events, and the kinds of sources that they are."""
_MOST: Final = 1000
"""Places that are kept."""
_MOST_PRINTED: Final = 20_000
_LONGEST: Final = 4096
_CODE: Final = (".py", ".pyc", ".pyi", ".so", ".pth")
_OURS: Final = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
"""Where the code stands that calls on for the program."""


@dataclass(slots=True)
class Watched:
    """What was seen of a run. `touched`: the kind, what it was (of files and directories also their state, behind a
    null character), the place, and how often. `printed`: the place, what was printed
    there, and whether that was in another thread than the first, in order."""

    touched: list[tuple[str, str, str, int]] = field(default_factory=list)
    printed: list[tuple[str, str, bool]] = field(default_factory=list)


def watch(path: str, *, is_first: bool) -> None:
    """Watch this process for what the program's own code touches, and write what was seen to a file at its end; of the
    first process of a run also what it prints."""
    seen: dict[tuple[str, str, str], int] = {}
    busy = threading.local()
    printed = _Placed.stand_in_for_stdout() if is_first else None

    def note(kind: str, what: str, place: str) -> None:
        key = (kind, what, place)
        if key in seen or len(seen) < _MOST:
            seen[key] = seen.get(key, 0) + 1

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        kind = _WATCHED.get(event)
        if kind is None or getattr(busy, "now", False) or active() is None:
            return  # what a boundary does inside is recorded with it
        busy.now = True
        try:
            what = _what(event, arguments)
            place = _place(sys._getframe(1)) if what is not None else None
            if what is not None and place is not None:
                note(kind, what, place)
        finally:
            busy.now = False

    def write() -> None:
        told = Watched([(*key, times) for key, times in seen.items()], printed.told() if printed is not None else [])
        with open(f"{path}.{os.getpid()}", "w", encoding="utf-8") as file:
            json.dump([told.touched, told.printed], file)

    sys.addaudithook(hook)
    watch_threads(lambda frame: note("thread", "", _place(frame) or ""))
    watch_copies(lambda frame: note("environment", "", sites.place_of(frame.f_code, frame.f_lineno)))
    atexit.register(write)


class _Placed(io.TextIOWrapper):
    """Stands in for stdout, and takes note of where in the program something is printed."""

    _printed: list[tuple[str, list[str], bool]]
    _lines: threading.local
    """What each thread prints in several parts."""

    @classmethod
    def stand_in_for_stdout(cls) -> _Placed | None:
        """Return what stands in for stdout from now on; None if the program has none."""
        stream = sys.stdout
        if not isinstance(stream, io.TextIOWrapper):
            return None
        how = {name: getattr(stream, name) for name in ("encoding", "errors", "line_buffering", "write_through")}
        placed = cls(stream.detach(), newline="\n" if os.name == "posix" else None, **how)
        placed._printed, placed._lines = [], threading.local()
        sys.stdout = sys.__stdout__ = placed  # type: ignore[misc]
        return placed

    def write(self, text: str, /) -> int:
        """Write, and take note."""
        place = sites.place()
        last = getattr(self._lines, "last", None)
        if last is not None and last[0] == place and not last[1][-1].endswith("\n"):
            last[1].append(text)
        elif len(self._printed) < _MOST_PRINTED:
            last = self._lines.last = (place, [text], threading.current_thread() is not threading.main_thread())
            self._printed.append(last)
        return super().write(text)

    def told(self) -> list[tuple[str, str, bool]]:
        """Return what was printed, with its place."""
        return [(place, "".join(parts)[:_LONGEST], of_thread) for place, parts, of_thread in self._printed]


def _place(frame: FrameType | None) -> str | None:
    """Return the place of the program's own code that has touched something, by itself or through Python's own
    modules; None if an import or an installed package did."""
    while frame is not None:
        code = frame.f_code
        if sites.is_own(code):
            return sites.place_of(code, frame.f_lineno)
        path = code.co_filename
        if path.startswith("<frozen importlib") or ("-packages/" in path and not path.startswith(_OURS)):
            return None
        frame = frame.f_back
    return None


def read_watched(path: str) -> Watched:
    """Return what the processes of a run saw."""
    folder, name = os.path.split(path)
    found: dict[tuple[str, str, str], int] = {}
    printed: list[tuple[str, str, bool]] = []
    for each in sorted(os.listdir(folder)):
        if each.startswith(f"{name}."):
            with open(os.path.join(folder, each), encoding="utf-8") as file:
                touched, prints = json.load(file)
            for kind, what, place, times in touched:
                found[kind, what, place] = found.get((kind, what, place), 0) + times
            printed += [(place, text, of_thread) for place, text, of_thread in prints]
    return Watched([(*key, times) for key, times in found.items()], printed)


def _what(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Return what was touched, in a few words; None if it makes no difference."""
    if event == "open":
        path, mode, _flags = arguments
        if not isinstance(path, (str, bytes)) or (isinstance(mode, str) and not set(mode) & set("r+")):
            return None
        name = os.fsdecode(path)
        return None if name.endswith(_CODE) or name.startswith(("/proc/", "/dev/")) else f"{name}\0{_state(name)}"
    if event in ("os.listdir", "os.scandir"):
        name = os.fsdecode(arguments[0]) if isinstance(arguments[0], (str, bytes)) else "."
        return f"{name}\0{_state(name)}"
    if event == "socket.connect":
        address = arguments[1]
        return ":".join(map(str, address[:2])) if isinstance(address, tuple) else str(address)
    return str(arguments[0])


def _state(path: str) -> str:
    """Return what tells whether a file or a directory has changed since."""
    try:
        found = os.stat(path)
    except OSError:
        return "missing"
    return f"{found.st_size} {found.st_mtime_ns}"
