"""``greenroom verify``, ``gc``, ``compact``, ``retention`` and ``templates``: looking after a store."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greenroom.runtime.cli import completion
from greenroom.runtime.cli.command import Commands
from greenroom.runtime.cli.output import (
    console,
    counted,
    done,
    moment,
    one_line,
    print_fields,
    print_json,
    print_rows,
    short_id,
    shows_progress,
    size,
    tell_beside,
)
from greenroom.runtime.cli.parameters import AsJson
from greenroom.runtime.cli.store import Store, the_store

if TYPE_CHECKING:
    from greenroom.runtime import SalvageReport, VerifyReport

templates = Commands(help="Keep presets for new sessions.")

TemplateName = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the template.", autocompletion=completion.templates)
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it. Otherwise only say what would be done.")]


@contextmanager
def progress(what: str) -> Iterator[Callable[[str, int], None]]:
    """Show on stderr, in a terminal, what is being looked at and how many of these have been."""
    if not shows_progress():
        yield lambda _phase, _count: None
        return
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console(sys.stderr), transient=True) as bar:
        task = bar.add_task(what)
        yield lambda phase, count: bar.update(task, description=f"{what}: {count} {phase}")


def verify(
    context: typer.Context,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Set right what can be, put the rest into quarantine. A store whose files are damaged is salvaged "
            "into a new one; the old one stays beside it.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check everything in the store: hashes, sequences, references. Exit code 1 when something is damaged."""
    store = the_store(context)
    if not repair:
        _tell(_checked(store), None, as_json)
        return
    salvaged = None
    with progress("repairing") as tell:
        found = _repaired(store, tell)
        if found is None:
            from greenroom.runtime import Runtime

            salvaged = Runtime.salvage(_data(store), on_progress=tell)
            found = salvaged.repair
    _tell(found, salvaged, as_json)


def _checked(store: Store) -> VerifyReport:
    from greenroom.runtime import IntegrityError, VerifyReport

    try:
        with store.reading() as runtime, progress("checking") as tell:
            return runtime.verify(on_progress=tell)
    except IntegrityError as error:
        # So damaged that it cannot even be opened: that is what was asked.
        report = VerifyReport(needs_salvage=True)
        report.add("store", str(_data(store)), f"{error}; salvage it: greenroom verify --repair")
        return report


def _repaired(store: Store, tell: Callable[[str, int], None]) -> VerifyReport | None:
    """Return the repair of a store that can be opened; None for one whose files are damaged."""
    from greenroom.runtime import IntegrityError, SchemaTooNew, StorageError, StorageFull, StoreLocked

    _data(store)
    try:
        with store.writing() as runtime:
            report = runtime.verify(repair=True, on_progress=tell)
    except (StoreLocked, SchemaTooNew, StorageFull):
        raise
    except (IntegrityError, StorageError):
        return None
    return None if report.needs_salvage else report


def _data(store: Store) -> Path:
    from greenroom.runtime import StorageError

    path = store.settings().data
    if not path.is_dir():
        raise StorageError(f"there is no store at {path}: name another with --data")
    return path


def _tell(report: VerifyReport, salvaged: SalvageReport | None, as_json: bool) -> None:
    if as_json:
        print_json({**report.to_dict(), "salvage": _salvage_fields(salvaged)})
    else:
        for problem in report.problems:
            done = f" [{problem.repaired}]" if problem.repaired is not None else ""
            tell_beside(f"{problem.kind}  {problem.where}: {problem.detail}{done}")
        fields = {f"checked {name}": str(count) for name, count in report.checked.items()}
        if report.quarantined:
            fields["contents in quarantine"] = str(len(report.quarantined))
        print_fields(fields)
        if salvaged is not None:
            entries = counted(salvaged.entries, "entry", "entries")
            print(f"salvaged {entries} ({size(salvaged.bytes)}); the damaged store: {salvaged.original}")
            if salvaged.log_damaged:
                tell_beside("its log was damaged: the newest changes before it was last closed may be missing")
            if salvaged.unreadable:
                tell_beside(f"nothing could be read of {', '.join(salvaged.unreadable)}")
            if salvaged.lost:
                tell_beside(
                    f"{len(salvaged.lost)} range(s) of keys could not be read; verify tells what is missing for that"
                )
        print(_verdict(report))
    if not (report.ok if salvaged is None else salvaged.ok):
        raise typer.Exit(1)


