"""Several commands in one write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Unpack

from greenroom.storage.common.arguments import as_items
from greenroom.storage.errors import InvalidOperation, ValidationError

from .checks import MAX_BATCH
from .core import Command, How
from .permissions import WRITE

__all__ = ["Batch", "batched_command"]


class Batch(Command[list[Any]]):
    """Perform several commands in one turn and one write: all of them, in their order, or none. Replies a list of their
    replies.

    A pair (id, command) is for another actor than the one that the batch is sent to: the state of a scope. What a
    command expects (`expected_sequence`) is asked of the state before the batch. If a command is refused, the field
    `index` of the error says which. Deleting, forking, saving, loading and configuring a session, sharing, calls of
    tools and agents, and changes of other sessions' artifacts cannot be part of a batch.
    """

    __slots__ = ("answers", "commands", "places", "targets", "whole_places", "write")
    batched = False
    batch = True
    rate = None  # each command is counted as what it is
    whole = WRITE
    preparation = "batch"
    may_cross = True
    hookable = False  # each command meets its own hooks

    def __init__(self, commands: Iterable[Command[Any] | tuple[str, Command[Any]]], **how: Unpack[How]) -> None:
        super().__init__(**how)
        given = as_items("commands", commands, MAX_BATCH, "a list of commands")
        self.commands: list[Command[Any]] = []
        self.targets: list[str | None] = []
        """For each command the id of the actor that it is for; None for the session that the batch is sent to."""
        for place, each in enumerate(given):
            target, command = each if type(each) is tuple and len(each) == 2 else (None, each)
            self.commands.append(batched_command(place, command))
            if target is not None and type(target) is not str:
                raise ValidationError(f"commands: the id in pair {place} is not a text", field="commands")
            self.targets.append(target)
        self.places: Sequence[int] = range(len(given))
        """The place of each command in the batch as it was sent."""
        self.answers: dict[int | None, Any] | None = None
        """The replies as they are remembered, by place, if they are to be: shared by the parts of a batch for several
        actors. Set on the way."""
        self.whole_places: Sequence[int] = self.places
        """The places of all parts."""
        self.write: Callable[[Any], int] | None = None
        """Writes in place of the store, where the batch concerns other actors too. Set on the way."""

    @property
    def operations(self) -> int:
        return sum(command.operations for command in self.commands)

    def carried(self) -> Sequence[tuple[Any, Any]]:
        return [each for command in self.commands for each in command.carried()]

    def crosses(self, session_id: str) -> bool:
        """Raise InvalidOperation if one of the commands concerns another session than it is for."""
        for place, (target, command) in enumerate(zip(self.targets, self.commands, strict=True)):
            if command.may_cross and command.crosses(target or session_id):
                raise InvalidOperation(
                    f"command {place} of the batch, {type(command).__name__}, names an artifact of another session: "
                    "a batch changes its own session, so send it by itself",
                    index=place,
                )
        return False

    def made_of(self, commands: Sequence[Command[Any]], places: Sequence[int] | None = None) -> Batch:
        """Return a copy with other commands, or only those at these places."""
        twin = self.copy()
        if places is not None:
            twin.targets = [self.targets[at] for at in places]
            twin.places = twin.whole_places = [self.places[at] for at in places]
        twin.commands = list(commands)
        return twin


def batched_command(place: int, command: object) -> Command[Any]:
    """Return a command that a batch takes. Raises ValidationError or InvalidOperation for anything else."""
    kind = type(command)
    if not issubclass(kind, Command):
        raise ValidationError(f"commands: a command is needed at place {place}", field="commands")
    assert isinstance(command, Command)
    if not kind.batched:
        raise InvalidOperation(f"a batch takes no {kind.__name__} (place {place}): send it by itself", index=place)
    if command.durability is not None or (command.condition is not None and command.condition.idempotency_key):
        raise ValidationError(
            f"commands: durability and idempotency_key are the batch's own, command {place} may not have them",
            field="commands",
        )
    return command
