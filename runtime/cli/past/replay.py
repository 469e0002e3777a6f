"""``greenroom replay``: what was recorded is decided again, and compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from greenroom.runtime.cli.output import (
    brief,
    counted,
    one_line,
    print_fields,
    print_json,
    print_line,
    progress_bar,
    tell_beside,
)
from greenroom.runtime.cli.parameters import AsJson, SessionId, entries_of
from greenroom.runtime.cli.recording.leftovers import take_leftovers
from greenroom.runtime.cli.recording.replay import is_recording, replay_program
from greenroom.runtime.cli.recording.words import CommandOrNone
from greenroom.runtime.cli.store import the_session, the_store
from greenroom.runtime.cli.times import TIMES, lasted, place_of

from .stops import STOPS, breakpoint_of
from .words import detail

if TYPE_CHECKING:
    from greenroom.runtime import Difference, Replay, ReplayPause, ReplayProgress, ReplayResult, Session

__all__ = ["replay"]

_MOST: Final = 10
"""Differences, refused commands and answers that are told."""
_MOST_PAUSES: Final = 1000
"""Breakpoints that are told of one replay."""


class Mode(StrEnum):
    """How a session is replayed."""

    EXACT = "exact"
    MODIFIED = "modified"
    SIMULATE = "simulate"
    DEBUG = "debug"


def replay(
    context: typer.Context,
    session: SessionId,
    command: CommandOrNone = None,
    mode: Annotated[
        Mode | None,
        typer.Option(help="How to replay; see above. Otherwise exact, and modified with --set.", show_default=False),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="N|TIME", help=f"Only up to event N, or up to a time: {TIMES}.", show_default=False
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Change what was recorded, such as tools.weather.result.temp=30 or messages.7.content=Hello; the "
            "value is JSON, or text. Repeatable.",
        ),
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=10.0,
            help="Wait as long between events as it took then, divided by this. Otherwise wait for nothing.",
            show_default=False,
        ),
    ] = None,
    stops: Annotated[
        list[str] | None,
        typer.Option("--break", metavar="WHERE", help=f"Tell the state at these places: {STOPS}. Repeatable."),
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0.001, metavar="SECONDS", help="Stop after this time.", show_default=False)
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Of a program: refuse what it calls with another input than recorded.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a recorded program again, offline; or decide again what was recorded of any other session. Say whether the
    same comes of it.

    A program that was recorded with greenroom record runs again, and every call and read that left it is answered from
    the recording: nothing is called, no key is needed. Behind -- stands another command, such as an edited version.
    What it does otherwise, or prints otherwise to stdout, is told on stderr, with the difference. With --json, its own
    output goes to stderr. Exit codes: 0 identical; 3 drifted, but ran to its end; 4 refused: something was not
    recorded, or, with --strict, was recorded for another input; 5 it ended with another exit code than when it was
    recorded.

    Of other sessions, and of a recording with --mode, the journal is decided again. Modes:

      exact     all as it was recorded: answers of tools and agents, hooks, clock
      modified  with the changes of --set; what follows is decided anew
      simulate  as exact here; in a program it calls tools without side effects
      debug     exact, keeping the states on the way

    Nothing is written and nothing is called, also while the session goes on. Exit code 0: identical. 1: not.

    Examples:

      greenroom replay 1a2b3c
      greenroom replay 1a2b3c -- python agent_v2.py
      greenroom replay 1a2b3c --set variables.model=large
      greenroom replay 1a2b3c --break "tool.returned once" --break error
      greenroom replay key:chat --to yesterday --speed 10
    """
    entries = entries_of(changes or (), "--set", "PATH=VALUE")
    config: dict[str, Any] = {"mode": str(mode or (Mode.MODIFIED if entries else Mode.EXACT))}
    config |= {"modifications": entries} if entries else {}
    config |= {"speed": speed} if speed is not None else {}
    config |= {"timeout": timeout} if timeout is not None else {}
    if to is not None:
        sequence, when = place_of(to, "--to")
        config |= {"target_sequence": sequence} if when is None else {"target_time": when}
    breakpoints = [breakpoint_of(each) for each in stops or ()]
    paused: list[dict[str, Any]] = []
    take_leftovers(the_store(context))
    with the_store(context).reading() as runtime:
        found = the_session(runtime, session)
        if mode is None and not entries and is_recording(found):
            replay_program(found, command, strict=strict, as_json=as_json)
        for option, given in (("-- CMD", command), ("--strict", strict)):
            if given:
                raise typer.BadParameter("it is for a recorded program, without --mode and --set", param_hint=option)
        with (
            progress_bar("replay", not as_json, "events") as show,
            runtime.replays.start(found, config, on_progress=_shown(show), breakpoints=breakpoints) as running,
        ):
            while (pause := running.wait_paused(math.inf)) is not None:
                if len(paused) < _MOST_PAUSES:
                    paused.append(_told(running, pause))
                    if not as_json:
                        _tell_pause(found, paused[-1])
                running.resume()
            result = running.wait(math.inf)
        if as_json:
            print_json(result.to_dict() | ({"breaks": paused} if breakpoints else {}))
        else:
            _tell(result)
    if not result.identical:
        raise typer.Exit(1)


