"""A terminal for a command: a real pseudo-terminal, typed at and read from."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from pathlib import Path

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[=>]|\r")
_POSITION = b"\x1b[6n"


class Terminal:
    """The command line `arguments` at a terminal of 30 lines. Used in a `with` block, which ends the process."""

    def __init__(self, directory: Path, environment: dict[str, str], *arguments: str) -> None:
        self.shown = ""
        """What has been shown since the last `type`, without the sequences that steer the terminal."""
        self._process, self._terminal = pty.fork()
        if self._process == 0:
            os.chdir(directory)
            command = [sys.executable, "-m", "greenroom.runtime.cli", *arguments]
            os.execve(command[0], command, environment | {"TERM": "xterm-256color"})
        self._lines = 30
        self._set_size()
        self._code: int | None = None

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._code is None:
            os.kill(self._process, signal.SIGKILL)
            os.waitpid(self._process, 0)
        os.close(self._terminal)

    def type(self, text: str, until: str) -> str:
        """Type, wait until a text is shown, and return what has been shown meanwhile."""
        self.shown = ""
        os.write(self._terminal, text.encode())
        return self.wait_for(until)

    def drawn(self, text: str, seconds: float = 60) -> str:
        """Wait until a text stands on the terminal, maybe drawn piece by piece. What changes its size is drawn anew."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.shown = ""
            self._lines = 30 + (self._lines + 1) % 10
            self._set_size()
            while text not in self.shown and select.select([self._terminal], [], [], 0.5)[0]:
                assert self._read(), self.shown
            if text in self.shown:
                return self.shown
        raise AssertionError(self.shown)

    def _set_size(self) -> None:
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", self._lines, 100, 0, 0))

    def wait_for(self, text: str, seconds: float = 60) -> str:
        """Wait until a text is shown."""
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            assert self._read(), self.shown
        return self.shown

    def leave(self, text: str) -> int:
        """Type what ends the command, and return its exit code. What is typed between two prompts is lost at a
        terminal, so it is typed again as long as nothing comes."""
        os.write(self._terminal, text.encode())
        while self._read():
            if not select.select([self._terminal], [], [], 1)[0]:
                with contextlib.suppress(OSError):  # it has just ended
                    os.write(self._terminal, text.encode())
        _, status = os.waitpid(self._process, 0)
        self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def _read(self) -> bool:
        """Read what there is within a second. Return False at the end."""
        if not select.select([self._terminal], [], [], 1)[0]:
            return True
        try:
            data = os.read(self._terminal, 1 << 16)
        except OSError:  # the other side has closed
            return False
        if _POSITION in data:
            os.write(self._terminal, b"\x1b[1;1R")  # where the cursor is, as terminals answer
        self.shown += _ESCAPES.sub("", data.decode("utf-8", "replace"))
        return bool(data)