def _salvage_fields(salvaged: SalvageReport | None) -> dict[str, Any] | None:
    if salvaged is None:
        return None
    return {name: value for name, value in salvaged.to_dict().items() if name != "repair"}


def _verdict(report: VerifyReport) -> str:
    if not report.problems:
        return "everything is as it was written"
    left = sum(problem.repaired is None for problem in report.problems)
    found = f"{counted(len(report.problems), 'problem')} found"
    return f"{found}, all repaired" if not left else f"{found}, {left} not repaired"


def gc(context: typer.Context, as_json: AsJson = False) -> None:
    """Find and repair leaked or missing references, orphaned records, wrong counts."""
    with the_store(context).writing() as runtime, progress("collecting") as tell:
        report = runtime.gc(on_progress=tell)
    if as_json:
        print_json(report.to_dict())
        return
    for problem in report.repaired:
        tell_beside(f"{problem.kind}  {problem.where}: {problem.detail} [{problem.repaired}]")
    for problem in report.remaining:
        tell_beside(f"{problem.kind}  {problem.where}: {problem.detail}: see greenroom verify --repair")
    if report.repaired:
        print(f"{len(report.repaired)} repaired, {size(report.freed_bytes)} freed; greenroom compact gives them back")
    else:
        print("nothing to repair")


def compact(context: typer.Context, as_json: AsJson = False) -> None:
    """Give the space of deleted content back to the disk."""
    with the_store(context).writing() as runtime:
        before, started = runtime.stats()["disk_bytes"], time.perf_counter()
        with progress("compacting"):
            runtime.compact()
        after, took = runtime.stats()["disk_bytes"], time.perf_counter() - started
    if as_json:
        print_json({"before_bytes": before, "after_bytes": after, "seconds": took})
    else:
        print(f"{size(before)} before, {size(after)} after, {took:.2f} s")


class Action(StrEnum):
    RUN = "run"
    SHOW = "show"


def _show_runs(context: typer.Context, action: Action, as_json: bool) -> None:
    store = the_store(context)
    with store.writing() if action is Action.RUN else store.reading() as runtime:
        runs = [runtime.run_retention()] if action is Action.RUN else runtime.retention_runs()
    if as_json:
        print_json([run.to_dict() for run in runs])
        return
    print_rows(
        ("started (UTC)", "sessions", "artifacts", "size", "events", "skipped", "outcome"),
        [
            (
                moment(run.started_at),
                str(run.sessions),
                str(run.artifacts),
                size(run.bytes),
                str(run.events),
                str(run.skipped),
                run.error or "done",
            )
            for run in runs
        ],
        right=("sessions", "artifacts", "size", "events", "skipped"),
    )


