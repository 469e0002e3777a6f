"""The host's side of the fork server: starts it, keeps processes ready, and gives one out for each script."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from greenroom.runtime import ConfigurationError, RuntimeClosed, ScriptError

from .fork_server import ENDED, FORK, LAYOUT, NOT_STARTED, READY, REQUEST, SECONDS
from .wire import Wire

__all__ = ["ChildProcess", "Children", "Ending"]

_START: Final = 60.0
"""Seconds within which the fork server must be ready. It takes a small part of one."""
_END: Final = 5.0
_KEPT: Final = (
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LC_TIME",
    "LC_NUMERIC",
    "TZ",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "PYTHONHOME",
)
"""What processes of scripts get of the host's environment: the language, the time zone, and where Python is."""
_PROGRAM: Final = "import sys; sys.path[:] = {path!r}; from greenroom.scripting.process.fork_server import main; main()"


class Ending(NamedTuple):
    """How a process ended: its exit code, or minus the signal that killed it; None if nobody knows. And the seconds of
    a core that it used."""

    code: int | None
    seconds: float

    def __str__(self) -> str:
        if self.code is None:
            return "it ended"
        if self.code >= NOT_STARTED:
            return f"it could not be started: {os.strerror(self.code - NOT_STARTED)}"
        if self.code >= 0:
            return f"it ended with status {self.code}"
        with contextlib.suppress(ValueError):
            return f"it was killed by {signal.Signals(-self.code).name}"
        return f"it was killed by signal {-self.code}"


class ChildProcess:
    """A process for one script. It lives as long as this object is not closed."""

    def __init__(self, connection: socket.socket, lease: socket.socket) -> None:
        self.wire = Wire(connection)
        self._lease = lease
        self._ending: Ending | None = None
        _open.add(self)

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        waiting = select.poll()
        waiting.register(self._lease, select.POLLIN)
        return bool(waiting.poll(0))

    def limit(self, seconds: float) -> None:
        """Have the process killed after this time, whatever it does, and whatever this process does."""
        with contextlib.suppress(OSError):
            self._lease.send(SECONDS.pack(seconds))

    def kill(self) -> None:
        """Kill the process, if it has not ended. Callable on any thread."""
        with contextlib.suppress(OSError):
            self._lease.shutdown(socket.SHUT_WR)

    def ending(self, seconds: float = _END) -> Ending:
        """Wait for the process to end and return how it did. If it does not in this time, that is unknown."""
        if self._ending is None:
            waiting = select.poll()
            waiting.register(self._lease, select.POLLIN)
            if not waiting.poll(seconds * 1000):
                return Ending(None, 0.0)
            said = b""
            with contextlib.suppress(OSError):
                said = self._lease.recv(ENDED.size)
            self._ending = Ending(*ENDED.unpack(said)) if len(said) == ENDED.size else Ending(None, 0.0)
        return self._ending

    def close(self) -> None:
        """Kill the process, and forget it."""
        self.kill()
        self.abandon()

    def abandon(self) -> None:
        """Close the connections. In a forked child of the host, that does nothing to the process."""
        self.wire.close()
        self._lease.close()


