"""A session as the debugger looks at it, from a store or from an exported file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from greenroom.runtime.cli.output import brief
from greenroom.storage.errors import InvalidOperation, ReplayError

if TYPE_CHECKING:
    from greenroom.runtime import ContextView, Debugger, Event, PastState, Runtime, StateChange

__all__ = ["Recording"]

_CALLS = ("agent.called", "agent.returned")


class Recording:
    """What a `Debugger` reads. Any thread may ask.

    A fork is written by a second opening of the store, for as long as that takes, so that looking at a session never
    keeps others from writing.
    """

    def __init__(
        self, debugger: Debugger, title: str, writing: Callable[[], AbstractContextManager[Runtime]] | None = None
    ) -> None:
        """`writing` opens the store for writing; None if there is no store, only a file."""
        self.debugger = debugger
        self.title = title
        self._writing = writing
        self._lock = threading.Lock()

    @property
    def first(self) -> int:
        return self.debugger.first

    @property
    def last(self) -> int:
        return self.debugger.last

    def refresh(self) -> None:
        self.debugger.refresh()

    def events(self, after: int, limit: int) -> Iterator[Event]:
        return self.debugger.events(after, limit)

    def moment(self, sequence: int) -> PastState:
        with self._lock:
            return self.debugger.at(sequence)

    def state(self, sequence: int) -> dict[str, Callable[[], Any]]:
        past = self.moment(sequence)
        return {
            "variables": lambda: past.variables,
            "session": past.info.to_dict,
            "metadata": lambda: past.metadata,
            "tags": lambda: list(past.tags),
            "config": lambda: past.config,
            "artifacts": lambda: {f"{each.name} v{each.version}": each.to_dict() for each in past.artifacts},
            "approvals": lambda: [each.to_dict() for each in past.approvals],
            "records": lambda: {
                key.decode("utf-8", "backslashreplace"): record for key, record in past.records.items()
            },
        }

    def conversation(self, sequence: int) -> list[dict[str, Any]]:
        with self._lock:
            view = self._context(sequence)
            if view is not None:
                return _as_messages(view)
            return [turn.to_dict() for turn in self.debugger.at(sequence).messages]

    def _context(self, sequence: int) -> ContextView | None:
        """Return what the model was given, if the event is the call of one, or its answer."""
        event = self.debugger.event(sequence)
        call: Any = event.data.get("call") if event.type == "agent.returned" else sequence
        said = event.type == "message.added" and event.data.get("role") == "assistant"
        if event.origin == "published" or not (said or event.type in _CALLS):
            return None
        try:
            return self.debugger.context(call)
        except ReplayError:  # the message is no call where greenroom itself called agents
            return None

    def changes(self, sequence: int) -> list[StateChange]:
        if sequence <= self.first:
            return []
        with self._lock:
            return list(self.debugger.diff(sequence - 1, sequence).changes)

    def fork(self, sequence: int) -> str:
        if self._writing is None:
            raise InvalidOperation(
                "this is a file with the recording of a session: fork the session itself, in its store"
            )
        with self._writing() as runtime:
            made: str = runtime.session(self.debugger.session_id).fork(at_sequence=sequence).id
        return made


def _as_messages(view: ContextView) -> list[dict[str, Any]]:
    """Return what a model was given as messages, those that are not what they were at its last call with a note."""
    notes = {change.what.partition(" (")[0]: change.kind for change in view.changes}
    found: list[dict[str, Any]] = []
    if view.system_prompt is not None and view.kind == "agent":
        found.append({"role": "system prompt", "content": view.system_prompt, "note": notes.get("system_prompt")})
    given = (("tools", list(view.tools)), ("parameters", dict(view.parameters)), ("input", view.input))
    for name, value in given if view.kind == "agent" else ():
        if value:
            found.append({"role": name, "content": brief(value, 4000), "note": notes.get(name)})
    found += [{**each, "note": notes.get(f"message {each.get('sequence')!s}")} for each in view.messages]
    found += [
        {"role": change.what, "content": change.before, "note": change.kind}
        for change in view.changes
        if change.kind == "dropped"
    ]
    answer = view.reply if view.reply is not None else view.error
    if answer is not None:
        content = answer.get("content", answer) if isinstance(answer, dict) else answer
        found.append({"role": f"{view.agent} answered", "content": content})
    return found
