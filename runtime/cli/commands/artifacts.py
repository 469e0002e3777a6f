"""``greenroom artifacts``: what sessions produced and consumed."""

from __future__ import annotations

import shutil
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greenroom.runtime.cli import completion
from greenroom.runtime.cli.command import Commands
from greenroom.runtime.cli.output import (
    brief,
    counted,
    done,
    is_terminal,
    moment,
    one_line,
    print_fields,
    print_json,
    print_rows,
    printable,
    progress_bar,
    size,
    tell_beside,
)
from greenroom.runtime.cli.parameters import (
    ArtifactName,
    ArtifactReference,
    ArtifactVersion,
    AsJson,
    OneOrAllSessions,
    SessionId,
    entries_of,
    version_of,
)
from greenroom.runtime.cli.store import the_session, the_store
from greenroom.runtime.cli.times import TIMES, moment_of

if TYPE_CHECKING:
    from greenroom.runtime import ArtifactInfo
    from greenroom.runtime.handles.keywords import ArtifactOptions

app = Commands(help="List, read and store the artifacts of a session.")


_TYPES = completion.one_of("user_input", "agent_output", "tool_result", "system_generated")


class SortBy(StrEnum):
    DATE = "date"
    NAME = "name"
    SIZE = "size"
    TYPE = "type"