class Children:
    """The processes of one runtime and one language. Thread-safe.

    A few are ready before they are wanted. Whoever takes one has another one made ready, and does not wait for it.
    """

    def __init__(self, factory: str, ready: int) -> None:
        """`factory` is the place of a function that makes a sandbox, "package.module:name" (see fork_server.py).
        `ready` is the number of processes to keep ready for each layout."""
        self._factory = factory
        self._most = ready
        self._lock = threading.Lock()
        self._numbers: dict[bytes, int] = {}
        """The layouts that the server has sandboxes for, with their numbers there."""
        self._ready: dict[int, deque[ChildProcess]] = {}
        """The processes that nobody has used, by the number of their layout."""
        self._server: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._closed = False
        _open.add(self)

    @property
    def closed(self) -> bool:
        return self._closed

    def prepare(self, layout: bytes) -> None:
        """Start the fork server unless it runs, and have it make a sandbox for a packed layout. Raises as `take`."""
        with self._lock, _reported():
            self._number_of(layout)

    def take(self, layout: bytes) -> ChildProcess:
        """Return a process with a sandbox for a packed layout. Nobody has used it.

        Raises ConfigurationError if there can be no processes here, RuntimeClosed, and ScriptError when the system has
        no more descriptors.
        """
        with self._lock, _reported():
            number = self._number_of(layout)
            ready = self._ready.setdefault(number, deque())
            child = None
            while ready and child is None:
                child = ready.popleft()
                if child.ended:
                    child.close()
                    child = None
            if child is None:
                child = self._order(number)
            with contextlib.suppress(OSError):  # the next script will see
                while len(ready) < self._most:
                    ready.append(self._order(number))
            return child

    def begin_to_close(self) -> None:
        """Give out no more processes."""
        self._closed = True

    def close(self, timeout: float = _END) -> None:
        """End the server and all processes, also those that run scripts."""
        with self._lock:
            self._closed = True
            self._end(timeout)

    def abandon(self) -> None:
        """Forget everything, in a forked child of the host: server and processes belong to the parent."""
        self._lock = threading.Lock()
        self._closed = True
        self._ready.clear()
        if self._control is not None:
            self._control.close()
        if self._server is not None:
            self._server.returncode = 0  # otherwise this process would wait for it
            self._server = self._control = None

    # -- the server; under the lock

    def _start(self) -> None:
        if self._closed:
            raise RuntimeClosed("the runtime is closed: open it again to run scripts")
        if self._server is not None and self._server.poll() is None:
            return
        self._end(_END)
        if not (sys.executable and hasattr(os, "fork") and hasattr(socket, "send_fds")):
            raise ConfigurationError(
                "isolation 'process' needs an operating system with fork, and a Python interpreter that can be started "
                "(sys.executable): run the script with isolation='thread'"
            )
        control, other = socket.socketpair()
        program = _PROGRAM.format(path=[os.path.abspath(each) for each in sys.path])
        with other:
            try:
                server = subprocess.Popen(
                    [sys.executable, "-I", "-c", program, str(other.fileno()), str(os.getpid()), self._factory],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    pass_fds=[other.fileno()],
                    cwd="/",
                    env={name: os.environ[name] for name in _KEPT if name in os.environ},
                    start_new_session=True,
                )
            except OSError as error:
                control.close()
                raise _not_started(str(error)) from error
        self._server, self._control = server, control
        assert server.stderr is not None
        with server.stderr as errors:
            control.settimeout(_START)
            try:
                said = control.recv(4096)
            except OSError:
                said = b"it did not answer"
            if said != READY:
                server.kill()
                why = said or errors.read(1 << 16).strip().rsplit(b"\n", 1)[-1]
                self._end(_END)
                raise _not_started(why.decode("utf-8", "replace")[:500])

    def _number_of(self, layout: bytes) -> int:
        """Return the number by which the server knows a layout."""
        self._start()
        assert self._control is not None
        if layout not in self._numbers:
            self._control.sendall(REQUEST.pack(LAYOUT, len(layout)) + layout)
            said = self._control.recv(4096)
            if said != READY:
                self._end(_END)
                raise _not_started(said.decode("utf-8", "replace"))
            self._numbers[layout] = len(self._numbers)
        return self._numbers[layout]

    def _order(self, number: int) -> ChildProcess:
        """Ask the server for a process with a layout."""
        assert self._control is not None
        wire, its_wire = socket.socketpair()
        lease, its_lease = socket.socketpair()
        # If the server has just died, the process is known to have ended at once.
        with its_wire, its_lease, contextlib.suppress(OSError):
            request = REQUEST.pack(FORK, number)
            socket.send_fds(self._control, [request], [its_wire.fileno(), its_lease.fileno()])
        return ChildProcess(wire, lease)

    def _end(self, seconds: float) -> None:
        for each in self._ready.values():
            for child in each:
                child.close()
        self._ready.clear()
        self._numbers.clear()
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.shutdown(socket.SHUT_RDWR)
            self._control.close()
        if self._server is not None:
            try:
                self._server.wait(seconds)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
        self._server = self._control = None


@contextlib.contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ScriptError(f"there could be no process for a script: {error}") from error


def _not_started(why: str) -> ConfigurationError:
    return ConfigurationError(f"the process that forks the processes of scripts could not be started: {why}")


_open: weakref.WeakSet[ChildProcess | Children] = weakref.WeakSet()


def _abandon_all() -> None:
    for each in list(_open):
        each.abandon()


os.register_at_fork(after_in_child=_abandon_all)
