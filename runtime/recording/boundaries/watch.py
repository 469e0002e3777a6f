"""Watch a program for what can make it run differently and that no recording holds: files, listings of directories,
connections, processes. Runs within the program, as an audit hook."""

from __future__ import annotations

import atexit
import json
import os
import sys
import threading
from types import FrameType
from typing import Any, Final

from greenroom.runtime.recording.tape import sites
from greenroom.runtime.recording.tape.reels import active

__all__ = ["read_watched", "watch"]

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
_CODE: Final = (".py", ".pyc", ".pyi", ".so", ".pth")


def watch(path: str) -> None:
    """Watch this process for what the program's own code touches, and write what was seen to a file at its end."""
    seen: dict[tuple[str, str, str], int] = {}
    busy = threading.local()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        kind = _WATCHED.get(event)
        if kind is None or getattr(busy, "now", False) or active() is None:
            return  # what a boundary does inside is recorded with it
        busy.now = True
        try:
            what = _what(event, arguments)
            place = _place(sys._getframe(1)) if what is not None else None
            if what is not None and place is not None:
                key = (kind, what, place)
                if key in seen or len(seen) < _MOST:
                    seen[key] = seen.get(key, 0) + 1
        finally:
            busy.now = False

    def write() -> None:
        with open(f"{path}.{os.getpid()}", "w", encoding="utf-8") as file:
            json.dump([[*key, times] for key, times in seen.items()], file)

    sys.addaudithook(hook)
    atexit.register(write)


def _place(frame: FrameType | None) -> str | None:
    """Return the place of the program's own code that has touched something, by itself or through Python's own
    modules; None if an import or an installed package did."""
    while frame is not None:
        code = frame.f_code
        if sites.is_own(code):
            return sites.place_of(code, frame.f_lineno)
        if code.co_filename.startswith("<frozen importlib") or "-packages/" in code.co_filename:
            return None
        frame = frame.f_back
    return None


def read_watched(path: str) -> list[tuple[str, str, str, int]]:
    """Return what the processes of a run saw: the kind, what it was (of files and directories also their state, behind
    a null character), the place, and how often."""
    folder, name = os.path.split(path)
    found: dict[tuple[str, str, str], int] = {}
    for each in sorted(os.listdir(folder)):
        if each.startswith(f"{name}."):
            with open(os.path.join(folder, each), encoding="utf-8") as file:
                for kind, what, place, times in json.load(file):
                    found[kind, what, place] = found.get((kind, what, place), 0) + times
    return [(*key, times) for key, times in found.items()]


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
