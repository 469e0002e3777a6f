"""What the process of one script does: confine itself, take the job, run it, send the outcome, end."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import asdict
from typing import Any

from greenroom.runtime import GreenroomError
from greenroom.scripting.definition.binding import CLOCK, WRITE
from greenroom.scripting.definition.callback import Callback, Stopped
from greenroom.scripting.running.host import Host
from greenroom.scripting.running.output import MAX_OUTPUT
from greenroom.scripting.running.sandbox import Job, Outcome, Sandbox

from .limits import confine, limit_run
from .packing import pack, unpack
from .wire import Kind, ProtocolError, Wire

__all__ = ["HostError", "RemoteHost", "run"]

_OUT_OF_MEMORY = pack(asdict(Outcome(ending="memory")))


def run(connection: socket.socket, sandbox: Sandbox, server: int, base: int) -> None:
    """Serve the host over a connection: one script. `base` is the address space that the server has mapped."""
    wire = Wire(connection)
    sandbox.forked()
    confine(server)
    seconds, max_memory, facts = unpack(_expect(wire, Kind.JOB))
    limit_run(base, max_memory, seconds)
    deadline = time.monotonic() + seconds
    try:
        outcome = sandbox.run(Job(**facts), RemoteHost(wire, deadline))
        said = pack(asdict(outcome))
    except MemoryError:
        said = _OUT_OF_MEMORY
    wire.send(Kind.DONE, said)
    os._exit(0)


def _expect(wire: Wire, wanted: Kind) -> bytearray:
    kind, body = wire.receive()
    if kind != wanted:
        raise ProtocolError(f"a frame of kind {kind} instead of {wanted}")
    return body


class HostError(GreenroomError):
    """An error of the host, known by its code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self._code = code

    @property
    def code(self) -> str:
        return self._code


class RemoteHost(Host):
    """The host of a script, which is in another process."""

    def __init__(self, wire: Wire, deadline: float) -> None:
        self._wire = wire
        self._deadline = deadline
        self._written = 0
        self._functions: dict[int, Callback] = {}
        """The functions of the script that the host has, by numbers of our own: a script may give one twice."""
        self._given = 0

    def call(self, number: int, values: list[Any]) -> Any:
        if number == CLOCK:
            return self._deadline - time.monotonic()
        if number == WRITE:
            return self._write(values[0])
        self._wire.send(Kind.CALL, pack([number, values], self._number_of))
        while True:
            kind, body = self._wire.receive()
            match kind:
                case Kind.ANSWER:
                    return unpack(body)
                case Kind.FAILED:
                    raise HostError(*unpack(body))
                case Kind.STOP:
                    raise Stopped(unpack(body))
                case Kind.INVOKE:
                    self._invoke(*unpack(body))
                case Kind.RELEASE:
                    self._functions.pop(unpack(body), None)
                case _:
                    raise ProtocolError(f"a frame of kind {kind} instead of an answer")

    def _write(self, line: str | bytes) -> bool:
        data = line.encode("utf-8", "replace") if isinstance(line, str) else line
        if self._written <= MAX_OUTPUT:
            self._written += len(data)
            self._wire.send(Kind.WRITE, data[: MAX_OUTPUT + 1])
        return self._written <= MAX_OUTPUT

    def _number_of(self, function: Callback) -> int:
        self._given += 1
        self._functions[self._given] = function
        return self._given

    def _invoke(self, number: int, arguments: list[Any]) -> None:
        """Call a function of the script for the host."""
        try:
            answer = pack(self._functions[number](*arguments), self._number_of)
        except Stopped as stopped:
            self._wire.send(Kind.STOPPED, pack(stopped.reason))
        except GreenroomError as error:
            self._wire.send(Kind.RAISED, pack([error.fields.get("cause"), str(error)]))
        else:
            self._wire.send(Kind.RETURNED, answer)
