"""``greenroom run``: a script over the store's sessions."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from greenroom.runtime.cli import completion
from greenroom.runtime.cli.output import print_json
from greenroom.runtime.cli.parameters import AsJson
from greenroom.runtime.cli.store import the_session, the_store


def run(
    context: typer.Context,
    script: Annotated[str, typer.Argument(metavar="SCRIPT", help="The file of the script, or - for stdin.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARGS", help="Handed to the script; those that begin with a dash go after --."),
    ] = None,
    profile: Annotated[
        str,
        typer.Option(
            help="What the script may reach: sandboxed, files or trusted.",
            autocompletion=completion.one_of("sandboxed", "files", "trusted"),
        ),
    ] = "sandboxed",
    allow_dir: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="A directory that profile 'files' may use (may be repeated).",
            show_default=False,
        ),
    ] = None,
    session: Annotated[
        str | None,
        typer.Option(
            metavar="SESSION",
            help="Bind the script to this session: it reaches no other.",
            show_default=False,
            autocompletion=completion.sessions,
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0.001, help="Longest run; otherwise script_timeout.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a script over the sessions of the store; what it prints and returns comes out here."""
    from_stdin = script == "-"
    if not from_stdin and not os.path.exists(script):
        raise typer.BadParameter(f"there is no file {script!r}", param_hint="SCRIPT")
    source = _from_stdin() if from_stdin else Path(script)
    with the_store(context).writing(create=session is None) as runtime:
        result = runtime.run_script(
            source,
            name="stdin" if from_stdin else None,
            profile=profile,
            session=the_session(runtime, session) if session else None,
            args=arguments or [],
            timeout=timeout,
            directories=allow_dir or [],
            echo=None if as_json else _echo,
        )
    if as_json:
        print_json(
            {
                "value": result.value,
                "output": result.output,
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


def _echo(text: str) -> None:
    print(text, end="", flush=True)
