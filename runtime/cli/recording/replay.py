"""``greenroom replay`` of a recorded program: it runs again, offline."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, NoReturn

import typer

from greenroom.runtime.cli.output import is_terminal, note, print_json, tell_beside

from .reports import told_departures, told_output, told_report
from .words import shown_command

if TYPE_CHECKING:
    from greenroom.runtime import Session
    from greenroom.runtime.recording.programs.replay import ProgramReplay

__all__ = ["EXIT_CODES", "is_recording", "replay_program"]

EXIT_CODES: Final = {"identical": 0, "drifted": 3, "refused": 4, "failed": 5}
_VERDICTS: Final = {
    "identical": "identical: every call and every read of the program was answered by what was recorded for it",
    "drifted": "drifted: the program did not do just what was recorded, and ran to its end",
    "refused": "refused: the replay stopped where nothing that was recorded fits",
    "failed": "failed: the program did not end as it did when it was recorded",
}


def is_recording(session: Session) -> bool:
    """Return whether a session has the recording of a program, or of a part of one."""
    from greenroom.runtime.recording.journal.forms import TAG
    from greenroom.runtime.recording.journal.reading import runs_of, source_of

    return TAG in session.info().tags and bool(runs_of(source_of(session)))


def replay_program(session: Session, command: list[str] | None, *, strict: bool, as_json: bool) -> NoReturn:
    """Run the program of a recording again, tell what that has proven, and leave with the exit code that says so."""
    from greenroom.runtime.recording.journal.reading import tape_of
    from greenroom.runtime.recording.programs.running import command_of, run_replay
    from greenroom.runtime.recording.tape.endings import cut_of

    tape = tape_of(session)
    wanted = command_of(tape, command)
    if (cut := cut_of(tape.about)) is not None:
        note(f"{cut}: the program is answered up to there")
    note(f"replaying: {shown_command(wanted)}")
    sys.stdout.flush()
    found = run_replay(tape, wanted, strict=strict, output=sys.stderr.fileno() if as_json else None)
    if as_json:
        print_json(found.to_dict())
    else:
        _tell(found)
    raise typer.Exit(EXIT_CODES[found.verdict])


def _tell(found: ProgramReplay) -> None:
    """Tell on stderr, because stdout is the program's."""
    verdict = _VERDICTS[found.verdict]
    if is_terminal(sys.stderr):
        from greenroom.runtime.cli.output import console

        console(sys.stderr).print(verdict, style="green" if found.verdict == "identical" else "red", soft_wrap=True)
    else:
        tell_beside(verdict)
    tell_beside(told_report(found.report))
    tell_beside(f"exit code {found.code}{_of_recorded(found)}; {told_output(found.report.streams)}")
    for line in told_departures(found.report.drifts):
        print(line, file=sys.stderr)
    if found.report.refused is not None:
        tell_beside(found.report.refused)
    if found.report.missing and not found.report.refused and (found.recorded_code or 128) >= 128:
        note("the recorded program was killed: what it read of clock and randomness after its last call was not kept")
    tell_beside(f"digest of the recording: {found.digest}")


def _of_recorded(found: ProgramReplay) -> str:
    if found.recorded_code is None:
        return ", and none was recorded"
    return " as recorded" if found.code == found.recorded_code else f", recorded was {found.recorded_code}"
