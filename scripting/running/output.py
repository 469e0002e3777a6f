"""What a script prints: kept for the result, and given to the host as it comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["MAX_OUTPUT", "Output"]

MAX_OUTPUT: Final = 1 << 20


class Output:
    """The lines that a script has printed. Keeps the first mebibyte; with `keep` false, all goes to `echo` alone."""

    def __init__(self, echo: Callable[[str], None] | None = None, *, keep: bool = True) -> None:
        self._keep = keep
        self._lines: list[bytes] = []
        self._size = 0
        self._echo = echo

    def write(self, line: str | bytes) -> bool:
        """Add a line. Return False once there is no room for more. Raises what the host's echo raises."""
        data = line.encode("utf-8", "replace") if isinstance(line, str) else line
        if not self._keep:
            if self._echo is not None:
                self._echo(data.decode("utf-8", "replace"))
            return True
        room = MAX_OUTPUT - self._size
        fits = len(data) <= room
        if fits:
            self._size += len(data)
        else:
            data = data[:room] + b"\n[output truncated at 1 MiB]\n"
            self._size = MAX_OUTPUT
        self._lines.append(data)
        if self._echo is not None:
            self._echo(data.decode("utf-8", "replace"))
        return fits

    def text(self) -> str:
        return b"".join(self._lines).decode("utf-8", "replace")
