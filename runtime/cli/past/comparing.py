"""``greenroom diff`` and ``greenroom context``: two sessions side by side, and what a model was given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from greenroom.runtime.cli import completion
from greenroom.runtime.cli.output import brief, counted, one_line, print_json, print_line, printable
from greenroom.runtime.cli.parameters import AsJson, SessionId
from greenroom.runtime.cli.recording.leftovers import take_leftovers
from greenroom.runtime.cli.store import the_session, the_store

from .words import detail, said_in

if TYPE_CHECKING:
    from greenroom.runtime import ComparedSide, Comparison, ContextChange, ContextView, Session, StateChange
    from greenroom.runtime.recording.journal.steps import Steps

__all__ = ["context", "diff"]

_STYLES: Final = {"added": "green", "injected": "green", "removed": "red", "dropped": "red"}
_MARKS: Final = {"added": "+", "removed": "-", "changed": "~"}
_MOST_TEXT: Final = 2000
_TOTALS: Final = "metadata.recording."
"""What recordings come to: calls, tokens and cost are told below."""

_Other = Annotated[
    str,
    typer.Argument(metavar="OTHER", help="The session to compare with.", autocompletion=completion.sessions),
]


def diff(context: typer.Context, session: SessionId, other: _Other, as_json: AsJson = False) -> None:
    """Say where two sessions stopped being the same, what each did alone, and what is different in the end.

    Such as a session and its fork: greenroom diff 1a2b3c 4d5e6f. Times, ids and durations do not count. Of recordings,
    steps are those of greenroom recordings and of fork --at.
    """
    take_leftovers(the_store(context))
    with the_store(context).reading() as runtime:
        one, another = the_session(runtime, session), the_session(runtime, other)
        found = runtime.compare(one, another)
        steps = [_steps(each) for each in (one, another)]
        names = [info.name or info.id for info in (one.info(), another.info())]
        last = next(iter(one.events(found.common - 1, 1)), None) if found.common else None
    if as_json:
        print_json(found.to_dict())
        return
    if found.identical:
        print(f"the same: {counted(found.a.events, 'event')} each")
        return
    about = f": {last.type}  {detail(last)}" if last is not None else ""
    step = ""
    if all(each is not None for each in steps):
        step = f", step {min(each.upto(found.common) for each in steps if each is not None)}"
    print(one_line(f"the same up to event {found.common}{step}{about}"))
    for letter, name, side, each in zip("AB", names, (found.a, found.b), steps, strict=True):
        _tell_side(letter, name, side)
        if each is not None and (own := each.upto(found.common) + 1) <= len(each):
            print(f"   first step {own}, event {each.events[own - 1]}")
    for title, changes in (
        ("state", [each for each in found.state if not each.place.startswith(_TOTALS)]),
        ("conversation", found.conversation),
        ("artifacts", found.artifacts),
    ):
        if changes:
            print(f"{title} (- only A, + only B, ~ from A to B):")
            _tell_changes(changes)
    _tell_use(found)


def _steps(session: Session) -> Steps | None:
    """Return the steps of a session that is a recording."""
    from greenroom.runtime.recording.journal.forms import TAG
    from greenroom.runtime.recording.journal.steps import steps_of

    return steps_of(session) if TAG in session.info().tags else None


def _tell_side(letter: str, name: str, side: ComparedSide) -> None:
    kinds = ", ".join(f"{count:,} {type}" for type, count in side.types.items())
    alone = f"{side.alone:,} of {counted(side.events, 'event')} alone" + (f": {kinds}" if kinds else "")
    print(one_line(f"{letter}  {side.session_id}  {name}"))
    print(one_line(f"   {alone}"))
    if side.first is not None:
        print(one_line(f"   first {side.first.sequence}  {side.first.type}  {detail(side.first)}"))


def _tell_changes(changes: Sequence[StateChange]) -> None:
    for each in changes:
        if each.kind == "changed":
            text = f"~ {each.place}: {brief(each.before)} -> {brief(each.after)}"
        else:
            text = f"{_MARKS[each.kind]} {each.place}: {brief(each.after if each.kind == 'added' else each.before)}"
        print_line(f"  {text}", _STYLES.get(each.kind, "yellow"))


def _tell_use(found: Comparison) -> None:
    for name, each in found.calls.items():
        if (each.a, each.a_failed) != (each.b, each.b_failed):
            print(one_line(f"{name}: {each}"))
    for unit, a, b in (("tokens", found.a.tokens, found.b.tokens), ("USD", found.a.cost_usd, found.b.cost_usd)):
        if a is not None or b is not None:
            print(f"{unit}: {a or 0:g} and {b or 0:g}")


def context(
    context: typer.Context,
    session: SessionId,
    at: Annotated[
        int | None,
        typer.Argument(
            metavar="[N]",
            min=1,
            help="The newest call up to step N of a recording, or event N of another session; otherwise the newest of "
            "all.",
            show_default=False,
        ),
    ] = None,
    event: Annotated[
        int | None,
        typer.Option("--event", min=1, metavar="N", help="The newest call up to event N.", show_default=False),
    ] = None,
    number: Annotated[
        int | None,
        typer.Option("--call", min=1, metavar="K", help="The K-th call, whatever its event.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a model was given in one call of an agent, and what changed since its last call.

    Changes are injected (new), dropped (gone), truncated (only a part is left) or changed. In a conversation without
    calls of agents, such as an ingested one, each message of the assistant is a call.

    Examples:

      greenroom context 1a2b3c             the newest call
      greenroom context 1a2b3c 21          the newest one up to step (event) 21
      greenroom context 1a2b3c --event 21  the newest one up to event 21
      greenroom context 1a2b3c --call 2    the second one
    """
    if sum(each is not None for each in (at, event, number)) > 1:
        raise typer.BadParameter("name the call by a step, an event or its number", param_hint="--call")
    take_leftovers(the_store(context))
    with the_store(context).reading() as runtime:
        found = the_session(runtime, session)
        steps = _steps(found)
        debugger = found.debugger()
        if at is not None and steps is not None:
            event = steps.call_upto(at)
        elif at is not None:
            event = at
        if event is not None:
            debugger.goto(event)
        view = debugger.context(number=number)
        called = next(iter(found.events(view.call - 1, 1)), None)
    step = steps.of(view.call, called.data.get("crossing")) if steps is not None and called is not None else None
    if as_json:
        print_json({**view.to_dict(), **({"step": step} if step is not None else {})})
        return
    _tell_view(view, f", step {step}" if step is not None else "")