def retention(
    context: typer.Context,
    action: Annotated[
        Action | None,
        typer.Argument(help="run: by the settings, now; show: the runs so far.", show_default=False),
    ] = None,
    keep_versions: Annotated[
        int | None, typer.Option(min=1, help="Keep this many versions of each name.", show_default=False)
    ] = None,
    max_age_days: Annotated[
        float | None, typer.Option(min=0, help="Let older versions go.", show_default=False)
    ] = None,
    max_session_bytes: Annotated[
        int | None,
        typer.Option(min=0, help="Let the oldest versions of a session go above this.", show_default=False),
    ] = None,
    ended_days: Annotated[
        float | None,
        typer.Option(min=0, help="Let sessions go that ended longer ago, with everything.", show_default=False),
    ] = None,
    keep_journal_days: Annotated[
        float | None,
        typer.Option(min=0, help="Let go what older events say of earlier values.", show_default=False),
    ] = None,
    max_journal_events: Annotated[
        int | None,
        typer.Option(min=1, help="The same for all but so many events of a session.", show_default=False),
    ] = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Say what could go by age, count and size, and with --yes delete it. The latest version of a name always stays.

    `retention run` deletes by the settings (retention in greenroom.toml, and the sessions' own); `retention show` lists
    the runs so far."""
    limits = {
        "keep_versions": keep_versions,
        "max_age_days": max_age_days,
        "max_session_bytes": max_session_bytes,
        "ended_days": ended_days,
        "keep_journal_days": keep_journal_days,
        "max_journal_events": max_journal_events,
    }
    limited = any(limit is not None for limit in limits.values())
    if action is not None:
        if limited:
            raise typer.BadParameter("it takes no limits, those of the settings hold", param_hint=action.value)
        _show_runs(context, action, as_json)
        return
    if not limited:
        raise typer.BadParameter("give at least one limit", param_hint="--keep-versions, --max-age-days, …")
    store = the_store(context)
    with store.writing() if yes else store.reading() as runtime:
        report = runtime.retention(limits, dry_run=not yes)
    if as_json:
        print_json(report.to_dict())
        return
    print_rows(
        ("session", "name", "version", "size", "reason"),
        [
            (
                short_id(each.session_id),
                each.name or "",
                "the whole session" if each.artifact is None else str(each.version),
                size(each.size),
                each.reason,
            )
            for each in report.removed
        ],
        right=("size",),
    )
    if report.skipped:
        tell_beside(f"{counted(len(report.skipped), 'more is', 'more are')} of sessions that are not active and stay")
    outcome = "deleted" if yes else "would go; --yes deletes them"
    if report.journals:
        events = counted(sum(each.events for each in report.journals), "event")
        taken = size(sum(each.bytes for each in report.journals))
        print(f"{events} of {counted(len(report.journals), 'journal')} with {taken} {outcome}")
    print(f"{len(report.removed)} with {size(report.bytes)} {outcome}")


@templates.command("list")
def list_templates(context: typer.Context, as_json: AsJson = False) -> None:
    """List the templates."""
    with the_store(context).reading() as runtime:
        found = runtime.templates.list()
    if as_json:
        print_json([each.to_dict() for each in found])
        return
    print_rows(
        ("name", "name prefix", "tags", "metadata", "config"),
        [
            (
                each.name,
                each.name_prefix,
                ", ".join(each.tags),
                json.dumps(each.metadata, default=str),
                json.dumps(each.config),
            )
            for each in found
        ],
    )


@templates.command("get")
def get_template(context: typer.Context, name: TemplateName, as_json: AsJson = False) -> None:
    """Print a template. It is JSON in any case."""
    with the_store(context).reading() as runtime:
        print_json(runtime.templates.get(name).to_dict())


@templates.command("save")
def save_template(
    context: typer.Context,
    name: TemplateName,
    prefix: Annotated[str, typer.Option(help="Put before the names of its sessions.", show_default=False)] = "",
    tag: Annotated[list[str] | None, typer.Option(help="A tag (may be repeated).", show_default=False)] = None,
    metadata: Annotated[str, typer.Option(metavar="JSON", help="Metadata, an object.", show_default=False)] = "{}",
    config: Annotated[
        str, typer.Option(metavar="JSON", help='Settings, such as {"max_artifacts": 50}.', show_default=False)
    ] = "{}",
    as_json: AsJson = False,
) -> None:
    """Store a template, in the place of one that has its name."""
    preset = {
        "name_prefix": prefix,
        "tags": tag or [],
        "metadata": _object("--metadata", metadata),
        "config": _object("--config", config),
    }
    with the_store(context).writing(create=True) as runtime:
        template = runtime.templates.save(name, preset)
    if as_json:
        print_json(template.to_dict())
    else:
        done(f"saved  {one_line(name)}")


def _object(option: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"this is not JSON: {error}", param_hint=option) from None
    if not isinstance(value, dict):
        raise typer.BadParameter("a JSON object is needed", param_hint=option)
    return value


@templates.command("delete")
def delete_template(context: typer.Context, name: TemplateName, as_json: AsJson = False) -> None:
    """Delete a template."""
    with the_store(context).writing() as runtime:
        runtime.templates.get(name)
        runtime.templates.delete(name)
    if as_json:
        print_json({"name": name})
    else:
        done(f"deleted  {one_line(name)}")
