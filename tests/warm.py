"""Python programs in processes that begin with greenroom imported: `WarmPopen` and `run_warm` are what
`subprocess.Popen` and `subprocess.run` are, for commands that begin with this Python.

Importing takes ten times as long as most programs of tests do. So a process, the nursery, imports once and forks for
each program. What a program is given and what it does is real: arguments, environment, directory, files, signals, exit
codes, and its death. Only these are the nursery's: the seed of hashes, `sys.flags`, and what it has imported.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import types
from subprocess import PIPE
from typing import Any, Final

__all__ = ["WarmPopen", "run_warm"]

_LONGEST: Final = 1 << 20


class WarmPopen(subprocess.Popen[Any]):
    """A process that begins with greenroom imported. Takes what `subprocess.Popen` takes, but for `preexec_fn`,
    `pass_fds`, `shell` and the like."""

    _told: socket.socket

    def _execute_child(self, args: Any, executable: Any, *rest: Any) -> None:
        _, _, _, cwd, env, _, _, _, p2cread, p2cwrite, c2pread, c2pwrite, errread, errwrite, *_ = rest
        words = list(map(os.fspath, args))
        assert words.pop(0) == sys.executable, args
        self._told, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        files = [mine if mine != -1 else number for number, mine in enumerate((p2cread, c2pwrite, errwrite))]
        asked = json.dumps([words, os.fspath(cwd or os.getcwd()), dict(os.environ if env is None else env)]).encode()
        with theirs:
            self._told.sendall(asked)
            socket.send_fds(_nursery(), [b"fork"], [theirs.fileno(), *files])
        nowhere = getattr(self, "_devnull", -1)
        for mine, its in ((p2cwrite, p2cread), (c2pread, c2pwrite), (errread, errwrite)):
            if -1 not in (mine, its) and its != nowhere:
                os.close(its)
        if nowhere != -1:
            os.close(nowhere)
        self._closed_child_pipe_fds = True
        self._child_created = True
        self.pid = struct.unpack("i", self._told.recv(4))[0]

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        if wait_flags & os.WNOHANG and not select.select([self._told], [], [], 0)[0]:
            return 0, 0
        status = struct.unpack("i", self._told.recv(4))[0]
        self._told.close()
        return self.pid, status

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        with self._waitpid_lock:
            if self.returncode is None and (found := self._try_wait(os.WNOHANG))[0]:
                self._handle_exitstatus(found[1])
        return self.returncode


def run_warm(
    command: list[Any],
    *,
    cwd: Any = None,
    env: dict[str, str] | None = None,
    input: str | None = None,
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run a program and return its exit code and what it printed, in UTF-8."""
    streams = {"stdin": subprocess.DEVNULL if input is None else PIPE, "stdout": PIPE, "stderr": PIPE}
    with WarmPopen(command, cwd=cwd, env=env, encoding="utf-8", **streams) as process:
        try:
            out, err = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@functools.cache
def _nursery() -> socket.socket:
    """Start the nursery. It ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        ).returncode = 0  # nobody waits for it
    return ours


# -- the nursery


def _import_all() -> None:
    import pytest

    import greenroom.runtime

    for name in ("greenroom.runtime.cli", "greenroom.runtime.recording.programs"):
        for each in pkgutil.iter_modules(importlib.import_module(name).__path__, f"{name}."):
            if not each.ispkg and not each.name.endswith("__main__"):
                importlib.import_module(each.name)
    assert greenroom.runtime.Runtime
    assert pytest


def _program(asked: socket.socket) -> list[str]:
    """Return, in a process of its own each time, the words of a program that is to run: all else is ready for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those who wait for programs need nobody who waits for them
    while files := socket.recv_fds(asked, 16, 4)[1]:
        if os.fork() == 0:
            break
        for each in files:
            os.close(each)
    else:
        os._exit(0)
    asked.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with socket.socket(fileno=files.pop(0)) as told:
        words, directory, environment = json.loads(told.recv(_LONGEST))
        if program := os.fork():
            told.sendall(struct.pack("i", program))
            os.closerange(0, told.fileno())
            os.closerange(told.fileno() + 1, max(files) + 1)
            told.sendall(struct.pack("i", os.waitpid(program, 0)[1]))
            os._exit(0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, each in enumerate(files):
        os.dup2(each, number)
        os.close(each)
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", 1, "utf-8", "backslashreplace", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    return list(words)


def _run(words: list[str]) -> None:
    """Run a program as `python WORDS` does."""
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    if words[0] == "-m":
        sys.argv[:], sys.path[:0] = words[1:], [os.getcwd()]
        runpy._run_module_as_main(words[1])  # type: ignore[attr-defined]
    elif words[0] == "-c":
        sys.argv[:], sys.path[:0] = ["-c", *words[2:]], [""]
        exec(compile(words[1], "<string>", "exec"), main.__dict__)
    else:
        sys.argv[:], sys.path[:0] = words, [os.path.dirname(words[0])]
        main.__dict__["__file__"] = words[0]
        with open(words[0], encoding="utf-8") as file:
            code = compile(file.read(), words[0], "exec")
        exec(code, main.__dict__)


if __name__ == "__main__":
    del sys.path[0]
    _import_all()
    gc.collect()
    gc.freeze()
    _run(_program(socket.socket(fileno=int(sys.argv[1]))))
