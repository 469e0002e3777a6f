"""Runs a script as an operation and journals `script.started` and `script.finished`."""

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
"""Seconds to wait for journaling. If the session is busy for longer, the event is skipped."""


def run_recorded(
    core: RuntimeCore, request: ScriptRequest, language: str, run: Callable[[], ScriptResult]
) -> ScriptResult:
    """Run a script as an operation. A script bound to a session acts for it, and its start and end are journaled there
    if the session is active. Otherwise only listeners are notified. Raises what the script raises."""
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
    """Return the ids for the events that a script causes: those of `script.started`, if it was journaled."""
    if started is None:
        return {"correlation_id": script.correlation_id or session_id_of(new_session())}
    own = started.event_id
    correlation, _, root = event_ids(own, event_context(script, started.correlation_id) or {})
    return {"correlation_id": correlation, "causation_id": own, "root_id": root}


def _note(core: RuntimeCore, session_id: str | None, type_: str, data: dict[str, Any]) -> Called | None:
    """Journal an event in a session; if that is not possible, only notify listeners. Return the event's id if it was
    journaled."""
    supervisor = core.supervisor
    noted: Called | None = None
    if session_id is not None and not core.read_only:
        # The script itself may have ended or deleted the session. Rates and hooks apply to what scripts do.
        with contextlib.suppress(GreenroomError):
            noted = supervisor.delivery.routing.ask(session_id, RecordEvent(type_, data), _WAIT_LIMIT)
    if noted is None and supervisor.services.tell is not None:
        supervisor.services.tell(session_id or "", type_, data)
    return noted
