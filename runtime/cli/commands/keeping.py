"""``greenroom quotas`` and ``greenroom erase``: what the sessions of one creator may have, and the end of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from greenroom.runtime.cli.command import Commands
from greenroom.runtime.cli.output import counted, done, one_line, print_json, print_rows, size, tell_beside
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
        ("creator", "sessions", "most", "storage", "most"),
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
        right=("sessions", "most", "storage"),
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


def erase(
    context: typer.Context,
    created_by: Annotated[str, typer.Option(metavar="CREATOR", help="What the sessions have as created_by.")],
    scopes: Annotated[
        list[str] | None, typer.Option("--scope", metavar="NAME", help="Also this state, such as user:7. Repeatable.")
    ] = None,
    needles: Annotated[
        list[str] | None,
        typer.Option("--needle", metavar="TEXT", help="Look for this text in the store afterwards. Repeatable."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go, as without --yes.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase everything of one creator: its sessions in every status, with all they have. Then compact and search the
    store. The exit code is 1 if anything is left."""
    doing = yes and not dry_run
    store = the_store(context)
    with store.writing() if doing else store.reading() as runtime:
        report = runtime.erase(
            created_by,
            scopes=scopes or [],
            needles=[each.encode("utf-8", "surrogateescape") for each in needles or []],
            dry_run=not doing,
        )
    if as_json:
        print_json(report.to_dict())
    else:
        outcome = "erased" if doing else "would go; --yes erases them"
        for each in report.sessions:
            print(each)
        print(f"{counted(len(report.sessions), 'session')} with {size(report.bytes)} of artifacts {outcome}")
        for scope in report.scopes:
            print(f"scope {one_line(scope)} {outcome}")
        for place in (*report.refused, *report.left, *report.needles):
            tell_beside(f"left: {place}")
        for text in report.notes:
            tell_beside(text)
    if doing and not report.clean:
        raise typer.Exit(1)
