"""The supervisor of all sessions: their table, the delivery of messages to them, and the upkeep of those in memory."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from greenroom.actors import messages as m
from greenroom.actors.session.actor import SessionActor
from greenroom.storage.common.logs import logger_of
from greenroom.storage.errors import GreenroomError

from .delivery import Delivery
from .table import SessionTable

if TYPE_CHECKING:
    from greenroom.actors.access.security import Security
    from greenroom.actors.session.preparation import Preparation
    from greenroom.actors.session.redaction import Redaction
    from greenroom.actors.session.services import SessionServices

__all__ = ["Supervisor"]

logger = logger_of("supervisor")


class Supervisor:
    """Holds the table of sessions and the delivery path, and keeps both in order."""

    def __init__(
        self,
        table: SessionTable,
        services: SessionServices,
        security: Security,
        preparation: Preparation,
        redaction: Redaction | None,
    ) -> None:
        """`table` is the same owner that `services` names."""
        self.table = table
        self._actors = table.actors
        self.services = table.services = services
        self.security = security
        self.delivery = Delivery(table, security, preparation, redaction.message if redaction is not None else None)
        table.notices = self.delivery.hooks
        self.ask = self.delivery.ask
        self.tell = self.delivery.tell

    def residents(self) -> list[SessionActor]:
        """Return the actors of all sessions in memory."""
        return list(self._actors.values())

    def sweep(self, passivate_after: float) -> None:
        """Passivate sessions that were not used for `passivate_after` seconds.

        The timer calls it every `passivate_after / 2` seconds, so use is known to that precision.
        """
        now = self.services.clock.monotonic()
        for actor in self.residents():
            if actor.stopped:
                actor.do_in_turn(partial(self._drop_stopped, actor))
            elif actor.used:
                actor.used = False
                actor.swept = now
            elif now - actor.swept >= passivate_after:
                self.table.passivate(actor)

    def save_due(self) -> None:
        """Save the sessions whose `auto_save_interval` is over. Called every second by the timer."""
        now = self.services.clock.monotonic()
        for actor in [each for each in self.residents() if each.unsaved]:
            if now - actor.saved_at >= actor.limits.auto_save_interval:
                actor.saved_at = now  # after a failure, wait another interval before the next try
                try:
                    self.delivery.hooks.tell_unasked(actor, m.SaveSession(sync=False))
                except GreenroomError as error:
                    logger.warning("session %s was not saved: %s", actor.actor_urn, error)

    def _drop_stopped(self, actor: SessionActor) -> None:
        """Remove an actor that was interrupted between stopping and being removed. The caller holds its turn."""
        if actor.stopped:
            self.table.retire(actor)

    def forget(self) -> None:
        """Drop all sessions from memory, so that a follower sees what the writer has done."""
        for actor in self.residents():
            self.table.passivate(actor)

    def abandon(self) -> None:
        """Refuse everything from now on and touch nothing: this is the copy of a runtime in a forked process."""
        self.table.closing = True

    def close(self, deadline: float, *, save: bool) -> None:
        """Refuse new messages, handle the waiting ones, and save the sessions in memory. Ends by `deadline` (the
        clock's monotonic seconds); what is not saved by then is in the journal all the same."""
        self.table.closing = True
        clock = self.services.clock
        for actor in self.residents():
            if actor.stopped:
                continue
            remaining = deadline - clock.monotonic()
            if remaining <= 0:
                logger.warning("closing: the deadline has passed; some snapshots were not written")
                return
            try:
                actor.ask(m.Finish(), remaining)
            except GreenroomError as error:
                logger.warning("closing: session %s: %s", actor.actor_urn, error)
            self.table.passivate(actor, save=save, wait=max(0.0, deadline - clock.monotonic()))
