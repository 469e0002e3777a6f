"""Collect the commands of a batch through the methods that otherwise send them."""

from __future__ import annotations

from typing import Any, Final, NoReturn, Protocol

from greenroom.actors import messages as m
from greenroom.actors.messages.batch import batched_command
from greenroom.actors.messages.core import Command
from greenroom.actors.store import ArtifactStore
from greenroom.storage.errors import InvalidOperation

from .replies import LATER

__all__ = ["Asking", "Collected", "Outside"]


_OVER: Final = "this batch is over: begin another one"


class Asking(Protocol):
    """Takes messages and returns their replies."""

    def ask(self, session_id: str, message: Any, timeout: float) -> Any:
        """Have a message handled, and return the reply."""


class Collected:
    """Stands for the delivery of messages: keeps commands for one batch, and refuses queries."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store
        self._why_not: str | None = "a batch collects changes within its block: with session.batch() as b: ..."
        self.commands: list[tuple[str, Command[Any]]] = []
        """Each with the id of the session or scope that it is for."""

    def ask(self, session_id: str, message: Any, timeout: float) -> Any:
        """Keep a command. Raises InvalidOperation for what no batch takes, and outside of the batch's block."""
        if self._why_not is not None:
            raise InvalidOperation(self._why_not)
        if not isinstance(message, Command):
            raise InvalidOperation(f"a batch only collects changes: send {type(message).__name__} outside of it")
        if isinstance(message, m.Batch):  # its commands are part of this batch
            self.commands += [(session_id, self._lasting(each)) for each in message.commands]
        else:
            place = len(self.commands)
            self.commands.append((session_id, self._lasting(batched_command(place, message))))
        return LATER

    def begin(self) -> None:
        """Take commands from now on. Raises InvalidOperation if the batch is over."""
        if self._why_not == _OVER:
            raise InvalidOperation(_OVER)
        self._why_not = None

    def close(self) -> list[tuple[str, Command[Any]]]:
        """Take no more commands, and return those that were collected."""
        self._why_not = _OVER
        return self.commands

    def _lasting(self, message: Command[Any]) -> Command[Any]:
        """Return the message with what its files contain in their place: they may be closed when the batch is sent."""
        if isinstance(message, m.StoreMany):
            message = message.copy()
            message.items = [self._lasting(item) for item in message.items]  # type: ignore[misc]
        elif isinstance(message, m.StoreArtifact) and not isinstance(message.content, (bytes, memoryview)):
            read = self._store.whole(message.content)
            message = message.copy()
            message.content = read
        return message


class Outside:
    """Stands for the runtime of a batch's handle: what is more than a message is done outside of the batch."""

    def __getattr__(self, name: str) -> NoReturn:
        raise InvalidOperation("this is no single command, so a batch cannot take it: do it outside of the batch")
