"""``greenroom ingest``: recorded conversations in."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Final

import typer

from greenroom.runtime.cli.output import (
    console,
    is_terminal,
    note,
    one_line,
    print_fields,
    print_json,
    shows_progress,
    size,
    tell_beside,
)
from greenroom.runtime.cli.parameters import AsJson
from greenroom.runtime.cli.store import the_store

if TYPE_CHECKING:
    from greenroom.runtime.ingest.report import IngestProgress, IngestReport, OnProgress

PARTIAL: Final = 3
"""The exit code for partial success."""


def take_in(
    context: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE|FOLDER|-…", help="Files or folders with conversations; - is standard input."),
    ],
    created_by: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who the sessions are created by.", show_default=False)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read everything, say what would go in, and write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make completed sessions of recorded conversations: their turns become messages and artifacts.

    Understands the exports of ChatGPT, Claude, LibreChat and Open WebUI; sessions of Claude Code and Codex; what
    goes to and comes from OpenAI, Anthropic and Gemini; ShareGPT, SWE-agent, OpenHands, tau-bench; one message a line.
    Files may be documents, lines or lists, also packed as .gz and .zip; the content tells which form it is.

    A conversation keeps its title and times. It goes in whole or not at all, and its other branches become forks. What
    is in the store already is passed over. What is broken is reported by file and position, and the rest goes in.

    Examples:

      greenroom ingest chatgpt-export.zip
      greenroom ingest ~/.claude/projects ~/.codex/sessions
      greenroom ingest --dry-run conversations.json
      zcat runs.jsonl.gz | greenroom ingest -

    Exit code 0: everything is in. 3: something was skipped or replaced, the rest is in. 1: nothing is in. 2: wrong
    usage.
    """
    from greenroom.runtime.ingest import ingest
    from greenroom.runtime.ingest.sources import require_readable

    require_readable(files)  # before a store is made
    store = the_store(context)
    with (
        _stopping_between_conversations() as stop_if_asked,
        store.reading_if_there() if dry_run else store.writing(create=True) as runtime,
        _progress(not as_json) as show,
    ):

        def on_progress(state: IngestProgress) -> None:
            show(state)
            stop_if_asked()

        report = ingest(runtime, files, dry_run=dry_run, on_progress=on_progress, created_by=created_by)
    if as_json:
        print_json(report.to_dict())
    else:
        _print_report(report)
    if report.whole and not (report.nothing and report.ignored_count):
        return
    raise typer.Exit(1 if report.nothing else PARTIAL)


def _print_report(report: IngestReport) -> None:
    listed = (
        ("skipped", report.skipped, report.skipped_count),
        ("repaired", report.repaired, report.repaired_count),
        ("moved", report.moved, report.moved_count),
        ("grown", report.grown, report.grown_count),
        ("ignored", report.ignored, report.ignored_count),
    )
    for word, items, count in listed:
        for item in items:
            tell_beside(f"{word:<8} {item}")
        if count > len(items):
            tell_beside(f"{word:<8} {count - len(items)} more")
    rate = report.bytes_read / report.duration if report.duration else 0
    fields = {
        "sessions": str(report.sessions) + (" would go in" if report.dry_run else ""),
        "branches": str(report.branches),
        "messages": str(report.messages),
        "artifacts": str(report.artifacts),
        "there already": str(report.duplicate_count),
        "skipped": str(report.skipped_count),
        "read": f"{size(report.bytes_read)} in {report.duration:.2f} s ({size(int(rate))}/s)",
    }
    print_fields(fields)
    if report.sessions and not report.dry_run and is_terminal():
        note("see them: greenroom sessions list --status completed")


@contextmanager
def _stopping_between_conversations() -> Iterator[Callable[[], None]]:
    """Hold SIGINT and SIGTERM back until the conversation in hand is whole; a second one ends at once."""
    asked: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # What a shell has ignored for a background job stays ignored.
    before = {number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN}

    def ask(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        signal.signal(number, signal.default_int_handler)

    def stop_if_asked() -> None:
        if asked:
            tell_beside("stopped; what was ingested by then stays")
            raise typer.Exit(128 + asked[0])

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop_if_asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(wanted: bool) -> Iterator[OnProgress]:
    """A progress bar on stderr, where a person sees it."""
    if not wanted or not shows_progress():
        yield lambda state: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TextColumn("{task.fields[sessions]} sessions"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(sys.stderr), transient=True) as progress:
        task = progress.add_task("ingest", total=None, sessions=0)

        def on_progress(state: IngestProgress) -> None:
            progress.update(
                task,
                description=one_line(Path(state.path).name)[:40],
                completed=state.bytes_read,
                total=state.bytes_total,
                sessions=state.sessions,
            )

        yield on_progress
