"""The bus: hands events to subscriptions. While there is no subscription, an event costs one look at an attribute."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from greenroom.actors.scheduling.operation import CURRENT, event_context
from greenroom.storage.codec.keys import is_session_id, new_session, session_id_of
from greenroom.storage.common.logs import logger_of
from greenroom.storage.concurrency.forking import runtime_closed
from greenroom.storage.concurrency.interrupts import thrown_in
from greenroom.storage.errors import ResourceLimitExceeded, ValidationError
from greenroom.storage.events.model import Event, Origin, StoredEvent, as_origin, event_view, shown_type
from greenroom.storage.events.pattern import EventPattern

from .notice import Notice
from .subscription import Callback, Overflow, Subscription, offer_all

if TYPE_CHECKING:
    from greenroom.actors.access.security import Security
    from greenroom.actors.clock import Clock
    from greenroom.actors.session.services import SessionServices

__all__ = ["Bus"]

logger = logger_of("events")

MAX_SUBSCRIPTIONS: Final = 1024
_TYPES_REMEMBERED: Final = 4096
_SESSIONS_REMEMBERED: Final = 10_000
_JOIN_SECONDS: Final = 2.0

_Listeners = tuple[Subscription, ...]
_Matching = tuple[_Listeners, _Listeners]
"""The subscriptions to a type: those that take all, and the others."""
_NONE: Final[_Matching] = ((), ())


class Bus:
    """Holds the subscriptions. Events come from the turns of sessions, so nothing here waits, except for subscriptions
    with the policy `block`.

    The table of subscriptions is replaced as a whole when it changes, so that publishing needs no lock.
    """

    def __init__(
        self,
        services: SessionServices,
        security: Security,
        clock: Clock,
        on_error: Callable[[Subscription, Event, BaseException], None],
    ) -> None:
        self._services = services
        self._security = security
        self._clock = clock
        self._on_error = on_error
        self._lock = threading.RLock()
        self._listeners: _Listeners = ()
        self._matching: dict[str, _Matching] = {}
        self._offering = threading.RLock()
        """Guards the queues of all subscriptions that take all."""
        self._closed = False

    @property
    def subscriptions(self) -> _Listeners:
        """The open subscriptions, oldest first."""
        return self._listeners

    def subscribe(
        self,
        pattern: str,
        *,
        capacity: int,
        overflow: Overflow | str,
        block_timeout: float,
        callback: Callback | None,
        session_id: str | None,
        origin: Origin | str | None = None,
    ) -> Subscription:
        """Open a subscription for the current principal. Raises ValidationError, RuntimeClosed, and
        ResourceLimitExceeded for more than 1024 subscriptions."""
        fits = EventPattern(pattern)
        try:
            policy = Overflow(overflow)
        except ValueError:
            raise ValidationError(f"overflow: one of {', '.join(Overflow)} is needed", field="overflow") from None
        if type(block_timeout) not in (int, float) or not 0 < block_timeout <= 60:
            raise ValidationError("block_timeout: a number of seconds above 0, 60 at most, is needed",
                                  field="block_timeout")  # fmt: skip
        principal = self._security.principal()
        accepts = _of_origin(origin, self._filter(principal, session_id))
        made = Subscription(
            fits,
            capacity,
            policy,
            float(block_timeout),
            callback,
            accepts,
            principal,
            self._security,
            self._remove,
            self._on_error,
            self._clock.time_ns,
            self._offering,
        )
        try:
            with self._lock:
                if self._closed:
                    raise runtime_closed()
                if len(self._listeners) >= MAX_SUBSCRIPTIONS:
                    raise ResourceLimitExceeded(
                        f"there are {MAX_SUBSCRIPTIONS} subscriptions already: close some that are not needed",
                        resource="subscriptions",
                        limit=MAX_SUBSCRIPTIONS,
                        value=len(self._listeners),
                    )
                self._set((*self._listeners, made))
            made.begin()
        except BaseException:  # the caller gets no subscription that it could close
            made.close()
            raise
        return made

    def _filter(self, principal: str | None, session_id: str | None) -> Callable[[Notice], bool] | None:
        """Return a filter for the events that a subscriber may see; None if it may see all."""
        if principal is None:
            return (lambda notice: notice.session_id == session_id) if session_id is not None else None
        reaches = self._security.can_access
        # Only sessions out of reach are remembered here. A session within reach may come back from a bundle with
        # another parent; security learns of that, this set does not.
        foreign: set[str] = set()

        def within(notice: Notice) -> bool:
            about = notice.session_id
            if about in foreign:
                return False
            if reaches(principal, about):
                return True
            if notice.type == "session.deleted" and notice.parent is not None and reaches(principal, notice.parent):
                return True
            if len(foreign) >= _SESSIONS_REMEMBERED:
                foreign.clear()
            foreign.add(about)
            return False

        if session_id is None:
            return within
        self._security.require_reading(session_id, "events.subscribe")
        if not reaches(principal, session_id):  # it is shared: looked at for each event, because a share may end
            can_read = self._security.can_read
            return lambda notice: notice.session_id == session_id and can_read(principal, session_id)
        return lambda notice: notice.session_id == session_id and within(notice)

    def _remove(self, subscription: Subscription) -> None:
        with self._lock:
            self._set(tuple(each for each in self._listeners if each is not subscription))

    def _set(self, listeners: _Listeners) -> None:
        """Replace the table of subscriptions. The caller holds the lock."""
        self._listeners = listeners
        self._matching = {}
        listened = bool(listeners) and not self._closed
        self._services.publish = self.publish if listened else None
        self._services.tell = self.tell if listened else None

    # -- telling

    def publish(self, session_id: str, first: int, written: list[StoredEvent]) -> None:
        """Hand events that a session has just journaled to the subscriptions, in order. Called in the session's turn.
        Raises nothing but what was thrown into it."""
        try:
            matching = self._matching
            for sequence, stored in enumerate(written, first):
                type_ = stored.type
                listeners = matching.get(type_)
                if listeners is None:
                    listeners = self._match(matching, type_)
                if listeners is not _NONE:
                    if type_.startswith("session.") and not is_session_id(session_id):
                        continue  # the journal of a scope belongs to no session
                    self._offer(listeners, Notice(session_id, sequence, stored, load=self._services.store.journal.load))
        except Exception as error:
            if thrown_in(error):
                raise
            logger.exception("events of session %s could not be published", session_id)

    def tell(self, session_id: str, type_: str, data: dict[str, Any]) -> None:
        """Publish something that is not journaled. `data` are plain values. Never raises."""
        try:
            self.announce(session_id, type_, data, event_context(CURRENT.get(), None))
        except Exception as error:
            if thrown_in(error):
                raise
            logger.exception("the event %s of session %s could not be published", type_, session_id)

    def announce(self, session_id: str, type_: str, data: dict[str, Any], context: dict[str, Any] | None) -> Event:
        """Publish an event that is not journaled, with this context, and return it."""
        stored = StoredEvent(type_, self._clock.time_ns(), data, 0, 0, 0, context)
        told_id = session_id_of(new_session())
        matching = self._matching
        listeners = matching.get(type_)
        if listeners is None:
            listeners = self._match(matching, type_)
        if listeners is not _NONE:
            self._offer(listeners, Notice(session_id, 0, stored, told_id))
        return event_view(session_id, 0, stored, told_id)

    def _offer(self, listeners: _Matching, notice: Notice) -> None:
        takes_all, others = listeners
        if takes_all:
            offer_all(takes_all, self._offering, notice)
        for each in others:
            each.offer(notice)

    def _match(self, matching: dict[str, _Matching], type_: str) -> _Matching:
        """Return the subscriptions that match a type. `matching` belongs to one table of subscriptions; each table has
        its own."""
        shown = shown_type(type_)
        with self._lock:
            fitting = [each for each in self._listeners if each.matches(shown)]
            takes_all = tuple(each for each in fitting if each.takes_all)
            others = tuple(each for each in fitting if not each.takes_all)
            found = (takes_all, others) if fitting else _NONE
            if matching is self._matching:
                if len(matching) >= _TYPES_REMEMBERED:
                    matching.clear()
                matching[type_] = found
            return found

    # -- the end

    def hurry(self) -> None:
        """Stop waiting for slow subscribers: sessions must come to their end."""
        for each in self._listeners:
            each.hurry()

    def close(self, timeout: float) -> None:
        """End all subscriptions. Callers that wait are woken; callbacks get what is in their queues, as far as time
        allows."""
        with self._lock:
            self._closed = True
            listeners = self._listeners
            self._set(())
        for each in listeners:
            each.finish()
        deadline = time.monotonic() + min(timeout, _JOIN_SECONDS)
        for each in listeners:
            each.join(max(0.0, deadline - time.monotonic()))


def _of_origin(
    origin: Origin | str | None, accepts: Callable[[Notice], bool] | None
) -> Callable[[Notice], bool] | None:
    """Return a filter that also asks for the origin. Raises ValidationError for an unknown one."""
    wanted = as_origin(origin)
    if wanted is None:
        return accepts
    if accepts is None:
        return lambda notice: notice.origin is wanted
    return lambda notice: notice.origin is wanted and accepts(notice)
