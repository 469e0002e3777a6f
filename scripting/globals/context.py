"""The context of a script for the globals: its sessions, and the time it has left.

Access is not decided here. A script bound to a session runs as that session's operation, and the runtime checks each of
its calls. An unbound script acts for the host and has access to every session. The current session is a default for
arguments and gives no permissions.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from greenroom.runtime import (
    GreenroomError,
    OperationTimeout,
    ResourceLimitExceeded,
    Runtime,
    Scope,
    Session,
    ValidationError,
)
from greenroom.runtime.scripts import Residence, weight_of
from greenroom.scripting.definition.values import UNDEFINED

from .files import Files

__all__ = ["KEPT_BYTES", "ScriptContext"]

KEPT_BYTES: Final = 16 << 20
"""Limit of what the host keeps for a script beside the script's own memory: its agents and its workflows."""


class ScriptContext:
    """One run of a script: its current session, its files, and the time it has left."""

    def __init__(
        self,
        runtime: Runtime,
        bound: Session | None,
        deadline: float,
        files: Files | None = None,
        write: Callable[[str], object] = lambda line: None,
        residence: Residence | None = None,
    ) -> None:
        self.runtime = runtime
        self.deadline = deadline
        self.files = files if files is not None else Files("sandboxed")
        self.write = write
        """Adds a line to the script's output."""
        self.residence = residence
        """Where the script stays when it has come to its end."""
        self.on_piece: Callable[[Any], object] | None = None
        """Takes the pieces that the script gives to its host. False means that no more are wanted."""
        self.unwanted = False
        """Whether the script ended because no more pieces were wanted."""
        self.renew: Callable[[float], object] = lambda seconds: None
        """Gives a script that stays so many seconds and the limits of a run. The host sets it."""
        self.handle_event: Callable[[], bool] = lambda: False
        """Calls the functions of a script that stays for one event, and returns whether there was one."""
        current = bound if bound is not None else Session.current(runtime)
        self.current_id = current.id if current is not None else None
        self._entered = contextlib.ExitStack()
        self._ending = contextlib.ExitStack()
        self._finishing: list[Callable[[], object]] = []
        self._closing: list[Callable[[], object]] = []
        self._handles: dict[str, Session] = {bound.id: bound} if bound is not None else {}
        self.shared: dict[type, Any] = {}
        """What several globals have in common, by its class."""
        self.ended = False
        self._kept = 0

    def keep(self, value: Any, what: str) -> None:
        """Count a plain value that the host keeps until the script ends, `what` in errors. Raises
        ResourceLimitExceeded."""
        size = weight_of(value)
        if self._kept + size > KEPT_BYTES:
            raise ResourceLimitExceeded(
                f"the {what} of a script may take {KEPT_BYTES} bytes together",
                resource="kept_bytes",
                limit=KEPT_BYTES,
                value=self._kept + size,
            )
        self._kept += size

    def at_end(self, call: Callable[[], object]) -> None:
        """Register a function to call at the end of the script, on its thread or, if it is abandoned, on another
        one."""
        self._ending.callback(call)

    def at_finish(self, call: Callable[[], object]) -> None:
        """Register a function to call when the script has come to its end, while it can still be called back."""
        self._finishing.append(call)

    def finish(self) -> None:
        """Do what is left to do when the script has come to its end. One that stays is called back here."""
        for call in self._finishing:
            call()
        if self.residence is not None and not self.ended:
            self.residence.serve(self.renew, self.handle_event)

    def at_close(self, call: Callable[[], object]) -> None:
        """Register a function to call on the script's thread when the run is over. Its error is the script's."""
        self._closing.append(call)

    def close(self) -> None:
        """Reset the current session, and release everything that ends with the script. Call it on the script's
        thread. Raises what functions of `at_close` raise, after all is released."""
        self._entered.close()
        self.release()
        failed: GreenroomError | None = None
        for call in self._closing:
            try:
                call()
            except GreenroomError as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def release(self) -> None:
        """Release the script's resources of the runtime, even if it still runs. Callable on any thread."""
        self.ended = True
        self._ending.close()

    def remaining(self) -> float:
        """Return the seconds that the script has left; 0 or less when its time is over."""
        return self.deadline - time.monotonic()

    def check_time(self, *progress: object) -> None:
        """Raise OperationTimeout when the time is over. Long operations call this repeatedly."""
        if self.ended or self.remaining() <= 0:
            raise OperationTimeout("the script's time was over before this was done", started=True)

    # -- sessions

    def session(self, reference: Any = UNDEFINED) -> Session:
        """Return the session that a script names by id or by a row with an `id`; by default the current one.

        Raises AccessDenied, SessionNotFound, or ValidationError if none is named and none is current.
        """
        if reference is not UNDEFINED and isinstance(reference, Mapping):
            reference = reference.get("id")
        if reference is UNDEFINED or reference is None or reference == "":
            reference = self.current_id
            if reference is None:
                raise ValidationError("a session id is needed: no session is current", field="session_id")
        if not isinstance(reference, str):
            raise ValidationError("session_id: the id of a session is needed", field="session_id")
        return self._handle(reference)

    def forget(self, session_id: str) -> None:
        """Forget a deleted session."""
        self._handles.pop(session_id, None)

    def set_current(self, reference: Any) -> None:
        """Make a session current until the script ends. Without a reference, no session is current."""
        if reference is UNDEFINED or reference is None:
            self._entered.close()
            self.current_id = None
            return
        session = self.session(reference)
        self._entered.close()
        self._entered.enter_context(session.as_current())
        self.current_id = session.id

    def _handle(self, session_id: str) -> Session:
        handle = self._handles.get(session_id)
        if handle is None:
            handle = self._handles[session_id] = self.runtime.session(session_id)
        return handle.with_timeout(self._time_left())

    def _time_left(self) -> float:
        """Return how long a call may wait: at most the time that the script has left."""
        return min(self.runtime.config.ask_timeout, max(0.001, self.remaining()))

    # -- state outside of sessions

    def scope(self, name: str) -> Scope:
        """Return the state of a scope such as "global" or "user:7". Raises AccessDenied if the script may not."""
        return self.runtime.state_scope(name, self._time_left())
