"""The boundary of MCP client sessions (package `mcp`): their requests to a server, whatever the transport.

A session hands each request to a dispatcher, as a method and JSON. That is where requests are recorded and answered, so
what a session does with an answer (checking, paging, caching) is the same in a replay. What the server sends meanwhile
(progress, log messages, other notifications, requests of its own such as sampling) is recorded with the request that
waits, and is delivered at the same moment in a replay. `mcp_transports` keeps connections closed in a replay;
`mcp_older` gives the sessions of 1.x a dispatcher.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final

from greenroom.runtime.recording.tape.held.errors import held_error, raised_again
from greenroom.runtime.recording.tape.held.values import give_back, hold, hold_loosely
from greenroom.runtime.recording.tape.model import Asked
from greenroom.runtime.recording.tape.reels import Pending, Reel, active, inside, playing
from greenroom.storage.common.logs import logger_of

from .cancelled import until_cancelled
from .mcp_older import patch_older
from .mcp_transports import label_of, patch_transport, permit_live, sessions_are_known

__all__ = ["patch"]

_LISTEN: Final = "subscriptions/listen"
_SUBSCRIPTION: Final = "io.modelcontextprotocol/subscriptionId"
_EVENT: Final = "subscriptions/event"
_ACKNOWLEDGED: Final = "notifications/subscriptions/acknowledged"
_HANDSHAKE: Final = ("initialize", "notifications/initialized")
_MAX_UNCLAIMED: Final = 256
"""Notifications that are kept for the next request while no request waits. The oldest are dropped."""
_BOUND: Final = "_dispatcher"

_log = logger_of("recording.mcp")


def patch(module: ModuleType) -> None:
    """Record the client sessions, or the transport, of a module of `mcp`. Patching again does nothing."""
    match module.__name__:
        case "mcp.client.session":
            if find_spec("mcp.shared.dispatcher") is None:
                if sessions_are_known():
                    patch_older(module.ClientSession, _RecordedDispatcher)
            elif not isinstance(module.ClientSession.__dict__.get(_BOUND), property):
                module.ClientSession._dispatcher = property(_dispatcher_of, _set_dispatcher)
        case "mcp.client.subscriptions":
            if not hasattr(module.Subscription.__anext__, "__wrapped__"):
                module.Subscription.__anext__ = _recorded_events(module.Subscription.__anext__)
        case _:
            patch_transport(module)


def _recorded_events(take: Callable[[Any], Awaitable[Any]]) -> Callable[[Any], Awaitable[Any]]:
    """Return the method that takes the next event of a subscription, recorded: each event is a crossing of its own."""

    @wraps(take)
    async def take_next(subscription: Any) -> Any:
        reel = active()
        if reel is None:
            return await take(subscription)
        about = {"method": _EVENT, "subscription": str(subscription.subscription_id)}
        pending = reel.begin(Asked("mcp", _EVENT, about, _EVENT.encode()))
        if (outcome := pending.recorded) is not None:
            await until_cancelled(outcome)
            await pending.atick()
            event = _value_of(outcome)
            if subscription._on_event is not None:
                await subscription._on_event(event)
            return event
        try:
            event = await take(subscription)
        except BaseException as error:
            pending.tick()
            pending.fail(error)
            raise
        await pending.atick()
        pending.finish(_held(event))
        return event

    return take_next


def _dispatcher_of(session: Any) -> Any:
    """Return the recorded dispatcher of a session, also of one that was made before the patch."""
    try:
        found = session.__dict__[_BOUND]
    except KeyError:
        raise AttributeError(_BOUND) from None
    if not isinstance(found, _RecordedDispatcher):
        found = session.__dict__[_BOUND] = _RecordedDispatcher(found, session)
    return found


def _set_dispatcher(session: Any, dispatcher: Any) -> None:
    session.__dict__[_BOUND] = dispatcher


class _Waiting:
    """A request that waits for its answer."""

    def __init__(self, reel: Reel, pending: Pending, *, listens: bool) -> None:
        self.reel = reel
        self.pending = pending
        self.listens = listens
        self.arrived: list[list[Any]] = []

    def add(self, arrival: list[Any]) -> None:
        """Put on the tape, with its tick, what the server has sent before the answer."""
        self.pending.tick()
        self.arrived.append(arrival)

    def finish(self, outcome: Mapping[str, Any]) -> None:
        self.pending.finish({**outcome, "arrived": self.arrived} if self.arrived else outcome)


class _RecordedDispatcher:
    """Stands between a client session and its dispatcher."""

    def __init__(self, inner: Any, session: Any) -> None:
        self._inner = inner
        self._session = session
        self._waiting: list[_Waiting] = []
        self._unclaimed: deque[list[Any]] = deque(maxlen=_MAX_UNCLAIMED)
        self._answered_handshake: list[tuple[str, Any, Any]] = []
        """What the session has sent to open the connection and a player has answered. A fork that goes on live sends
        it to the server, which has not seen it."""
        self._subscriptions: dict[str, Any] = {}
        """The ids that recorded subscriptions have in this run."""
        self._is_offline = False
        """Whether the last request was answered by a player."""
        self._on_request: Callable[..., Awaitable[Any]] | None = None
        self._on_notify: Callable[..., Awaitable[None]] | None = None
        self._intercept: Callable[[str, Any], bool] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    # -- what the session sends

    async def send_raw_request(self, method: str, params: Any, opts: Any = None, **more: Any) -> dict[str, Any]:
        reel = active()
        if reel is None:
            return await self._sent(method, params, opts, more)
        known, server = self._server()
        name, input = _name_of(method, params, known), _input_of(method, params, known)
        pending = reel.begin(Asked("mcp", name, input, _key_of(method, params, server)))
        if pending.recorded is not None:
            return await self._answer(reel, pending, method, params, opts)
        if pending.changed:
            params = {**(params or {}), **pending.changed}
        await self._go_live()
        return await self._record(_Waiting(reel, pending, listens=method == _LISTEN), method, params, opts, more)

    async def _sent(self, method: str, params: Any, opts: Any, more: Mapping[str, Any]) -> dict[str, Any]:
        with inside():
            answer: dict[str, Any] = await self._inner.send_raw_request(method, params, opts, **more)
        return answer

    async def _record(
        self, waiting: _Waiting, method: str, params: Any, opts: Any, more: Mapping[str, Any]
    ) -> dict[str, Any]:
        while self._unclaimed:
            waiting.add(self._unclaimed.popleft())
        self._waiting.append(waiting)
        try:
            answer = await self._sent(method, params, self._with_progress(waiting, opts), more)
        except BaseException as error:
            if waiting in self._waiting:  # a subscription is on the tape since it was acknowledged
                self._waiting.remove(waiting)
                waiting.pending.tick()
                waiting.finish({"error": held_error(error)})
            raise
        if waiting in self._waiting:
            self._waiting.remove(waiting)
            await waiting.pending.atick()
            waiting.finish(_held(answer))
        return answer

    def _with_progress(self, waiting: _Waiting, opts: Any) -> Any:
        on_progress = (opts or {}).get("on_progress")
        if on_progress is None:
            return opts

        async def recorded(progress: float, total: float | None, message: str | None) -> None:
            waiting.add(["progress", "", [progress, total, message]])
            with playing(waiting.reel):
                await on_progress(progress, total, message)

        return {**opts, "on_progress": recorded}

    async def notify(self, method: str, params: Any, opts: Any = None, **more: Any) -> None:
        if self._is_offline:
            if method in _HANDSHAKE:
                self._answered_handshake.append((method, params, opts))
            return
        with inside():
            await self._inner.notify(method, params, opts, **more)

    async def _go_live(self) -> None:
        """Open the connection, if a player has answered until now."""
        self._is_offline = False
        permit_live(self._inner)
        handshake, self._answered_handshake = self._answered_handshake, []
        with inside():
            for method, params, opts in handshake:
                send = self._inner.notify if method.startswith("notifications/") else self._inner.send_raw_request
                await send(method, params, opts)

    # -- what the server sends

    async def run(self, on_request: Any, on_notify: Any, intercept: Any = None, **more: Any) -> None:
        self.listen(on_request, on_notify, intercept)
        await self._inner.run(self.requested, self.notified, self._heard, **more)

    def listen(self, on_request: Any, on_notify: Any, intercept: Any = None) -> None:
        """Take the methods of the session that get what the server sends."""
        self._on_request, self._on_notify, self._intercept = on_request, on_notify, intercept

    def _heard(self, method: str, params: Any) -> bool:
        """Tell the session of a notification at once, and return whether it has consumed it."""
        consumed = self._intercept is not None and self._intercept(method, params)
        listening = next((each for each in self._waiting if each.listens), None)
        if method == _ACKNOWLEDGED and listening is not None:
            # On the tape a subscription ends when it has begun: in truth it ends with the session.
            self._waiting.remove(listening)
            listening.add(["notification", method, hold_loosely(params)])
            listening.pending.tick()
            listening.finish({"value": None})
        elif consumed:
            self._arrived("notification", method, params)
        return consumed

    async def notified(self, context: Any, method: str, params: Any) -> None:
        self._arrived("notification", method, params)
        if self._on_notify is not None:
            with self.scope():
                await self._on_notify(context, method, params)

    async def requested(self, context: Any, method: str, params: Any) -> Any:
        self._arrived("request", method, params)
        assert self._on_request is not None, "the session runs its dispatcher with a handler"
        with self.scope():
            return await self._on_request(context, method, params)

    def _arrived(self, kind: str, method: str, params: Any) -> None:
        """Put on the tape what the server sends, when the program gets it."""
        arrival = [kind, method, hold_loosely(params)]
        if self._waiting:
            self._waiting[-1].add(arrival)
        else:
            self._unclaimed.append(arrival)

    def scope(self) -> AbstractContextManager[None]:
        """Return the context for a callback of the program: the reel of the request that waits. A transport delivers
        messages from tasks of its own, which are inside the boundary."""
        return playing(self._waiting[-1].reel) if self._waiting else nullcontext()

    # -- replay

    async def _answer(self, reel: Reel, pending: Pending, method: str, params: Any, opts: Any) -> dict[str, Any]:
        self._is_offline = True
        if method in _HANDSHAKE:
            self._answered_handshake.append((method, params, opts))
        outcome = pending.recorded or {}
        for kind, name, content in outcome.get("arrived") or ():
            if name == _ACKNOWLEDGED and method == _LISTEN:
                self._subscriptions[_subscription_of(content)] = (opts or {}).get("request_id")
            await pending.atick()
            await self._deliver(kind, name, content, opts)
        await until_cancelled(outcome)
        await pending.atick()
        value = _value_of(outcome)
        if method == _LISTEN and value is None:
            import anyio

            await anyio.sleep_forever()
        return _answer_of(method, value)

    async def _deliver(self, kind: str, method: str, content: Any, opts: Any) -> None:
        """Hand the program what the server had sent. What its callbacks raise is logged, as the session does."""
        try:
            if kind == "progress":
                if (on_progress := (opts or {}).get("on_progress")) is not None:
                    await on_progress(*content)
            elif kind == "notification":
                content = self._renamed(content)
                if not (self._intercept is not None and self._intercept(method, content)) and self._on_notify:
                    await self._on_notify(_Replayed(), method, content)
            elif self._on_request is not None:
                await self._on_request(_Replayed(), method, content)
        except Exception:
            _log.exception("a callback for %r raised", method or kind)

    def _renamed(self, content: Any) -> Any:
        """Return a notification with the number that its subscription has in this run."""
        known = self._subscriptions.get(_subscription_of(content))
        return content if known is None else {**content, "_meta": {**content["_meta"], _SUBSCRIPTION: known}}

    def _server(self) -> tuple[str, str]:
        """Return the name of the server, as people know it, and as it is the same from the first request on."""
        info = getattr(self._session, "server_info", None)
        label = label_of(self._inner)
        name = str(info.name) if info is not None else label
        return name, label or name


class _Replayed:
    """What a callback is told of a recorded request of the server."""

    request_id = 0
    can_send_request = False


def _subscription_of(content: Any) -> str:
    """Return the id of the subscription that a notification belongs to; "" for none."""
    meta = content.get("_meta") if isinstance(content, Mapping) else None
    return str(meta.get(_SUBSCRIPTION, "")) if isinstance(meta, Mapping) else ""


def _name_of(method: str, params: Any, server: str) -> str:
    if method == "tools/call":
        return f"{server}/{(params or {}).get('name')}"
    return f"{method} {server}" if server else method


def _input_of(method: str, params: Any, server: str) -> dict[str, Any]:
    given = dict(hold_loosely(params) or {})
    input: dict[str, Any] = {"server": server, "method": method}
    if method == "tools/call":
        input["arguments"] = given.pop("arguments", None) or {}
        given.pop("name", None)
    if given:
        input["params"] = given
    return input


def _key_of(method: str, params: Any, server: str) -> bytes:
    """Return what identifies a request in a replay. Versions and capabilities of the client, which come with a newer
    package, do not."""
    given = {name: value for name, value in (params or {}).items() if name != "_meta"}
    if method in ("initialize", "server/discover"):
        given = {}
    return json.dumps([server, method, given], sort_keys=True, default=hold_loosely).encode("utf-8", "replace")


def _held(answer: Any) -> dict[str, Any]:
    plain, marks = hold({"value": answer})
    return {**plain, "marks": marks} if marks else dict(plain)


def _value_of(outcome: Mapping[str, Any]) -> Any:
    """Return the recorded value, or raise the recorded exception."""
    if (error := outcome.get("error")) is not None:
        raise raised_again(error)
    return give_back({"value": outcome.get("value")}, outcome.get("marks") or ())["value"]


def _answer_of(method: str, value: Any) -> dict[str, Any]:
    """Return a recorded answer as the session expects it. A patch may have put the bare result of a tool there."""
    if method != "tools/call" or (isinstance(value, dict) and isinstance(value.get("content"), list)):
        return dict(value or {})
    text = value if isinstance(value, str) else json.dumps(value)
    structured = value if isinstance(value, dict) else {"result": value}
    return {"content": [{"type": "text", "text": text}], "structuredContent": structured, "isError": False}
