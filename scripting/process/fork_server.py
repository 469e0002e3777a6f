"""The fork server: a program that has an engine loaded and forks a process for each script. The host starts it.

    python -I -c "…" CONTROL HOST FACTORY

CONTROL is the descriptor of a connection to the host, HOST the host's process id, FACTORY the place of a function
("package.module:name") that makes a sandbox for a layout, given as profile and packed data. Each process has a copy
of it. When it is loaded the server says `READY`, or else why it cannot run.

Over CONTROL the host sends requests (`REQUEST`):

- `LAYOUT` and a size, then a layout of this size: the server makes a sandbox for it, and answers as above.
- `FORK` and the number of a layout, with two connections. One goes to a new process. The other stays here: when the
  host closes it or ends, the process is killed, whatever it does, and also after the seconds that the host sends over
  it (`SECONDS`); when the process has ended, the server says over it how (`ENDED`), and closes it.

The server ends when CONTROL is closed or the host has ended, and kills all
its processes first. It has one thread, and no file, connection or environment of the host.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import resource
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Final, TypeAlias

from greenroom.scripting.process import child
from greenroom.scripting.process.limits import address_space
from greenroom.scripting.process.packing import unpack
from greenroom.scripting.running.sandbox import Sandbox

__all__ = ["ENDED", "FORK", "LAYOUT", "NOT_STARTED", "READY", "REQUEST", "SECONDS", "main"]

READY: Final = b"ready"
REQUEST: Final = struct.Struct(">cI")
LAYOUT, FORK = b"L", b"F"
SECONDS: Final = struct.Struct(">d")
ENDED: Final = struct.Struct(">id")
"""How a process ended: its exit code, or minus the signal that killed it, or `NOT_STARTED` plus an error number; and
the seconds of a core that it used."""
NOT_STARTED: Final = 1000
Factory: TypeAlias = Callable[[str, bytes], Sandbox]
_LOOK: Final = 1000
"""Milliseconds between two looks at whether the host is still there: a process that the host has forked may keep the
other end of the connection open."""
_MAX_OPEN: Final = 8192


class ForkServer:
    """Forks processes, and kills each when nobody wants it any more."""

    def __init__(self, control: socket.socket, host: int, factory: Factory) -> None:
        self._control = control
        self._host = host
        self._factory = factory
        self._sandboxes: list[Sandbox] = []
        """A sandbox for each layout, by the layout's number."""
        self._base = 0
        self._leases: dict[int, tuple[socket.socket, int]] = {}
        """The connection to the host and the process, by the descriptor of the connection."""
        self._deadlines: dict[int, float] = {}
        """When to kill the process, by the descriptor of its connection."""
        self._ended, self._waker = socket.socketpair()
        self._events = select.poll()

    def serve(self) -> None:
        """Serve the host until it has enough."""
        self._ended.setblocking(False)
        self._waker.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        for each in (self._control, self._ended):
            self._events.register(each, select.POLLIN)
        try:
            while os.getppid() == self._host:
                # One at a time: after the first, the same descriptor may belong to another process.
                for descriptor, _ in self._events.poll(self._kill_late())[:1]:
                    if descriptor == self._control.fileno():
                        if not self._accept():
                            return
                    elif descriptor == self._ended.fileno():
                        self._reap()
                    else:
                        self._hear(descriptor)
        finally:
            for descriptor in list(self._leases):
                self._kill(descriptor)

    def _accept(self) -> bool:
        """Do what the host has asked for. Return False when it wants no more."""
        try:
            request, descriptors, _, _ = socket.recv_fds(self._control, REQUEST.size, 2)
            received = [socket.socket(fileno=each) for each in descriptors]
            if len(request) < REQUEST.size:
                return False
            what, number = REQUEST.unpack(request)
            if what == LAYOUT:
                layout = self._control.recv(number, socket.MSG_WAITALL)
                self._control.sendall(self._prepare(layout))
            else:
                self._fork(self._sandboxes[number], *received)
        except OSError:
            return False
        return True

    def _prepare(self, layout: bytes) -> bytes:
        try:
            self._sandboxes.append(self._factory(*unpack(layout)))
        except Exception as error:
            return _reason(error)
        gc.collect()
        self._base = address_space()  # with what the engine has reserved in advance
        gc.freeze()  # so that the collector of a process writes to no memory that it shares with the others
        return READY

    def _fork(self, sandbox: Sandbox, wire: socket.socket, lease: socket.socket) -> None:
        server = os.getpid()
        try:
            process = os.fork()
        except OSError as error:
            with wire, lease:
                self._tell(lease, NOT_STARTED + (error.errno or 0), 0.0)
            return
        if process == 0:
            try:
                lease.close()
                self._forget()
                child.run(wire, sandbox, server, self._base)
            finally:
                os._exit(1)
        wire.close()
        self._leases[lease.fileno()] = lease, process
        self._events.register(lease, select.POLLIN)

    def _forget(self) -> None:
        """Close in a new process what belongs to the server."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for each in (self._control, self._ended, self._waker, *(lease for lease, _ in self._leases.values())):
            each.close()

    def _kill_late(self) -> float:
        """Kill the processes whose time is over. Return the milliseconds until the next look."""
        now = time.monotonic()
        for descriptor in [each for each, deadline in self._deadlines.items() if deadline <= now]:
            self._kill(descriptor)
        return min([_LOOK, *((deadline - now) * 1000 + 1 for deadline in self._deadlines.values())])

    def _hear(self, descriptor: int) -> None:
        """Do what the host says of a process: when to kill it, or that nobody wants it any more."""
        lease, _ = self._leases[descriptor]
        said = b""
        with contextlib.suppress(OSError):
            said = lease.recv(SECONDS.size)
        if len(said) == SECONDS.size:
            self._deadlines[descriptor] = time.monotonic() + SECONDS.unpack(said)[0]
        else:
            self._kill(descriptor)

    def _kill(self, descriptor: int) -> None:
        self._deadlines.pop(descriptor, None)
        # The process cannot have been replaced by another one of the same number: it has not been waited for.
        with contextlib.suppress(OSError):
            os.kill(self._leases[descriptor][1], signal.SIGKILL)
        with contextlib.suppress(KeyError):
            self._events.unregister(descriptor)

    def _reap(self) -> None:
        """Tell the host of each process that has ended."""
        with contextlib.suppress(BlockingIOError):
            self._ended.recv(4096)
        leases = {process: descriptor for descriptor, (_, process) in self._leases.items()}
        while True:
            try:
                process, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if process == 0:
                return
            if (descriptor := leases.pop(process, None)) is not None:
                lease, _ = self._leases.pop(descriptor)
                self._deadlines.pop(descriptor, None)
                with contextlib.suppress(KeyError):
                    self._events.unregister(descriptor)
                with lease:
                    self._tell(lease, os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime)

    @staticmethod
    def _tell(lease: socket.socket, code: int, seconds: float) -> None:
        with contextlib.suppress(OSError):
            lease.setblocking(False)
            lease.send(ENDED.pack(code, seconds))


def _reason(error: Exception) -> bytes:
    return f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:4000]


def main() -> None:
    """Run the server."""
    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        module, _, name = sys.argv[3].partition(":")
        factory = getattr(importlib.import_module(module), name)
    except Exception as error:
        control.sendall(_reason(error))
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MAX_OPEN if hard == resource.RLIM_INFINITY else min(_MAX_OPEN, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nothing, standard)
    os.close(nothing)
    control.sendall(READY)
    ForkServer(control, int(sys.argv[2]), factory).serve()
    os._exit(0)


if __name__ == "__main__":
    main()
