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
    search,
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
_USE = "Work with sessions"
_RECORD = "Record programs, replay and fork them"
_LOOK = "See what happened"
_KEEP = "Keep the store in order"

app.add_typer(sessions.app, name="sessions", rich_help_panel=_USE)
app.add_typer(artifacts.app, name="artifacts", rich_help_panel=_USE)
app.add_typer(approvals.app, name="approvals", rich_help_panel=_USE)
for command in (sharing.share, sharing.unshare, sharing.permissions, sharing.shared):
    artifacts.app.command()(command)
sessions.app.command("share")(sharing.share_session)
sessions.app.command("unshare")(sharing.unshare_session)
sessions.app.command("shares")(sharing.shares)
app.command("records", rich_help_panel=_USE)(sessions.records)
app.command("audit", rich_help_panel=_USE)(sharing.audit)
app.command("ingest", rich_help_panel=_USE)(conversations.take_in)
app.command("run", rich_help_panel=_USE)(run_script.run)
app.command("repl", rich_help_panel=_USE)(repl.repl)
app.command("search", rich_help_panel=_LOOK)(search.search)
app.command("events", rich_help_panel=_LOOK)(events.show)
app.command("timeline", rich_help_panel=_LOOK)(timeline.timeline)
app.command("record", context_settings=OWN_OPTIONS, rich_help_panel=_RECORD)(record.record)
app.command("recordings", rich_help_panel=_RECORD)(listing.recordings)
app.command("replay", rich_help_panel=_RECORD)(replay.replay)
app.command("fork", rich_help_panel=_RECORD)(fork.fork)
app.command("doctor", context_settings=OWN_OPTIONS, rich_help_panel=_RECORD)(doctor.doctor)
app.command("blame", rich_help_panel=_RECORD)(blame.blame)
app.command("diff", rich_help_panel=_LOOK)(comparing.diff)
app.command("context", rich_help_panel=_LOOK)(comparing.context)
app.command("debug", rich_help_panel=_LOOK)(debugging.debug)
app.command("stats", rich_help_panel=_LOOK)(stats.stats)
app.command("verify", rich_help_panel=_KEEP)(maintenance.verify)
app.command("gc", rich_help_panel=_KEEP)(maintenance.gc)
app.command("compact", rich_help_panel=_KEEP)(maintenance.compact)
app.command("retention", rich_help_panel=_KEEP)(maintenance.retention)
app.add_typer(maintenance.templates, name="templates", rich_help_panel=_KEEP)
app.add_typer(keeping.quotas, name="quotas", rich_help_panel=_KEEP)
app.command("erase", rich_help_panel=_KEEP)(keeping.erase)
sessions.app.command("export")(bundles.export_session)
sessions.app.command("import")(bundles.import_sessions)
app.command("backup", rich_help_panel=_KEEP)(bundles.backup)
app.command("restore", rich_help_panel=_KEEP)(bundles.restore)
app.add_typer(settings.config, name="config", rich_help_panel=_KEEP)
app.command("mcp", rich_help_panel=_USE)(mcp.mcp)
app.command("demo", rich_help_panel=_USE)(demo.demo)


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
