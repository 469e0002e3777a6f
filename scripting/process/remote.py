"""A sandbox that is in a process of its own: the host's side of one run."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import asdict
from functools import cache
from typing import Any, Final

import pydantic

from greenroom.runtime import GreenroomError, ScriptError, ValidationError
from greenroom.scripting.definition.binding import CLOCK, FINISH, FIRST, NOW, WRITE, LayoutData
from greenroom.scripting.definition.callback import Callback, Callbacks, Stopped
from greenroom.scripting.definition.layout import Layout
from greenroom.scripting.definition.packing import TOO_LARGE
from greenroom.scripting.running.host import Host
from greenroom.scripting.running.sandbox import Job, Outcome

from .children import ChildProcess, Children
from .limits import GRACE
from .packing import pack, unpack_untrusted
from .wire import Kind, ProtocolError, WireClosed

__all__ = ["RemoteSandbox", "as_sent"]

_GRACE: Final = 0.05
"""Seconds after the limit within which the process can tell where the script was. Then it is killed."""
_FAREWELL: Final = 0.2
"""Seconds between the end of the connection and that of the process, when it dies by itself."""
_DEATH: Final = 1.0
"""Seconds to wait for the process to be gone. It takes a small part of one."""
_LOOK: Final = 0.1
"""Seconds between two looks at whether the run was ended from outside."""
_BESIDES: Final = 2 << 20
"""Bytes of a frame besides a value that fills the memory of the script."""
_MAX_MESSAGE: Final = 1 << 20


def as_sent(layout: LayoutData) -> bytes:
    """Return a layout as it goes to the fork server."""
    return pack([layout.profile, layout.packed])


class RemoteSandbox:
    """Runs one script in a process of `children`, and serves its calls from the host on the calling thread."""

    def __init__(self, children: Children, layout: Layout) -> None:
        self._children = children
        self._layout = layout

    def run(self, job: Job, host: Host) -> Outcome:
        """Run a script in a process of its own; see `Sandbox.run`."""
        host.room = lambda size: size <= job.max_memory
        child = self._children.take(as_sent(self._layout))
        try:
            outcome = _Served(child, job, host, FIRST + len(self._layout.functions)).outcome()
            if outcome.ending == "error" and self._children.closed:
                return Outcome(
                    ending="error", code="RuntimeClosed", message="the runtime was closed while the script ran"
                )
            return outcome
        finally:
            child.close()

    def forked(self) -> None:
        """Do nothing: a fork has no use for the processes of its parent."""

    def close(self) -> None:
        """Do nothing: a process that is taken ends with its run."""


class _Served:
    """One run: what the process sends, and what it gets. Nothing of it is trusted."""

    def __init__(self, child: ChildProcess, job: Job, host: Host, numbers: int) -> None:
        self._child = child
        self._job = job
        self._host = host
        self._numbers = numbers
        self._wire = child.wire
        self._wire.longest = job.max_memory + _BESIDES
        self._callbacks = Callbacks()
        self._callbacks.invoke = self._invoke
        self._callbacks.release = self._release
        self._writes = True
        self._broken: Exception | None = None
        """Why the process cannot be served any more, if that came out while the host was calling a function of it."""

    def outcome(self) -> Outcome:
        """Serve the script to its end, and return how it ended."""
        try:
            left = self._left()
            self._child.limit(left + GRACE)
            self._send(Kind.JOB, pack([left, self._job.max_memory, asdict(self._job)]))
            return _outcome(self._serve_until(Kind.DONE))
        except TimeoutError:
            outcome = Outcome(ending="time")
        except WireClosed:
            outcome = self._after_death()
        except (ProtocolError, ValueError) as error:
            outcome = Outcome(
                ending="error", message=f"the process of the script sent nonsense, and was killed: {error}"
            )
        finally:
            self._callbacks.close()
        self._child.kill()
        self._child.ending(_DEATH)
        return outcome

    def _after_death(self) -> Outcome:
        """Return the outcome of a process that has died, or at least closed the connection."""
        left = self._host.call(CLOCK, [])
        ending = self._child.ending(min(_FAREWELL, max(0.0, left + _GRACE)))
        if left <= 0 or ending.code in (-signal.SIGALRM, -signal.SIGXCPU):
            return Outcome(ending="time")
        if ending.code is None:
            return Outcome(ending="error", message="the process of the script closed its connection, and was killed")
        return Outcome(ending="error", message=f"the process of the script died: {ending}")

    # -- frames

    def _left(self) -> float:
        """Return the seconds that the script has left. Raises TimeoutError when the process must be killed."""
        left: float = self._host.call(CLOCK, [])
        if left <= -_GRACE:
            raise TimeoutError
        return left

    def _send(self, kind: Kind, body: bytes) -> None:
        self._wire.send(kind, body, self._left() + _GRACE)

    def _receive(self) -> tuple[int, bytearray]:
        while True:
            left = self._left() + _GRACE
            try:
                return self._wire.receive(min(left, _LOOK))
            except TimeoutError:
                continue

    def _serve_until(self, end: Kind) -> Any:
        """Serve the script until a frame of this kind comes, and return what it says."""
        while True:
            kind, body = self._receive()
            match kind:
                case Kind.CALL:
                    self._answer(body)
                case Kind.WRITE:
                    self._write(bytes(body))
                case Kind.DONE if end is Kind.DONE:
                    return unpack_untrusted(body)
                case Kind.RETURNED if end is Kind.RETURNED:
                    return unpack_untrusted(body, self._function)
                case Kind.RAISED if end is Kind.RETURNED:
                    code, message = _raised(unpack_untrusted(body))
                    raise ScriptError(message, script=self._job.name, cause=code)
                case Kind.STOPPED if end is Kind.RETURNED:
                    reason = _text(unpack_untrusted(body))
                    raise Stopped(reason if reason in ("time", "memory") else "interrupted")
                case _:
                    raise ProtocolError(f"a frame of kind {kind} out of turn")

    # -- calls of the script

    def _answer(self, body: bytearray) -> None:
        match unpack_untrusted(body, self._function):
            case [int(number), [*values]] if number == FINISH or FIRST <= number < self._numbers:
                pass
            case [int(number), [*values]] if number == NOW and self._job.told_time:
                pass
            case _:
                raise ProtocolError("a call that is none")
        try:
            answer = self._host.call(number, values)
            kind, data = Kind.ANSWER, _packed(answer)
        except Stopped as stopped:
            kind, data = Kind.STOP, pack(stopped.reason)
        except GreenroomError as error:
            kind, data = Kind.FAILED, pack([error.code, str(error)[:4096]])
        if self._broken is not None:
            raise self._broken
        del values
        self._callbacks.sweep()
        self._send(kind, data)

    def _write(self, line: bytes) -> None:
        # Nobody waits for an answer. A process that writes on once there is no room is not served, and ends in time.
        if self._writes:
            with contextlib.suppress(Stopped):
                self._writes = bool(self._host.call(WRITE, [line]))

    # -- functions of the script

    def _function(self, number: int) -> Callback:
        return Callback(self._callbacks, number)

    def _invoke(self, number: int, arguments: list[Any]) -> Any:
        data = _packed([number, arguments])
        if self._broken is not None:
            raise Stopped
        try:
            self._send(Kind.INVOKE, data)
            return self._serve_until(Kind.RETURNED)
        except (TimeoutError, WireClosed, ProtocolError, ValueError) as error:
            # Between here and `_answer` is code of the host, which must not take this for its own failure.
            if isinstance(error, GreenroomError):
                raise
            self._broken = error
            raise Stopped from None

    def _release(self, number: int) -> None:
        self._send(Kind.RELEASE, pack(number))


def _packed(value: Any) -> bytes:
    """Encode what goes to the script. Raises ValidationError for what scripts cannot hold."""
    try:
        return pack(value)
    except OverflowError:
        raise ValidationError(TOO_LARGE, field="value") from None
    except (TypeError, ValueError) as error:
        raise ValidationError(f"a value that scripts cannot hold: {error}") from None


def _raised(value: Any) -> tuple[str | None, str]:
    """Return the code and the message of an error that a function of the script raised."""
    match value:
        case [None | str(), str()]:
            return value[0], value[1]
    raise ProtocolError("an error that is none")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ProtocolError("a message that is no text")
    return value[:_MAX_MESSAGE]


def _outcome(facts: Any) -> Outcome:
    """Return the outcome that a process has sent. Raises ProtocolError if it is none."""
    try:
        return _adapter().validate_python(facts)
    except pydantic.ValidationError as error:
        raise ProtocolError(f"an outcome that is none: {error.errors()[0]['msg']}") from None


@cache
def _adapter() -> pydantic.TypeAdapter[Outcome]:
    return pydantic.TypeAdapter(Outcome)
