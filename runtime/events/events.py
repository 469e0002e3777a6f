"""`rt.events`: subscribes to events, publishes, links and finds them.

The file is long because the class has one method for each operation.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TextIO, Unpack

from greenroom.actors.events import LINK_KINDS, Bus, LinkEvents, Overflow, PublishEvent, Subscription
from greenroom.actors.events.subscription import Callback
from greenroom.actors.messages.core import How
from greenroom.actors.scheduling.operation import CURRENT, event_context, in_own_realm, require_run
from greenroom.runtime.handles.reading.follow import Follow
from greenroom.runtime.handles.reading.timeline import MAX_TIMELINE, TimelineRow, causal_order
from greenroom.runtime.handles.session import Session
from greenroom.runtime.handles.session import session_id_of as id_named
from greenroom.storage.common.checked_call import checked
from greenroom.storage.common.page import Page
from greenroom.storage.common.session_ids import session_bytes, session_id_of
from greenroom.storage.common.times import utc_time
from greenroom.storage.errors import GreenroomError, IntegrityError, SessionNotFound, ValidationError, shown
from greenroom.storage.events.index import LINKED, event_place
from greenroom.storage.events.model import PUBLISHED, Event, Origin, published_type
from greenroom.storage.events.search import Visible
from greenroom.storage.files.regular_file import file_path, written_file

from .following import Following, is_cursor, parse_cursor
from .lines import write_lines, write_of

if TYPE_CHECKING:
    from greenroom.runtime.core import RuntimeCore
    from greenroom.storage.events.query import EventKeywords, EventQuery

__all__ = ["Events", "Link"]

MAX_LINKS: Final = 1000
_QUERY_BYTES: Final = 32 << 20
"""Limit of bytes in one answer for code that acts for a session, because it fills the host's memory."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link from one event to another, such as "2 caused_by 1". `event_id` is the `event.linked` that made it; None
    for a link that follows from the events' own ids."""

    from_id: str
    to_id: str
    kind: str
    event_id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return every field by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


