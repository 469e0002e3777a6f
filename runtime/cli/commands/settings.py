"""``greenroom config show``: the settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from greenroom.runtime.cli.command import Commands
from greenroom.runtime.cli.output import print_json, print_rows
from greenroom.runtime.cli.parameters import AsJson
from greenroom.runtime.cli.store import the_store

config = Commands(help="Look at the settings.")


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
        [
            (name, "" if value is None else str(value), origins[key])
            for key, given in values.items()
            for name, value in _flat(key, given)
        ],
    )


def _flat(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield a setting, or the settings within it by their dotted names; what is empty has no line of its own."""
    if not isinstance(value, dict):
        yield key, value
        return
    for name, each in value.items():
        yield from _flat(f"{key}.{name}", each)
