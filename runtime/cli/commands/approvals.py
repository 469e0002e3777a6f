"""``greenroom approvals``: the questions that sessions ask people."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greenroom.runtime.cli.command import Commands
from greenroom.runtime.cli.output import brief, done, moment, one_line, print_fields, print_json, print_rows
from greenroom.runtime.cli.parameters import AsJson, OneOrAllSessions, json_or_text
from greenroom.runtime.cli.store import the_session, the_store

if TYPE_CHECKING:
    from greenroom.runtime import Approval

app = Commands(help="List and answer the questions that sessions ask people.")

_Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the question, as the list shows it.")]


class Status(StrEnum):
    PENDING = "pending"
    ANSWERED = "answered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    ALL = "all"


@app.command("list")
def list_approvals(
    context: typer.Context,
    session: OneOrAllSessions = None,
    status: Annotated[Status, typer.Option(help="What became of them.")] = Status.PENDING,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List questions, oldest first: those that nobody has answered yet, or others."""
    wanted: Any = None if status is Status.ALL else status.value
    with the_store(context).reading() as runtime:
        found = runtime.approvals.list(
            wanted,
            session=the_session(runtime, session).id if session is not None else None,
            limit=limit,
        )
    if as_json:
        print_json([each.to_dict() for each in found])
        return
    print_rows(
        ("id", "status", "question", "expires (UTC)", "asked (UTC)"),
        [
            (
                each.id,
                each.status,
                one_line(each.question),
                moment(each.expires_at) if each.expires_at is not None else "",
                moment(each.asked_at),
            )
            for each in found
        ],
    )


@app.command()
def show(context: typer.Context, approval: _Id, as_json: AsJson = False) -> None:
    """Show one question: what is asked, which answers fit, and what became of it."""
    with the_store(context).reading() as runtime:
        found = runtime.approvals.get(approval)
    _print(found, as_json)


@app.command()
def answer(
    context: typer.Context,
    approval: _Id,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="The answer, as JSON or as text.")],
    by: Annotated[str | None, typer.Option(help="Who answers.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Answer a question. Of several answers the first one counts."""
    with the_store(context).writing() as runtime:
        found = runtime.approvals.answer(approval, json_or_text(value), by)
    if as_json:
        print_json(found.to_dict())
    else:
        done(f"answered  {found.id}  {brief(found.value)}")


@app.command()
def cancel(
    context: typer.Context,
    approval: _Id,
    reason: Annotated[str | None, typer.Option(help="Why.", show_default=False)] = None,
    as_json: AsJson = False,
) -> None:
    """Cancel a question that nobody has answered yet."""
    with the_store(context).writing() as runtime:
        found = runtime.approvals.cancel(approval, reason)
    if as_json:
        print_json(found.to_dict())
    else:
        done(f"cancelled  {found.id}")


def _print(approval: Approval, as_json: bool) -> None:
    row = approval.to_dict()
    if as_json:
        print_json(row)
    else:
        print_fields({key: brief(value, 1000) for key, value in row.items() if value is not None})
