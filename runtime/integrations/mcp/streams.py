"""Keeps the events of streamable HTTP, so that a client whose connection was cut gets what it has missed."""

from __future__ import annotations

import os
import secrets
import threading
from typing import Any, Final

from mcp.server.streamable_http import EventCallback, EventId, EventMessage, EventStore, StreamId
from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCResponse, jsonrpc_message_adapter

from greenroom.runtime import AsyncRuntime, Runtime, ValidationError

from ..json_forms import written
from ..opening import Adapter, Opened

__all__ = ["GreenroomEventStore"]

_GET_STREAM: Final = "_GET_stream"
_CLEAN_EVERY: Final = 64
_PAGE: Final = 100


class GreenroomEventStore(Adapter, EventStore):
    """Keeps the newest events of all streams as records of one session, under the key `mcp:NAME`.

    The names of streams are the numbers of a client's requests: they are the same for every client. A store that is
    given to a server as it is serves one client at a time well; `http_app` makes one for each MCP session, by `apart`.

    Example:
        ```py
        served.run("streamable-http", event_store=GreenroomEventStore("events"))
        ```
    """

    def __init__(
        self,
        runtime: Runtime | AsyncRuntime | str | os.PathLike[str],
        *,
        name: str = "streams",
        max_events: int = 10_000,
    ) -> None:
        """Take a runtime or the path of a store. At least the newest `max_events` events are kept."""
        if type(max_events) is not int or max_events < 1:
            raise ValidationError("max_events: a whole number of at least 1 is needed", field="max_events")
        self._opened = Opened(runtime)
        self._session = self._opened.runtime.get_or_create(f"mcp:{name}", name=f"MCP streams: {name}", tags=["mcp"])
        self._most = max_events
        self._client: str | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<GreenroomEventStore of {self._session!r}>"

    def apart(self) -> GreenroomEventStore:
        """Return a store that keeps its events in the same place and shares none of them: for another client."""
        other = object.__new__(GreenroomEventStore)
        other.__dict__.update(self.__dict__)
        other._client = secrets.token_hex(8)
        return other

    async def store_event(self, stream_id: StreamId, message: JSONRPCMessage | None) -> EventId:
        """Keep an event of a stream, as it is sent, and return its id. Ids cannot be guessed. Raises ValidationError
        for a message that JSON cannot carry."""
        return await self._opened.run(self._store, stream_id, message)

    async def replay_events_after(self, last_event_id: EventId, send_callback: EventCallback) -> StreamId | None:
        """Send the events of a stream that came after one of them, and return the stream; None if it is not known, or
        no longer."""
        last = await self._opened.run(self._row, last_event_id)
        if last is None:
            return None
        stream = str(last["stream"])
        for after in range(_number(last_event_id), self._last(), _PAGE):
            for event_id, message in await self._opened.run(self._page, stream, after):
                parsed = jsonrpc_message_adapter.validate_json(message)
                await send_callback(EventMessage(parsed, event_id))
                if stream != _GET_STREAM and isinstance(parsed, JSONRPCResponse | JSONRPCError):
                    return stream  # the answer ends the stream of a request; what comes after is of another
        return stream

    # -- records

    def _last(self) -> int:
        newest = self._session.records.keys(reverse=True, limit=1)
        return int(newest[0], 16) if newest else 0

    def _store(self, stream: str, message: JSONRPCMessage | None) -> str:
        text = None if message is None else written(lambda: _sent(message), "message")
        nonce = secrets.token_hex(8)
        row = {"client": self._client, "stream": stream, "nonce": nonce, "message": text}
        with self._lock:
            number = self._last() + 1
            while not self._session.records.put_if_absent(_key(number), row):  # another store of this name was faster
                number += 1
            if number % _CLEAN_EVERY == 0 and number > self._most:
                old = self._session.records.keys(limit=10 * _CLEAN_EVERY)
                self._session.records.delete_many([key for key in old if key <= _key(number - self._most)])
        return _id(number, nonce)

    def _row(self, event_id: str) -> Any:
        """Return what is kept of an event of this client, or None."""
        number = _number(event_id)
        row: Any = self._session.records.get(_key(number)) if number else None
        mine = row is not None and row["client"] == self._client
        return row if mine and _id(number, row["nonce"]) == event_id else None

    def _page(self, stream: str, after: int) -> list[tuple[str, str]]:
        """Return the messages of a stream among the events that follow a number."""
        found: list[tuple[str, str]] = []
        for key, row in self._session.records.iterate(after=_key(after), limit=_PAGE):
            is_in = int(key, 16) <= after + _PAGE
            if is_in and isinstance(row, dict) and (row["client"], row["stream"]) == (self._client, stream):
                number = int(key, 16)
                if row["message"] is not None:
                    found.append((_id(number, row["nonce"]), str(row["message"])))
        return found


def _sent(message: JSONRPCMessage) -> str:
    text: str = message.model_dump_json(by_alias=True, exclude_unset=True)
    jsonrpc_message_adapter.validate_json(text)  # what cannot be read again would end every replay
    return text


def _key(number: int) -> bytes:
    return f"{number:016x}".encode()


def _id(number: int, nonce: object) -> str:
    return f"{number:x}-{nonce!s}"


def _number(event_id: str) -> int:
    """Return the number in the id of an event, 0 if it is none."""
    text = event_id.partition("-")[0]
    try:
        return int(text, 16) if 0 < len(text) <= 15 and text.isalnum() else 0
    except ValueError:
        return 0
