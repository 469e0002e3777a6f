"""Follow the events of all sessions: the position of a reader, and the cursor that it can be resumed from."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

import msgpack

from greenroom.storage.catalog.changes import Changes, Position
from greenroom.storage.common.session_ids import session_id_of
from greenroom.storage.errors import SessionNotFound, ValidationError
from greenroom.storage.events.model import Event
from greenroom.storage.events.search import EventSearch, Visible

if TYPE_CHECKING:
    from greenroom.storage.events.query import EventQuery

__all__ = ["Cursor", "Following", "is_cursor", "parse_cursor"]

_PREFIX: Final = "cursor:"
_VERSION: Final = 1
_MAX_CURSOR: Final = 64 << 20
_ENTRY: Final = 24
"""Bytes of a session and its sequence."""


class Cursor(NamedTuple):
    """A position in the events of all sessions.

    `live` says which events were given as new ones. While the history is read, `history` has the time in ns from which
    it is wanted, and the place of the last event that was given.
    """

    live: Position
    history: tuple[int, bytes, int] | None = None

    def encode(self) -> str:
        known = b"".join(session + sequence.to_bytes(8, "big") for session, sequence in sorted(self.live.known.items()))
        packed = msgpack.packb([_VERSION, self.live.since, known, self.history])
        return _PREFIX + base64.urlsafe_b64encode(zlib.compress(packed)).decode()


def is_cursor(text: object) -> bool:
    return type(text) is str and text.startswith(_PREFIX)


def parse_cursor(text: str) -> Cursor:
    """Return the position that a cursor stands for. Raises ValidationError."""
    try:
        packed = base64.b64decode(text.removeprefix(_PREFIX), altchars=b"-_", validate=True)
        inflated = zlib.decompressobj().decompress(packed, _MAX_CURSOR)
        version, since, known, history = msgpack.unpackb(inflated)
        if version != _VERSION or not 0 <= since < 1 << 32 or len(known) % _ENTRY:
            raise ValueError
        places = (known[at : at + _ENTRY] for at in range(0, len(known), _ENTRY))
        position = Position(since, {each[:16]: int.from_bytes(each[16:], "big") for each in places})
        if history is not None:
            low, session, sequence = history
            history = (low + 0, session + b"", sequence + 0)
    except Exception:
        raise ValidationError("after: this is no cursor: give what `Follow.cursor` was", field="after") from None
    return Cursor(position, history)


class Following:
    """Reads the events of all sessions that match a query: the history first, if it is wanted, session by session, then
    new events. Not thread-safe."""

    def __init__(
        self,
        search: EventSearch,
        changes: Changes,
        query: EventQuery,
        visible: Visible,
        exists: Callable[[str], bool],
        history: tuple[int, bytes, int] | None,
    ) -> None:
        """Begin at the position of `changes`. `history` is the one of a cursor; None if no history is wanted."""
        self._exists = exists
        self._search = search
        self._changes = changes
        self._query = query
        self._visible = visible
        self._history = history
        self._given: tuple[bytes, int] | None = None
        """The last event that was given, which `changes` does not know yet."""

    def read(self) -> Iterator[Event]:
        """Yield the events since the last call. Raises SessionNotFound if the only wanted session is gone."""
        only = self._query.session_id
        if only is not None and not self._exists(only):
            raise SessionNotFound(f"there is no session {only}", session_id=only)
        from greenroom.storage.events.query import EventFilter

        tested = EventFilter(self._query)
        if self._history is not None:
            low = self._history[0]
            found = self._search.stored(self._query, self._visible, after=self._history[1:])
            for session, sequence, stored in found:
                if self._changes.is_known(session, sequence, stored):
                    self._history = (low, session, sequence)
                    yield self._search.view(session, sequence, stored)
            self._history = None
        for session, sequence, stored in self._changes.poll():
            about = session_id_of(session)
            wanted = only in (None, about) and self._visible(about)
            if wanted and tested.accepts(about, sequence, stored):
                self._given = (session, sequence)
                yield self._search.view(session, sequence, stored)
                self._given = None

    def cursor(self) -> str:
        """Return the position after the last event that was given."""
        live = self._changes.position()
        if self._given is not None:
            live.known[self._given[0]] = self._given[1]
        seen = {session: at for session, at in live.known.items() if self._visible(session_id_of(session))}
        return Cursor(Position(live.since, seen), self._history).encode()
