"""``greenroom stats``, ``verify``, ``compact`` and ``config show``: the store and its settings."""

from __future__ import annotations

import time
from typing import Any

import typer

from greenroom.runtime.cli.output import note, print_fields, print_json, print_rows, size
from greenroom.runtime.cli.store import AsJson, the_store

config = typer.Typer(no_args_is_help=True, help="Look at the settings.")


def stats(context: typer.Context, as_json: AsJson = False) -> None:
    """Count what the store holds and what it takes on disk."""
    with the_store(context).reading() as runtime:
        found = runtime.stats()
    if as_json:
        print_json(found)
    else:
        print_fields(_flat(found))


def verify(context: typer.Context, as_json: AsJson = False) -> None:
    """Check everything in the store: hashes, sequences, references. Exit code 1 when something is damaged."""
    with the_store(context).reading() as runtime:
        report = runtime.verify()
    if as_json:
        print_json(
            {
                "ok": report.ok,
                "checked": dict(report.checked),
                "problems": [{"kind": p.kind, "where": p.where, "detail": p.detail} for p in report.problems],
            }
        )
    else:
        for problem in report.problems:
            note(f"{problem.kind}  {problem.where}: {problem.detail}")
        print_fields({f"checked {name}": str(count) for name, count in report.checked.items()})
        print("everything is as it was written" if report.ok else f"{len(report.problems)} problem(s) found")
    if not report.ok:
        raise typer.Exit(1)


def compact(context: typer.Context) -> None:
    """Give the space of deleted content back to the disk."""
    with the_store(context).writing() as runtime:
        before, started = runtime.stats()["disk_bytes"], time.perf_counter()
        runtime.compact()
        after, took = runtime.stats()["disk_bytes"], time.perf_counter() - started
    print(f"{size(before)} before, {size(after)} after, {took:.2f} s")


@config.command("show")
def show_config(context: typer.Context, as_json: AsJson = False) -> None:
    """Show every setting, its value and where it comes from."""
    settings = the_store(context).settings()
    values, origins = settings.to_dict(), settings.origins
    if as_json:
        print_json({key: {"value": value, "origin": origins[key]} for key, value in values.items()})
        return
    print_rows(
        ("setting", "value", "from"),
        [(key, "" if value is None else str(value), origins[key]) for key, value in values.items()],
    )


def _flat(value: dict[str, Any], above: str = "") -> dict[str, str]:
    """Nested counts as one level of names; bytes also in units that people read."""
    flat: dict[str, str] = {}
    for key, item in value.items():
        name = f"{above} {key}".strip().replace("_", " ")
        if isinstance(item, dict):
            flat |= _flat(item, name)
        elif isinstance(item, int) and "bytes" in key:
            flat[name] = f"{item} ({size(item)})"
        else:
            flat[name] = str(item)
    return flat
