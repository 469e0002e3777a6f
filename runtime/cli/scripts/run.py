"""``greenroom run``: a script over the store's sessions."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greenroom.runtime.cli.output import print_json, print_piece
from greenroom.runtime.cli.parameters import ArtifactVersion, AsJson, version_of
from greenroom.runtime.cli.store import the_session, the_store

from .opening import opened_for_scripts
from .options import AllowDir, BoundTo, FromPlugin, Isolated, OfLanguage, OfProfile, TimeLimit, Trusted, WithAgent
from .place import line_of

if TYPE_CHECKING:
    from greenroom.runtime import Runtime, ScriptError, ScriptResult

_INTERRUPTED = 130
_PATIENCE = 1.0
"""Seconds to wait after Ctrl-C for tools that are still running."""


def run(
    context: typer.Context,
    script: Annotated[
        str,
        typer.Argument(metavar="SCRIPT", help="The file of the script, - for stdin, or with --artifact an artifact."),
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARGS", help="Handed to the script; those that begin with a dash go after --."),
    ] = None,
    language: OfLanguage = None,
    profile: OfProfile = "sandboxed",
    allow_dir: AllowDir = None,
    isolation: Isolated = None,
    trust: Trusted = "host",
    session: BoundTo = None,
    artifact: Annotated[
        bool,
        typer.Option("--artifact", help="SCRIPT is an artifact: its id, or its name in the session of --session."),
    ] = False,
    version: ArtifactVersion = None,
    agent: WithAgent = None,
    plugin: FromPlugin = None,
    timeout: TimeLimit = None,
    as_json: AsJson = False,
) -> None:
    """Run a script over the sessions of the store; what it prints and returns comes out here.

    Exits with 0, with 1 if the script failed, with 130 after Ctrl-C, or with the code that the script gave to os.exit.
    """
    from greenroom.runtime import ScriptError

    if version is not None and not artifact:
        raise typer.BadParameter("only an artifact has versions: add --artifact", param_hint="--version")
    from_stdin = script == "-" and not artifact
    source = None if artifact else _from_stdin() if from_stdin else _file(script)
    with opened_for_scripts(the_store(context), create=session is None, agents=agent, plugins=plugin) as runtime:
        try:
            result = runtime.run_script(
                source,
                language,
                artifact=script if artifact else None,
                version=version_of(version),
                name="stdin" if from_stdin else None,
                profile=profile,
                session=the_session(runtime, session) if session else None,
                args=arguments or [],
                timeout=timeout,
                directories=allow_dir or [],
                echo=None if as_json else print_piece,
                isolation=isolation,
                trust=trust,
            )
        except KeyboardInterrupt:
            runtime.close(_PATIENCE)
            raise typer.Exit(_INTERRUPTED) from None
        except ScriptError as error:
            _show_place(error, source if source is not None else _content(runtime, script, session, version))
            raise
    _print_result(result, as_json)
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def _print_result(result: ScriptResult, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "value": result.value,
                "output": result.output,
                "exit_code": result.exit_code,
                "duration": result.duration,
                "instructions": result.instructions,
                "memory_peak": result.memory_peak,
            }
        )
        return
    match result.value:
        case None:
            pass
        case bytes(content):
            sys.stdout.flush()
            sys.stdout.buffer.write(content)
        case str(text):
            print(text)
        case value:
            print_json(value)


def _show_place(error: ScriptError, source: str | Path) -> None:
    """Add the line that an error came from to the error."""
    from greenroom.runtime import ScriptError
    from greenroom.runtime.scripts.scripts import read_source

    if isinstance(source, Path):
        try:
            source = read_source(source)
        except ScriptError:  # it is gone, or was never readable: the error says so
            return
    shown = line_of(error, source)
    if shown is not None:
        error.add_note(shown)


def _file(name: str) -> Path:
    if not os.path.exists(name):
        raise typer.BadParameter(f"there is no file {name!r}", param_hint="SCRIPT")
    return Path(name)


def _content(runtime: Runtime, artifact: str, session: str | None, version: str | None) -> str:
    """Return the text of a script that is an artifact; none where it cannot be read."""
    from greenroom.runtime import ArtifactId, GreenroomError

    with contextlib.suppress(GreenroomError, ValueError):
        owner = the_session(runtime, session) if session else runtime.session(ArtifactId.parse(artifact).session_id)
        return owner.get_artifact(artifact, version_of(version)).content.decode("utf-8-sig")
    return ""


def _from_stdin() -> str:
    """Return the script that comes through stdin. Raises ScriptError for what is no script."""
    from greenroom.runtime import ScriptError
    from greenroom.runtime.scripts.scripts import MAX_SOURCE_BYTES

    source = sys.stdin.buffer.read(MAX_SOURCE_BYTES + 1)
    if len(source) > MAX_SOURCE_BYTES:
        raise ScriptError(f"the script from stdin is larger than {MAX_SOURCE_BYTES} bytes", script="stdin")
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScriptError("the script from stdin is not UTF-8 text", script="stdin") from error
