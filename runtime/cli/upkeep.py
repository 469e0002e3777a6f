"""``greenroom stats`` and ``config show``: the store and its settings."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from greenroom.runtime.cli.care import progress
from greenroom.runtime.cli.output import print_fields, print_json, print_rows, size
from greenroom.runtime.cli.store import AsJson, the_store

config = typer.Typer(no_args_is_help=True, help="Look at the settings.")


def stats(
    context: typer.Context,
    details: Annotated[
        bool, typer.Option("--details", help="Also which sessions, types and names take most space.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Count what the store holds and what it takes on disk."""
    with the_store(context).reading() as runtime, progress("counting"):
        found = runtime.stats(details)
    if as_json:
        print_json(found)
        return
    usage = found.pop("usage", {})
    print_fields(_flat(found))
    for by, shares in usage.items():
        print()
        print_rows(
            (by, "items", "content", "its own, stored", "journal"),
            [
                (
                    name,
                    str(share["items"]),
                    size(share["logical_bytes"]),
                    size(share["unique_bytes"]),
                    size(share["journal_bytes"]),
                )
                for name, share in shares.items()
            ],
            right=("items", "content", "its own, stored", "journal"),
        )


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
