"""``greenroom doctor``: what makes a program run differently each time, and whether a recording covers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from greenroom.runtime.cli.output import counted, note, one_line, print_json, print_line
from greenroom.runtime.cli.parameters import AsJson

from .words import Command

if TYPE_CHECKING:
    from greenroom.runtime.recording.searching.doctor import Finding

__all__ = ["doctor"]


def doctor(
    context: typer.Context,
    command: Command,
    fail_on_findings: Annotated[
        bool, typer.Option("--fail-on-findings", help="Exit code 3 if there is any source of nondeterminism.")
    ] = False,
    fail_on_uncovered: Annotated[
        bool, typer.Option("--fail-on-uncovered", help="Exit code 3 if there is one that no recording covers.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a program twice, live, and name what made the two runs different: file and line, what it is, whether a
    recording covers it, and what to do.

    Then the first run is replayed, offline: as it was, with another hash seed, and, if it has threads, with other
    threads first. What a replay cannot give the program in the same way is a source that no recording covers, such as a
    file that changes or a connection of its own. What was the same in all runs, but need not be elsewhere (files,
    variables of the environment), is told too, and does not count. Nothing is stored. What the program prints is
    compared and not shown; its model calls cost what they cost.

    Exit code 0: looked at. 1: the program failed. 3: found what --fail-on-… asks for.

    Examples:

      greenroom doctor -- python agent.py
      greenroom doctor --fail-on-uncovered -- python agent.py
    """
    from greenroom.runtime.recording.searching.examine import examine

    note("two live runs, and up to three replays without waiting: this takes as long as the program, twice")
    found = examine(command, tell=note)
    differing = [each for each in found if each.differed]
    uncovered = [each for each in differing if not each.covered]
    if as_json:
        print_json({"findings": [asdict(each) for each in found], "uncovered": len(uncovered)})
    else:
        _tell(found, len(uncovered))
    if (fail_on_findings and differing) or (fail_on_uncovered and uncovered):
        raise typer.Exit(3)


def _tell(found: Sequence[Finding], uncovered: int) -> None:
    for each in found:
        style, mark = ("yellow", "covered") if each.covered else ("red", "NOT COVERED")
        if not each.differed:
            style, mark = "", "the same in all runs, covered" if each.covered else "the same in all runs, not covered"
        print_line(f"{each.place or '(no place)'}  {each.kind}  {mark}", style)
        print(one_line(f"    {each.what}" + (f"  ({each.times:,} times)" if each.times > 1 else "")))
        print(one_line(f"    {each.advice}"))
    differing = sum(each.differed for each in found)
    if not differing:
        print("nothing made the two runs different, and a replay was the same")
        return
    told = f"{uncovered:,} not covered by a recording" if uncovered else "a recording covers them all"
    print(f"{counted(differing, 'source')} of nondeterminism: {told}")