def _shown(show: Callable[[int, int | None], None] | None) -> Callable[[ReplayProgress], object] | None:
    return None if show is None else lambda state: show(state.position, state.last)


def _told(running: Replay, pause: ReplayPause) -> dict[str, Any]:
    """Return what is told of a breakpoint that was hit."""
    placed, error = pause.breakpoint, pause.error
    return {
        "sequence": pause.sequence,
        "breakpoint": str(placed.breakpoint) if placed is not None else pause.reason,
        "error": f"{type(error).__name__}: {error}" if error is not None else None,
        "state": running.state.to_dict(),
    }


def _tell_pause(session: Session, told: dict[str, Any]) -> None:
    event = next(session.events(told["sequence"] - 1, 1), None)
    what = f"{event.type}  {detail(event)}" if event is not None else ""
    print(one_line(f"at {told['sequence']}  {what}").rstrip() + f"  ({one_line(told['breakpoint'])})")
    if told["error"] is not None:
        print(f"    the condition could not be looked at: {one_line(told['error'])}")
    for key, value in told["state"]["variables"].items():
        print(f"    {one_line(key)} = {one_line(brief(value))}")


def _tell(result: ReplayResult) -> None:
    """Tell in plain words what a replay has found."""
    print_line(_verdict(result), "green" if result.identical else "red")
    if result.divergence is not None:
        _tell_differences(result.divergence.differences)
    for fault in result.errors[:_MOST]:
        print(one_line(f"  refused at {fault.sequence}: {fault.code}: {fault.message}"))
    _tell_more(len(result.errors))
    for answer in result.answers[:_MOST]:
        how = "answered by what was recorded for another input" if answer.match == "drifted" else "called"
        same = "" if answer.match == "drifted" else ", the same result" if answer.equal else ", another result"
        print(one_line(f"  {answer.kind} {answer.name} at {answer.sequence}: {how}{same}"))
    _tell_more(len(result.answers))
    checks = result.checks
    intact = sum(each.equal for each in checks)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(result.counts.items()) if count)
    fields = {
        "mode": result.mode,
        "events": f"{result.events:,}" + (f" ({kinds})" if kinds else ""),
        "operations": f"{result.operations:,}",
        "snapshots": f"{intact} of {len(checks)} the same" if checks else "none on the way",
        "digest": result.digest,
        "took": lasted(result.duration),
    }
    if result.recorded_duration:
        fields["took when recorded"] = lasted(result.recorded_duration)
    if result.digest != result.recorded_digest:
        fields["digest recorded"] = result.recorded_digest
    if result.taken:
        fields["taken as recorded"] = counted(result.taken, "event")
    if result.unproven:
        fields["not proven"] = f"{counted(result.unproven, 'event')}, behind damage"
    print_fields(fields)
    for path in result.unused:
        tell_beside(f"nothing was found for --set {path}")


def _verdict(result: ReplayResult) -> str:
    """Return the outcome in one sentence."""
    if result.identical:
        return f"identical: {counted(result.events, 'event')} decided again, and the same came of them"
    if result.divergence is not None:
        found = result.divergence
        return one_line(
            f"not identical: the first difference is at event {found.sequence}, {found.type}: {found.reason}"
        )
    if result.stopped is not None:
        at = f" at event {result.stopped_at}" if result.stopped_at is not None else ""
        return one_line(
            f"not identical: stopped{at} ({result.stopped})" + (f": {result.reason}" if result.reason else "")
        )
    return "not identical: the states at the end differ"


def _tell_differences(differences: Sequence[Difference]) -> None:
    for each in differences[:_MOST]:
        print(one_line(f"  {each.path}: {brief(each.recorded)} was recorded, now {brief(each.replayed)}"))
    _tell_more(len(differences))


def _tell_more(count: int) -> None:
    """Say how many of something are not told."""
    if count > _MOST:
        print(f"  and {count - _MOST:,} more: --json has all")
