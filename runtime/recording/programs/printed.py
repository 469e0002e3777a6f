"""What a program prints through stdout and stderr of Python: its beginning, and a digest of all of it, so that a replay
can be compared with it."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from blake3 import blake3

from greenroom.runtime.recording.tape.matching.redacted import fits_redacted
from greenroom.runtime.recording.tape.report import Drift
from greenroom.runtime.recording.tape.secrets.urls import REDACTED

if TYPE_CHECKING:
    from greenroom.runtime.recording.tape.report import Tally
    from greenroom.runtime.recording.tape.secrets.redacting import Redactor

__all__ = ["Printed"]

_STREAMS: Final = ("stdout", "stderr")
_MOST: Final = 64 << 10
"""Bytes of the beginning of a stream that are kept as they are."""
_LONGEST: Final = 80


class _Prints:
    """Passes on what is printed to a stream, and takes note of it. Safe for threads, as the stream is."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._size = 0
        self._head = bytearray()
        self._digest = blake3()

    def add(self, data: Any) -> None:
        """Take note of what was printed."""
        self._size += len(data)
        self._digest.update(data)
        if (room := _MOST - len(self._head)) > 0:
            self._head += data[:room]

    def to_dict(self) -> dict[str, Any]:
        """Return what is kept: the size in bytes, a digest of all, the beginning as a text, and how many columns the
        terminal has (0: it is none)."""
        head = self._head.decode("utf-8", "backslashreplace")
        return {
            "size": self._size,
            "digest": self._digest.digest(16),
            "head": head,
            "terminal": self._terminal,
        }


class _Raw(io.FileIO):
    """The file below a stream of Python's."""

    def __init__(self, number: int, name: str, prints: _Prints) -> None:
        super().__init__(number, "w", closefd=False)
        self.name = name
        self._prints = prints

    def write(self, data: Any, /) -> int:
        """Write, and take note of what was written."""
        written = super().write(data)
        if written:
            self._prints.add(memoryview(data)[:written])
        return written


class Printed:
    """What one process prints to its streams."""

    def __init__(self) -> None:
        self._prints: dict[str, _Prints] = {}

    def begin(self) -> None:
        """Take note from now on of what is printed to the streams of this process. They stay what they are to the
        program: files of text, above a buffer, above the same descriptor."""
        for name in _STREAMS:
            stream = getattr(sys, name, None)
            with suppress(OSError, ValueError, AttributeError):
                if type(stream) is io.TextIOWrapper:
                    self._replace(name, stream)

    def _replace(self, name: str, stream: io.TextIOWrapper) -> None:
        number = stream.fileno()
        prints = _Prints(os.get_terminal_size(number).columns if stream.isatty() else 0)
        raw = _Raw(number, f"<{name}>", prints)
        stream.flush()
        new = io.TextIOWrapper(
            raw if isinstance(stream.buffer, io.FileIO) else io.BufferedWriter(raw),
            encoding=stream.encoding,
            errors=stream.errors,
            newline="\n" if os.name == "posix" else None,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        vars(new)["mode"] = "w"
        self._prints[name] = prints
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)

    def flush(self) -> None:
        """Print what is still in buffers. Whatever is wrong with a stream, Python says at its end."""
        for name in self._prints:
            with suppress(Exception):
                getattr(sys, name).flush()

    def to_dict(self, redactor: Redactor | None) -> dict[str, Any]:
        """Return what is kept of each stream by its name, without secrets: of one that had any, there is no digest."""
        printed = {name: prints.to_dict() for name, prints in self._prints.items()}
        for kept in printed.values() if redactor is not None else ():
            assert redactor is not None
            cleaned = redactor.text(kept["head"])
            if cleaned != kept["head"]:
                kept.update(head=cleaned, digest=b"")
        return printed

    def compare(self, recorded: Any, report: Tally, redactor: Redactor | None) -> None:
        """Compare what was printed in a replay with what was recorded, and report it. Only stdout counts: stderr has
        logs, with times of their own."""
        if not isinstance(recorded, Mapping):
            return
        printed = self.to_dict(redactor)
        for name in _STREAMS:
            report.streams[name], difference = _compared(recorded.get(name), printed.get(name))
            if report.streams[name] == "differs" and name == "stdout":
                report.tell(Drift("output", name, "", 0, "output", difference))


def _compared(recorded: Any, now: Any) -> tuple[str, str]:
    """Return how far a stream is as it was recorded (see `ReplayReport.streams`), and how it differs, in one line."""
    if not isinstance(recorded, Mapping) or not isinstance(now, Mapping):
        return "unknown", ""
    if recorded.get("digest") and recorded["digest"] == now.get("digest"):
        return "same", ""
    one, other = str(recorded.get("head", "")), str(now.get("head", ""))
    cut = max(int(recorded.get("size", 0)), int(now.get("size", 0))) > _MOST
    if REDACTED in one and fits_redacted(one, other):
        return ("begins" if cut else "redacted"), ""
    if recorded.get("terminal") != now.get("terminal"):
        return "terminal", ""
    if one == other:
        sizes = f"{recorded.get('size'):,} bytes → {now.get('size'):,} bytes"
        return "differs", f"behind its first {_MOST:,} bytes: {sizes}"
    return "differs", _difference(one, other)


def _difference(one: str, other: str) -> str:
    a, b = one.splitlines(), other.splitlines()
    at = next((place for place, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return f"line {at + 1}: {_line(a, at)} → {_line(b, at)}"


def _line(lines: list[str], at: int) -> str:
    if at >= len(lines):
        return "nothing"
    text = repr(lines[at])
    return text if len(text) <= _LONGEST else text[: _LONGEST - 2] + "…'"
