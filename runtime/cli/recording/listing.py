"""``greenroom recordings``: the programs that were recorded, and the steps of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greenroom.runtime.cli import completion
from greenroom.runtime.cli.output import (
    counted,
    moment,
    print_fields,
    print_json,
    print_line,
    print_rows,
    short_id,
    tell_beside,
)
from greenroom.runtime.cli.parameters import AsJson
from greenroom.runtime.cli.store import the_session, the_store
from greenroom.runtime.cli.times import lasted
from greenroom.storage.errors import ReplayError, StorageError

from .leftovers import take_leftovers
from .words import dollars, shown_command

if TYPE_CHECKING:
    from greenroom.runtime import Runtime, SessionInfo
    from greenroom.runtime.recording.programs.described import Described
    from greenroom.runtime.recording.tape.model import Tape

__all__ = ["recordings"]


def recordings(
    context: typer.Context,
    session: Annotated[
        str | None,
        typer.Argument(
            metavar="[SESSION]",
            help="A recording: its steps are shown. Otherwise all recordings are listed.",
            show_default=False,
            autocompletion=completion.sessions,
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the programs that were recorded, or the steps of one recording.

    A step is a call that left the program: of a model or another HTTP server, of an MCP server, of a function marked
    with @tool. Its number is what `greenroom fork --at`, `blame --steps` and `context` take.

    Examples:

      greenroom recordings             the newest recordings
      greenroom recordings 1a2b3c      the steps of one
    """
    take_leftovers(the_store(context))
    with the_store(context).reading() as runtime:
        if session is None:
            _list(runtime, limit, as_json)
        else:
            _show(runtime, session, as_json)


def _list(runtime: Runtime, limit: int, as_json: bool) -> None:
    from greenroom.runtime.recording.journal.forms import TAG

    page = runtime.list_sessions(
        {"tags": [TAG], "status": "all", "sort_by": "created_at", "descending": True, "limit": limit}
    )
    told_of = {info.id: _told(runtime, info) for info in page}
    if as_json:
        print_json([_row(info, told_of[info.id]) for info in page])
        return
    print_rows(
        ("id", "name", "calls", "tokens", "cost", "exit", "created (UTC)"),
        [
            (
                short_id(info.id),
                info.name or "",
                _known(told, "steps"),
                _known(told, "tokens"),
                dollars(told.get("cost_microusd")) if told.get("tokens") else "",
                f"signal {told['signal']}" if "signal" in told else _known(told, "exit_code"),
                moment(info.created_at),
            )
            for info in page
            for told in (told_of[info.id],)
        ],
        right=("calls", "tokens", "cost", "exit"),
    )
    if not len(page):
        tell_beside("nothing was recorded yet; try: greenroom record -- python agent.py")
    elif page.has_more:
        tell_beside(f"{counted(len(page), 'recording')}, the newest; more with --limit")


def _told(runtime: Runtime, info: SessionInfo) -> Mapping[str, Any]:
    """Return what a recording comes to: as it was noted when its program had ended. Of one that goes on, and of a block
    of a host, its steps say it."""
    from greenroom.runtime.recording.journal.forms import TAG
    from greenroom.runtime.recording.journal.reading import tape_of
    from greenroom.runtime.recording.programs.described import totals_of

    found = info.custom_metadata.get(TAG)
    if isinstance(found, Mapping) and "steps" in found:
        return found
    try:
        tape = tape_of(runtime.session(info.id))
    except (ReplayError, StorageError):
        return {}
    return asdict(totals_of(_steps_of(tape)))


def _known(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    return f"{value:,}" if isinstance(value, int) else ""


def _row(info: SessionInfo, told: Mapping[str, Any]) -> dict[str, Any]:
    known = info.to_dict()
    names = ("id", "name", "status", "created_at", "parent_session_id")
    return {**{name: known[name] for name in names}, **told}


def _show(runtime: Runtime, name: str, as_json: bool) -> None:
    from greenroom.runtime.recording.journal.reading import runs_of, source_of, tape_of

    found = the_session(runtime, name)
    info = found.info()
    runs = runs_of(source_of(found))
    tapes = [(run, tape_of(found, run=run)) for run in runs] or [(0, tape_of(found))]  # which says that there is none
    if as_json:
        earlier = [{"run": run, **_told_by(tape)} for run, tape in tapes[:-1]]
        print_json(_row(info, {**_told_by(tapes[-1][1]), **({"earlier": earlier} if earlier else {})}))
        return
    for number, (run, tape) in enumerate(tapes, 1):
        which = f", {number:,} of {len(runs):,} in this session, from event {run}" if len(runs) > 1 else ""
        _tell(info.id + which, tape)


def _steps_of(tape: Tape) -> list[Described]:
    from greenroom.runtime.recording.programs.described import described
    from greenroom.runtime.recording.tape.model import in_order

    return [described(number, each) for number, each in enumerate(in_order(tape.crossings), 1)]


def _told_by(tape: Tape) -> dict[str, Any]:
    from greenroom.runtime.recording.programs.described import totals_of

    steps = _steps_of(tape)
    about = {key: value for key, value in tape.about.items() if key != "environment"}
    ended: dict[str, Any] = {name: about[name] for name in ("exit_code", "signal") if name in about}
    return {**asdict(totals_of(steps)), **ended, "about": about, "calls": [asdict(each) for each in steps]}


def _tell(recording: str, tape: Tape) -> None:
    from greenroom.runtime.recording.programs.described import totals_of
    from greenroom.runtime.recording.tape.endings import cut_of, ending_of

    steps = _steps_of(tape)
    totals = totals_of(steps)
    reads = sum(len(each.reads) for each in tape.reads)
    started = tape.about.get("started_at")
    fields = {
        "recording": recording,
        "command": shown_command(tape.about.get("command")),
        "started": moment(datetime.fromtimestamp(started / 1e9, UTC)) if isinstance(started, int) else "",
        "ended": ending_of(tape.about),
        "not whole": cut_of(tape.about) or "",
        "steps": f"{totals.steps:,}" + (f", {totals.failed:,} failed" if totals.failed else ""),
        "model calls": f"{totals.model_calls:,}",
        "tokens": f"{totals.tokens:,}",
        "cost": dollars(totals.cost_microusd),
        "reads": f"{reads:,} of clock, randomness and environment",
    }
    print_fields({name: value for name, value in fields.items() if value})
    _tell_steps(steps)


def _tell_steps(steps: Sequence[Described]) -> None:
    for each in steps:
        about = [each.model] if each.model else []
        about += [f"{each.tokens:,} tokens"] if each.tokens is not None else []
        about.append(lasted(each.duration / 1e9))
        print_line(f"{each.step:>4}  {each.called}  ({', '.join(about)})  {each.place}", "red" if each.failed else "")
        if each.answer:
            print_line(f"      {each.answer}", "dim")
