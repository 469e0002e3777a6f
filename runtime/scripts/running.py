"""Runs a script for whoever asks the runtime to: finds its source and its engine, and says what it may use."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from greenroom.actors import messages as m
from greenroom.runtime.core import RuntimeCore
from greenroom.runtime.handles.host import Host
from greenroom.runtime.handles.session import Session, find_session, required_session_id
from greenroom.runtime.model.script import ScriptResult
from greenroom.storage.artifacts.model import ArtifactId
from greenroom.storage.common.arguments import as_flag, as_function, as_items, as_seconds, as_text
from greenroom.storage.errors import InvalidOperation, ScriptError, shown
from greenroom.storage.files.regular_file import file_path

from .events import run_recorded
from .isolation import isolation_of
from .scripts import MAX_SCRIPT_ARGUMENTS, ScriptRequest, with_hint
from .sources import find_source
from .stream import in_this_context
from .transcript import Transcript

__all__ = ["run_script"]


def run_script(
    host: Host,
    source: str | os.PathLike[str] | ArtifactId | None,
    language: str | None,
    profile: str,
    session: Session | str | None,
    args: Sequence[object],
    timeout: float | None,
    *,
    artifact: ArtifactId | str | None,
    version: int | str | None,
    name: str | None,
    directories: Sequence[str | os.PathLike[str]],
    echo: Callable[[str], None] | None,
    record: bool | None,
    on_piece: Callable[[Any], object] | None,
    isolation: str | None,
    trust: str,
) -> ScriptResult:
    """Run a script; see `Runtime.run_script`."""
    core = host.core
    bound = None
    if session is None:
        core.require_host("run_script", "write")
    else:
        bound = find_session(host, required_session_id(session))
        core.security.require(bound.id, "run_script", "write")
    found = find_source(host, source, artifact, version, bound)
    engine = found.engine(as_text("language", language, 64) if language is not None else None)
    limit = core.config.script_timeout if timeout is None else as_seconds("timeout", timeout)
    profile = as_text("profile", profile, 64)
    arguments = tuple(as_items("args", args, MAX_SCRIPT_ARGUMENTS, "a list of values"))
    granted = as_items("directories", directories, MAX_SCRIPT_ARGUMENTS, "a list of paths")
    request = ScriptRequest(
        runtime=host,
        source=found.text,
        name=as_text("name", found.name if name is None else name, m.MAX_NAME),
        profile=profile,
        session=bound,
        args=arguments,
        timeout=limit,
        max_instructions=core.config.script_instructions,
        max_memory=host.policies.script_memory(bound.id if bound is not None else None, core.config),
        directories=tuple(file_path(each, "directories") for each in granted),
        echo=as_function("echo", echo) if echo is not None else None,
        on_piece=in_this_context(as_function("on_piece", on_piece)) if on_piece is not None else None,
        isolation=isolation_of(isolation, trust, profile, core.config.script_isolation),
        transcript=_transcript(core, record, bound, profile),
    )
    run = engine.prepare(request)
    with core.span("run_script", request.name, bound.id if bound is not None else None):
        try:
            return run_recorded(core, request, found, engine.language, run)
        except ScriptError as error:
            raise with_hint(error, source) from error.__cause__


def _transcript(core: RuntimeCore, record: bool | None, bound: Session | None, profile: str) -> Transcript | None:
    """Return what a run is recorded in; None if it is not to be. Raises InvalidOperation."""
    wanted = bound is not None and profile == "sandboxed" if record is None else as_flag("record", record)
    if not wanted:
        return None
    if bound is None:
        raise InvalidOperation("a run is recorded in the journal of its session: give a session")
    if profile != "sandboxed":
        raise InvalidOperation(
            f"profile {shown(profile)} lets a script read what no journal has: record runs with profile 'sandboxed'"
        )
    redaction = core.redaction
    return Transcript(redaction.value if redaction is not None else None)
