"""Begin a fork with changes, before anybody can see it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from greenroom.actors import messages as m
from greenroom.actors.messages.core import Command, PendingEvent
from greenroom.actors.messages.forking import Change, RecordToolResult, ReplaceSystemPrompt, ReplaceToolResult
from greenroom.actors.scheduling.operation import CURRENT, changed
from greenroom.actors.session.answers.turns import read_turns
from greenroom.storage.codec.records import Value
from greenroom.storage.errors import GreenroomError, IntegrityError, ValidationError, shown
from greenroom.storage.events.calls import call_value
from greenroom.storage.events.snapshots import SnapshotTrail

from .unpublished import UnpublishedSession

if TYPE_CHECKING:
    from greenroom.actors.messages.conversation import Turn
    from greenroom.actors.session.directory import Directory, Way
    from greenroom.actors.session.state.model import SessionState
    from greenroom.actors.store import Append, ArtifactStore, Moves
    from greenroom.storage.engine.engine import Op
    from greenroom.storage.events.model import StoredEvent

__all__ = ["Changing"]

_SYSTEM: Final = ("system", "developer")
_ANSWERING: Final = ("tool", "function")


class _ForkedSession(UnpublishedSession):
    """The actor of a fork that is staged: what it decides is staged too."""

    stage: Callable[[Append], int]

    def commit(
        self,
        drafts: list[PendingEvent],
        command: Command[Any] | None = None,
        also: Sequence[Op] = (),
        **batch: Any,
    ) -> None:
        super().commit(drafts, command, also, **{**batch, "write": self.stage})

    def _catalog_ops(self, ops: list[Op], moves: bool, before: Any, was_updated: int, now: int) -> Moves:
        return ()  # publishing adds the session to the catalog

    def _snapshot(self, ops: list[Op]) -> None:
        """Write no snapshot: who stages the session writes them."""


class Changing(NamedTuple):
    """Makes the changes that forks begin with, by messages that take the usual way from the hooks on."""

    directory: Directory
    way: Way

    def change(
        self, state: SessionState, changes: Sequence[Change], stage: Callable[[Append], int]
    ) -> tuple[SessionState, list[StoredEvent]]:
        """Make changes to a session whose journal is staged, and return its state and the events. `stage` writes what
        is decided. Raises what refuses a change, with the field `index`."""
        services = self.directory.services
        events: list[StoredEvent] = []

        def gather(session_id: str, first: int, written: list[StoredEvent]) -> None:
            events.extend(written)

        commands, places = _commands(services.store, state, changes)
        actor = _ForkedSession(replace(services, publish=gather), state, SnapshotTrail())
        actor.stage = stage
        around = CURRENT.get()
        self.directory.hold(actor, None)
        try:  # not by `with`: see `changed`
            # The caller may fork, so it may change its fork. The catalog cannot tell yet whose it is.
            CURRENT.set(changed(around, {"principal": None}))
            self.way.ask(state.id, m.Batch(commands), services.store_timeout)
        except GreenroomError as error:
            if type(error.fields.get("index")) is int:
                error.fields["index"] = places[error.fields["index"]]
            raise
        finally:
            CURRENT.set(around)
            actor.leave()
        return actor.state, events


def _commands(
    store: ArtifactStore, state: SessionState, changes: Sequence[Change]
) -> tuple[list[Command[Any]], list[int]]:
    """Return the commands that make the changes, and the place of the change that each belongs to."""
    turns: list[Turn] | None = None
    commands: list[Command[Any]] = []
    places: list[int] = []
    for place, change in enumerate(changes):
        if isinstance(change, Command):
            more: list[Command[Any]] = [change]
        else:
            if turns is None:
                turns = read_turns(store, state.session, state.sequence + 1, None, state.message_count)
            if isinstance(change, ReplaceSystemPrompt):
                more = [_system(turns, change.text)]
            else:
                more = _result(store, state, turns, place, change)
        commands += more
        places += [place] * len(more)
    return commands, places


def _system(turns: list[Turn], text: str) -> Command[Any]:
    first = next((turn for turn in turns if turn.role in _SYSTEM), None)
    return m.AddMessage("system", text) if first is None else m.EditMessage(first.sequence, content=text)


def _result(
    store: ArtifactStore, state: SessionState, turns: list[Turn], place: int, change: ReplaceToolResult
) -> list[Command[Any]]:
    """Return the commands that replace a result. Raises ValidationError if there is no such call."""
    if isinstance(change.call, str):
        answers = [turn for turn in turns if turn.tool_call_id == change.call]
        if not answers:
            raise _no_call(place, f"no message answers the call {shown(change.call)}")
        return [m.EditMessage(turn.sequence, content=_text(change.result)) for turn in answers]
    name, recorded = _recorded(store, state, place, change.call)
    commands: list[Command[Any]] = [RecordToolResult(change.call, name, change.result)]
    answers = [
        turn for turn in turns if turn.role in _ANSWERING and turn.sequence > change.call and _holds(turn, recorded)
    ]
    if len(answers) == 1:
        commands.append(m.EditMessage(answers[0].sequence, content=_text(change.result)))
    return commands


def _recorded(store: ArtifactStore, state: SessionState, place: int, call: int) -> tuple[str, Any]:
    """Return the name of the tool of a call, and what it has returned; None if it has not."""
    try:
        called = store.journal.stored(state.session, call) if call <= state.sequence else None
    except IntegrityError:
        called = None  # retention has truncated it
    if called is None or called.type != "tool.called":
        raise _no_call(place, f"event {call} of the fork is not the call of a tool (tool.called)")
    for _, stored in store.journal.read(state.session, call):
        if stored.type == "tool.returned" and stored.data["call"] == call:
            return called.data["name"], call_value(stored.data, "result", store.contents.readable)
    return called.data["name"], None


def _no_call(place: int, what: str) -> ValidationError:
    return ValidationError(
        f"changes[{place}]: {what}: give the sequence of a tool.called event before the fork, or the tool_call_id of a "
        "message",
        field=f"changes[{place}]",
        index=place,
    )


def _text(result: Value) -> str:
    """Return a result as the text of a message."""
    if isinstance(result, str):
        return result
    try:
        return json.dumps(result, ensure_ascii=False)
    except (TypeError, ValueError):  # it has bytes
        raise ValidationError("changes: a result with bytes cannot be the text of a message", field="changes") from None


def _holds(turn: Turn, recorded: Any) -> bool:
    """Return whether a message holds a recorded result, as text or as JSON."""
    content = turn.content
    if recorded is None or not isinstance(content, str):
        return False
    if isinstance(recorded, str):
        return content == recorded
    try:
        return bool(json.loads(content) == recorded)
    except (ValueError, RecursionError):
        return False
