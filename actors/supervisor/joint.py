"""A batch that concerns several actors: their turns are taken one after the other, and one write is for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from greenroom.actors.messages.core import idempotency_key
from greenroom.actors.messages.permissions import PERMISSIONS
from greenroom.actors.scheduling.futures import finished
from greenroom.actors.session.delegated import Refused
from greenroom.actors.session.session_sharing import VisitingMessage
from greenroom.actors.store import Append
from greenroom.storage.errors import OperationTimeout

if TYPE_CHECKING:
    from greenroom.actors.access.security import Security
    from greenroom.actors.messages.batch import Batch
    from greenroom.actors.session.actor import SessionActor
    from greenroom.actors.session.decisions.draft import Limits

    from .table import SessionTable

__all__ = ["joined"]


def joined(table: SessionTable, security: Security, actor: SessionActor, batch: Batch) -> Any:
    """Return what to ask a batch: the actor itself, or a `Joint` if the batch concerns other actors too, or if a
    permission is all that the running code has on the session."""
    principal = security.principal()
    alone = all(target is None or target == actor.actor_urn for target in batch.targets)
    if alone and (principal is None or security.can_access(principal, actor.actor_urn)):
        return actor
    return Joint(table, security, actor, principal)


@dataclass(slots=True)
class _Part:
    """What a batch asks of one actor, and its reply."""

    actor_id: str
    batch: Batch
    places: list[int]
    reply: Any = None


class Joint:
    """Stands for all the actors that a batch concerns. While it is handled, this thread holds all of their turns. They
    are taken in the order of the actors' ids, and no other code waits for a turn while it holds one: so none waits for
    the other."""

    def __init__(self, table: SessionTable, security: Security, actor: SessionActor, principal: str | None) -> None:
        """`principal` is the session that the running code acts for."""
        self._table = table
        self._security = security
        self._actor = actor
        self._principal = principal
        self.actor_urn = actor.actor_urn
        self.name_limit = actor.name_limit
        self.refused = actor.refused

    @property
    def limits(self) -> Limits:
        """The limits of the session that the batch is sent to."""
        return self._actor.limits

    def ask(self, batch: Batch, timeout: float) -> list[Any]:
        """Perform a batch in one write, and return its replies. Raises what refuses one of its commands, and
        OperationTimeout; then nothing has happened."""
        parts = self._parts(batch)
        earlier = self._enter(parts, [], monotonic() + timeout, timeout)
        if earlier is not None:
            found: list[Any] = finished(earlier[0])
            return found
        replies: list[Any] = [None] * len(batch.commands)
        for part in parts:
            for place, each in zip(part.places, finished(part.reply), strict=True):
                replies[place] = each
        return replies

    def _parts(self, batch: Batch) -> list[_Part]:
        """Return what the batch asks of each actor, in the order of their ids."""
        places: dict[str, list[int]] = {self.actor_urn: []}
        for place, target in enumerate(batch.targets):
            places.setdefault(target or self.actor_urn, []).append(place)
        answers: dict[int | None, Any] | None = {} if idempotency_key(batch) is not None else None
        parts = []
        for actor_id in sorted(places):
            own = batch.made_of([batch.commands[at] for at in places[actor_id]], places[actor_id])
            if actor_id != self.actor_urn:
                own.condition = None  # it is about the session that the batch is sent to
            own.answers, own.whole_places = answers, batch.places
            parts.append(_Part(actor_id, own, places[actor_id]))
        return parts

    def _enter(
        self, parts: list[_Part], actors: list[SessionActor], deadline: float, timeout: float
    ) -> tuple[Any] | None:
        """Take the turns of the actors that are not taken yet, and perform the batch. Return what it was answered
        before, if it was. Raises OperationTimeout."""
        if len(actors) == len(parts):
            # The session that the batch is sent to comes last: it remembers the replies of all.
            order = sorted(range(len(parts)), key=lambda at: parts[at].actor_id == self.actor_urn)
            parts, actors = [parts[at] for at in order], [actors[at] for at in order]
            earlier = actors[-1].answered_before(parts[-1].batch)
            if earlier is not None:
                for part in parts:
                    self._actor.services.discard(part.batch)
                return earlier
            for actor, part in zip(actors, parts, strict=True):
                actor.require_all(part.batch)
            self._perform(parts, actors, [])
            return None
        earlier = None
        while True:
            # Looked for only now: an actor whose turn is taken stays in memory, whatever is loaded meanwhile.
            actor = self._table.actor(parts[len(actors)].actor_id)

            def go_on(actor: SessionActor = actor) -> None:
                nonlocal earlier
                earlier = self._enter(parts, [*actors, actor], deadline, timeout)

            left = deadline - monotonic()
            if left <= 0:
                raise OperationTimeout(f"{actor.actor_urn} is busy: nothing was done", timeout=timeout, started=False)
            if actor.in_turn(go_on, left):
                return earlier

    def _perform(self, parts: list[_Part], actors: list[SessionActor], appends: list[Append]) -> int:
        """Have the actors from this one on decide their parts, each within the write of the one before, and write all.
        Return the commit number. If one of them refuses, the others go back to what their journals say."""
        at = len(appends)
        store, store_timeout = self._actor.services.store, self._actor.services.store_timeout
        if at == len(parts):
            together = Append([])
            for append in appends:
                together.add(append)
            return store.commit(together, store_timeout) if together.ops else store.engine.commit_number
        number = store.engine.commit_number

        def write(append: Append) -> int:
            nonlocal number
            number = self._perform(parts, actors, [*appends, append])
            return number

        part = parts[at]
        part.batch.write = write
        part.reply = self._handled(actors[at], part.batch)
        return number

    def _handled(self, actor: SessionActor, batch: Batch) -> Any:
        """Have an actor handle its part. A permission by which the batch comes must still hold."""
        principal, security = self._principal, self._security
        if principal is None or security.can_access(principal, actor.actor_urn):
            return actor.handle(batch)
        try:
            return actor.handle(VisitingMessage(principal, batch, family=False))
        except Refused as refused:
            level = PERMISSIONS.get(refused.fields["has"], 0)
            raise security.deny_whole(principal, actor.actor_urn, batch, level) from None
