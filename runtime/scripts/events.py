"""What a run of a script leaves behind: `script.started` and `script.finished`, and whose operation it is meanwhile."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.events import RecordEvent
from greenroom.actors.scheduling.operation import CURRENT, changed, following
from greenroom.storage.common.session_ids import new_session, session_id_of
from greenroom.storage.errors import GreenroomError

from .scripts import ScriptRequest, ScriptResult

if TYPE_CHECKING:
    from greenroom.runtime.runtime import Runtime
    from greenroom.storage.events.model import Event

__all__ = ["run_recorded"]

_WAIT_LIMIT: Final = 5.0
"""Seconds that a note may take; a session that is busy for longer goes without."""


def run_recorded(request: ScriptRequest, language: str, run: Callable[[], ScriptResult]) -> ScriptResult:
    """Run a script as the operation that it is. One that is bound to a session acts for it, and is journaled there if
    the session is active; of others only listeners are told. Raises what running it raises."""
    runtime, bound = request.runtime, request.session.id if request.session is not None else None
    facts: dict[str, Any] = {"script": request.name, "language": language, "profile": request.profile}
    source = f"script:{request.name}"
    changes: dict[str, Any] = {"source": source, "language": language, "realm": runtime._security}
    if bound is not None:
        changes["principal"] = bound
    around = CURRENT.get()
    try:
        script = changed(around, changes)
        CURRENT.set(script)
        started = _note(runtime, bound, "script.started", facts)
        CURRENT.set(changed(script, _what_follows(started)))
        began = time.monotonic()
        outcome: dict[str, Any] = {"success": False, "error": None}
        try:
            result = run()
            outcome = {"success": True, "error": None, "instructions": result.instructions}
            return result
        except GreenroomError as error:
            outcome["error"] = error.code
            raise
        except BaseException as error:
            outcome["error"] = type(error).__name__
            raise
        finally:
            _note(runtime, bound, "script.finished", facts | outcome | {"duration": time.monotonic() - began})
    finally:
        CURRENT.set(around)


def _what_follows(started: Event | None) -> dict[str, Any]:
    """The ids of what a script causes: those of its beginning, if that was journaled."""
    if started is not None:
        return following(started)
    operation = CURRENT.get()
    given = operation.correlation_id if operation is not None else None
    return {"correlation_id": given or session_id_of(new_session())}


def _note(runtime: Runtime, session_id: str | None, type_: str, data: dict[str, Any]) -> Event | None:
    """Journal a note in a session, or where there is none to take it, tell it; the event if it was journaled."""
    supervisor = runtime._supervisor
    event: Event | None = None
    if session_id is not None and not runtime.read_only:
        # The session may have ended or gone, also by the script itself; rates and hooks are for what scripts do.
        with contextlib.suppress(GreenroomError):
            event = supervisor.delivery.routing.ask(session_id, RecordEvent(type_, data), _WAIT_LIMIT)
    if event is None and supervisor.services.tell is not None:
        supervisor.services.tell(session_id or "", type_, data)
    return event
