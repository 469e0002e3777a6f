"""Replays a script exactly: its host's answers, the time and the random numbers come from the journal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from greenroom.runtime.handles.host import Host
from greenroom.runtime.handles.session import Session, core_of, find_session
from greenroom.runtime.model.script import ScriptDifference, ScriptReplay, ScriptResult
from greenroom.storage.common.session_ids import session_bytes, session_id_of
from greenroom.storage.errors import GreenroomError, ReplayError, ScriptError, ValidationError
from greenroom.storage.events.calls import call_value
from greenroom.storage.events.index import event_place
from greenroom.storage.events.model import StoredEvent

from .events import MAX_KEPT_BYTES
from .scripts import ScriptRequest, engine_for
from .transcript import ScriptReplaying

__all__ = ["replay_script", "run_of"]

_SHOWN: Final = 2000


def run_of(run: str) -> tuple[str, int]:
    """Return the session and the sequence of a run, given by its id. Raises ValidationError."""
    place = event_place(run)
    if place is None:
        raise ValidationError("run: the id of a run is needed, as ScriptResult.run_id has it", field="run")
    return session_id_of(place[0]), place[1]


def replay_script(host: Host, session_id: str, sequence: int, source: str | None, timeout: float) -> ScriptReplay:
    """Run a script again, answered from the journal alone, and compare. With `source`, another one runs in its place.

    Raises ReplayError if the run cannot be replayed, and says why.
    """
    session = find_session(host, session_id)
    core = host.core
    core.security.require_reading(session.id, "replay_script")
    load, run_id = core.store.journal.load, f"{session.id}/{sequence}"
    started, finished = _events(session, sequence, run_id)
    kept = call_value(started.data, "source", load)
    if not isinstance(kept, str):
        raise ReplayError(f"the source of run {run_id} cannot be read: run `verify`", session_id=session.id)
    stored = call_value(finished.data, "transcript", load)
    if not isinstance(stored, dict):
        why = finished.data.get("not_replayable") or "it was not recorded, or its record cannot be read"
        raise ReplayError(f"run {run_id} cannot be replayed: {why}", session_id=session.id)
    if "arguments_bytes" in started.data:
        raise ReplayError(
            f"run {run_id} cannot be replayed: its arguments have more than {MAX_KEPT_BYTES} bytes",
            session_id=session.id,
        )
    clean = core.redaction.value if core.redaction is not None else None
    replaying = ScriptReplaying(stored, clean)
    redacted = replaying.redacted or started.data.get("redacted") is True
    if source is None and started.data.get("redacted") is True:
        replaying.difference = ScriptDifference("source", recorded="(secrets were removed from it)")
        return ScriptReplay(run_id, False, replaying.difference, None, "", None, 0, redacted)
    arguments: Any = call_value(started.data, "arguments", load)
    request = ScriptRequest(
        runtime=host,
        source=kept if source is None else source,
        name=started.data["script"],
        profile=started.data["profile"],
        session=session,
        args=tuple(arguments or ()),
        timeout=timeout,
        max_instructions=core.config.script_instructions,
        max_memory=core.config.script_memory_bytes,
        replaying=replaying,
    )
    result = engine_for(started.data["language"]).prepare(request)()
    difference = replaying.difference or _outcome_difference(finished, result, load, clean)
    if difference is not None and difference.line is None and isinstance(result.error, GreenroomError):
        difference = replace(difference, line=result.error.fields.get("line"))
    stopped = replaying.difference is not None
    return ScriptReplay(
        run_id,
        difference is None,
        difference,
        None if stopped else result.value,
        result.output,
        None if stopped else result.error,
        replaying.answered,
        redacted,
    )


def _events(session: Session, sequence: int, run_id: str) -> tuple[StoredEvent, StoredEvent]:
    """Return the two events of a run as they are stored."""
    journal, own = core_of(session).store.journal, session_bytes(session.id)
    last = journal.last(own)
    if not 1 <= sequence <= (last[0] if last is not None else 0) or not journal.holds(own, sequence):
        raise ReplayError(f"there is no event {run_id}", session_id=session.id)
    started = journal.stored(own, sequence)
    if started.type != "script.started" or "source_hash" not in started.data:
        raise ReplayError(f"event {run_id} is no start of a script that was kept", session_id=session.id)
    for _, stored in journal.read(own, sequence):
        if stored.type == "script.finished" and stored.data.get("call") == sequence:
            return started, stored
    raise ReplayError(f"run {run_id} has no end in the journal, so nothing of it is recorded", session_id=session.id)


def _outcome_difference(finished: StoredEvent, result: ScriptResult, load: Any, clean: Any) -> ScriptDifference | None:
    """Return what differs of what came out."""
    data = finished.data
    error = result.error
    code = error.code if error is not None else None
    message = _cleaned(str(error)[:4096], clean) if error is not None else None
    if (data["error"], data.get("message")) != (code, message):
        recorded = f"{data['error']}: {data.get('message', '')}" if data["error"] is not None else None
        return ScriptDifference("error", recorded=recorded, replayed=f"{code}: {message}" if code else None)
    output = call_value(data, "output", load) or ""
    replayed = _cleaned(result.output, clean)
    if isinstance(error, ScriptError):
        replayed = _cleaned(result.output or error.fields.get("output") or "", clean)
    if output != replayed:
        at = next((n for n, (a, b) in enumerate(zip(str(output), replayed, strict=False)) if a != b), 0)
        begin = max(0, at - 40)
        return ScriptDifference("output", recorded=str(output)[begin:][:_SHOWN], replayed=replayed[begin:][:_SHOWN])
    if "value_bytes" not in data:
        value = call_value(data, "value", load)
        if value != _cleaned(result.value, clean):
            return ScriptDifference("value", recorded=value, replayed=result.value)
    return None


def _cleaned(value: Any, clean: Any) -> Any:
    return clean(value) if clean is not None else value
