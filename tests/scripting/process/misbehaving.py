"""Sandboxes that lie, run in real processes. The source names what they do."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, Final

from greenroom.scripting.process.child import RemoteHost
from greenroom.scripting.process.packing import pack
from greenroom.scripting.process.wire import Kind
from greenroom.scripting.running.sandbox import Job, Outcome

GET: Final = 3
FINE: Final[dict[str, Any]] = {
    "value": None,
    "ending": None,
    "code": None,
    "message": "",
    "line": None,
    "traceback": None,
    "instructions": 0,
    "memory_peak": 0,
}


class Misbehaving:
    def __init__(self, layout: bytes) -> None:
        self._layout = layout

    def run(self, job: Job, host: RemoteHost) -> Outcome:
        host.call(1, [b"%d\n" % os.getpid()])
        connection = host._wire._socket
        connection.setblocking(True)
        value = DEEDS[job.source](connection, host)
        return Outcome(value)

    def forked(self) -> None:
        pass

    def close(self) -> None:
        pass


def frame(kind: int, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + bytes([kind]) + body


def call(number: Any, *values: Any) -> bytes:
    return frame(Kind.CALL, pack([number, [*values]]))


def sends(*pieces: bytes, then: Callable[[], object] = lambda: time.sleep(30)) -> Callable[..., Any]:
    """Return the deed of sending this, and of doing that afterwards; by default, of waiting for the answer."""

    def deed(connection: socket.socket, host: RemoteHost) -> None:
        for piece in pieces:
            connection.sendall(piece)
        then()

    return deed


def floods(piece: bytes) -> Callable[..., Any]:
    def deed(connection: socket.socket, host: RemoteHost) -> None:
        while True:
            connection.sendall(piece)

    return deed


def spins(connection: socket.socket, host: RemoteHost) -> None:
    while True:
        pass


def spins_without_an_alarm(connection: socket.socket, host: RemoteHost) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGXCPU, signal.SIGALRM):
        signal.signal(each, signal.SIG_IGN)
    while True:
        pass


def calls_and_spins(connection: socket.socket, host: RemoteHost) -> None:
    connection.sendall(call(GET, 1))
    spins_without_an_alarm(connection, host)


def closes_and_spins(connection: socket.socket, host: RemoteHost) -> None:
    connection.close()
    spins_without_an_alarm(connection, host)


def kills_itself(number: int) -> Callable[..., Any]:
    return lambda connection, host: os.kill(os.getpid(), number)


def crashes(connection: socket.socket, host: RemoteHost) -> None:
    ctypes.string_at(8)


def fills_the_memory(connection: socket.socket, host: RemoteHost) -> None:
    full = []
    while True:
        full.append(bytes(1 << 20))


def tries(what: Callable[[], object]) -> Callable[..., Any]:
    """Return the deed of trying something, and of telling how it ended."""

    def deed(connection: socket.socket, host: RemoteHost) -> str:
        try:
            return repr(what())
        except BaseException as error:
            return type(error).__name__

    return deed


def _forks() -> object:
    child = os.fork()
    if child == 0:
        os._exit(0)
    return child


def _writes() -> object:
    descriptor = os.memfd_create("x")
    return os.write(descriptor, b"x")


def _descriptors() -> list[int]:
    found = []
    for each in range(300):
        try:
            os.fstat(each)
        except OSError:
            continue
        found.append(each)
    return found


def _limits() -> list[tuple[int, int]]:
    limits = ("CORE", "FSIZE", "NPROC", "NOFILE", "CPU", "AS")
    return [resource.getrlimit(getattr(resource, f"RLIMIT_{each}")) for each in limits]


def gives_a_function(*pieces: bytes, then: Callable[[], object] = lambda: time.sleep(30)) -> Callable[..., Any]:
    """Return the deed of giving the host a function, and of sending this when the host calls it."""

    def deed(connection: socket.socket, host: RemoteHost) -> None:
        connection.sendall(frame(Kind.CALL, b"\x92\x03\x91\xd7\x01" + bytes(8)))
        connection.recv(4096)
        for piece in pieces:
            connection.sendall(piece)
        then()

    return deed


def _nested(levels: int, width: int) -> bytes:
    """Return lists in lists, each of which claims to be long."""
    return (b"\xdd" + width.to_bytes(4, "big")) * levels + b"\xc0" * width


DEEDS: Final[dict[str, Callable[..., Any]]] = {
    "nothing": lambda connection, host: None,
    "garbage": sends(bytes(range(256)) * 64),
    "zeros": sends(bytes(1 << 20)),
    "a huge length": sends(b"\xff\xff\xff\xff\x01"),
    "a length above the limit": sends((70 << 20).to_bytes(4, "big") + b"\x01" + b"x" * 100),
    "an unknown kind": sends(frame(99, b"")),
    "a kind of the host": sends(frame(Kind.ANSWER, pack(1))),
    "an answer to nothing": sends(frame(Kind.RETURNED, pack(1))),
    "an error to nothing": sends(frame(Kind.RAISED, pack("x"))),
    "a limit to nothing": sends(frame(Kind.STOPPED, pack("time"))),
    "a call of no function": sends(call(99)),
    "a call of a negative number": sends(call(-1)),
    "a call of a huge number": sends(call(1 << 60)),
    "a call of a text": sends(call("get")),
    "a call of true": sends(call(True)),
    "a call of the clock": sends(call(0)),
    "a call of the output": sends(call(1, b"x")),
    "a call without arguments": sends(frame(Kind.CALL, pack([GET]))),
    "a call with arguments that are no list": sends(frame(Kind.CALL, pack([GET, {"a": 1}]))),
    "a call that is no list": sends(frame(Kind.CALL, pack({"number": GET}))),
    "a call that is nothing": sends(frame(Kind.CALL, b"")),
    "a call with more behind it": sends(frame(Kind.CALL, pack([GET, [1]]) + b"\xc0")),
    "a call that is cut off": sends(frame(Kind.CALL, pack([GET, ["x" * 100]])[:-50])),
    "a call with an unknown extension": sends(frame(Kind.CALL, b"\x92\x03\x91\xd4\x63\x00")),
    "a call with bad text": sends(frame(Kind.CALL, b"\x92\x03\x91\xa2\xff\xfe")),
    "a call with a key that is a list": sends(frame(Kind.CALL, b"\x92\x03\x91\x81\x90\x01")),
    "a call with keys that are numbers": sends(frame(Kind.CALL, pack([GET, [{1: 2}]]))),
    "lists that claim to be long": sends(frame(Kind.CALL, b"\x92\x03" + _nested(500, 1 << 20))),
    "a list that claims to be endless": sends(frame(Kind.CALL, b"\x92\x03\xdd\xff\xff\xff\xff")),
    "a deep list": sends(frame(Kind.CALL, b"\x92\x03" + b"\x91" * 100_000 + b"\xc0")),
    "a list that is deep enough": sends(frame(Kind.CALL, b"\x92\x03\x91" + b"\x91" * 900 + b"\xc0")),
    "an outcome that is none": sends(frame(Kind.DONE, pack([1]))),
    "an outcome without a message": sends(frame(Kind.DONE, pack(FINE | {"message": None}))),
    "an outcome of an unknown kind": sends(frame(Kind.DONE, pack(FINE | {"ending": "well"}))),
    "an outcome with a line that is none": sends(frame(Kind.DONE, pack(FINE | {"line": "x"}))),
    "an outcome with a function": sends(frame(Kind.DONE, b"\x81\xa5value\xd7\x01" + bytes(8))),
    "a call after the end": sends(frame(Kind.DONE, pack(FINE)), call(GET, 1), call(GET, 2)),
    "two ends": sends(frame(Kind.DONE, pack(FINE)), frame(Kind.DONE, pack(FINE))),
    "a flood of output": floods(frame(Kind.WRITE, b"x" * 100)),
    "a flood of calls": floods(call(GET, 1)),
    "a flood of large calls": floods(call(GET, "x" * (8 << 20))),
    "a flood of empty frames": floods(frame(Kind.WRITE, b"")),
    "half a header": sends(b"\x00\x00"),
    "half a frame": sends(call(GET, "x" * 1000)[:500]),
    "silence": sends(),
    "spinning": spins,
    "spinning without an alarm": spins_without_an_alarm,
    "closing and spinning": closes_and_spins,
    "calling and spinning": calls_and_spins,
    "dying in a frame": sends(call(GET, "x" * 1000)[:500], then=lambda: os.kill(os.getpid(), signal.SIGKILL)),
    "leaving in a frame": sends(call(GET, "x" * 1000)[:500], then=lambda: os._exit(7)),
    "leaving": sends(then=lambda: os._exit(0)),
    "leaving with a status": sends(then=lambda: os._exit(3)),
    "being killed": kills_itself(signal.SIGKILL),
    "aborting": kills_itself(signal.SIGABRT),
    "crashing": crashes,
    "stopping": kills_itself(signal.SIGSTOP),
    "filling the memory": fills_the_memory,
    "an exception": lambda connection, host: 1 // 0,
    "answering a call with a call that is none": gives_a_function(call(99)),
    "answering a call with the end": gives_a_function(frame(Kind.DONE, pack(FINE))),
    "answering a call by dying": gives_a_function(then=lambda: os._exit(5)),
    "opening a file": tries(lambda: os.open("/etc/passwd", os.O_RDONLY)),
    "connecting": tries(socket.socket),
    "forking": tries(_forks),
    "writing": tries(_writes),
    "descriptors": lambda connection, host: _descriptors(),
    "environment": lambda connection, host: dict(os.environ),
    "limits": lambda connection, host: _limits(),
    "identity": lambda connection, host: [os.getuid(), os.getpgid(0) == os.getpid()],
    "modules": lambda connection, host: sorted(__import__("sys").modules),
    "threads": lambda connection, host: len(__import__("threading").enumerate()),
}


def make(profile: str, layout: bytes) -> Misbehaving:
    return Misbehaving(layout)


def refuse(profile: str, layout: bytes) -> Misbehaving:
    raise LookupError("no such layout")
