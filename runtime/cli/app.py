"""The command tree, and the process around it: streams, pipes, exit codes."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Annotated, NoReturn

import typer

from greenroom.runtime.cli.commands import (
    approvals,
    artifacts,
    bundles,
    conversations,
    events,
    keeping,
    maintenance,
    sessions,
    settings,
    sharing,
    stats,
)

from . import demo, mcp
from .command import Commands, Data, Json, Quiet, Root
from .completion import Install, Show
from .debug import command as debugging
from .past import comparing, replay, timeline
from .recording import blame, doctor, fork, listing, record
from .recording.words import OWN_OPTIONS
from .repl import command as repl
from .scripts import run as run_script
from .store import Store

app = Commands(
    cls=Root,
    pretty_exceptions_enable=False,
    add_completion=False,  # typer's options for it take no shell: they guess
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="A session is named by its id, by the first six or more digits of it, or by key:KEY. "
    "Commands that only read work while another process has the store open. "
    "Settings come from greenroom.toml, then GREENROOM_* variables, then arguments: greenroom config show",
)
app.add_typer(sessions.app, name="sessions")
app.add_typer(artifacts.app, name="artifacts")
app.add_typer(approvals.app, name="approvals")
for command in (sharing.share, sharing.unshare, sharing.permissions, sharing.shared):
    artifacts.app.command()(command)
sessions.app.command("share")(sharing.share_session)
sessions.app.command("unshare")(sharing.unshare_session)
sessions.app.command("shares")(sharing.shares)
app.command("records")(sessions.records)
app.command("audit")(sharing.audit)
app.command("ingest")(conversations.take_in)
app.command("run")(run_script.run)
app.command("repl")(repl.repl)
app.command("events")(events.show)
app.command("timeline")(timeline.timeline)
app.command("replay")(replay.replay)
app.command("record", context_settings=OWN_OPTIONS)(record.record)
app.command("recordings")(listing.recordings)
app.command("fork")(fork.fork)
app.command("doctor", context_settings=OWN_OPTIONS)(doctor.doctor)
app.command("blame")(blame.blame)
app.command("diff")(comparing.diff)
app.command("context")(comparing.context)
app.command("debug")(debugging.debug)
app.command("stats")(stats.stats)
app.command("verify")(maintenance.verify)
app.command("gc")(maintenance.gc)
app.command("compact")(maintenance.compact)
app.command("retention")(maintenance.retention)
app.add_typer(maintenance.templates, name="templates")
app.add_typer(keeping.quotas, name="quotas")
app.command("erase")(keeping.erase)
sessions.app.command("export")(bundles.export_session)
sessions.app.command("import")(bundles.import_sessions)
app.command("backup")(bundles.backup)
app.command("restore")(bundles.restore)
app.add_typer(settings.config, name="config")
app.command("mcp")(mcp.mcp)
app.command("demo")(demo.demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"greenroom {version('greenroom')}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    data: Data = None,
    as_json: Json = False,
    quiet: Quiet = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop."),
    ] = False,
    show_completion: Show = None,
    install_completion: Install = None,
) -> None:
    """greenroom keeps LLM sessions and their artifacts: durable, inspectable, scriptable.

    New here? Try: greenroom demo
    """
    context.obj = Store(data, as_json=as_json, quiet=quiet)


def run() -> NoReturn:
    """Run the command that `sys.argv` asks for and leave the process."""
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    if not os.environ.get("TERMINAL_WIDTH", "0").isdecimal():
        del os.environ["TERMINAL_WIDTH"]  # typer takes whatever it says for a number
    code = 0
    try:
        app(prog_name="greenroom")
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    try:
        sys.stdout.flush()
    except OSError as error:
        code = code or 1
        if not isinstance(error, BrokenPipeError):  # a reader that has gone has seen enough
            with contextlib.suppress(OSError):
                print(f"greenroom: the output cannot be written: {error.strerror}", file=sys.stderr, flush=True)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # the interpreter's own flush at exit must not complain about it
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def _open_what_is_closed() -> None:
    """Give a process that was started without one of its standard streams the null device in its place.

    Otherwise the store's first file would be what the process prints to.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    sys.stdin = sys.stdin or io.TextIOWrapper(io.FileIO(0, "rb", closefd=False))
    sys.stdout = sys.stdout or io.TextIOWrapper(io.FileIO(1, "wb", closefd=False))
    sys.stderr = sys.stderr or io.TextIOWrapper(io.FileIO(2, "wb", closefd=False))
