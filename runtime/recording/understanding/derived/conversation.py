"""The conversation of a session, as it follows what was recorded: turns are added once, and what others have added is
left as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from greenroom.actors.messages.checks import MAX_NAME, MAX_ROLE
from greenroom.actors.messages.conversation import AddMessage, AddMessages
from greenroom.runtime.handles.session import Session, core_of
from greenroom.runtime.ingest.records import Turn
from greenroom.storage.errors import ResourceLimitExceeded, ValidationError

from .marks import Said, said
from .threads import Thread, marked, place_after, shared

__all__ = ["Conversation", "as_message"]

_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class _Shown:
    """A turn of the session: its sequence, and the crossing that told it; None if somebody else has added it."""

    sequence: int
    said: Said
    crossing: int | None
    is_reply: bool


class Conversation:
    """The turns of a session."""

    def __init__(self, session: Session) -> None:
        """Create it with the turns that the session has."""
        self._session = session
        self._shown: list[_Shown] = []
        self._others: Counter[bytes] = Counter()
        """Turns that others have added and no call has told yet."""
        for each in session.messages():
            crossing = each.metadata.get("crossing")
            own = crossing if type(crossing) is int else None
            turn = Turn(each.role, each.content, each.name, each.tool_calls, each.tool_call_id, dict(each.metadata))
            is_reply = own is not None and each.metadata.get("reply") is True
            self._shown.append(_Shown(each.sequence, said(turn), own, is_reply))

    def before(self, sequence: int) -> list[Said]:
        """Return the turns that were there before an event, and those that are understood of calls before it, however
        late. Those that others have added since are not added again."""
        since = [each.said for each in self._shown if each.sequence >= sequence and each.crossing is None]
        self._others = Counter(marked(since))
        return [
            each.said for each in self._shown if (each.sequence if each.crossing is None else each.crossing) < sequence
        ]

    def take(self, turns: Sequence[Said]) -> list[Said]:
        """Return the turns that nobody else has added."""
        left: list[Said] = []
        for each in turns:
            if each.mark is not None and self._others[each.mark] > 0:
                self._others[each.mark] -= 1
            else:
                left.append(each)
        return left

    def is_as(self, given: Sequence[Said]) -> bool:
        """Return whether the session has just these turns."""
        return marked(each.said for each in self._shown) == marked(given)

    def add(self, turns: Sequence[Said], crossing: int, *, reply: dict[str, Any] | None = None) -> int:
        """Add turns, but for those that this call has added before. `reply`: they are a model's reply, about which this
        is known. Returns how many."""
        is_reply = reply is not None
        there = sum(each.crossing == crossing and each.is_reply == is_reply for each in self._shown[-len(turns) - 1 :])
        turns = self.take(turns[there:])
        for begin in range(0, len(turns), _AT_ONCE):
            some = turns[begin : begin + _AT_ONCE]
            added = core_of(self._session).ask(
                self._session.id, AddMessages([_message(each.turn, crossing, reply) for each in some])
            )
            self._shown += [
                _Shown(message.sequence, each, crossing, is_reply) for message, each in zip(added, some, strict=True)
            ]
        return len(turns)

    def outgrown_by(self, thread: Thread) -> bool:
        """Return whether a thread goes on for so much longer than the session's conversation that it is to be this.
        Turns that others have added are never given up."""
        own, marks = marked(each.said for each in self._shown), thread.marks
        same = shared(own, marks)
        if thread.calls < 2 or len(marks) - same < 2 * max(1, len(own) - same):
            return False
        return all(each.crossing is not None for each in self._shown[self._place(same) :])

    def become(self, thread: Thread, crossing: int) -> int:
        """Give up the turns that a thread does not have, and add those that it has. Returns how many were added."""
        marks = thread.marks
        same = shared(marked(each.said for each in self._shown), marks)
        keep = self._place(same)
        if keep < len(self._shown):
            if keep:
                self._session.truncate_messages(self._shown[keep - 1].sequence)
            else:
                self._session.clear_messages()
            del self._shown[keep:]
        return self.add(thread.said[place_after(thread.said, same) :], crossing)

    def _place(self, marks: int) -> int:
        """Return the place behind the first so many turns with marks."""
        return place_after([each.said for each in self._shown], marks)


def as_message(turn: Turn) -> dict[str, Any]:
    """Return a turn as a message of a request."""
    message: dict[str, Any] = {"role": turn.role, "content": turn.content}
    for name in ("name", "tool_calls", "tool_call_id"):
        if (value := getattr(turn, name)) is not None:
            message[name] = value
    return message


def _message(turn: Turn, crossing: int, reply: dict[str, Any] | None) -> AddMessage:
    """Return the command that adds a turn. Fields that are too large stay in the crossing."""
    about = {"crossing": crossing, **({"reply": True, **reply} if reply is not None else {})}
    name = turn.name[:MAX_NAME] if turn.name else None
    call = turn.tool_call_id[:MAX_NAME] if turn.tool_call_id else None
    role = turn.role[:MAX_ROLE] or "unknown"
    for metadata in ({**turn.metadata, **about}, about):
        try:
            return AddMessage(
                role, turn.content, name=name, tool_calls=turn.tool_calls, tool_call_id=call, metadata=metadata
            )
        except (ValidationError, ResourceLimitExceeded):
            continue
    return AddMessage(role, turn.text or None, name=name, tool_call_id=call, metadata=about)
