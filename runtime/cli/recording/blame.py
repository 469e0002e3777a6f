"""``greenroom blame``: which step decides how a run ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from greenroom.runtime.cli.output import counted, note, print_json, print_rows
from greenroom.runtime.cli.parameters import AsJson, SessionId
from greenroom.runtime.cli.store import the_session, the_store

from .fork import check_credentials
from .leftovers import take_leftovers_of
from .record import Redact
from .words import CommandOrNone, dollars

if TYPE_CHECKING:
    from greenroom.runtime.recording.searching.blame import Blame

__all__ = ["blame"]


def blame(
    context: typer.Context,
    session: SessionId,
    command: CommandOrNone = None,
    check: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help="Says whether a run was good: a shell command that gets what the program printed on stdin. Exit code "
            "0: good.",
            show_default=False,
        ),
    ] = None,
    tries: Annotated[int, typer.Option(min=1, max=1000, metavar="K", help="How often each step is made anew.")] = 5,
    steps: Annotated[
        str | None,
        typer.Option(metavar="M-N", help="Only these steps; otherwise every model call.", show_default=False),
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(min=1, metavar="RUNS", help="At most so many live runs in all.", show_default=False),
    ] = None,
    max_cost: Annotated[
        float | None,
        typer.Option(min=0, metavar="USD", help="Stop when the runs have cost so much.", show_default=False),
    ] = None,
    assume_credentials: Annotated[
        bool, typer.Option("--assume-credentials", help="Do not look whether keys for live calls are set.")
    ] = False,
    redact: Redact = None,
    as_json: AsJson = False,
) -> None:
    """Find the step that decides how a run ends: fork before each step several times, and count how often the outcome
    becomes another one.

    First the recording is replayed, for nothing, and --check says whether it was good. Then, for each step, the steps
    before it are answered from the recording and the rest is made anew, live. The steps are ranked by the share of
    these runs whose outcome is another one, with its 95 % confidence interval (Wilson). Of steps with the same share
    the last comes first: an earlier one changes the outcome only because all behind it is made anew as well.

    Every run is kept, as a recording below this one. Asked again with the same check, what was run already counts and
    is not run again: so a search that was stopped goes on, and more --tries add to it.

    The check also finds GREENROOM_EXIT_CODE (of the program) and GREENROOM_SESSION (the run) in its environment. Exit
    code 0: done. 1: the program cannot be replayed, or no key is set. 3: the budget ended first.

    Examples:

      greenroom blame 1a2b3c --check 'grep -q "Total: 42"'
      greenroom blame 1a2b3c --check 'grep -q 42' --steps 3-9 --max-cost 2
    """
    from greenroom.runtime.recording.journal.reading import tape_of
    from greenroom.runtime.recording.programs.running import check_rules, command_of
    from greenroom.runtime.recording.searching.blame import Blaming

    if not check:
        raise typer.BadParameter("say what a good run is, such as 'grep -q done'", param_hint="--check")
    only = _range(steps)
    store = the_store(context)
    with store.writing() as runtime:
        take_leftovers_of(runtime)
        found = the_session(runtime, session)
        tape = tape_of(found)
    check_rules(tape, redact or ())
    wanted = command_of(tape, command, is_live=True)
    if not assume_credentials:
        check_credentials(tape, 0)
    blaming = Blaming(store.writing, found.id, tape, check, wanted, redact=redact or (), tell=note)
    cost = round(max_cost * 1e6) if max_cost is not None else None
    result = blaming.search(tries=tries, only=only, budget=budget, max_cost=cost)
    if as_json:
        print_json(result.to_dict())
    else:
        _tell(result)
    if result.stopped is not None:
        note("the budget ended the search: run it again to go on from here")
        raise typer.Exit(3)


def _range(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, dash, last = text.partition("-")
    if not first.isdecimal() or not (last.isdecimal() if dash else not last):
        raise typer.BadParameter(f"{text!r} is not of the form M-N, or N", param_hint="--steps")
    return int(first), int(last or first)


def _tell(result: Blame) -> None:
    print(f"the recorded run is {'good' if result.passed else 'not good'}, says the check")
    print_rows(
        ("step", "another outcome", "95 % interval", "called", "answer", "place"),
        [
            (
                str(each.step),
                f"{each.changed} of {each.tries} ({each.rate:.0%})",
                f"{each.low:.0%} to {each.high:.0%}",
                about.model or about.called,
                about.answer,
                about.place,
            )
            for each in result.scores
            for about in (result.steps[each.step],)
        ],
        right=("step",),
    )
    failed = f", {result.failed:,} failed" if result.failed else ""
    print(f"{counted(result.runs, 'live run')} now, {dollars(result.cost_microusd)}{failed}")
    best = result.scores[0] if result.scores else None
    if best is not None and best.changed:
        note(f"look at step {best.step}: greenroom fork --at {best.step - 1} --patch …")
    elif best is not None:
        note("no step that was made anew changed the outcome: more --tries, or look at the program itself")
