"""Answer a command to fork: the copy is made outside the turn, and with an idempotency key it is published in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from greenroom.actors import messages as m
from greenroom.actors.messages.core import idempotency_key
from greenroom.actors.messages.internal import RecordHooks
from greenroom.actors.scheduling.futures import DeferredReply
from greenroom.actors.session.state.answers import answer_draft
from greenroom.storage.errors import InvalidOperation, ValidationError

if TYPE_CHECKING:
    from greenroom.actors.session.live import LiveSession
    from greenroom.actors.store import Append

__all__ = ["FORK_ANSWERS", "PublishFork"]


class PublishFork(NamedTuple):
    """Asks the original to publish its fork. Replies None, or the id of another fork if the command has made that
    before. Only the runtime makes it: it is no `Message`."""

    command: m.ForkSession
    fork: str
    """The id of the new session."""
    append: Append
    """The batch that makes it visible."""


def _fork(actor: LiveSession, command: m.ForkSession) -> Any:
    earlier = actor.answered_before(command)
    if earlier is not None:
        return earlier[0]
    state, services = actor.state, actor.services
    if not actor.cataloged:
        raise InvalidOperation("only sessions can be forked: this is the state of a scope")
    if command.condition is not None:
        actor.require(command.condition)
    at = state.sequence if command.at_sequence is None else command.at_sequence
    if not 1 <= at <= state.sequence:
        raise ValidationError(
            f"at_sequence: session {state.id} has the events 1 to {state.sequence}, not {at}", field="at_sequence"
        )
    return DeferredReply(partial(services.fork, services, state.id, at, command), always=True)


def _publish(actor: LiveSession, asked: PublishFork) -> Any:
    """Write the fork, and in the same batch the answer that remembers it. So no crash comes between the two."""
    earlier = actor.answered_before(asked.command)
    if earlier is not None:
        return earlier[0]
    store, timeout, key = actor.services.store, actor.services.store_timeout, idempotency_key(asked.command)

    def write(append: Append) -> int:
        append.add(asked.append)
        return store.commit(append, timeout)

    assert key is not None, "without a key it is published at once"
    actor.commit([answer_draft(key, m.ForkSession, ["value", asked.fork])], RecordHooks([]), write=write)
    return None


FORK_ANSWERS: Final[dict[type[Any], Callable[[LiveSession, Any], Any]]] = {
    m.ForkSession: _fork,
    PublishFork: _publish,
}
