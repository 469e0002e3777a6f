"""``greenroom quotas``: what the sessions of one creator may have together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from greenroom.runtime.cli.command import Commands
from greenroom.runtime.cli.output import done, one_line, print_json, print_rows, size
from greenroom.runtime.cli.parameters import AsJson
from greenroom.runtime.cli.store import the_store

if TYPE_CHECKING:
    from greenroom.runtime import CreatorQuota

quotas = Commands(help="Limit what the sessions of one creator may have together.")

Creator = Annotated[str, typer.Argument(metavar="CREATOR", help="What sessions have as created_by.")]


def _show(found: list[CreatorQuota], as_json: bool) -> None:
    if as_json:
        print_json([each.to_dict() for each in found])
        return
    print_rows(
        ("creator", "sessions", "most", "artifacts", "most"),
        [
            (
                one_line(each.created_by),
                str(each.sessions),
                "any" if each.max_sessions is None else str(each.max_sessions),
                size(each.storage_bytes),
                "any" if each.max_storage_bytes is None else size(each.max_storage_bytes),
            )
            for each in found
        ],
        right=("sessions", "most", "artifacts"),
    )


@quotas.command("list")
def list_quotas(context: typer.Context, as_json: AsJson = False) -> None:
    """List the creators that have a quota of their own, and what they have."""
    with the_store(context).reading() as runtime:
        _show(runtime.quotas.list(), as_json)


@quotas.command("show")
def show_quota(context: typer.Context, creator: Creator, as_json: AsJson = False) -> None:
    """Show what a creator has, and what it may have."""
    with the_store(context).reading() as runtime:
        _show([runtime.quotas.get(creator)], as_json)


@quotas.command("set")
def set_quota(
    context: typer.Context,
    creator: Creator,
    max_sessions: Annotated[
        int | None, typer.Option(min=0, help="Sessions in any status; otherwise any number.", show_default=False)
    ] = None,
    max_storage_bytes: Annotated[
        int | None, typer.Option(min=0, help="Bytes of their artifacts; otherwise any number.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Set the quota of a creator, in place of an earlier one."""
    with the_store(context).writing() as runtime:
        quota = runtime.quotas.set(creator, max_sessions=max_sessions, max_storage_bytes=max_storage_bytes)
    _show([quota], as_json)


@quotas.command("delete")
def delete_quota(context: typer.Context, creator: Creator, as_json: AsJson = False) -> None:
    """Delete the quota of a creator; then the default of the settings holds."""
    with the_store(context).writing() as runtime:
        there = runtime.quotas.delete(creator)
    if as_json:
        print_json({"created_by": creator, "deleted": there})
    else:
        done(f"{'deleted' if there else 'nothing to delete'}  {one_line(creator)}")
