"""What a run of a script leaves behind: `script.started` and `script.finished`, and whose operation it is meanwhile."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.messages.calls import Called
from greenroom.actors.messages.events import RecordEvent
from greenroom.actors.scheduling.operation import CURRENT, Operation, changed, event_context
from greenroom.storage.common.session_ids import new_session, session_id_of
from greenroom.storage.errors import GreenroomError
from greenroom.storage.events.model import event_ids

from .scripts import ScriptRequest, ScriptResult

if TYPE_CHECKING:
    from greenroom.runtime.core import RuntimeCore

__all__ = ["run_recorded"]

_WAIT_LIMIT: Final = 5.0
"""Seconds that a note may take; a session that is busy for longer goes without."""


def run_recorded(
    core: RuntimeCore, request: ScriptRequest, language: str, run: Callable[[], ScriptResult]
) -> ScriptResult:
    """Run a script as the operation that it is. One that is bound to a session acts for it, and is journaled there if
    the session is active; of others only listeners are told. Raises what running it raises."""
    bound = request.session.id if request.session is not None else None
    facts: dict[str, Any] = {"script": request.name, "language": language, "profile": request.profile}
    source = f"script:{request.name}"
    changes: dict[str, Any] = {"source": source, "language": language, "realm": core.security}
    if bound is not None:
        changes["principal"] = bound
    around = CURRENT.get()
    try:
        script = changed(around, changes)
        CURRENT.set(script)
        started = _note(core, bound, "script.started", facts)
        CURRENT.set(changed(script, _what_follows(script, started)))
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
            _note(core, bound, "script.finished", facts | outcome | {"duration": time.monotonic() - began})
    finally:
        CURRENT.set(around)


def _what_follows(script: Operation, started: Called | None) -> dict[str, Any]:
    """Return the ids of what a script causes: those of its beginning, if that was journaled."""
    if started is None:
        return {"correlation_id": script.correlation_id or session_id_of(new_session())}
    own = started.event_id
    correlation, _, root = event_ids(own, event_context(script, started.correlation_id) or {})
    return {"correlation_id": correlation, "causation_id": own, "root_id": root}


def _note(core: RuntimeCore, session_id: str | None, type_: str, data: dict[str, Any]) -> Called | None:
    """Journal a note in a session, or where there is none to take it, tell it. Return its event's id if it was
    journaled."""
    supervisor = core.supervisor
    noted: Called | None = None
    if session_id is not None and not core.read_only:
        # The session may have ended or gone, also by the script itself; rates and hooks are for what scripts do.
        with contextlib.suppress(GreenroomError):
            noted = supervisor.delivery.routing.ask(session_id, RecordEvent(type_, data), _WAIT_LIMIT)
    if noted is None and supervisor.services.tell is not None:
        supervisor.services.tell(session_id or "", type_, data)
    return noted
