"""``greenroom sessions export`` and ``import``, ``backup`` and ``restore``: sessions and stores that travel."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from greenroom.runtime.cli import completion
from greenroom.runtime.cli.output import (
    counted,
    done,
    is_terminal,
    print_fields,
    print_json,
    print_rows,
    printable,
    progress_bar,
    size,
    tell_beside,
)
from greenroom.runtime.cli.parameters import AsJson
from greenroom.runtime.cli.store import the_session, the_sessions, the_store

_BUNDLE: Final = "bundle"
_FORMATS: Final = ("openai", "sharegpt", "markdown")


def export_session(
    context: typer.Context,
    sessions: Annotated[
        list[str],
        typer.Argument(
            metavar="SESSION… [FILE]",
            help="A session and the bundle to write, or, with --format, one session or more.",
            autocompletion=completion.sessions,
        ),
    ],
    format: Annotated[
        str,
        typer.Option(
            help=f"{_BUNDLE}, which any store can import, or the conversation as {', '.join(_FORMATS)}.",
            autocompletion=completion.one_of(_BUNDLE, *_FORMATS),
        ),
    ] = _BUNDLE,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file to write, replaced if it is there. Conversations otherwise go to standard output.",
            show_default=False,
        ),
    ] = None,
    tree: Annotated[bool, typer.Option("--tree", help="Also all sessions below it, in a bundle.")] = False,
    history: Annotated[
        bool,
        typer.Option("--history/--no-history", help="In a bundle: how it came to be, or only what still holds."),
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Write a session to a bundle, or conversations in a format of other tools.

    A bundle is one file that any store can import. The formats openai and sharegpt are lines of JSON, one for each
    conversation; markdown is for people. Works while another process has the store open.
    """
    if format != _BUNDLE:
        _export_conversations(context, sessions, format, output, as_json)
        return
    if len(sessions) != (2 if output is None else 1):
        raise typer.BadParameter("a bundle needs one SESSION and one FILE; for conversations say --format")
    file = output if output is not None else Path(sessions[1])
    with the_store(context).reading() as runtime, progress_bar("export", not as_json) as show:
        found = the_session(runtime, sessions[0])
        report = found.export(file, tree=tree, history=history, on_progress=show)
    if as_json:
        print_json(report.to_dict())
    else:
        print_fields(
            {
                "sessions": str(report.sessions),
                "events": str(report.events),
                "artifacts": str(report.artifacts),
                "content": size(report.content_bytes),
                "written": f"{size(report.bytes)} to {report.path}",
            }
        )


def _export_conversations(
    context: typer.Context, names: list[str], format: str, output: Path | None, as_json: bool
) -> None:
    from greenroom.runtime.handles.conversation import EXPORT_FORMATS, exported, write_export

    if format not in EXPORT_FORMATS:
        raise typer.BadParameter(f"--format is {_BUNDLE}, {', '.join(EXPORT_FORMATS)}, not {format!r}")
    with the_store(context).reading() as runtime:
        found = [(session.info(), session.messages()) for session in the_sessions(runtime, names)]
    text = ("\n" if format == "markdown" else "").join(exported(info, turns, format) for info, turns in found)
    if output is None:
        if is_terminal():
            print(printable(text), end="")
        else:
            write_export(sys.stdout.buffer, text)
        return
    write_export(output, text)
    turns = sum(len(turns) for _, turns in found)
    if as_json:
        print_json({"conversations": len(found), "messages": turns, "path": str(output)})
    else:
        done(f"{counted(len(found), 'conversation')} of {counted(turns, 'message')} written to {output}")


def import_sessions(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A bundle that sessions export has written.")],
    new_ids: Annotated[
        bool, typer.Option("--new-ids", help="Give the sessions new ids, so that they can stand beside the old ones.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring in all sessions of a bundle, or none of them.

    Everything in the bundle is checked before anything is written.
    """
    from greenroom.storage.bundle.format import BundleReader, open_bundle

    bundle, length = open_bundle(file)
    with bundle:
        BundleReader(bundle, length).manifest()  # before a store is made for what is no bundle
    with the_store(context).writing(create=True) as runtime:
        with progress_bar("import", not as_json) as show:
            sessions = runtime.import_bundle(file, keep_ids=not new_ids, on_progress=show)
        infos = [session.info() for session in sessions]
    if as_json:
        print_json([info.to_dict() for info in infos])
    else:
        print_rows(("id", "status", "name"), [(info.id, info.status, info.name or "") for info in infos])


def backup(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The backup to make; must not exist.")],
    as_json: AsJson = False,
) -> None:
    """Make a backup of the whole store, which is a store itself.

    A process that has the store open for writing has to make its backups itself. On the same file system a backup
    shares files with the store: copy it elsewhere to be safe from the loss of the disk.
    """
    with the_store(context).writing() as runtime:
        report = runtime.backup(directory)
    if as_json:
        print_json({"path": str(report.path), "files": report.files, "bytes": report.bytes})
    else:
        done(f"{counted(report.files, 'file')}, {size(report.bytes)} in {report.path}")


def restore(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="BACKUP", help="The backup; it is only read.")],
    verify: Annotated[bool, typer.Option("--verify/--no-verify", help="Check everything in the new store.")] = True,
    as_json: AsJson = False,
) -> None:
    """Make the store anew from a backup, in the directory that --data names, which must not exist or be empty.

    Exit code 1 when something in it is damaged.
    """
    from greenroom.runtime import Runtime

    with progress_bar("restore", not as_json) as show:
        report = Runtime.restore(directory, the_store(context).settings().data, verify=verify, on_progress=show)
    problems = report.verified.problems if report.verified is not None else []
    if as_json:
        told = [{"kind": each.kind, "where": each.where, "detail": each.detail} for each in problems]
        print_json({"path": str(report.path), "files": report.files, "bytes": report.bytes, "problems": told})
    else:
        for each in problems:
            tell_beside(f"{each.kind}  {each.where}: {each.detail}")
        checked = "everything is as it was written" if report.verified is not None else "not checked"
        found = f"{counted(len(problems), 'problem')} found" if problems else checked
        print(f"{counted(report.files, 'file')}, {size(report.bytes)} in {report.path}: {found}")
    if problems:
        raise typer.Exit(1)
