"""Runs a script as an operation and journals `script.started` and `script.finished`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.messages.calls import Called, RecordScript
from greenroom.actors.scheduling.operation import CURRENT, Operation, changed, event_context
from greenroom.runtime.model.script import ScriptResult
from greenroom.storage.codec.records import pack_value
from greenroom.storage.common.session_ids import new_session, session_id_of
from greenroom.storage.errors import GreenroomError, ResourceLimitExceeded
from greenroom.storage.events.model import event_ids

from .scripts import ScriptRequest
from .sources import ScriptSource

if TYPE_CHECKING:
    from greenroom.runtime.core import RuntimeCore

__all__ = ["MAX_KEPT_BYTES", "ScriptJournal", "following", "run_recorded"]

MAX_KEPT_BYTES: Final = 1 << 20
"""More bytes of arguments or of a returned value are not journaled, only their number is."""
_MAX_MESSAGE: Final = 4096
_WAIT_LIMIT: Final = 5.0
"""Seconds to wait for journaling. If the session is busy for longer, the event is skipped."""


def run_recorded(
    core: RuntimeCore, request: ScriptRequest, source: ScriptSource, language: str, run: Callable[[], ScriptResult]
) -> ScriptResult:
    """Run a script as an operation. A script bound to a session acts for it, and its start and end are journaled there
    if the session is active. Otherwise only listeners are notified. Raises what the script raises."""
    journal = ScriptJournal(core, request, source, language)
    changes: dict[str, Any] = {"source": f"script:{request.name}", "language": language, "realm": core.security}
    if journal.bound is not None:
        changes["principal"] = journal.bound
    around = CURRENT.get()
    try:
        script = changed(around, changes)
        CURRENT.set(script)
        started = journal.started()
        CURRENT.set(following(script, started))
        began = time.monotonic()
        error: BaseException | None = None
        result: ScriptResult | None = None
        try:
            result = run()
            error = result.error
        except BaseException as failure:
            error = failure
        journal.finished(result, error, time.monotonic() - began)
        if error is not None:
            raise error
        assert result is not None
        return replace(result, run_id=started.event_id if started is not None else None)
    finally:
        CURRENT.set(around)


def following(script: Operation, started: Called | None) -> Operation:
    """Return the operation of a script with the ids for the events that it causes: those of `script.started`, if it was
    journaled."""
    if started is None:
        return changed(script, {"correlation_id": script.correlation_id or session_id_of(new_session())})
    own = started.event_id
    correlation, _, root = event_ids(own, event_context(script, started.correlation_id) or {})
    return changed(script, {"correlation_id": correlation, "causation_id": own, "root_id": root})


class ScriptJournal:
    """What the journal of a session says about one run. Secrets are removed from all of it before it is journaled."""

    def __init__(
        self,
        core: RuntimeCore,
        request: ScriptRequest,
        source: ScriptSource,
        language: str,
        installed: str | None = None,
    ) -> None:
        """`installed` is the name of an installed script."""
        self._core = core
        self._redaction = core.redaction
        self.bound = request.session.id if request.session is not None else None
        self._facts: dict[str, Any] = {"script": request.name, "language": language, "profile": request.profile}
        if installed is not None:
            self._facts["installed"] = installed
        self._source = source
        self._args = request.args
        self._transcript = request.transcript
        self._call: int | None = None

    def started(self) -> Called | None:
        """Journal that the script begins. Return the event's id, if it was journaled."""
        data = dict(self._facts)
        if self._source.artifact is not None:
            data |= {"artifact": str(self._source.artifact.id), "version": self._source.artifact.version}
        if self.bound is None:
            self._tell("script.started", data)
            return None
        data["source"] = self._clean(self._source.text)
        if data["source"] is not self._source.text and data["source"] != self._source.text:
            data["redacted"] = True
        data |= self._packed("arguments", self._args) if self._args else {}
        noted = self._note("script.started", data, optional=("source", "arguments"))
        self._call = noted.sequence if noted is not None else None
        return noted

    def finished(self, result: ScriptResult | None, error: BaseException | None, duration: float) -> None:
        """Journal how the script has ended: its outcome, what it has cost, and its output."""
        data: dict[str, Any] = {**self._facts, "success": error is None, "error": None, "duration": duration}
        if result is not None:
            data |= {
                "instructions": result.instructions,
                "memory_peak": result.memory_peak,
                "calls": result.calls,
            }
        output = result.output if result is not None else ""
        if isinstance(error, GreenroomError):
            data |= {"error": error.code, "message": self._clean(str(error)[:_MAX_MESSAGE])}
            data |= {name: error.fields[name] for name in ("line", "cause") if error.fields.get(name) is not None}
            output = output or error.fields.get("output") or ""
        elif error is not None:
            data["error"] = type(error).__name__
        if self._call is None:
            self._tell("script.finished", data)
            return
        data["call"] = self._call
        if output:
            data["output"] = self._clean(output)
        if error is None and result is not None and result.value is not None:
            data |= self._packed("value", result.value)
        if self._transcript is not None:
            if self._transcript.broken is None:
                data["transcript"] = pack_value(self._transcript.stored())
            else:
                data["not_replayable"] = self._transcript.broken
        self._note("script.finished", data, optional=("output", "value", "transcript"))

    def _clean(self, text: str) -> str:
        return self._redaction.text(text) if self._redaction is not None else text

    def _packed(self, name: str, value: Any) -> dict[str, Any]:
        """Return a value for the journal, or the number of its bytes if they are too many."""
        packed = pack_value([*value] if isinstance(value, Sequence) and type(value) is tuple else value, name)
        if len(packed) > MAX_KEPT_BYTES:
            return {f"{name}_bytes": len(packed)}
        return {name: self._redaction.packed(packed) if self._redaction is not None else packed}

    def _note(self, type_: str, data: dict[str, Any], optional: Sequence[str]) -> Called | None:
        """Journal an event; if that is not possible, only notify listeners. If the store takes no more content, the
        event is journaled without its `optional` fields."""
        noted: Called | None = None
        if self.bound is not None and not self._core.read_only:
            routing = self._core.supervisor.delivery.routing
            # The script itself may have deleted the session. Rates and hooks apply to what scripts do.
            with contextlib.suppress(GreenroomError):
                try:
                    noted = routing.ask(self.bound, RecordScript(type_, data), _WAIT_LIMIT)
                except ResourceLimitExceeded:
                    small = {name: value for name, value in data.items() if name not in optional}
                    noted = routing.ask(self.bound, RecordScript(type_, small), _WAIT_LIMIT)
        if noted is None:
            self._tell(type_, {name: value for name, value in data.items() if name not in optional})
        return noted

    def _tell(self, type_: str, data: dict[str, Any]) -> None:
        tell = self._core.supervisor.services.tell
        if tell is not None:
            tell(self.bound or "", type_, data)