class Events:
    """The events of all sessions of a runtime. Code that acts for a session sees the events of sessions it can access.

    Example:
        ```py
        with rt.events.subscribe("custom.*") as steps:
            rt.events.publish("custom.step", {"n": 1}, session=s)
            steps.receive(timeout=1).data  # {"n": 1}
        rt.events.query(session_id=s.id, type="variable.*", limit=20).items
        ```
    """

    def __init__(self, core: RuntimeCore) -> None:
        self._core = core
        supervisor, store = core.supervisor, core.store
        self._security = supervisor.security
        self._search = store.events
        self._journal = store.journal
        self._changes = store.changes() if core.read_only else None
        self._bus = Bus(supervisor.services, supervisor.security, supervisor.services.clock, self._callback_failed)

    def __repr__(self) -> str:
        return f"<Events {len(self._bus.subscriptions)} subscriptions>"

    # -- listening

    @checked
    def subscribe(
        self,
        pattern: str = "**",
        capacity: int = 1000,
        overflow: Overflow | str = Overflow.DROP_OLDEST,
        callback: Callback | None = None,
        session: Session | str | None = None,
        *,
        block_timeout: float = 1.0,
        origin: Origin | str | None = None,
    ) -> Subscription:
        """Subscribe to future events whose type matches the pattern, of one session or of all, of any `origin`
        ("runtime" or "published") or of one.

        `*` stands for one segment, `**` for any number. The queue holds `capacity` events (and 64 MiB of values). When
        it is full, `overflow` decides: drop_oldest, drop_newest, block (the sender waits up to `block_timeout` seconds,
        then the event is dropped) or disconnect. A callback runs on the subscription's own thread, for one event at a
        time; its exceptions are logged. Raises ValidationError, SessionNotFound, ResourceLimitExceeded for more than
        1024 subscriptions.
        """
        self._core.check_open()
        session_id = id_named(session, "session")
        if session_id is not None and not self._core.exists(session_id):
            self._security.require_reading(session_id, "events.subscribe")
            raise SessionNotFound(f"there is no session {str(session_id)[:64]!r}", session_id=str(session_id)[:64])
        return self._bus.subscribe(
            pattern,
            capacity=capacity,
            overflow=overflow,
            block_timeout=block_timeout,
            callback=callback,
            session_id=session_id,
            origin=origin,
        )

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """Return the open subscriptions, oldest first. For the host."""
        self._security.require_host("events.subscriptions")
        return self._bus.subscriptions

    def stats(self) -> dict[str, Any]:
        """Return figures of all subscriptions as JSON values: how many there are, by pattern too, and the events that
        wait, were dropped, have expired, and at which callbacks have failed. For the host."""
        self._core.check_open()
        self._security.require_host("events.stats")
        found = self._bus.subscriptions
        patterns: dict[str, int] = {}
        for each in found:
            patterns[each.pattern] = patterns.get(each.pattern, 0) + 1
        return {
            "subscriptions": len(found),
            "patterns": patterns,
            "pending": sum(each.pending for each in found),
            "dropped": sum(each.dropped for each in found),
            "expired": sum(each.expired for each in found),
            "failed": sum(each.failed for each in found),
        }

    def _callback_failed(self, subscription: Subscription, event: Event, error: BaseException) -> None:
        self.handler_failed(subscription.pattern, event.id, error)

    def handler_failed(self, pattern: str, event_id: str, error: BaseException) -> None:
        """Notify hooks that a callback, or a script's function, has failed at an event."""
        hooks = self._core.hooks
        if hooks.at("EventHandlerError") is None:
            return
        problem = {"code": getattr(error, "code", type(error).__name__), "message": str(error)[:1000]}
        with contextlib.suppress(GreenroomError):  # the event has happened: nothing can be cancelled
            hooks.fire(
                "EventHandlerError",
                {"pattern": pattern, "event_id": event_id, "error": problem},
                session_id=event_id.partition("/")[0] if "/" in event_id else None,
                component="events",
                operation="PublishEvent",
            )

    def imported(self, session_ids: Iterable[str]) -> None:
        """Notify listeners of `session.imported`, the last event of sessions that an import wrote without their
        actors."""
        services = self._core.supervisor.services
        for each in session_ids:
            last = self._journal.last(session_bytes(each)) if services.publish is not None else None
            if services.publish is not None and last is not None and last[1].type == "session.imported":
                services.publish(each, last[0], [last[1]])

    def tell_changes(self) -> None:
        """Notify listeners of events journaled since the last call. For read-only runtimes."""
        services = self._core.supervisor.services
        if services.publish is None or self._changes is None:
            self._changes = self._core.store.changes()
            return
        for session, sequence, stored in self._changes.poll():
            publish = services.publish
            if publish is not None:
                publish(session_id_of(session), sequence, [stored])

    @checked
    def follow(
        self,
        pattern: str = "**",
        after: datetime | str | float | None = None,
        *,
        session: Session | str | None = None,
        origin: Origin | str | None = None,
        timeout: float | None = None,
    ) -> Follow:
        """Follow the events of all sessions, or of one, whose type matches the pattern: past events from `after` on,
        session by session, then new ones by time, without a gap. Without `after`, only new ones.

        `after` is a time, or the `cursor` of an earlier `Follow`, from which this one goes on. It may come from another
        process. Raises what `subscribe` raises.
        """
        cursor = parse_cursor(str(after)) if is_cursor(after) else None
        start = after
        if cursor is not None:
            start = utc_time(cursor.history[0]) if cursor.history is not None else None
        # The end of the only session must be heard of, whatever the pattern.
        subscription = self.subscribe(pattern if session is None else "**", 1, session=session)
        try:
            query = self._checked(
                {"type": pattern, "after": start, "session_id": id_named(session, "session"), "origin": origin}
            )
            history = (query.low, b"", 0) if after is not None else None
            changes = self._core.store.changes(cursor.live if cursor is not None else None)
        except BaseException:
            subscription.close()
            raise
        begin = cursor.history if cursor is not None else history
        reader = Following(self._search, changes, query, self._visible(), self._core.exists, begin)
        return Follow(subscription, reader, timeout)

    # -- publishing

    @in_own_realm
    def publish(
        self,
        type: str,
        data: object = None,
        session: Session | str | None = None,
        *,
        correlation_id: str | None = None,
        source: str | None = None,
        target: str | None = None,
        tags: Iterable[str] = (),
        language: str | None = None,
        ttl_seconds: float | None = None,
        **how: Unpack[How],
    ) -> Event:
        """Publish an event and return it. With a session, which must be active, the event is journaled there. Without a
        session, it only goes to listeners.

        `type` is dotted, `data` a JSON value of at most 16 MiB, usually an object; any other value is seen in the
        event's data as `value`. Subscribers that are slower than `ttl_seconds` do not get it. Every type is free, the
        runtime's own too (`session.started`): the event's `origin` is "published", and nothing takes it for a fact.
        Code that acts for a session cannot choose the `source`. Raises ValidationError, ResourceLimitExceeded,
        HookCancelled, and what the session raises.
        """
        self._core.check_open()
        if source is not None and self._principal() is not None:
            raise ValidationError("source: code that acts for a session has the source that it has", field="source")
        message = PublishEvent(
            type,
            data,
            correlation_id=correlation_id,
            source=source,
            target=target,
            tags=tags,
            language=language,
            ttl_seconds=ttl_seconds,
            **how,
        )
        session_id = id_named(session, "session")
        if session_id is not None:
            event: Event = self._core.ask(session_id, message)
            return event
        if message.condition is not None:
            raise ValidationError("expected_sequence, idempotency_key: only a session keeps these", field="session")
        hooks = self._core.hooks
        if hooks.at("BeforeEventEmit") is None and hooks.at("AfterEventEmit") is None:
            return self._announce(message)
        emitted: Event = hooks.around(
            {
                "type": message.type,
                "data": message.data,
                "correlation_id": correlation_id,
                "source": source,
                "target": target,
                "tags": list(message.tags),
                "language": language,
                "ttl_seconds": message.ttl_seconds,
            },
            self._emit,
            before="BeforeEventEmit",
            after="AfterEventEmit",
            session_id=self._principal(),
            component="events",
            operation="PublishEvent",
        )
        return emitted

    def _emit(self, changed: dict[str, Any], redirected: str | None) -> Event:
        """Publish an event as hooks have changed it, in the session that they redirect it to, if any."""
        if redirected is None:
            return self._announce(PublishEvent(**changed))
        event: Event = self._core.ask(redirected, PublishEvent(**changed))
        return event

    def _announce(self, message: PublishEvent) -> Event:
        context = message.in_context(event_context(CURRENT.get(), None))
        # An event of code that acts for a session is visible to those who can access that session.
        return self._bus.announce(
            self._principal() or "", published_type(message.type), {PUBLISHED: message.packed}, context
        )

    # -- links

    @checked
    def link(self, from_event: Event | str, to_event: Event | str, kind: str, **how: Unpack[How]) -> Link:
        """Link an event to another one as caused_by, part_of, related_to, response_to, follows_from or concurrent_with.
        The session of the first event, which must be active, journals the link. Repeating a link changes nothing.

        Raises ValidationError for an event that is not journaled.
        """
        from_id, to_id = _id_of(from_event, "from_event"), _id_of(to_event, "to_event")
        self._event(from_id, "from_event")
        self._event(to_id, "to_event")
        message = LinkEvents(from_id, to_id, kind, **how)
        for each in self._journaled_links(from_id):
            if (each.from_id, each.to_id, each.kind) == (from_id, to_id, kind):
                return each
        made: Event = self._core.ask(from_id.partition("/")[0], message)
        return Link(from_id, to_id, kind, made.id)

    @checked
    def links(self, event: Event | str) -> list[Link]:
        """Return the links from and to an event: those made with `link`, and those that follow from the events' ids
        (caused_by the causation id, part_of the root). At most 1000 of each."""
        event_id = _id_of(event, "event")
        itself = self._event(event_id, "event")
        found = self._journaled_links(event_id)
        for each in (itself, *self._naming(event_id)):
            if each.causation_id is not None and event_id in (each.id, each.causation_id):
                found.append(Link(each.id, each.causation_id, "caused_by"))
            if each.root_id is not None and each.root_id != each.id and event_id in (each.id, each.root_id):
                found.append(Link(each.id, each.root_id, "part_of"))
        seen: dict[tuple[str, str, str], Link] = {}
        for link in found:
            seen.setdefault((link.from_id, link.to_id, link.kind), link)
        visible = self._visible()
        return [
            link
            for link in seen.values()
            if all(visible(each.partition("/")[0]) for each in (link.from_id, link.to_id))
        ]

    def _naming(self, event_id: str) -> Iterator[Event]:
        """Yield other events that name this one as cause or root."""
        from greenroom.storage.events.query import event_query

        for name in ("causation_id", "root_id"):
            for each in self._search.each(event_query({name: event_id, "limit": MAX_LINKS}), self._visible()):
                if each.id != event_id:
                    yield each

    def _journaled_links(self, event_id: str) -> list[Link]:
        place = event_place(event_id)
        assert place is not None
        found: dict[tuple[str, str, str], Link] = {}
        for each in self._search.links(*place, limit=MAX_LINKS):
            ends: dict[str, Any] = {**each.data}
            link = Link(ends["from"], ends["to"], ends["kind"], each.id)
            found.setdefault((link.from_id, link.to_id, link.kind), link)
        return list(found.values())

    # -- finding

    def get(self, event_id: str) -> Event:
        """Return the journaled event with this id. Raises ValidationError if there is none."""
        return self._event(event_id, "event_id")

    def query(self, **criteria: Unpack[EventKeywords]) -> Page[Event]:
        """Return the journaled events that match, by time, as a page with the `total` before pagination.

        Criteria: session_id, type (a pattern), correlation_id, causation_id, root_id, source, tags (all of them),
        after, before (times), descending (the newest first), limit, offset. Give a session or one of the three ids to
        read only the events found there. Otherwise, `descending` with a `limit`, journals are read from their ends back
        until the page is full, and its `total` is counted when it is read; in any other case the journals of all
        sessions with events since `after` are read. Raises ValidationError, SessionNotFound; for code that acts for a
        session also ResourceLimitExceeded, for events whose values take more than 32 MiB together.
        """
        query = self._checked(criteria)
        return self._search.page(query, self._visible(), self._most_bytes())

    def timeline(self, correlation_id: str, limit: int = MAX_TIMELINE) -> Page[TimelineRow]:
        """Return the events of all sessions with this correlation id, in causal order, else by time.

        Returns the oldest `limit` events of `total`. Events outside of any operation carry
        `session.info().correlation_id` of their session. The id of an event finds the operation that this event began.
        """
        if correlation_id is None:
            raise ValidationError("correlation_id: text is needed", field="correlation_id")
        return self._in_order(self._checked({"correlation_id": correlation_id, "limit": limit}))

    def of_session(self, session_id: str, limit: int) -> Page[TimelineRow]:
        """Return the timeline of one session; see `Session.timeline`."""
        return self._in_order(self._checked({"session_id": session_id, "limit": limit}))

    def _in_order(self, query: EventQuery) -> Page[TimelineRow]:
        found = self._search.page(query, self._visible(), self._most_bytes())
        links: list[dict[str, Any]] = [
            {**each.data} for each in found if each.type == LINKED and each.origin == Origin.RUNTIME
        ]
        causes = [(each["from"], each["to"]) for each in links if each["kind"] in _CAUSAL]
        return Page(tuple(causal_order(found, causes)), found.total, 0, query.limit)

    def export(self, target: str | os.PathLike[str] | TextIO, **criteria: Unpack[EventKeywords]) -> int:
        """Write the events that match, with every field, as JSON lines to a path or a text file. Return their number.

        A regular file at the path is replaced once all is written; anything else there is refused. Bytes are written as
        `{"base64": …}`. With a session or an id as criterion, events come by time, else session by session, never
        `descending`. Raises what `query` raises, and StorageError.
        """
        query = self._checked(criteria)
        if query.descending:
            raise ValidationError("descending: an export begins with the oldest events", field="descending")
        events = self._search.each(query, self._visible())
        if not issubclass(type(target), (str, os.PathLike)):
            return write_lines(write_of(target), events)
        path = file_path(target)
        with written_file(path, f"cannot write {path}", require_run) as file:
            return write_lines(lambda line: file.write(line.encode("ascii")), events)

    # -- visibility

    def _principal(self) -> str | None:
        return self._security.principal()

    @property
    def _realm(self) -> object:
        return self._security

    def _most_bytes(self) -> int | None:
        return _QUERY_BYTES if self._principal() is not None else None

    def _visible(self) -> Visible:
        principal = self._principal()
        if principal is None:
            return _everything
        known: dict[str, bool] = {}

        def visible(session_id: str) -> bool:
            if session_id not in known:
                known[session_id] = self._security.can_access(principal, session_id)
            return known[session_id]

        return visible

    def _checked(self, criteria: Mapping[str, Any]) -> EventQuery:
        self._core.check_open()
        from greenroom.storage.events.query import event_query

        query = event_query(criteria)
        self._core.settle(query.session_id)
        if query.session_id is not None:
            self._security.require(query.session_id, "events.query")
            if not self._core.exists(query.session_id):
                raise SessionNotFound(f"there is no session {query.session_id}", session_id=query.session_id)
        return query

    def _event(self, event_id: str, field: str) -> Event:
        """Return the event with this id. Raises AccessDenied first, so that it does not reveal whether the event
        exists."""
        self._core.check_open()
        self._core.settle()
        place = event_place(event_id)
        if place is None:
            raise ValidationError(
                f"{field}: the id of a journaled event is needed, a session's id, a slash and a sequence: "
                f"not {shown(event_id)}",
                field=field,
            )
        self._security.require(session_id_of(place[0]), "events.get")

        def look() -> Event:
            try:
                return self._journal.event(*place)
            except IntegrityError:
                if self._journal.holds(*place):
                    raise
                raise ValidationError(f"{field}: there is no event {event_id}", field=field) from None

        return self._journal.settled(place[0], look)  # it may be published between the two looks

    def hurry(self) -> None:
        """Stop all waiting of sessions for listeners. Called when `Runtime.close` begins."""
        self._bus.hurry()

    def close(self, timeout: float) -> None:
        """End all subscriptions. Called by `Runtime.close`."""
        self._bus.close(timeout)


_CAUSAL: Final = frozenset({"caused_by", "response_to", "follows_from"})
assert frozenset(LINK_KINDS) >= _CAUSAL


def _everything(session_id: str) -> bool:
    return True


def _id_of(event: Event | str, field: str) -> str:
    if isinstance(event, Event):
        event = event.id
    if not isinstance(event, str):
        raise ValidationError(f"{field}: an Event or the id of one is needed", field=field)
    return event
