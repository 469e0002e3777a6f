"""The boundary of MCP client sessions of the package `mcp` 1.x, from 1.9.

Those have no dispatcher. They are given one here, which sends through the session and which the session's own methods
go through; so requests, and what the server sends meanwhile, have the form on the tape that those of 2.x have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from importlib import import_module
from typing import Any, Final

from greenroom.runtime.recording.tape.reels import active

__all__ = ["patch_older"]

_BOUND: Final = "_dispatcher"

Method = Callable[..., Awaitable[Any]]


def patch_older(kind: type, recorded: Callable[[Any, Any], Any]) -> None:
    """Have the requests of a class of sessions recorded by what `recorded` makes of a dispatcher and its session.
    Patching again does nothing."""
    if hasattr(kind.__dict__.get("send_request"), "__wrapped__"):
        return
    real = _Methods(kind)

    def dispatcher_of(session: Any) -> Any:
        found = session.__dict__.get(_BOUND)
        if found is None:
            inner = _Dispatcher(session, real)
            found = session.__dict__[_BOUND] = recorded(inner, inner)
            found.listen(inner.give_request, inner.give_notification)
        return found

    @wraps(real.send_request)
    async def send_request(
        session: Any,
        request: Any,
        result_type: Any,
        request_read_timeout_seconds: Any = None,
        metadata: Any = None,
        progress_callback: Any = None,
    ) -> Any:
        more = {"request_read_timeout_seconds": request_read_timeout_seconds, "metadata": metadata}
        if active() is None:
            result = await real.send_request(session, request, result_type, **more, progress_callback=progress_callback)
        else:
            method, params = _sent_parts(request)
            opts = {"request": request, "params": params, "more": more, "on_progress": progress_callback}
            result = result_type.model_validate(await dispatcher_of(session).send_raw_request(method, params, opts))
        if (info := getattr(result, "serverInfo", None)) is not None:
            dispatcher_of(session).server_told(info)
        return result

    @wraps(real.send_notification)
    async def send_notification(session: Any, notification: Any, *more: Any, **named: Any) -> None:
        opts = {"notification": notification, "more": more, "named": named}
        await dispatcher_of(session).notify(*_sent_parts(notification), opts)

    @wraps(real.received_request)
    async def received_request(session: Any, responder: Any) -> None:
        dispatcher = dispatcher_of(session)
        if dispatcher.is_redelivered(responder):
            await real.received_request(session, responder)
        else:
            await dispatcher.requested(responder, *_received_parts(responder.request))

    @wraps(real.received_notification)
    async def received_notification(session: Any, notification: Any) -> None:
        dispatcher = dispatcher_of(session)
        if dispatcher.is_redelivered(notification):
            await real.received_notification(session, notification)
        else:
            await dispatcher.notified(notification, *_received_parts(notification))

    @wraps(real.handle_incoming)
    async def handle_incoming(session: Any, incoming: Any) -> None:
        with dispatcher_of(session).scope():
            await real.handle_incoming(session, incoming)

    for method in (send_request, send_notification, received_request, received_notification, handle_incoming):
        setattr(kind, method.__name__, method)  # the name of what it wraps


class _Methods:
    """The methods of a class of sessions as the package has them."""

    def __init__(self, kind: Any) -> None:
        self.send_request: Method = kind.send_request
        self.send_notification: Method = kind.send_notification
        self.received_request: Method = kind._received_request
        self.received_notification: Method = kind._received_notification
        self.handle_incoming: Method = kind._handle_incoming


class _Raw:
    """Stands for the class of an answer, and leaves the answer as the server gave it."""

    @staticmethod
    def model_validate(answer: Any) -> Any:
        """Return the answer."""
        return answer


class _Dispatcher:
    """Sends the requests of a session, and gives it what a replay has of its server."""

    def __init__(self, session: Any, real: _Methods) -> None:
        self._session = session
        self._real = real
        self._redelivered: list[Any] = []
        self.server_info: Any = None

    @property
    def _read_stream(self) -> Any:
        return self._session._read_stream

    @property
    def _write_stream(self) -> Any:
        return self._session._write_stream

    def server_told(self, info: Any) -> None:
        """Keep what the server is called."""
        self.server_info = info

    async def send_raw_request(self, method: str, params: Any, opts: Any) -> Any:
        """Send a request and return the answer as it came."""
        request = opts["request"]
        if params is not opts["params"]:  # a fork has patched them
            request = type(request).model_validate({"method": method, "params": params})
        progress = opts["on_progress"]
        return await self._real.send_request(self._session, request, _Raw, **opts["more"], progress_callback=progress)

    async def notify(self, method: str, params: Any, opts: Any) -> None:
        """Send a notification."""
        await self._real.send_notification(self._session, opts["notification"], *opts["more"], **opts["named"])

    def is_redelivered(self, given: Any) -> bool:
        """Return whether a replay has made this of what was recorded."""
        return any(each is given for each in self._redelivered)

    async def give_request(self, context: Any, method: str, params: Any) -> None:
        """Have the session answer a request of the server; in a replay, one that was recorded."""
        shared = import_module("mcp.shared.session")
        if isinstance(context, shared.RequestResponder):
            await self._real.received_request(self._session, context)
            return
        request = self._session._receive_request_type.model_validate(
            {"jsonrpc": "2.0", "id": context.request_id, **_message(method, params)}
        )
        meta = request.root.params.meta if request.root.params else None
        responder = shared.RequestResponder(context.request_id, meta, request, self._session, lambda _: None)
        await self._redeliver(responder, self._session._received_request)
        if not responder._completed:
            await self._session._handle_incoming(responder)

    async def give_notification(self, context: Any, method: str, params: Any) -> None:
        """Tell the session of a notification; in a replay, of one that was recorded."""
        if isinstance(context, self._session._receive_notification_type):
            await self._real.received_notification(self._session, context)
            return
        notification = self._session._receive_notification_type.model_validate(
            {"jsonrpc": "2.0", **_message(method, params)}
        )
        await self._redeliver(notification, self._session._received_notification)
        await self._session._handle_incoming(notification)

    async def _redeliver(self, given: Any, receive: Method) -> None:
        self._redelivered.append(given)
        try:
            await receive(given)
        finally:
            self._redelivered = [each for each in self._redelivered if each is not given]


def _sent_parts(message: Any) -> tuple[str, Any]:
    """Return method and parameters as the session sends them."""
    plain = message.model_dump(by_alias=True, mode="json", exclude_none=True)
    return plain["method"], plain.get("params")


def _received_parts(message: Any) -> tuple[str, Any]:
    """Return method and parameters as the server gave them."""
    plain = message.model_dump(by_alias=True, mode="json", exclude_unset=True)
    return plain["method"], plain.get("params")


def _message(method: str, params: Any) -> dict[str, Any]:
    return {"method": method} if params is None else {"method": method, "params": params}