@app.command("list")
def list_artifacts(
    context: typer.Context,
    session: OneOrAllSessions = None,
    kind: Annotated[
        str | None, typer.Option("--type", help="Of this type.", show_default=False, autocompletion=_TYPES)
    ] = None,
    mime_type: Annotated[str | None, typer.Option(help="Of this MIME type.", show_default=False)] = None,
    name: Annotated[
        str | None,
        typer.Option(help="With this in the name, or a pattern with * and ? for all of it.", show_default=False),
    ] = None,
    tag: Annotated[list[str] | None, typer.Option(help="With this tag (may be repeated).", show_default=False)] = None,
    without_tag: Annotated[
        list[str] | None, typer.Option(help="Without this tag (may be repeated).", show_default=False)
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            help="With these words, or beginnings of words, in name, description, tags or custom values.",
            show_default=False,
        ),
    ] = None,
    case_sensitive: Annotated[bool, typer.Option("--case-sensitive", help="Take --name as it is spelt.")] = False,
    fuzzy: Annotated[bool, typer.Option("--fuzzy", help="Take parts of words and misspelt words for --text.")] = False,
    custom: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="With this custom entry, the value as JSON or as text (may be repeated).",
            show_default=False,
        ),
    ] = None,
    content_hash: Annotated[str | None, typer.Option(help="With this content.", show_default=False)] = None,
    by: Annotated[str | None, typer.Option(help="Created by.", show_default=False)] = None,
    after: Annotated[
        str | None, typer.Option(metavar="TIME", help=f"Created then or later: {TIMES}.", show_default=False)
    ] = None,
    before: Annotated[str | None, typer.Option(metavar="TIME", help="Created before then.", show_default=False)] = None,
    min_size: Annotated[int | None, typer.Option(min=0, help="Bytes at least.", show_default=False)] = None,
    max_size: Annotated[int | None, typer.Option(min=0, help="Bytes at most.", show_default=False)] = None,
    parent: Annotated[
        str | None, typer.Option(metavar="ID", help="Made from the artifact with this id.", show_default=False)
    ] = None,
    latest: Annotated[bool, typer.Option("--latest", help="Only the latest version of each name.")] = False,
    sort: Annotated[SortBy, typer.Option(help="What to sort by.")] = SortBy.DATE,
    descending: Annotated[
        bool | None,
        typer.Option(
            "--descending/--ascending",
            help="Newest, last or largest first; by default dates are descending and the rest is ascending.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 1000,
    offset: Annotated[int, typer.Option(min=0, help="How many to pass over.")] = 0,
    as_json: AsJson = False,
) -> None:
    """List the artifacts of a session, or of all, that have what is asked for."""
    given = {
        "artifact_type": kind,
        "mime_type": mime_type,
        "name_pattern": name,
        "case_sensitive": case_sensitive or None,
        "tags": tag,
        "without_tags": without_tag,
        "text": text,
        "fuzzy": fuzzy or None,
        "custom": entries_of(custom or (), "--custom"),
        "content_hash": content_hash,
        "parent_artifact": parent,
        "latest_only": latest or None,
        "created_by": by,
        "created_after": moment_of(after, "--after"),
        "created_before": moment_of(before, "--before"),
        "min_size": min_size,
        "max_size": max_size,
    }
    criteria: dict[str, Any] = {key: value for key, value in given.items() if value not in (None, [], {})}
    criteria |= {"sort": str(sort), "descending": descending, "limit": limit, "offset": offset}
    with the_store(context).reading() as runtime:
        place = runtime if session is None else the_session(runtime, session)
        page = place.query_artifacts(**criteria)
    _print(list(page), as_json, with_session=session is None)
    if page.has_more and not as_json:
        tell_beside(f"{len(page)} of {counted(page.total, 'artifact')}; more with --offset {offset + len(page)}")


@app.command()
def versions(context: typer.Context, session: SessionId, artifact: ArtifactReference, as_json: AsJson = False) -> None:
    """List the versions of an artifact."""
    with the_store(context).reading() as runtime:
        found = the_session(runtime, session).artifact_versions(artifact)
    _print(found, as_json)


@app.command()
def get(
    context: typer.Context,
    session: SessionId,
    artifact: ArtifactReference,
    version: ArtifactVersion = None,
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
    as_json: Annotated[
        bool, typer.Option("--json", help="With --info or --output: print JSON. Errors are JSON in any case.")
    ] = False,
) -> None:
    """Write out the content of an artifact, byte for byte."""
    with the_store(context).reading() as runtime:
        found = the_session(runtime, session)
        if info:
            known = found.get_artifact_info(artifact, version_of(version)).to_dict()
            print_json(known) if as_json else print_fields({key: brief(value, 1000) for key, value in known.items()})
        elif output is not None:
            with progress_bar("write", not as_json) as show:
                count = found.save_artifact(artifact, output, version_of(version), on_progress=show)
            if as_json:
                print_json({"path": str(output), "bytes": count})
            else:
                done(f"{counted(count, 'byte')} written to {output}")
        else:
            with found.open_artifact(artifact, version_of(version)) as stream:
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
        typer.Option(
            "--type",
            help="user_input, agent_output, tool_result, system_generated or your own.",
            autocompletion=_TYPES,
        ),
    ] = "user_input",
    description: Annotated[str | None, typer.Option(help="What it is.", show_default=False)] = None,
    mime_type: Annotated[str | None, typer.Option(help="Its MIME type; otherwise guessed.", show_default=False)] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag (may be repeated).", show_default=False)] = None,
    label: Annotated[
        str | None, typer.Option(help='A name for this version, such as "1.2.0".', show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Store a file as an artifact; a name that is there already gets its next version."""
    if file == "-" and name is None:
        raise typer.BadParameter("what comes from stdin needs a name: give --name", param_hint="FILE")
    with the_store(context).writing() as runtime:
        found = the_session(runtime, session)
        with progress_bar("store", not as_json) as show:
            options: ArtifactOptions = {
                "description": description,
                "mime_type": mime_type,
                "tags": tag or (),
                "label": label,
                "on_progress": show,
            }
            if file == "-":
                stored = found.store_artifact(kind, name or "", sys.stdin.buffer, **options)
            else:
                stored = found.store_file(Path(file), kind, name, **options)
    if as_json:
        print_json(stored.to_dict())
    else:
        print(f"{stored.id}  {one_line(stored.name)}  version {stored.version}  {size(stored.size)}")


@app.command()
def diff(
    context: typer.Context,
    session: SessionId,
    artifact: ArtifactName,
    old: Annotated[str, typer.Argument(metavar="OLD", help="The version to compare: its number or label.")],
    new: Annotated[str | None, typer.Argument(metavar="[NEW]", help="With this one; otherwise the latest.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what changed from one version of a text to another, as a unified diff."""
    with the_store(context).reading() as runtime:
        one, other = version_of(old), version_of(new)
        text = the_session(runtime, session).diff_artifact(
            artifact, one if one is not None else "latest", other if other is not None else "latest"
        )
    if as_json:
        print_json({"artifact": artifact, "old": one, "new": other, "diff": text})
        return
    for line in text.splitlines():
        print(printable(line))


@app.command()
def delete(
    context: typer.Context,
    session: SessionId,
    artifact: ArtifactReference,
    version: ArtifactVersion = None,
    every: Annotated[bool, typer.Option("--all", help="All versions.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask (it asks in a terminal only).")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete the newest version of an artifact, another one with --version, or with --all every version.

    An id names one version, and that is the one that goes. This cannot be undone.
    """
    if every and version is not None:
        raise typer.BadParameter("it does not go with --version", param_hint="--all")
    with the_store(context).writing() as runtime:
        found = the_session(runtime, session)
        one = found.get_artifact_info(artifact, version_of(version))
        versions = found.artifact_versions(one.name)
        going = versions if every else [one]
        label = one_line(one.name)
        what = f"{label} with {counted(len(versions), 'version')}" if every else f"{label} version {one.version}"
        if not yes and sys.stdin.isatty():
            typer.confirm(f"Delete {what}?", abort=True)
        found.delete_many([each.id for each in going])
    left = len(versions) - len(going)
    if as_json:
        print_json({"deleted": [each.to_dict() for each in going], "versions_left": left})
    else:
        stays = f"; {counted(left, 'version')} left, --all deletes all" if left else ""
        done(f"deleted  {what}{stays}")


def _print(infos: list[ArtifactInfo], as_json: bool, *, with_session: bool = False) -> None:
    if as_json:
        print_json([info.to_dict() for info in infos])
        return
    labelled = any(info.label is not None for info in infos)
    print_rows(
        (
            *(("session",) if with_session else ()),
            *("seq", "name", "type", "version"),
            *(("label",) if labelled else ()),
            *("size", "created (UTC)"),
        ),
        [
            (
                *((info.id.session_id,) if with_session else ()),
                str(info.id.sequence),
                info.name,
                info.artifact_type,
                str(info.version),
                *((info.label or "",) if labelled else ()),
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