def _tell_view(view: ContextView, step: str) -> None:
    model = f"  {view.model}" if view.model not in (None, view.agent) else ""
    place = f"call {view.number} of {view.calls}, at event {view.call}{step}"
    head = f"{place}  {view.agent}{model}  {view.time:%Y-%m-%d %H:%M:%S}"
    print_line(head, "bold")
    parts: list[tuple[str, Any]] = []
    if view.system_prompt is not None and view.kind == "agent":  # else it stands among the messages
        parts.append(("system", view.system_prompt))
    parts += [("tools", ", ".join(map(_tool_name, view.tools)))] if view.tools else []
    parts += [(f"parameter {name}", value) for name, value in sorted(view.parameters.items())]
    parts += [("input", view.input)] if view.input is not None else []
    parts += [(str(each.get("role", "")), _message(each)) for each in view.messages]
    parts += [("reply", _message(view.reply))] if view.reply is not None else []
    parts += [("error", view.error)] if view.error is not None else []
    for name, value in parts:
        _print_part(name, value)
    if view.previous is None:
        print("this is the first call")
        return
    print(f"since the call at event {view.previous}:" + ("" if view.changes else " nothing has changed"))
    for change in view.changes:
        print_line(f"  {_change(change)}", _STYLES.get(change.kind, "yellow"))


def _change(change: ContextChange) -> str:
    if change.kind == "injected":
        return f"injected   {change.what}: {brief(change.after)}"
    if change.kind == "dropped":
        return f"dropped    {change.what}: {brief(change.before)}"
    return f"{change.kind:<10} {change.what}: {brief(change.before)} -> {brief(change.after)}"


def _message(message: Any) -> Any:
    """Return what a message says, or the text of an agent's reply, or the whole of what is neither."""
    if not isinstance(message, dict):
        return message
    return said_in(message) or message.get("text") or ("" if "content" in message else message)


def _tool_name(tool: Any) -> str:
    if not isinstance(tool, dict):
        return str(tool)
    inner = tool.get("function")
    return str(tool.get("name") or (inner.get("name") if isinstance(inner, dict) else None) or brief(tool, 40))


def _print_part(name: str, value: Any) -> None:
    text = value if isinstance(value, str) else brief(value, _MOST_TEXT)
    text = text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}… ({len(text):,} characters: --json shows all)"
    first, *more = printable(text).splitlines() or [""]
    print(f"  {one_line(name):<12} {first}".rstrip())
    for line in more:
        print(f"  {'':<12} {line}".rstrip())
