"""The command tree, and what holds for every command: options, errors, exit codes, pipes."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from greenroom.runtime.cli import (
    artifacts,
    bundles,
    care,
    conversations,
    demo,
    events,
    scripts,
    sessions,
    sharing,
    stats,
    upkeep,
)
from greenroom.runtime.cli.store import Store


class _Group(TyperGroup):
    """Turns what a user got wrong into one line on stderr and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except Exception as error:
            from greenroom.storage.errors import GreenroomError

            if isinstance(error, GreenroomError):  # before OSError, which some of them are too
                _fail(str(error), error)
            if isinstance(error, OSError) and error.filename is not None:
                _fail(f"{os.fspath(error.filename)}: {error.strerror}")
            raise


def _fail(message: str, error: Any = None) -> NoReturn:
    from greenroom.runtime.cli.output import one_line, printable

    typer.echo(f"greenroom: {one_line(message)}", err=True)
    # A script's own traceback is what its author needs; it begins with the message once more.
    _, _, traceback = str(getattr(error, "fields", {}).get("traceback") or "").partition("stack traceback:\n")
    if traceback:
        typer.echo(printable(traceback.rstrip()), err=True)
    raise typer.Exit(1)


app = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="A session is named by its id or by the first six or more digits of it. "
    "Commands that only read work while another process has the store open. "
    "Settings come from greenroom.toml, then GREENROOM_* variables, then arguments: greenroom config show",
)
app.add_typer(sessions.app, name="sessions")
app.add_typer(artifacts.app, name="artifacts")
for command in (sharing.share, sharing.unshare, sharing.permissions, sharing.shared):
    artifacts.app.command()(command)
app.command("audit")(sharing.audit)
app.command("ingest")(conversations.take_in)
app.command("run")(scripts.run)
app.command("events")(events.show)
app.command("timeline")(events.timeline)
app.command("stats")(stats.stats)
app.command("verify")(care.verify)
app.command("gc")(care.gc)
app.command("compact")(care.compact)
app.command("retention")(care.retention)
app.add_typer(care.templates, name="templates")
sessions.app.command("export")(bundles.export_session)
sessions.app.command("import")(bundles.import_sessions)
app.command("backup")(bundles.backup)
app.command("restore")(bundles.restore)
app.add_typer(upkeep.config, name="config")
app.command("demo")(demo.demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"greenroom {version('greenroom')}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Directory of the store. Otherwise GREENROOM_DATA, greenroom.toml, or ./greenroom-data.",
            show_default=False,
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop."),
    ] = False,
) -> None:
    """greenroom keeps LLM sessions and their artifacts: durable, inspectable, scriptable.

    New here? Try: greenroom demo
    """
    context.obj = Store(data)


def run() -> NoReturn:
    """Run the command that `sys.argv` asks for and leave the process."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    code = 0
    try:
        app(prog_name="greenroom")
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BrokenPipeError:
        code = 1
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = 1
        # The reader is gone; the interpreter's own flush at exit must not complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
