"""Which events have the answers to the commands that came with an idempotency key, as the journal says.

They are in `state.more["answered"]`: key → [time of the event (ns since the epoch), its sequence].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.messages.core import PendingEvent
from greenroom.storage.codec.records import pack_value

if TYPE_CHECKING:
    from greenroom.actors.messages.core import Command

    from .model import SessionState

__all__ = ["ANSWERED", "ANSWERS", "KEPT_FOR", "MOST_KEPT", "answer_draft", "answered", "forget", "place_of_answer"]

ANSWERED: Final = "command.answered"
"""The type of the event that has the answer."""
ANSWERS: Final = "answered"
"""The name of the entry in the state."""
KEPT_FOR: Final = 24 * 3600 * 1_000_000_000
"""How long an answer is given again: a day, in ns."""
MOST_KEPT: Final = 256
"""How many keys a session knows, the newest ones."""


def answer_draft(key: str, kind: type[Command[Any]], reply: list[Any]) -> PendingEvent:
    """Return the event by which the reply to a command of this class is remembered."""
    return PendingEvent(ANSWERED, {"key": key, "message": kind.__name__, "reply": pack_value(reply)})


def place_of_answer(state: SessionState, key: str) -> tuple[int, int] | None:
    """Return the time and the sequence of the event that has the answer for a key."""
    place = state.more[ANSWERS].get(key) if ANSWERS in state.more else None
    return (place[0], place[1]) if place is not None else None


def answered(state: SessionState, data: dict[str, Any], time: int) -> None:
    """Fold a `command.answered` event: the state does not have its sequence yet."""
    known: dict[str, list[int]] = state.more.setdefault(ANSWERS, {})
    known[data["key"]] = [time, state.sequence + 1]
    if len(known) > MOST_KEPT:
        del known[min(known, key=lambda key: known[key][1])]


def forget(state: SessionState) -> None:
    """Drop all keys: a copy of a session begins without them."""
    state.more.pop(ANSWERS, None)
