"""``greenroom fork``: run a recorded program again up to a step, and live from there, with changes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from greenroom.runtime.cli.output import counted, note, tell_beside
from greenroom.runtime.cli.parameters import SessionId
from greenroom.runtime.cli.store import the_session, the_store
from greenroom.storage.errors import InvalidOperation, ValidationError

from .leftovers import put_into_store, take_leftovers_of
from .record import Redact
from .words import CommandOrNone, name_of

if TYPE_CHECKING:
    from greenroom.runtime.recording.patches.grammar import Patch
    from greenroom.runtime.recording.tape.model import Crossing, Tape

__all__ = ["check_credentials", "fork"]


def fork(
    context: typer.Context,
    session: SessionId,
    command: CommandOrNone = None,
    at: Annotated[
        int | None,
        typer.Option(
            "--at",
            min=0,
            metavar="N",
            help="Answer the first N steps from the recording; greenroom recordings SESSION shows them.",
            show_default=False,
        ),
    ] = None,
    patches: Annotated[
        list[str] | None,
        typer.Option("--patch", "-p", metavar="PATCH", help="Change something: see above. Repeatable."),
    ] = None,
    edit: Annotated[
        bool, typer.Option("--edit", "-e", help="Edit step N's answer and the next request as JSON in $EDITOR.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="Name of the new recording.", show_default=False)] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Add a tag to the new recording. Repeatable.")] = None,
    redact: Redact = None,
    assume_credentials: Annotated[
        bool, typer.Option("--assume-credentials", help="Do not look whether keys for live calls are set.")
    ] = False,
) -> None:
    """Run a recorded program again: its first N steps for nothing, then live, as a new recording below the old one.

    Patches change the answer of step N, or what is called after it:

      llm.system+=" Be brief."         the system prompt, from step N+1 on
      llm.model="other-model"          also temperature, tools and others
      llm.messages[-1].content="…"     what the next model call is asked
      response.text="…"                what the model said in step N
      tool.weather.result="dry"        what a tool returned in step N
      http.status=429                  the status of step N's answer

    All fields, with an example each: docs/reference/patches.md. Live calls need the program's keys: whether they are
    set is looked at before anything runs. The exit code is that of the program; 1 or 2 before it runs.

    Examples:

      greenroom fork 1a2b3c --at 13 --patch 'llm.system+=" Never guess."'
      greenroom fork 1a2b3c --at 14 --edit
      greenroom fork 1a2b3c --at 0 -- python agent_v2.py
    """
    from greenroom.runtime.recording.journal.reading import tape_of
    from greenroom.runtime.recording.patches.grammar import parse
    from greenroom.runtime.recording.patches.plan import plan
    from greenroom.runtime.recording.programs.live import plan_fork, run_planned
    from greenroom.runtime.recording.programs.running import check_rules, command_of
    from greenroom.runtime.recording.tape.model import in_order

    if at is None:
        raise typer.BadParameter("say how many steps are answered from the recording", param_hint="--at")
    given = [_parsed(parse, each) for each in patches or ()]
    store = the_store(context)
    with store.writing() as runtime:
        take_leftovers_of(runtime)
        found = the_session(runtime, session)
        tape = tape_of(found)
        steps = in_order(tape.crossings)
        if at > len(steps):
            raise ValidationError(f"at: session {found.id} has {counted(len(steps), 'step')}, not {at}", field="at")
        wanted = command_of(tape, command, is_live=True)
        check_rules(tape, redact or ())
        given += _edited(steps, at) if edit else []
        planned = plan(given, steps, at)
        if not assume_credentials:
            check_credentials(tape, at)
        note(_announced(at, len(given)))
        fork = plan_fork(
            runtime, found, at, planned, wanted, name=name or name_of(wanted), tags=tag or (), redact=redact or ()
        )
    recorded = run_planned(fork)
    if put_into_store(store, recorded) is not None:
        note(f"what became different: greenroom diff {found.id[:8]} {fork.session_id[:8]}")
    raise typer.Exit(recorded.code)


def _announced(at: int, patches: int) -> str:
    first = f"steps 1 to {at} are answered from the recording" if at > 1 else "step 1 is answered from the recording"
    changed = f", with {patches} patch{'es' if patches != 1 else ''}" if patches else ""
    return (
        f"{first if at else 'nothing is answered from the recording'}; step {at + 1} and what follows is live{changed}"
    )


def _parsed(parse: Callable[[str], Patch], text: str) -> Patch:
    try:
        return parse(text)
    except ValidationError as error:
        raise typer.BadParameter(str(error).removeprefix("patch: "), param_hint="--patch") from error


def _edited(steps: Sequence[Crossing], at: int) -> list[Patch]:
    from greenroom.runtime.recording.patches.edit import document, patches_between

    from .editing import edited

    before = document(steps, at)
    if not before:
        raise ValidationError(f"there is nothing in steps {at} and {at + 1} that could be edited as JSON", field="edit")
    changes = patches_between(before, edited(before), steps, at)
    if not changes:
        raise InvalidOperation("nothing was changed in the editor: nothing is run")
    for each in changes:
        tell_beside(f"patch: {each}")
    return changes


def check_credentials(tape: Tape, at: int) -> None:
    """Raise InvalidOperation if no key is set for a server that is called after a step, or if one that the recorded
    program has read is not set any more."""
    from greenroom.runtime.recording.programs.credentials import missing_credentials, unset_credentials
    from greenroom.runtime.recording.tape.model import in_order

    steps = in_order(tape.crossings)
    missing = missing_credentials(steps[at:] or steps, os.environ)
    told = [f"{host} needs {' or '.join(names)}" for host, names in missing.items()]
    known = {name for names in missing.values() for name in names}
    unset = unset_credentials(tape.about.get("credentials") or (), os.environ)
    told += [f"the recorded program has read {name}" for name in unset if name not in known]
    if told:
        raise InvalidOperation(
            f"step {at + 1} and what follows is called live, and no key is set: {'; '.join(told)}. Nothing was run. Set"
            " it, or use --assume-credentials if the program gets its keys elsewhere"
        )
