"""``greenroom artifacts``: what sessions produced and consumed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greenroom.runtime.cli.output import (
    brief,
    is_terminal,
    moment,
    one_line,
    print_fields,
    print_json,
    print_rows,
    size,
)
from greenroom.runtime.cli.store import AsJson, SessionId, the_session, the_store

if TYPE_CHECKING:
    from greenroom.runtime import ArtifactInfo

app = typer.Typer(no_args_is_help=True, help="List, read and store the artifacts of a session.")

Reference = Annotated[str, typer.Argument(metavar="ARTIFACT", help="Name or id of the artifact.")]
Version = Annotated[
    int | None,
    typer.Option("--version", min=1, metavar="N", help="This version; otherwise the latest.", show_default=False),
]


@app.command("list")
def list_artifacts(
    context: typer.Context,
    session: SessionId,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 1000,
    offset: Annotated[int, typer.Option(min=0, help="How many to pass over.")] = 0,
    as_json: AsJson = False,
) -> None:
    """List the artifacts of a session."""
    with the_store(context).reading() as runtime:
        page = the_session(runtime, session).list_artifacts(limit=limit, offset=offset)
    _print(list(page), as_json)


@app.command()
def versions(context: typer.Context, session: SessionId, artifact: Reference, as_json: AsJson = False) -> None:
    """List the versions of an artifact."""
    with the_store(context).reading() as runtime:
        found = the_session(runtime, session).artifact_versions(artifact)
    _print(found, as_json)


@app.command()
def get(
    context: typer.Context,
    session: SessionId,
    artifact: Reference,
    version: Version = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the content here, not to stdout.",
            show_default=False,
        ),
    ] = None,
    info: Annotated[bool, typer.Option("--info", help="Print what is known about it instead of its content.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --info: print JSON.")] = False,
) -> None:
    """Write out the content of an artifact, byte for byte."""
    with the_store(context).reading() as runtime:
        found = the_session(runtime, session)
        if info:
            known = found.get_artifact_info(artifact, version).to_dict()
            print_json(known) if as_json else print_fields({key: brief(value, 1000) for key, value in known.items()})
        elif output is not None:
            count = found.save_artifact(artifact, output, version)
            print(f"{count} bytes written to {output}")
        else:
            with found.open_artifact(artifact, version) as stream:
                if is_terminal():
                    _refuse_binary(stream.read(4096))
                    stream.seek(0)
                sys.stdout.flush()
                shutil.copyfileobj(stream, sys.stdout.buffer, 1024 * 1024)
                sys.stdout.buffer.flush()


@app.command()
def put(
    context: typer.Context,
    session: SessionId,
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file to store, or - for stdin.")],
    name: Annotated[
        str | None, typer.Option(help="Name of the artifact; otherwise the file's.", show_default=False)
    ] = None,
    kind: Annotated[
        str,
        typer.Option("--type", help="user_input, agent_output, tool_result, system_generated or your own."),
    ] = "user_input",
    description: Annotated[str | None, typer.Option(help="What it is.", show_default=False)] = None,
    mime_type: Annotated[str | None, typer.Option(help="Its MIME type; otherwise guessed.", show_default=False)] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag (may be repeated).", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Store a file as an artifact; a name that is there already gets its next version."""
    if file == "-" and name is None:
        raise typer.BadParameter("what comes from stdin needs a name: give --name", param_hint="FILE")
    with the_store(context).writing() as runtime:
        found = the_session(runtime, session)
        if file == "-":
            stored = found.store_artifact(
                kind,
                name or "",
                sys.stdin.buffer,
                description=description,
                mime_type=mime_type,
                tags=tag or (),
            )
        else:
            stored = found.store_file(
                Path(file), kind, name, description=description, mime_type=mime_type, tags=tag or ()
            )
    if as_json:
        print_json(stored.to_dict())
    else:
        print(f"{stored.id}  {one_line(stored.name)}  version {stored.version}  {size(stored.size)}")


@app.command()
def delete(
    context: typer.Context,
    session: SessionId,
    artifact: Reference,
    version: Version = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask (it asks in a terminal only).")] = False,
) -> None:
    """Delete an artifact, or one version of it. This cannot be undone."""
    with the_store(context).writing() as runtime:
        found = the_session(runtime, session)
        label = one_line(artifact) + (f" version {version}" if version else "")
        if not yes and sys.stdin.isatty():
            typer.confirm(f"Delete {label}?", abort=True)
        found.delete_artifact(artifact, version)
    print(f"deleted  {label}")


def _print(infos: list[ArtifactInfo], as_json: bool) -> None:
    if as_json:
        print_json([info.to_dict() for info in infos])
        return
    print_rows(
        ("seq", "name", "type", "version", "size", "created (UTC)"),
        [
            (
                str(info.id.sequence),
                info.name,
                info.artifact_type,
                str(info.version),
                size(info.size),
                moment(info.created_at),
            )
            for info in infos
        ],
        right=("seq", "version", "size"),
    )


def _refuse_binary(beginning: bytes) -> None:
    from greenroom.runtime import InvalidOperation

    if b"\0" in beginning:
        raise InvalidOperation("the content is binary and would garble the terminal: write it to a file with --output")
