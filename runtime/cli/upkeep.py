"""``greenroom config show``: the settings."""

from __future__ import annotations

import typer

from greenroom.runtime.cli.output import print_json, print_rows
from greenroom.runtime.cli.store import AsJson, the_store

config = typer.Typer(no_args_is_help=True, help="Look at the settings.")


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
